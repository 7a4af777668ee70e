"""How the built-in renderer makes one note: four kinds of voice, each a value and the formula that sounds it.

A wave starts at the note's onset and never ends by itself except by dying away; the renderer cuts it where the note ends.
Partials stop below the Nyquist frequency, so nothing aliases.  Everything is closed form: no sample waits for another.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Wave = NDArray[np.float32]

_CEILING = 0.45
"""Highest partial, as a fraction of the sample rate."""

_FAINT = 2e-4
"""Partials below this, beside the loudest, are left out."""

_SPREAD = (0.0, 0.5, -0.5, 0.27, -0.23, 0.39)
"""Where the voices of a chorus lie, as fractions of its detuning."""

_BLOCK = 256


@dataclass(frozen=True)
class Struck:
    """A string, bar or bell set going once: partials that die away, the high ones first."""

    seconds: float
    """Time until middle C's fundamental has fallen by 60 dB; higher notes are shorter."""
    cutoff: float = 5000.0
    """Hz at which the partials of a loud note have fallen by 8.7 dB; soft notes are duller."""
    slope: float = 1.0
    """Partial k starts at k ** -slope."""
    ratios: tuple[float, ...] = ()
    """Partials over the fundamental where they are not harmonic."""
    stretch: float = 0.0
    """Inharmonicity of a stiff string."""
    pluck: float = 0.0
    """Where a string is plucked, as a fraction of its length; 0 for everywhere."""
    damping: float = 0.3
    """How much faster each further partial dies."""
    detune: float = 0.0
    """Cents between the two strings of a course."""
    knock: float = 0.0
    """Level of the noise of hammer, pick or stick."""
    attack: float = 0.0015
    release: float = 0.1


@dataclass(frozen=True)
class Held:
    """A pipe, reed, bow or voice that keeps sounding: harmonics with vibrato, breath and a spectrum that opens."""

    slope: float = 1.0
    even: float = 1.0
    """Level of the even harmonics (a stopped pipe or clarinet has few)."""
    levels: tuple[float, ...] = ()
    """Harmonics one by one (drawbars) instead of a slope."""
    cutoff: float = 4000.0
    formants: tuple[tuple[float, float], ...] = ()
    """Centre (Hz) and level of resonances."""
    attack: float = 0.03
    sustain: float = 0.8
    """Level after the attack has passed."""
    swell: float = 0.4
    """How much of the brightness comes with the attack and goes after it."""
    vibrato: float = 5.5
    depth: float = 12.0
    """Cents."""
    breath: float = 0.0
    release: float = 0.1


@dataclass(frozen=True)
class Analogue:
    """Detuned saws or squares through a low-pass that closes."""

    opened: float = 6000.0
    closed: float = 1200.0
    """Hz of the low-pass at the onset and at rest."""
    contour: float = 0.3
    """Seconds in which it closes (to 1/e)."""
    even: float = 1.0
    """1 is a saw, 0 a square."""
    voices: int = 1
    detune: float = 12.0
    """Cents from the lowest to the highest voice; the first voice is in tune and leads."""
    resonance: float = 0.0
    seconds: float = math.inf
    """Time until the note has fallen by 60 dB by itself."""
    attack: float = 0.004
    release: float = 0.1


@dataclass(frozen=True)
class Operator:
    """One carrier and its modulator, as multiples of the note's frequency."""

    carrier: float
    modulator: float
    index: float
    fall: float
    """Seconds in which the index falls to 1/e."""
    level: float
    seconds: float
    """Time until it has fallen by 60 dB."""


@dataclass(frozen=True)
class Modulated:
    """Frequency modulation: electric pianos and bells."""

    operators: tuple[Operator, ...]
    attack: float = 0.0015
    release: float = 0.12
    tremolo: float = 0.0


Voice = Struck | Held | Analogue | Modulated


def sound(voice: Voice, pitch: int, force: float, length: int, rate: int) -> Wave:
    """`length` samples of a note; `force` (0 to 1) decides how bright.  All voices and pitches are about equally loud."""
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    rng = np.random.default_rng([pitch, round(100 * force), 7])
    match voice:
        case Struck():
            wave = _struck(voice, frequency, force, length, rate, rng)
        case Held():
            wave = _held(voice, frequency, force, length, rate, rng)
        case Analogue():
            wave = _analogue(voice, frequency, force, length, rate, rng)
        case Modulated():
            wave = _modulated(voice, frequency, force, length, rate)
    rise = min(length, max(2, round(voice.attack * rate)))
    wave[:rise] *= np.sin(np.linspace(0, math.pi / 2, rise, dtype=np.float32))
    start = wave[: round(0.4 * rate)]
    loudness, peak = math.sqrt(float(np.dot(start, start)) / max(1, len(start))), float(np.abs(start).max(initial=0.0))
    return wave * np.float32(min(0.1 / max(loudness, 1e-6), 0.5 / max(peak, 1e-6)))


def partials(frequencies: NDArray, decays: NDArray, levels: NDArray, phases: NDArray, length: int, rate: int) -> Wave:
    """sum_k level_k exp(-decay_k t) sin(2 pi frequency_k t + phase_k), decays in 1/s.

    Each term is a geometric sequence z**n with n = q * 256 + r, so that z**(256 q) times z**r for all q and r, summed over k,
    is one matrix product.
    """
    audible = (frequencies < _CEILING * rate) & (np.abs(levels) > _FAINT * np.abs(levels).max())
    step = (-decays[audible] + 2j * math.pi * frequencies[audible]) / rate
    start = levels[audible] * np.exp(1j * phases[audible])
    ratio = np.exp(step)
    coarse = torch.from_numpy(_powers(ratio**_BLOCK, -(-length // _BLOCK)) * start)  # q k
    fine = torch.from_numpy(_powers(ratio, _BLOCK)).T  # k r
    left, right = torch.cat([coarse.real, coarse.imag], 1), torch.cat([fine.imag, fine.real], 0)
    return (left.float() @ right.float()).numpy().reshape(-1)[:length]


def _powers(base: NDArray, count: int) -> NDArray:
    """base**0 to base**(count - 1), one row each, by doubling: much cheaper than as many exponentials."""
    rows = np.ones((1, len(base)), np.complex128)
    while len(rows) < count:
        rows = np.concatenate([rows, rows * base])
        base = base * base
    return rows[:count]


def harmonics(phase: NDArray, levels: NDArray) -> Wave:
    """sum_k level_k sin(k phase), by Clenshaw's recurrence: one cosine and one sine however many harmonics."""
    doubled = 2 * np.cos(phase)
    last, before, buffer = np.zeros_like(doubled), np.zeros_like(doubled), np.empty_like(doubled)
    for level in levels[::-1]:
        np.multiply(doubled, last, out=buffer)
        buffer -= before
        buffer += np.float32(level)
        last, before, buffer = buffer, last, before
    return last * np.sin(phase)


@lru_cache(maxsize=4)
def noise(rate: int) -> Wave:
    """Two seconds of white noise, the same each time."""
    return np.random.default_rng(11).standard_normal(2 * rate, dtype=np.float32)


def _bright(force: float) -> float:
    """How far a force moves a cutoff: 1 at 0.6, an octave for each half."""
    return 2 ** (2 * force - 1.2)


def _struck(voice: Struck, frequency: float, force: float, length: int, rate: int, rng: np.random.Generator) -> Wave:
    count = min(60, int(_CEILING * rate / frequency) + 1)
    k = np.array(voice.ratios) if voice.ratios else np.arange(1, count + 1)
    order = np.arange(1, len(k) + 1)
    high = frequency * k * np.sqrt(1 + voice.stretch * k**2)
    levels = order**-voice.slope * np.exp(-high / (voice.cutoff * _bright(force)))
    if voice.pluck:
        levels = levels * np.abs(np.sin(math.pi * k * voice.pluck))
    fall = 6.9 / voice.seconds * math.sqrt(frequency / 261.6) * (1 + voice.damping * (order - 1))
    phases = rng.uniform(-0.5, 0.5, len(k))
    apart = 2 ** (voice.detune / 2400)
    both = [(high / apart, phases), (high * apart, phases + 0.7)] if voice.detune else [(high, phases)]
    wave = sum(partials(f, fall, levels, p, length, rate) for f, p in both)
    assert isinstance(wave, np.ndarray)
    if voice.knock:
        tap = min(length, round(0.03 * rate))
        fade = np.exp(-np.arange(tap, dtype=np.float32) * np.float32(250 / rate))
        wave[:tap] += voice.knock * force * fade * np.convolve(noise(rate)[:tap], np.ones(5, np.float32) / 5, "same")
    return wave


def _held(voice: Held, frequency: float, force: float, length: int, rate: int, rng: np.random.Generator) -> Wave:
    k = np.arange(1, min(40, max(1, int(_CEILING * rate / (frequency * 1.02)))) + 1)
    time = np.arange(length, dtype=np.float32) / np.float32(rate)
    phase = np.arange(length) * (frequency / rate)
    if voice.depth:
        grown = np.minimum(time * 3, 1) ** 2  # vibrato comes after a third of a second
        deviation = frequency * (2 ** (voice.depth / 1200) - 1) / (2 * math.pi * voice.vibrato)
        phase = phase + grown * deviation * np.sin(2 * math.pi * voice.vibrato * time + rng.uniform(0, 6))
    phase = ((phase % 1.0) * (2 * math.pi)).astype(np.float32)
    levels = k**-voice.slope * np.where(k % 2, 1, voice.even)
    if voice.levels:
        k = k[: len(voice.levels)]
        levels = np.array(voice.levels[: len(k)])
    cutoff = voice.cutoff * _bright(force)
    body = sum((g * np.exp(-(((frequency * k - c) / (0.25 * c)) ** 2)) for c, g in voice.formants), np.zeros(len(k)))
    bright = levels * (1 / (1 + (frequency * k / cutoff) ** 4) + body)
    dark = levels * (1 / (1 + (frequency * k / (cutoff * (1 - voice.swell))) ** 4) + body)
    opening = np.exp(-time * np.float32(3)).astype(np.float32)
    wave = harmonics(phase, dark) if not voice.swell else harmonics(phase, bright) * opening
    if voice.swell:
        wave += harmonics(phase, dark) * (1 - opening)
    wave *= voice.sustain + (1 - voice.sustain) * np.exp(-time * np.float32(6))
    if voice.breath:
        air = np.convolve(noise(rate), np.array([1, 1, 0, -1, -1], np.float32) / 4, "same")
        wave += np.resize(air, length) * np.float32(voice.breath * 0.1) * (1 + 2 * np.exp(-time * np.float32(25)))
    return wave


def _analogue(voice: Analogue, frequency: float, force: float, length: int, rate: int, rng: np.random.Generator) -> Wave:
    k = np.arange(1, min(80, int(_CEILING * rate / frequency) + 1) + 1)
    shape = np.where(k % 2, 1, voice.even) / k

    def passed(cutoff: float) -> NDArray:
        octaves = np.log2(frequency * k / cutoff)
        return shape * (1 / np.sqrt(1 + (frequency * k / cutoff) ** 6) + voice.resonance * np.exp(-8 * octaves**2))

    opened, closed = passed(voice.opened * _bright(force)), passed(voice.closed)
    fall = 0.0 if math.isinf(voice.seconds) else 6.9 / voice.seconds
    tuned = frequency * 2 ** (voice.detune * np.array(_SPREAD[: voice.voices]) / 1200)
    chorus = np.repeat(np.where(np.arange(voice.voices), 0.45, 1.0), len(k))  # no two voices can cancel the first
    phases = rng.uniform(0, 2 * math.pi, (voice.voices, 1)) * k + rng.uniform(-0.4, 0.4, (voice.voices, len(k)))
    high = (tuned[:, None] * k).reshape(-1)
    return partials(
        np.concatenate([high, high]),
        np.concatenate([np.full(len(high), fall), np.full(len(high), fall + 1 / voice.contour)]),
        np.concatenate([np.tile(closed, voice.voices) * chorus, np.tile(opened - closed, voice.voices) * chorus]),
        np.concatenate([phases.reshape(-1), phases.reshape(-1)]),
        length,
        rate,
    )


def _modulated(voice: Modulated, frequency: float, force: float, length: int, rate: int) -> Wave:
    time = np.arange(length, dtype=np.float32) / np.float32(rate)
    turns = np.arange(length) * (2 * math.pi * frequency / rate)
    wave = np.zeros(length, np.float32)
    for op in voice.operators:
        room = (_CEILING * rate / frequency - op.carrier) / op.modulator - 1.5  # Carson: sidebands up to index + 1
        if room <= 0:
            continue
        index = min(op.index * (0.3 + force), room)
        swing = np.sin((turns * op.modulator % (2 * math.pi)).astype(np.float32)) * np.exp(-time / np.float32(op.fall)) * index
        carrier = (turns * op.carrier % (2 * math.pi)).astype(np.float32)
        fall = 6.9 / op.seconds * math.sqrt(frequency / 261.6)
        wave += np.sin(carrier + swing.astype(np.float32)) * np.exp(-time * np.float32(fall)) * np.float32(op.level)
    if voice.tremolo:
        wave *= 1 + np.float32(voice.tremolo) * np.sin(time * np.float32(2 * math.pi * 5))
    return wave
