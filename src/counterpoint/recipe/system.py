"""Trains a generator on encoded clips."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from counterpoint import audio as sound
from counterpoint import parallel, rng
from counterpoint.codecs.base import Codec
from counterpoint.codecs.spectral import Spectral
from counterpoint.conditioners.controls import LANES
from counterpoint.conditioners.text import T5, T5Config
from counterpoint.conditioners.words import learn_vocabulary
from counterpoint.data.latents import CacheInfo, LatentDataset
from counterpoint.data.loader import collate
from counterpoint.encoding import digest
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import SystemConfig
from counterpoint.parallel import Place
from counterpoint.recipe.base import LatentsConfig, Recipe
from counterpoint.recipe.folder import begin, export_codec, refuse_another_recipe
from counterpoint.systems.base import System, Trainable
from counterpoint.systems.jasco import Jasco
from counterpoint.systems.musicgen import Musicgen
from counterpoint.training import Outcome, train
from counterpoint.types import Canvas


@dataclass(frozen=True)
class Parts:
    """What a recipe builds."""

    config: SystemConfig
    system: System
    codec: Codec
    train_data: LatentDataset
    valid_data: LatentDataset


def train_system(recipe: Recipe, out: Path, place: Place, console: Console | None) -> Outcome:
    """Train the recipe's system into `out`, or go on."""
    refuse_another_recipe(recipe, out)
    parts = build(recipe)
    parallel.only_rank0(place, partial(export_codec, parts.codec, out / "codec"))
    parallel.only_rank0(place, partial(begin, recipe, out, parts.system, len(parts.train_data), console))

    def export(system: Trainable) -> None:
        assert isinstance(system, System)
        checkpoint.save(out, system, checkpoint.system_manifest(parts.config, system, parts.codec))

    samples = partial(render, recipe.samples, parts)
    data = (parts.train_data, parts.valid_data)
    return train(parts.system, *data, recipe.optim, recipe.train, out / "train", place, samples, export, console)


def build(recipe: Recipe) -> Parts:
    """The system at its start, its data, and the codec that both belong to.  Raises ValueError when they do not fit."""
    data = recipe.data
    clips = LatentDataset(data.folder, "train", 1)
    info = clips.info
    codec = checkpoint.load_codec(recipe.codec)
    check_frames(codec, recipe.codec, info, data.folder)
    config = _with_vocabulary(recipe, clips)
    if info.painted is None:  # no clip has a score
        if config.score is not None and "score" in recipe.system.model_fields_set:
            raise ValueError(f'No clip in {data.folder} has a score; leave system.score out, or set it to "none".')
        config = config.model_copy(update={"score": None})
    if config.kind == "musicgen" and not info.spec.levels:
        raise ValueError(
            f"{recipe.codec!r} has no tokens to learn; name a codec that has them, or train a jasco on its frames."
        )
    _check_controls(config, clips, data.folder)
    start = None if recipe.weights is None else checkpoint.load(recipe.weights)
    if start is not None:
        check_frames(start.codec, recipe.weights or "", info, data.folder)
        config = config.model_copy(update={"words": start.config.words})
    torch.manual_seed(recipe.train.seed)  # the layers' initial weights
    system = config.build(info.spec)
    for conditioner in system.conditioners.values():
        if isinstance(conditioner, T5):
            conditioner.encoder.open()  # here, where nothing is written yet
    if system.view == "tokens":
        _check_tokens(recipe, codec, info)
    if start is not None:
        begin_as(system, start.system)
    elif isinstance(system, Jasco):
        _normalise(system, recipe, codec, clips)
    frames = info.spec.frames(data.crop_seconds)
    train_data, valid_data = (LatentDataset(data.folder, split, frames, system.view) for split in ("train", "valid"))
    return Parts(config, system, codec, train_data, valid_data)


def _check_controls(config: SystemConfig, clips: LatentDataset, folder: Path) -> None:
    """Raises ValueError for controls of which the data tells nothing."""
    wanted, drums = config.controls.names, config.controls.drums
    if wanted and clips.drums is None:
        raise ValueError(f"{folder} tells nothing of {wanted[0]}; label it with counterpoint encode --controls.")
    if drums is not None and clips.drums != (drums.order, drums.blur):
        order, blur = clips.drums or ("", 0)
        raise ValueError(
            f"The drums in {folder} were made in the order {order} with a blur of {blur}; set system.controls.drums to these."
        )


def begin_as(system: System, start: System) -> None:
    """Give a system the weights of one that was told less: what it alone is told enters by columns of zeros.  One that also
    learns to fill gaps has the marks for that as it is built.

    Raises ValueError where they differ in more than that.
    """
    lanes, before = ([name for name in one.conditions if name in ("score", *LANES)] for one in (system, start))
    marks = isinstance(system, Musicgen) and "inpaint" in system.tasks and "inpaint" not in start.tasks
    shown = [isinstance(one, Jasco) and one.config.canvas > 0 for one in (system, start)]  # columns before those of lanes
    if lanes[: len(before)] != before or len(set(shown)) > 1 or (system.tasks != start.tasks and not marks):
        raise ValueError(
            f"The model to begin with is told {', '.join(before)} and can {', '.join(start.tasks)}, which does not go over "
            f"into {', '.join(lanes)} and {', '.join(system.tasks)}; add lanes behind its own, and leave the canvas as it was."
        )
    own, given = system.state_dict(), start.state_dict()
    new = tuple(f"conditioners.{name}." for name in system.conditions if name not in start.conditions)
    new += ("marks.",) if marks else ()
    for name, tensor in own.items():
        if name.startswith(new):
            continue
        if name not in given or not _extends(tensor.shape, given[name].shape):
            raise ValueError(
                f"The weights to begin with are of another network (at {name}); give the system the settings of that model."
            )
        if tensor.shape != given[name].shape:
            tensor.zero_()
            tensor[:, : given[name].shape[1]] = given[name]
        else:
            tensor.copy_(given[name])
    system.load_state_dict(own)


def _extends(shape: torch.Size, smaller: torch.Size) -> bool:
    """Whether a matrix has the rows of another, and as many columns or more."""
    return shape == smaller or (len(shape) == len(smaller) == 2 and shape[0] == smaller[0] and shape[1] > smaller[1])


def check_frames(codec: Codec, name: str, info: CacheInfo, folder: Path) -> None:
    """Raises ValueError for cached frames of another codec."""
    if digest(codec.frame_state()) != info.codec:
        raise ValueError(f"{folder} was encoded by another codec than {name!r}; name that one, or encode again.")


def _with_vocabulary(recipe: Recipe, clips: LatentDataset) -> SystemConfig:
    """The system's settings with the captions' vocabulary, where it is told words and has none yet.  Raises ValueError."""
    config, data = recipe.system, recipe.data
    if isinstance(config.words, T5Config):
        if data.words != LatentsConfig.model_fields["words"].default:  # a run's own recipe.json states it
            raise ValueError("data.words is the size of a vocabulary, and T5 brings its own; leave it out.")
        return config
    if config.words.vocabulary:
        return config
    captions = [caption for _, row in clips.rows for caption in row["captions"]]
    words = config.words.model_copy(update={"vocabulary": learn_vocabulary(captions, data.words)})
    return config.model_copy(update={"words": words})


def _normalise(system: Jasco, recipe: Recipe, codec: Codec, clips: LatentDataset) -> None:
    """Give the system the statistics of its frames.  Raises ValueError for a setting that they would make idle."""
    data = recipe.data
    if data.normalise == "channels":
        mean, std = clips.statistics()
    elif data.weight_power != 1.0 and not isinstance(codec, Spectral):
        raise ValueError('data.weight_power weighs channels by deviations, and normalise = "whole" has one; leave it out.')
    else:
        mean, std = (torch.full((clips.spec.dim,), number) for number in clips.scalars())
    raw = codec.scale if isinstance(codec, Spectral) else torch.ones_like(std)  # before the codec's own whitening
    system.normalise_by(mean, std, (raw * std) ** data.weight_power)


def _check_tokens(recipe: Recipe, codec: Codec, info: CacheInfo) -> None:
    """Raises ValueError for tokens of other codebooks, and for a setting that tokens have no use for."""
    if digest(codec.token_state()) != info.codebooks:
        raise ValueError(
            f"The tokens in {recipe.data.folder} are of other codebooks than those of {recipe.codec!r} now; encode again."
        )
    if recipe.data.weight_power != 1.0:
        raise ValueError("data.weight_power weighs channels of continuous frames, and this system learns tokens; leave it out.")
    if recipe.data.normalise != "channels":
        raise ValueError("data.normalise is for continuous frames, and this system learns tokens; leave it out.")


def render(count: int, parts: Parts, system: Trainable, step: int, folder: Path) -> None:
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
