"""A recipe that starts from another one, and says only what differs.

    base = "jasco-small.toml"
    name = "jasco-small-25"
    data = { folder = "runs/latents-encodec-25" }

`base` is a file seen from the recipe's own folder.  Tables are laid over the base's setting by setting, save those that are of
another `kind`: of their settings few would mean anything, so that they take the base's place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoint import config as settings


def read_layers(path: Path) -> dict[str, Any]:
    """The plain content of a recipe, laid over that of its base, and so on.  Raises ValueError."""
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """`above` are the recipes that start from this one."""
    if above and not path.is_file():
        raise ValueError(f"{above[-1]} starts from {path}, which is not there; mend its base, or bring back that file.")
    content = settings.read(path)
    if "base" not in content:
        return content
    base = content.pop("base")
    if not isinstance(base, str):
        raise ValueError(f"{path}: base: must be the path of another recipe, not {base!r:.60}.")
    chain = (*above, path)
    lower = path.parent / base
    if lower.resolve() in [recipe.resolve() for recipe in chain]:
        names = " -> ".join(recipe.name for recipe in (*chain, lower))
        raise ValueError(f"{chain[0]} comes back to itself by its base ({names}); take one of these out.")
    return lay(content, _read(lower, chain))


def lay(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of both, and where both have one, the upper's."""
    both = dict(lower)
    for name, value in upper.items():
        under = lower.get(name)
        if isinstance(value, dict) and isinstance(under, dict) and _one_kind(value, under):
            both[name] = lay(value, under)
        else:
            both[name] = value
    return both


def _one_kind(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> bool:
    """Whether tables are of one kind, as far as both say."""
    return "kind" not in upper or upper["kind"] == lower.get("kind", upper["kind"])
