"""The sixty requests of the panel: styles, keys, tempi and instruments, with and without controls.

Request i is of style i mod 18 and of kind i mod 5, so that every leading part is spread over both.  None of the sentences is a
caption of the corpus, whose compositions have seeds of their own.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from counterpoint.data.corpus.style import Style
from counterpoint.data.corpus.styles import STYLES
from counterpoint.instruments import instrument
from counterpoint.music import Chord, Key, chord_name
from counterpoint.request import Request

COUNT, SECONDS = 60, 10.0
KINDS = ("style", "tempo and key", "instruments too", "all as controls", "chords as a control")
_SEED = 90_000
_ROMAN = {
    "major": (((0, "maj"), (7, "maj"), (9, "min"), (5, "maj")), ((0, "maj"), (9, "min"), (2, "min"), (7, "maj"))),
    "minor": (((0, "min"), (8, "maj"), (3, "maj"), (10, "maj")), ((0, "min"), (5, "min"), (8, "maj"), (7, "maj"))),
}
"""Progressions of four bars as steps from the tonic, two for each mode."""


@dataclass(frozen=True)
class Case:
    """One request of the panel; tempo and key are None where it leaves them open, chords are one a bar."""

    number: int
    kind: str
    style: str
    text: str
    bpm: float | None = None
    key: Key | None = None
    chords: str | None = None

    @property
    def as_controls(self) -> tuple[str, ...]:
        """What is held on to beside the words."""
        return {"all as controls": ("chords", "tempo", "key"), "chords as a control": ("chords",)}.get(self.kind, ())

    def request(self, take: int, plan: str, known: Collection[str]) -> Request:
        """What a model is asked for: with a plan, all of it; without one, the controls that it was trained with (`known`).

        Take j of a case has a seed, and so a plan, of its own.
        """
        given = {"chords": self.chords, "tempo": self.bpm, "key": self.key and self.key.name}
        told = {name: given[name] for name in self.as_controls if plan == "auto" or name in known}
        return Request(text=self.text, seconds=SECONDS, seed=1000 * take + self.number, plan=plan, **told)


def cases(count: int = COUNT) -> list[Case]:
    """The first requests of the panel."""
    styles = list(STYLES.values())
    return [_case(i, styles[i % len(styles)], KINDS[i % len(KINDS)]) for i in range(count)]


def _case(number: int, style: Style, kind: str) -> Case:
    draw = np.random.default_rng((_SEED, number))
    mode = "major" if draw.random() < style.major_odds else "minor"
    bpm, key = float(draw.integers(style.tempo[0], style.tempo[1] + 1)), Key(int(draw.integers(12)), mode)
    mood = style.moods[int(draw.integers(len(style.moods)))]
    tune, comp = (instrument(role, int(draw.choice(style.instruments[role]))) for role in ("melody", "comp"))
    players = tune if tune == comp else f"{tune} and {comp}"
    progression = _ROMAN[mode][int(draw.integers(2))]
    chords = " ".join(chord_name(Chord((key.tonic + step) % 12, quality), key) for step, quality in progression)
    if kind == "style":
        return Case(number, kind, style.name, f"{mood} {style.name} music")
    if kind == "tempo and key":
        return Case(number, kind, style.name, f"{style.name} at {bpm:.0f} bpm in {key.name}", bpm, key)
    if kind == "instruments too":
        text = f"{mood} {style.name} in {key.name} with {players}, tempo {bpm:.0f} bpm"
        return Case(number, kind, style.name, text, bpm, key)
    if kind == "all as controls":
        return Case(number, kind, style.name, f"{style.name} played by {players}", bpm, key, chords)
    return Case(number, kind, style.name, f"{mood} {style.name}, {bpm:.0f} bpm, {key.name}", bpm, key, chords)
