"""Drums -> frames: the first codebook of a blurred drum track, in the paper's order (section 4.5) or in JASCO's.

The paper blurs a codec's continuous frames, then takes the first codebook's number: a symbol a frame.  AudioCraft's JASCO
quantises first, goes back to continuous frames, and blurs these: a vector a frame.  Blurring keeps where something is struck
and loses what.  The lanes are made where codecs are known (`controls/lanes.py`).
"""

from typing import Literal

from pydantic import Field

from counterpoint.conditioners.base import Conditioner
from counterpoint.conditioners.lanes import Symbols, Vectors
from counterpoint.config import Config
from counterpoint.types import Spec

Order = Literal["blur-quantise", "quantise-blur"]


class DrumsConfig(Config):
    """How the lane is made, and sizes."""

    kind: Literal["drums"] = "drums"
    order: Order = "blur-quantise"
    """The paper's, or "quantise-blur", JASCO's."""
    blur: int = Field(default=5, ge=1)
    """Frames that are averaged: 5 in the paper, 3 in JASCO."""
    channels: int = Field(default=16, ge=1)

    def build(self, width: int, spec: Spec) -> Conditioner:
        if not spec.levels:
            raise ValueError("Drums are told by a codec's first codebook, and this codec has none; leave the drums out.")
        return Symbols(spec.bins, self.channels) if self.order == "blur-quantise" else Vectors(spec.dim, self.channels)
