"""Chords -> frames: one of Chordino's 193 labels a frame, as in the paper (section 4.5) and in JASCO."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int16
from numpy import ndarray
from pydantic import Field

from counterpoint.chordino import LABELS, label_of
from counterpoint.conditioners.lanes import Symbols
from counterpoint.config import Config
from counterpoint.music import ChordSpan
from counterpoint.types import Spec


class ChordsConfig(Config):
    """Sizes of the table."""

    kind: Literal["chords"] = "chords"
    channels: int = Field(default=16, ge=1)

    def build(self, width: int, spec: Spec) -> Symbols:
        return Symbols(len(LABELS), self.channels)


def paint_chords(spans: Sequence[ChordSpan], rate: float, frames: int) -> Int16[ndarray, " t"]:
    """The label that holds at the beginning of each frame of 1 / `rate` seconds; 0, no chord, outside the spans."""
    lane = np.zeros(frames, np.int16)
    for span in sorted(spans, key=lambda span: span.start):
        first, last = (max(0, int(np.ceil(time * rate - 1e-6))) for time in (span.start, span.end))
        lane[first:last] = label_of(span.chord)
    return lane
