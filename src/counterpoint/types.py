"""The values that every room hands to the next, and the one shape legend.

Shapes (jaxtyping names used throughout):

    b batch          n samples        c audio channels     t frames       d frame channels
    k codebooks      v vocabulary     s context tokens     h width        e condition channels
    a heads          m mel bands      f frequencies

One layout: audio `b c n`, frames `b t d`, tokens `b k t`, context `b s h`.  Masks are True where something is real or given.
Flow time runs from noise at 0 to data at 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor

Values = Mapping[str, list[Any]]
"""What is known about each item of a batch, by condition name; an entry of None means: not told."""

View = Literal["continuous", "tokens"]
"""Which of a codec's two views of audio: frames "b t d", or tokens "b k t"."""


def time_axis(view: View) -> int:
    """Where time runs in a batch of that view."""
    return 1 if view == "continuous" else 2


Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all); may raise to cancel."""


@dataclass(frozen=True)
class Spec:
    """What a codec's frames look like: all that a system knows about audio.

    `rate` is in frames per second, `dim` the channels of a continuous frame; `levels` and `bins` describe
    the token view (0 where a codec has none).
    """

    rate: float
    dim: int
    levels: int = 0
    bins: int = 0

    def frames(self, seconds: float) -> int:
        """Frames that cover `seconds`, at least one."""
        return max(1, round(seconds * self.rate))


@dataclass(frozen=True)
class Batch:
    """Training items side by side.  Codecs read `audio`, generators read `frames`; what is absent is None.

    `mask` marks the real frames; `seeds` gives every item its own source of randomness, so that a step's
    draws depend on the item and the step alone.
    """

    seeds: list[int]
    audio: Float[Tensor, "b c n"] | None = None
    frames: Float[Tensor, "b t d"] | Int[Tensor, "b k t"] | None = None
    mask: Bool[Tensor, "b t"] | None = None
    values: Values = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seeds)


@dataclass(frozen=True)
class Cond:
    """What a backbone is told, by three ways in: attended to, added to each frame, added everywhere.

    Any of the three may be absent.  `mask` belongs to `context`.
    """

    context: Float[Tensor, "b s h"] | None = None
    mask: Bool[Tensor, "b s"] | None = None
    frames: Float[Tensor, "b t e"] | None = None
    vector: Float[Tensor, "b h"] | None = None

    @staticmethod
    def join(conds: list["Cond"]) -> "Cond":
        """All conditions of one batch: contexts one after the other, frames channel beside channel, vectors summed."""
        contexts = [c.context for c in conds if c.context is not None]
        masks = [c.mask for c in conds if c.mask is not None]
        frames = [c.frames for c in conds if c.frames is not None]
        vectors = [c.vector for c in conds if c.vector is not None]
        return Cond(
            context=torch.cat(contexts, dim=1) if contexts else None,
            mask=torch.cat(masks, dim=1) if masks else None,
            frames=torch.cat(frames, dim=-1) if frames else None,
            vector=torch.stack(vectors).sum(0) if vectors else None,
        )

    @staticmethod
    def stack(conds: list["Cond"]) -> "Cond":
        """Variants of one batch (guidance) as one larger batch, in order; shorter contexts are padded and masked."""

        def cat(parts: list[Tensor | None]) -> Tensor | None:
            present = [p for p in parts if p is not None]
            assert len(present) in (0, len(parts)), "variants must tell the same kinds of things"
            return torch.cat(present) if present else None

        longest = max((c.context.shape[1] for c in conds if c.context is not None), default=0)
        padded = [_pad_context(c, longest) for c in conds]
        return Cond(
            context=cat([c.context for c in padded]),
            mask=cat([c.mask for c in padded]),
            frames=cat([c.frames for c in conds]),
            vector=cat([c.vector for c in conds]),
        )


def _pad_context(cond: Cond, length: int) -> Cond:
    if cond.context is None or cond.mask is None:
        return cond
    missing = length - cond.context.shape[1]
    context = torch.nn.functional.pad(cond.context, (0, 0, 0, missing))
    mask = torch.nn.functional.pad(cond.mask, (0, missing), value=False)
    return Cond(context=context, mask=mask, frames=cond.frames, vector=cond.vector)


@dataclass(frozen=True)
class Canvas:
    """A task: some frames are given, the others are to be filled.

    Nothing given is generation, a leading part given is continuation, any other part is in-painting.
    """

    frames: Float[Tensor, "b t d"] | Int[Tensor, "b k t"]
    given: Bool[Tensor, "b t"]

    @staticmethod
    def blank(batch: int, frames: int, spec: Spec, view: View = "continuous") -> "Canvas":
        """A canvas with nothing on it."""
        given = torch.zeros(batch, frames, dtype=torch.bool)
        if view == "tokens":
            return Canvas(torch.zeros(batch, spec.levels, frames, dtype=torch.long), given)
        return Canvas(torch.zeros(batch, frames, spec.dim), given)


@dataclass(frozen=True)
class Objective:
    """One thing to minimise and, by name, whose parameters it moves (a GAN yields two); `logs` are for the record."""

    name: str
    loss: Float[Tensor, ""]
    logs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Roll:
    """A score on a frame grid: what sounds when, and what holds for the whole clip.

    The columns' meaning belongs to whoever painted it (`conditioners/score.py`); datasets only slice its frames.
    """

    frames: UInt8[np.ndarray, "t e"]
    vector: Float32[np.ndarray, " g"]
