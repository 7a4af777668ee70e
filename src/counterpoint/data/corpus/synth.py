"""The built-in renderer: a score becomes audio with nothing but numpy and torch.

Each track is played by the voice of its program (or the kit), placed by its gain and pan, and sent into one small room.
Same score, same bytes: all noise comes from fixed seeds.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint.data.corpus.synth_drums import CHOKES, hit
from counterpoint.data.corpus.synth_programs import VOICES
from counterpoint.data.corpus.synth_voices import Wave, sound
from counterpoint.music import Note, Score, Track
from counterpoint.parallel import one_thread

_SENDS = {"melody": 0.16, "bass": 0.03, "comp": 0.13, "pad": 0.2, "drums": 0.07}
"""How much of each role goes into the room."""

_LAYERS = (0.35, 0.6, 0.85)
"""Forces at which notes are made; softer and louder ones borrow the nearest layer's brightness."""

_PEAK = 0.98


@one_thread()
def render(score: Score, sample_rate: int = 32000, channels: int = 2) -> NDArray[np.float32]:
    """Audio `c n` of a score, round(seconds * sample_rate) samples long; mono is the mean of left and right.

    Notes that reach beyond the end are faded out there.  The level is the score's own: turned down only where it would
    pass full scale.  Raises ValueError for other than one or two channels.
    """
    if channels not in (1, 2):
        raise ValueError(f"The built-in renderer makes 1 or 2 channels, not {channels}; ask for one of those.")
    length = round(score.seconds * sample_rate)
    mixed, send = np.zeros((2, length), np.float32), np.zeros(length, np.float32)
    for track in score.tracks:
        played = _drums(track, length, sample_rate) if track.role == "drums" else _pitched(track, length, sample_rate)
        angle = (min(1.0, max(-1.0, track.pan)) + 1) * math.pi / 4  # equal power
        mixed += played * np.array([[math.cos(angle)], [math.sin(angle)]], np.float32) * np.float32(track.gain)
        send += played * np.float32(track.gain * _SENDS.get(track.role, 0.15))
    mixed += _in_room(send, sample_rate)
    if channels == 1:
        mixed = mixed.mean(0, keepdims=True)
    tail = min(length, round(0.01 * sample_rate))
    mixed[:, length - tail :] *= np.linspace(1, 0, tail, dtype=np.float32)
    return mixed * np.float32(min(1.0, _PEAK / max(1e-9, float(np.abs(mixed).max(initial=0.0)))))


def _pitched(track: Track, length: int, rate: int) -> Wave:
    """All notes of a track.  Notes of one pitch and layer share a wave, made once as long as the longest of them."""
    voice = VOICES[min(127, max(0, track.program))]
    release = _release(round(voice.release * rate))
    longest: dict[tuple[int, float], float] = {}
    for note in track.notes:
        key = (note.pitch, _layer(note.velocity))
        longest[key] = max(longest.get(key, 0.0), note.end - note.start)
    waves = {key: sound(voice, *key, min(length, round(most * rate)) + len(release), rate) for key, most in longest.items()}
    out = np.zeros(length, np.float32)
    for note in track.notes:
        _play(out, note, waves[note.pitch, _layer(note.velocity)], release, rate)
    return out


def _play(out: Wave, note: Note, wave: Wave, release: Wave, rate: int) -> None:
    start, held = round(note.start * rate), max(0, round((note.end - note.start) * rate))
    level = np.float32(_level(note.velocity))
    held = min(held, len(wave) - len(release))
    _add(out, wave[:held] * level, start)
    _add(out, wave[held : held + len(release)] * release * level, start + held)


def _add(out: Wave, wave: Wave, start: int) -> None:
    """Add what of `wave`, placed at `start`, lies within `out`."""
    first, last = max(0, start), min(len(out), start + len(wave))
    if first < last:
        out[first:last] += wave[first - start : last - start]


def _drums(track: Track, length: int, rate: int) -> Wave:
    out = np.zeros(length, np.float32)
    fade = _release(round(0.012 * rate))
    for note in track.notes:
        wave = hit(note.pitch, rate)
        stops = [n.start for n in track.notes if n.pitch in CHOKES.get(note.pitch, ()) and n.start > note.start]
        cut = round((min(stops) - note.start) * rate) if stops else len(wave)
        if cut + len(fade) < len(wave):
            wave = np.concatenate([wave[:cut], wave[cut : cut + len(fade)] * fade])
        _add(out, wave * np.float32(_level(note.velocity)), round(note.start * rate))
    return out


def _layer(velocity: int) -> float:
    return min(_LAYERS, key=lambda force: abs(force - velocity / 127))


def _level(velocity: int) -> float:
    """Linear level of a velocity: 100 is 1, and halving it takes 10 dB away."""
    return (max(1, velocity) / 100) ** 1.66


@lru_cache(maxsize=64)
def _release(samples: int) -> Wave:
    """How a note fades after its end: exponential, then exactly to nothing."""
    position = np.linspace(0, 1, max(2, samples), dtype=np.float32)
    return np.exp(-4 * position) * (1 - position)


@lru_cache(maxsize=4)
def _room(rate: int) -> torch.Tensor:
    """Impulse response `2 n` of a small room: early reflections, then 0.5 s of noise whose highs die first."""
    rng = np.random.default_rng(1234)
    length = round(0.5 * rate)
    time = np.arange(length) / rate
    white = rng.standard_normal((2, length))
    dull = np.fft.irfft(np.fft.rfft(white) / (1 + (np.fft.rfftfreq(length, 1 / rate) / 2500) ** 2), length)
    tail = (dull * np.exp(-time / 0.11) + 0.35 * (white - dull) * np.exp(-time / 0.04)) * (1 - np.exp(-time / 0.02))
    tail /= np.sqrt((tail**2).sum(1, keepdims=True))
    for side in range(2):
        for place in rng.uniform(0.006, 0.035, 7):
            tail[side, round(place * rate)] += 0.25 * rng.choice([-1, 1])
    tail *= np.linspace(1, 0, length)
    tail /= np.sqrt((tail**2).sum(1, keepdims=True))
    return torch.from_numpy(tail.astype(np.float32))


def _in_room(send: Wave, rate: int) -> NDArray[np.float32]:
    response = _room(rate)
    size = len(send) + response.shape[1]
    size += -size % 512  # a length that the FFT likes
    wet = torch.fft.irfft(torch.fft.rfft(torch.from_numpy(send), size) * torch.fft.rfft(response, size), size)
    return wet[:, : len(send)].numpy()
