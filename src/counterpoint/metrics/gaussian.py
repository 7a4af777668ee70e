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
LONG = 4
"""Frames a clip from which on summing outer products is less work than summing frames."""
STACKED = 2**22
"""Numbers (32 MiB) in a stack of covariances."""


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of frames, or a stack of them; `rows` "f d" where frames are few: rows^T rows is the covariance."""

    mean: Float64[ndarray, "*r d"]
    covariance: Float64[ndarray, "*r d d"]
    rows: Float64[ndarray, "f d"] | None = None

    @property
    def dim(self) -> int:
        return self.mean.shape[-1]

    @cached_property
    def trace(self) -> Float64[ndarray, "*r"]:
        return np.asarray(np.trace(self.covariance, axis1=-2, axis2=-1))

    @cached_property
    def root(self) -> Float64[ndarray, "*r d d"]:
        """The covariance's symmetric root."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(0))[..., None, :]) @ vectors.mT

    @property
    def factor(self) -> Float64[ndarray, "f d"]:
        """Any F with F^T F = covariance: the frames themselves where they are few."""
        return self.root if self.rows is None else self.rows


def gaussian(frames: Float64[ndarray, "f d"]) -> Gaussian:
    """Mean and covariance of frames.  Raises ValueError for a single frame, which has no covariance."""
    count, dim = frames.shape
    if count < 2:
        raise ValueError("A single frame has no covariance; give at least two frames.")
    mean = frames.mean(0)
    rows = (frames - mean) / np.sqrt(count - 1)
    return Gaussian(mean, rows.T @ rows, rows if count <= dim else None)


def distance(made: Gaussian, reference: Gaussian) -> float:
    """The Frechet distance of two Gaussians, never below 0."""
    if made.rows is None and reference.rows is None:
        return float(distances(made, reference))
    overlap = np.linalg.svdvals(made.factor @ reference.factor.T).sum()
    apart = np.square(made.mean - reference.mean).sum()
    return max(0.0, float(apart + made.trace + reference.trace - 2 * overlap))


def distances(made: Gaussian, reference: Gaussian) -> Float64[ndarray, "*r"]:
    """The Frechet distances of a stack from a stack of as many, or from one."""
    crossed = np.linalg.eigvalsh(reference.root @ made.covariance @ reference.root)
    overlap = np.sqrt(crossed.clip(0)).sum(-1)
    apart = np.square(made.mean - reference.mean).sum(-1)
    return np.asarray(np.maximum(0.0, apart + made.trace + reference.trace - 2 * overlap))


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
        shorter = len(self.frames) >= LONG * len(parts) and len(parts) * self.dim**2 <= KEPT
        self._squares = np.stack([(part.T @ part).ravel() for part in parts]) if shorter else None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dim(self) -> int:
        return self.frames.shape[1]

    def gaussians(self, counts: Float64[ndarray, "r i"]) -> Iterator[Gaussian]:
        """What the frames are like when clip i is there `counts[r, i]` times, for each row r, in stacks of rows."""
        size = max(1, STACKED // self.dim**2)
        for start in range(0, len(counts), size):
            part = counts[start : start + size]
            totals = (part @ self.lengths)[:, None]
            means = part @ self._sums / totals
            outer = totals[..., None] * means[:, :, None] * means[:, None, :]
            covariances = (self._squared(part) - outer) / np.maximum(totals - 1, 1)[..., None]
            yield Gaussian(means + self._centre, covariances)

    def _squared(self, counts: Float64[ndarray, "r i"]) -> Float64[ndarray, "r d d"]:
        """The weighted sum of all frames' outer products for each row of counts."""
        if self._squares is not None:
            return (counts @ self._squares).reshape(-1, self.dim, self.dim)
        weights = (np.repeat(row, self.lengths.astype(int))[:, None] for row in counts)
        return np.stack([(self._centred * weight).T @ self._centred for weight in weights])


def distances_of_resamples(
    made: Sums, counts: Float64[ndarray, "r i"], reference: Sums, reference_counts: Float64[ndarray, "r j"]
) -> Float64[ndarray, " r"]:
    """The distances when each clip is there as often as it is counted, row by row."""
    both = zip(made.gaussians(counts), reference.gaussians(reference_counts), strict=True)
    return np.concatenate([distances(one, other) for one, other in both])
