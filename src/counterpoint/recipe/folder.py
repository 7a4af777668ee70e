"""The folder of a run: a checkpoint that can be loaded while it still trains, and in train/ what only training needs."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from counterpoint import config as settings
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import Encodec
from counterpoint.codecs.spectral import Spectral
from counterpoint.codecs.vae import Vae
from counterpoint.files import renamed, writing
from counterpoint.hub import checkpoint
from counterpoint.recipe.base import AnyRecipe, CodecRecipe, DistillRecipe, EarRecipe, PlannerRecipe
from counterpoint.systems.base import Trainable

_MAY_CHANGE = {
    *("name", "samples", "train.steps", "train.minutes", "train.threads", "train.compile"),
    *("train.log_every", "train.valid_every", "train.valid_batches", "train.save_every", "train.sample_every"),
}
"""Settings that a run may go on with another value of: they decide how long it trains and what is told of it."""


def _kind(recipe: AnyRecipe) -> str:
    if isinstance(recipe, DistillRecipe):
        return "jasco"
    if isinstance(recipe, EarRecipe):
        return recipe.ear.kind
    if isinstance(recipe, PlannerRecipe):
        return recipe.planner.kind
    return recipe.codec.kind if isinstance(recipe, CodecRecipe) else recipe.system.kind


def refuse_another_kind(recipe: AnyRecipe, out: Path) -> None:
    """Raises ValueError where `out` holds another kind of model."""
    kind = _kind(recipe)
    if (out / checkpoint.CONFIG).is_file() and (found := checkpoint.read_manifest(out).kind) != kind:
        raise ValueError(f"{out} holds a {found!r}, and this recipe trains a {kind!r}; train into another folder.")


def refuse_another_recipe(recipe: AnyRecipe, out: Path) -> None:
    """Raises ValueError where the run in `out` was begun with other settings: going on with those would ignore these."""
    kept = out / "train" / "recipe.json"
    if not (out / "train" / "state.pt").is_file() or not kept.is_file():
        return
    try:
        before, now = _flat(settings.read(kept)), _flat(json.loads(settings.dump(recipe)))
    except ValueError as error:
        raise ValueError(f"{kept} is damaged or unreadable; bring back a copy of it, or delete it and call again.") from error
    for key in sorted(before.keys() & now.keys() - _MAY_CHANGE):
        if before[key] != now[key] and not key.startswith(("system.sampling.", "sampling.")):
            raise ValueError(
                f"The run in {out} was begun with {key} = {before[key]!r}, not {now[key]!r}; leave that, or train elsewhere."
            )


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with keys such as "train.steps"; a table of guidance is one value."""
    if not isinstance(content, dict) or prefix.endswith("guidance."):
        return {prefix.removesuffix("."): content}
    return {key: value for name, part in content.items() for key, value in _flat(part, f"{prefix}{name}.").items()}


def begin(recipe: AnyRecipe, out: Path, system: Trainable, clips: int, console: Console | None) -> None:
    """Keep the recipe as it is run, and say what begins."""
    with renamed(out / "train" / "recipe.json") as path:
        path.write_text(settings.dump(recipe), encoding="utf-8")
    if console is not None:
        parameters = sum(parameter.numel() for players in system.players().values() for parameter in players)
        console.print(f"{recipe.name}: {parameters / 1e6:.2f} million parameters learn from {clips} clips, in {out}.")


def export_codec(codec: Codec, folder: Path) -> None:
    """Write a codec as a checkpoint."""
    assert isinstance(codec, Spectral | Encodec | Vae)  # those that have settings
    with writing(folder):
        checkpoint.save(folder, codec, checkpoint.codec_manifest(codec.config, codec))
