"""Songs in ChordPro: words with chords in brackets, "[Am]words [F]more", and directives in braces, "{key: Am}".

Each bracket is one bar (its chord, or several that share it); the words say nothing.  The directives key, tempo, time, capo
and transpose are heeded where they stand before the first chord; those of titles, comments, sections and layout say nothing
of what sounds; tablature is passed over; all others are refused by name.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from counterpoint.chart import parse_bar, parse_tempo
from counterpoint.controls.progression import Progression
from counterpoint.music import Chord, Key, Metre

SEMITONES = 11
"""How far a capo or transposition may go."""

_SILENT = frozenset(
    (
        "title", "t", "sorttitle", "subtitle", "st", "artist", "sortartist", "composer", "lyricist", "arranger", "copyright",
        "album", "year", "duration", "meta", "tag", "ccli", "comment", "c", "comment_italic", "ci", "comment_box", "cb",
        "highlight", "image", "define", "chord", "diagrams", "new_page", "np", "new_physical_page", "npp", "column_break",
        "colb", "columns", "col", "titles", "pagetype", "grid", "no_grid", "g", "ng", "start_of_chorus", "soc", "end_of_chorus",
        "eoc", "start_of_verse", "sov", "end_of_verse", "eov", "start_of_bridge", "sob", "end_of_bridge", "eob", "textfont",
        "tf", "textsize", "ts", "textcolour", "chordfont", "cf", "chordsize", "cs", "chordcolour",
    )
)  # fmt: skip
_TABLATURE = {"start_of_tab": True, "sot": True, "end_of_tab": False, "eot": False}


def is_chordpro(text: str) -> bool:
    """Whether a text has chords in brackets, or begins a line with a directive."""
    return "[" in text or any(line.lstrip().startswith("{") for line in text.splitlines())


def parse_chordpro(text: str) -> Progression:
    """The chords of a song, as they sound: above the capo and transposed.  Raises ValueError that names the line."""
    song = _Song()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            _read_line(line.strip(), song)
        except ValueError as error:
            raise ValueError(f"Line {number}: {error}") from error
    if not song.bars:
        raise ValueError("The song has no chords; write them in brackets, such as [Am].")
    written = Progression(tuple(song.bars), key=song.said.get("key"), bpm=song.said.get("tempo"), metre=song.said.get("time"))
    return written.transpose(song.said.get("capo", 0) + song.said.get("transpose", 0))


@dataclass
class _Song:
    bars: list[tuple[Chord | None, float]] = field(default_factory=list)
    bar: list[tuple[Chord | None, float]] = field(default_factory=list)
    """The latest bar, which % repeats."""
    said: dict[str, Any] = field(default_factory=dict)
    tablature: bool = False


def _read_line(line: str, song: _Song) -> None:
    if line.startswith("#"):
        return
    if line.startswith("{"):
        _heed(line, song)
        return
    if song.tablature:
        return
    if line.count("[") != line.count("]"):
        raise ValueError(f"a bracket is not closed in {line[:60]!r}; write chords such as [Am].")
    for bracket in re.findall(r"\[([^\]]*)\]", line):
        if bracket.startswith("*"):  # an annotation
            continue
        song.bar = parse_bar(bracket, 1, song.bar)
        song.bars += song.bar


def _heed(line: str, song: _Song) -> None:
    """Take in a directive."""
    match = re.fullmatch(r"\{\s*([A-Za-z_]+)(?:-[\w!]+)?\s*(?:[:\s]\s*(.*?))?\s*\}", line)
    if match is None:
        raise ValueError(f"{line[:60]!r} is no directive; write it as {{name: value}} on a line of its own.")
    name, value = match[1].lower(), match[2] or ""
    if name in _TABLATURE:
        song.tablature = _TABLATURE[name]
        return
    if name in _SILENT or name.startswith("x_"):
        return
    if name not in _HEEDED:
        raise ValueError(f"the directive {{{name}}} cannot be followed; write out the chords that it stands for, or remove it.")
    if song.bars:
        raise ValueError(
            f"{{{name}}} stands after the first chord, where it cannot be followed; cut the song there, or remove it."
        )
    if name in song.said:
        raise ValueError(f"{{{name}}} is given twice; leave one of the two.")
    song.said[name] = _HEEDED[name](value)


def _semitones(text: str) -> int:
    if re.fullmatch(r"[+-]?\d{1,2}", text) is None or abs(int(text)) > SEMITONES:
        raise ValueError(f"{text!r} is no number of semitones; write one from -{SEMITONES} to {SEMITONES}.")
    return int(text)


def _fret(text: str) -> int:
    if re.fullmatch(r"\d{1,2}", text) is None or int(text) > SEMITONES:
        raise ValueError(f"{text!r} is no fret for a capo; write one from 0 to {SEMITONES}.")
    return int(text)


_HEEDED = {"key": Key.parse, "tempo": parse_tempo, "time": Metre.parse, "capo": _fret, "transpose": _semitones}
"""Directives that say what sounds, and what reads each of them."""
