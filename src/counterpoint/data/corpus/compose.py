"""The composer: from a brief, a length and a seed to a complete score."""

from collections.abc import Callable
from math import floor

import numpy as np
from numpy.random import Generator

from counterpoint.data.corpus.bass import play_bass
from counterpoint.data.corpus.comping import play_comp, play_pad
from counterpoint.data.corpus.groove import play_drums
from counterpoint.data.corpus.melody import play_melody
from counterpoint.data.corpus.players import Event
from counterpoint.data.corpus.sheet import Sheet, lead_sheet
from counterpoint.music import ROLES, Brief, ChordSpan, Note, Score, Section, Track
from counterpoint.rng import mix

_PLAYERS: dict[str, Callable[[Sheet, Generator], list[Event]]] = {
    "melody": play_melody,
    "bass": play_bass,
    "comp": play_comp,
    "pad": play_pad,
    "drums": play_drums,
}
GAINS = {"melody": 1.0, "bass": 0.5, "comp": 0.52, "pad": 0.3, "drums": 0.7}
PANS = {"melody": 0.0, "bass": 0.0, "comp": 0.35, "pad": -0.3, "drums": 0.0}
_DRUM_SECONDS = 0.1
_DEVIATION = 0.009
"""No onset lies further from the grid than this, in seconds."""


def compose(brief: Brief, seconds: float, seed: int) -> Score:
    """Write a piece of `seconds`: what the brief states is obeyed, the rest drawn; the same arguments give the same score.

    It begins on a down-beat and is cut where time is up.  Raises ValueError for a brief that cannot be met.
    """
    sheet = lead_sheet(brief, seconds, np.random.default_rng(mix(seed, 0)))
    side = 1 if mix(seed, 1) % 2 else -1
    tracks: list[Track] = []
    for index, role in enumerate(ROLES, start=2):
        if role not in sheet.programs:
            continue
        rng = np.random.default_rng(mix(seed, index))
        notes = _perform(_PLAYERS[role](sheet, rng), role, sheet, rng)
        if notes:
            tracks.append(Track(role, sheet.programs[role], notes, pan=side * PANS[role], gain=GAINS[role]))
    at = sheet.grid.bpm / 60
    total = sheet.metre.beats
    beats = tuple(beat / at for beat in range(sheet.bars * total) if beat / at < seconds - 1e-6)
    return Score(
        seconds=seconds,
        style=sheet.style.name,
        bpm=sheet.grid.bpm,
        metre=sheet.metre,
        key=sheet.key,
        beats=beats,
        downbeats=beats[::total],
        chords=_spans(sheet),
        tracks=tuple(tracks),
        sections=tuple(
            Section(part.first * total / at, min(seconds, part.last * total / at), part.name) for part in sheet.parts
        ),
        mood=sheet.mood,
    )


def _spans(sheet: Sheet) -> tuple[ChordSpan, ...]:
    spans: list[ChordSpan] = []
    for slot in sheet.harmony.slots:
        start, end = slot.start * 60 / sheet.grid.bpm, min(sheet.seconds, slot.end * 60 / sheet.grid.bpm)
        if start < sheet.seconds - 1e-6:
            spans.append(ChordSpan(start, end, slot.chord))
    return tuple(spans)


def _perform(events: list[Event], role: str, sheet: Sheet, rng: Generator) -> tuple[Note, ...]:
    """Events as notes in seconds: swung, humanised, shaped by the section, without stumps or overlaps of one pitch.

    A last beat that is cut short by more than half gets no new notes; what sounds before it rings on.
    """
    whole = floor(sheet.beats + 1e-6)
    curfew = whole if sheet.beats - whole < 0.5 else sheet.beats - 0.25
    notes: list[Note] = []
    events = sorted(event for event in events if event.beat < curfew - 1e-6 or curfew < 1)
    jitter = np.clip(rng.normal(0.0, sheet.style.looseness / 1000, len(events)), -0.008, 0.008)
    accents = rng.normal(0.0, 0.03, len(events))
    for event, late, accent in zip(events, jitter.tolist(), accents.tolist(), strict=True):
        on_grid = sheet.grid.seconds(event.beat)
        shift = max(-_DEVIATION, min(_DEVIATION, late + event.late / 1000))
        start = max(0.0, on_grid + shift)
        end = start + _DRUM_SECONDS
        if role != "drums":
            rings = event.beat + event.length >= curfew - 1e-6
            end = sheet.seconds if rings else max(start + 0.06, sheet.grid.seconds(event.beat + event.length))
        loud = (event.level + accent) * _metric(event.beat, sheet)
        if role != "drums":
            loud *= 0.72 + 0.28 * sheet.intensity(int(event.beat / sheet.metre.beats + 1e-6))
        velocity = int(max(1, min(127, round(127 * loud))))
        if start < sheet.seconds - 0.02:
            notes.append(Note(start, min(end, sheet.seconds), event.pitch, velocity))
    return _untangled(notes)


def _metric(beat: float, sheet: Sheet) -> float:
    """How much softer a note is off the beat: the pulse that listeners tap to."""
    phase = beat % 1
    if phase < 1e-6:
        return 1.0
    if sheet.metre.denominator == 8:
        return 0.62
    return 0.86 if abs(phase - 0.5) < 1e-6 else 0.76


def _untangled(notes: list[Note]) -> tuple[Note, ...]:
    """Notes in order of onset, a pitch ending where it is struck again."""
    notes.sort(key=lambda note: (note.start, note.pitch))
    following: dict[int, float] = {}
    kept: list[Note] = []
    for note in reversed(notes):
        limit = following.get(note.pitch, float("inf"))
        following[note.pitch] = note.start
        if limit - note.start > 0.02:
            kept.append(Note(note.start, min(note.end, limit), note.pitch, note.velocity))
    return tuple(reversed(kept))
