"""The built-in renderer's drum kit: one wave for each General-MIDI percussion key, from tones that fall and shaped noise."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from counterpoint.data.corpus.synth_voices import Wave

_METAL = (1.0, 1.34, 1.61, 1.83, 2.24, 2.67)
"""Partials of a plate: no two in a simple ratio."""


_LEVEL = 0.6
"""Of the whole kit beside the other players, as a General-MIDI soundfont has it or a little above."""


@dataclass(frozen=True)
class Drum:
    """Tones (Hz) that start `sweep` times as high and fall, and noise between two frequencies (Hz)."""

    level: float
    tones: tuple[float, ...] = ()
    ring: float = 0.2
    """Seconds until the tones have fallen by 60 dB."""
    sweep: float = 1.0
    noise: float = 0.0
    """Level of the noise beside the tones."""
    band: tuple[float, float] = (200.0, 8000.0)
    hiss: float = 0.1
    """Seconds until the noise has fallen by 60 dB."""
    bursts: int = 1
    """How often the noise starts (claps, scrapes)."""


def _metal(base: float) -> tuple[float, ...]:
    return tuple(base * ratio for ratio in _METAL)


def _skin(tone: float, ring: float, level: float = 0.45, hiss: float = 0.05) -> Drum:
    return Drum(level, (tone, tone * 1.59), ring, 1.3, 0.25, (300, 4000), hiss)


_CRASH = Drum(0.4, _metal(1900), 0.9, 1, 2.5, (2500, 14000), 1.8)
_RIDE = Drum(0.22, _metal(3100), 0.5, 1, 1.6, (4500, 14000), 0.8)
_KICK = Drum(0.9, (52,), 0.42, 4.0, 0.12, (1500, 6000), 0.03)
_SNARE = Drum(0.65, (188, 331), 0.2, 1.15, 1.3, (900, 11000), 0.24)
_HAT = Drum(0.26, _metal(4100), 0.07, 1, 2.0, (6500, 15000), 0.08)

KIT: dict[int, Drum] = {
    35: Drum(0.9, (46,), 0.5, 3.2, 0.08, (1000, 4000), 0.03),
    36: _KICK,
    37: Drum(0.4, (480, 1720), 0.06, 1, 0.5, (1500, 9000), 0.04),
    38: _SNARE,
    39: Drum(0.5, (), 0.1, 1, 1.0, (700, 6000), 0.22, 3),
    40: Drum(0.65, (210, 390), 0.16, 1.15, 1.6, (1200, 12000), 0.2),
    41: _skin(82, 0.6, 0.6), 42: _HAT, 43: _skin(98, 0.55, 0.6), 44: Drum(0.2, _metal(3600), 0.06, 1, 1.5, (5000, 14000), 0.06),
    45: _skin(118, 0.5, 0.6), 46: Drum(0.26, _metal(4100), 0.45, 1, 2.0, (6000, 15000), 0.55),
    47: _skin(142, 0.45, 0.6), 48: _skin(168, 0.4, 0.6), 49: _CRASH, 50: _skin(200, 0.36, 0.6),
    51: _RIDE, 52: Drum(0.38, _metal(1300), 1.2, 1, 2.5, (1500, 13000), 1.3), 53: Drum(0.28, (1050, 2140, 3470), 1.2),
    54: Drum(0.25, _metal(5200), 0.18, 1, 1.5, (7000, 15000), 0.14, 2),
    55: Drum(0.35, _metal(2700), 0.6, 1, 2.0, (4000, 15000), 0.6), 56: Drum(0.32, (562, 845, 1690), 0.25),
    57: Drum(0.4, _metal(1650), 1.0, 1, 2.5, (2200, 14000), 1.9), 58: Drum(0.3, (140, 900), 0.5, 1, 1.0, (1500, 5000), 0.5, 6),
    59: Drum(0.24, _metal(2700), 0.6, 1, 1.6, (4000, 14000), 1.0),
    60: _skin(400, 0.18), 61: _skin(290, 0.22), 62: _skin(330, 0.1, 0.4), 63: _skin(250, 0.28), 64: _skin(185, 0.32),
    65: _skin(360, 0.3, hiss=0.15), 66: _skin(255, 0.35, hiss=0.15), 67: Drum(0.3, (1180, 2370), 0.3),
    68: Drum(0.3, (860, 1730), 0.3),
    69: Drum(0.22, (), 0.1, 1, 1, (4000, 13000), 0.09), 70: Drum(0.2, (), 0.1, 1, 1, (5500, 14000), 0.06),
    71: Drum(0.25, (2350, 2420), 0.15), 72: Drum(0.25, (2350, 2420), 0.5), 73: Drum(0.25, (), 0.1, 1, 1, (2500, 8000), 0.05, 4),
    74: Drum(0.25, (), 0.1, 1, 1, (2500, 8000), 0.1, 9), 75: Drum(0.35, (2480,), 0.09), 76: Drum(0.35, (1180, 2960), 0.08),
    77: Drum(0.35, (830, 2080), 0.09), 78: Drum(0.3, (620,), 0.15, 0.8), 79: Drum(0.3, (480,), 0.25, 1.4),
    80: Drum(0.2, (4900, 8300), 0.15), 81: Drum(0.2, (4900, 8300), 1.4), 82: Drum(0.22, (), 0.1, 1, 1, (5000, 14000), 0.1),
}  # fmt: skip
"""By General-MIDI percussion key."""

CHOKES = {46: (42, 44)}
"""Keys that stop another that still rings: a hi-hat closes."""


@lru_cache(maxsize=256)
def hit(key: int, rate: int) -> Wave:
    """The wave of one hit at full force; a key without a drum sounds like the nearest one that has."""
    drum = KIT[min(KIT, key=lambda known: (abs(known - key), known))]
    length = round(max(drum.ring if drum.tones else 0.0, drum.hiss + 0.011 * drum.bursts) * rate) + 1
    time = np.arange(length) / rate
    wave = np.zeros(length)
    tones = [tone for tone in drum.tones if tone * max(1, drum.sweep) < 0.45 * rate]
    for number, tone in enumerate(tones):
        turns = tone * (time + (drum.sweep - 1) * 0.03 * (1 - np.exp(-time / 0.03)))
        wave += np.sin(2 * math.pi * turns) * 0.6**number * np.exp(-6.9 * (1 + 0.15 * number) * time / drum.ring)
    wave /= max(1.0, float(np.abs(wave).max()))
    if drum.noise:
        wave += drum.noise * _hiss(drum, key, time, rate)
    rise, fall = round(0.0008 * rate), min(length, round(0.01 * rate))
    wave[:rise] *= np.linspace(0, 1, rise)
    wave[-fall:] *= np.linspace(1, 0, fall)
    return (wave * (_LEVEL * drum.level / np.abs(wave).max())).astype(np.float32)


def _hiss(drum: Drum, key: int, time: np.ndarray, rate: int) -> np.ndarray:
    """Noise in the drum's band, with soft edges, peak about 1, starting `bursts` times 11 ms apart."""
    low, high = drum.band
    spectrum = np.fft.rfft(np.random.default_rng([key, 3]).standard_normal(len(time)))
    frequency = np.fft.rfftfreq(len(time), 1 / rate)
    spectrum *= 1 / (1 + (low / np.maximum(frequency, 1)) ** 4) / (1 + (frequency / min(high, 0.5 * rate)) ** 4)
    white = np.fft.irfft(spectrum, len(time))
    fade = np.zeros(len(time))
    for burst in range(drum.bursts):
        since = time - 0.011 * burst
        last = burst == drum.bursts - 1
        fade = np.maximum(fade, np.where(since >= 0, np.exp(-6.9 * np.maximum(since, 0) / (drum.hiss if last else 0.02)), 0))
    noise = white * fade
    return noise / np.abs(noise).max()
