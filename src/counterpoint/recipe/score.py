"""Trains a planner on pieces that are composed while it learns."""

from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from counterpoint import parallel
from counterpoint.conditioners.words import learn_vocabulary
from counterpoint.data.events.compositions import Compositions
from counterpoint.hub import checkpoint
from counterpoint.parallel import Place
from counterpoint.recipe.base import PlannerRecipe
from counterpoint.recipe.folder import begin, refuse_another_recipe
from counterpoint.systems.base import Trainable
from counterpoint.systems.score import Planner, PlannerConfig
from counterpoint.training import Outcome, train

READ = 1000
"""Pieces whose captions the vocabulary is learnt from, at most."""


def train_planner(recipe: PlannerRecipe, out: Path, place: Place, console: Console | None) -> Outcome:
    """Train the recipe's planner into `out`, or go on."""
    refuse_another_recipe(recipe, out)
    pieces, held_out = (_dataset(recipe, split) for split in ("train", "valid"))
    config = _with_words(recipe, pieces, out)
    torch.manual_seed(recipe.train.seed)  # the layers' initial weights
    planner = config.build()

    def export(trained: Trainable) -> None:
        assert isinstance(trained, Planner)
        checkpoint.save(out, trained, checkpoint.planner_manifest(trained.config))

    parallel.only_rank0(place, partial(begin, recipe, out, planner, len(pieces), console))
    return train(planner, pieces, held_out, recipe.optim, recipe.train, out / "train", place, None, export, console)


def _dataset(recipe: PlannerRecipe, split: str) -> Compositions:
    data = recipe.data
    count = data.pieces if split == "train" else data.held_out
    sizes = (data.shortest, data.longest, data.varied, data.gaps)
    return Compositions(split, data.seed, count, recipe.planner.window, *sizes)


def _with_words(recipe: PlannerRecipe, pieces: Compositions, out: Path) -> PlannerConfig:
    """The planner's settings with the words of its pieces' captions, where it has none; a run keeps those it began with."""
    config = recipe.planner
    if config.words.vocabulary:
        return config
    if (out / "train" / "state.pt").is_file() and (out / checkpoint.CONFIG).is_file():
        manifest = checkpoint.read_manifest(out)
        return PlannerConfig.model_validate(manifest.config)
    captions = [caption for index in range(min(READ, len(pieces))) for caption in pieces.piece(index).captions]
    words = config.words.model_copy(update={"vocabulary": learn_vocabulary(captions, recipe.data.words)})
    return config.model_copy(update={"words": words})
