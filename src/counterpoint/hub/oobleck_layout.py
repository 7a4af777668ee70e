"""Stable Audio's VAE as the diffusers library writes it: its settings and names, and ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint.codecs.vae import VaeConfig
from counterpoint.config import parse

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""What diffusers calls the file."""

NAMES = {
    "sampling_rate": "sample_rate",
    "audio_channels": "channels",
    "decoder_input_channels": "dim",
    "downsampling_ratios": "strides",
}
"""Their settings that are ours under another name."""

_MORE = ("encoder_hidden_size", "decoder_channels", "channel_multiples")
"""Their settings that ours follow from."""

_UNIT = {"snake1": "block.0", "conv1": "block.1", "snake2": "block.2", "conv2": "block.3"}
"""Parts of a residual unit."""

_STAGES = {
    "encoder": {"res_unit1": 0, "res_unit2": 1, "res_unit3": 2, "snake1": 3, "conv1": 4},
    "decoder": {"snake1": 0, "conv_t1": 1, "res_unit1": 2, "res_unit2": 3, "res_unit3": 4},
}
"""Places of a stage's parts among our layers."""

_FIRST, _LAST = "conv1", {"snake1": 0, "conv2": 1}
"""What comes before all stages, and after them."""

_KEPT = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
"""Names of a normalised weight's scale and direction before torch's parametrizations."""


def written_by_diffusers(file: Path) -> dict[str, Any] | None:
    """The content of a config.json if it is that of diffusers' AutoencoderOobleck, else None."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("_class_name") == "AutoencoderOobleck" else None


def settings(content: Mapping[str, Any]) -> VaeConfig:
    """Our settings from theirs.  Raises ValueError for what is not built here, and for what is missing: nothing is assumed."""
    missing = [name for name in (*NAMES, *_MORE) if name not in content]
    if missing:
        raise ValueError(f"This VAE does not state {missing[0]}; save it again with a newer diffusers.")
    width, multiples = content["encoder_hidden_size"], content["channel_multiples"]
    if content["decoder_channels"] != width or multiples[0] != 1 or width != 2 * content["decoder_input_channels"]:
        raise ValueError(
            "This VAE's halves are not as wide as each other, or as twice its latents, which is not built here; use one with "
            "decoder_channels = encoder_hidden_size = 2 decoder_input_channels, and 1 as the first of channel_multiples."
        )
    ours = {NAMES[name]: value for name, value in content.items() if name in NAMES}
    return parse(VaeConfig, {**ours, "widths": [width * multiple for multiple in multiples], "compat": True}, "this VAE")


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names, and in our shapes: theirs of a Snake are "1 h 1"."""
    ours = {"mean": torch.zeros(()), "std": torch.ones(())}  # measured by nobody yet
    stages = 1 + max((int(name.split(".")[2]) for name in tensors if name.startswith("encoder.block.")), default=-1)
    for name, tensor in tensors.items():
        half, *parts = name.split(".")
        tail = ".".join(_KEPT.get(part, part) for part in parts[_depth(parts) :])
        ours[f"{half}.layers.{_place(half, parts, stages)}.{tail}"] = tensor.flatten() if "snake" in name else tensor
    return ours


def _depth(parts: list[str]) -> int:
    """How many leading parts of a name tell the layer."""
    if parts[0] != "block":
        return 1
    return 4 if parts[2].startswith("res_unit") else 3


def _place(half: str, parts: list[str], stages: int) -> str:
    """Where a layer of theirs lies among ours; what is unknown keeps its name, and is refused as such later."""
    in_stage = _STAGES.get(half, {})
    match parts:
        case ["block", stage, unit, part, *_] if unit in in_stage and part in _UNIT and unit.startswith("res_unit"):
            return f"{1 + 5 * int(stage) + in_stage[unit]}.{_UNIT[part]}"
        case ["block", stage, part, *_] if part in in_stage:
            return str(1 + 5 * int(stage) + in_stage[part])
        case [part, *_] if part in _LAST:
            return str(1 + 5 * stages + _LAST[part])
        case [part, *_] if part == _FIRST:
            return "0"
    return ".".join(parts[: _depth(parts)])
