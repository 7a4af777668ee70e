"""Seams of in-painting: does it click, jump in loudness, change harmony or timbre where a filled span meets what was kept?

Five figures for each place where made and kept audio meet, all without weights.  Music jumps by itself, at every beat, so that
four of them are told beside the same figure at other places: of the reference where there is one, else of the clip itself.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.metrics.reconstruction import si_snr
from counterpoint.nn.spectral import mel_filters, stft

Chroma = Callable[[Float[Tensor, "c n"], int], Float[ndarray, "12 t"]]
"""Audio and its sample rate to chroma."""

NEAR, LOUDNESS, AROUND = 0.05, 0.4, 1.0
"""Seconds on either side of a seam: of the flux, of the loudness, of chroma and timbre."""
SIZE, HOP, BANDS = 1024, 256, 64
PLACES = 24
QUIETEST = -70.0
"""LUFS that silence counts as: the gate of BS.1770."""


@dataclass(frozen=True)
class Seam:
    """What is heard at one seam.  `flux` counts standard deviations; ratios are 1 where a jump is as large as music's own.

    `flux`: how far the spectrum's change within 50 ms lies above that at other places.  `loudness`: the step in LU between the
    400 ms before and after, and `loudness_ratio` beside the mean step elsewhere.  `timbre`, `chroma`: distances of log-mel
    spectrum and of chroma between the second before and after, as ratios.  `click`: the largest step between two samples within
    1 ms beside the 99.9 percentile of the second around.
    """

    seconds: float
    flux: float
    loudness: float
    loudness_ratio: float
    timbre: float
    chroma: float
    click: float

    @property
    def audible(self) -> tuple[str, ...]:
        """Which figures lie further out than untouched music's do (LIMITS)."""
        return tuple(name for name, most in LIMITS.items() if vars(self)[name] > most)


LIMITS = {"flux": 4.0, "loudness_ratio": 4.0, "timbre": 3.0, "chroma": 3.0, "click": 3.0}
"""What untouched music stays under nearly everywhere; LOG.md has the command that measured it."""


def seams(
    made: Float[Tensor, "c n"],
    sample_rate: int,
    places: Sequence[float],
    chroma: Chroma,
    reference: Float[Tensor, "c m"] | None = None,
    seed: int = 0,
) -> list[Seam]:
    """What is heard at each of the places (seconds) where made and kept audio meet.

    `reference` is the untouched clip, if it is known; else the clip itself tells what is usual, away from its seams.
    Raises ValueError for places outside the clip, and for clips that are too short or hold no numbers.
    """
    usual = made if reference is None else reference
    for audio in (made, usual):
        _check(audio, sample_rate)
    length = made.shape[-1] / sample_rate
    for place in places:
        if not NEAR <= place <= length - NEAR:
            raise ValueError(f"A seam at {place} s is not inside a clip of {length:.2f} s; give seconds from its start.")
    avoided = [] if reference is not None else list(places)
    others = _elsewhere(usual.shape[-1] / sample_rate, avoided, seed)
    rises, loud = _rises(usual, sample_rate), [abs(_step(usual, sample_rate, at)) for at in others]
    heard = _jumps(usual, sample_rate, others, chroma)
    flux = np.array([_peak(rises, sample_rate, at) for at in others])
    figures = []
    for place in places:
        timbre, harmony = _jumps(made, sample_rate, [place], chroma)
        step = abs(_step(made, sample_rate, place))
        peak = _peak(_rises(made, sample_rate), sample_rate, place)
        figures.append(
            Seam(
                place,
                float((peak - flux.mean()) / flux.std()) if flux.std() > 0 else math.nan,
                step,
                _ratio(step, loud),
                _ratio(timbre[0], heard[0]),
                _ratio(harmony[0], heard[1]),
                _click(made, sample_rate, place),
            )
        )
    return figures


def kept_exactly(
    made: Float[Tensor, "c n"], real: Float[Tensor, "c n"], sample_rate: int, filled: Sequence[tuple[float, float]]
) -> float:
    """SI-SNR in dB (150 is to the bit) of what was to be kept: all that lies outside the filled spans, in seconds.

    NaN where nothing was to be kept or all of that is silent.  Raises ValueError for clips that differ in shape.
    """
    keep = torch.ones(made.shape[-1], dtype=torch.bool)
    for start, end in filled:
        keep[max(0, round(start * sample_rate)) : max(0, round(end * sample_rate))] = False
    if made.shape == real.shape and not keep.any():
        return math.nan
    return si_snr(made[:, keep], real[:, keep]) if made.shape == real.shape else si_snr(made, real)


def _check(audio: Float[Tensor, "c n"], sample_rate: int) -> None:
    if audio.shape[-1] < round(2.5 * AROUND * sample_rate):
        raise ValueError(f"The clip is shorter than {2.5 * AROUND} s, too short to hear a seam in; give a longer one.")
    if not torch.isfinite(audio).all():
        raise ValueError("The audio holds values that are not numbers; make it anew.")


def _elsewhere(seconds: float, avoided: Sequence[float], seed: int) -> list[float]:
    """Random places with at least half a second around them, away from the seams."""
    drawn = np.random.default_rng(seed).uniform(AROUND / 2, seconds - AROUND / 2, size=8 * PLACES)
    clear = [float(at) for at in drawn if all(abs(at - seam) > 2 * NEAR for seam in avoided)]
    return sorted(clear[:PLACES])


def _ratio(value: float, others: Sequence[float]) -> float:
    """A jump beside the mean of what is usual; NaN where nothing ever jumps there."""
    told = [other for other in others if not math.isnan(other)]
    usual = float(np.mean(told)) if told else 0.0
    return value / usual if usual > 0 else math.nan


def _around(audio: Float[Tensor, "c n"], rate: int, at: float, seconds: float) -> tuple[Tensor, Tensor]:
    """So much of the sound before and after an instant, or what there is."""
    middle, reach = round(at * rate), round(seconds * rate)
    return audio[:, max(0, middle - reach) : middle], audio[:, middle : middle + reach]


def _rises(audio: Float[Tensor, "c n"], rate: int) -> Float[ndarray, " t"]:
    """Spectral flux: how much mel bands rise (mean, dB) from one frame to the next; frame j is centred at j + 1/2 hops."""
    bands = _log_mel(audio, rate)
    return np.diff(bands, axis=0, prepend=bands[:1]).clip(min=0).mean(1)


def _log_mel(audio: Float[Tensor, "c n"], rate: int) -> Float[ndarray, "t m"]:
    """Mel magnitudes in dB, no less than 80 dB below the loudest."""
    magnitude = stft(sound.mix(audio, 1), SIZE, HOP)[0].abs() @ mel_filters(BANDS, SIZE, rate).T
    return (20 * magnitude.clamp_min(max(1e-5, float(magnitude.max()) * 1e-4)).log10()).double().numpy()


def _peak(rises: Float[ndarray, " t"], rate: int, at: float) -> float:
    """The largest flux within NEAR of an instant."""
    middle, reach = at * rate / HOP - 0.5, NEAR * rate / HOP
    return float(rises[max(0, math.ceil(middle - reach)) : math.floor(middle + reach) + 1].max())


def _step(audio: Float[Tensor, "c n"], rate: int, at: float) -> float:
    """How many LU louder it is after an instant than before."""
    before, after = (max(QUIETEST, sound.loudness(part, rate)) for part in _around(audio, rate, at, LOUDNESS))
    return after - before


def _jumps(audio: Float[Tensor, "c n"], rate: int, places: Sequence[float], chroma: Chroma) -> tuple[list[float], list[float]]:
    """How far mean log-mel spectrum (dB, mean over bands) and mean chroma (1 less the cosine) move at each place."""
    loudest, timbres, harmonies = float(audio.abs().max()), [], []
    for at in places:
        parts = _around(audio, rate, at, AROUND)
        before, after = (_log_mel(part, rate).mean(0) for part in parts)
        timbres.append(float(np.abs(after - before).mean()))
        sounds = all(float(part.abs().max()) > 1e-3 * loudest for part in parts)
        one, other = (chroma(part, rate).mean(1) for part in parts)
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        harmonies.append(1 - float(one @ other) / size if sounds and size > 0 else math.nan)
    return timbres, harmonies


def _click(audio: Float[Tensor, "c n"], rate: int, at: float) -> float:
    """The largest step between samples within 1 ms, beside the 99.9 percentile of the second around; NaN in silence."""
    steps = np.abs(np.diff(audio.double().numpy(), axis=1)).max(0)
    middle, near, far = round(at * rate), max(1, round(0.001 * rate)), round(AROUND / 2 * rate)
    usual = float(np.quantile(steps[max(0, middle - far) : middle + far], 0.999))
    return float(steps[max(0, middle - near) : middle + near].max()) / usual if usual > 0 else math.nan
