"""Trains a codec on clips: a spectral one from its closed form, which is kept in train/start, the others from nothing."""

from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from counterpoint import audio as sound
from counterpoint import parallel, rng
from counterpoint.codecs.spectral import Spectral, SpectralConfig
from counterpoint.data.clips import AudioDataset
from counterpoint.data.row import tally
from counterpoint.hub import checkpoint
from counterpoint.parallel import Place
from counterpoint.recipe.base import CodecRecipe
from counterpoint.recipe.folder import begin, export_codec, refuse_another_recipe
from counterpoint.systems.base import Trainable
from counterpoint.systems.codecgan import CodecganConfig, CodecganTraining, VaeganConfig
from counterpoint.systems.spectral import SpectralObjectiveConfig, SpectralTraining, fit
from counterpoint.training import Outcome, train

START = Path("train", "start")
"""Where in a codec's run its closed form is kept."""


def train_codec(recipe: CodecRecipe, out: Path, place: Place, console: Console | None) -> Outcome:
    """Train the recipe's codec into `out`, or go on."""
    config, data = recipe.codec, recipe.data
    channels = 1 if isinstance(config, SpectralConfig) else config.channels
    clips, held_out = (
        AudioDataset(data.folders, split, data.crop_seconds, config.sample_rate, channels) for split in ("train", "valid")
    )
    if console is not None and clips.skipped:
        reasons = tally(thing.reason for thing in clips.skipped)
        console.print(f"{recipe.name}: skipped {len(clips.skipped)} files ({reasons}); counterpoint encode lists them.")
    system = _codec_to_train(recipe, out, place, console)

    def export(system: Trainable) -> None:
        assert isinstance(system, SpectralTraining | CodecganTraining)
        export_codec(system.codec, out)

    refuse_another_recipe(recipe, out)
    parallel.only_rank0(place, partial(begin, recipe, out, system, len(clips), console))
    samples = partial(render_codec, recipe.samples, held_out)
    return train(system, clips, held_out, recipe.optim, recipe.train, out / "train", place, samples, export, console)


def _codec_to_train(recipe: CodecRecipe, out: Path, place: Place, console: Console | None) -> Trainable:
    """The codec at its start, with what trains it."""
    config, objective = recipe.codec, recipe.objective
    if not isinstance(config, SpectralConfig):
        assert isinstance(objective, CodecganConfig | VaeganConfig)
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
        export_codec(codec, folder)


def _codec_to_start_from(out: Path) -> Path | None:
    """The folder of the closed form, which nothing replaces, or else `out`, where it lies in runs that did not keep it."""
    files = (checkpoint.CONFIG, checkpoint.WEIGHTS)
    return next((folder for folder in (out / START, out) if all((folder / name).is_file() for name in files)), None)


def render_codec(count: int, clips: AudioDataset, system: Trainable, step: int, folder: Path) -> None:
    """The first held-out clips as they were, through continuous frames, and through tokens if there are any, as wav."""
    assert isinstance(system, SpectralTraining | CodecganTraining)
    codec, device = system.codec, next(system.parameters()).device
    for i in range(min(count, len(clips))):
        audio = clips.item(i, rng.mix(0, i)).audio
        assert audio is not None
        frames = codec.encode(audio[None].to(device))
        heard = {"frames": codec.decode(frames)}
        if codec.spec.levels:
            heard["tokens"] = codec.decode(codec.from_tokens(codec.to_tokens(frames)))
        for name, made in {"original": audio[None], **heard}.items():
            sound.write(folder / f"{i}-{name}.wav", made[0].cpu(), codec.sample_rate)
