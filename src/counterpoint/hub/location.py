"""Where a checkpoint is: a shipped name, a folder, or a Hub id that the user typed, such as owner/name or owner/name@revision.

The Hub is asked for such an id alone; what was fetched before is found again without it (HF_HUB_OFFLINE=1 keeps it silent).
"""

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path

CONFIG, CARD = "config.json", "README.md"
ID = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")

SMALL = (
    "*config.json", CARD, "codec/config.json", "*.safetensors.index.json", "*.bin.index.json", "generation_config.json",
    "tokenizer.json", "spiece.model", "special_tokens_map.json",
)  # fmt: skip
"""Files that are wanted whatever the layout; none of them holds weights."""

WEIGHTS = (
    ("model.safetensors", "codec/model.safetensors"),
    ("model-*.safetensors",),
    ("diffusion_pytorch_model.safetensors",),
    ("pytorch_model.bin",),
    ("pytorch_model-*.bin",),
    ("state_dict.bin", "compression_state_dict.bin"),
    ("model.ckpt",),
)
"""Files of weights: the first row of which any is there is wanted, and no other, as many repositories hold the same twice."""

LAYOUTS = (CONFIG, "model_config.json", "state_dict.bin", "compression_state_dict.bin")
"""A folder with one of these is taken for a checkpoint."""


def shipped() -> list[str]:
    """Names of the checkpoints inside the package."""
    return sorted(path.parent.name for path in _shipped_folder().glob(f"*/{CONFIG}"))


def _shipped_folder() -> Path:
    return Path(str(resources.files("counterpoint"))) / "shipped"


def locate(source: str | Path, download: bool = True) -> Path:
    """The folder of a checkpoint: a shipped name, a folder, or (with `download`) a Hub id, with a revision or without.

    Raises ValueError where there is none; the Hub is asked only for a Hub id that is no folder here.
    """
    folder = Path(source).expanduser()
    if str(source) in shipped():
        return _shipped_folder() / str(source)
    if folder.is_dir():
        if not any((folder / name).is_file() for name in LAYOUTS):
            raise ValueError(
                f"The folder {folder} is no checkpoint: it has no {CONFIG}; give a folder that training has written."
            )
        return folder
    if download and (named := ID.fullmatch(str(source))):
        return fetch(named["name"], named["revision"])
    near = difflib.get_close_matches(str(source), shipped(), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    names = ", ".join(shipped()) or "none"
    raise ValueError(
        f"There is no model {str(source)!r}. {hint}Shipped: {names}; or give a folder or a Hub id like owner/name."
    )


def name_of(source: str | Path, folder: Path) -> str:
    """What to call a checkpoint: an id's last part, as its folder is called by a revision; else the folder's name."""
    named = ID.fullmatch(str(source))
    return named["name"].rpartition("/")[2] if named and not Path(source).expanduser().is_dir() else folder.name


def fetch(name: str, revision: str | None = None) -> Path:
    """The folder of what the Hub has under an id; what was fetched before, where the Hub cannot be reached.

    Raises ValueError in one sentence.
    """
    from huggingface_hub import HfApi, snapshot_download

    source = name if revision is None else f"{name}@{revision}"
    try:
        files = HfApi().list_repo_files(name, revision=revision)
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted(files)))
    except Exception as error:  # the Hub client raises many kinds: offline, no such repository, no permission, ...
        if (reason := _reason(source, error)) is not None:
            raise ValueError(reason) from error
    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception as error:
        raise ValueError(
            f"{source!r} is no folder here, was not fetched before, and the Hub cannot be reached; "
            "go online once, or give a folder."
        ) from error


def fetched(name: str) -> Path:
    """The folder of a part that a model names, such as its codec, if it was fetched before.  Raises ValueError."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception as error:
        raise ValueError(
            f"{name!r}, which this model needs beside its own files, is not here, and is not fetched unasked; "
            f"run: hf download {name}"
        ) from error


def wanted(files: Iterable[str]) -> list[str]:
    """Which of a repository's files are worth fetching: settings, card and tokenizer, and the weights in one layout."""
    files = list(files)
    small = [file for file in files if any(fnmatch(file, pattern) for pattern in SMALL)]
    rows = ([file for file in files if any(fnmatch(file, pattern) for pattern in row)] for row in WEIGHTS)
    return small + next((row for row in rows if row), [])


def _reason(source: str, error: Exception) -> str | None:
    """Why the Hub does not give a model, and what to do, in a sentence; None where it cannot be reached."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{source!r} is given only to those who have accepted its conditions; do so on its page on the Hub, "
            "then run: hf auth login"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{source!r} has no such revision on the Hub; name one that it has after the @."
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{source!r} is no folder here, and the Hub shows no such model; check the name, or log in if it is private."
    if not isinstance(error, errors.HfHubHTTPError | ValueError):
        return None
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"{source!r} is no folder here and could not be had from the Hub ({first}); check the name and the connection."
