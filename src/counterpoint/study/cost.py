"""What a network costs: parameters, operations and memory, counted from its config without its weights.

A product of matrices m x k and k x n takes 2 m k n operations; training takes three times those of a forward pass (Kaplan
et al. 2020, section 2.1).  Attention takes 4 t^2 width a block for t frames.
"""

import json
from functools import cache

import torch
from torch import nn

from counterpoint.hub.checkpoint import SYSTEMS, SystemConfig
from counterpoint.hub.filling import Unset
from counterpoint.types import Spec

KEPT = 34
"""Bytes that a block keeps of each frame and channel for the backward pass (Korthikanti et al. 2022, equation 1)."""


def parameters(config: SystemConfig, spec: Spec) -> int:
    """How many numbers are learnt; the table of a vocabulary that is not learnt yet is left out."""
    return _counted(config.model_dump_json(), spec)[0]


def forward(config: SystemConfig, spec: Spec, seconds: float) -> float:
    """FLOPs of one forward pass over so many seconds of one item."""
    frames = spec.frames(seconds)
    learnt, tables = _counted(config.model_dump_json(), spec)
    attention = 4 * config.backbone.depth * frames * config.backbone.width
    return frames * (2 * (learnt - tables) + attention)


def memory(config: SystemConfig, spec: Spec, seconds: float, batch: int) -> float:
    """Bytes of training: weights, gradients, two moments and an average in 32 bits, and what is kept for the backward pass."""
    backbone = config.backbone
    return 20 * parameters(config, spec) + KEPT * batch * spec.frames(seconds) * backbone.width * backbone.depth


@cache
def _counted(config: str, spec: Spec) -> tuple[int, int]:
    """Parameters of a system by its config as JSON, and those of them that are looked up in tables."""
    content = json.loads(config)
    with torch.device("meta"), Unset():
        system = SYSTEMS[content["kind"]].model_validate(content).build(spec)
    tables = sum(part.weight.numel() for part in system.modules() if isinstance(part, nn.Embedding))
    return sum(parameter.numel() for parameter in system.parameters()), tables
