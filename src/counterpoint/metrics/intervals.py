"""Bootstrap intervals over clips.

Efron and Tibshirani 1993, chapter 13: the percentile interval.  A clip is what was drawn, so a clip is what is resampled;
frames of one clip are never counted as if they were independent.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from counterpoint.metrics.base import Better, Score

DRAWS = 1000
LEVEL = 0.95
FEW = 30
"""Clips below which an interval is a guess."""


def resamples(items: int, draws: int = DRAWS, seed: int = 0) -> Int[ndarray, "r i"]:
    """Which items are there in each of `draws` bootstrap resamples."""
    return np.random.default_rng(seed).integers(items, size=(draws, items))


def percentile(drawn: Float[ndarray, " r"], level: float = LEVEL) -> tuple[float, float]:
    """The interval that holds the middle `level` of the drawn figures."""
    low, high = np.quantile(drawn, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def mean(
    name: str,
    values: Sequence[float] | Float[ndarray, " i"],
    unit: str = "",
    better: Better = "neither",
    floor: float = float("nan"),
    draws: int = DRAWS,
    seed: int = 0,
) -> Score:
    """The mean of one value a clip; NaN values (a clip that has no melody) are left out and counted in a note."""
    given = np.asarray(values, dtype=np.float64)
    told = given[~np.isnan(given)]
    missing = len(given) - len(told)
    notes = (f"{missing} of {len(given)} clips have no {name} and are left out.",) if missing else ()
    if 1 < len(told) < FEW:
        notes += (f"Fewer than {FEW} clips: the interval is a guess.",)
    items = tuple(given.tolist())
    if not len(told):
        return Score(name, float("nan"), n=0, unit=unit, better=better, floor=floor, notes=notes, items=items)
    low, high = percentile(told[resamples(len(told), draws, seed)].mean(1)) if len(told) > 1 else (float("nan"),) * 2
    return Score(name, float(told.mean()), low, high, len(told), unit, better, floor, notes, items=items)


def centred(figure: float, drawn: Float[ndarray, " r"], level: float = LEVEL) -> tuple[float, float]:
    """The interval of a figure from resamples that are too large or too small on average, with that bias taken off.

    Resamples of clips repeat clips, so that distances between them are larger than those of the sets that they come from; what
    is bounded is the mean of `figure` over other sets of the same size.
    """
    low, high = percentile(drawn - (drawn.mean() - figure), level)
    return low, high
