"""What is kept of a reference set, so that it need not be embedded again: a Gaussian, who heard it, and how far its halves are.

A file is an .npz of plain arrays (mean, covariance, frames, clips, identity, sample_rate, halves, songs); the same reference
gives the same bytes, and nothing in it is unpickled.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray

from counterpoint.files import renamed
from counterpoint.metrics.embeddings import Clips, checked, halves
from counterpoint.metrics.gaussian import Gaussian, Sums, distance, gaussian

SPLITS = 5
"""How often a reference is halved to measure what chance scores."""
SONGS = 200
"""Clips of a reference whose own distances from it are measured, for the floor of the per-song distance."""


@dataclass(frozen=True)
class Reference:
    """A reference set of `clips` clips, as an embedder `identity` hears it at `sample_rate` Hz.

    `halves` is the mean Frechet distance between two random halves of it, `songs` the mean distance of one of its clips from
    it; NaN where they cannot be told.
    """

    statistics: Gaussian
    clips: int
    identity: str
    sample_rate: int
    halves: float
    songs: float


def reference(clips: Clips, identity: str, sample_rate: int, seed: int = 0) -> Reference:
    """The statistics of a reference set.  Raises ValueError for clips that no distance takes (`embeddings.checked`)."""
    heard = checked(clips, "reference")
    whole = gaussian(np.concatenate(heard))
    return Reference(whole, len(heard), identity, sample_rate, _halves_apart(heard, seed), _songs_apart(heard, whole, seed))


def _halves_apart(clips: list[ndarray], seed: int) -> float:
    """The mean distance between random halves of clips, without replacement."""
    if len(clips) < 4:
        return math.nan
    sums, apart = Sums(clips), []
    for one, other in halves(len(clips), SPLITS, seed):
        counts = np.zeros((2, len(clips)))
        counts[0, one] = counts[1, other] = 1.0
        first, second = sums.gaussians(counts)
        apart.append(distance(first, second))
    return float(np.mean(apart))


def _songs_apart(clips: list[ndarray], whole: Gaussian, seed: int) -> float:
    """The mean distance of single clips from all of them, over clips of two frames or more."""
    long = [clip for clip in clips if len(clip) > 1]
    picked = np.random.default_rng(seed).permutation(len(long))[:SONGS]
    apart = [distance(gaussian(long[i]), whole) for i in picked]
    return float(np.mean(apart)) if apart else math.nan


def save(path: Path, kept: Reference) -> None:
    """Write a reference as .npz, whole or not at all."""
    with renamed(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            mean=kept.statistics.mean,
            covariance=kept.statistics.covariance,
            frames=np.int64(kept.statistics.frames),
            clips=np.int64(kept.clips),
            identity=np.str_(kept.identity),
            sample_rate=np.int64(kept.sample_rate),
            halves=np.float64(kept.halves),
            songs=np.float64(kept.songs),
        )


def load(path: Path, identity: str, sample_rate: int) -> Reference:
    """Read a reference that the embedder `identity` made of audio at `sample_rate` Hz.

    Raises ValueError for a file that is no reference, or one that another ear made: the distance would be meaningless.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        statistics = Gaussian(stored["mean"], stored["covariance"], int(stored["frames"]))
        read = Reference(
            statistics,
            int(stored["clips"]),
            str(stored["identity"]),
            int(stored["sample_rate"]),
            float(stored["halves"]),
            float(stored["songs"]),
        )
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as reference statistics; make them again.") from error
    dim = statistics.mean.size
    if statistics.mean.shape != (dim,) or statistics.covariance.shape != (dim, dim) or statistics.frames < 2 or read.clips < 1:
        raise ValueError(f"{path} has statistics of shapes that do not fit; make them again.")
    if not (np.isfinite(statistics.mean).all() and np.isfinite(statistics.covariance).all()):
        raise ValueError(f"{path} has statistics that are not finite; make them again.")
    if (read.identity, read.sample_rate) != (identity, sample_rate):
        raise ValueError(
            f"{path} was heard by {read.identity} at {read.sample_rate} Hz and not by {identity} at {sample_rate} Hz; "
            "make it again with this embedder."
        )
    return read
