"""From what is heard to a score: a recording written back as a plan, to be opened in a sequencer or given to a model.

Beats, key, chords, tune and drums are as heard; what nobody heard (a grid where there is no pulse, a bass, sustained chords,
how loud a note is) is made up here, by the plainest rule that will do, and `assumed` says so in words.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from counterpoint import guess
from counterpoint.analysis.heard import Heard
from counterpoint.analysis.melody import notes_of
from counterpoint.controls.drums import HEARD, HIT
from counterpoint.data.corpus.harmony import guess_key, voice
from counterpoint.data.corpus.styles import STYLES
from counterpoint.music import UNKNOWN_STYLE, ChordSpan, Key, Metre, Note, Score, Track

FALLBACK_BPM = 120.0
"""The tempo of a grid where no pulse is heard: what a MIDI file has that says none."""
STEADY = 0.05
"""Seconds that no beat may lie off a straight line for the pulse to be one tempo: no beat is judged more narrowly than that."""
TOGETHER = 0.05
"""Seconds from a struck sound or a beat within which a note began with it: pitches are heard every 20 ms, and late."""
EARLY = 0.05
"""Seconds by which a beat may come before the sound begins and still count as one at its very start."""
SHORTEST = 0.06
"""Seconds below which a pitch is a slip of the ear on its way to another, not a note of the tune."""
SAME_HIT = 0.03
"""Seconds within which a struck sound of no class is the hit of a class that was heard there."""
OTHER_KEY = 70
"""What a struck sound of no class is written as: shakers are more than half of those in composed music."""
PROGRAMS = {"melody": 0, "bass": 33, "pad": 48, "drums": 0}
"""Who plays where no style is told: a piano, a finger bass, strings.  Timbre is not heard."""

_LOUD = {"melody": 92, "bass": 96, "pad": 70, "kick": 108, "snare": 104, "hat": 80, "other": 70}
_GAINS = {"melody": 1.0, "bass": 0.5, "pad": 0.3, "drums": 0.7}
_BASS_LOWEST = 28
_PAD_RANGE = (52, 71)


def sketch(heard: Heard, style: str | None = None, accompany: bool = True) -> Score:
    """The score of what was heard; with `accompany`, a bass and sustained chords are made up from the chords.

    The grid covers the whole sound.  Notes keep the times at which they were heard: no grid is laid over them.  `style` names
    one of the composer's, which chooses the instruments and is told to a model.  Raises ValueError for a style that is none,
    and where no note would be left.
    """
    check_style(style)
    grid = _grid(heard)
    parts = {"melody": _tune(heard), "drums": _drums(heard)}
    if accompany:
        parts |= {"bass": _bass(heard.chords, grid.downbeats), "pad": _pad(heard.chords, grid.downbeats)}
    if not any(parts.values()):
        raise ValueError(_nothing(heard, accompany))
    own = {} if style is None else {role: options[0] for role, options in STYLES[style].instruments.items()}
    programs = {**PROGRAMS, **own}
    tracks = (Track(role, programs[role], parts[role], gain=gain) for role, gain in _GAINS.items() if parts.get(role))
    return Score(
        seconds=heard.seconds,
        style=style or UNKNOWN_STYLE,
        bpm=grid.bpm,
        metre=grid.metre,
        key=_key(heard),
        beats=grid.beats,
        downbeats=grid.downbeats,
        chords=heard.chords or (ChordSpan(0.0, heard.seconds, None),),
        tracks=tuple(tracks),
    )


def check_style(style: str | None) -> None:
    """Raises ValueError for the name of a style that the composer does not know."""
    if style is not None and style not in STYLES:
        raise ValueError(f"The style {style!r} is not known; known are {', '.join(STYLES)}.")


def assumed(heard: Heard) -> tuple[str, ...]:
    """What of a sketch's grid and key nobody heard, in words: "no pulse: 120 bpm in 4/4 from the start on"."""
    said = []
    if not _pulse(heard):
        said.append(f"no pulse: {FALLBACK_BPM:g} bpm in 4/4 from the start on")
    elif len(heard.downbeats) < 2:
        said.append("no bars: 4/4 from the first down-beat or beat on")
    if heard.key is None:
        source = "by the chords" if any(span.chord for span in heard.chords) else "by the tune" if heard.melody.any() else ""
        said.append(f"no key: {' '.join(filter(None, (_key(heard).spelled, source)))}")
    return tuple(said)


def _nothing(heard: Heard, accompany: bool) -> str:
    if not accompany and any(span.chord for span in heard.chords):
        return "No tune and no drums were heard, so that there is no note to write; let an accompaniment play the chords."
    return "No tune, chord or drum was heard, so that there is no note to write; give a sound in which music is heard."


# The grid -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    bpm: float
    metre: Metre
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]


def _pulse(heard: Heard) -> bool:
    return len(heard.beats) > 1 and heard.tempo == heard.tempo


def _grid(heard: Heard) -> _Grid:
    """Beats and bars over the whole sound: as heard, and beyond that on at the same tempo."""
    if not _pulse(heard):
        return _laid_out(FALLBACK_BPM, lambda places: places * 60 / FALLBACK_BPM, Metre(), 0, heard.seconds)
    beats = np.asarray(heard.beats)
    counted = np.maximum(1, np.round(np.diff(beats) * heard.tempo / 60)).astype(int)  # more than 1 where a beat was missed
    told = np.concatenate([[0], np.cumsum(counted)])
    slope, first = np.polyfit(told, beats, 1)
    bpm = round(60 / float(slope), 2)  # a MIDI file holds no more of it
    steady = np.abs(first + slope * told - beats).max() <= STEADY
    origin = beats.mean() - told.mean() * 60 / bpm

    def at(places: Int[ndarray, " i"]) -> Float[ndarray, " i"]:
        """When beats come, by their places counted from the first one heard."""
        if steady:
            return origin + places * 60 / bpm
        beyond = np.minimum(0, places) + np.maximum(0, places - told[-1])
        return np.interp(places, told, beats) + beyond * 60 / bpm

    metre, down = _metre(heard, told)
    return _laid_out(bpm, at, metre, down, heard.seconds)


def _laid_out(
    bpm: float, at: Callable[[Int[ndarray, " i"]], Float[ndarray, " i"]], metre: Metre, down: int, seconds: float
) -> _Grid:
    """All beats in the sound; those whose place is `down`, or whole bars from there, begin a bar."""
    reach = 2 * ceil(seconds * bpm / 60) + 2
    places = np.arange(-reach, reach)
    times = at(places)
    inside = (times >= -EARLY) & (times < seconds)
    begins = inside & ((places - down) % metre.beats == 0)
    beats, bars = (tuple(np.maximum(0.0, times[chosen]).tolist()) for chosen in (inside, begins))
    return _Grid(bpm, metre, beats, bars)


def _metre(heard: Heard, places: Int[ndarray, " i"]) -> tuple[Metre, int]:
    """The metre of most bars, and the place of a beat that begins one; 4/4 where there is no whole bar."""
    beats = np.asarray(heard.beats)
    downs = [int(places[np.abs(beats - time).argmin()]) for time in heard.downbeats]
    bars = Counter(later - earlier for earlier, later in pairwise(downs))
    length = bars.most_common(1)[0][0] if bars else 4
    duple = length == 2 and _halved(heard)
    metre = {2: Metre() if duple else Metre(6, 8), 3: Metre(3, 4)}.get(length, Metre())
    phases = Counter(down % metre.beats for down in downs)
    return metre, phases.most_common(1)[0][0] if phases else 0


def _halved(heard: Heard) -> bool:
    """Whether more of what is struck or sung between beats lies at their halves and quarters than at their thirds."""
    onsets = [*heard.drums.get("any", ()), *(note.start for note in _tune(heard))]
    phases = np.interp(onsets, heard.beats, np.arange(len(heard.beats)), left=0, right=0) % 1.0

    def near(*points: float) -> int:
        return int((np.abs(phases[:, None] - np.array(points)) < 1 / 24).any(1).sum())

    return near(1 / 4, 1 / 2, 3 / 4) > near(1 / 3, 2 / 3)


def _key(heard: Heard) -> Key:
    """The key heard, or that of the chords, or of the tune; C major where there is none of them."""
    if heard.key is not None:
        return heard.key
    chords = [span.chord for span in heard.chords]
    return guess_key(chords) if any(chords) else guess.key(_tune(heard))


# The players ----------------------------------------------------------------------------------------------------------


def _tune(heard: Heard) -> tuple[Note, ...]:
    """The runs of one pitch, each begun with what was struck or counted at its start; no note sounds on into the next."""
    marks = np.array([*heard.drums.get("any", ()), *heard.beats])
    notes: list[Note] = []
    for start, end, pitch in notes_of(heard.melody):
        end = min(end, heard.seconds)
        if end - start < SHORTEST:
            continue
        near = float(marks[np.abs(marks - start).argmin()]) if len(marks) else start
        free = notes[-1].start + SHORTEST if notes else 0.0
        begin = near if abs(near - start) <= TOGETHER and free <= near <= end - SHORTEST else start
        if notes and notes[-1].end > begin:
            notes[-1] = replace(notes[-1], end=begin)
        notes.append(Note(begin, end, pitch, _LOUD["melody"]))
    return tuple(notes)


def _drums(heard: Heard) -> tuple[Note, ...]:
    """A hit for every onset of a class, and one of OTHER_KEY where something of no class was struck."""
    hits = [(time, key, _LOUD[name]) for name, key in HEARD.items() for time in heard.drums.get(name, ())]
    known = np.array(sorted(time for time, _, _ in hits))
    for time in heard.drums.get("any", ()):
        if not len(known) or np.abs(known - time).min() > SAME_HIT:
            hits.append((time, OTHER_KEY, _LOUD["other"]))
    inside = sorted(hit for hit in hits if hit[0] < heard.seconds)
    return tuple(Note(time, min(time + HIT, heard.seconds), key, loud) for time, key, loud in inside)


def _strokes(chords: Sequence[ChordSpan], downbeats: Sequence[float]) -> list[ChordSpan]:
    """The chords that sound, cut where bars begin."""
    strokes = []
    for span in chords:
        inside = [time for time in downbeats if span.start + SHORTEST < time < span.end - SHORTEST]
        strokes += [ChordSpan(start, end, span.chord) for start, end in pairwise([span.start, *inside, span.end]) if span.chord]
    return strokes


def _bass(chords: Sequence[ChordSpan], downbeats: Sequence[float]) -> tuple[Note, ...]:
    """The root, or the chord's own bass, wherever a chord or a bar begins."""
    notes = []
    for span in _strokes(chords, downbeats):
        assert span.chord is not None
        lowest = span.chord.root if span.chord.bass is None else span.chord.bass
        notes.append(Note(span.start, span.end, _BASS_LOWEST + (lowest - _BASS_LOWEST) % 12, _LOUD["bass"]))
    return tuple(notes)


def _pad(chords: Sequence[ChordSpan], downbeats: Sequence[float]) -> tuple[Note, ...]:
    """The chords' tones, held, each voicing as near to the last as can be."""
    notes, pitches = [], tuple[int, ...]()
    for span in _strokes(chords, downbeats):
        assert span.chord is not None
        pitches = voice(span.chord, pitches, *_PAD_RANGE)
        notes += [Note(span.start, span.end, pitch, _LOUD["pad"]) for pitch in pitches]
    return tuple(notes)
