"""What every conditioner is: values of a batch in, a Cond out; None means "not told" and has a learnt null of its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, nn

from counterpoint import rng
from counterpoint.types import Cond, Spec, Values


class Conditioner(nn.Module, ABC):
    """One kind of thing that is known about music.

    `forward(values, spec, frames)` takes one value (or None) per item and gives a Cond for `frames` frames at `spec.rate`.
    An item's part of the Cond depends on its own value alone.
    """

    @abstractmethod
    def forward(self, values: list[Any], spec: Spec, frames: int) -> Cond: ...


class Conditioners(nn.ModuleDict):
    """All that a system can be told, by name."""

    def forward(self, values: Values, spec: Spec, frames: int, batch: int) -> Cond:
        """One Cond for `batch` items; a condition that `values` lacks is told to none of them."""
        return Cond.join([module(values.get(name, [None] * batch), spec, frames) for name, module in self.items()])


def drop(
    values: Values, names: Sequence[str], gens: Sequence[Generator], drop_all: float, drop_each: float, drop_music: float
) -> dict[str, list[Any]]:
    """Per item: nothing told with chance `drop_all`, else each condition left out by itself: the words with chance `drop_each`,
    what tells of notes (a score, controls) with chance `drop_music`."""
    draws = rng.rand((1 + len(names),), gens)  # b, all and each
    chances = torch.tensor([drop_each if name == "text" else drop_music for name in names])
    lost = (draws[:, :1] < drop_all) | (draws[:, 1:] < chances)
    columns = {name: values.get(name, [None] * len(gens)) for name in names}
    return {
        name: [None if lost[i, j] else value for i, value in enumerate(column)]
        for j, (name, column) in enumerate(columns.items())
    }
