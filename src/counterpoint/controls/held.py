"""The controls of a request as far as they can be read before the music's length and tempo are settled."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from counterpoint import guess, midi
from counterpoint.controls.chords import read_progression
from counterpoint.controls.drums import read_drums
from counterpoint.controls.given import AUDIO_SUFFIXES, MIDI_SUFFIXES, hear_file, path_of
from counterpoint.controls.melody import read_melody
from counterpoint.controls.progression import Progression
from counterpoint.controls.scalars import agree, read_key, read_tempo, same_tempo
from counterpoint.data.corpus.reading import read
from counterpoint.music import Brief, ChordSpan, Controls, Key, Metre, Score, Track
from counterpoint.request import Request

_LISTENED = 30.0
"""Seconds of a sound that its tempo is heard in."""
_SLOW = 70.0
"""Beats a minute below which a pulse that is heard is rather that of half notes: tunes alone do not say which."""
_SINGER = 73
"""The General-MIDI program of a given tune where nobody else was to play one: a flute."""


@dataclass(frozen=True)
class Held:
    """What is held on to; what is None is left open.  `melody` and `drums` are read once the length is known."""

    chords: Progression | None = None
    melody: Any = None
    drums: Any = None
    tempo: float | None = None
    key: Key | None = None
    transpose: int = 0
    written: float | None = None
    """The tempo in which a tune or drums are written or heard, where nobody names one: what composes goes along with it."""
    note: str = ""
    """Of MIDI files that are written in another tempo than what is made, and of sounds whose tempo it takes."""

    @staticmethod
    def of(asked: Request) -> "Held":
        """Raises ValueError for what cannot be read, and where the prompt says otherwise."""
        if not asked.controls():
            return Held()
        chords = None if asked.chords is None else read_progression(asked.chords, asked.transpose)
        if asked.transpose and not (chords or asked.melody or asked.key):
            raise ValueError("There is nothing to transpose: give chords, a melody or a key, too, or leave transpose out.")
        tempo = None if asked.tempo is None else read_tempo(asked.tempo)
        key = None if asked.key is None else read_key(asked.key, asked.transpose)
        if chords is not None:
            if chords.bars:  # contradictions show now, not after composing
                chords.lasting(1.0, tempo or chords.bpm or 100.0, chords.metre)
            if key is not None and chords.key not in (None, key):
                raise ValueError(f"The chords are in {chords.key.spelled}, but the key is to be {key.spelled}; leave one.")
            tempo, key = tempo or chords.bpm, key or chords.key
        agree(asked.text, tempo, key, chords and chords.metre)
        said = read(asked.text).brief
        if asked.transpose and key is None and said.key is not None:
            raise ValueError(f"The prompt says {said.key.spelled}, which transpose would leave; give the key beside it, too.")
        files = _files((asked.melody, asked.drums), MIDI_SUFFIXES)
        tempi = {path.name: midi.read(path).bpm for path in files}
        settled = tempo or said.bpm
        written = next(iter(tempi.values()), None) if settled is None else None
        note = _other_tempi(tempi, settled or written)
        return Held(chords, asked.melody, asked.drums, tempo, key, asked.transpose, written, note)

    @property
    def names(self) -> tuple[str, ...]:
        """The controls that are told."""
        told = (field.name for field in fields(self) if field.name not in ("transpose", "written", "note"))
        return tuple(name for name in told if getattr(self, name) is not None)

    def lasting(self, seconds: float, bpm: float | None, metre: Metre | None) -> Controls:
        """All of it for music of `seconds`.  Raises ValueError for what cannot be read, or needs a tempo and has none."""
        return Controls(
            chords=None if self.chords is None else self.chords.lasting(seconds, bpm, metre),
            melody=None if self.melody is None else read_melody(self.melody, seconds, self.transpose),
            drums=None if self.drums is None else read_drums(self.drums, seconds, bpm, metre),
            tempo=self.tempo,
            key=self.key,
        )

    def along(self, words: Brief) -> "Held":
        """With the tempo that is heard in a sound, where nobody names one: what composes goes along with it, and says so."""
        sounds = _files((self.melody, self.drums), AUDIO_SUFFIXES)
        if not sounds or (self.tempo or words.bpm or self.written):
            return self
        if math.isnan(tempo := hear_file(sounds[0], _LISTENED).tempo):
            return self
        bpm = float(round(tempo * (2 if tempo < _SLOW else 1)))
        note = f"{sounds[0].name} is heard at {bpm:g} bpm, which what is composed takes; name a tempo if it is another"
        return replace(self, written=bpm, note=note)

    def brief(self, words: Brief) -> Brief:
        """What a composer is told of it beside the words: tempo, key, metre and, where the metre is known, chords in bars."""
        chords = self.chords or Progression()
        metre = chords.metre or words.metre
        told = replace(words, bpm=self.tempo or words.bpm or self.written, key=self.key or words.key, metre=metre)
        if not chords.bars or metre is None:
            return told
        beats = tuple(length * metre.beats for _, length in chords.bars)
        return replace(told, chords=tuple(chord for chord, _ in chords.bars), chord_beats=beats)


def _other_tempi(tempi: Mapping[str, float], bpm: float | None) -> str:
    others = {name: own for name, own in tempi.items() if bpm is not None and not same_tempo(own, bpm)}
    return "; ".join(
        f"{name} is written at {own:g} bpm, and its notes keep their times at {bpm:g}" for name, own in others.items()
    )


def _files(given: Sequence[object], suffixes: Sequence[str]) -> list[Path]:
    """The files among what is given that end in one of these."""
    paths = [path_of(one, suffixes) for one in given if isinstance(one, str | Path)]
    return [path for path in paths if path is not None and path.suffix.lower() in suffixes]


def harmonised(brief: Brief, draft: Score, controls: Controls) -> Brief:
    """The brief of a piece on the draft's grid whose chords are those at given times, or else bear the given tune out."""
    grid = replace(brief, bpm=draft.bpm, metre=draft.metre)
    if controls.chords is not None:
        return _over(grid, controls.chords)
    if controls.melody is None or brief.chords:
        return grid
    key = brief.key or guess.key(controls.melody)
    changes = draft.beats[::2] if draft.metre.beats % 2 == 0 else draft.downbeats
    return _over(replace(grid, key=key), guess.harmony(controls.melody, key, changes, draft.seconds))


def _over(brief: Brief, spans: tuple[ChordSpan, ...]) -> Brief:
    assert brief.bpm is not None
    return replace(
        brief,
        chords=tuple(span.chord for span in spans),
        chord_beats=tuple((span.end - span.start) * brief.bpm / 60 for span in spans),
    )


def arranged(score: Score, controls: Controls) -> Score:
    """A score whose tune and drums are the given ones; who plays the tune stays as it was."""
    given = {"melody": controls.melody, "drums": controls.drums}
    tracks = list(score.tracks)
    for role, notes in given.items():
        if notes is None:
            continue
        player = score.track(role) or Track(role, 0 if role == "drums" else _SINGER, ())
        others = [track for track in tracks if track.role != role]
        tracks = [*others, replace(player, notes=notes)]
    return replace(score, tracks=tuple(tracks))
