"""A recipe becomes a run."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from counterpoint import parallel
from counterpoint.recipe.base import CodecRecipe, DistillRecipe, EarRecipe, PlannerRecipe, read
from counterpoint.recipe.codec import train_codec
from counterpoint.recipe.distilled import train_distilled
from counterpoint.recipe.ear import train_ear
from counterpoint.recipe.folder import refuse_another_kind
from counterpoint.recipe.score import train_planner
from counterpoint.recipe.system import train_system
from counterpoint.training import Outcome


def run_recipe(path: Path, changes: Sequence[str], out: Path, device: str = "auto", console: Console | None = None) -> Outcome:
    """Train the recipe at `path`, changed by `a.b=c`, into the folder `out`; the same call goes on where a run has stopped."""
    recipe = read(path, changes)
    place = parallel.place(device)
    refuse_another_kind(recipe, out)
    with parallel.together(place):
        if isinstance(recipe, CodecRecipe):
            return train_codec(recipe, out, place, console)
        if isinstance(recipe, DistillRecipe):
            return train_distilled(recipe, out, place, console)
        if isinstance(recipe, EarRecipe):
            return train_ear(recipe, out, place, console)
        if isinstance(recipe, PlannerRecipe):
            return train_planner(recipe, out, place, console)
        return train_system(recipe, out, place, console)
