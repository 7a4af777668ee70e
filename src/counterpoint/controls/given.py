"""What a musician gives: the path of a file, a sound to be heard, or notes in a list."""

import hashlib
import math
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

from counterpoint import audio
from counterpoint.analysis.heard import Heard
from counterpoint.analysis.hearing import hear
from counterpoint.music import Note

MIDI_SUFFIXES = (".mid", ".midi")
AUDIO_SUFFIXES = tuple(audio.FORMATS)
CHORD_SUFFIXES = (".txt", ".cho", ".chopro", ".chordpro", ".pro", ".crd", ".lab", ".csv")
"""How files with chords end: text in bars or ChordPro, annotations (start, end, label), changes (time, label)."""
VELOCITY = 96
"""How hard a note is played whose giver did not say."""
LONGEST_TEXT = 100_000  # bytes


def path_of(given: object, suffixes: Sequence[str]) -> Path | None:
    """A path, or a text that ends in one of `suffixes` as one; None for anything else."""
    if isinstance(given, str) and "\n" not in given and Path(given.strip()).suffix.lower() in suffixes:
        given = Path(given.strip())
    return given.expanduser() if isinstance(given, Path) else None


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_text(path: Path) -> str:
    """The text of a file.  Raises ValueError where there is none, or where it is no text."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}; give the path of a text with chords.")
    if path.stat().st_size > LONGEST_TEXT:
        raise ValueError(f"{path} is too long for a text with chords; give one of at most {LONGEST_TEXT // 1000} kB.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text; save it as UTF-8.") from error


def hear_file(path: Path, seconds: float) -> Heard:
    """What is heard in the first `seconds` of an audio file.  Raises ValueError."""
    sound, sample_rate = audio.read(path, seconds)
    return hear(sound, sample_rate)


def check_seconds(seconds: float) -> float:
    """A duration of more than nothing.  Raises ValueError."""
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"A control lasts longer than nothing; give a number of seconds, not {seconds!r}.")
    return seconds


def read_notes(given: object, what: str) -> list[Note]:
    """Notes in order of time, from such or from (start, end, pitch) or (start, end, pitch, velocity), times in seconds.

    Raises ValueError; `what` names them.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        files = ", ".join((*MIDI_SUFFIXES, *AUDIO_SUFFIXES))
        raise ValueError(f"{what}: give a file that ends in {files}, or notes as (start, end, pitch), not {given!r}.")
    notes = [_note(entry, what) for entry in given]
    if not notes:
        raise ValueError(f"{what}: there are no notes; give at least one, or leave the control out.")
    return sorted(notes, key=lambda note: (note.start, note.pitch))


def _note(entry: object, what: str) -> Note:
    if isinstance(entry, Note):
        note = entry
    elif isinstance(entry, Sequence) and len(entry) in (3, 4) and all(isinstance(number, Real) for number in entry):
        start, end, pitch, velocity, *_ = (*map(float, entry), float(VELOCITY))
        if not pitch.is_integer():
            raise ValueError(f"{what}: {pitch:g} in {entry!r} is no MIDI pitch; give a whole number, 60 for middle C.")
        if not velocity.is_integer():
            raise ValueError(f"{what}: {velocity:g} in {entry!r} is no MIDI velocity; give a whole number from 0 to 127.")
        note = Note(start, end, int(pitch), int(velocity))
    else:
        raise ValueError(f"{what}: {entry!r} is no note; give (start, end, pitch) in seconds and MIDI numbers: (0.0, 0.5, 60).")
    if not (0 <= note.start < note.end and math.isfinite(note.end)):
        raise ValueError(
            f"{what}: a note lasts from {note.start:g} to {note.end:g} s; let it start at 0 or later, and end after that."
        )
    if not 0 <= note.pitch <= 127:
        raise ValueError(f"{what}: {note.pitch} is no MIDI pitch; give a number from 0 to 127, 60 for middle C.")
    if not 0 <= note.velocity <= 127:
        raise ValueError(f"{what}: {note.velocity} is no MIDI velocity; give a number from 0 to 127.")
    return note


def cut(notes: Sequence[Note], seconds: float) -> list[Note]:
    """The notes that start before `seconds`; what sounds on ends there."""
    return [Note(n.start, min(n.end, seconds), n.pitch, n.velocity) for n in notes if n.start < seconds]
