"""How well sounds match their texts: the cosine of what a text-audio embedder makes of both, and retrieval.

The cosine is neither multiplied nor cut off at 0.  What it says depends on the embedder, so it stands between two figures: the
floor, where each sound meets another's text, and the ceiling, what the reference audio of the same texts scores (above it a
system is not better than real, but sounds more like captions do).  Rows are vectors of unit length "n d"; text i is that of
sound i.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.intervals import FEW

RANKS = (1, 10)
BLOCK = 2048
"""Sounds that are compared with all texts at once."""
TIE = 1e-9
"""Cosines that differ by less are one: equal texts have equal vectors up to rounding."""


def checked(vectors: Float[ndarray, "_ _"], which: str) -> Float64[ndarray, "n d"]:
    """Rows in float64.  Raises ValueError for none, or for one that is not finite or not of unit length."""
    rows = np.asarray(vectors, dtype=np.float64)
    if not rows.size:
        raise ValueError(f"There are no {which} vectors; give at least one.")
    if (broken := np.flatnonzero(~np.isfinite(rows).all(1))).size:
        raise ValueError(f"Vector {broken[0]} of the {which} is not finite; leave that clip out.")
    norms = np.linalg.norm(rows, axis=1)
    if (wrong := np.flatnonzero(abs(norms - 1) > 1e-3)).size:
        raise ValueError(f"Vector {wrong[0]} of the {which} has the length {norms[wrong[0]]:.3g}; normalise all to 1.")
    return rows


def cosines(texts: Float[ndarray, "_ _"], sounds: Float[ndarray, "_ _"]) -> Float64[ndarray, " n"]:
    """The cosine of each pair, for paired comparisons of systems (`intervals`).  Raises ValueError where rows are no pairs."""
    read, heard = _pairs(texts, sounds, "sounds")
    return (read * heard).sum(1)


def _pairs(texts: ndarray, sounds: ndarray, which: str) -> tuple[Float64[ndarray, "n d"], Float64[ndarray, "n d"]]:
    read, heard = checked(texts, "texts"), checked(sounds, which)
    if len(read) != len(heard):
        raise ValueError(f"{len(read)} texts and {len(heard)} {which} are no pairs; give one text for each.")
    if read.shape[1] != heard.shape[1]:
        raise ValueError(f"Texts have {read.shape[1]} dimensions and {which} {heard.shape[1]}; embed both with one embedder.")
    return read, heard


def text_match(
    texts: Float[ndarray, "_ _"],
    sounds: Float[ndarray, "_ _"],
    reference: Float[ndarray, "_ _"] | None = None,
    draws: int = intervals.DRAWS,
    seed: int = 0,
) -> tuple[Score, ...]:
    """The mean cosine of pairs; then that of the `reference` audio of the same texts, the ceiling, where it is given.

    Higher is better.  The floor is the mean over all pairs of a sound with another's text, which is the mean over all
    derangements.  The interval is that of a bootstrap over pairs; two systems are told apart better by pairs (`cosines`).
    """
    read, heard = _pairs(texts, sounds, "sounds")
    scores = [_mean_cosine("text_match", read, heard, draws, seed)]
    if reference is not None:
        real = _pairs(texts, reference, "reference sounds")[1]
        ceiling = _mean_cosine("text_match_reference", read, real, draws, seed)
        note = f"The reference audio of the same texts scores {ceiling.value:.3f}."
        scores = [replace(scores[0], notes=(*scores[0].notes, note)), ceiling]
    return tuple(scores)


def _mean_cosine(name: str, read: ndarray, heard: ndarray, draws: int, seed: int) -> Score:
    own = (read * heard).sum(1)
    n = len(own)
    # Every other text is met equally often over all derangements, so their mean needs no drawing.
    floor = float((read.sum(0) @ heard.sum(0) - own.sum()) / (n * (n - 1))) if n > 1 else math.nan
    score = intervals.mean(name, own, "", "higher", floor, draws, seed)
    return replace(score, notes=_cautions(read, heard))


def _cautions(read: ndarray, heard: ndarray) -> tuple[str, ...]:
    n, notes = len(read), []
    if n == 1:
        notes.append("One pair: there is neither an interval nor a floor.")
    elif n < FEW:
        notes.append(f"{n} pairs: the interval is a guess below {FEW}.")
    different = len(np.unique(read.round(6), axis=0))
    if n > 1 and different < n:
        notes.append(f"{different} different texts among {n}: the floor counts equal texts as other ones.")
    if n > 1 and (abs(heard - heard[0]) < TIE).all():
        notes.append("All sounds have the same vector.")
    return tuple(notes)


def retrieval(
    texts: Float[ndarray, "_ _"], sounds: Float[ndarray, "_ _"], draws: int = intervals.DRAWS, seed: int = 0
) -> tuple[Score, ...]:
    """How often a sound's own text is among its 1 and its 10 nearest of all texts; higher is better.

    Ties are broken by chance, exactly: of two equal texts each is the nearest half of the time, so that an embedder that gives
    one vector for everything scores the floor, which is k / n.  Only equal n compare.
    """
    read, heard = _pairs(texts, sounds, "sounds")
    n = len(read)
    own, above, ties = (read * heard).sum(1), np.zeros(n), np.zeros(n)
    for start in range(0, n, BLOCK):
        part = slice(start, start + BLOCK)
        over = heard[part] @ read.T - own[part, None]
        above[part] = (over > TIE).sum(1)
        ties[part] = (abs(over) <= TIE).sum(1)  # the own text too
    scores = []
    for rank in RANKS:
        hits = ((rank - above) / np.maximum(ties, 1)).clip(0, 1)
        score = intervals.mean(f"retrieval_{rank}", hits, "", "higher", min(1.0, rank / n), draws, seed)
        notes = _cautions(read, heard) + ((f"{n} texts: {rank} of them are all.",) if rank >= n else ())
        scores.append(replace(score, notes=notes))
    return tuple(scores)
