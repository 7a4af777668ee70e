"""A folder of audio and what is known about it: the corpus that we compose, or anybody's clips with a metadata.jsonl.

The layout is Hugging Face's AudioFolder: each line of metadata.jsonl is a JSON object with at least "file_name".
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile

from counterpoint import audio

METADATA = "metadata.jsonl"
SPLITS = ("train", "valid", "test")
_PERCENT = {"test": 2, "valid": 4}  # cumulative: 2 % test, 2 % valid, the rest train
_OURS = ("file_name", "id", "split", "seconds", "captions", "text")
_PATHS = ("midi", "annotation")


@dataclass(frozen=True)
class Row:
    """One clip: where it is, how long, in which split, how it is worded, and whatever else its line says.

    In `values`, "midi" and "annotation" are full paths.
    """

    id: str
    path: Path
    split: str
    seconds: float
    captions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


def split_of(clip_id: str) -> str:
    """The split that a clip belongs to for ever, by hash of its id: 96 % train, 2 % valid, 2 % test."""
    number = int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big") % 10_000 / 100
    return next((split for split, percent in _PERCENT.items() if number < percent), "train")


def no_clips(folder: Path, split: str, there: Iterable[str]) -> ValueError:
    """The error that a folder has clips of the splits that are `there`, but none of the split that is needed."""
    known = ", ".join(sorted(set(there))) or "none at all"
    return ValueError(
        f"{folder} has no clips of the split {split!r}; its splits are: {known}; 2 % of clips are valid and 2 % test, so "
        f"compose at least 0.2 hours, gather 100 clips, or give each clip a split in {METADATA}."
    )


def read_folder(path: Path) -> list[Row]:
    """All clips of a folder, in the order of its metadata.jsonl, or by name where it has none.

    Raises ValueError: which line is wrong and why, or that there is no audio.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"There is no folder {path}; give a folder of audio files.")
    metadata = path / METADATA
    rows = _from_metadata(metadata) if metadata.is_file() else _from_audio(path)
    if not rows:
        raise ValueError(f"{path} holds no audio; give a folder with {METADATA} or with {', '.join(audio.FORMATS)} files.")
    return rows


def _from_audio(folder: Path) -> list[Row]:
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in audio.FORMATS and not file.name.startswith("."))
    ids = [file.relative_to(folder).with_suffix("").as_posix() for file in files]
    return [Row(clip, file, split_of(clip), _seconds(file)) for clip, file in zip(ids, files, strict=True)]


def _seconds(file: Path) -> float:
    try:
        return soundfile.info(file).duration
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"{file} cannot be read as audio; mend or remove it.") from error


def _from_metadata(metadata: Path) -> list[Row]:
    rows: list[Row] = []
    seen: dict[str, int] = {}
    try:
        lines = metadata.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{metadata} cannot be read as UTF-8 text ({error}); write it again.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _row(metadata.parent, json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{metadata}, line {number}: not valid JSON ({error.msg}); mend or remove the line.") from error
        except ValueError as error:
            raise ValueError(f"{metadata}, line {number}: {error}") from error
        if row.id in seen:
            raise ValueError(
                f"{metadata}, line {number}: the id {row.id!r} is already that of line {seen[row.id]}; rename one."
            )
        seen[row.id] = number
        rows.append(row)
    return rows


def _row(folder: Path, content: Any) -> Row:
    if not isinstance(content, dict) or not isinstance(content.get("file_name"), str):
        raise ValueError('there is no "file_name"; every line is a JSON object that names an audio file.')
    path = _inside(folder, content["file_name"])
    clip = content.get("id", Path(content["file_name"]).with_suffix("").as_posix())
    if not isinstance(clip, str) or not clip:
        raise ValueError(f'"id" is {clip!r}; it must be a text.')
    split = content.get("split", split_of(clip))
    if split not in SPLITS:
        raise ValueError(f'"split" is {split!r}; it must be one of {", ".join(SPLITS)}.')
    seconds = content["seconds"] if "seconds" in content else _seconds(path)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ValueError(f'"seconds" is {seconds!r}; it must be a number above 0.')
    values = {name: value for name, value in content.items() if name not in _OURS and value is not None}
    for name in _PATHS:
        if name in values:
            values[name] = _inside(folder, str(values[name]))
    return Row(clip, path, split, float(seconds), _captions(content), values)


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} lies outside the folder; name files by their path inside it.")
    if not path.is_file():
        raise ValueError(f"there is no file {name}; restore it or remove the line.")
    return path


def _captions(content: dict[str, Any]) -> tuple[str, ...]:
    """The list "captions", or else the single "text"."""
    text = content.get("text")
    captions = content.get("captions", [] if text is None else [text])
    if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
        raise ValueError('"captions" must be a list of texts, and "text" a text.')
    return tuple(captions)
