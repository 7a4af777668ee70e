"""Does long music stay what it was?  Key, tempo, loudness, harmony and timbre, stretch by stretch, beside its start.

And does a variation keep what it varies: do the same pitch classes sound when they did, and are notes struck when they were?
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.analysis.heard import Heard
from counterpoint.metrics.bands import HOP, log_mel, rises
from counterpoint.metrics.harmony import key_score
from counterpoint.metrics.rhythm import tempo_accuracy2
from counterpoint.music import Key

Hear = Callable[[Float[Tensor, "c n"], int], Heard]
Chroma = Callable[[Float[Tensor, "c n"], int], Float[Tensor, "12 t"]]

STRETCH = 10.0
"""Seconds of a stretch; a last one of less than half of that is none."""


@dataclass(frozen=True)
class Stretch:
    """What is heard from `start` to `end`, and how near to the start of the music; NaN where it cannot be told.

    `key_kept` is MIREX's weighted score of the key against that of the start, `tempo_kept` whether the tempo is within 4 % of
    it (or twice, half, ... of it).  `loudness` is in LUFS.  `harmony` is the cosine of mean chroma vectors, `timbre` the mean
    distance of mean log-mel spectra in dB.
    """

    start: float
    end: float
    key: Key | None
    tempo: float
    loudness: float
    key_kept: float
    tempo_kept: float
    harmony: float
    timbre: float


def curve(
    audio: Float[Tensor, "c n"], sample_rate: int, hear: Hear, chroma: Chroma, start: tuple[float, float] | None = None
) -> list[Stretch]:
    """The stretches of a piece; `start` (seconds) is what they are held against, by default the first of them."""
    length = audio.shape[-1] / sample_rate
    count = max(1, math.floor(length / STRETCH + 0.5))
    edges = [min(length, i * STRETCH) for i in range(count)] + [length]

    def part(first: float, last: float) -> Float[Tensor, "c _"]:
        return audio[:, round(first * sample_rate) : round(last * sample_rate)].float()

    first = part(*(start or (edges[0], edges[1])))
    begun = _facts(first, sample_rate, hear, chroma)
    return [
        _beside(edges[i], edges[i + 1], _facts(part(edges[i], edges[i + 1]), sample_rate, hear, chroma), begun)
        for i in range(count)
    ]


@dataclass(frozen=True)
class _Facts:
    heard: Heard
    loudness: float
    chroma: Float[ndarray, "12"]
    bands: Float[ndarray, "m"]


def _facts(audio: Float[Tensor, "c n"], rate: int, hear: Hear, chroma: Chroma) -> _Facts:
    bands = log_mel(audio, rate).mean(0)
    return _Facts(hear(audio, rate), sound.loudness(audio, rate), chroma(audio, rate).mean(1).numpy(), bands)


def _beside(start: float, end: float, now: _Facts, begun: _Facts) -> Stretch:
    keys, tempi = (now.heard.key, begun.heard.key), (now.heard.tempo, begun.heard.tempo)
    return Stretch(
        start=start,
        end=end,
        key=now.heard.key,
        tempo=now.heard.tempo,
        loudness=now.loudness,
        key_kept=key_score(*keys),
        tempo_kept=math.nan if any(map(math.isnan, tempi)) else float(tempo_accuracy2(*tempi)),
        harmony=_cosine(now.chroma, begun.chroma),
        timbre=float(np.abs(now.bands - begun.bands).mean()),
    )


def _cosine(one: Float[ndarray, " n"], other: Float[ndarray, " n"]) -> float:
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / size if size > 0 else math.nan


@dataclass(frozen=True)
class Likeness:
    """How far a variation keeps what it varies: 1 is all of it.

    `chroma` is the mean cosine of chroma vectors at the same time, `onsets` the correlation of how much the spectrum rises.
    `chance` are the same figures against the source half its length later.
    """

    chroma: float
    onsets: float
    chance_chroma: float
    chance_onsets: float


def likeness(made: Float[Tensor, "c n"], source: Float[Tensor, "c n"], sample_rate: int, chroma: Chroma) -> Likeness:
    """A variation beside its source, of one length."""
    harmony = [chroma(audio.float(), sample_rate).numpy() for audio in (made, source)]
    strokes = [_strokes(audio.float(), sample_rate) for audio in (made, source)]

    def moved(values: ndarray) -> ndarray:
        return np.roll(values, values.shape[-1] // 2, axis=-1)

    return Likeness(
        chroma=_chroma_alike(harmony[0], harmony[1]),
        onsets=_correlation(strokes[0], strokes[1]),
        chance_chroma=_chroma_alike(harmony[0], moved(harmony[1])),
        chance_onsets=_correlation(strokes[0], moved(strokes[1])),
    )


def _chroma_alike(one: Float[ndarray, "12 t"], other: Float[ndarray, "12 t"]) -> float:
    sizes = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    told = sizes > 0
    return float(((one * other).sum(0)[told] / sizes[told]).mean()) if told.any() else math.nan


def _strokes(audio: Float[Tensor, "c n"], rate: int) -> Float[ndarray, " t"]:
    """How much louder the bands get from frame to frame, smoothed over about 50 ms."""
    width = max(1, round(0.05 * rate / HOP))
    return np.convolve(rises(audio, rate), np.hanning(width + 2)[1:-1], "same")


def _correlation(one: Float[ndarray, " t"], other: Float[ndarray, " t"]) -> float:
    if one.std() == 0 or other.std() == 0:
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])
