"""Beats, down-beats, onsets and tempo side by side.

Times match where they differ by at most a tolerance (50 ms), each with one other at most; F1 is the harmonic mean of the
shares matched (Dixon 2007, as in mir_eval).  Whole clips are compared: nothing is trimmed from the start.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

Times = Sequence[float] | Float[ndarray, " _"]

WINDOW = 0.05
"""Seconds by which matching times may differ."""
TOLERANCE = 0.04
"""The share by which matching tempi may differ (Gouyon et al. 2006)."""
OCTAVES = (1.0, 2.0, 0.5, 3.0, 1 / 3)
"""Tempi that "accuracy 2" takes for the same, as multiples."""
_ROUNDING = 1e-9


def matched(made: Times, real: Times, window: float = WINDOW) -> int:
    """How many pairs can be made of times that differ by at most `window` seconds, each time in one pair at most.

    The earliest unmatched times are paired first: on a line, with one window for all, no other pairing has more.
    Raises ValueError for times that are not numbers.
    """
    ours, theirs = _sorted(made), _sorted(real)
    i = j = count = 0
    while i < len(ours) and j < len(theirs):
        if abs(ours[i] - theirs[j]) <= window + _ROUNDING:
            i, j, count = i + 1, j + 1, count + 1
        elif ours[i] < theirs[j]:
            i += 1
        else:
            j += 1
    return count


def event_f1(made: Times, real: Times, window: float = WINDOW) -> float:
    """F1 of events: beats, down-beats, or onsets.

    0 where one clip has events and the other has none; NaN where neither has any, which says nothing.  Raises ValueError.
    """
    hits = matched(made, real, window)
    return 2 * hits / (len(made) + len(real)) if len(made) + len(real) else math.nan


def event_figures(made: Times, real: Times, window: float = WINDOW) -> dict[str, float]:
    """Precision, recall and F1 of events; each NaN where it has nothing to count."""
    hits = matched(made, real, window)
    return {
        "precision": hits / len(made) if len(made) else math.nan,
        "recall": hits / len(real) if len(real) else math.nan,
        "f1": event_f1(made, real, window),
    }


def tempo_accuracy1(made: float, real: float, tolerance: float = TOLERANCE) -> float:
    """1 where a tempo is within `tolerance` (a share) of the real one, else 0; NaN where there is no real one.

    A clip in which no pulse was heard (NaN) has not the tempo.  Raises ValueError for tempi that are none.
    """
    return _any_tempo(made, real, tolerance, (1.0,))


def tempo_accuracy2(made: float, real: float, tolerance: float = TOLERANCE) -> float:
    """As `tempo_accuracy1`, where half, twice, a third and three times the tempo are right too (Gouyon et al. 2006)."""
    return _any_tempo(made, real, tolerance, OCTAVES)


def _any_tempo(made: float, real: float, tolerance: float, multiples: tuple[float, ...]) -> float:
    for tempo in (made, real):
        if tempo <= 0 or math.isinf(tempo):
            raise ValueError(f"{tempo} is no tempo; give beats a minute above 0, or NaN where there is no pulse.")
    if math.isnan(real):
        return math.nan
    return float(any(abs(made / (real * multiple) - 1) <= tolerance + _ROUNDING for multiple in multiples))


def _sorted(times: Times) -> Float[ndarray, " e"]:
    line = np.sort(np.asarray(times, dtype=np.float64))
    if not np.isfinite(line).all():
        raise ValueError("A time of an event is not a finite number; give seconds from the start of the clip.")
    return line
