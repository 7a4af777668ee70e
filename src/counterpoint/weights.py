"""Weights in a folder as other libraries leave them there: a safetensors file or several, or torch's own format.

Nothing that could run is ever unpickled: torch's files are read with `weights_only`, which takes tensors, numbers, text and
containers of them, and nothing else.
"""

import hashlib
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

T = TypeVar("T")
SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"
"""What transformers calls the file, now and before; in parts there is an index of the same name beside them."""


def files(folder: Path, names: Iterable[str] = (SAFE, PICKLED)) -> list[Path]:
    """The files that hold a folder's weights: the first of `names` that is there, whole or in parts.  Raises ValueError."""
    for name in (names := tuple(names)):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return _parts(folder / f"{name}.index.json")
    raise ValueError(f"{folder} has no {' and no '.join(names)}; the checkpoint is incomplete, so fetch or save it again.")


def held(folder: Path, names: Iterable[str] = (SAFE, PICKLED)) -> bool:
    """Whether a folder holds weights under one of these names, whole or in parts."""
    return any((folder / f"{name}{end}").is_file() for name in names for end in ("", ".index.json"))


def _parts(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of weights; fetch or save the checkpoint again.") from error
    parts = [index.parent / str(name) for name in names]
    for part in parts:
        if part.parent != index.parent or not part.is_file():
            raise ValueError(f"{part} is named by {index.name} and is not there; fetch or save the checkpoint again.")
    return parts


Wanted = Callable[[str], bool]
"""Whether a tensor of that name is to be read."""
_LAYER = re.compile(r".*\b(layers|blocks?)\.\d+\.")


def read(parts: Iterable[Path], wanted: Wanted | None = None) -> dict[str, Tensor]:
    """The tensors of all files together, on the CPU.  Raises ValueError for a file that is damaged or something else."""
    tensors: dict[str, Tensor] = {}
    for path in parts:
        if path.suffix == ".safetensors":
            tensors |= _safe(path, [name for name in names(path) if wanted is None or wanted(name)])
        else:
            tensors |= {name: tensor for name, tensor in _pickled(path).items() if wanted is None or wanted(name)}
    return tensors


def by_layer(parts: Iterable[Path], wanted: Wanted | None = None) -> Iterator[dict[str, Tensor]]:
    """What `read` gives, a layer at a time, and what is in none ("blocks.3.", "layers.3.") before all.

    A safetensors file is opened anew for each, so that no more of it than that is in memory.
    """
    paths = list(parts)
    if any(path.suffix != ".safetensors" for path in paths):
        return (yield from layers(read(paths, wanted)).values())
    places = {name: path for path in paths for name in names(path) if wanted is None or wanted(name)}
    for layer in layers(places).values():
        yield _gathered(layer)


def _gathered(places: Mapping[str, Path]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for path in dict.fromkeys(places.values()):
        tensors |= _safe(path, [name for name in places if places[name] == path])
    return tensors


def layers(things: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """By the part of their names that says which layer they are in."""
    found: dict[str, dict[str, T]] = {"": {}}
    for name, thing in things.items():
        place = _LAYER.match(name)
        found.setdefault(place[0] if place else "", {})[name] = thing
    return found


def names(path: Path) -> list[str]:
    """Of the tensors in a safetensors file.  Raises ValueError."""
    with _opened(path) as file:
        return list(file.keys())


def _safe(path: Path, names: Iterable[str]) -> dict[str, Tensor]:
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in names}


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, "pt")
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); fetch or save the checkpoint again.") from error


def _pickled(path: Path) -> dict[str, Tensor]:
    content = unpickled(path)
    content = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path} holds something else than tensors by name; fetch or save the checkpoint again.")
    return content


def unpickled(path: Path) -> Any:
    """What torch.save has written, where that is tensors and plain values.  Raises ValueError for all else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch's, of pickles that it has not written
            mapped = zipfile.is_zipfile(path)  # files of old versions of torch have to be read whole
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "GLOBAL" in str(error):  # the name of something that is neither a tensor nor a plain value
            raise ValueError(
                f"{path} holds more than tensors and plain values, and nothing that could be code is unpickled here; "
                "use an exported or safetensors file."
            ) from error
        raise ValueError(f"{path} is no file of weights, or a damaged one; fetch or save the checkpoint again.") from error
    except (RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError(f"{path} is no file of weights, or a damaged one; fetch or save the checkpoint again.") from error


def digest(parts: Iterable[Path]) -> str:
    """SHA-256 of the files' bytes, one after the other."""
    found = hashlib.sha256()
    for path in parts:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
    return found.hexdigest()
