"""Trains an ear on clips with captions and tags; their frames are made first, and kept in the run's folder."""

from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from counterpoint import journal, parallel
from counterpoint.conditioners.words import learn_vocabulary
from counterpoint.data.tagged import TaggedDataset, write_bands
from counterpoint.hub import checkpoint
from counterpoint.parallel import Place
from counterpoint.recipe.base import EarRecipe
from counterpoint.recipe.folder import begin, refuse_another_recipe
from counterpoint.systems.base import Trainable
from counterpoint.systems.ear import Ear, EarConfig
from counterpoint.training import Outcome, train

BANDS = Path("train", "bands")
"""Where in an ear's run the frames of its clips are kept."""


def train_ear(recipe: EarRecipe, out: Path, place: Place, console: Console | None) -> Outcome:
    """Train the recipe's ear into `out`, or go on."""
    refuse_another_recipe(recipe, out)
    parallel.only_rank0(place, partial(_write_bands, recipe, out, console))
    clips, held_out = (_dataset(recipe, out, split) for split in ("train", "valid"))
    config = _with_names(recipe, clips)
    torch.manual_seed(recipe.train.seed)  # the layers' initial weights
    ear = config.build()
    ear.normalise_by(*clips.statistics())

    def export(trained: Trainable) -> None:
        assert isinstance(trained, Ear)
        checkpoint.save(out, trained, checkpoint.ear_manifest(trained.config))

    parallel.only_rank0(place, partial(begin, recipe, out, ear, len(clips), console))
    return train(ear, clips, held_out, recipe.optim, recipe.train, out / "train", place, None, export, console)


def _write_bands(recipe: EarRecipe, out: Path, console: Console | None) -> None:
    front = recipe.ear.front
    with journal.progress("hearing", long=console is not None) as progress:
        write_bands(recipe.data.folders, front.sample_rate, front.build(), out / BANDS, progress)


def _dataset(recipe: EarRecipe, out: Path, split: str) -> TaggedDataset:
    front = recipe.ear.front
    crop = max(1, round(recipe.data.crop_seconds * front.rate))
    return TaggedDataset(out / BANDS, split, crop, front.per_semitone, vary=split == "train" and recipe.data.vary)


def _with_names(recipe: EarRecipe, clips: TaggedDataset) -> EarConfig:
    """The ear's settings with the vocabulary and the names that its clips have, where it has none yet."""
    config, rows = recipe.ear, [row for _, row in clips.rows]
    if not config.words.vocabulary:
        captions = [caption for row in rows for caption in row["captions"]]
        words = config.words.model_copy(update={"vocabulary": learn_vocabulary(captions, recipe.data.words)})
        config = config.model_copy(update={"words": words})
    styles = config.styles or tuple(sorted({row["style"] for row in rows if row["style"] is not None}))
    instruments = config.instruments or tuple(sorted({name for row in rows for name in row["instruments"] or ()}))
    return config.model_copy(update={"styles": styles, "instruments": instruments})
