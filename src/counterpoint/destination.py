"""Where results go: names that say what they hold, checked before the work begins; nothing is overwritten unasked."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")  # those of audio.FORMATS, which would import torch
_SLASHES = tuple({"/", os.sep})
_SHARP, _FLAT = re.compile(r"\b([A-Ga-g])[#♯]"), re.compile(r"\b(?:([A-G])b(?=m?\b)|([A-Ga-g])♭)")


def audio_file(prompt: str, output: str | None, format: str | None, seed: int, count: int, beside: str = "") -> Path:
    """The file of one piece, checked for being writable before any work begins.  Raises ValueError.

    `beside` is the suffix of a file that will be written beside it, for which the same holds.

    Without `output`, or where that is a folder or ends in a slash, the file is named after the prompt and the seed.  A file
    that is named is replaced; a name that is made here, as those of several pieces are, goes round what is there.
    """
    suffix = f".{format or 'wav'}"
    if output is None or output.endswith(_SLASHES) or Path(output).is_dir():
        target = free(Path(output or "") / f"{slug(prompt)}-{seed}{suffix}", beside)
    else:
        _check_kind(Path(output))
        named = Path(output) if Path(output).suffix else Path(output).with_suffix(suffix)
        if format is not None and named.suffix.lower() != suffix:
            raise ValueError(f"The file {output} and --format {format} disagree; leave one of them out.")
        target = named if count == 1 else free(named.with_stem(f"{named.stem}-{seed}"), beside)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{target.suffix} files cannot be written; let the name end in .wav, .flac, .mp3 or .ogg.")
    check_writable(target)
    if beside:
        check_writable(target.with_suffix(beside))
    return target


def comparison_files(prompt: str, output: str | None, format: str | None, seed: int, models: Sequence[str]) -> list[Path]:
    """The audio files of several models, and last their picture, checked as `audio_file` does; `output` is a folder.

    Where one of them exists, all take the next number, so that what was made together has names that belong together.
    """
    folder = Path(output or "")
    if output is not None and (folder.is_file() or (folder.suffix and not output.endswith(_SLASHES) and not folder.is_dir())):
        raise ValueError(f"A comparison is several files, and {output} is not a folder; let --output end in a slash.")
    stem, suffix = f"{slug(prompt)}-{seed}", f".{format or 'wav'}"

    def numbered(tail: str) -> list[Path]:
        return [*(folder / f"{stem}-{model}{tail}{suffix}" for model in models), folder / f"{stem}-comparison{tail}.png"]

    number, targets = 1, numbered("")
    while any(target.exists() for target in targets):
        number += 1
        targets = numbered(f"-{number}")
    for target in targets:
        check_writable(target)
    return targets


def model_names(models: Sequence[str | Path]) -> list[str]:
    """A name for each of several models, shipped names, folders or Hub ids: the last of its parts.  Raises ValueError."""
    names = [Path(model).resolve().name if str(model).strip() else "" for model in models]
    if len(names) < 2 or not all(names):
        raise ValueError("A comparison needs two models or more, such as --compare musicgen-tiny,jasco-tiny.")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two of the models to compare are called {name}; leave one out, or rename its folder.")
    return names


def slug(prompt: str) -> str:
    """The prompt's words as a file name; "F#" and "Bb" become f-sharp and b-flat."""
    prompt = _SHARP.sub(r"\1 sharp ", prompt)
    prompt = _FLAT.sub(r"\1\2 flat ", prompt)
    words = re.findall(r"[^\W_]+", prompt.lower())
    return "-".join(words)[:48].strip("-") or "music"


def free(path: Path, beside: str = "") -> Path:
    """`path`, or where that exists, the first of path-2, path-3, ... that does not, nor it with the suffix `beside`."""
    number, free = 2, path
    while free.exists() or (beside and free.with_suffix(beside).exists()):
        number, free = number + 1, path.with_stem(f"{path.stem}-{number}")
    return free


def check_writable(path: Path) -> None:
    """Raises ValueError where no file can be written at `path`; leaves nothing behind."""
    import tempfile

    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file in it.")
    _check_kind(path)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"Nothing can be written into {folder} ({error.strerror}); choose another folder.") from error


def _check_kind(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is a device, not a file; give the name of a file to write.")
