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
