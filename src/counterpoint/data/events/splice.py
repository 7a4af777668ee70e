"""A score of which some bars stay as they are and the others come from another score on the same grid."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from counterpoint.data.events.grid import Grid
from counterpoint.data.events.script import bar_of
from counterpoint.music import ROLES, ChordSpan, Note, Score, Section, Track

_RINGING = 0.05
"""Seconds for which a kept note has to sound on for a new one of its pitch to be left out."""


def splice(kept: Score, made: Score, given: set[int], grid: Grid) -> Score:
    """`made` with the bars `given` as `kept` has them: its notes that begin there, bit for bit, its chords and sections.

    Both follow `grid`.  A new note ends where a kept one of its pitch begins, and is left out where one still sounds.
    """
    count = grid.bars(made.seconds)
    tracks: list[Track] = []
    for role in ROLES:
        own = [track for track in kept.tracks if track.role == role]
        new = made.track(role)
        stay = [replace(track, notes=_notes(track.notes, grid, count, given.__contains__)) for track in own]
        come = () if new is None else _notes(new.notes, grid, count, lambda bar: bar not in given)
        if not stay and new is not None:
            stay = [replace(new, notes=())]
        if stay:
            come = () if new is None else _beside(come, [note for track in stay for note in track.notes])
            stay[0] = replace(stay[0], notes=tuple(sorted((*stay[0].notes, *come), key=lambda n: (n.start, n.pitch))))
        tracks += [track for track in stay if track.notes]
    known = [time for time in kept.beats if time < made.seconds - 1e-6]
    counted = [time for time in made.beats if not known or time > known[-1] + 15 / made.bpm]
    firsts = [time for time in kept.downbeats if time < made.seconds - 1e-6]
    barred = [time for time in made.downbeats if not firsts or time > firsts[-1] + 15 / made.bpm]
    return replace(
        kept,
        seconds=made.seconds,
        beats=(*known, *counted),
        downbeats=(*firsts, *barred),
        tracks=tuple(tracks),
        chords=_chords(kept, made, given, grid, count),
        sections=_sections(kept, made, given, grid),
    )


def _notes(notes: tuple[Note, ...], grid: Grid, count: int, wanted: Callable[[int], bool]) -> tuple[Note, ...]:
    bars, _ = bar_of(notes, grid, count)
    return tuple(note for note, bar in zip(notes, bars.tolist(), strict=True) if wanted(bar))


def _beside(new: tuple[Note, ...], kept: list[Note]) -> tuple[Note, ...]:
    """New notes that leave the kept ones of their pitch alone."""
    beside: list[Note] = []
    for note in new:
        same = [other for other in kept if other.pitch == note.pitch]
        if any(other.start <= note.start < other.end - _RINGING for other in same):
            continue
        limit = min((other.start for other in same if other.start > note.start), default=note.end)
        beside.append(replace(note, end=min(note.end, limit)))
    return tuple(beside)


def _chords(kept: Score, made: Score, given: set[int], grid: Grid, count: int) -> tuple[ChordSpan, ...]:
    """Bar by bar from the one or the other, neighbours that are alike as one."""
    bounds = grid.seconds(np.arange(count + 1, dtype=np.float64) * grid.bar).clip(0, made.seconds).tolist()
    spans: list[ChordSpan] = []
    for bar in range(count):
        start, end = bounds[bar], bounds[bar + 1]
        for span in (kept if bar in given else made).chords:
            first, last = max(span.start, start), min(span.end, end)
            if last - first < 1e-6:
                continue
            if spans and spans[-1].chord == span.chord and abs(spans[-1].end - first) < 1e-6:
                spans[-1] = replace(spans[-1], end=last)
            else:
                spans.append(ChordSpan(first, last, span.chord))
    return tuple(spans)


def _sections(kept: Score, made: Score, given: set[int], grid: Grid) -> tuple[Section, ...]:
    """Sections begin where the one or the other has them begin, and last until the next."""

    def bar(section: Section) -> int:
        return round(float(grid.ticks(np.array([section.start], np.float64))[0]) / grid.bar)

    begun = [section for section in kept.sections if bar(section) in given]
    begun += [section for section in made.sections if bar(section) not in given]
    begun.sort(key=lambda section: section.start)
    ends = [*(section.start for section in begun[1:]), made.seconds]
    return tuple(replace(section, end=end) for section, end in zip(begun, ends, strict=True)) if begun else ()
