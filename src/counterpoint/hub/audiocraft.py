"""Files that AudioCraft exports: `state_dict.bin` and `compression_state_dict.bin`, tensors beside their recipe as YAML.

Either holds `best_state` (tensors by name), `xp.cfg` (the text of a YAML, in which a value may point to another: ${a.b}),
`version` and `exported`; or, for a codec, `pretrained`: the Hub id of one that is published by itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor

from counterpoint import weights

SYSTEM, CODEC = "state_dict.bin", "compression_state_dict.bin"
_POINTER = re.compile(r"\$\{([\w.]+)\}")
_MISSING = object()


@dataclass(frozen=True)
class Package:
    """What a file holds, and where it comes from."""

    path: Path
    tensors: Mapping[str, Tensor]
    recipe: Mapping[str, Any]
    pretrained: str | None = None

    def stated(self, name: str) -> Any:
        """The recipe's value of "a.b".  Raises ValueError where it says nothing, or points to where nothing is."""
        value = self._resolved(name)
        if value is _MISSING:
            raise ValueError(f"{self.path} does not state {name} in its recipe; export it again with AudioCraft.")
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """The recipe's value of "a.b", or what AudioCraft takes where nothing is said."""
        value = self._resolved(name)
        return default if value is _MISSING else value

    def demand(self, wanted: Mapping[str, Any]) -> None:
        """Raises ValueError for a setting that is stated and not as wanted: networks that are not built here."""
        for name, value in wanted.items():
            if (found := self.get(name, value)) != value:
                raise ValueError(f"{self.path} has {name} = {found!r}, which is not built here, where it is {value!r}.")

    def _resolved(self, name: str) -> Any:
        for _ in range(8):  # a pointer may point to a pointer
            value: Any = self.recipe
            for part in name.split("."):
                value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
            if not (isinstance(value, str) and (pointer := _POINTER.fullmatch(value))):
                return value
            name = pointer[1]
        return _MISSING


def opened(path: Path) -> Package:
    """The content of an exported file.  Raises ValueError for any other."""
    content = weights.unpickled(path)
    if isinstance(content, dict) and isinstance(name := content.get("pretrained"), str):
        return Package(path, {}, {}, name)
    if not isinstance(content, dict) or not isinstance(content.get("best_state"), dict) or "xp.cfg" not in content:
        raise ValueError(f"{path} is no file that AudioCraft has exported: it has no best_state and xp.cfg; export it first.")
    tensors = content["best_state"]
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ValueError(f"{path} holds something else than tensors in its best_state; export it again with AudioCraft.")
    try:
        recipe = yaml.safe_load(content["xp.cfg"])
    except (yaml.YAMLError, AttributeError) as error:
        raise ValueError(f"{path} has a recipe (xp.cfg) that is no YAML; export it again with AudioCraft.") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} has a recipe (xp.cfg) that is no table; export it again with AudioCraft.")
    return Package(path, tensors, recipe)
