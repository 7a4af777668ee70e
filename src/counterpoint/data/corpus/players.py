"""What players share: events on the beat grid, and patterns written as strings of sixteenth notes.

In a pattern every character is a sixteenth; `-` holds what sounds, `.` is silent, every other character is a hit whose
meaning the player knows.  Bars are as long as the metre (16, or 12 for 3/4 and 6/8), a pattern may span several.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from counterpoint.data.corpus.sheet import Sheet
from counterpoint.music import Metre

BY_METRE = Mapping[str, str]
"""One pattern as written for one or more metres, by the metre's name; the others are derived."""


class Event(NamedTuple):
    """A note on the grid: onset and length in felt beats, loudness 0 to 1, lateness in milliseconds (strums)."""

    beat: float
    length: float
    pitch: int
    level: float
    late: float = 0.0


class Hit(NamedTuple):
    """A pattern's hit: its character and where it sounds."""

    beat: float
    length: float
    sign: str


def fit(pattern: BY_METRE, metre: Metre) -> str:
    """The pattern in the asked metre; where it is not written for it, derived from 4/4 or 3/4.

    3/4 leaves out the fourth beat, 4/4 repeats the third, 6/8 plays the first two beats as triplets.
    """
    if metre.name in pattern:
        return pattern[metre.name]
    if metre.name == "4/4":
        return "".join(bar + bar[8:] for bar in _bars(pattern["3/4"], 12))
    width = 16 if "4/4" in pattern else 12
    bars = _bars(pattern["4/4" if "4/4" in pattern else "3/4"], width)
    if metre.name == "3/4":
        return "".join(bar[:12] for bar in bars)
    return "".join(_triplets(bar[:4]) + _triplets(bar[4:8]) for bar in bars)


def _bars(text: str, width: int) -> list[str]:
    assert len(text) % width == 0, f"{text} is not a whole number of bars"
    return [text[i : i + width] for i in range(0, len(text), width)]


def _triplets(beat: str) -> str:
    """Four sixteenths as three eighths."""
    first, second, third, _ = beat
    rest = "-" if "-" in beat else "."
    middle = second if second not in "-." else (third if first not in "-." else rest)
    return first + rest + middle + rest + third + rest


def hits(text: str, sheet: Sheet, first: int, last: int) -> Iterator[Hit]:
    """The hits of bars [first, last), the pattern beginning at its first bar."""
    steps = sheet.steps
    count = len(text) // steps
    unit = sheet.metre.beats / steps
    for bar in range(first, last):
        begin = ((bar - first) % count) * steps
        line = text[begin : begin + steps]
        for step, sign in enumerate(line):
            if sign in "-.":
                continue
            held = 1
            while step + held < steps and line[step + held] == "-":
                held += 1
            yield Hit(bar * sheet.metre.beats + step * unit, held * unit, sign)
