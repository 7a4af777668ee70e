"""Sounds of our own that set up a listener: noise to set the volume by, and tones that tell headphones from loudspeakers.

Woods, Siegel, Traer and McDermott 2017, "Headphone screening to facilitate web-based auditory experiments": three tones of
200 Hz, one of them 6 dB quieter, another one with its phase turned between the ears.  Over loudspeakers the turned tone
cancels in the air and passes for the quietest one; over headphones it does not.
"""

import itertools
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

RATE = 32000
TONE, GAP, RAMP = 1.0, 0.5, 0.1
"""Seconds of a tone, of the silence between two, and of the ramps at a tone's ends."""
FREQUENCY, QUIETER = 200.0, -6.0
PLACES = tuple(itertools.permutations(range(3), 2))
"""Where the quiet and the turned tone are in each of the six trials: every way there is, once."""


def headphone_order(seed: int) -> list[tuple[int, int]]:
    """The six trials in an order of the seed's: places (from 0) of the quiet and of the turned tone."""
    return [PLACES[i] for i in np.random.default_rng(seed).permutation(len(PLACES))]


def headphone_trial(quiet: int, turned: int) -> Float[Tensor, "2 n"]:
    """Three tones one after the other, in stereo, at RATE; the loud ones peak at -14 dB."""
    time = torch.arange(round(TONE * RATE), dtype=torch.float64) / RATE
    edge = torch.minimum(time, TONE - time).clamp_max(RAMP) / RAMP
    tone = 10 ** (-14 / 20) * torch.sin(2 * math.pi * FREQUENCY * time) * (0.5 - 0.5 * torch.cos(math.pi * edge))
    gap = torch.zeros(2, round(GAP * RATE), dtype=torch.float64)
    parts = [gap]
    for place in range(3):
        level = 10 ** (QUIETER / 20) if place == quiet else 1.0
        right = -1.0 if place == turned else 1.0
        parts += [torch.stack([level * tone, level * right * tone]), gap]
    return torch.cat(parts, dim=1).float()


def pink_noise(seconds: float, seed: int) -> Float[Tensor, "1 n"]:
    """Noise with equal power in every octave from 50 Hz to 10 kHz, at RATE, about -20 dB; its end runs into its beginning."""
    length = round(seconds * RATE)
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(frequency))
    heard = (frequency >= 50) & (frequency <= 10000)
    spectrum = np.where(heard, 1 / np.sqrt(np.maximum(frequency, 50)), 0) * np.exp(1j * phase)
    noise = np.fft.irfft(spectrum, length)
    return torch.from_numpy((0.1 * noise / noise.std()).astype(np.float32))[None]
