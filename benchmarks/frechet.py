"""Frechet distances between sets of clips, with bootstrap intervals over clips, alone or paired.

A clip is kept as the sum of its frames and the sum of their outer products: mean and covariance of any resample of clips
follow from those.  Distances are told per dimension, so that 1 is the variance of one channel of unit variance.  They depend
on the number of clips (fewer look worse): only those of equal n compare.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
CHUNK = 100  # resamples whose covariances are made at once


@dataclass(frozen=True)
class Gaussian:
    """Mean "d" and covariance "d d" of a set of frames."""

    mean: Array
    covariance: Array

    @cached_property
    def root(self) -> Array:
        """The covariance's symmetric root."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(values.clip(0))) @ vectors.T


@dataclass(frozen=True)
class Moments:
    """Clips of `frames` frames each as sums "n d" and sums of outer products "n d d"."""

    frames: int
    sums: Array
    squares: Array

    def __len__(self) -> int:
        return len(self.sums)

    def gaussians(self, counts: Array) -> list[Gaussian]:
        """What the frames are like when clip i is there `counts[r, i]` times, for each row r of "r n"."""
        made = []
        for start in range(0, len(counts), CHUNK):
            part = counts[start : start + CHUNK]
            frames = part.sum(1) * self.frames
            means = part @ self.sums / frames[:, None]
            squares = (part @ self.squares.reshape(len(self), -1)).reshape(len(part), *self.squares.shape[1:])
            for mean, square, total in zip(means, squares, frames, strict=True):
                made.append(Gaussian(mean, (square - total * np.outer(mean, mean)) / (total - 1)))
        return made


def moments(clips: NDArray[np.floating]) -> Moments:
    """The sums of clips "n t d".  Raises ValueError where they are too few frames for a covariance."""
    clips = clips.astype(np.float64)
    n, frames, dim = clips.shape
    if n * frames < 2 * dim:
        raise ValueError(f"{n * frames} frames of {dim} channels are too few for a Frechet distance; give at least {2 * dim}.")
    return Moments(frames, clips.sum(1), clips.transpose(0, 2, 1) @ clips)


def distance(made: Gaussian, real: Gaussian) -> float:
    """|difference of means|^2 + tr(A + B - 2 (A B)^(1/2)), per dimension; the root by eigenvalues of B^(1/2) A B^(1/2)."""
    crossed = np.linalg.eigvalsh(real.root @ made.covariance @ real.root)
    means = np.square(made.mean - real.mean).sum()
    spread = np.trace(made.covariance) + np.trace(real.covariance) - 2 * np.sqrt(crossed.clip(0)).sum()
    return max(0.0, float(means + spread) / len(made.mean))


def resamples(n: int, draws: int, seed: int = 0) -> Array:
    """How often each of n clips is there: once, then in `draws` bootstrap resamples.  "r n", r = 1 + draws.

    The same n, draws and seed give the same clips, so that distances of two systems on them are paired.
    """
    drawn = np.random.default_rng(seed).integers(n, size=(draws, n))
    return np.stack([np.ones(n), *(np.bincount(row, minlength=n).astype(np.float64) for row in drawn)])


def distances(made: Moments, real: list[Gaussian], counts: Array) -> Array:
    """The distance with all clips, then those of the resamples; `real` is resampled alike: what is drawn is a composition."""
    return np.array([distance(ours, theirs) for ours, theirs in zip(made.gaussians(counts), real, strict=True)])


def interval(values: Array) -> dict[str, float]:
    """A figure and its 95 % interval from `values`: the figure itself, then those of resamples.

    Resamples repeat clips and are therefore farther from each other than the sets are; their mean excess is taken off.
    """
    figure, drawn = values[0], values[1:]
    low, high = np.quantile(drawn, (0.025, 0.975)) - (drawn.mean() - figure)
    return {"mean": float(figure), "low": float(low), "high": float(high)}


def ratio(made: Array, reference: Array) -> dict[str, float]:
    """How many times as far as the reference, with the interval over paired resamples."""
    return interval(made / reference)
