"""Distances between the sets, for each ear: what it hears of the made clips against what it hears of the reference."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy import ndarray

from counterpoint.evaluation.evidence import Evidence
from counterpoint.metrics import frechet as distances
from counterpoint.metrics import kernel
from counterpoint.metrics import mauve as frontier
from counterpoint.metrics.base import Score

Frames = list[ndarray]

DENSE = 16
"""Frames of a clip that a kernel compares at most: it compares every two of a set, and neighbours say the same."""


def frechet(evidence: Evidence) -> list[Score]:
    """The Frechet distance; with `vggish`, the FAD of the papers."""
    return _of_each_ear(evidence, lambda made, real: [distances.frechet(made, real, seed=evidence.seed)])


def frechet_inf(evidence: Evidence) -> list[Score]:
    """The Frechet distance as it would be with endless clips."""
    return _of_each_ear(evidence, lambda made, real: [distances.frechet_inf(made, real, seed=evidence.seed)])


def per_song(evidence: Evidence) -> list[Score]:
    """The Frechet distance of each clip alone from the reference: to find outliers."""
    ids = [member.id for member in evidence.made.members]
    return _of_each_ear(evidence, lambda made, real: [distances.per_song(made, real, seed=evidence.seed, names=ids)])


def kad(evidence: Evidence) -> list[Score]:
    """The kernel distance, which needs fewer clips than Frechet's and no Gaussian."""
    return _kernel(evidence, kernel.kad)


def kid(evidence: Evidence) -> list[Score]:
    """The same with a polynomial kernel."""
    return _kernel(evidence, kernel.kid)


def mad(evidence: Evidence) -> list[Score]:
    """The divergence frontier of clusters of clips (MAUVE)."""
    return _of_each_ear(evidence, lambda made, real: [frontier.mad(made, real, seed=evidence.seed)])


def _kernel(evidence: Evidence, distance: Callable[..., tuple[Score, Score]]) -> list[Score]:
    said = f"Of each clip at most {DENSE} frames, evenly spaced; pairs within a clip do not count."

    def thinly(made: Frames, real: Frames) -> list[Score]:
        found = distance(_thinned(made), _thinned(real), seed=evidence.seed)
        return [replace(score, notes=(*score.notes, said)) for score in found]

    return _of_each_ear(evidence, thinly)


def _thinned(clips: Frames) -> Frames:
    return [clip[np.linspace(0, len(clip) - 1, min(DENSE, len(clip))).round().astype(int)] for clip in clips]


def _of_each_ear(evidence: Evidence, distance: Callable[[Frames, Frames], Sequence[Score]]) -> list[Score]:
    """The distances by every ear.  What real clips score is no chance but the best that can be hoped for: the ceiling."""
    assert evidence.real is not None
    scores: list[Score] = []
    for name, ear in evidence.embedders.items():
        made, real = (evidence.column(clips.members, ear.identity, "frames") for clips in (evidence.made, evidence.real))
        found = [replace(score, floor=math.nan, ceiling=score.floor) for score in distance(made, real)]
        scores += named(found, name)
    return scores


def named(scores: Sequence[Score], ear: str) -> list[Score]:
    """The scores with the ear's name behind theirs."""
    return [replace(score, name=f"{score.name} ({ear})") for score in scores]
