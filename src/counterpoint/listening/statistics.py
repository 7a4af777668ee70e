"""Figures of ratings by many raters of many items: intervals that respect both, effect sizes, agreement.

A rater who is harsh is harsh on every item, and a dull item is dull to every rater: judgments are no independent draws.  So
raters and items are drawn, and every pair of a drawn rater and a drawn item counts (Owen 2007, "The pigeonhole bootstrap").
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.metrics.intervals import percentile

DRAWS = 4000
_PART = 500
"""Draws that are worked on at a time."""


def two_way_draws(values: Float[ndarray, "raters items"], draws: int = DRAWS, seed: int = 0) -> Float[ndarray, " draws"]:
    """Means of `values` (NaN: not judged) over drawn raters and drawn items; NaN where a draw holds no judgment."""
    generator = np.random.default_rng(seed)
    told = ~np.isnan(values)
    filled = np.where(told, values, 0.0)
    means = []
    for first in range(0, draws, _PART):
        count = min(_PART, draws - first)
        raters = _times(values.shape[0], count, generator)
        items = _times(values.shape[1], count, generator)
        total, weight = (raters @ filled * items).sum(1), (raters @ told * items).sum(1)
        means.append(np.divide(total, weight, out=np.full(count, np.nan), where=weight > 0))
    return np.concatenate(means)


def _times(size: int, draws: int, generator: np.random.Generator) -> Float[ndarray, "draws size"]:
    """How often each of `size` things is drawn when `size` are drawn with replacement."""
    return generator.multinomial(size, np.full(size, 1 / size), size=draws).astype(np.float64)


def two_way(values: Float[ndarray, "raters items"], draws: int = DRAWS, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the mean over raters and items; NaN with fewer than two raters or items."""
    told = ~np.isnan(values)
    if told.any(1).sum() < 2 or told.any(0).sum() < 2:
        return float("nan"), float("nan")
    drawn = two_way_draws(values[told.any(1)][:, told.any(0)], draws, seed)
    return percentile(drawn[~np.isnan(drawn)])


def two_sided(differences: Float[ndarray, "raters items"], draws: int = DRAWS, seed: int = 0) -> float:
    """The bootstrap's p value of a mean difference of 0: twice the share of draws on the far side of 0, never below 1 / draws.

    NaN with fewer than two raters or items.
    """
    told = ~np.isnan(differences)
    if told.any(1).sum() < 2 or told.any(0).sum() < 2:
        return float("nan")
    drawn = two_way_draws(differences[told.any(1)][:, told.any(0)], draws, seed)
    drawn = drawn[~np.isnan(drawn)]
    far = min(np.sum(drawn <= 0), np.sum(drawn >= 0))
    return float(min(1.0, 2 * (far + 1) / (len(drawn) + 1)))


def cliffs_delta(first: Float[ndarray, " m"], second: Float[ndarray, " n"]) -> float:
    """How much oftener a judgment of `first` is above one of `second` than below it, -1 to 1 (Cliff 1993); NaN for none."""
    if not len(first) or not len(second):
        return float("nan")
    ordered = np.sort(second)
    below, not_above = np.searchsorted(ordered, first, "left"), np.searchsorted(ordered, first, "right")
    return float((below.sum() - (len(second) - not_above).sum()) / (len(first) * len(second)))


def holm(p_values: Float[ndarray, " k"]) -> Float[ndarray, " k"]:
    """Adjusted p values (Holm 1979): each below a level means that its hypothesis falls while all errors stay at that level.

    NaN stays NaN and is no test.
    """
    adjusted = np.full(len(p_values), np.nan)
    tests = [i for i in np.argsort(p_values, kind="stable") if not np.isnan(p_values[i])]
    highest = 0.0
    for place, i in enumerate(tests):
        highest = max(highest, min(1.0, (len(tests) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def krippendorff_alpha(values: Float[ndarray, "raters units"]) -> float:
    """Agreement of raters on an ordinal scale: 1 is perfect, 0 what chance gives (Krippendorff 2011, sections C to E).

    `values` are NaN where a rater did not judge; units that fewer than two raters judged do not count.  NaN where nothing is
    left, or all judgments are the same.
    """
    grades = np.unique(values[~np.isnan(values)])
    counts = (
        np.stack([(values == grade).sum(0) for grade in grades], axis=1).astype(np.float64) if len(grades) else np.zeros((0, 0))
    )
    counts = counts[counts.sum(1) >= 2] if len(grades) else counts
    if len(counts) == 0 or np.count_nonzero(counts.sum(0)) < 2:
        return float("nan")
    per_unit = counts.sum(1, keepdims=True)
    together = (counts / (per_unit - 1)).T @ counts - np.diag((counts / (per_unit - 1)).sum(0))  # v v
    totals = counts.sum(0)
    distance = _ordinal_distance(totals)
    observed = (together * distance).sum() / totals.sum()
    expected = (np.outer(totals, totals) * distance).sum() / (totals.sum() * (totals.sum() - 1))
    return float(1 - observed / expected)


def _ordinal_distance(totals: Float[ndarray, " v"]) -> Float[ndarray, "v v"]:
    """Squared count of judgments between two grades, half of the grades' own included."""
    middle = np.cumsum(totals) - totals / 2
    return (middle[:, None] - middle[None]) ** 2
