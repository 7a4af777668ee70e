"""Kernel distances of clips from a reference: the squared maximum mean discrepancy, unbiased (Gretton et al. 2012, eq. 3).

`kad` has a Gaussian kernel as wide as the median distance within the REFERENCE, so that one reference compares all systems with
one kernel (Chung et al. 2025, KAD; kadtk takes the median of the set that is judged); `kid` has the cubic polynomial
(Binkowski et al. 2018).  Both are unbiased at any number of clips and need no more samples than dimensions; two sets of one
distribution scatter around 0, so figures below 0 are kept.

All frames are compared once, block by block, and summed by pairs of clips: resamples and permutations of clips are then sums of
those.  Frames of one clip are alike, and as pairs of one set they would count as evidence that the set is narrow; so pairs
within a clip are left out (`pairs="clips"`).  With one frame a clip, or with `pairs="frames"`, the figures are kadtk's and
torchmetrics'.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.embeddings import Clips, cautions, check_widths, checked, halves, lengths, starts

Kernel = Callable[[Float64[ndarray, "i d"], Float64[ndarray, "j d"]], Float64[ndarray, "i j"]]
Pairs = Literal["clips", "frames"]

BLOCK = 2048
"""Frames by frames that are compared at once, in whole clips."""
MEDIAN_PAIRS = 10_000
SPLITS = 200
"""How often the reference is halved, and clips are permuted between the sets."""


def bandwidth(reference: Clips, seed: int = 0) -> float:
    """The (lower) median distance between two frames of a reference, over at most 10,000 pairs drawn with `seed`.

    Raises ValueError where that is 0: at least half of the pairs are equal.
    """
    frames = np.concatenate(checked(reference, "reference"))
    count = len(frames)
    if count < 2:
        raise ValueError("A single frame has no median distance; give a reference of at least two.")
    if count * (count - 1) // 2 <= MEDIAN_PAIRS:
        first, second = np.triu_indices(count, 1)
    else:
        gen = np.random.default_rng(seed)
        first = gen.integers(count, size=MEDIAN_PAIRS)
        second = (first + gen.integers(1, count, size=MEDIAN_PAIRS)) % count  # never the frame itself
    median = float(np.quantile(np.linalg.norm(frames[first] - frames[second], axis=1), 0.5, method="lower"))
    if median == 0:
        raise ValueError("Most frames of the reference set are equal, so that a kernel would have no width; give another one.")
    return median


def gaussian_kernel(width: float) -> Kernel:
    """exp(-|a - b|^2 / (2 width^2)), with kadtk's 1e-8 in the divisor."""
    gamma = 1 / (2 * width**2 + 1e-8)

    def kernel(a: Float64[ndarray, "i d"], b: Float64[ndarray, "j d"]) -> Float64[ndarray, "i j"]:
        squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * a @ b.T
        return np.exp(-gamma * squares.clip(0))

    return kernel


def polynomial_kernel(dim: int) -> Kernel:
    """(a . b / d + 1)^3."""

    def kernel(a: Float64[ndarray, "i d"], b: Float64[ndarray, "j d"]) -> Float64[ndarray, "i j"]:
        return (a @ b.T / dim + 1) ** 3

    return kernel


class Table(NamedTuple):
    """Kernels summed by pairs of clips, the made clips first: `across` "i i" has 0 on its diagonal.

    `within` holds each clip's own pairs of two frames.  `lengths` are the clips' frames; the first `made` clips are made.
    """

    across: Float64[ndarray, "i i"]
    within: Float64[ndarray, " i"]
    lengths: Float64[ndarray, " i"]
    made: int

    @property
    def sides(self) -> tuple[Float64[ndarray, " i"], Float64[ndarray, " i"]]:
        """Which clips are made and which are the reference's, as weights."""
        made = (np.arange(len(self.lengths)) < self.made).astype(np.float64)
        return made, 1 - made


def table(made: Clips, reference: Clips, kernel: Kernel) -> Table:
    """Compare all frames of two checked sets, clip by clip."""
    clips = [*made, *reference]
    ends = np.append(starts(clips), sum(map(len, clips)))
    frames, blocks = np.concatenate(clips), _blocks(ends)
    across, own = np.zeros((len(clips), len(clips))), np.zeros(len(clips))
    for first, last in blocks:
        rows = frames[ends[first] : ends[last]]
        for left, right in blocks:
            if left > first:
                break  # the table is symmetric
            values = kernel(rows, frames[ends[left] : ends[right]])
            by_row = np.add.reduceat(values, ends[first:last] - ends[first], axis=0)
            across[first:last, left:right] = np.add.reduceat(by_row, ends[left:right] - ends[left], axis=1)
            across[left:right, first:last] = across[first:last, left:right].T
            if left == first:
                own[first:last] = np.add.reduceat(np.diag(values), ends[first:last] - ends[first])
    within = np.diag(across) - own
    np.fill_diagonal(across, 0.0)
    return Table(across, within, lengths(clips), len(made))


def _blocks(ends: ndarray) -> list[tuple[int, int]]:
    """Runs of whole clips, each of about BLOCK frames."""
    blocks, first = [], 0
    for last in range(1, len(ends)):
        if last == len(ends) - 1 or ends[last + 1] - ends[first] > BLOCK:
            blocks.append((first, last))
            first = last
    return blocks


def discrepancies(
    pairs: Table, made: Float64[ndarray, "r i"], real: Float64[ndarray, "r i"], of: Pairs = "clips"
) -> Float64[ndarray, " r"]:
    """The unbiased squared discrepancy for each row of weights: how often each clip of the table is on either side.

    Two copies of one clip are no pair.  NaN where a side has no pair.
    """
    ours, theirs = made @ pairs.across, real @ pairs.across
    both = (ours * real).sum(1) / ((made @ pairs.lengths) * (real @ pairs.lengths))
    return _side(pairs, made, ours, of) + _side(pairs, real, theirs, of) - 2 * both


def _side(pairs: Table, weights: Float64[ndarray, "r i"], met: Float64[ndarray, "r i"], of: Pairs) -> Float64[ndarray, " r"]:
    """The mean kernel over pairs of frames of one side, from what each clip adds up to with all clips of it."""
    total = (met * weights).sum(1)
    count = (weights @ pairs.lengths) ** 2 - (weights**2) @ pairs.lengths**2
    if of == "frames":
        total = total + weights @ pairs.within
        count = count + weights @ (pairs.lengths * (pairs.lengths - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, math.nan)


def kad(
    made: Clips,
    reference: Clips,
    width: float | None = None,
    pairs: Pairs = "clips",
    draws: int = intervals.DRAWS,
    seed: int = 0,
) -> tuple[Score, Score]:
    """The kernel audio distance x 100 with a Gaussian kernel, and its permutation p-value; lower distances are better.

    `width` is the reference's stored `bandwidth`, measured where it is None.  The p-value is the part of permutations of clips
    between the sets that are as far apart; small means: told apart.  For interval and floor see `_scores`.
    """
    ours, theirs = _both(made, reference)
    measured = bandwidth(theirs, seed) if width is None else width
    if not (math.isfinite(measured) and measured > 0):
        raise ValueError(f"A kernel cannot be {measured} wide; give a width above 0, or none to measure it.")
    notes = (f"Gaussian kernel {measured:.4g} wide, of the reference's median distance.",) if width is None else ()
    return _scores(
        "kad", 100.0, table(ours, theirs, gaussian_kernel(measured)), pairs, draws, seed, _notes(ours, theirs, notes)
    )


def kid(
    made: Clips, reference: Clips, pairs: Pairs = "clips", draws: int = intervals.DRAWS, seed: int = 0
) -> tuple[Score, Score]:
    """The kernel distance with the cubic polynomial of KID, not scaled, and its permutation p-value."""
    ours, theirs = _both(made, reference)
    compared = table(ours, theirs, polynomial_kernel(ours[0].shape[1]))
    return _scores("kid", 1.0, compared, pairs, draws, seed, _notes(ours, theirs, ()))


def _both(made: Clips, reference: Clips) -> tuple[list[ndarray], list[ndarray]]:
    ours, theirs = checked(made, "made"), checked(reference, "reference")
    check_widths(ours[0].shape[1], theirs[0].shape[1])
    return ours, theirs


def _notes(ours: list[ndarray], theirs: list[ndarray], more: tuple[str, ...]) -> tuple[str, ...]:
    return (*cautions(ours, "made"), *cautions(theirs, "reference"), *more)


def _scores(
    name: str, scale: float, pairs: Table, of: Pairs, draws: int, seed: int, notes: tuple[str, ...]
) -> tuple[Score, Score]:
    """The distance and its p-value.

    The interval resamples clips of both sets.  The floor is what 95 % of random halves of the reference stay below, carried to
    n and m clips by 1/n + 1/m as chance alone is: as real clips would score at worst.  A set of one clip has no pairs: NaN.
    """
    made, real = pairs.sides
    n = pairs.made
    value = float(discrepancies(pairs, made[None], real[None], of)[0])
    low, high = math.nan, math.nan
    if min(n, len(real) - n) > 1 and math.isfinite(value):
        low, high = intervals.percentile(_bootstrapped(pairs, of, draws, seed))
    if math.isnan(value):
        notes += ("A side has no pair of frames: there is no distance.",)
    figure = Score(name, scale * value, scale * low, scale * high, n, "", "lower", scale * _floor(pairs, of, seed), notes)
    chance = Score(f"{name}_p", _p_value(pairs, of, value, draws, seed), n=n, better="higher", floor=0.5, notes=notes)
    return figure, chance


def _bootstrapped(pairs: Table, of: Pairs, draws: int, seed: int) -> Float64[ndarray, " r"]:
    """Discrepancies of resamples of clips; those whose side is one clip over and over have no figure and are left out."""
    sizes = pairs.made, len(pairs.lengths) - pairs.made
    counts = [np.zeros((draws, len(pairs.lengths))) for _ in sizes]
    for side, (size, first) in enumerate(zip(sizes, (0, pairs.made), strict=True)):
        picked = intervals.resamples(size, draws, seed + side) + first
        np.add.at(counts[side], (np.arange(draws)[:, None], picked), 1.0)
    drawn = discrepancies(pairs, counts[0], counts[1], of)
    return drawn[np.isfinite(drawn)]


def _p_value(pairs: Table, of: Pairs, value: float, draws: int, seed: int) -> float:
    """How often clips that are dealt to the sets by chance are as far apart; the deal that was seen counts as one."""
    if not math.isfinite(value):
        return math.nan
    gen = np.random.default_rng(seed)
    made = np.zeros((draws, len(pairs.lengths)))
    for row in made:
        row[gen.permutation(len(row))[: pairs.made]] = 1.0
    dealt = discrepancies(pairs, made, 1 - made, of)
    return float((1 + (dealt >= value).sum()) / (1 + draws))


def _floor(pairs: Table, of: Pairs, seed: int) -> float:
    """The 95 % point of the discrepancy between random halves of the reference, carried to the sets' sizes."""
    first, count = pairs.made, len(pairs.lengths) - pairs.made
    if count < 4:
        return math.nan
    real = Table(pairs.across[first:, first:], pairs.within[first:], pairs.lengths[first:], 0)
    one, other = np.zeros((SPLITS, count)), np.zeros((SPLITS, count))
    for i, (left, right) in enumerate(halves(count, SPLITS, seed)):
        one[i, left] = other[i, right] = 1.0
    apart = np.quantile(discrepancies(real, one, other, of), 0.95)
    return float(apart) * (1 / pairs.made + 1 / count) / (4 / count)
