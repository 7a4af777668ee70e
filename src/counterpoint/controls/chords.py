"""Chords that a musician gives, as spans of time: in bars, at times, in a song's words, or in a file of any of these."""

import csv
import math
import re
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from counterpoint.chart import HEADER_NAMES, parse_bar, parse_chart
from counterpoint.controls.chordpro import is_chordpro, parse_chordpro
from counterpoint.controls.given import CHORD_SUFFIXES, check_seconds, path_of, read_text
from counterpoint.controls.progression import Progression
from counterpoint.music import NO_CHORD, Chord, ChordSpan, Metre

Pairs = Sequence[tuple[str | Chord | None, float]] | Sequence[tuple[float, str | Chord | None]]
"""Chords and the seconds at which they start, in either order."""

_DASHES = {"-", "–", "—", "->", "→"}
_ROUNDING = 1e-3
"""Seconds by which the times of an annotation may overlap, or leave a gap that is none."""


def read_chords(
    given: str | Path | Pairs,
    seconds: float,
    bpm: float | None = None,
    metre: Metre | None = None,
    transpose: int = 0,
) -> tuple[ChordSpan, ...]:
    """The chords from 0 to `seconds` without a gap, `transpose` semitones higher than they are given.

    `given` is "C G Am F" (one chord a bar), bars such as "| Dm7 G7 | Cmaj7 | % |", ChordPro, a path that ends in one of
    CHORD_SUFFIXES, or pairs of chord and start in seconds.  Bars start anew until `seconds` are full; at times of their own,
    chords stay where they are, and the last one holds, except in annotations, which say where it ends.  `bpm` counts felt
    beats; where it or `metre` is None, what is said beside the chords counts, and else 4/4.  Raises ValueError with one
    sentence.
    """
    progression = read_progression(given, transpose)
    return progression.lasting(check_seconds(seconds), bpm, metre)


def read_progression(given: str | Path | Pairs, transpose: int = 0) -> Progression:
    """The chords as `read_chords` takes them, before they are laid out in time, with the key, tempo and metre said beside them.

    Of a chart, its style, mood and players are passed over.  Raises ValueError with one sentence.
    """
    path = path_of(given, CHORD_SUFFIXES)
    if path is not None:
        return _read_file(path).transpose(transpose)
    if isinstance(given, str | Path):
        return _read_words(str(given)).transpose(transpose)
    if not isinstance(given, Sequence):
        raise ValueError(
            f'Chords are text such as "C G Am F", a file, or pairs of label and start, not {given!r}; give one of these.'
        )
    return Progression(spans=_held([_change(entry) for entry in given])).transpose(transpose)


def _read_file(path: Path) -> Progression:
    text = read_text(path)
    try:
        if path.suffix.lower() == ".lab":
            return Progression(spans=_annotated(text))
        return Progression(spans=_held(_listed(text))) if path.suffix.lower() == ".csv" else _read_words(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_words(text: str) -> Progression:
    if is_chordpro(text):
        return parse_chordpro(text)
    if "|" in text or re.search(rf"(?im)^\s*(?:{'|'.join(HEADER_NAMES)})\s*:", text):
        return _in_bars(text)
    return _one_a_bar(text)


def _in_bars(text: str) -> Progression:
    """A chart, of which a line of bars may begin without its bar line."""
    lines = [line.strip() for line in text.splitlines()]
    brief = parse_chart(
        "\n".join(f"| {line}" if re.match(r"[^|]+\|", line) and not line.startswith("#") else line for line in lines)
    )
    if not brief.chords:
        raise ValueError("There are no chords in the chart; write bars such as | C | Am | F | G |.")
    beats = (brief.metre or Metre()).beats
    bars = tuple((chord, length / beats) for chord, length in zip(brief.chords, brief.chord_beats, strict=True))
    said_metre = brief.metre if re.search(r"(?im)^\s*metre\s*:", text) else None
    return Progression(bars, key=brief.key, bpm=brief.bpm, metre=said_metre)


def _one_a_bar(text: str) -> Progression:
    """Labels between spaces, commas or dashes; "%" is the bar before once more."""
    bars: list[tuple[Chord | None, float]] = []
    for number, line in enumerate(text.splitlines(), 1):
        labels = [] if line.lstrip().startswith("#") else re.split(r"[\s,;]+", line.strip())
        for label in labels:
            if not label or label in _DASHES:
                continue
            try:
                bars += parse_bar(label, 1, bars[-1:])
            except ValueError as error:
                raise ValueError(f"Line {number}: {error}" if "\n" in text.strip() else str(error)) from error
    if not bars:
        raise ValueError('There are no chords; write for example "C G Am F", "| Dm7 G7 | Cmaj7 |" or "[Am]words [F]more".')
    return Progression(tuple(bars))


def _change(entry: object) -> tuple[float, Chord | None]:
    """When a chord starts, and the chord, from a pair in either order."""
    if isinstance(entry, Sequence) and not isinstance(entry, str) and len(entry) == 2:
        label, time = entry if isinstance(entry[1], Real) else reversed(entry)
        if isinstance(time, Real) and (label is None or isinstance(label, str | Chord)):
            return float(time), Chord.parse(label) if isinstance(label, str) else label
    raise ValueError(f'{entry!r} is no chord with its start in seconds; give pairs such as ("Am7", 2.0), or a text "C G Am F".')


def _held(changes: Sequence[tuple[float, Chord | None]]) -> tuple[ChordSpan, ...]:
    """Each chord until the next one, the last for ever."""
    if not changes:
        raise ValueError('There are no chords; give pairs such as ("C", 0.0), ("Am7", 2.0).')
    times = [time for time, _ in changes]
    for before, time in zip([-math.inf, *times], times, strict=False):
        if not (math.isfinite(time) and time >= 0 and time > before):
            raise ValueError(
                f"A chord starts at {time:g} s, after one at {before:g} s; give the seconds from the beginning at which each"
                " starts, not how long it lasts."
                if time <= before
                else f"A chord cannot start at {time:g} s; give seconds from the beginning, 0 or later."
            )
    ends = [*times[1:], math.inf]
    return tuple(ChordSpan(time, end, chord) for (time, chord), end in zip(changes, ends, strict=True))


def _annotated(text: str) -> tuple[ChordSpan, ...]:
    """Lines of start, end and Harte's label, as mir_eval reads them; X, a chord that has no name, counts as none."""
    spans: list[ChordSpan] = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.split()
        if not cells or line.startswith("#"):
            continue
        try:
            start, end, label = float(cells[0]), float(cells[1]), cells[2]
        except (ValueError, IndexError) as error:
            raise ValueError(f"Line {number}, {line.strip()[:60]!r}: write start, end and chord: 0.0 2.5 C:maj7.") from error
        latest = spans[-1].end if spans else 0.0
        if not (math.isfinite(end) and latest - _ROUNDING <= start <= end):
            raise ValueError(
                f"Line {number}: {start:g} to {end:g} s overlaps what is before, or runs backwards; mend the times."
            )
        start = latest if abs(start - latest) <= _ROUNDING else start
        spans += [ChordSpan(start, end, _labelled(label, number))] if end > start else []
    if not spans:
        raise ValueError("There are no chords; write lines of start, end and chord: 0.0 2.5 C:maj7.")
    return tuple(spans)


def _listed(text: str) -> list[tuple[float, Chord | None]]:
    """Rows that end in time and label, as Chordino writes them; a first row of names is passed over."""
    changes: list[tuple[float, Chord | None]] = []
    for number, row in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), 1):
        if not row or (number == 1 and row[-1].strip().lower() in ("label", "chord")):
            continue
        try:
            time, label = float(row[-2]), row[-1]
        except (ValueError, IndexError) as error:
            raise ValueError(f"Line {number}, {','.join(row)[:60]!r}: write time and chord: 2.5,Am7.") from error
        changes.append((time, _labelled(label, number)))
    return changes


def _labelled(label: str, number: int) -> Chord | None:
    try:
        return Chord.parse(NO_CHORD[1] if label == "X" else label)
    except ValueError as error:
        raise ValueError(f"Line {number}: {error}") from error
