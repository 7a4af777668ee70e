"""How well what was made fits what was given around it, heard in the clip alone: what fillings of one gap are chosen by.

Nobody who fills a gap has a reference.  So a seam is held against the clip's own jumps (`seam.py`), and the sound of a span
against that of the given seconds beside it.  All figures are 1 where nothing is off and fall towards 0; they rank takes of one
task, and say little by themselves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.metrics.bands import log_mel
from counterpoint.metrics.seam import AROUND, EDGE, ONE, QUIETEST, Chroma, seams

BESIDE = 4.0
"""Seconds on either side of a span that it is held against."""
SHORTEST = 0.1
"""Seconds of sound from which on something can be said of it."""
TIMBRE, SPREAD, LEVEL = 4.0, 2.0, 3.0
"""Decibels (the last: LU) by which mean and deviation of mel bands, and loudness, are off where a figure falls to 1/e."""


@dataclass(frozen=True)
class Fit:
    """`seam`: how little is heard where made meets given; `match`: how alike a span is to what is beside it.  NaN: not told."""

    seam: float
    match: float

    @property
    def rank(self) -> float:
        """The mean of those that are told; NaN where none is."""
        return mean((self.seam, self.match))


def mean(figures: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN where none is."""
    told = [figure for figure in figures if not math.isnan(figure)]
    return float(np.mean(told)) if told else math.nan


def fit(made: Float[Tensor, "c n"], sample_rate: int, spans: Sequence[tuple[float, float]], chroma: Chroma) -> Fit:
    """How the spans (seconds) that were made of a clip fit the rest of it.

    Raises ValueError for spans that do not lie in the clip, and for audio that holds values that are not numbers.
    """
    length = made.shape[-1] / sample_rate
    for start, end in spans:
        if not 0 <= start < end <= length + 1e-6:
            raise ValueError(f"The span {start:g}:{end:g} does not lie in a clip of {length:.2f} s; give one that does.")
    if not torch.isfinite(made).all():
        raise ValueError("The audio holds values that are not numbers; make it anew.")
    return Fit(_seam(made, sample_rate, spans, chroma), _match(made, sample_rate, spans, chroma))


def _seam(made: Float[Tensor, "c n"], rate: int, spans: Sequence[tuple[float, float]], chroma: Chroma) -> float:
    """The figures of all seams, each in units of what is heard as a seam, as powers of 1/e."""
    length = made.shape[-1] / rate
    places = sorted({at for span in spans for at in span if EDGE <= at <= length - EDGE})
    if not places or length < 2.5 * AROUND:
        return math.nan
    heard = seams(made, rate, places, chroma)
    jumps = [vars(seam)[name] / limit for seam in heard for name, limit in ONE.items()]
    return mean([math.exp(-max(jump, 0.0)) for jump in jumps if not math.isnan(jump)])


def _match(made: Float[Tensor, "c n"], rate: int, spans: Sequence[tuple[float, float]], chroma: Chroma) -> float:
    """Mean and deviation of mel bands, loudness and pitch classes of each span beside those of the seconds around it."""
    length = made.shape[-1] / rate
    kept = torch.ones(made.shape[-1], dtype=torch.bool)
    for start, end in spans:
        kept[round(start * rate) : round(end * rate)] = False
    figures = []
    for start, end in spans:
        first, last = (round(min(max(at, 0.0), length) * rate) for at in (start - BESIDE, end + BESIDE))
        inside, beside = made[:, round(start * rate) : round(end * rate)], made[:, first:last][:, kept[first:last]]
        if min(inside.shape[-1], beside.shape[-1]) >= SHORTEST * rate:
            figures.append(_alike(inside, beside, rate, chroma))
    return mean(figures)


def _alike(inside: Float[Tensor, "c n"], beside: Float[Tensor, "c m"], rate: int, chroma: Chroma) -> float:
    ours, theirs = log_mel(inside, rate), log_mel(beside, rate)
    loud = [max(QUIETEST, sound.loudness(part, rate)) for part in (inside, beside)]
    pitches = [chroma(part, rate).double().mean(1) for part in (inside, beside)]
    return mean(
        [
            math.exp(-float(np.abs(ours.mean(0) - theirs.mean(0)).mean()) / TIMBRE),
            math.exp(-float(np.abs(ours.std(0) - theirs.std(0)).mean()) / SPREAD),
            math.exp(-abs(loud[0] - loud[1]) / LEVEL),
            float(torch.cosine_similarity(*pitches, dim=0)) if all(bool(part.any()) for part in pitches) else math.nan,
        ]
    )
