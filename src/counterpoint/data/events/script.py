"""A score as a script: its head and its bars, each player's part of a bar spelled in full, and back.

Onsets go to the nearest tick of a twelfth of a beat, straightened; velocities are spelled as if all notes were on the beat,
since the composer plays softer off it; notes of one player that are struck together are one strike.
"""

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import sqrt
from typing import NamedTuple

import numpy as np

from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.grid import Grid
from counterpoint.music import PITCH_CLASSES, ROLES, Chord, Metre, Note, Score

_NEW_LOUDNESS = 12
"""A loudness is spelled again where the velocity, as on the beat, is so far from the one before."""


@dataclass(frozen=True)
class Bar:
    """What is spelled of a bar: its section and chords, and parts by the numbers of their players in ROLES."""

    front: tuple[int, ...]
    parts: dict[int, tuple[int, ...]]


@dataclass(frozen=True)
class Script:
    """A whole piece in symbols, nothing of it abbreviated."""

    head: tuple[int, ...]
    bars: tuple[Bar, ...]


class Strike(NamedTuple):
    """What one player strikes at once: tick in the bar, ticks that it lasts, velocity as on the beat, pitches or keys.

    Pitches count from the chord's root (`root_pitch`), percussion keys are as they are, each with its own velocity.
    """

    tick: int
    length: int
    loud: int
    notes: tuple[int, ...]


def accent(tick: int, metre: Metre) -> float:
    """How much softer than on the beat a note is at a tick of the bar, as the composer has it."""
    phase = tick % v.TICKS
    if phase == 0:
        return 1.0
    if metre.denominator == 8:
        return 0.62
    return 0.86 if phase == v.TICKS // 2 else 0.76


def root_pitch(chord: Chord | None, tonic: int) -> int:
    """How far above E1..D#2's place the root of a chord lies, -8 to 3: pitches are spelled without it."""
    return ((tonic if chord is None else chord.root) - 4) % 12 - 8


def chord_symbol(chord: Chord | None, tonic: int) -> list[int]:
    """A chord from the tonic, and its bass where it is not the root."""
    if chord is None:
        return [v.symbol("chord", v.NO_CHORD)]
    spelled = [v.symbol("chord", (chord.root - tonic) % 12 * len(v.CHORDS) + v.CHORDS.index(chord.quality))]
    if chord.bass is not None:
        spelled.append(v.symbol("inversion", (chord.bass - chord.root) % 12))
    return spelled


def write(score: Score) -> Script:
    """Spell a score.  A role's further players join its first, whose instrument is kept."""
    grid = Grid.of(score)
    count = grid.bars(score.seconds)
    chords = _chords(score, grid, count)
    sections = {round(_tick(section.start, grid) / grid.bar): section.name for section in score.sections}
    parts: list[dict[int, tuple[int, ...]]] = [{} for _ in range(count)]
    for role in range(len(ROLES)):
        for bar, strikes in _strikes(score, grid, count, role).items():
            parts[bar][role] = _spell_part(strikes, role, chords[bar], score.key.tonic)
    bars = [Bar(_front(sections.get(bar), chords[bar], score.key.tonic), parts[bar]) for bar in range(count)]
    return Script(_head(score, grid), tuple(bars))


def _head(score: Score, grid: Grid) -> tuple[int, ...]:
    style = score.style if score.style in v.STYLES else v.STYLES[-1]
    mood = score.mood if score.mood in v.MOODS else None
    tempo = min(max(round(score.bpm), v.SLOWEST), v.FASTEST)
    numbers = (
        v.STYLES.index(style), v.MOODS.index(mood), score.key.number,
        v.METRES.index(score.metre.name), tempo - v.SLOWEST, v.SWINGS.index(grid.swing),
    )  # fmt: skip
    head = [v.symbol(kind, number) for kind, number in zip(v.HEAD, numbers, strict=True)]
    for number, role in enumerate(ROLES):
        track = score.track(role)
        if track is not None:
            head += [v.symbol("role", number)] + ([] if role == "drums" else [v.symbol("program", track.program)])
    return tuple(head)


def _tick(seconds: float, grid: Grid) -> int:
    return round(float(grid.ticks(np.array([seconds], np.float64))[0]))


Changes = list[tuple[int, Chord | None]]
"""The chords of a bar: the tick where each begins, the first always 0."""


def _chords(score: Score, grid: Grid, count: int) -> list[Changes]:
    starts = [(_tick(span.start, grid), span.chord) for span in score.chords if span.end > span.start]
    if score.chords and score.chords[-1].end < score.seconds - 1e-3:
        starts.append((_tick(score.chords[-1].end, grid), None))
    return by_bar(starts, grid.bar, count)


def by_bar(starts: Changes, bar: int, count: int) -> list[Changes]:
    """Chords and the ticks where they begin, as those of `count` bars of `bar` ticks each."""
    bars: list[Changes] = []
    sounding: Chord | None = None
    for first in range(0, count * bar, bar):
        changes = {tick - first: chord for tick, chord in starts if first <= tick < first + bar}
        kept: Changes = [] if 0 in changes else [(0, sounding)]
        for tick, chord in sorted(changes.items(), key=lambda change: change[0]):
            if not kept or kept[-1][1] != chord:
                kept.append((tick, chord))
        sounding = kept[-1][1]
        bars.append(kept)
    return bars


def _front(section: str | None, chords: Changes, tonic: int) -> tuple[int, ...]:
    front: list[int] = []
    if section is not None:
        name = section.lower()
        front.append(v.symbol("section", v.SECTIONS.index(name if name in v.SECTIONS else v.SECTIONS[-1])))
    return (*front, *spell_chords(chords, tonic))


def spell_chords(chords: Changes, tonic: int) -> tuple[int, ...]:
    """The chords of a bar, each but the first after its position."""
    spelled: list[int] = []
    for tick, chord in chords:
        spelled += ([v.symbol("position", tick)] if tick else []) + chord_symbol(chord, tonic)
    return tuple(spelled)


def chord_at(chords: Changes, tick: int) -> Chord | None:
    """The chord that sounds at a tick of the bar."""
    return next((chord for start, chord in reversed(chords) if start <= tick), None)


def bar_of(notes: tuple[Note, ...], grid: Grid, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The bar of each note's onset and its tick there; what is late past the end stays in the last bar."""
    onsets = np.round(grid.ticks(np.array([note.start for note in notes], np.float64))).astype(int)
    onsets = onsets.clip(0, count * grid.bar - 1)
    return np.divmod(onsets, grid.bar)


def _strikes(score: Score, grid: Grid, count: int, role: int) -> dict[int, list[Strike]]:
    """The strikes of each bar in which the role plays."""
    notes = tuple(note for track in score.tracks if track.role == ROLES[role] for note in track.notes)
    bars, ticks = bar_of(notes, grid, count)
    ends = grid.ticks(np.array([note.end for note in notes], np.float64))
    gathered: dict[int, list[Strike]] = {}
    for note, bar, tick, end in zip(notes, bars.tolist(), ticks.tolist(), ends.tolist(), strict=True):
        loud = round(note.velocity / accent(tick, score.metre))
        lasts = _nearest_length(end - tick - bar * grid.bar)
        gathered.setdefault(bar, []).append(Strike(tick, lasts, loud, (note.pitch,)))
    return {bar: _together(strikes, role) for bar, strikes in gathered.items()}


_BETWEEN = tuple(sqrt(short * long) for short, long in pairwise(v.LENGTHS))


def _nearest_length(ticks: float) -> int:
    return bisect(_BETWEEN, ticks)


def _together(strikes: list[Strike], role: int) -> list[Strike]:
    """Notes of one onset and length as one strike; of two alike, the louder is kept.  Hits stay single."""
    if role == v.DRUMS:
        hits: dict[tuple[int, int], Strike] = {}
        for strike in sorted(strikes, key=lambda strike: strike.loud):
            hits[strike.tick, strike.notes[0]] = strike
        return [hits[place] for place in sorted(hits)]
    joined: list[Strike] = []
    taken: set[tuple[int, int]] = set()
    ordered = sorted(strikes, key=lambda strike: (strike.tick, strike.length))
    for (tick, length), group in groupby(ordered, key=lambda strike: (strike.tick, strike.length)):
        members = list(group)
        notes = tuple(sorted({s.notes[0] for s in members} - {pitch for at, pitch in taken if at == tick}))
        taken |= {(tick, pitch) for pitch in notes}
        if notes:
            joined.append(Strike(tick, length, round(sum(s.loud for s in members) / len(members)), notes))
    return joined


def _spell_part(strikes: list[Strike], role: int, chords: Changes, tonic: int) -> tuple[int, ...]:
    spelled: list[int] = []
    tick = length = loud = -1
    known: list[tuple[int, ...]] = []
    for strike in strikes:
        if strike.tick != tick or role != v.DRUMS:
            spelled.append(v.symbol("position", strike.tick))
        tick = strike.tick
        if role == v.DRUMS:
            spelled.append(v.symbol("hit", _hit(strike.notes[0], strike.loud)))
            continue
        step = min(strike.loud // v.LOUD, v.LOUDEST)
        if loud < 0 or (abs(strike.loud - loud) > _NEW_LOUDNESS and _loudness(step) != loud):
            loud = _loudness(step)
            spelled.append(v.symbol("loud", step))
        if strike.length != length:
            length = strike.length
            spelled.append(v.symbol("length", length))
        base = root_pitch(chord_at(chords, tick), tonic)
        spelled += _spell_notes(tuple(pitch - base - v.LOWEST_PITCH for pitch in strike.notes), known)
    return tuple(spelled)


def _hit(key: int, loud: int) -> int:
    key = min(max(key, v.LOWEST_HIT), v.LOWEST_HIT + v.HITS - 1)
    return (key - v.LOWEST_HIT) * len(v.HIT_LEVELS) + sum(loud >= edge for edge in v.HIT_EDGES)


def _loudness(step: int) -> int:
    return step * v.LOUD + v.LOUD // 2


def _spell_notes(numbers: tuple[int, ...], known: list[tuple[int, ...]]) -> list[int]:
    """Pitches in full, or as a chord that the part has struck before in this bar."""
    if numbers in known:
        return [v.symbol("same", known.index(numbers))]
    learn(numbers, known)
    return [v.symbol("pitch", number) for number in numbers]


def learn(numbers: tuple[int, ...], known: list[tuple[int, ...]]) -> None:
    """Note a chord that was struck, so that it can be struck again."""
    if len(numbers) > 1 and numbers not in known and len(known) < v.REPEATED:
        known.append(numbers)


def strikes_of(part: tuple[int, ...]) -> Iterator[Strike]:
    """The strikes that a part spells; pitches are numbers of their symbols, hits keys with the velocity of their level."""
    tick = length = loud = 0
    known: list[tuple[int, ...]] = []
    for kind, group in groupby(part, key=v.kind_of):
        numbers = tuple(v.number_of(token) for token in group)
        match kind:
            case "position":
                tick = numbers[-1]
            case "loud":
                loud = _loudness(numbers[-1])
            case "length":
                length = v.LENGTHS[numbers[-1]]
            case "hit":
                for key, level in (divmod(number, len(v.HIT_LEVELS)) for number in numbers):
                    yield Strike(tick, 0, v.HIT_LEVELS[level], (key + v.LOWEST_HIT,))
            case "same":
                yield Strike(tick, length, loud, known[numbers[0]])
            case "pitch":
                learn(numbers, known)
                yield Strike(tick, length, loud, numbers)
            case _:
                raise AssertionError(f"{kind} in a part")


def chords_of(front: tuple[int, ...], tonic: int) -> Changes:
    """The chords that the front of a bar spells."""
    chords: Changes = []
    tick = 0
    for token in front:
        kind, number = v.kind_of(token), v.number_of(token)
        if kind == "position":
            tick = number
        elif kind == "chord":
            degree, quality = divmod(number, len(v.CHORDS))
            chord = None if number == v.NO_CHORD else Chord((degree + tonic) % len(PITCH_CLASSES), v.CHORDS[quality])
            chords.append((tick, chord))
        elif kind == "inversion":
            root, quality = _whole(chords[-1][1])
            chords[-1] = (tick, Chord(root, quality, (root + number) % 12))
    return chords


def _whole(chord: Chord | None) -> tuple[int, str]:
    assert chord is not None, "an inversion of no chord"
    return chord.root, chord.quality
