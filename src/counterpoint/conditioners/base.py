"""What every conditioner is: values of a batch in, a Cond out; None means "not told" and has a learnt null of its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn

from counterpoint import rng
from counterpoint.config import Config
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


class DropConfig(Config):
    """How often training leaves out what is known, so that a model can be told any part of it, and guided."""

    drop_all: float = Field(default=0.2, ge=0, le=1)
    """Chance that an item is told nothing in training."""
    drop_each: float = Field(default=0.1, ge=0, le=1)
    """Chance, for each condition by itself, that an item is not told it."""
    drop_music: Annotated[float, Field(ge=0, le=1)] | Literal["any"] | None = None
    """The same for a score and each control, where it is another chance than that of words; "any": each item draws a chance of
    its own from 0 to 1, so that all of them, none, and any number between are told equally often."""
    drop_score: float | None = Field(default=None, ge=0, le=1)
    """The same for a score, where it is another chance than that of controls: who hears a score needs no control."""


def drop(values: Values, names: Sequence[str], gens: Sequence[Generator], config: DropConfig) -> dict[str, list[Any]]:
    """What each item is told: nothing, or each condition unless chance leaves it out by itself."""
    music = config.drop_each if config.drop_music is None else config.drop_music
    score = music if config.drop_score is None else config.drop_score
    draws = rng.rand((1 + len(names),), gens)  # b, all and each
    own = rng.rand((1,), gens) if "any" in (music, score) else None
    lost = draws[:, 1:] < _chances(names, {"text": config.drop_each, "score": score}, music, own)
    lost |= draws[:, :1] < config.drop_all
    columns = {name: values.get(name, [None] * len(gens)) for name in names}
    return {
        name: [None if lost[i, j] else value for i, value in enumerate(column)]
        for j, (name, column) in enumerate(columns.items())
    }


def _chances(
    names: Sequence[str], special: Mapping[str, float | str], usual: float | str, own: Float[Tensor, "b 1"] | None
) -> Float[Tensor, "b_or_1 _"]:
    """Of each condition to be left out, where "any" is the item's own chance."""
    columns = [special.get(name, usual) for name in names]
    fixed = torch.tensor([[0.0 if chance == "any" else float(chance) for chance in columns]])
    free = torch.tensor([[chance == "any" for chance in columns]])
    return fixed if own is None else torch.where(free, own, fixed)
