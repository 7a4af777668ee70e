"""Chord charts: a score's header and harmony as a text that people can edit and give back.

    style: bossa nova
    key: A minor
    tempo: 132
    metre: 4/4
    instruments: melody=flute, bass=acoustic bass
    | Am7 | Dm7 G7 | Cmaj7 / / G | % |

A bar is divided equally among its entries; "/" holds the chord for one more entry, "%" repeats the bar before.  The line
of instruments, where there is one, names all who play: other roles are silent.  What else is not said is left open.
"""

import math
import re
from bisect import bisect_left, bisect_right

from .instruments import GM_PROGRAMS, instrument
from .music import FASTEST, ROLES, SLOWEST, UNKNOWN_STYLE, Brief, Chord, ChordSpan, Key, Metre, Score, chord_name

BARS_A_LINE = 4
FINEST = 24
"""Changes of chord are printed on a grid of at most this many entries a beat."""


def print_chart(score: Score) -> str:
    """The chart of a score, one line per four bars; starts of bars are the score's down-beats.

    What a chart cannot ask for is left out: an unknown style, a tempo that nobody plays, a role's second player.
    """
    players = {track.role: instrument(track.role, track.program) for track in reversed(score.tracks)}
    named = ", ".join(f"{role}={players[role]}" for role in ROLES if role in players)
    head = [] if score.style == UNKNOWN_STYLE else [f"style: {score.style}"]
    head += [f"key: {score.key.spelled}"]
    head += [f"tempo: {score.bpm:g}"] if SLOWEST <= score.bpm <= FASTEST else []
    head += [f"metre: {score.metre.name}"]
    head += [f"mood: {score.mood}"] if score.mood else []
    head += [f"instruments: {named}"] if named else []
    bars = _bars(score)
    lines = [f"| {' | '.join(bars[i : i + BARS_A_LINE])} |" for i in range(0, len(bars), BARS_A_LINE)]
    return "\n".join([*head, "", *lines]) + "\n"


def _bars(score: Score) -> list[str]:
    """The text of every bar: the chords of its spans, in as few equal entries as hold their lengths."""
    beats = score.metre.beats
    spans = [(round(_beat(s.start, score) * FINEST), s) for s in score.chords if s.end > s.start]
    num_bars = max(1, math.ceil(_beat(score.seconds, score) / beats - 0.01))
    bars = []
    for bar in range(num_bars):
        first, last = bar * beats * FINEST, (bar + 1) * beats * FINEST
        changes = [(tick, span) for tick, span in spans if first < tick < last]
        entries = [(first, _sounding(spans, first)), *changes]
        bars.append(_entries(entries, first, last, score.key))
    return bars


def _beat(time: float, score: Score) -> float:
    """A time in beats since the first down-beat, between the score's beats and, beyond them, at its tempo."""
    beats, origin = score.beats, score.downbeats[0] if score.downbeats else 0.0
    index = bisect_right(beats, time) - 1
    if not beats or index < 0 or index + 1 == len(beats):
        known, count = (beats[index], index) if beats and index >= 0 else (origin, bisect_left(beats, origin))
        return count + (time - known) * score.bpm / 60 - bisect_left(beats, origin)
    return index + (time - beats[index]) / (beats[index + 1] - beats[index]) - bisect_left(beats, origin)


def _sounding(spans: list[tuple[int, ChordSpan]], tick: int) -> ChordSpan | None:
    return next((span for start, span in reversed(spans) if start <= tick), None)


def _entries(changes: list[tuple[int, ChordSpan | None]], first: int, last: int, key: Key) -> str:
    """One bar: "Am7", "Dm7 G7" or "C / / G"."""
    step = math.gcd(last - first, *(tick - first for tick, _ in changes))
    named = {tick: chord_name(span and span.chord, key) for tick, span in changes}
    return " ".join(named.get(tick, "/") for tick in range(first, last, step))


def parse_chart(text: str) -> Brief:
    """The brief that a chart asks for.  Raises ValueError that names the line and says what to write instead."""
    head: dict[str, str] = {}
    bars: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("|"):
            bars.append((number, line))
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or name not in _HEADER:
            names = ", ".join(_HEADER)
            raise ValueError(
                f"Line {number}, {line[:60]!r}: write one of {names} and a colon, or bars such as | Am7 | Dm7 G7 |."
            )
        if name in head:
            raise ValueError(f"Line {number}: {name} is given twice; leave one of the two lines.")
        _at(number, _HEADER[name], value.strip())
        head[name] = value.strip()
    metre = Metre.parse(head["metre"]) if "metre" in head else None
    spans = _at_lines(bars, (metre or Metre()).beats)
    players = _instruments(head["instruments"]) if "instruments" in head else {}
    return Brief(
        style=head.get("style", "").lower() or None,
        mood=head.get("mood", "").lower() or None,
        key=Key.parse(head["key"]) if "key" in head else None,
        bpm=parse_tempo(head["tempo"]) if "tempo" in head else None,
        metre=metre or (Metre() if spans else None),
        instruments=players,
        without=frozenset(ROLES) - frozenset(players) if players else frozenset(),
        chords=tuple(chord for chord, _ in spans),
        chord_beats=tuple(beats for _, beats in spans),
    )


def _at(number: int, read, value):
    """`read(value)`, with the line's number before the sentence of an error."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"Line {number}: {error}") from error


def _at_lines(lines: list[tuple[int, str]], beats: int) -> list[tuple[Chord | None, float]]:
    spans: list[tuple[Chord | None, float]] = []
    bar: list[tuple[Chord | None, float]] = []
    for number, line in lines:
        for text in _cells(line):
            previous = bar
            bar = _at(number, lambda cell: parse_bar(cell, beats, previous), text)  # noqa: B023 - called at once
            spans += bar
    return spans


def _cells(line: str) -> list[str]:
    return line.strip().replace("||", "|").removeprefix("|").removesuffix("|").split("|")


def parse_bar(text: str, beats: int, previous: list[tuple[Chord | None, float]]) -> list[tuple[Chord | None, float]]:
    """The chords of one bar of `beats` felt beats and how long each lasts; `previous` is the bar before.  Raises ValueError."""
    entries = text.split()
    if entries == ["%"]:
        if not previous:
            raise ValueError("% repeats the bar before, but there is none; write its chords.")
        return previous
    if not entries:
        raise ValueError("A bar is empty; write a chord, % or N.C. in it.")
    length = beats / len(entries)
    bar: list[tuple[Chord | None, float]] = []
    for entry in entries:
        if entry == "%":
            raise ValueError(f"% stands for a whole bar; in {text.strip()!r} write / to hold a chord.")
        if entry == "/" and not bar and not previous:
            raise ValueError("/ holds the chord before, but there is none; write a chord.")
        held = (bar or previous)[-1][0] if entry == "/" else Chord.parse(entry)
        if entry == "/" and bar:
            bar[-1] = (held, bar[-1][1] + length)
        else:
            bar.append((held, length))
    return bar


def parse_tempo(text: str) -> float:
    """ "96" or "96 bpm" as felt beats a minute, from SLOWEST to FASTEST.  Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:bpm)?", text.strip(), re.IGNORECASE)
    if match is None or not SLOWEST <= float(match[1]) <= FASTEST:
        raise ValueError(f"The tempo {text!r} is none; write beats per minute from {SLOWEST:g} to {FASTEST:g}, for example 96.")
    return float(match[1])


def _instruments(text: str) -> dict[str, int]:
    """ "melody=flute, bass=33" as programs by role; a number is a General-MIDI program from 0.  Raises ValueError."""
    programs: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        role, _, name = (piece.strip().lower() for piece in part.partition("="))
        if role not in ROLES or not name:
            raise ValueError(f"{part!r} is no player; write a role ({', '.join(ROLES)}), = and an instrument: melody=flute.")
        if role in programs:
            raise ValueError(f"The {role} has two players; leave one, since every role has one player.")
        programs[role] = 0 if role == "drums" else _program(name)
    if not programs:
        raise ValueError("Nobody plays; name a player such as melody=flute, or take the line of instruments away.")
    return programs


def _program(name: str) -> int:
    if name.isdecimal() and int(name) < 128:
        return int(name)
    if name not in GM_PROGRAMS:
        raise ValueError(f"The instrument {name!r} is not known; write a General-MIDI name such as flute, or 0 to 127.")
    return GM_PROGRAMS.index(name)


_HEADER = {
    "style": str, "key": Key.parse, "tempo": parse_tempo, "metre": Metre.parse, "mood": str, "instruments": _instruments,
}  # fmt: skip
"""The header's lines and what reads each of them."""
HEADER_NAMES = tuple(_HEADER)
"""What the header's lines begin with, before a colon."""
