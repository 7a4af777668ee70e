"""Teaches a flow model to make music in fewer steps, from encoded clips."""

from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from counterpoint import parallel
from counterpoint.data.latents import LatentDataset
from counterpoint.hub import checkpoint
from counterpoint.parallel import Place
from counterpoint.recipe.base import DistillRecipe
from counterpoint.recipe.folder import begin, export_codec, refuse_another_recipe
from counterpoint.recipe.system import Parts, check_frames, render
from counterpoint.systems.base import Trainable
from counterpoint.systems.jasco import Jasco
from counterpoint.systems.meanflow import Meanflow
from counterpoint.training import Outcome, train


def train_distilled(recipe: DistillRecipe, out: Path, place: Place, console: Console | None) -> Outcome:
    """Train the recipe's student into `out`, or go on."""
    refuse_another_recipe(recipe, out)
    start = checkpoint.load(recipe.start)
    if not isinstance(start.system, Jasco):
        raise ValueError(
            f"{recipe.start!r} is a {start.config.kind!r}, and only a flow model (jasco) can be distilled; name one."
        )
    data = recipe.data
    frames = start.system.spec.frames(data.crop_seconds)
    clips, held_out = (LatentDataset(data.folder, split, frames) for split in ("train", "valid"))
    check_frames(start.codec, recipe.start, clips.info, data.folder)
    torch.manual_seed(recipe.train.seed)  # the new layers' initial weights
    system = Meanflow(start.system, recipe.objective, recipe.sampling)
    parallel.only_rank0(place, partial(export_codec, start.codec, out / "codec"))
    parallel.only_rank0(place, partial(begin, recipe, out, system, len(clips), console))
    parts = Parts(system.student.config, system.student, start.codec, clips, held_out)

    def export(trained: Trainable) -> None:
        assert isinstance(trained, Meanflow)
        student = trained.student
        checkpoint.save(out, student, checkpoint.system_manifest(student.config, student, start.codec))

    def samples(trained: Trainable, step: int, folder: Path) -> None:
        assert isinstance(trained, Meanflow)
        render(recipe.samples, parts, trained.student, step, folder)

    return train(system, clips, held_out, recipe.optim, recipe.train, out / "train", place, samples, export, console)
