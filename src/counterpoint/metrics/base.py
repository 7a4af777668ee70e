"""What every metric ends in: a figure with its interval, its count, and what chance would score."""

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Score:
    """One figure of an evaluation.

    `low` and `high` bound its 95 % interval, `floor` is what chance scores (shuffled pairs, unconditioned music) and `ceiling`
    what the reference itself scores, where a perfect score is not to be had; each is NaN where there is none.  `n` counts the
    items that the figure stands on, `notes` say what a reader must know.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    unit: str = ""
    better: Better = "neither"
    floor: float = math.nan
    notes: tuple[str, ...] = ()
    ceiling: float = math.nan
    items: tuple[float, ...] = ()
    """One value a clip, in the order of the clips and NaN where there is none, where the figure is their mean."""
    drawn: tuple[float, ...] = ()
    """The figure in each bootstrap resample of the clips (`intervals.resamples`), where it is no mean.  Sets of as many clips
    are resampled alike, so that their figures can be compared draw by draw."""
