"""Clips as a Gaussian: mean and covariance of their frames, the Frechet distance of two, and of resamples of clips.

Dowson and Landau 1982: |mu_x - mu_y|^2 + tr(Cx) + tr(Cy) - 2 tr((Cx Cy)^(1/2)), covariances with n - 1.  The last trace is told
in one of two ways, neither of which can become complex or leave float64:

* where a set has no more frames than dimensions, as the sum of the singular values of A B^T, where Cx = A^T A and Cy = B^T B:
  of frames that are all the same it is right to 1e-13, where roots of eigenvalues lose half of the digits;
* else as the sum of the roots of the eigenvalues of Cy^(1/2) Cx Cy^(1/2), which is symmetric.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from counterpoint.metrics.embeddings import Clips, lengths

KEPT = 2**27
"""Numbers (1 GiB of float64) up to which the outer products of all clips are kept; beyond, each resample sums frames."""
CHUNK = 32
"""Resamples whose covariances are made at once."""


@dataclass(frozen=True)
class Gaussian:
    """Mean "d" and covariance "d d" of `frames` frames; `rows` "r d" where they are few: rows^T rows is the covariance."""

    mean: Float64[ndarray, " d"]
    covariance: Float64[ndarray, "d d"]
    frames: int
    rows: Float64[ndarray, "r d"] | None = None

    @property
    def dim(self) -> int:
        return len(self.mean)

    @cached_property
    def root(self) -> Float64[ndarray, "d d"]:
        """The covariance's symmetric root."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(0))) @ vectors.T

    @property
    def factor(self) -> Float64[ndarray, "r d"]:
        """Any F with F^T F = covariance: the frames themselves where they are few."""
        return self.root if self.rows is None else self.rows


def gaussian(frames: Float64[ndarray, "f d"]) -> Gaussian:
    """Mean and covariance of frames.  Raises ValueError for a single frame, which has no covariance."""
    count, dim = frames.shape
    if count < 2:
        raise ValueError("A single frame has no covariance; give at least two frames.")
    mean = frames.mean(0)
    rows = (frames - mean) / np.sqrt(count - 1)
    return Gaussian(mean, rows.T @ rows, count, rows if count <= dim else None)


def distance(made: Gaussian, reference: Gaussian) -> float:
    """The Frechet distance, never below 0."""
    apart = np.square(made.mean - reference.mean).sum()
    spread = np.trace(made.covariance) + np.trace(reference.covariance)
    return max(0.0, float(apart + spread - 2 * _overlap(made, reference)))


def _overlap(made: Gaussian, reference: Gaussian) -> float:
    """tr((Cx Cy)^(1/2))."""
    if made.rows is not None or reference.rows is not None:
        return float(np.linalg.svdvals(made.factor @ reference.factor.T).sum())
    crossed = np.linalg.eigvalsh(reference.root @ made.covariance @ reference.root)
    return float(np.sqrt(crossed.clip(0)).sum())


class Sums:
    """Clips kept so that the Gaussian of any resample of them is cheap: sums, and sums of outer products, of each clip."""

    def __init__(self, clips: Clips):
        self.frames = np.concatenate(clips)
        self.lengths = lengths(clips)
        self._centre = self.frames.mean(0)  # taken off first: else squares of a far mean drown the covariance
        centred = self.frames - self._centre
        parts = np.split(centred, np.cumsum(self.lengths[:-1]).astype(int))
        self._sums = np.stack([part.sum(0) for part in parts])
        self._centred = centred
        small = len(parts) * self.dim**2 <= KEPT
        self._squares = np.stack([(part.T @ part).ravel() for part in parts]) if small else None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dim(self) -> int:
        return self.frames.shape[1]

    def gaussians(self, counts: Float64[ndarray, "r i"]) -> Iterator[Gaussian]:
        """What the frames are like when clip i is there `counts[r, i]` times, for each row r."""
        for start in range(0, len(counts), CHUNK):
            part = counts[start : start + CHUNK]
            totals = part @ self.lengths
            means = part @ self._sums / totals[:, None]
            for mean, square, total in zip(means, self._squared(part), totals, strict=True):
                covariance = (square - total * np.outer(mean, mean)) / max(total - 1, 1)
                yield Gaussian(mean + self._centre, covariance, int(total))

    def _squared(self, counts: Float64[ndarray, "r i"]) -> Iterator[Float64[ndarray, "d d"]]:
        """The weighted sum of all frames' outer products for each row of counts."""
        if self._squares is not None:
            yield from (counts @ self._squares).reshape(-1, self.dim, self.dim)
            return
        for row in counts:
            weights = np.repeat(row, self.lengths.astype(int))
            there = weights > 0
            frames = self._centred[there]
            yield (frames * weights[there, None]).T @ frames
