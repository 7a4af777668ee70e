"""Frechet distances of a set of clips from a reference: plain, extrapolated to endless clips, and clip by clip.

The distance (Kilgour et al. 2019, FAD; `gaussian.py` for the formula) is biased: two sets of one distribution are apart by
about c (1/n + 1/m).  Hence three figures.  `frechet` compares only at equal n; its interval bounds what other clips, as many,
would score on average.  `frechet_inf` takes the bias off (Chong and Forsyth 2020; Gui et al. 2024), drawing clips WITHOUT
replacement: a bootstrap sample tends to the clips that there are, whose bias is the one to be removed.  `per_song` finds
outliers to listen to.

What is drawn is always a clip: frames of one clip are not independent.  A reference is given as clips, which are then resampled
too, or as the statistics of a large set (`reference.py`), which are taken as exact.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.embeddings import Clips, cautions, check_widths, checked
from counterpoint.metrics.gaussian import Gaussian, Sums, distance, distances, distances_of_resamples, gaussian
from counterpoint.metrics.reference import Reference, reference

DRAWS = 200
POINTS = 15
"""Numbers of clips between half of them and all at which `frechet_inf` measures."""
SEEDS = 5
ENOUGH = 10
"""Clips a dimension from which on the line is straight.  With 64 dimensions and frames that are half alike within a clip, 60,
100, 200 and 400 clips left 27, 22, 9 and 6 % of the bias; of single frames, 600 in 128 dimensions took off 7 % too much."""
SHOWN = 5
"""How many outliers a note of `per_song` names."""


def frechet(made: Clips, against: Clips | Reference, draws: int = DRAWS, seed: int = 0) -> Score:
    """The Frechet distance of made clips from a reference; lower is better; compares at equal n only.

    The interval is that of a bootstrap over clips less the excess of resamples, which repeat clips and are therefore farther
    apart.  The floor is what as many real clips would score: the distance between random halves of the reference, which is
    bias alone, carried to n and m clips by 1/n + 1/m.  Raises ValueError for clips that `embeddings.checked` refuses.
    """
    pair = _pair(made, against)
    figure, low, high = distance(gaussian(pair.made.frames), pair.kept.statistics), math.nan, math.nan
    drawn = _resampled(pair, draws, seed) if len(pair.made) > 1 else np.array([])
    if len(drawn):
        low, high = intervals.centred(figure, drawn)
        low = max(low, 0.0)
    told = (figure, low, high, len(pair.made), "", "lower", _floor(pair), pair.notes)
    return Score("frechet", *told, drawn=tuple(drawn.tolist()))


class _Pair(NamedTuple):
    """Made clips and a reference, whose clips are None where only their statistics are known."""

    made: Sums
    real: Sums | None
    kept: Reference
    notes: tuple[str, ...]


def _pair(made: Clips, against: Clips | Reference) -> _Pair:
    ours = checked(made, "made")
    if isinstance(against, Reference):
        kept, real = against, None
        notes = ("The reference's statistics are taken as exact: its own chance is not in the interval.",)
    else:
        theirs = checked(against, "reference")
        kept, real, notes = reference(theirs, "", 0), Sums(theirs), cautions(theirs, "reference")
    check_widths(ours[0].shape[1], kept.statistics.dim)
    sums = Sums(ours)
    return _Pair(sums, real, kept, (*cautions(ours, "made"), *notes, *_few_frames(sums, kept)))


def _few_frames(made: Sums, kept: Reference) -> tuple[str, ...]:
    """A note for each set that has fewer than two frames a dimension: its covariance says little."""
    return tuple(
        f"The {which} set has {frames} frames: do not trust a Frechet distance in {made.dim} dimensions below {2 * made.dim}."
        for which, frames in (("made", len(made.frames)), ("reference", kept.frames))
        if frames < 2 * made.dim
    )


def _floor(pair: _Pair) -> float:
    """The distance between halves of the reference carried to as many made clips against all of it."""
    return pair.kept.halves * (1 / len(pair.made) + 1 / pair.kept.clips) / (4 / pair.kept.clips)


def _resampled(pair: _Pair, draws: int, seed: int) -> Float64[ndarray, " r"]:
    """Distances of bootstrap resamples of the made clips from the reference, or from as many resamples of its clips."""
    real = None if pair.real is None else _counts(len(pair.real), draws, seed + 1)
    return _distances(pair, _counts(len(pair.made), draws, seed), real)


def _counts(items: int, draws: int, seed: int) -> Float64[ndarray, "r i"]:
    """How often each item is there in each bootstrap resample."""
    picked = intervals.resamples(items, draws, seed)
    return np.stack([np.bincount(row, minlength=items).astype(np.float64) for row in picked])


def _distances(pair: _Pair, made: Float64[ndarray, "r i"], real: Float64[ndarray, "r j"] | None) -> Float64[ndarray, " r"]:
    """The distance when each clip is there as often as counted, row by row."""
    if pair.real is None or real is None:
        return np.concatenate([distances(stack, pair.kept.statistics) for stack in pair.made.gaussians(made)])
    return distances_of_resamples(pair.made, made, pair.real, real)


class Line(NamedTuple):
    """A least-squares line of distances on 1/n."""

    intercept: float
    slope: float
    r2: float


def frechet_inf(
    made: Clips, against: Clips | Reference, points: int = POINTS, seeds: int = SEEDS, draws: int = DRAWS, seed: int = 0
) -> Score:
    """The Frechet distance of endless clips: the intercept of distances on 1/n, the mean over `seeds` lines.

    Each line has `points` numbers n of clips, from half of them to all (fewer bend the line: with 4000 frames of 128 dimensions
    starting from a tenth lost 6 % of the truth, from the half 2 %).  Where the reference is given as clips, the same part of
    them is drawn, so that its bias goes too.  The notes tell slope, R^2 and the spread between seeds.  The interval is that of
    the plain distance, moved to the intercept and widened by that spread.  Below 0 means: not told from the reference.
    The floor is 0: what real clips score without bias.
    """
    if points < 2 or seeds < 1:
        raise ValueError(f"{points} points and {seeds} seeds make no line; give at least 2 points and 1 seed.")
    pair = _pair(made, against)
    n, dim, notes = len(pair.made), pair.made.dim, pair.notes
    least = _least(pair)
    if least > 0.75 * n:
        notes += (f"{n} clips are too few to extrapolate from in {dim} dimensions.",)
        return Score("frechet_inf", math.nan, n=n, better="lower", floor=0.0, notes=notes)
    sizes = np.unique(np.linspace(least, n, points).round().astype(int))
    lines = [_line(sizes, _subset_distances(pair, sizes, seed + i)) for i in range(seeds)]
    intercepts = np.array([line.intercept for line in lines])
    value, spread = float(intercepts.mean()), float(intercepts.std(ddof=1)) if seeds > 1 else math.nan
    low, high = _around(value, intercepts, _resampled(pair, draws, seed))
    fit = f"Slope {np.mean([line.slope for line in lines]):.4g} per 1/n, R^2 {np.mean([line.r2 for line in lines]):.3f}"
    notes += (f"{fit}, spread {spread:.2g} over {seeds} seeds.",)
    if n < ENOUGH * dim:
        off = distance(gaussian(pair.made.frames), pair.kept.statistics) - value
        notes += (
            f"The line bends below {ENOUGH * dim} clips: up to a quarter of the {off:.3g} that it takes off is in doubt.",
        )
    return Score("frechet_inf", value, low, high, n, "", "lower", 0.0, notes)


def _least(pair: _Pair) -> int:
    """The smallest number of made clips to draw: half of them, or as many as have two frames a dimension in both sets."""
    both = [pair.made] if pair.real is None else [pair.made, pair.real]
    parts = [2 * pair.made.dim / len(side.frames) for side in both]
    return max(2, math.ceil(len(pair.made) * max(0.5, *parts)))


def _subset_distances(pair: _Pair, sizes: Int[ndarray, " p"], seed: int) -> Float64[ndarray, " p"]:
    """The distance of as many made clips as each of `sizes` says, drawn without replacement."""
    parts = sizes / len(pair.made)
    real = None if pair.real is None else _drawn(parts, len(pair.real), seed, 1)
    return _distances(pair, _drawn(parts, len(pair.made), seed, 0), real)


def _drawn(parts: Float64[ndarray, " p"], items: int, seed: int, side: int) -> Float64[ndarray, "p i"]:
    """Rows of ones where an item is drawn: another part of them in each row."""
    gen, counts = np.random.default_rng((seed, side)), np.zeros((len(parts), items))
    for row, part in zip(counts, parts, strict=True):
        row[gen.permutation(items)[: round(part * items)]] = 1.0
    return counts


def _line(sizes: Int[ndarray, " p"], apart: Float64[ndarray, " p"]) -> Line:
    """Distances on 1/n by least squares.  R^2 is NaN where all distances are one."""
    slope, intercept = np.polyfit(1 / sizes, apart, 1)
    left = np.square(apart - intercept - slope / sizes).sum()
    total = np.square(apart - apart.mean()).sum()
    return Line(float(intercept), float(slope), float(1 - left / total) if total > 0 else math.nan)


def _around(value: float, intercepts: Float64[ndarray, " s"], drawn: Float64[ndarray, " r"]) -> tuple[float, float]:
    """The interval of resampled plain distances around an intercept, with the chance of the drawn subsets added in squares."""
    low, high = intervals.centred(value, drawn)
    more = 1.96 * float(intercepts.std(ddof=1)) / math.sqrt(len(intercepts)) if len(intercepts) > 1 else 0.0
    return value - math.hypot(value - low, more), value + math.hypot(high - value, more)


def distances_of_songs(made: Clips, statistics: Gaussian) -> Float64[ndarray, " i"]:
    """The Frechet distance of each clip's frames from the reference; NaN for a clip of one frame."""
    ours = checked(made, "made")
    check_widths(ours[0].shape[1], statistics.dim)
    return np.array([distance(gaussian(clip), statistics) if len(clip) > 1 else math.nan for clip in ours])


def per_song(made: Clips, against: Clips | Reference, seed: int = 0, names: Sequence[str] | None = None) -> Score:
    """The mean distance of single clips from the reference (Gui et al. 2024): for finding outliers, which a note names.

    A clip has fewer frames than dimensions, so the figure is large and compares only at one length of clips.  The floor is what
    the reference's own clips score.
    """
    kept = against if isinstance(against, Reference) else reference(against, "", 0)
    apart = distances_of_songs(made, kept.statistics)
    score = intervals.mean("frechet_song", apart, "", "lower", kept.songs, seed=seed)
    farthest = np.argsort(np.nan_to_num(-apart, nan=np.inf), kind="stable")[: min(SHOWN, score.n)]
    if not score.n:
        return score
    called = [str(i) if names is None else names[int(i)] for i in farthest]
    named = f"Farthest from the reference, to be listened to: clips {', '.join(called)}."
    return replace(score, notes=(*score.notes, named))
