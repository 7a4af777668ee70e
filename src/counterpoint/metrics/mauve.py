"""MAUVE divergence of a set of clips from a reference (Pillutla et al. 2021; of music: Huang et al. 2025, "MAD").

Each clip becomes one vector, the largest value over time of each dimension.  Both sets are clustered together; p and q are how
often made and reference clips fall in each cluster.  For mixtures r = l p + (1 - l) q the points (exp(-c KL(q || r)),
exp(-c KL(p || r))) bound an area, MAUVE, which is 1 for p = q and near 0 for sets that share no cluster; MAD is -ln of it.

Optional: the constants (90 % of variance, k = n / 10, c = 5, 25 mixtures) are those that the literature reports, the clustering
is our own, and digits were not compared with another implementation.
"""

import math

import numpy as np
from jaxtyping import Float64, Int
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.embeddings import Clips, cautions, check_widths, checked, halves

VARIANCE = 0.9
SCALE = 5.0
MIXTURES = 25
RESTARTS = 5
ITERATIONS = 500
SPLITS = 3


def mad(made: Clips, reference: Clips, draws: int = intervals.DRAWS, seed: int = 0) -> Score:
    """-ln MAUVE of made clips against a reference, 0 for equals; lower is better.

    The interval resamples clips within the clusters found, less the bias of resamples.  The floor is the mean between random
    halves of the reference, each clustered anew: as real clips would score, were they half as many.
    Raises ValueError for clips that `embeddings.checked` refuses and for fewer than 2 on a side.
    """
    ours, theirs = checked(made, "made"), checked(reference, "reference")
    check_widths(ours[0].shape[1], theirs[0].shape[1])
    if min(len(ours), len(theirs)) < 2:
        raise ValueError("MAUVE needs at least 2 clips in each set; give more.")
    one, other = _loudest(ours), _loudest(theirs)
    first, second, clusters = _clustered(one, other, seed)
    value = -math.log(area(_histogram(first, clusters), _histogram(second, clusters)))
    drawn = [
        -math.log(area(_histogram(first[a], clusters), _histogram(second[b], clusters)))
        for a, b in zip(
            intervals.resamples(len(first), draws, seed), intervals.resamples(len(second), draws, seed + 1), strict=True
        )
    ]
    low, high = intervals.centred(value, np.array(drawn))
    notes = (*cautions(ours, "made"), *cautions(theirs, "reference"), f"{clusters} clusters.")
    return Score("mad", value, max(0.0, low), high, len(ours), "", "lower", _floor(other, seed), notes)


def area(p: Float64[ndarray, " k"], q: Float64[ndarray, " k"]) -> float:
    """MAUVE of two histograms that each sum to 1: the area under the divergence frontier, from (0, 1) to (1, 0)."""
    mixed = np.linspace(1e-6, 1 - 1e-6, MIXTURES)
    across, up = [0.0], [1.0]
    for part in mixed:  # from r = q, where the first divergence is 0, to r = p
        mixture = part * p + (1 - part) * q
        across.append(math.exp(-SCALE * _divergence(q, mixture)))
        up.append(math.exp(-SCALE * _divergence(p, mixture)))
    across.append(1.0)
    up.append(0.0)
    x, y = np.array(across), np.array(up)
    inner = np.argsort(x[1:-1], kind="stable") + 1  # ends stay ends, whatever ties with them
    order = np.concatenate([[0], inner, [len(x) - 1]])
    return float(min(1.0, np.trapezoid(y[order], x[order])))


def _divergence(p: Float64[ndarray, " k"], q: Float64[ndarray, " k"]) -> float:
    """KL(p || q) in nats, where q is above 0 wherever p is."""
    there = p > 0
    return float((p[there] * np.log(p[there] / q[there])).sum())


def _loudest(clips: list[ndarray]) -> Float64[ndarray, "i d"]:
    return np.stack([clip.max(0) for clip in clips])


def _clustered(
    one: Float64[ndarray, "i d"], other: Float64[ndarray, "j d"], seed: int
) -> tuple[Int[ndarray, " i"], Int[ndarray, " j"], int]:
    """The cluster of each row of two sets, found together (unit length, principal components); and how many there are."""
    rows = np.concatenate([one, other])
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(norms > 0, norms, 1.0)
    rows = rows - rows.mean(0)
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    told = np.cumsum(sizes**2) / max((sizes**2).sum(), np.finfo(np.float64).tiny)
    kept = min(len(sizes), int(np.searchsorted(told, VARIANCE)) + 1)
    clusters = max(2, round(min(len(one), len(other)) / 10))
    labels = kmeans(rows @ axes[:kept].T, clusters, seed)
    return labels[: len(one)], labels[len(one) :], clusters


def kmeans(rows: Float64[ndarray, "i d"], clusters: int, seed: int = 0) -> Int[ndarray, " i"]:
    """Which of `clusters` centres each row is nearest to: Lloyd's iterations from k-means++ starts, the tightest of 5."""
    gen, best, tightest = np.random.default_rng(seed), np.zeros(len(rows), dtype=np.int64), math.inf
    for _ in range(RESTARTS):
        centres = _starts(rows, clusters, gen)
        labels = np.full(len(rows), -1)
        for _ in range(ITERATIONS):
            squares = _squares(rows, centres)
            nearest = squares.argmin(1)
            if (nearest == labels).all():
                break
            labels = nearest
            counts = np.bincount(labels, minlength=clusters)
            sums = np.zeros_like(centres)
            np.add.at(sums, labels, rows)
            centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        spread = float(_squares(rows, centres)[np.arange(len(rows)), labels].sum())
        if spread < tightest:
            best, tightest = labels, spread
    return best


def _starts(rows: Float64[ndarray, "i d"], clusters: int, gen: np.random.Generator) -> Float64[ndarray, "k d"]:
    """First centres, each a row drawn with the square of its distance to those before (Arthur and Vassilvitskii 2007)."""
    picked = [int(gen.integers(len(rows)))]
    nearest = np.square(rows - rows[picked[0]]).sum(1)
    for _ in range(clusters - 1):
        total = nearest.sum()
        weights = nearest / total if total > 0 else np.full(len(rows), 1 / len(rows))
        picked.append(int(gen.choice(len(rows), p=weights)))
        nearest = np.minimum(nearest, np.square(rows - rows[picked[-1]]).sum(1))
    return rows[picked]


def _squares(rows: Float64[ndarray, "i d"], centres: Float64[ndarray, "k d"]) -> Float64[ndarray, "i k"]:
    """Squared distances of rows from centres."""
    return (np.square(rows).sum(1)[:, None] + np.square(centres).sum(1) - 2 * rows @ centres.T).clip(0)


def _histogram(labels: Int[ndarray, " i"], clusters: int) -> Float64[ndarray, " k"]:
    return np.bincount(labels, minlength=clusters) / len(labels)


def _floor(reference: Float64[ndarray, "j d"], seed: int) -> float:
    """The mean between random halves of a reference; NaN below 4 clips."""
    if len(reference) < 4:
        return math.nan
    apart = []
    for left, right in halves(len(reference), SPLITS, seed):
        one, other, clusters = _clustered(reference[left], reference[right], seed)
        apart.append(-math.log(area(_histogram(one, clusters), _histogram(other, clusters))))
    return float(np.mean(apart))
