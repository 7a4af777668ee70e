"""The plan of music of which a part is given: what is given stays written as it is, and what is to be made is written to fit.

A take brings the plan that it was played from; of any other sound what is heard is written down (`sketch`).  The bars that are
missing are then composed on the same grid: in the tempo, the metre and the key, over the chords as they recur, for the players
of what is given, unless the words ask for others.  A model that writes scores reads the given bars instead.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

import numpy as np

from counterpoint import planning
from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.analysis.hearing import hear
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.reading import read
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.events.grid import Grid
from counterpoint.data.events.vocabulary import SWINGS, TICKS
from counterpoint.editing import Task
from counterpoint.music import ROLES, Brief, Chord, ChordSpan, Note, Score, Section, Track
from counterpoint.planning import Plan
from counterpoint.sketch import assumed, sketch

Span = tuple[float, float]
ChordBeats = tuple[Chord | None, int]

SAME_LENGTH = 0.05
"""Seconds by which a take's plan and its audio may differ: beyond that, the file was cut since it was made."""
PERIODS = (4, 8, 2, 1)
"""Bars after which chords may recur, the likeliest first."""
LISTENED = 1.0
"""Seconds of a stretch that stays below which little can be heard in it."""
RECURS = 0.75
"""Share of the bars that have to be as those a period before."""


def make(text: str, task: Task, seed: int, planner: str = planning.RULES, anew: bool = False) -> Plan:
    """The plan of a task's whole length.  With `anew`, spans within a take are written anew, too, not only played anew.

    Where nothing is heard in what is given, it is a new composition.  Raises ValueError as `planning.make` does.
    """
    reading, own = read(text), _own(task)
    known = own or _heard(task, reading.brief)
    if known is None:
        plan = planning.make(text, task.seconds, seed, planner=planner)
        return replace(plan, note=f"nothing was heard in {task.source.name} that a plan could go on from")
    first, last = task.first / task.rate, task.first / task.rate + task.source.seconds
    gaps = [span for span in task.spans if anew or own is None or span[1] <= first or span[0] >= last]
    if planner != planning.RULES and not gaps:
        raise ValueError(
            f"The plan of {task.source.name} goes on as it is, so that {planner} has nothing to do; "
            "give a seed of the plan to have it written anew, or leave the planner out."
        )
    score = _moved(known.score, first)
    if gaps and not task.likeness:
        written = _written(score, gaps, task.seconds, text, reading.brief, seed, planner, known.complete)
        score = _merged(score, written, gaps, task.seconds)
    return Plan(score, reading.unknown, planning.overridden(score, reading.brief), known.note)


@dataclass(frozen=True)
class _Known:
    """The score of what is given, whether it tells who plays, and where it is from."""

    score: Score
    complete: bool
    note: str


def _own(task: Task) -> _Known | None:
    score = task.source.score
    if score is None or abs(score.seconds - task.source.seconds) > SAME_LENGTH:
        return None
    return _Known(score, True, f"the plan of {task.source.name} goes on")


def _heard(task: Task, words: Brief) -> _Known | None:
    """What is heard of what stays, each stretch by itself: silence between them would be heard as a slower pulse."""
    heard = _together(task)
    try:
        score = sketch(heard, words.style)
    except ValueError:
        return None
    unsure = "".join(f"; {said}" for said in assumed(heard))
    return _Known(score, False, f"the plan goes on from what is heard in {task.source.name}{unsure}")


def _together(task: Task) -> Heard:
    """Tempo and key are those of the longest stretch; stretches below LISTENED are left out where there are others."""
    last = task.first + task.source.audio.shape[-1]
    gaps = [] if task.likeness else [(max(task.first, start), min(last, end)) for start, end in task.gaps]
    edges = [task.first, *(edge for gap in gaps if gap[0] < gap[1] for edge in gap), last]
    runs = [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2) if edges[i] < edges[i + 1]]
    longest = max(runs, key=lambda run: run[1] - run[0])
    runs = [run for run in runs if run == longest or run[1] - run[0] >= LISTENED * task.rate]
    laid = task.laid().float()
    parts = {(start - task.first) / task.rate: hear(laid[:, start:end], task.rate) for start, end in runs}
    melody = np.zeros(ceil(task.source.seconds * MELODY_RATE) + 1, np.int16)
    for start, heard in parts.items():
        place = round(start * MELODY_RATE)
        melody[place : place + len(heard.melody)] = heard.melody[: len(melody) - place]

    def times(pick: Callable[[Heard], Sequence[float]]) -> tuple[float, ...]:
        return tuple(start + time for start, heard in parts.items() for time in pick(heard))

    main = parts[(longest[0] - task.first) / task.rate]
    chords = [
        ChordSpan(start + span.start, start + span.end, span.chord) for start, heard in parts.items() for span in heard.chords
    ]
    return Heard(
        seconds=task.source.seconds,
        tempo=main.tempo,
        beats=times(lambda heard: heard.beats),
        downbeats=times(lambda heard: heard.downbeats),
        key=main.key,
        chords=tuple(chords),
        melody=melody[:-1],
        drums={name: times(lambda heard, name=name: heard.drums[name]) for name in main.drums},
    )


def _moved(score: Score, later: float) -> Score:
    """The same music so many seconds later."""
    if later == 0:
        return score
    return replace(
        score,
        seconds=score.seconds + later,
        beats=tuple(time + later for time in score.beats),
        downbeats=tuple(time + later for time in score.downbeats),
        chords=tuple(replace(span, start=span.start + later, end=span.end + later) for span in score.chords),
        sections=tuple(replace(span, start=span.start + later, end=span.end + later) for span in score.sections),
        tracks=tuple(
            replace(track, notes=tuple(replace(n, start=n.start + later, end=n.end + later) for n in track.notes))
            for track in score.tracks
        ),
    )


# What is missing ------------------------------------------------------------------------------------------------------


def _written(
    known: Score,
    gaps: Sequence[Span],
    seconds: float,
    text: str,
    words: Brief,
    seed: int,
    planner: str,
    complete: bool,
) -> Score:
    """A score of the whole length on the grid of the known one; only its gaps count."""
    grid = replace(Grid.of(known), swing=SWINGS[0])
    bars = _missing(grid, gaps, seconds)
    if planner != planning.RULES:
        if sum(map(len, bars)) == grid.bars(seconds):
            raise ValueError(f"Less than half a bar is given, from which {planner} cannot go on; leave the planner out.")
        longer = replace(known, seconds=seconds, beats=_beats(grid, seconds), downbeats=_beats(grid, seconds, grid.metre.beats))
        for span in bars:
            longer = planning.load(planner).inpaint(longer, span, seed, text)
        return longer
    count = grid.bars(seconds)
    brief = _brief(known, words, complete)
    if brief.key == known.key:
        kept = [bar for bar in range(count) if not any(bar in span for span in bars)]
        brief = _with_chords(brief, [_bar(known, grid, bar) for bar in range(count)], kept)
    made = compose(brief, count * grid.metre.beats * 60 / known.bpm, seed)
    return _on(made, grid)


def _missing(grid: Grid, gaps: Sequence[Span], seconds: float) -> list[range]:
    """Bars of which a gap has half or more, as runs."""
    found: list[range] = []
    for bar in range(grid.bars(seconds)):
        start, end = (float(grid.seconds(np.array([place * grid.bar], np.float64))[0]) for place in (bar, bar + 1))
        start, end = max(0.0, start), min(seconds, end)
        missing = sum(max(0.0, min(end, stop) - max(start, first)) for first, stop in gaps)
        if missing < (end - start) / 2:
            continue
        if found and found[-1].stop == bar:
            found[-1] = range(found[-1].start, bar + 1)
        else:
            found.append(range(bar, bar + 1))
    return found


def _brief(known: Score, words: Brief, complete: bool) -> Brief:
    """What the words ask for, and where they are silent, what is given; tempo and metre are always given."""
    players = {track.role: track.program for track in known.tracks} | words.instruments
    silent = set(ROLES) - players.keys() if complete else {"drums"} - players.keys()
    return replace(
        words,
        style=words.style or (known.style if known.style in STYLES else None),
        mood=words.mood or known.mood,
        key=words.key or known.key,
        bpm=known.bpm,
        metre=known.metre,
        instruments={role: program for role, program in players.items() if role not in words.without},
        without=words.without | silent,
        chords=words.chords,
    )


def _bar(known: Score, grid: Grid, bar: int) -> tuple[ChordBeats, ...]:
    """The chords of a bar, each with the whole beats that it lasts."""
    length = grid.metre.beats
    parts: list[ChordBeats] = []
    for span in known.chords:
        start, end = (round(float(grid.beat(np.array([time]))[0])) - bar * length for time in (span.start, span.end))
        beats = min(length, end) - max(0, start)
        if beats > 0:
            parts.append((span.chord, beats))
    missing = length - sum(beats for _, beats in parts)
    return (*parts, (parts[-1][0] if parts else None, missing)) if missing > 0 else tuple(parts)


def _with_chords(brief: Brief, bars: list[tuple[ChordBeats, ...]], kept: Sequence[int]) -> Brief:
    """The brief with a chord sheet of all bars: those that are missing have the chords of a period before, or after."""
    if brief.chords or not any(chord for bar in kept for chord, _ in bars[bar]):
        return brief
    period = _period(bars, kept)
    sheet: list[ChordBeats] = []
    for bar in range(len(bars)):
        same = [other for other in kept if (other - bar) % period == 0] or kept
        sheet += bars[min(same, key=lambda other: (abs(other - bar), other > bar))]
    return replace(brief, chords=tuple(chord for chord, _ in sheet), chord_beats=tuple(float(beats) for _, beats in sheet))


def _period(bars: list[tuple[ChordBeats, ...]], kept: Sequence[int]) -> int:
    """Bars after which the chords that are kept recur; where they do not, as many as there are, of PERIODS."""
    for period in PERIODS:
        pairs = [(bar, bar + period) for bar in kept if bar + period in kept]
        if pairs and sum(bars[a] == bars[b] for a, b in pairs) >= RECURS * len(pairs):
            return period
    return max((period for period in PERIODS if period <= len(kept)), default=1)


def _beats(grid: Grid, seconds: float, every: int = 1) -> tuple[float, ...]:
    """Times of every beat, or of every bar, from 0 on."""
    ends = grid.beat(np.array([0.0, seconds]))
    places = [place for place in range(floor(ends[0]), ceil(ends[1]) + 1) if place % every == 0]
    times = grid.seconds(np.array(places, np.float64) * TICKS)
    return tuple(time for time in times.tolist() if -1e-6 <= time < seconds - 1e-6)


def _on(made: Score, grid: Grid) -> Score:
    """A composition at a steady tempo, laid on a grid."""

    def at(time: float) -> float:
        return float(grid.seconds(np.array([time * made.bpm / 60 * TICKS]))[0])

    def moved(track: Track) -> Track:
        return replace(track, notes=tuple(Note(at(n.start), at(n.end), n.pitch, n.velocity) for n in track.notes))

    return replace(
        made,
        chords=tuple(ChordSpan(at(span.start), at(span.end), span.chord) for span in made.chords),
        sections=tuple(Section(at(span.start), at(span.end), span.name) for span in made.sections),
        tracks=tuple(moved(track) for track in made.tracks),
    )


# Both together --------------------------------------------------------------------------------------------------------


def _merged(known: Score, written: Score, gaps: Sequence[Span], seconds: float) -> Score:
    """What is written where there are gaps, and elsewhere what is known; notes that are known sound on into a gap."""
    grid = replace(Grid.of(known), swing=SWINGS[0])
    outside = _complement(gaps, seconds)
    tracks = list[Track]()
    for role in ROLES:
        own = [track for track in known.tracks if track.role == role]
        kept = [replace(track, notes=_starting(track.notes, outside, seconds)) for track in own]
        new = written.track(role)
        come = () if new is None else _starting(new.notes, gaps, seconds, cut=True)
        if come and new is not None:
            kept = kept or [replace(new, notes=())]
            kept[0] = replace(kept[0], program=new.program, notes=_in_order((*kept[0].notes, *come)))
        tracks += [track for track in kept if track.notes]
    return replace(
        known,
        seconds=seconds,
        style=written.style,
        beats=_beats(grid, seconds),
        downbeats=_beats(grid, seconds, grid.metre.beats),
        tracks=tuple(tracks),
        chords=_chords(known.chords, written.chords, gaps, outside),
        sections=(),
    )


def _complement(gaps: Sequence[Span], seconds: float) -> list[Span]:
    edges = [0.0, *(edge for gap in gaps for edge in gap), seconds]
    return [(edges[i], edges[i + 1]) for i in range(0, len(edges), 2) if edges[i] < edges[i + 1]]


def _starting(notes: Sequence[Note], spans: Sequence[Span], seconds: float, cut: bool = False) -> tuple[Note, ...]:
    """The notes that start in one of the spans; with `cut`, they end there."""
    return tuple(
        replace(note, end=min(note.end, end if cut else seconds))
        for note in notes
        for start, end in spans
        if start <= note.start < end
    )


def _in_order(notes: Sequence[Note]) -> tuple[Note, ...]:
    """Notes by their onsets, each ending where its pitch is struck again."""
    ordered = sorted(notes, key=lambda note: (note.start, note.pitch))
    following: dict[int, float] = {}
    kept: list[Note] = []
    for note in reversed(ordered):
        end = min(note.end, following.get(note.pitch, note.end))
        following[note.pitch] = note.start
        if end > note.start:
            kept.append(replace(note, end=end))
    return tuple(reversed(kept))


def _chords(
    known: Sequence[ChordSpan], written: Sequence[ChordSpan], gaps: Sequence[Span], outside: Sequence[Span]
) -> tuple[ChordSpan, ...]:
    """Spans from the one or the other, cut at the gaps' ends; neighbours that are alike as one."""
    cut = [
        ChordSpan(max(span.start, start), min(span.end, end), span.chord)
        for spans, places in ((known, outside), (written, gaps))
        for span in spans
        for start, end in places
        if min(span.end, end) - max(span.start, start) > 1e-6
    ]
    merged: list[ChordSpan] = []
    for span in sorted(cut, key=lambda span: span.start):
        if merged and merged[-1].chord == span.chord and abs(merged[-1].end - span.start) < 1e-6:
            merged[-1] = replace(merged[-1], end=span.end)
        else:
            merged.append(span)
    return tuple(merged)
