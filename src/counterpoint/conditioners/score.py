"""A score -> frames: the plan that small compute turns into music (who plays which pitch when, chords, drums, the grid).

`paint` lays a score onto a frame grid; the conditioner projects the painting.  Per pitched role there are two piano-rolls:
what sounds, and how freshly it was struck (1 at the onset, then decaying), so that a frame knows the age of each note.  A frame
of 40 ms is coarse for rhythm, so onsets also mark one of four sub-frame slots.
"""

import math
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator
from torch import nn

from counterpoint.conditioners.base import Conditioner
from counterpoint.config import Config
from counterpoint.music import ROLES, Chord, Note, Score, Track
from counterpoint.types import Cond, Roll, Spec

PITCHED: dict[str, tuple[int, int]] = {"melody": (36, 97), "bass": (21, 61), "comp": (33, 97), "pad": (33, 97)}
"""The range of MIDI pitches painted for each role; notes outside are folded into it by octaves."""

KIT: tuple[tuple[int, ...], ...] = (
    (35, 36), (38, 40), (37, 39), (42, 44), (46,), (49, 52, 55, 57), (51, 53, 59), (41, 43, 45), (47, 48, 50),
    (54, 69, 70, 82), (60, 61, 62, 63, 64), (56, 65, 66, 67, 68, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81),
)  # fmt: skip
"""Percussion keys that sound alike: kick, snare, rim and clap, closed and open hat, crash, ride, low and high toms, shakers,
hand drums, other."""

SLOTS = 4
_TOLERANCE = 1e-6  # of a frame
FRESH_SECONDS = 0.3
"""Time constant of the "freshly struck" rolls."""

STYLES = (
    "pop", "rock", "funk", "swing", "bossa nova", "blues", "reggae", "house", "techno", "ambient", "lo-fi", "hip-hop", "waltz",
    "classical piano", "cinematic strings", "folk", "metal", "latin",
)  # fmt: skip
_HARMONY = 12 + 12 + 12 + 1  # root, chord tones, bass, no chord
_GRID = 4  # sine and cosine of the phase in the beat and in the bar

FRAME_CHANNELS = sum(2 * (high - low) + SLOTS for low, high in PITCHED.values()) + len(KIT) * SLOTS + _HARMONY + _GRID
VECTOR_CHANNELS = 1 + len(STYLES) + 128 * len(PITCHED) + len(ROLES) + 3


def paint(score: Score, rate: float, frames: int) -> Roll:
    """The score on `frames` frames of 1 / `rate` seconds: 0..255 per channel, and a vector for the whole clip."""
    parts = [_pitched(score, role, rate, frames) for role in PITCHED]
    parts += [_drums(score, rate, frames), _harmony(score, rate, frames), _grid(score, rate, frames)]
    painted = np.concatenate(parts, axis=1)
    return Roll(np.round(255 * painted.clip(0, 1)).astype(np.uint8), _vector(score))


def _tracks(score: Score, role: str) -> list[Track]:
    return [track for track in score.tracks if track.role == role]


def _fold(pitch: int, low: int, high: int) -> int:
    """`pitch` moved by octaves into [low, high), counted from low."""
    if pitch < low:
        pitch += 12 * -(-(low - pitch) // 12)
    if pitch >= high:
        pitch -= 12 * -(-(pitch - high + 1) // 12)
    return pitch - low


def _frame(seconds: float, rate: float, up: bool = False) -> int:
    """The frame that holds an instant, or with `up` the first that begins at or after it, give or take a rounding error."""
    frames = seconds * rate
    return math.ceil(frames - _TOLERANCE) if up else math.floor(frames + _TOLERANCE)


def _pitched(score: Score, role: str, rate: float, frames: int) -> NDArray[np.float32]:
    low, high = PITCHED[role]
    size = high - low
    painted = np.zeros((frames, 2 * size + SLOTS), np.float32)
    sounding, fresh, slots = painted[:, :size], painted[:, size : 2 * size], painted[:, 2 * size :]
    for note in sorted((note for track in _tracks(score, role) for note in track.notes), key=lambda note: note.start):
        first = _frame(note.start, rate)
        last = min(frames, max(_frame(note.end, rate, up=True), first + 1))
        if not 0 <= first < frames:
            continue
        row, level = _fold(note.pitch, low, high), note.velocity / 127
        covered = np.minimum(np.arange(first, last) + 1, note.end * rate) - np.maximum(
            np.arange(first, last), note.start * rate
        )
        sounding[first:last, row] = np.maximum(sounding[first:last, row], level * covered.clip(0.1, 1))
        age = np.arange(last - first) / rate
        fresh[first:last, row] = level * np.exp(-age / FRESH_SECONDS)
        _mark_slot(slots, note, rate, first, level)
    return painted


def _mark_slot(slots: NDArray[np.float32], note: Note, rate: float, frame: int, level: float) -> None:
    slot = min(SLOTS - 1, int(max(0.0, note.start * rate - frame) * SLOTS))
    slots[frame, slot] = max(slots[frame, slot], level)


def _drums(score: Score, rate: float, frames: int) -> NDArray[np.float32]:
    painted = np.zeros((frames, len(KIT), SLOTS), np.float32)
    row = {key: i for i, keys in enumerate(KIT) for key in keys}
    for note in (note for track in _tracks(score, "drums") for note in track.notes):
        frame = _frame(note.start, rate)
        if 0 <= frame < frames:
            _mark_slot(painted[:, row.get(note.pitch, len(KIT) - 1)], note, rate, frame, note.velocity / 127)
    return painted.reshape(frames, -1)


def _harmony(score: Score, rate: float, frames: int) -> NDArray[np.float32]:
    painted = np.zeros((frames, _HARMONY), np.float32)
    for span in score.chords:
        here = slice(max(0, round(span.start * rate)), min(frames, round(span.end * rate)))
        painted[here, _harmony_channels(span.chord)] = 1
    return painted


def _harmony_channels(chord: Chord | None) -> list[int]:
    if chord is None:
        return [36]
    bass = chord.root if chord.bass is None else chord.bass
    return [chord.root, *(12 + pitch_class for pitch_class in chord.pitch_classes), 24 + bass]


def _grid(score: Score, rate: float, frames: int) -> NDArray[np.float32]:
    """Sine and cosine of beat and bar phase at each frame's middle, mapped into [0, 1]."""
    now = (np.arange(frames, dtype=np.float64) + 0.5) / rate
    beat = 60 / score.bpm
    phases = (_phase(now, score.beats, beat), _phase(now, score.downbeats, beat * score.metre.beats))
    columns = [wave(2 * np.pi * phase) for phase in phases for wave in (np.sin, np.cos)]
    return (0.5 + 0.5 * np.stack(columns, axis=1)).astype(np.float32)


def _phase(now: NDArray[np.float64], marks: tuple[float, ...], interval: float) -> NDArray[np.float64]:
    """How far between two marks, in [0, 1); before the first and after the last they go on at `interval` seconds."""
    marks = marks or (0.0,)
    before = math.ceil(max(0.0, marks[0]) / interval)
    after = math.ceil(max(0.0, now[-1] - marks[-1]) / interval)
    line = [marks[0] - i * interval for i in range(before, 0, -1)] + list(marks)
    line += [marks[-1] + i * interval for i in range(1, after + 1)]
    return np.interp(now, line, np.arange(len(line))) % 1.0


def _vector(score: Score) -> NDArray[np.float32]:
    """Tempo, style, metre, the roles that play and their instruments."""
    vector = np.zeros(VECTOR_CHANNELS, np.float32)
    vector[0] = np.log2(score.bpm / 100)
    if score.style in STYLES:
        vector[1 + STYLES.index(score.style)] = 1
    instruments = 1 + len(STYLES)
    for i, role in enumerate(PITCHED):
        for track in _tracks(score, role):
            vector[instruments + 128 * i + track.program] = 1
    roles = instruments + 128 * len(PITCHED)
    for i, role in enumerate(ROLES):
        vector[roles + i] = float(bool(_tracks(score, role)))
    vector[roles + len(ROLES) + ("4/4", "3/4", "6/8").index(score.metre.name)] = 1
    return vector


class ScoreConfig(Config):
    """Sizes of the projection."""

    kind: Literal["score"] = "score"
    channels: int = 192
    """Condition channels e handed to the input of the backbone."""

    def build(self, width: int) -> "ScoreFrames":
        return ScoreFrames(self, width)


OptionalScore = Annotated[ScoreConfig | None, BeforeValidator(lambda value: None if value == "none" else value)]
"""How a system is told a score, if it is: TOML has no null, so that recipes write "none"."""


class ScoreFrames(Conditioner):
    """Score | Roll | None -> frames "b t e" and vector "b h"."""

    def __init__(self, config: ScoreConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(FRAME_CHANNELS, config.channels)
        self.neighbours = nn.Conv1d(config.channels, config.channels, kernel_size=5, padding=2)
        self.vector = nn.Linear(VECTOR_CHANNELS, width)
        self.null_frame = nn.Parameter(torch.zeros(config.channels))
        self.null_vector = nn.Parameter(torch.zeros(width))

    def forward(self, values: list[Score | Roll | None], spec: Spec, frames: int) -> Cond:
        rolls = [paint(value, spec.rate, frames) if isinstance(value, Score) else value for value in values]
        painted, vectors, told = self._stack(rolls, frames)
        real = painted.any(-1, keepdim=True)  # a painted frame tells at least where it lies in its bar, a padded one nothing
        x = self.project(painted) * real
        x = x + torch.nn.functional.gelu(self.neighbours(x.transpose(1, 2)).transpose(1, 2))  # b t e
        return Cond(
            frames=torch.where(told[:, None, None], x, self.null_frame.to(x.dtype)),
            vector=torch.where(told[:, None], self.vector(vectors), self.null_vector.to(x.dtype)),
        )

    def _stack(self, rolls: list[Roll | None], frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        blank = Roll(np.zeros((frames, FRAME_CHANNELS), np.uint8), np.zeros(VECTOR_CHANNELS, np.float32))
        device, present = self.null_frame.device, [roll or blank for roll in rolls]
        if any(roll.frames.shape != (frames, FRAME_CHANNELS) for roll in present):
            raise ValueError(f"A painted score must have {frames} frames of {FRAME_CHANNELS} channels, like the canvas.")
        painted = torch.from_numpy(np.stack([roll.frames for roll in present])).to(device).float() / 255
        vectors = torch.from_numpy(np.stack([roll.vector for roll in present])).to(device).float()
        return painted, vectors, torch.tensor([roll is not None for roll in rolls], device=device)
