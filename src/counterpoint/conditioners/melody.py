"""A tune -> frames: one of 53 pitches a frame, or none: a number (the paper, section 4.5) or zeros and a one (JASCO).

Or a tune -> context: the pitch class at moments of their own, which come before everything else (MusicGen, section 3.3).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, Int16
from numpy import ndarray
from pydantic import Field
from torch import nn

from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.conditioners.base import Conditioner
from counterpoint.conditioners.lanes import Lane, OneHot, Symbols
from counterpoint.config import Config
from counterpoint.music import Note
from counterpoint.types import Cond, Spec


class MelodyConfig(Config):
    """Sizes, and in which form a pitch is told."""

    kind: Literal["melody"] = "melody"
    channels: int = Field(default=16, ge=1)
    form: Literal["integer", "one-hot", "chroma"] = "integer"
    """The first two are told frame by frame; of the third, `channels` are those of the backbone."""
    moments: int = Field(default=235, ge=1)
    """Of a chroma, how many."""
    every: float = Field(default=0.128, gt=0, allow_inf_nan=False)
    """Of a chroma, seconds from one moment to the next."""

    @property
    def lane(self) -> int:
        """Condition channels of a frame."""
        return 0 if self.form == "chroma" else self.channels

    def build(self, width: int, spec: Spec) -> Conditioner:
        if self.form == "chroma":
            return Chroma(self.moments, self.every, width)
        symbols = HIGHEST - LOWEST + 2  # the pitches, and none
        return Symbols(symbols, self.channels) if self.form == "integer" else OneHot(symbols, self.channels)


class Chroma(Conditioner):
    """Int "t" (see `paint_melody`) | None -> context "b s h": the pitch class at each of s moments, projected.

    A shorter tune is said again and again.  Where nothing sounds, and where no tune is told, stands C: the first class, which
    the released models are told of silence.
    """

    def __init__(self, moments: int, every: float, width: int) -> None:
        super().__init__()
        self.moments, self.every = moments, every
        self.project = nn.Linear(12, width)

    def forward(self, values: list[Lane | None], spec: Spec, frames: int) -> Cond:
        classes = np.stack([self._classes(lane, spec.rate) for lane in values])
        weight = self.project.weight
        rows = nn.functional.one_hot(torch.from_numpy(classes).to(weight.device), 12).to(weight.dtype)
        return Cond(context=self.project(rows), mask=torch.ones(rows.shape[:2], dtype=torch.bool, device=weight.device))

    def _classes(self, lane: Lane | None, rate: float) -> Int[ndarray, " s"]:
        if lane is None:
            return np.zeros(self.moments, np.int64)
        places = np.arange(max(1, int(len(lane) / (rate * self.every)))) * rate * self.every
        pitches = np.asarray(lane)[np.minimum(np.rint(places).astype(int), len(lane) - 1)].astype(np.int64)
        return np.resize(np.where(pitches > 0, (pitches - 1 + LOWEST) % 12, 0), self.moments)


def paint_melody(notes: Sequence[Note], rate: float, frames: int) -> Int16[ndarray, " t"]:
    """What sounds in the middle of each frame: 0 for nothing, 1 for G2, 53 for B7; the latest note counts, then the highest.

    Notes beyond the range are left out.
    """
    lane = np.zeros(frames, np.int16)
    for note in sorted(notes, key=lambda note: (note.start, note.pitch)):
        first, last = (max(0, int(np.ceil(time * rate - 0.5 - 1e-6))) for time in (note.start, note.end))
        if LOWEST <= note.pitch <= HIGHEST:
            lane[first : max(last, first + 1)] = note.pitch - LOWEST + 1
    return lane
