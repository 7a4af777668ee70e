"""A codec's recipe: closed form on the corpus, then training of the decoder; both from one page.

    name = "spectral-tiny"
    codec = { kind = "spectral" }
    data = { folder = "runs/codec-corpus", crop_seconds = 2.56 }
    optim = { lr = 1e-3 }
    train = { steps = 4000, precision = "bf16" }

The run's folder is a codec that can be loaded from the first minute on; its frames never change after the closed form.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pydantic import Field
from rich.console import Console

from counterpoint import config as settings
from counterpoint import parallel
from counterpoint.codecs.spectral import Spectral, SpectralConfig
from counterpoint.config import Config
from counterpoint.data.clips import AudioDataset
from counterpoint.hub import checkpoint
from counterpoint.journal import renamed
from counterpoint.optim import OptimConfig
from counterpoint.systems.base import Trainable
from counterpoint.systems.spectral import SpectralObjectiveConfig, SpectralTraining, fit
from counterpoint.training import Outcome, TrainConfig, train


class ClipsConfig(Config):
    """Audio in random crops."""

    folder: Path
    crop_seconds: float = Field(default=2.56, gt=0)
    fit_seconds: float = Field(default=10.0, gt=0)
    """Seconds of each clip that the closed form sees."""


class CodecRecipe(Config):
    """A codec from nothing to done."""

    name: str
    codec: SpectralConfig = SpectralConfig()
    objective: SpectralObjectiveConfig = SpectralObjectiveConfig()
    data: ClipsConfig
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()


def run_codec_recipe(
    path: Path, changes: Sequence[str], out: Path, device: str = "auto", console: Console | None = None
) -> Outcome:
    """Fit, then train, the codec of the recipe at `path` into the folder `out`; the same call goes on where it stopped."""
    recipe = settings.load(CodecRecipe, path, changes)
    place = parallel.place(device)
    with parallel.together(place):
        parallel.only_rank0(place, partial(_begin, recipe, out))
        codec = checkpoint.load_codec(out)
        assert isinstance(codec, Spectral)
        data, rate = recipe.data, recipe.codec.sample_rate
        train_data, valid_data = (AudioDataset(data.folder, split, data.crop_seconds, rate) for split in ("train", "valid"))
        system = SpectralTraining(codec, recipe.objective)
        export = partial(_export, recipe, out)
        return train(
            system, train_data, valid_data, recipe.optim, recipe.train, out / "train", place, export=export, console=console
        )


def _begin(recipe: CodecRecipe, out: Path) -> None:
    """The closed form, unless the folder already holds a codec, and the recipe as it is run."""
    (out / "train").mkdir(parents=True, exist_ok=True)
    if not (out / checkpoint.CONFIG).is_file():
        clips = AudioDataset(recipe.data.folder, "train", recipe.data.fit_seconds, recipe.codec.sample_rate)
        codec = fit(clips, recipe.codec, recipe.train.seed)
        checkpoint.save(out, codec, checkpoint.codec_manifest(recipe.codec, codec), half=True)
    with renamed(out / "train" / "recipe.json") as path:
        path.write_text(settings.dump(recipe), encoding="utf-8")


def _export(recipe: CodecRecipe, out: Path, system: Trainable) -> None:
    assert isinstance(system, SpectralTraining)
    checkpoint.save(out, system.codec, checkpoint.codec_manifest(recipe.codec, system.codec), half=True)
