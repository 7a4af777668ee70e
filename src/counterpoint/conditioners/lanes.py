"""A symbol or a vector a frame -> frames: how chords, tunes and drums reach a backbone, as in JASCO (section 3.1)."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from counterpoint.conditioners.base import Conditioner
from counterpoint.types import Cond, Spec

Lane = Int[np.ndarray, " t"] | Float[np.ndarray, "t d"]
"""What is known of each frame: a number in a vocabulary, or a vector."""


class Symbols(Conditioner):
    """Int "t" | None -> frames "b t e": a table of `symbols` rows, and a learnt row for what is not told."""

    def __init__(self, symbols: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Embedding(symbols, channels)
        self.null = nn.Parameter(torch.zeros(channels))

    def forward(self, values: list[Lane | None], spec: Spec, frames: int) -> Cond:
        lanes, told = stacked(values, (frames,), self.null.device)
        return Cond(frames=torch.where(told[:, None, None], self.table(lanes.long()), self.null.to(self.table.weight.dtype)))


class OneHot(Conditioner):
    """Int "t" | None -> frames "b t e": symbols above 0 as rows of an identity, 0 as a row of zeros, projected."""

    def __init__(self, symbols: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(symbols - 1, channels)
        self.null = nn.Parameter(torch.zeros(channels))

    def forward(self, values: list[Lane | None], spec: Spec, frames: int) -> Cond:
        lanes, told = stacked(values, (frames,), self.null.device)
        rows = nn.functional.one_hot(lanes.long(), self.project.in_features + 1)[..., 1:]
        x = self.project(rows.to(self.project.weight.dtype))
        return Cond(frames=torch.where(told[:, None, None], x, self.null.to(x.dtype)))


class Vectors(Conditioner):
    """Float "t d" | None -> frames "b t e": one projection for all frames, and a learnt row for what is not told."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.dim = dim
        self.project = nn.Linear(dim, channels)
        self.null = nn.Parameter(torch.zeros(channels))

    def forward(self, values: list[Lane | None], spec: Spec, frames: int) -> Cond:
        lanes, told = stacked(values, (frames, self.dim), self.null.device)
        x = self.project(lanes.to(self.project.weight.dtype))
        return Cond(frames=torch.where(told[:, None, None], x, self.null.to(x.dtype)))


def stacked(
    values: list[Lane | None], shape: tuple[int, ...], device: torch.device
) -> tuple[Float[Tensor, "b t *d"] | Int[Tensor, "b t *d"], Bool[Tensor, " b"]]:
    """The lanes of a batch side by side, zeros where none is told, and which are.  Raises ValueError for other lengths."""
    present = [np.zeros(shape, np.int64 if len(shape) == 1 else np.float32) if lane is None else lane for lane in values]
    if any(lane.shape != shape for lane in present):
        raise ValueError(f"A lane must have {shape[0]} frames, like the canvas, not {[lane.shape[0] for lane in present]}.")
    told = torch.tensor([lane is not None for lane in values], device=device)
    return torch.from_numpy(np.stack(present)).to(device), told
