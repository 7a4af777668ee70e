"""From guesses of drum onsets to their times: peaks that stand out."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.analysis.listener import DRUMS

THRESHOLDS = {"kick": 0.35, "snare": 0.35, "hat": 0.3, "any": 0.35}
"""Guesses below these are no onsets."""


def decode_drums(guesses: Float[ndarray, "4 t"], rate: float) -> dict[str, tuple[float, ...]]:
    """Onset times in seconds by class from probabilities, `rate` frames a second."""
    return {name: _peaks(row, rate, THRESHOLDS[name]) for name, row in zip(DRUMS, guesses, strict=True)}


def _peaks(guesses: Float[ndarray, " t"], rate: float, threshold: float) -> tuple[float, ...]:
    """Frames louder than their neighbours, moved to the centre of gravity of the three."""
    padded = np.pad(guesses, 1)
    before, here, after = padded[:-2], padded[1:-1], padded[2:]
    frames = np.flatnonzero((here >= threshold) & (here >= before) & (here > after))
    offsets = (after - before)[frames] / (before + here + after)[frames]
    return tuple(float(time) for time in np.maximum(0.0, (frames + offsets) / rate))
