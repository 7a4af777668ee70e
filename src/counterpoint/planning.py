"""From words to a score: a prompt is read, and the composer writes what the words leave open; or a given file is the plan."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from counterpoint import midi
from counterpoint.chart import parse_chart
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.reading import read
from counterpoint.instruments import instrument
from counterpoint.music import Brief, Chord, Score, Track

DEFAULT_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """A score for a prompt, and the words of the prompt that nobody understood."""

    score: Score
    unknown: tuple[str, ...]
    source: str
    """"auto" or the path of the file that was given."""


def make(text: str, seconds: float | None, seed: int, source: str = "auto") -> Plan:
    """The plan of a prompt: composed ("auto"), played from a MIDI file, or composed over a chord chart.

    `seconds` of None means DEFAULT_SECONDS, or the length of the MIDI file.  Raises ValueError for a file that is none.
    """
    reading = read(text)
    unknown = tuple(reading.unknown)
    length = DEFAULT_SECONDS if seconds is None else seconds
    if source == "auto":
        return Plan(compose(reading.brief, length, seed), unknown, source)
    path = Path(source).expanduser()
    if not path.is_file():
        raise ValueError(f"There is no plan {path}; write one with `counterpoint plan`, or give auto or none.")
    if path.suffix.lower() == ".txt":
        return Plan(compose(_merge(_read_chart(path), reading.brief), length, seed), unknown, source)
    score = midi.read(path)
    return Plan(score if seconds is None else trim(score, seconds), unknown, source)


def _read_chart(path: Path) -> Brief:
    try:
        return parse_chart(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text; a chord chart is a text file such as `counterpoint plan --chart` writes."
        ) from error


def _merge(first: Brief, second: Brief) -> Brief:
    """`first`, and where it is silent, `second`."""
    blank = Brief()
    told = {field.name for field in fields(Brief) if vars(first)[field.name] != vars(blank)[field.name]}
    return replace(second, **{name: vars(first)[name] for name in told})


def trim(score: Score, seconds: float) -> Score:
    """The first `seconds` of a score; what sounds on is cut there, and where it is over before, silence follows."""

    def heard(track: Track) -> Track:
        notes = (replace(note, end=min(note.end, seconds)) for note in track.notes if note.start < seconds)
        return replace(track, notes=tuple(notes))

    return replace(
        score,
        seconds=seconds,
        beats=tuple(beat for beat in score.beats if beat < seconds),
        downbeats=tuple(beat for beat in score.downbeats if beat < seconds),
        chords=tuple(replace(span, end=min(span.end, seconds)) for span in score.chords if span.start < seconds),
        sections=tuple(replace(span, end=min(span.end, seconds)) for span in score.sections if span.start < seconds),
        tracks=tuple(heard(track) for track in score.tracks),
    )


def summary(score: Score) -> str:
    """A score in one line: style, key, tempo, metre, players, chords."""
    players = ", ".join(dict.fromkeys(instrument(track.role, track.program) for track in score.tracks))
    labels = [_label(span.chord) for span in score.chords]
    chords = " ".join(labels[:8]) + (" ..." if len(labels) > 8 else "")
    return f"{score.style} in {score.key.name}, {score.bpm:.0f} bpm, {score.metre.name}; {players}; {chords}"


def _label(chord: Chord | None) -> str:
    return "N.C." if chord is None else chord.name
