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
from counterpoint.metrics.embeddings import Clips, checked
from counterpoint.metrics.embeddings import halves as random_halves
from counterpoint.metrics.gaussian import Gaussian, Sums, distance, distances_of_resamples, gaussian

SPLITS = 5
"""How often a reference is halved to measure what chance scores."""
SONGS = 200
"""Clips of a reference whose own distances from it are measured, for the floor of the per-song distance."""


@dataclass(frozen=True)
class Reference:
    """A reference set of `clips` clips of `frames` frames in all, as an embedder `identity` hears it at `sample_rate` Hz.

    `halves` is the mean Frechet distance between two random halves of it, `songs` the mean distance of one of its clips from
    it; NaN where they cannot be told.
    """

    statistics: Gaussian
    frames: int
    clips: int
    identity: str
    sample_rate: int
    halves: float
    songs: float


def reference(clips: Clips, identity: str, sample_rate: int, seed: int = 0) -> Reference:
    """The statistics of a reference set.  Raises ValueError for clips that no distance takes (`embeddings.checked`)."""
    heard = checked(clips, "reference")
    frames = np.concatenate(heard)
    whole = gaussian(frames)
    return Reference(
        whole, len(frames), len(heard), identity, sample_rate, _halves_apart(heard, seed), _songs_apart(heard, whole, seed)
    )


def _halves_apart(clips: list[ndarray], seed: int) -> float:
    """The mean distance between random halves of clips, without replacement."""
    if len(clips) < 4:
        return math.nan
    one, other = np.zeros((SPLITS, len(clips))), np.zeros((SPLITS, len(clips)))
    for i, (left, right) in enumerate(random_halves(len(clips), SPLITS, seed)):
        one[i, left] = other[i, right] = 1.0
    sums = Sums(clips)
    return float(distances_of_resamples(sums, one, sums, other).mean())


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
            frames=np.int64(kept.frames),
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
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        mean, covariance = stored["mean"].astype(np.float64), stored["covariance"].astype(np.float64)
        frames, clips, rate = (int(stored[name]) for name in ("frames", "clips", "sample_rate"))
        heard, halves, songs = str(stored["identity"]), float(stored["halves"]), float(stored["songs"])
    except (OSError, EOFError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as reference statistics; make them again.") from error
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size) or frames < 2 or clips < 1:
        raise ValueError(f"{path} has statistics of shapes that do not fit; make them again.")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError(f"{path} has statistics that are not finite; make them again.")
    if (heard, rate) != (identity, sample_rate):
        raise ValueError(
            f"{path} was heard by {heard} at {rate} Hz and not by {identity} at {sample_rate} Hz; "
            "make it again with this embedder."
        )
    return Reference(Gaussian(mean, covariance), frames, clips, heard, rate, halves, songs)
