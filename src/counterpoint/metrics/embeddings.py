"""Sets of embedded clips: what every distance between sets takes, checked once, in words that name the clip."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from counterpoint.metrics.intervals import FEW

Clips = Sequence[Float[ndarray, "_ _"]]
"""One array "t d" a clip: frames of one embedder, of which clips may have different numbers but each at least one."""


def checked(clips: Clips, which: str) -> list[Float64[ndarray, "_ d"]]:
    """The clips in float64.  Raises ValueError for no clips, for clips without frames, of other widths or not finite."""
    if len(clips) == 0:
        raise ValueError(f"There are no clips in the {which} set; give at least one.")
    made = [np.asarray(clip, dtype=np.float64) for clip in clips]
    for i, clip in enumerate(made):
        if clip.shape[0] == 0 or clip.shape[1] == 0:
            raise ValueError(f"Clip {i} of the {which} set has no frames; leave it out.")
        if clip.shape[1] != made[0].shape[1]:
            raise ValueError(
                f"Clip {i} of the {which} set has {clip.shape[1]} dimensions and clip 0 has {made[0].shape[1]}; "
                "embed all with one embedder."
            )
        if not np.isfinite(clip).all():
            raise ValueError(f"Clip {i} of the {which} set has embeddings that are not finite; leave it out or mend its audio.")
    return made


def check_widths(made: int, reference: int) -> None:
    """Raise ValueError where two sets have other numbers of dimensions."""
    if made != reference:
        raise ValueError(
            f"The made set has {made} dimensions and the reference set {reference}; embed both with the same embedder."
        )


def lengths(clips: Clips) -> Float64[ndarray, " i"]:
    """How many frames each clip has, as float64: these are weights."""
    return np.array([len(clip) for clip in clips], dtype=np.float64)


def starts(clips: Clips) -> ndarray:
    """Where each clip begins in the frames of all of them, one after the other."""
    return np.concatenate([[0], np.cumsum([len(clip) for clip in clips])[:-1]]).astype(np.intp)


def cautions(clips: Clips, which: str) -> tuple[str, ...]:
    """What a reader of any figure of this set must know: that clips are few, or all alike."""
    notes = []
    if len(clips) == 1:
        notes.append(f"The {which} set is one clip: there is no interval.")
    elif len(clips) < FEW:
        notes.append(f"The {which} set has {len(clips)} clips: the interval is a guess below {FEW}.")
    frames = np.concatenate(clips)
    if (frames == frames[0]).all():
        notes.append(f"All frames of the {which} set are equal.")
    return tuple(notes)


def halves(items: int, splits: int, seed: int) -> list[tuple[ndarray, ndarray]]:
    """Random disjoint halves of item numbers, `splits` times; of an odd number one item is left out each time."""
    gen = np.random.default_rng(seed)
    half = items // 2
    orders = [gen.permutation(items) for _ in range(splits)]
    return [(order[:half], order[half : 2 * half]) for order in orders]
