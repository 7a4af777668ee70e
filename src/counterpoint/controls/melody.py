"""A tune that a musician gives, as notes one after the other: from a MIDI file, a sound, or a list of notes."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from counterpoint import midi
from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.analysis.melody import notes_of
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
from counterpoint.music import PITCH_CLASSES, Note, Score, Track

Notes = Sequence[Note] | Sequence[tuple[float, float, int]]
"""Notes, or their starts, ends (seconds) and MIDI pitches."""


def read_melody(given: str | Path | Notes, seconds: float, transpose: int = 0) -> tuple[Note, ...]:
    """The tune in the first `seconds`, one note at a time (the highest that sounds), `transpose` semitones higher than given.

    `given` is the path of a MIDI file (its track of the tune, else the pitched one that is highest on average), that of an
    audio file (what the analyser hears), or notes.  Pitches reach from LOWEST to HIGHEST, 43 to 95, the 53 of the paper (which
    calls them G2 to B7; where middle C is C4, they end at B6).  Raises ValueError for a tune outside them: nothing is folded.
    """
    check_seconds(seconds)
    path = path_of(given, (*MIDI_SUFFIXES, *AUDIO_SUFFIXES))
    if path is None:
        source, notes = "the notes", read_notes(given, "The melody")
    elif path.suffix.lower() in MIDI_SUFFIXES:
        source, notes = str(path), list(_tune(midi.read(path), path).notes)
    else:
        heard = notes_of(hear_file(path, seconds).melody)
        source, notes = str(path), [Note(start, end, pitch, VELOCITY) for start, end, pitch in heard]
    tune = [Note(n.start, n.end, n.pitch + transpose, n.velocity) for n in one_at_a_time(cut(notes, seconds))]
    if not tune:
        raise ValueError(
            f"There is no melody in the first {seconds:g} s of {source}; give one that starts earlier, or make more."
        )
    _check_range(tune)
    return tuple(tune)


def one_at_a_time(notes: Sequence[Note]) -> list[Note]:
    """The highest of the notes that sound, at any time; of equal ones the latest.  One that is heard again is two notes."""
    waiting = sorted(notes, key=lambda note: note.start, reverse=True)
    edges = sorted({time for note in notes for time in (note.start, note.end)})
    sounding: list[Note] = []
    line: list[Note] = []
    top: Note | None = None
    for edge, following in itertools.pairwise(edges):
        while waiting and waiting[-1].start <= edge:
            sounding.append(waiting.pop())
        sounding = [note for note in sounding if note.end > edge]
        before, top = top, max(sounding, key=lambda note: (note.pitch, note.start), default=None)
        if top is None:
            continue
        if top is before:
            line[-1] = Note(line[-1].start, following, top.pitch, top.velocity)
        else:
            line.append(Note(edge, following, top.pitch, top.velocity))
    return line


def _tune(score: Score, path: Path) -> Track:
    """The track of the tune as the file or its track's name says, or as `guess` finds it; else the highest pitched one."""
    said = score.track("melody")
    pitched = [track for track in score.tracks if track.role != "drums"]
    if not pitched:
        raise ValueError(f"{path} holds drums alone; give a MIDI file with a melody.")
    return said or max(pitched, key=lambda track: sum(note.pitch for note in track.notes) / len(track.notes))


def _check_range(tune: Sequence[Note]) -> None:
    lowest, highest = min(note.pitch for note in tune), max(note.pitch for note in tune)
    if lowest >= LOWEST and highest <= HIGHEST:
        return
    octaves = [k for k in range(-10, 11) if lowest + 12 * k >= LOWEST and highest + 12 * k <= HIGHEST]
    if octaves:
        nearest = min(octaves, key=abs)
        way = f"{'up' if nearest > 0 else 'down'} {abs(nearest)} octave{'s' if abs(nearest) > 1 else ''}"
        mend = f"transpose it {way} ({12 * nearest:+d} semitones)"
    else:
        mend = f"it spans {highest - lowest} semitones, and no octave fits it, so leave some notes out"
    strange = _name(lowest if lowest < LOWEST else highest)
    raise ValueError(f"The melody's {strange} lies outside what can be followed, {_name(LOWEST)} to {_name(HIGHEST)}; {mend}.")


def _name(pitch: int) -> str:
    """ "C4 (MIDI 60)": middle C is C4."""
    return f"{PITCH_CLASSES[pitch % 12]}{pitch // 12 - 1} (MIDI {pitch})"
