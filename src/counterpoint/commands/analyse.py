"""`counterpoint analyse FILES`: what can be heard in music, printed, drawn, or written as JSON."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from counterpoint.commands import editing
from counterpoint.commands.terminal import say

if TYPE_CHECKING:
    from counterpoint.analysis.heard import Heard


PICTURES = (".png", ".pdf", ".svg")
SKETCHES = (".mid", ".midi")


def analyse(
    *files: Path,
    picture: Annotated[Path | None, Parameter(name=["--picture", "-p"])] = None,
    midi: Annotated[Path | None, Parameter(name="--midi")] = None,
    accompany: bool = True,
    style: str | None = None,
    json: Annotated[Path | None, Parameter(name=["--json", "-j"])] = None,
) -> None:
    """Hear tempo, beats, key, chords, tune and drums in audio files.

    Parameters
    ----------
    files
        wav, flac, ogg or mp3 files.
    picture
        A file to draw the sound and what is heard into (.png, .pdf or .svg); with several files, a folder.
    midi
        A MIDI file of what is heard, to be edited or given to `generate --plan`; with several files, a folder.
    accompany
        Whether a bass and sustained chords, made up from the chords that are heard, are in the MIDI file.
    style
        A style whose instruments are in the MIDI file, such as "bossa nova".
    json
        A file for all that is heard, by the names of the sounds.
    """
    from counterpoint import audio
    from counterpoint.analysis import picture as drawing
    from counterpoint.analysis.hearing import hear

    _check(files, picture, midi, accompany, style)
    _spare(files, picture, midi, json)
    heard: dict[str, Any] = {}
    failed: list[str] = []
    for file in files:
        try:
            sound, rate = audio.read(file)
            found = hear(sound, rate)
        except ValueError as error:
            failed.append(_about(file, error))
            continue
        say(describe(str(file), found))
        heard[str(file)] = as_json(found)
        if picture is not None:
            say(f"  drawn    {drawing.draw(found, sound, rate, _target(file, picture, '.png'), file.name)}")
        if midi is not None:
            try:
                say(f"  written  {_write_midi(found, _target(file, midi, '.mid'), style, accompany)}")
            except ValueError as error:
                failed.append(_about(file, error))
    if json is not None and heard:
        _write(json, heard)
    if failed and len(files) > 1:
        for sentence in failed[:-1]:
            sys.stderr.write(f"counterpoint: {sentence}\n")
    if failed:
        raise ValueError(failed[-1])


def _check(files: tuple[Path, ...], picture: Path | None, midi: Path | None, accompany: bool, style: str | None) -> None:
    """Raises ValueError for what is known to go wrong before anything is heard."""
    from counterpoint.analysis.picture import require_matplotlib
    from counterpoint.sketch import check_style

    if not files:
        raise ValueError("There is nothing to analyse; name one or more wav, flac, ogg or mp3 files.")
    if picture is not None:
        require_matplotlib()
        _check_target(files, picture, "picture", PICTURES)
    if midi is not None:
        _check_target(files, midi, "MIDI file", SKETCHES)
        check_style(style)
    elif style is not None or not accompany:
        raise ValueError("Style and accompaniment are those of a MIDI file; name one with --midi sketch.mid.")


def _spare(files: tuple[Path, ...], picture: Path | None, midi: Path | None, json: Path | None) -> None:
    """Raises ValueError where a file that is to be heard would be written over."""
    for flag, target, suffix in (("--picture", picture, ".png"), ("--midi", midi, ".mid")):
        if target is not None:
            editing.spared([_target(file, target, suffix) for file in files], files, flag)
    if json is not None:
        editing.spared([json], files, "--json")


def _about(file: Path, error: ValueError) -> str:
    return str(error) if str(file) in str(error) else f"{file}: {error}"


def _check_target(files: tuple[Path, ...], target: Path, kind: str, suffixes: tuple[str, ...]) -> None:
    """Raises ValueError where what is made of `files` cannot be called `target`, which without a suffix is a folder."""
    if len(files) > 1 and target.suffix:
        raise ValueError(f"{len(files)} files do not fit into the {kind} {target}; name a folder for them.")
    if target.suffix and target.suffix.lower() not in suffixes:
        raise ValueError(f"{target} cannot be a {kind}; let its name end in {', '.join(suffixes)}.")
    for file in files:
        if [other.stem for other in files].count(file.stem) > 1:
            raise ValueError(f"Several files are called {file.stem}, and so would be what is made of them; analyse them apart.")


def _target(file: Path, target: Path, suffix: str) -> Path:
    return target if target.suffix else target / f"{file.stem}{suffix}"


def _write_midi(heard: "Heard", path: Path, style: str | None, accompany: bool) -> str:
    """Write a sketch; returns its path, and what of it nobody heard."""
    from counterpoint import midi
    from counterpoint.sketch import assumed, sketch

    midi.write(sketch(heard, style, accompany), path)
    guesses = assumed(heard)
    return f"{path} ({'; '.join(guesses)})" if guesses else str(path)


def describe(name: str, heard: "Heard") -> str:
    """What was heard as lines of text: a name, then a word and a finding each."""
    from counterpoint.analysis.melody import notes_of
    from counterpoint.music import chord_name

    beats = f"{len(heard.beats)} beats, {len(heard.downbeats)} bars begun"
    notes = notes_of(heard.melody)
    tune = f"{len(notes)} notes, {_pitch(min(n[2] for n in notes))} to {_pitch(max(n[2] for n in notes))}" if notes else "none"
    chords = "  ".join(f"{span.start:.2f} {chord_name(span.chord, heard.key)}" for span in heard.chords)
    rows = {
        "length": f"{heard.seconds:.2f} s",
        "tempo": "none" if heard.tempo != heard.tempo else f"{heard.tempo:.1f} bpm, {beats}",
        "key": heard.key.spelled if heard.key else "none",
        "chords": chords,
        "tune": tune,
        "drums": ", ".join(f"{len(times)} {kind}" for kind, times in heard.drums.items() if kind != "any"),
    }
    return "\n".join([name, *(f"  {word:<8} {finding}" for word, finding in rows.items())])


def _pitch(number: int) -> str:
    from counterpoint.music import PITCH_CLASSES

    return f"{PITCH_CLASSES[number % 12]}{number // 12 - 1}"


def as_json(heard: "Heard") -> dict[str, Any]:
    """All that was heard as plain lists; chords as [start, end, Harte label], the tune's notes as [start, end, pitch]."""
    from counterpoint.analysis.melody import notes_of
    from counterpoint.music import harte_label

    return {
        "seconds": heard.seconds,
        "tempo": None if heard.tempo != heard.tempo else heard.tempo,
        "beats": list(heard.beats),
        "downbeats": list(heard.downbeats),
        "key": heard.key.name if heard.key else None,
        "chords": [[span.start, span.end, harte_label(span.chord)] for span in heard.chords],
        "melody": [list(note) for note in notes_of(heard.melody)],
        "drums": {kind: list(times) for kind, times in heard.drums.items()},
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    import json

    from counterpoint.files import write_text

    write_text(path, json.dumps(content, indent=1) + "\n")
    say(f"{path}: what was heard in {len(content)} file{'s' if len(content) > 1 else ''}")
