"""A script as a score again: every script that the grammar allows is one."""

from dataclasses import dataclass

import numpy as np

from counterpoint.data.corpus.compose import GAINS, PANS
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.grid import Grid, Swing
from counterpoint.data.events.script import Bar, Changes, Script, Strike, accent, chord_at, chords_of, root_pitch, strikes_of
from counterpoint.music import ROLES, UNKNOWN_STYLE, ChordSpan, Key, Metre, Note, Score, Section, Track

DRUM_SECONDS = 0.1
_SHORTEST = 0.06
"""Seconds that a note lasts at least."""


@dataclass(frozen=True)
class Head:
    """What the head of a line tells; `programs` are by the players' numbers in ROLES."""

    style: str
    mood: str | None
    key: Key
    metre: Metre
    tempo: float
    swing: Swing
    programs: dict[int, int]

    @staticmethod
    def of(tokens: tuple[int, ...]) -> "Head":
        """Read a whole head."""
        style, mood, key, metre, tempo, swing = (v.number_of(token) for token in tokens[: len(v.HEAD)])
        programs: dict[int, int] = {}
        role = 0
        for token in tokens[len(v.HEAD) :]:
            if v.kind_of(token) == "role":
                role = v.number_of(token)
                programs[role] = 0
            else:
                programs[role] = v.number_of(token)
        return Head(
            v.STYLES[style] if style < len(v.STYLES) - 1 else UNKNOWN_STYLE, v.MOODS[mood],
            Key(key % 12, "minor" if key >= 12 else "major"), Metre.parse(v.METRES[metre]), float(tempo + v.SLOWEST),
            v.SWINGS[swing], programs,
        )  # fmt: skip


def read(script: Script, seconds: float, tempo: float | None = None, grid: Grid | None = None) -> Score:
    """The score of a script; `tempo` is the exact one where it is known, `grid` that of a score which the script goes on."""
    head = Head.of(script.head)
    tempo = head.tempo if tempo is None else tempo
    grid = grid or Grid.steady(tempo, head.metre, head.swing)
    changes = [chords_of(bar.front, head.key.tonic) for bar in script.bars]
    count = len(script.bars)
    beats = grid.seconds(np.arange(count * head.metre.beats, dtype=np.float64) * v.TICKS)
    tracks = [
        Track(ROLES[role], program, notes, pan=PANS[ROLES[role]], gain=GAINS[ROLES[role]])
        for role, program in head.programs.items()
        if (notes := _notes(script.bars, role, changes, head, grid, seconds))
    ]
    return Score(
        seconds=seconds,
        style=head.style,
        bpm=tempo,
        metre=head.metre,
        key=head.key,
        beats=_within(beats, seconds),
        downbeats=_within(beats[:: head.metre.beats], seconds),
        chords=_spans(changes, grid, seconds),
        tracks=tuple(tracks),
        sections=_sections(script.bars, grid, seconds),
        mood=head.mood,
    )


def _within(times: np.ndarray, seconds: float) -> tuple[float, ...]:
    return tuple(time for time in times.tolist() if -1e-6 < time < seconds - 1e-6)


def _notes(
    bars: tuple[Bar, ...], role: int, changes: list[Changes], head: Head, grid: Grid, seconds: float
) -> tuple[Note, ...]:
    placed: list[tuple[int, Strike, int]] = []
    for index, bar in enumerate(bars):
        for strike in strikes_of(bar.parts.get(role, ())):
            base = root_pitch(chord_at(changes[index], strike.tick), head.key.tonic) + v.LOWEST_PITCH
            placed.append((index * grid.bar + strike.tick, strike, 0 if role == v.DRUMS else base))
    starts = grid.seconds(np.array([tick for tick, _, _ in placed], np.float64)).tolist()
    ends = grid.seconds(np.array([tick + strike.length for tick, strike, _ in placed], np.float64)).tolist()
    notes: list[Note] = []
    for (tick, strike, base), start, end in zip(placed, starts, ends, strict=True):
        start = max(0.0, start)
        end = start + DRUM_SECONDS if role == v.DRUMS else max(end, start + _SHORTEST)
        velocity = min(max(round(strike.loud * accent(tick % grid.bar, head.metre)), 1), 127)
        if start < seconds - 0.02:
            pitches = dict.fromkeys(_in_range(number + base) for number in strike.notes)
            notes += [Note(start, min(end, seconds), pitch, velocity) for pitch in pitches]
    return untangled(notes)


def _in_range(pitch: int) -> int:
    """The pitch moved by octaves into those of MIDI."""
    while pitch < 0:
        pitch += 12
    while pitch > 127:
        pitch -= 12
    return pitch


def untangled(notes: list[Note]) -> tuple[Note, ...]:
    """Notes in order of onset, a pitch ending where it is struck again."""
    following: dict[int, float] = {}
    kept: list[Note] = []
    for note in sorted(notes, key=lambda note: (note.start, note.pitch), reverse=True):
        limit = following.get(note.pitch, float("inf"))
        if limit > note.start:
            kept.append(Note(note.start, min(note.end, limit), note.pitch, note.velocity))
            following[note.pitch] = note.start
    return tuple(reversed(kept))


def _spans(changes: list[Changes], grid: Grid, seconds: float) -> tuple[ChordSpan, ...]:
    """The chords of all bars, neighbours that are alike as one."""
    flat = [(bar * grid.bar + tick, chord) for bar, chords in enumerate(changes) for tick, chord in chords]
    flat = [change for i, change in enumerate(flat) if i == 0 or change[1] != flat[i - 1][1]]
    times = grid.seconds(np.array([tick for tick, _ in flat], np.float64)).clip(0).tolist()
    ends = [*times[1:], seconds]
    spans = [ChordSpan(start, min(end, seconds), chord) for (_, chord), start, end in zip(flat, times, ends, strict=True)]
    return tuple(span for span in spans if span.start < seconds - 1e-6)


def _sections(bars: tuple[Bar, ...], grid: Grid, seconds: float) -> tuple[Section, ...]:
    """Sections from where each is named to the next."""
    named = [
        (bar * grid.bar, v.SECTIONS[v.number_of(token)])
        for bar, content in enumerate(bars)
        for token in content.front
        if v.kind_of(token) == "section"
    ]
    times = grid.seconds(np.array([tick for tick, _ in named], np.float64)).clip(0).tolist()
    ends = [*times[1:], seconds]
    if not named:
        return ()
    spans = [Section(start, min(end, seconds), name) for (_, name), start, end in zip(named, times, ends, strict=True)]
    return tuple(section for section in spans if section.start < seconds - 1e-6)
