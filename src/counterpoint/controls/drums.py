"""Drums that a musician gives, as hits on General-MIDI keys: from a MIDI file, a sound, a list of notes, or steps as text."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from counterpoint import midi
from counterpoint.controls.given import (
    AUDIO_SUFFIXES,
    MIDI_SUFFIXES,
    VELOCITY,
    check_seconds,
    cut,
    hear_file,
    path_of,
    read_notes,
)
from counterpoint.controls.melody import Notes
from counterpoint.controls.scalars import read_tempo
from counterpoint.music import DRUM_CLASSES, Metre, Note

KEYS = {
    "kick": 36, "bass drum": 36, "bd": 36, "snare": 38, "sd": 38, "rim": 37, "clap": 39, "hat": 42, "hi-hat": 42, "hihat": 42,
    "hh": 42, "closed hat": 42, "pedal hat": 44, "open hat": 46, "oh": 46, "crash": 49, "cymbal": 49, "ride": 51, "tom": 47,
    "low tom": 45, "high tom": 50, "floor tom": 43, "tambourine": 54, "cowbell": 56, "percussion": 54, "shaker": 70,
}  # fmt: skip
"""Names of drums in steps, and their General-MIDI percussion keys."""

HEARD = {"kick": 36, "snare": 38, "hat": 42}
"""What the analyser tells apart."""

HIT = 0.1
"""Seconds for which a hit sounds whose end nobody gave."""

_ACCENT = 120
_LINE = re.compile(r"[\s,;]*(?P<name>[A-Za-z][A-Za-z -]*?)\s*[:=]\s*(?P<steps>[xX.\-|\s]*)")
_EXAMPLE = "'kick: x...x... snare: ....x...'"


def read_drums(
    given: str | Path | Notes, seconds: float, bpm: float | None = None, metre: Metre | None = None
) -> tuple[Note, ...]:
    """The hits in the first `seconds`, in order of time; pitches are General-MIDI percussion keys.

    `given` is the path of a MIDI file (all its drums), that of an audio file (kick, snare and closed hat, as far as the
    analyser hears them), notes, or steps such as "kick: x...x... snare: ....x...": each drum's equal steps fill a bar, or as
    many bars as "|" parts them into, again and again; x is a hit, X an accent, "." or "-" a rest.  Only steps need `bpm` and,
    where it is not 4/4, `metre`.  Raises ValueError with one sentence.
    """
    check_seconds(seconds)
    path = path_of(given, (*MIDI_SUFFIXES, *AUDIO_SUFFIXES))
    if path is None and isinstance(given, str):
        source, hits = "the pattern", list(_stepped(given, seconds, bpm, metre or Metre()))
    elif path is None:
        source, hits = "the notes", read_notes(given, "The drums")
    elif path.suffix.lower() in MIDI_SUFFIXES:
        source, hits = str(path), _played(path)
    else:
        heard = hear_file(path, seconds).drums
        source, hits = str(path), [Note(time, time + HIT, key, VELOCITY) for drum, key in HEARD.items() for time in heard[drum]]
    hits = list({(hit.start, hit.pitch): hit for hit in cut(hits, seconds)}.values())  # a drum by two names is struck once
    if not hits:
        raise ValueError(
            f"There are no drums in the first {seconds:g} s of {source}; give some that start earlier, or leave them out."
        )
    for hit in hits:
        _check_key(hit.pitch)
    return tuple(sorted(hits, key=lambda hit: (hit.start, hit.pitch)))


def _played(path: Path) -> list[Note]:
    hits = [note for track in midi.read(path).tracks if track.role == "drums" for note in track.notes]
    if not hits:
        raise ValueError(f"{path} holds no drums; put them on MIDI channel 10, or give a file that has some.")
    return hits


def _check_key(key: int) -> None:
    if not any(key in keys for keys in DRUM_CLASSES.values()):
        raise ValueError(
            f"The drums strike key {key}, which is no General-MIDI drum (35 to 82); give such a key: 36 is a kick, 38 a snare."
        )


def _stepped(text: str, seconds: float, bpm: float | None, metre: Metre) -> Iterator[Note]:
    """The hits of a pattern, drum by drum, over and over."""
    lines = _lines(text)
    if bpm is None:
        raise ValueError("Drums in steps need a tempo; give one in beats per minute, for example 120.")
    bar = metre.beats * 60 / read_tempo(bpm)
    for key, bars in lines:
        for place in count():
            if place * bar >= seconds:
                break
            steps = bars[place % len(bars)]
            for step, sign in enumerate(steps):
                start = (place + step / len(steps)) * bar
                if sign in "xX" and start < seconds - 1e-6:
                    yield Note(start, start + min(HIT, bar / len(steps)), key, _ACCENT if sign == "X" else VELOCITY)


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """Each drum's key and bars of steps."""
    lines: list[tuple[int, list[str]]] = []
    at = 0
    while text[at:].strip(" \t\r\n,;"):
        match = _LINE.match(text, at)
        if match is None:
            raise ValueError(f"The drums cannot be read from {text[at : at + 40]!r} on; write steps such as {_EXAMPLE}.")
        name = " ".join(match["name"].lower().split())
        bars = ["".join(bar.split()) for bar in match["steps"].strip().strip("|").split("|")]
        if name not in KEYS:
            raise ValueError(f"The drum {name!r} is not known; known are {', '.join(KEYS)}.")
        if not all(bars):
            raise ValueError(f"The {name} has a bar without steps; write some, such as {_EXAMPLE}.")
        lines.append((KEYS[name], bars))
        at = match.end()
    if not lines:
        raise ValueError(f"The drums are empty; write steps such as {_EXAMPLE}, or give a MIDI or audio file.")
    return lines
