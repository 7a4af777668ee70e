"""How well a vocoder keeps pitch and voicing: CARGAN's three figures, pooled over a set (Morrison et al. 2022, section 4).

Pitch error in cents over frames that are voiced in both clips, error of the periodicity over all frames, and F1 of the voiced
frames.  They use torchcrepe (`crepe` here, an extra); the default is `yin`, which needs nothing, and whose periodicities and
thereby figures are its own: compare only what one tracker heard.  Both follow one voice; of dense music they tell little.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from counterpoint import audio as sound
from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.floors import derangement
from counterpoint.nn.perceptual import a_weighting

SAMPLE_RATE, SIZE, HOP = 16000, 1024, 185
"""What pitch is tracked at: frames of 64 ms, one every 256 samples of 22 050 Hz."""
LOWEST, HIGHEST = 50.0, 550.0
"""Hz."""
QUIET = -60.0
"""A-weighted decibels, those of a full-scale sine at 1 kHz being 0, under which a frame has no pitch."""
THRESHOLD = 0.1
"""How deep the first trough of YIN's normalised difference must be to be taken at once."""


@dataclass(frozen=True)
class Voice:
    """A pitch track: Hz, how periodic each frame is from 0 to 1, and whether it is voiced."""

    hertz: Float[ndarray, " t"]
    periodicity: Float[ndarray, " t"]
    voiced: Bool[ndarray, " t"]


@dataclass(frozen=True)
class Vocoded:
    """One clip's sums, or a set's: errors squared and counted, so that sets pool their frames."""

    cents: float
    pitched: int
    periodicity: float
    frames: int
    both: int
    either: int
    """Voiced frames of one clip plus those of the other."""

    @property
    def figures(self) -> dict[str, float]:
        """Root mean square errors of pitch (cents) and of periodicity, and voiced F1; NaN where there are no such frames."""
        return {
            "pitch_rmse": math.sqrt(self.cents / self.pitched) if self.pitched else math.nan,
            "periodicity_rmse": math.sqrt(self.periodicity / self.frames) if self.frames else math.nan,
            "voiced_f1": 2 * self.both / self.either if self.either else math.nan,
        }


def compare(made: Voice, real: Voice) -> Vocoded:
    """One clip's sums; the longer track is cut."""
    t = min(len(made.hertz), len(real.hertz))
    both = made.voiced[:t] & real.voiced[:t]
    cents = 1200 * np.log2(made.hertz[:t][both] / real.hertz[:t][both])
    errors = made.periodicity[:t] - real.periodicity[:t]
    voiced = int(made.voiced[:t].sum()) + int(real.voiced[:t].sum())
    return Vocoded(float(np.sum(cents**2)), int(both.sum()), float(np.sum(errors**2)), t, int(both.sum()), voiced)


def pooled(clips: Sequence[Vocoded]) -> Vocoded:
    """All frames of a set of clips."""
    fields = [(c.cents, c.pitched, c.periodicity, c.frames, c.both, c.either) for c in clips]
    cents, pitched, periodicity, frames, both, either = (sum(column) for column in zip(*fields, strict=True))
    return Vocoded(cents, int(pitched), periodicity, int(frames), int(both), int(either))


def vocoding_scores(made: Sequence[Voice], real: Sequence[Voice], seed: int = 0) -> list[Score]:
    """The three figures of a set, pooled over frames, with bootstrap intervals over clips and the floor of shuffled pairs.

    Raises ValueError where the clips do not pair up.
    """
    if len(made) != len(real) or not made:
        raise ValueError(f"{len(made)} made clips cannot be paired with {len(real)} real ones; give one real clip for each.")
    clips = [compare(ours, theirs) for ours, theirs in zip(made, real, strict=True)]
    whole = pooled(clips).figures
    chance = dict.fromkeys(whole, math.nan)
    if len(clips) > 1:
        order = derangement(len(clips), seed)
        chance = pooled([compare(ours, real[other]) for ours, other in zip(made, order, strict=True)]).figures
    scores = []
    for name, value in whole.items():
        score = Score(name, value, n=len(clips), better="higher" if name == "voiced_f1" else "lower", floor=chance[name])
        score = replace(score, unit="cents" if name == "pitch_rmse" else "")
        if len(clips) > 1 and not math.isnan(value):
            drawn = intervals.resamples(len(clips), seed=seed)
            values = np.array([pooled([clips[i] for i in picked]).figures[name] for picked in drawn])
            low, high = intervals.percentile(values[~np.isnan(values)])
            score = replace(score, low=low, high=high)
        scores.append(score)
    return scores


def yin(audio: Float[Tensor, "c n"], sample_rate: int, lower: float = 0.7, upper: float = 0.85) -> Voice:
    """Pitch by YIN (de Cheveigne and Kawahara 2002, steps 1 to 5); periodicity is 1 less the normalised difference.

    Ends are reflected.  `lower` and `upper` are those of `hysteresis`.  Raises ValueError for audio that is too short.
    """
    frames = _frames(audio, sample_rate)  # t w
    longest = int(SAMPLE_RATE / LOWEST)
    difference = _difference(frames, longest + 2)
    lags = np.arange(1, longest + 2)
    means = np.cumsum(difference[:, 1:], axis=1) / lags
    normalised = np.ones_like(difference)
    np.divide(difference[:, 1:], means, out=normalised[:, 1:], where=means > 1e-12)
    lag = _troughs(normalised, int(SAMPLE_RATE / HIGHEST), longest)
    here = np.arange(len(lag))
    before, at, after = (difference[here, lag + step] for step in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend > 0, 0.5 * (before - after) / np.where(bend > 0, bend, 1), 0).clip(-1, 1)
    periodicity = (1 - normalised[here, lag]).clip(0, 1) * (_loudness(frames) >= QUIET)
    hertz = SAMPLE_RATE / (lag + shift)
    return Voice(hertz, periodicity, hysteresis(hertz, periodicity, lower, upper))


def hysteresis(
    hertz: Float[ndarray, " t"],
    periodicity: Float[ndarray, " t"],
    lower: float = 0.19,
    upper: float = 0.31,
    width: float = 0.2,
    stds: float = 1.7,
) -> Bool[ndarray, " t"]:
    """Voiced frames: runs above a threshold that reach `upper` somewhere, as torchcrepe and CARGAN decide.

    The threshold is `lower`, and more where the pitch is further than `stds` deviations from the clip's mean (in octaves):
    there `width` times what the squared distance exceeds, up to 1.
    """
    octaves, likely = np.log2(hertz), periodicity >= lower
    spread = float(octaves[likely].std()) if likely.any() else 0.0
    distance = (octaves - octaves[likely].mean()) / spread if spread > 0 else np.zeros_like(octaves)
    threshold = lower + np.clip(width * (distance**2 - stds**2), 0, 1 - lower)
    above = periodicity > threshold
    run = np.cumsum(np.diff(above, prepend=False) & above)  # the number of the run that a frame is in, or of the last one
    reaches = np.zeros(len(above) + 1, dtype=bool)
    reaches[run[above & (periodicity >= upper)]] = True
    return above & reaches[run]


def crepe(audio: Float[Tensor, "c n"], sample_rate: int) -> Voice:
    """Pitch by torchcrepe's full network as CARGAN tracks it, its random dither seeded; needs that package.

    Raises ValueError where it is missing.
    """
    try:
        import torchcrepe  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "This pitch tracker needs torchcrepe and the torchaudio of your torch; install them: pip install torchcrepe."
        ) from error
    mono = _prepared(audio, sample_rate)[None]
    state = np.random.get_state()
    np.random.seed(0)  # its dither draws from numpy's global generator
    try:
        hertz, periodicity = torchcrepe.predict(
            mono, SAMPLE_RATE, HOP, LOWEST, HIGHEST, "full", return_periodicity=True, batch_size=512, pad=False
        )
    finally:
        np.random.set_state(state)
    told, sure = hertz[0].double().numpy(), periodicity[0].double().numpy()
    sure = sure * (_loudness(_frames(audio, sample_rate)) >= QUIET)[: len(sure)]
    return Voice(told, sure, hysteresis(told, sure))


def _prepared(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[Tensor, " m"]:
    """Mono at 16 kHz with its ends reflected, so that there is a frame for every hop."""
    if not torch.isfinite(audio).all():
        raise ValueError("The audio holds values that are not numbers; make it anew.")
    mono = sound.resample(sound.mix(audio, 1), sample_rate, SAMPLE_RATE)
    if mono.shape[-1] < SIZE:
        raise ValueError(f"The clip is shorter than {SIZE / SAMPLE_RATE:.3f} s, a frame of pitch; give a longer one.")
    margin = (SIZE - HOP) // 2
    return F.pad(mono, (margin, margin), mode="reflect")[0]


def _frames(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[ndarray, "t w"]:
    return _prepared(audio, sample_rate).unfold(0, SIZE, HOP).double().numpy()


def _difference(frames: Float[ndarray, "t w"], lags: int) -> Float[ndarray, "t l"]:
    """YIN's difference function (equation 6) for lags from 0: squared differences, summed over what all lags leave."""
    width = SIZE - lags + 1
    spectrum, head = np.fft.rfft(frames, 2 * SIZE), np.fft.rfft(frames[:, :width], 2 * SIZE)
    products = np.fft.irfft(spectrum * head.conj(), 2 * SIZE)[:, :lags]
    summed = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energies = summed[:, width : width + lags] - summed[:, :lags]
    return np.maximum(energies[:, :1] + energies - 2 * products, 0)


def _troughs(normalised: Float[ndarray, "t l"], first: int, last: int) -> np.ndarray:
    """For each frame, the lag of the first trough under THRESHOLD, or else of the deepest."""
    inside = normalised[:, first : last + 1]
    trough = (inside <= normalised[:, first - 1 : last]) & (inside < normalised[:, first + 1 : last + 2])
    deep = trough & (inside < THRESHOLD)
    return first + np.where(deep.any(1), deep.argmax(1), inside.argmin(1))


def _loudness(frames: Float[ndarray, "t w"]) -> Float[ndarray, " t"]:
    """A-weighted level of each frame in dB."""
    spectrum = np.fft.rfft(frames * np.hanning(SIZE), axis=1) * (4 / SIZE)
    weights = a_weighting(np.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE))
    power = (np.abs(spectrum * weights) ** 2).sum(1) / 1.5  # a sine's main lobe holds 1.5 times its peak
    return 10 * np.log10(np.maximum(power, 1e-20))
