"""Other people's weights: where they lie, what pins them down, and whether they fit.

They come from a file or folder that the user names.  Nothing is fetched, and of a pickled file only data is read.
"""

import hashlib
import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint import weights

CONFIG = "config.json"
SAFE, PICKLED = ".safetensors", (".pth", ".pt", ".bin")
USUAL = ("model.safetensors", "pytorch_model.bin")
"""What transformers calls its file of weights: taken first, whatever else lies in the folder."""
_UNUSED = ("num_batches_tracked", "position_ids")
"""Counters that decide nothing when a network only listens, and that files of some years lack."""
DIGITS = 8
"""Of a digest, in an identity."""


def file_of(place: Path) -> Path:
    """The file of weights at `place`: itself, or the one that the folder holds.  Raises ValueError."""
    place = place.expanduser()
    if place.is_file():
        return place
    if not place.is_dir():
        raise ValueError(f"There is no file or folder {place}; give the place where the weights lie.")
    for name in USUAL:
        if (place / name).is_file():
            return place / name
    found = sorted(path for path in place.iterdir() if path.suffix in (SAFE, *PICKLED))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        kinds = ", ".join((SAFE, *PICKLED))
        raise ValueError(f"{place} should hold one file of weights ({kinds}), but holds {names}; name the file itself.")
    return found[0]


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file by name; those under "state_dict" or "model" where it has such a table.

    Raises ValueError.
    """
    if file.suffix == SAFE:
        return weights.read([file])
    try:
        with torch.serialization.safe_globals(_inert()):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be read as a file of tensors alone, and nothing else in it is unpickled; fetch it again, or save "
            f"its state dict as {SAFE}."
        ) from error
    content = content if isinstance(content, dict) else {}
    for inner in ("state_dict", "model"):
        if isinstance(content.get(inner), dict):
            content = content[inner]
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"{file} holds no tensors; give the file of a network's weights.")
    return tensors


def _inert() -> list[Any]:
    """Numpy's arrays and numbers, which old training scripts left beside the tensors: they hold data and run nothing."""
    rebuild, number = (made.__reduce__()[0] for made in (np.zeros(0), np.float64(0)))
    kinds = [type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"]
    functions = {"_reconstruct": rebuild, "scalar": number}
    places = ("numpy.core.multiarray", "numpy._core.multiarray")  # before numpy 2, and since
    named = [(function, f"{place}.{name}") for place in places for name, function in functions.items()]
    return [np.ndarray, np.dtype, *kinds, *named]


def fill(module: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Put the tensors into a module just built, as 32-bit floats; it is then ready to listen.

    Raises ValueError where a tensor is missing, unknown or of another shape.
    """
    wanted = {name: tensor for name, tensor in module.state_dict().items() if not name.endswith(_UNUSED)}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(_UNUSED)}
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    shapes = sorted(name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape)
    if missing or extra or shapes:
        first = (missing or extra or shapes)[0]
        raise ValueError(
            f"{file} does not fit: {len(missing)} tensors are missing, {len(extra)} unknown and {len(shapes)} of another shape "
            f"(first: {first}); give the weights of the network that was asked for."
        )
    module.load_state_dict(tensors, strict=False)
    module.eval().requires_grad_(False)


def digest(files: Iterable[Path]) -> str:
    """The start of the SHA-256 of the files' bytes, one after the other: what their numbers depend on."""
    return weights.digest(files)[:DIGITS]


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """The same for tensors that lie in memory, such as those that a codec's frames depend on."""
    together = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        together.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        together.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return together.hexdigest()[:DIGITS]


def settings(file: Path) -> dict[str, Any]:
    """The table in a JSON file that lies beside weights.  Raises ValueError."""
    if not file.is_file():
        raise ValueError(f"{file.parent} has no {file.name}; fetch the whole folder of the model.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no valid JSON ({error}); fetch it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds no table of settings; fetch it again.")
    return content


def renamed(name: str, parts: Mapping[str, str]) -> str:
    """`name` with every part of it that is a key replaced, in the order of the table."""
    for theirs, ours in parts.items():
        name = name.replace(theirs, ours)
    return name


def transformers_for(what: str) -> Any:
    """The transformers library, which is imported when it is first needed.  Raises ValueError with the install command."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"{what} runs on the transformers library: pip install 'counterpoint[text]'.") from error
    return transformers
