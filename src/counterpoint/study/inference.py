"""Whether a claim holds: contrasts of figures with intervals over seeds and items, and verdicts that are corrected together.

A *contrast* is a weighted sum of rows' figures.  Clips are shared by all rows and seeds, so its value in a resample of the
clips is that of every row in the same resample: what clips have in common falls out.  With c_s the contrast at seed s, the
variance of its mean over S seeds is estimated by var_draws(mean_s c_s) + var_s(c_s) / S: clips, of which more seeds do not make
more, and seeds.  The second holds the clips' part that differs between seeds once more, so that intervals are rather too wide.
Degrees of freedom are Satterthwaite's (1946), n - 1 for clips and S - 1 for seeds; the interval is Student's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.listening.statistics import holm
from counterpoint.metrics.intervals import resamples
from counterpoint.study.result import Figure, Result

LEVEL = 0.05
Verdict = Literal["holds", "does not hold", "undecided"]
Region = Literal["above", "below", "within"]
"""Where a contrast is claimed to lie: above the margin, below minus the margin, or between the two."""


@dataclass(frozen=True)
class Effect:
    """A contrast's value and 95 % interval; `error` is its standard error, with so many degrees of freedom."""

    value: float
    error: float
    freedom: float
    seeds: int
    n: int
    paired: bool

    @property
    def interval(self) -> tuple[float, float]:
        reach = student_quantile(1 - LEVEL / 2, self.freedom) * self.error if self.error > 0 else 0.0
        return self.value - reach, self.value + reach


def contrast(rows: Sequence[tuple[float, Sequence[Result]]], name: str) -> Effect | None:
    """The weighted sum of rows' figures called `name`; None where one of them has none.  Rows are results, one a seed."""
    seeds = min(len(results) for _, results in rows)
    terms = [(weight, [result.figures.get(name) for result in results[:seeds]]) for weight, results in rows]
    if seeds == 0 or any(figure is None or math.isnan(figure.value) for _, figures in terms for figure in figures):
        return None
    ids = {result.ids for _, results in rows for result in results[:seeds]}
    paired = len(ids) == 1
    draws = min((len(f.drawn) for _, figures in terms for f in figures if f is not None and f.drawn), default=0)
    values, drawn, told = np.zeros(seeds), np.zeros((seeds, draws or 1000)), 0.0
    for place, (weight, figures) in enumerate(terms):
        for seed, figure in enumerate(figures):
            assert figure is not None
            values[seed] += weight * figure.value
            own = _drawn(figure, drawn.shape[1])
            drawn[seed] += weight * (own if paired else np.random.default_rng((place, seed)).permutation(own))
            told += (weight * _stated(figure) / seeds) ** 2
    n = min(figure.n for _, figures in terms for figure in figures if figure is not None)
    clips = float(np.var(drawn.mean(0), ddof=1)) + told
    between = float(np.var(values, ddof=1)) / seeds if seeds > 1 else 0.0
    return Effect(float(values.mean()), math.sqrt(clips + between), _freedom(clips, between, n, seeds), seeds, n, paired)


def _drawn(figure: Figure, draws: int) -> Float[ndarray, " r"]:
    """The figure in resamples of its clips, which are the same for all figures of as many clips."""
    if figure.drawn:
        return np.asarray(figure.drawn[:draws])
    items = np.asarray(figure.items)
    if len(items) < 2:
        return np.full(draws, figure.value)
    picked = items[_resamples(len(items), draws)]
    told = ~np.isnan(picked)
    means = np.where(told, picked, 0.0).sum(1) / np.maximum(told.sum(1), 1)
    return np.where(told.any(1), means, figure.value)


_resamples = cache(resamples)


def _stated(figure: Figure) -> float:
    """The standard error that a figure's own interval tells, where it has no items (marks of a listening test)."""
    loose = not figure.items and not figure.drawn and math.isfinite(figure.high - figure.low)
    return (figure.high - figure.low) / (2 * 1.96) if loose else 0.0


def _freedom(clips: float, between: float, n: int, seeds: int) -> float:
    below = clips**2 / max(1, n - 1) + (between**2 / (seeds - 1) if seeds > 1 else 0.0)
    return (clips + between) ** 2 / below if below > 0 else float(max(1, n - 1))


def evidence(effect: Effect, region: Region, margin: float) -> tuple[float, float]:
    """One-sided p values: for the claim (that the contrast lies outside of the region is refuted), and against it."""

    def above(limit: float) -> float:  # p of the hypothesis that the contrast is at most `limit`
        if effect.error == 0:
            return 0.0 if effect.value > limit else 1.0
        return student_tail((effect.value - limit) / effect.error, effect.freedom)

    def below(limit: float) -> float:
        if effect.error == 0:
            return 0.0 if effect.value < limit else 1.0
        return student_tail((limit - effect.value) / effect.error, effect.freedom)

    if region == "above":
        return above(margin), below(margin)
    if region == "below":
        return below(-margin), above(-margin)
    return max(above(-margin), below(margin)), min(1.0, 2 * min(above(margin), below(-margin)))


@dataclass(frozen=True)
class Judgement:
    """What became of a statement: `p` is adjusted for all statements of the study (Holm 1979)."""

    verdict: Verdict
    effect: Effect | None
    p: float = math.nan


def judge(statements: Mapping[str, tuple[Effect | None, Region, float]]) -> dict[str, Judgement]:
    """Verdicts of all statements together, at an error of 5 % for all of them."""
    sides = {name: evidence(told[0], *told[1:]) for name, told in statements.items() if told[0] is not None}
    adjusted = holm(np.array([min(1.0, 2 * min(both)) for both in sides.values()]))
    found = {name: Judgement("undecided", told[0]) for name, told in statements.items()}
    for (name, (pro, contra)), p in zip(sides.items(), adjusted, strict=True):
        verdict: Verdict = "undecided" if p >= LEVEL else "holds" if pro < contra else "does not hold"
        found[name] = replace(found[name], verdict=verdict, p=float(p))
    return found


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Of a claim that says several things: it holds where all do, and does not where one does not."""
    if "does not hold" in verdicts:
        return "does not hold"
    return "holds" if verdicts and set(verdicts) == {"holds"} else "undecided"


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's distribution.

    By Simpson's rule over the angle atan(T / sqrt(freedom)), whose density is as cos^(freedom - 1).
    """
    if t < 0:
        return 1 - student_tail(-t, freedom)
    freedom = min(freedom, 1e6)

    def mass(low: float, high: float) -> float:
        angles = np.linspace(low, high, 4001)
        heights = np.cos(angles).clip(0) ** (freedom - 1)
        return float((heights[:-2:2] + 4 * heights[1:-1:2] + heights[2::2]).sum()) * (high - low) / 12000

    reach = min(math.pi / 2, 40 / math.sqrt(freedom))  # beyond, nothing is left
    start = math.atan(t / math.sqrt(freedom))
    return mass(start, reach) / (2 * mass(0.0, reach)) if start < reach else 0.0


def student_quantile(share: float, freedom: float) -> float:
    """The t below which `share` (over a half) of Student's distribution lies."""
    freedom = min(freedom, 1e6)
    reach = min(math.pi / 2, 40 / math.sqrt(freedom))
    angles = np.linspace(0.0, reach, 4001)
    heights = np.cos(angles).clip(0) ** (freedom - 1)
    below = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(2 * share - 1, below / below[-1], angles)))
