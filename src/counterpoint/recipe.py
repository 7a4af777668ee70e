"""A recipe is a whole run on one page: what is trained, on which data, how optimised, how long.  Here it becomes a `train`.

    name = "jasco-tiny"
    codec = "spectral-tiny"
    system = { kind = "jasco", ... }
    data = { folder = "runs/latents", crop_seconds = 10 }
    optim = { lr = 1e-3 }
    train = { steps = 20000, precision = "bf16" }

Where `codec` is a table, the codec itself is trained, on clips of audio; a spectral one from its closed form, which is kept in
train/start, EnCodec from nothing.
A run's folder is a checkpoint that can be loaded while it is still being trained; what only training needs lies in its train/.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import torch
from pydantic import Field, model_validator
from rich.console import Console

from counterpoint import audio as sound
from counterpoint import config as settings
from counterpoint import parallel, rng
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import Encodec, EncodecConfig
from counterpoint.codecs.spectral import Spectral, SpectralConfig
from counterpoint.conditioners.text import T5, T5Config
from counterpoint.conditioners.words import learn_vocabulary
from counterpoint.config import Config
from counterpoint.data.clips import AudioDataset
from counterpoint.data.latents import CacheInfo, LatentDataset
from counterpoint.data.loader import collate
from counterpoint.data.row import tally
from counterpoint.encoding import digest
from counterpoint.files import renamed, writing
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import SystemConfig
from counterpoint.optim import OptimConfig
from counterpoint.parallel import Place
from counterpoint.systems.base import System, Trainable
from counterpoint.systems.codecgan import CodecganConfig, CodecganTraining
from counterpoint.systems.jasco import Jasco, JascoConfig
from counterpoint.systems.spectral import SpectralObjectiveConfig, SpectralTraining, fit
from counterpoint.training import Outcome, TrainConfig, train
from counterpoint.types import Canvas

START = Path("train", "start")
"""Where in a codec's run its closed form is kept."""


class LatentsConfig(Config):
    """Encoded clips (`counterpoint encode`), in random crops."""

    folder: Path
    crop_seconds: float = Field(default=10.0, gt=0)
    words: int = Field(default=2000, ge=1)
    """Size of the vocabulary that is learnt from the captions, where the system has none yet."""
    weight_power: float = Field(default=1.0, ge=0)
    """A channel counts in the loss as its standard deviation before whitening, to this power."""


class Recipe(Config):
    """A run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    codec: str
    """A shipped codec, a checkpoint's folder or a Hub id: the one that the data was encoded with."""
    system: SystemConfig = Field(default=JascoConfig(), discriminator="kind")
    data: LatentsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    samples: int = Field(default=2, ge=0)
    """Pieces rendered from held-out plans each time that the run is listened to."""


class ClipsConfig(Config):
    """Clips of audio, in random crops."""

    folders: tuple[Path, ...]
    crop_seconds: float = Field(default=2.56, gt=0)
    fit_clips: int = Field(default=600, ge=1)
    """Crops that the spectral codec's closed form is fitted on, at most."""
    fit_seconds: float = Field(default=5.0, gt=0)
    """Length of those crops."""


_OBJECTIVES = {"spectral": "spectral", "encodec": "codecgan"}
"""Which kind of objective trains which kind of codec."""


class CodecRecipe(Config):
    """A codec's run from beginning to end."""

    format: Literal[1] = settings.FORMAT
    name: str
    """What the run is called when it is announced."""
    codec: Annotated[SpectralConfig | EncodecConfig, Field(discriminator="kind")]
    objective: Annotated[SpectralObjectiveConfig | CodecganConfig, Field(discriminator="kind")]
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
        if idle and self.codec.kind == "encodec":
            raise ValueError(f"EnCodec has no closed form to fit, so data.{idle[0]} would be ignored; leave it out.")
        return self


@dataclass(frozen=True)
class _Parts:
    """What a recipe builds."""

    config: SystemConfig
    system: System
    codec: Codec
    train_data: LatentDataset
    valid_data: LatentDataset


def run_recipe(path: Path, changes: Sequence[str], out: Path, device: str = "auto", console: Console | None = None) -> Outcome:
    """Train the recipe at `path`, changed by `a.b=c`, into the folder `out`; the same call goes on where a run has stopped."""
    recipe = _read(path, changes)
    place = parallel.place(device)
    _refuse_another_kind(recipe, out)
    with parallel.together(place):
        if isinstance(recipe, CodecRecipe):
            return _train_codec(recipe, out, place, console)
        return _train_system(recipe, out, place, console)


def _read(path: Path, changes: Sequence[str]) -> Recipe | CodecRecipe:
    """The recipe at `path`, changed.  Raises ValueError."""
    content = settings.override(settings.read(path), changes)
    kind = CodecRecipe if isinstance(content.get("codec"), dict) else Recipe
    _refuse_short_names(kind, changes)
    try:
        return settings.parse(kind, content, str(path))
    except ValueError as error:
        hint = "" if str(error).endswith(("?", settings.UPGRADE)) else "; mend the recipe, or the changes to it."
        raise ValueError(f"{str(error).rstrip('.') if hint else error}{hint}") from error


def _refuse_short_names(kind: type[Recipe | CodecRecipe], changes: Sequence[str]) -> None:
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


def _train_system(recipe: Recipe, out: Path, place: Place, console: Console | None) -> Outcome:
    _refuse_another_recipe(recipe, out)
    parts = build(recipe)
    assert isinstance(parts.codec, Spectral | Encodec)
    parallel.only_rank0(place, partial(_export_codec, parts.codec, out / "codec"))
    parallel.only_rank0(place, partial(_begin, recipe, out, parts.system, len(parts.train_data), console))

    def export(system: Trainable) -> None:
        assert isinstance(system, System)
        checkpoint.save(out, system, checkpoint.system_manifest(parts.config, system, parts.codec))

    samples = partial(render, recipe.samples, parts)
    data = (parts.train_data, parts.valid_data)
    return train(parts.system, *data, recipe.optim, recipe.train, out / "train", place, samples, export, console)


def _train_codec(recipe: CodecRecipe, out: Path, place: Place, console: Console | None) -> Outcome:
    config, data = recipe.codec, recipe.data
    channels = config.channels if isinstance(config, EncodecConfig) else 1
    clips, held_out = (
        AudioDataset(data.folders, split, data.crop_seconds, config.sample_rate, channels) for split in ("train", "valid")
    )
    if console is not None and clips.skipped:
        reasons = tally(thing.reason for thing in clips.skipped)
        console.print(f"{recipe.name}: skipped {len(clips.skipped)} files ({reasons}); counterpoint encode lists them.")
    system = _codec_to_train(recipe, out, place, console)

    def export(system: Trainable) -> None:
        assert isinstance(system, SpectralTraining | CodecganTraining)
        _export_codec(system.codec, out)

    _refuse_another_recipe(recipe, out)
    parallel.only_rank0(place, partial(_begin, recipe, out, system, len(clips), console))
    samples = partial(render_codec, recipe.samples, held_out)
    return train(system, clips, held_out, recipe.optim, recipe.train, out / "train", place, samples, export, console)


def _codec_to_train(recipe: CodecRecipe, out: Path, place: Place, console: Console | None) -> Trainable:
    """The codec at its start, with what trains it."""
    config, objective = recipe.codec, recipe.objective
    if isinstance(config, EncodecConfig):
        assert isinstance(objective, CodecganConfig)
        torch.manual_seed(recipe.train.seed)  # the layers' initial weights
        return CodecganTraining(config.build(), objective)
    assert isinstance(objective, SpectralObjectiveConfig)
    parallel.only_rank0(place, partial(_fit_codec, recipe, config, out, console))
    codec = checkpoint.load_codec(_codec_to_start_from(out) or out)
    if not isinstance(codec, Spectral) or codec.config != config:
        raise ValueError(f"{out} holds another codec than the recipe describes; train into another folder.")
    return SpectralTraining(codec, objective)


def _fit_codec(recipe: CodecRecipe, config: SpectralConfig, out: Path, console: Console | None) -> None:
    """Fit the closed form, unless there is a codec to start from."""
    if _codec_to_start_from(out) is not None:
        return
    data = recipe.data
    few = AudioDataset(data.folders, "train", data.fit_seconds, config.sample_rate, most=data.fit_clips)
    if console is not None:
        console.print(f"{recipe.name}: fitting on {len(few)} clips comes first; nothing is saved before.", soft_wrap=True)
    torch.manual_seed(recipe.train.seed)  # the decoder's initial weights
    codec = fit(few, config, recipe.train.seed)
    for folder in (out / START, out):
        _export_codec(codec, folder)


def _codec_to_start_from(out: Path) -> Path | None:
    """The folder of the closed form, which nothing replaces, or else `out`, where it lies in runs that did not keep it."""
    files = (checkpoint.CONFIG, checkpoint.WEIGHTS)
    return next((folder for folder in (out / START, out) if all((folder / name).is_file() for name in files)), None)


_MAY_CHANGE = {
    *("name", "samples", "train.steps", "train.minutes", "train.threads", "train.compile"),
    *("train.log_every", "train.valid_every", "train.valid_batches", "train.save_every", "train.sample_every"),
}
"""Settings that a run may go on with another value of: they decide how long it trains and what is told of it."""


def _refuse_another_kind(recipe: Recipe | CodecRecipe, out: Path) -> None:
    """Raises ValueError where `out` holds another kind of model."""
    kind = recipe.codec.kind if isinstance(recipe, CodecRecipe) else recipe.system.kind
    if (out / checkpoint.CONFIG).is_file() and (found := checkpoint.read_manifest(out).kind) != kind:
        raise ValueError(f"{out} holds a {found!r}, and this recipe trains a {kind!r}; train into another folder.")


def _refuse_another_recipe(recipe: Recipe | CodecRecipe, out: Path) -> None:
    """Raises ValueError where the run in `out` was begun with other settings: going on with those would ignore these."""
    kept = out / "train" / "recipe.json"
    if not (out / "train" / "state.pt").is_file() or not kept.is_file():
        return
    try:
        before, now = _flat(settings.read(kept)), _flat(json.loads(settings.dump(recipe)))
    except ValueError as error:
        raise ValueError(f"{kept} is damaged or unreadable; bring back a copy of it, or delete it and call again.") from error
    for key in sorted(before.keys() & now.keys() - _MAY_CHANGE):
        if before[key] != now[key] and not key.startswith("system.sampling."):
            raise ValueError(
                f"The run in {out} was begun with {key} = {before[key]!r}, not {now[key]!r}; leave that, or train elsewhere."
            )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with keys such as "train.steps"."""
    if not isinstance(content, dict):
        return {prefix.removesuffix("."): content}
    return {key: value for name, part in content.items() for key, value in _flat(part, f"{prefix}{name}.").items()}


def _begin(recipe: Recipe | CodecRecipe, out: Path, system: Trainable, clips: int, console: Console | None) -> None:
    """Keep the recipe as it is run, and say what begins."""
    with renamed(out / "train" / "recipe.json") as path:
        path.write_text(settings.dump(recipe), encoding="utf-8")
    if console is not None:
        parameters = sum(parameter.numel() for players in system.players().values() for parameter in players)
        console.print(f"{recipe.name}: {parameters / 1e6:.2f} million parameters learn from {clips} clips, in {out}.")


def _export_codec(codec: Spectral | Encodec, folder: Path) -> None:
    with writing(folder):
        checkpoint.save(folder, codec, checkpoint.codec_manifest(codec.config, codec))


def build(recipe: Recipe) -> _Parts:
    """The system at its start, its data, and the codec that both belong to.  Raises ValueError when they do not fit."""
    data = recipe.data
    clips = LatentDataset(data.folder, "train", 1)
    info = clips.info
    codec = checkpoint.load_codec(recipe.codec)
    if digest(codec.frame_state()) != info.codec:
        raise ValueError(f"{data.folder} was encoded by another codec than {recipe.codec!r}; name that one, or encode again.")
    config = _with_vocabulary(recipe, clips)
    if info.painted is None:  # no clip has a score
        if config.score is not None and "score" in recipe.system.model_fields_set:
            raise ValueError(f'No clip in {data.folder} has a score; leave system.score out, or set it to "none".')
        config = config.model_copy(update={"score": None})
    torch.manual_seed(recipe.train.seed)  # the layers' initial weights
    system = config.build(info.spec)
    for conditioner in system.conditioners.values():
        if isinstance(conditioner, T5):
            conditioner.encoder.open()  # here, where nothing is written yet
    if system.view == "tokens":
        _check_tokens(recipe, codec, info)
    if isinstance(system, Jasco):
        mean, std = clips.statistics()
        raw = codec.scale if isinstance(codec, Spectral) else torch.ones_like(std)  # before the codec's own whitening
        system.normalise_by(mean, std, (raw * std) ** data.weight_power)
    frames = info.spec.frames(data.crop_seconds)
    train_data, valid_data = (LatentDataset(data.folder, split, frames, system.view) for split in ("train", "valid"))
    return _Parts(config, system, codec, train_data, valid_data)


def _with_vocabulary(recipe: Recipe, clips: LatentDataset) -> SystemConfig:
    """The system's settings with the captions' vocabulary, where it is told words and has none yet.  Raises ValueError."""
    config, data = recipe.system, recipe.data
    if isinstance(config.words, T5Config):
        if "words" in data.model_fields_set:
            raise ValueError("data.words is the size of a vocabulary, and T5 brings its own; leave it out.")
        return config
    if config.words.vocabulary:
        return config
    captions = [caption for _, row in clips.rows for caption in row["captions"]]
    words = config.words.model_copy(update={"vocabulary": learn_vocabulary(captions, data.words)})
    return config.model_copy(update={"words": words})


def _check_tokens(recipe: Recipe, codec: Codec, info: CacheInfo) -> None:
    """Raises ValueError for tokens of other codebooks, and for a setting that tokens have no use for."""
    if digest(codec.token_state()) != info.codebooks:
        raise ValueError(
            f"The tokens in {recipe.data.folder} are of other codebooks than those of {recipe.codec!r} now; encode again."
        )
    if "weight_power" in recipe.data.model_fields_set and recipe.data.weight_power != 1.0:
        raise ValueError("data.weight_power weighs channels of continuous frames, and this system learns tokens; leave it out.")


def render(count: int, parts: _Parts, system: Trainable, step: int, folder: Path) -> None:
    """Pieces made from the first held-out clips' words and plans, as wav; the seeds are the same each time."""
    assert isinstance(system, System)
    device = next(system.parameters()).device
    seeds = [rng.mix(0, i) for i in range(min(count, len(parts.valid_data)))]
    if not seeds:
        return
    batch = collate([parts.valid_data.item(i, seed) for i, seed in enumerate(seeds)], seeds)
    assert batch.frames is not None
    assert batch.mask is not None
    blank = Canvas.blank(len(seeds), batch.mask.shape[1], system.spec, system.view)
    canvas = Canvas(blank.frames.to(device), blank.given.to(device))
    values = {name: column for name, column in batch.values.items() if name in system.conditions}  # a corpus may know more
    made = system.generate(canvas, values, seeds).cpu()
    for i, audio in enumerate(parts.codec.decode(parts.codec.as_frames(made, system.view))):
        sound.write(folder / f"{i}.wav", audio, parts.codec.sample_rate)
        text = batch.values["text"][i] or ""
        (folder / f"{i}.txt").write_text(f"{text}\n", encoding="utf-8")


def render_codec(count: int, clips: AudioDataset, system: Trainable, step: int, folder: Path) -> None:
    """The first held-out clips as they were, through continuous frames, and through tokens, as wav."""
    assert isinstance(system, SpectralTraining | CodecganTraining)
    codec, device = system.codec, next(system.parameters()).device
    for i in range(min(count, len(clips))):
        audio = clips.item(i, rng.mix(0, i)).audio
        assert audio is not None
        frames = codec.encode(audio[None].to(device))
        heard = {"frames": codec.decode(frames), "tokens": codec.decode(codec.from_tokens(codec.to_tokens(frames)))}
        for name, made in {"original": audio[None], **heard}.items():
            sound.write(folder / f"{i}-{name}.wav", made[0].cpu(), codec.sample_rate)
