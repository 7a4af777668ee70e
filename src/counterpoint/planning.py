"""From words to a score: a prompt is read, and what the words leave open is written by rules or by a language model over
scores; or a given file is the plan."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint import midi
from counterpoint.chart import parse_chart
from counterpoint.controls.held import Held, arranged, harmonised
from counterpoint.controls.scalars import same_tempo
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.reading import read, suggest
from counterpoint.data.corpus.sheet import check
from counterpoint.instruments import instrument
from counterpoint.music import UNKNOWN_STYLE, Brief, Score, Track, chord_name

if TYPE_CHECKING:
    from counterpoint.systems.score import Planner

DEFAULT_SECONDS = 10.0
NOTHING_HELD = Held()
RULES = "rules"
"""The planner that is no model: the corpus' composer."""
_LONGEST_CHART = 100_000  # bytes
_NAMED = 20
"""Unknown words that a message names."""


@dataclass(frozen=True)
class Plan:
    """A score for a prompt, and the words of the prompt that nobody understood."""

    score: Score
    unknown: tuple[str, ...]
    overridden: tuple[str, ...] = ()
    """What of a plan that was given contradicts the words: "key C major"."""
    note: str = ""
    """Where it comes from, if that is not the words or a file."""


def make(
    text: str, seconds: float | None, seed: int, source: str = "auto", held: Held = NOTHING_HELD, planner: str = RULES
) -> Plan:
    """The plan of a prompt: composed ("auto"), played from a MIDI file, or composed over a chord chart.

    `planner` composes: "rules", or a model, by shipped name ("score-tiny"), folder or Hub id; both obey what the words state.
    `seconds` of None means DEFAULT_SECONDS, or the length of the MIDI file.  A composed plan has what is held on to.  Raises
    ValueError where a file or model is none, and for controls beside a file, which brings its own.
    """
    reading = read(text)
    length = DEFAULT_SECONDS if seconds is None else seconds
    if source == "auto":
        held = held.along(reading.brief)
        score = _composed(text, reading.brief, length, seed, held, planner)
        return Plan(score, reading.unknown, overridden(score, reading.brief) if held.names else (), held.note)
    if held.names:
        raise ValueError(f"The plan {source} brings its own music, which {held.names[0]} may contradict; give one of the two.")
    path = Path(source).expanduser()
    if not path.is_file():
        raise ValueError(f"There is no plan {path}; write one with `counterpoint plan`, or give auto or none.")
    if path.suffix.lower() == ".txt":
        score = _compose(text, _merge(_read_chart(path), reading.brief), length, seed, planner)
    else:
        score = midi.read(path)
        score = score if seconds is None else trim(score, seconds)
    return Plan(score, reading.unknown, overridden(score, reading.brief))


def given(text: str, score: Score) -> Plan:
    """A score that is there as the plan of a prompt."""
    reading = read(text)
    return Plan(score, reading.unknown, overridden(score, reading.brief))


def _composed(text: str, words: Brief, seconds: float, seed: int, held: Held, planner: str) -> Score:
    """A composition that has what is held on to.

    What lies at times of its own, a tune or chords, is harmonised on the grid of a first draft, so that a tempo that nobody
    named is the same in both.
    """
    brief = held.brief(words)
    score = _compose(text, brief, seconds, seed, planner)
    if not held.names:
        return score
    if held.chords and held.chords.bars and brief.metre is None:  # bars of the metre that the style takes
        brief = held.brief(replace(words, metre=score.metre))
        score = _compose(text, brief, seconds, seed, planner)
    controls = held.lasting(seconds, score.bpm, score.metre)
    if controls.melody is not None or (held.chords and held.chords.spans):
        score = _compose(text, harmonised(brief, score, controls), seconds, seed, planner)
    return arranged(score, controls)


def _compose(text: str, brief: Brief, seconds: float, seed: int, planner: str) -> Score:
    if planner == RULES:
        return compose(brief, seconds, seed)
    check(brief, seconds)
    return load(planner).generate([text], [brief], seconds, [seed])[0]


@lru_cache(maxsize=2)
def load(planner: str) -> "Planner":
    """A planner that is a model, loaded once; it also goes on with scores and fills their gaps.  Raises ValueError."""
    from counterpoint.hub import checkpoint  # rules need no torch

    return checkpoint.load_planner(planner)[0]


def overridden(score: Score, words: Brief) -> tuple[str, ...]:
    """Where a score is not what the words ask for, as what it is instead."""
    style = words.style not in (None, score.style) and score.style != UNKNOWN_STYLE
    tempo = words.bpm is not None and not same_tempo(words.bpm, score.bpm)
    contradicted = {
        f"style {score.style}": style,
        f"key {score.key.spelled}": words.key not in (None, score.key),
        f"tempo {score.bpm:.0f} bpm": tempo,
        f"metre {score.metre.name}": words.metre not in (None, score.metre),
        f"mood {score.mood}": bool(score.mood) and words.mood not in (None, score.mood),
        f"players {_players(score)}": _other_players(score, words),
        "its own chords": not set(words.chords) <= {span.chord for span in score.chords},
    }
    return tuple(told for told, differs in contradicted.items() if differs)


def _players(score: Score) -> str:
    return ", ".join(dict.fromkeys(instrument(track.role, track.program) for track in score.tracks))


def _other_players(score: Score, words: Brief) -> bool:
    """Whether someone plays who was not to, or not the instrument that was asked for."""
    programs = {track.role: track.program for track in score.tracks}
    return bool(words.without & programs.keys()) or any(programs.get(r) != p for r, p in words.instruments.items())


def _read_chart(path: Path) -> Brief:
    if path.stat().st_size > _LONGEST_CHART:
        raise ValueError(f"{path} is too long for a chord chart; give a text file such as `counterpoint plan --chart` writes.")
    try:
        brief = parse_chart(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text; a chord chart is a text file such as `counterpoint plan --chart` writes."
        ) from error
    if brief == Brief():
        raise ValueError(
            f"The chord chart {path} is empty; write a line such as key: C major in it, or bars: | C | Am | F | G |."
        )
    return brief


def _merge(first: Brief, second: Brief) -> Brief:
    """`first`, and where it is silent, `second`; who plays and who does not is said by one of them alone."""
    blank = Brief()
    told = {field.name for field in fields(Brief) if vars(first)[field.name] != vars(blank)[field.name]}
    told |= {"instruments", "without"} if first.instruments or first.without else set()
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


def disagreement(planned: float, seconds: float, overridden: tuple[str, ...]) -> list[str]:
    """What became of a plan that is longer or shorter than the music, and of words that it contradicts."""
    notes = []
    if planned != seconds:
        fate = "is cut" if planned > seconds else "is followed by silence"
        notes.append(f"the plan of {planned:g} s {fate}, as {seconds:g} s are asked for")
    if overridden:
        notes.append(f"the plan overrides the words: {', '.join(overridden)}")
    return notes


def summary(score: Score) -> str:
    """A score in one line: style where it is known, key, tempo, metre, players, chords."""
    style = "" if score.style == UNKNOWN_STYLE else f"{score.style} in "
    labels = [chord_name(span.chord, score.key) for span in score.chords]
    chords = " ".join(labels[:8]) + (" ..." if len(labels) > 8 else "")
    return f"{style}{score.key.spelled}, {score.bpm:.0f} bpm, {score.metre.name}; {_players(score)}; {chords}"


def not_understood(words: Sequence[str]) -> str:
    """The words that nobody understood, each once, with what may have been meant: "zorbly, regae (did you mean 'reggae'?)"."""
    named = list(dict.fromkeys(words))
    hints = {word: suggest(word) for word in named[:_NAMED]}
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(f"{word} (did you mean {hint!r}?)" if hint else word for word, hint in hints.items()) + more
