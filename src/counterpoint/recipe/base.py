"""A recipe is a whole run on one page: what is trained, on which data, how optimised, how long.

    name = "jasco-tiny"
    codec = "spectral-tiny"
    system = { kind = "jasco", ... }
    data = { folder = "runs/latents", crop_seconds = 10 }
    optim = { lr = 1e-3 }
    train = { steps = 20000, precision = "bf16" }

Where `weights` names a model, training goes on from it, and may add controls to what it understands.  Where `codec` is a table,
the codec itself is trained, on clips of audio; where `start` names a flow model, a copy of it learns to make music in fewer
steps; where `ear` is a table, an ear learns to judge; where `planner` is one, a planner learns to write scores.  A recipe may
start from another one (`layers.py`).
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from counterpoint import config as settings
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.config import Config
from counterpoint.hub.checkpoint import SystemConfig
from counterpoint.optim import OptimConfig
from counterpoint.recipe.layers import read_layers
from counterpoint.systems.codecgan import CodecganConfig, VaeganConfig
from counterpoint.systems.ear import EarConfig
from counterpoint.systems.jasco import JascoConfig, Sampling
from counterpoint.systems.meanflow import MeanflowConfig
from counterpoint.systems.score import PlannerConfig
from counterpoint.systems.spectral import SpectralObjectiveConfig
from counterpoint.training import TrainConfig


class LatentsConfig(Config):
    """Encoded clips (`counterpoint encode`), in random crops."""

    folder: Path
    crop_seconds: float = Field(default=10.0, gt=0)
    words: int = Field(default=2000, ge=1)
    """Size of the vocabulary that is learnt from the captions, where the system has none yet."""
    normalise: Literal["channels", "whole"] = "channels"
    """What brings continuous frames to a mean of 0 and a deviation of 1: each channel's own, or one of each for all, as in the
    paper (`LatentDataset.scalars`).  They are taken when training begins, and saved with the model."""
    weight_power: float = Field(default=1.0, ge=0)
    """A channel counts in the loss as its standard deviation before whitening, to this power."""


class Recipe(Config):
    """A run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    codec: str
    """A shipped codec, a checkpoint's folder or a Hub id: the one that the data was encoded with."""
    weights: str | None = None
    """A trained model to go on from (a shipped name, a folder or a Hub id): its vocabulary, statistics and weights.  What it
    was not told, and the system is, begins unheard."""
    system: SystemConfig = Field(default=JascoConfig(), discriminator="kind")
    data: LatentsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    samples: int = Field(default=2, ge=0)
    """Pieces rendered from held-out plans each time that the run is listened to."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.system, JascoConfig) and self.system.distilled is not None:
            raise ValueError("average velocities are learnt from a teacher; name it in a recipe with start, without a system.")
        return self


class CropsConfig(Config):
    """Encoded clips (`counterpoint encode`), in random crops."""

    folder: Path
    crop_seconds: float = Field(default=10.0, gt=0)


class DistillRecipe(Config):
    """A flow model's distillation from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    start: str
    """The flow model that teaches, and as which the student begins: a shipped name, a checkpoint's folder or a Hub id."""
    objective: MeanflowConfig = MeanflowConfig()
    sampling: Sampling = Sampling(steps=8, guidance={"all": 1.0})
    """The student's own: few steps, and no guidance beside that which it has learnt."""
    data: CropsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    samples: int = Field(default=2, ge=0)
    """Pieces rendered from held-out plans each time that the run is listened to."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.train.compile and self.objective.target == "jvp":
            raise ValueError(
                'the target "jvp" differentiates what is compiled; set train.compile to false, or the target to "fd".'
            )
        return self


class ClipsConfig(Config):
    """Clips of audio, in random crops."""

    folders: tuple[Path, ...]
    crop_seconds: float = Field(default=2.56, gt=0)
    fit_clips: int = Field(default=600, ge=1)
    """Crops that the spectral codec's closed form is fitted on, at most."""
    fit_seconds: float = Field(default=5.0, gt=0)
    """Length of those crops."""


_OBJECTIVES = {"spectral": "spectral", "encodec": "codecgan", "vae": "vaegan"}
"""Which kind of objective trains which kind of codec."""


class CodecRecipe(Config):
    """A codec's run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    codec: Annotated[SpectralConfig | EncodecConfig | VaeConfig, Field(discriminator="kind")]
    objective: Annotated[SpectralObjectiveConfig | CodecganConfig | VaeganConfig, Field(discriminator="kind")]
    """Its kind follows from the codec's and need not be told."""
    data: ClipsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    samples: int = Field(default=2, ge=0)
    """Held-out crops rendered, before and after the codec, each time that the run is listened to."""

    @model_validator(mode="before")
    @classmethod
    def _name_the_objective(cls, content: Any) -> Any:
        codec, objective = content.get("codec"), content.get("objective", {})
        if isinstance(codec, dict) and isinstance(objective, dict):
            codec = {"kind": "spectral", **codec}
            if codec["kind"] in _OBJECTIVES:
                return {**content, "codec": codec, "objective": {"kind": _OBJECTIVES[codec["kind"]], **objective}}
        return content

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.objective.kind != _OBJECTIVES[self.codec.kind]:
            raise ValueError(f"the objective {self.objective.kind!r} does not train a codec {self.codec.kind!r}; leave it out.")
        idle = sorted({"fit_clips", "fit_seconds"} & self.data.model_fields_set)
        if idle and self.codec.kind != "spectral":
            raise ValueError(
                f"a codec {self.codec.kind!r} has no closed form to fit, so data.{idle[0]} would be ignored; leave it out."
            )
        return self


class TaggedConfig(Config):
    """Clips of audio with captions and tags, as `counterpoint compose` makes them, in random crops."""

    folders: tuple[Path, ...]
    crop_seconds: float = Field(default=10.0, gt=0)
    words: int = Field(default=2000, ge=1)
    """Size of the vocabulary that is learnt from the captions, where the ear has none yet."""
    vary: bool = True
    """Whether crops are transposed, equalised and made noisy (`data/tagged.py`)."""


class EarRecipe(Config):
    """An ear's run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    ear: EarConfig
    data: TaggedConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "sample_every" in self.train.model_fields_set:
            raise ValueError("an ear makes nothing to listen to, so train.sample_every would be ignored; leave it out.")
        return self


class CompositionsConfig(Config):
    """Pieces that are composed while the planner learns (`data/events/compositions.py`): nothing has to be made before."""

    seed: int
    pieces: int = Field(default=1_000_000, ge=1)
    """Pieces in an epoch."""
    held_out: int = Field(default=512, ge=1)
    """Pieces of the validation split."""
    shortest: float = Field(default=4.0, ge=1)
    longest: float = Field(default=16.0, le=600)
    """Seconds of a piece."""
    varied: float = Field(default=0.4, ge=0, le=1)
    """Chance that a piece's brief asks for what its style would not do by itself."""
    gaps: float = Field(default=0.3, ge=0, le=1)
    """Chance that a piece is told around a gap."""
    words: int = Field(default=1000, ge=1)
    """Size of the vocabulary that is learnt from the captions, where the planner has none yet."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest {self.shortest:g} is longer than longest {self.longest:g}; change one of them.")
        return self


class PlannerRecipe(Config):
    """A planner's run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    planner: PlannerConfig
    data: CompositionsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "sample_every" in self.train.model_fields_set:
            raise ValueError("a planner makes nothing to listen to, so train.sample_every would be ignored; leave it out.")
        return self


AnyRecipe = Recipe | CodecRecipe | DistillRecipe | EarRecipe | PlannerRecipe


def _kind(content: Mapping[str, Any]) -> type[AnyRecipe]:
    if isinstance(content.get("codec"), dict):
        return CodecRecipe
    if "ear" in content:
        return EarRecipe
    if "planner" in content:
        return PlannerRecipe
    return DistillRecipe if "start" in content else Recipe


def read(path: Path, changes: Sequence[str]) -> AnyRecipe:
    """The recipe at `path`, changed.  Raises ValueError."""
    if any(change.partition("=")[0].strip() == "base" for change in changes):
        raise ValueError("A base is named in a recipe; on the command line, give the other recipe itself.")
    content = settings.override(read_layers(path), changes)
    kind = _kind(content)
    _refuse_short_names(kind, changes)
    try:
        return settings.parse(kind, content, str(path))
    except ValueError as error:
        hint = "" if str(error).endswith(("?", settings.UPGRADE)) else "; mend the recipe, or the changes to it."
        raise ValueError(f"{str(error).rstrip('.') if hint else error}{hint}") from error


def _refuse_short_names(kind: type[AnyRecipe], changes: Sequence[str]) -> None:
    """Raises ValueError where a change names no setting, but the end of a setting's full name, or nearly a full name."""
    known = list(dict.fromkeys(_full_names(kind)))
    for name in (change.partition("=")[0].strip() for change in changes):
        ending = sorted((full for full in known if full.endswith(f".{name}")), key=lambda full: full.count("."))
        near = ending or difflib.get_close_matches(name, known, n=1)
        if name.partition(".")[0] not in kind.model_fields and near:
            raise ValueError(f"There is no setting {name!r}; did you mean {' or '.join(near)}?")


def _full_names(kind: Any, prefix: str = "") -> Iterator[str]:
    """Settings from the outermost in, such as "train.steps", of a config or of those in a union."""
    for part in get_args(kind):
        yield from _full_names(part, prefix)
    if isinstance(kind, type) and issubclass(kind, Config):
        for name, setting in kind.model_fields.items():
            yield prefix + name
            yield from _full_names(setting.annotation, f"{prefix}{name}.")
