"""A tune -> frames: one of 53 pitches a frame, or none: a number (the paper, section 4.5) or zeros and a one (JASCO)."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int16
from numpy import ndarray
from pydantic import Field

from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.conditioners.base import Conditioner
from counterpoint.conditioners.lanes import OneHot, Symbols
from counterpoint.config import Config
from counterpoint.music import Note
from counterpoint.types import Spec


class MelodyConfig(Config):
    """Sizes, and in which form a pitch is told."""

    kind: Literal["melody"] = "melody"
    channels: int = Field(default=16, ge=1)
    form: Literal["integer", "one-hot"] = "integer"

    def build(self, width: int, spec: Spec) -> Conditioner:
        symbols = HIGHEST - LOWEST + 2  # the pitches, and none
        return Symbols(symbols, self.channels) if self.form == "integer" else OneHot(symbols, self.channels)


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
