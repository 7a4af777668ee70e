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
from counterpoint.metrics.bands import HOP, log_mel, rises
from counterpoint.metrics.reconstruction import MOST, si_snr

Chroma = Callable[[Float[Tensor, "c n"], int], Float[Tensor, "12 t"]]
"""Audio and its sample rate to chroma, as `analysis.chroma` makes it."""

NEAR, LOUDNESS, AROUND = 0.05, 0.4, 1.0
"""Seconds on either side of a seam: of the flux, of the loudness, of chroma and timbre."""
EDGE = AROUND / 4
"""Seconds: nearer to an end of the clip nothing can be said of a seam."""
EXACTLY = MOST
"""Decibels that stand for no difference at all; a smaller one is EXACTLY - 1 at most."""
PLACES = 24
QUIETEST = -70.0
"""LUFS that silence counts as: the gate of BS.1770."""


@dataclass(frozen=True)
class Seam:
    """What is heard at one seam; a ratio of 1 is a jump as large as the music's own at other places.

    `flux`: how many standard deviations the spectrum's change within 50 ms lies above that at other places.  `loudness`: the
    step in LU between the 400 ms before and after, as a ratio `loudness_ratio`; `level_ratio` the same between whole seconds.
    `timbre`, `chroma`: distances of log-mel spectrum and of chroma between the second before and after, as ratios.  `click`:
    the largest step between two samples within 1 ms, beside the 99.9 percentile of the second around.
    """

    seconds: float
    flux: float
    loudness: float
    loudness_ratio: float
    level_ratio: float
    timbre: float
    chroma: float
    click: float


ONE = {"flux": 4.5, "loudness_ratio": 3.5, "level_ratio": 4.2, "timbre": 2.2, "chroma": 4.5, "click": 1.6}
"""Beyond these one seam is heard; of untouched composed music hardly any place is."""
ALL = {"loudness_ratio": 2.0, "level_ratio": 2.0, "timbre": 1.3, "chroma": 2.3}
"""Beyond these at all of two or more seams, what lies between them is heard to be other music than what lies around."""


def audible(heard: Sequence[Seam]) -> tuple[str, ...]:
    """Which figures of a clip's seams lie further out than untouched music's; none says no more than that these heard nothing.

    The limits were chosen on composed clips with hard cuts; of 15 untouched ones they name something in about one
    (`benchmarks/seams.py`).
    """
    one = {name for name, most in ONE.items() if any(vars(seam)[name] > most for seam in heard)}
    every = {name for name, most in ALL.items() if len(heard) > 1 and all(vars(seam)[name] > most for seam in heard)}
    return tuple(name for name in ONE if name in one | every)


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
        if not EDGE <= place <= length - EDGE:
            raise ValueError(
                f"A seam at {place} s is not a quarter second inside a clip of {length:.2f} s; give another place."
            )
    others = _elsewhere(usual.shape[-1] / sample_rate, [] if reference is not None else places, seed)
    theirs, ours = _figures(usual, sample_rate, others, chroma), _figures(made, sample_rate, places, chroma)
    heard = []
    for i, place in enumerate(places):
        flux = ours["flux"][i] - np.mean(theirs["flux"])
        spread = float(np.std(theirs["flux"]))
        ratio = {name: _ratio(ours[name][i], theirs[name]) for name in ("loudness", "level", "timbre", "chroma")}
        heard.append(
            Seam(
                seconds=place,
                flux=float(flux / spread) if spread > 0 else math.nan,
                loudness=ours["loudness"][i],
                loudness_ratio=ratio["loudness"],
                level_ratio=ratio["level"],
                timbre=ratio["timbre"],
                chroma=ratio["chroma"],
                click=_click(made, sample_rate, place),
            )
        )
    return heard


def kept_exactly(
    made: Float[Tensor, "c n"], real: Float[Tensor, "c m"], sample_rate: int, filled: Sequence[tuple[float, float]]
) -> float:
    """SI-SNR in dB of what was to be kept, all that lies outside the filled spans, in seconds; EXACTLY where it is, to the bit.

    NaN where nothing was to be kept or all of that is silent.  Raises ValueError for clips that differ in shape.
    """
    keep = torch.ones(made.shape[-1], dtype=torch.bool)
    for start, end in filled:
        keep[max(0, round(start * sample_rate)) : max(0, round(end * sample_rate))] = False
    if made.shape == real.shape and not keep.any():
        return math.nan
    if made.shape != real.shape:
        return si_snr(made, real)
    heard = si_snr(made[:, keep], real[:, keep])
    same = torch.equal(made[:, keep].double(), real[:, keep].double())
    return heard if same else min(heard, EXACTLY - 1)  # of one step of one sample, or another gain, SI-SNR may know nothing


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


def _peak(flux: Float[ndarray, " t"], rate: int, at: float) -> float:
    """The largest flux within NEAR of an instant."""
    middle, reach = at * rate / HOP - 0.5, NEAR * rate / HOP
    return float(flux[max(0, math.ceil(middle - reach)) : math.floor(middle + reach) + 1].max())


def _step(audio: Float[Tensor, "c n"], rate: int, at: float, seconds: float) -> float:
    """How many LU the sound after an instant is louder or quieter than before."""
    before, after = (max(QUIETEST, sound.loudness(part, rate)) for part in _around(audio, rate, at, seconds))
    return abs(after - before)


def _figures(audio: Float[Tensor, "c n"], rate: int, places: Sequence[float], chroma: Chroma) -> dict[str, list[float]]:
    """At each place: flux, loudness steps, and how far mean log-mel spectrum (dB) and mean chroma (1 less cosine) move."""
    flux, loudest = rises(audio, rate), float(audio.abs().max())
    timbres, harmonies = [], []
    for at in places:
        parts = _around(audio, rate, at, AROUND)
        before, after = (log_mel(part, rate).mean(0) for part in parts)
        timbres.append(float(np.abs(after - before).mean()))
        sounds = loudest > 0 and all(float(part.abs().max()) > 1e-3 * loudest for part in parts)
        one, other = (chroma(part, rate).double().mean(1) for part in parts)
        near = float(torch.cosine_similarity(one, other, dim=0))
        harmonies.append(1 - near if sounds else math.nan)
    return {
        "flux": [_peak(flux, rate, at) for at in places],
        "loudness": [_step(audio, rate, at, LOUDNESS) for at in places],
        "level": [_step(audio, rate, at, AROUND) for at in places],
        "timbre": timbres,
        "chroma": harmonies,
    }


def _click(audio: Float[Tensor, "c n"], rate: int, at: float) -> float:
    """The largest step between samples within 1 ms, beside the 99.9 percentile of the second around; NaN in silence."""
    steps = np.abs(np.diff(audio.double().numpy(), axis=1)).max(0)
    middle, near, far = round(at * rate), max(1, round(0.001 * rate)), round(AROUND / 2 * rate)
    usual = float(np.quantile(steps[max(0, middle - far) : middle + far], 0.999))
    return float(steps[max(0, middle - near) : middle + near].max()) / usual if usual > 0 else math.nan
