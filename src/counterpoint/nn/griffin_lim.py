"""A waveform from magnitudes alone: phases followed through time and frequency, then polished by fast Griffin-Lim.

The start integrates the phase's two derivatives, both known from the magnitudes: along time at spectral peaks (a sinusoid
turns at its frequency; Beauregard et al. 2015) and along frequency from the peaks outwards (energy that rises lies late in
the window; the relation of Prusa, Balazs and Sondergaard 2017 for a Gaussian window).  A peak that has just appeared takes
its phase from its neighbours in frequency, so that the partials of an onset start together.
The polish is that of Perraudin, Balazs and Sondergaard 2013.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from counterpoint.nn.spectral import istft, stft

_HANN_AS_GAUSSIAN = 0.25645  # time-frequency ratio over the squared window length (Prusa et al. 2017, table I)
_NEW = 0.5  # a peak is new when the bins around it held less than this of its magnitude one frame earlier


def griffin_lim(
    magnitude: Float[Tensor, "b t f"],
    size: int,
    hop: int,
    samples: int,
    steps: int = 8,
    momentum: float = 0.99,
    phase: Float[Tensor, "b t f"] | None = None,
) -> Float[Tensor, "b n"]:
    """Audio whose `stft` magnitudes come near `magnitude`; nothing is drawn, so the result depends on these alone.

    `phase` is what the polish starts from: by default the `propagated_phase` of `magnitude`.
    """
    spectrum = torch.polar(magnitude, propagated_phase(magnitude, size, hop) if phase is None else phase)
    previous = spectrum
    for _ in range(steps):
        rebuilt = stft(istft(spectrum, size, hop, samples), size, hop)
        leaning = torch.lerp(previous, rebuilt, 1 + momentum)
        spectrum = leaning * (magnitude / leaning.abs().clamp_min(1e-12))
        previous = rebuilt
    return istft(spectrum, size, hop, samples)


def reach(size: int, hop: int, steps: int) -> int:
    """Frames to either side of a sample that the polish of `steps` steps hears."""
    return (steps + 1) * math.ceil(size / hop)


def propagated_phase(
    magnitude: Float[Tensor, "b t f"], size: int, hop: int, first: Float[Tensor, "b f"] | None = None
) -> Float[Tensor, "b t f"]:
    """Phases of a plausible signal with these magnitudes, from a Hann window of `size` samples; radians, from 0 to 2 pi.

    `first` is the phase of the first frame where it is known: that of a sound which goes on from what came before.
    """
    level = magnitude.clamp_min(1e-8).log()
    peak, offset = _peaks(level)
    bins = torch.arange(magnitude.shape[-1], device=magnitude.device)
    turn = (bins * hop % size + offset * hop) * (2 * math.pi / size)  # per frame, whole turns left out
    slope = _slope(level, size, hop)
    source = _nearest_true(peak & ~_is_new(magnitude))  # the bin that each bin takes its phase from
    orphan = source < 0
    source = source.clamp_min(0)
    turn, rise = turn.gather(2, source), slope - slope.gather(2, source)
    half = bins % 2 * math.pi  # from the window's centre to its first sample
    phase, phases = torch.zeros_like(magnitude[:, 0]), []
    for t in range(magnitude.shape[1]):
        start = phase.gather(1, source[:, t]) + turn[:, t]
        phase = start.masked_fill(orphan[:, t], 0.0) + rise[:, t]
        if t == 0 and first is not None:
            phase = first - half
        phase = phase.remainder(2 * math.pi)  # else an hour of sound would leave no digits for the angle
        phases.append(phase)
    return (torch.stack(phases, dim=1) + half).remainder(2 * math.pi)


def _peaks(level: Float[Tensor, "b t f"]) -> tuple[Bool[Tensor, "b t f"], Float[Tensor, "b t f"]]:
    """Local maxima over frequency, and the top of a parabola through each, in bins from it."""
    padded = F.pad(level, (1, 1), value=-40.0)
    below, above = padded[..., :-2], padded[..., 2:]
    peak = (level > below) & (level >= above)
    curvature = (below - 2 * level + above).clamp_max(-1e-6)
    return peak, (0.5 * (below - above) / curvature).clamp(-0.5, 0.5) * peak


def _slope(level: Float[Tensor, "b t f"], size: int, hop: int) -> Float[Tensor, "b t f"]:
    """Phase along frequency from bin 0, as the rise of the level over time tells it."""
    around = F.pad(level.transpose(1, 2), (1, 1), mode="replicate").transpose(1, 2)
    growth = (around[:, 2:] - around[:, :-2]) / (2 * hop)  # of the level, per sample
    delay = (growth * (_HANN_AS_GAUSSIAN * size * size / (2 * math.pi))).clamp(-size / 2, size / 2)  # samples
    step = delay * (-2 * math.pi / size)
    return torch.cumsum((step + F.pad(step, (1, 0))[..., :-1]) / 2, dim=-1)


def _is_new(magnitude: Float[Tensor, "b t f"]) -> Bool[Tensor, "b t f"]:
    earlier = F.pad(magnitude, (0, 0, 1, 0))[:, :-1]
    return F.max_pool1d(earlier, 3, stride=1, padding=1) < _NEW * magnitude


def _nearest_true(mask: Bool[Tensor, "b t f"]) -> Int[Tensor, "b t f"]:
    """Index of the nearest True along the last axis; -1 where there is none."""
    count = mask.shape[-1]
    index = torch.arange(count, device=mask.device)
    left = torch.where(mask, index, -4 * count).cummax(-1).values
    right = torch.where(mask, index, 4 * count).flip(-1).cummin(-1).values.flip(-1)
    nearest = torch.where(index - left <= right - index, left, right)
    return torch.where((nearest >= 0) & (nearest < count), nearest, -1)
