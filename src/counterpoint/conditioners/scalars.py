"""One number or name for a whole piece -> vector: tempo, key, length."""

import math
from typing import Literal

import torch
from torch import nn

from counterpoint.conditioners.base import Conditioner
from counterpoint.config import Config
from counterpoint.music import Key
from counterpoint.types import Cond, Spec

_WAVES = 4


class TempoConfig(Config):
    """Felt beats a minute."""

    kind: Literal["tempo"] = "tempo"

    def build(self, width: int, spec: Spec) -> "Number":
        return Number(100.0, width)


class SecondsConfig(Config):
    """Length of the whole piece in seconds."""

    kind: Literal["seconds"] = "seconds"

    def build(self, width: int, spec: Spec) -> "Number":
        return Number(10.0, width)


class KeyConfig(Config):
    """A tonic and a mode: 24 keys."""

    kind: Literal["key"] = "key"

    def build(self, width: int, spec: Spec) -> "Keys":
        return Keys(width)


class Number(Conditioner):
    """float | None -> vector "b h": octaves above `middle`, and waves of them, so that small differences are seen, too."""

    def __init__(self, middle: float, width: int) -> None:
        super().__init__()
        self.middle = middle
        self.project = nn.Linear(1 + 2 * _WAVES, width)
        self.null = nn.Parameter(torch.zeros(width))
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, values: list[float | None], spec: Spec, frames: int) -> Cond:
        octaves = torch.tensor([0.0 if value is None else math.log2(value / self.middle) for value in values])
        angles = 2 * math.pi * octaves[:, None] * 2.0 ** torch.arange(_WAVES)
        features = torch.cat([octaves[:, None], angles.sin(), angles.cos()], dim=1).to(self.null.device)
        told = torch.tensor([value is not None for value in values], device=self.null.device)
        x = self.project(features)
        return Cond(vector=torch.where(told[:, None], x, self.null.to(x.dtype)))


class Keys(Conditioner):
    """Key | None -> vector "b h"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(24, width)
        self.null = nn.Parameter(torch.zeros(width))
        nn.init.zeros_(self.table.weight)

    def forward(self, values: list[Key | None], spec: Spec, frames: int) -> Cond:
        numbers = [0 if key is None else key.number for key in values]
        device = self.null.device
        told = torch.tensor([key is not None for key in values], device=device)
        x = self.table(torch.tensor(numbers, device=device))
        return Cond(vector=torch.where(told[:, None], x, self.null.to(x.dtype)))
