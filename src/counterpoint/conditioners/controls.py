"""Everything that a generator can be told, in one table: words, a score, and the controls of the paper (section 4.5)."""

from typing import Annotated

from pydantic import BeforeValidator

from counterpoint.conditioners.base import Conditioner, Conditioners
from counterpoint.conditioners.chords import ChordsConfig
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.conditioners.melody import MelodyConfig
from counterpoint.conditioners.scalars import KeyConfig, SecondsConfig, TempoConfig
from counterpoint.conditioners.score import ScoreConfig
from counterpoint.conditioners.text import TextConfig
from counterpoint.config import Config
from counterpoint.types import Spec

_none = BeforeValidator(lambda value: None if value == "none" else value)
"""TOML has no null, so that recipes write "none"."""


class ControlsConfig(Config):
    """Which controls a model understands: none, unless it was trained with them."""

    chords: Annotated[ChordsConfig | None, _none] = None
    melody: Annotated[MelodyConfig | None, _none] = None
    drums: Annotated[DrumsConfig | None, _none] = None
    tempo: Annotated[TempoConfig | None, _none] = None
    key: Annotated[KeyConfig | None, _none] = None
    seconds: Annotated[SecondsConfig | None, _none] = None

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are there, in order."""
        return tuple(name for name in CONTROLS if getattr(self, name) is not None)

    @property
    def channels(self) -> int:
        """Condition channels of the lanes, side by side."""
        melody = self.melody.lane if self.melody is not None else 0
        return melody + sum(lane.channels for lane in (self.chords, self.drums) if lane is not None)

    @property
    def first(self) -> tuple[str, ...]:
        """Those whose context stands before the words."""
        return ("melody",) if self.melody is not None and self.melody.form == "chroma" else ()

    def build(self, width: int, spec: Spec) -> dict[str, Conditioner]:
        """A conditioner for each of them."""
        told = (self.chords, self.melody, self.drums, self.tempo, self.key, self.seconds)
        return {kind.kind: kind.build(width, spec) for kind in told if kind is not None}


CONTROLS = tuple(ControlsConfig.model_fields)
LANES = ("chords", "melody", "drums")
"""The controls that are told frame by frame."""


def conditioners(
    words: TextConfig, score: ScoreConfig | None, controls: ControlsConfig, width: int, spec: Spec
) -> Conditioners:
    """All that a system can be told, by name; frame channels lie in this order: the score's, then those of the lanes."""
    told: dict[str, Conditioner] = {"text": words.build(width)}
    if score is not None:
        told["score"] = score.build(width)
    more = controls.build(width, spec)
    return Conditioners({**{name: more.pop(name) for name in controls.first}, **told, **more})


def condition_names(score: ScoreConfig | None, controls: ControlsConfig) -> tuple[str, ...]:
    """The names of what `conditioners` would build."""
    others = [name for name in controls.names if name not in controls.first]
    return (*controls.first, "text", *(("score",) if score is not None else ()), *others)


def frame_channels(score: ScoreConfig | None, controls: ControlsConfig) -> int:
    """Condition channels e that a system of these adds to each frame."""
    return (score.channels if score is not None else 0) + controls.channels
