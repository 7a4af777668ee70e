"""Tables that name audio files: an AudioFolder's metadata.jsonl or metadata.csv, and audiocraft's data.jsonl.

A line that makes no sense is a ValueError that names it.  A line whose file is not there is a file that is skipped.
"""

import contextlib
import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterpoint.data.row import METADATA, SPLITS, Row, Skipped, split_of
from counterpoint.data.sidecar import TEXTS, captions_beside, captions_in

TABLES = (METADATA, "metadata.csv")
MANIFESTS = ("data.jsonl", "data.jsonl.gz")
SPLIT_NAMES = {
    **{"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid"},
    **{"test": "test", "testing": "test"},
}
"""What others call the splits, as folders or in a column."""

_OURS = ("file_name", "id", "split", "seconds", "captions", "text")
_PATHS = ("midi", "annotation")

Found = tuple[list[Row], list[Skipped]]


def read_table(table: Path, root: Path, split: str | None = None) -> Found:
    """The files that metadata.jsonl or metadata.csv names beside itself, by their names inside `root`; several lines of one
    file are several captions.  `split` is that of lines which state none.  Raises ValueError, naming the line."""
    rows: dict[str, Row] = {}
    skipped: list[Skipped] = []
    lines: dict[str, int] = {}
    for number, content in _lines(table):
        where = f"{table}, line {number}"
        try:
            row = _row(table.parent, root, content, split)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if row.id in rows and "id" not in content and rows[row.id].path == row.path:
            row = replace(row, captions=tuple(dict.fromkeys([*rows[row.id].captions, *row.captions])))
        elif row.id in lines:
            raise ValueError(f"{where}: the id {row.id!r} is already that of line {lines[row.id]}; rename one.")
        lines[row.id] = number
        if row.path.is_file():
            rows[row.id] = row
        else:
            skipped.append(Skipped(row.name, "missing", f"{where}: there is no such file; restore it or remove the line"))
    return list(rows.values()), skipped


def read_manifest(manifest: Path) -> Found:
    """The files that an audiocraft manifest names, by paths from its own folder or from the working folder; what is said of
    them lies beside each.  Raises ValueError, naming the line."""
    rows: dict[Path, Row] = {}
    skipped: list[Skipped] = []
    for number, content in _lines(manifest):
        where = f"{manifest}, line {number}"
        name = content.get("path") if isinstance(content, dict) else None
        if not isinstance(name, str) or not name:
            raise ValueError(f'{where}: there is no "path"; every line is a JSON object with the path of an audio file.')
        path = next((path for path in (manifest.parent / name, Path(name)) if path.is_file()), None)
        clip = Path(name).with_suffix("").as_posix()
        if path is None:
            skipped.append(Skipped(name, "missing", f"{where}: there is no such file, seen from there or from here"))
        elif path in rows:
            skipped.append(Skipped(name, "duplicate", f"{where}: the file is named by an earlier line, too"))
        else:
            row = Row(clip, path, split_of(clip), 0.0, name=name)
            rows[path] = row
    worded = [with_captions(row) for row in rows.values()]
    skipped += [thing for thing in worded if isinstance(thing, Skipped)]
    return [thing for thing in worded if isinstance(thing, Row)], skipped


def with_captions(row: Row) -> Row | Skipped:
    """The row with what is said in the files beside it."""
    try:
        return replace(row, captions=captions_beside(row.path))
    except ValueError as error:
        return Skipped(row.name, "bad sidecar", str(error))


def _lines(table: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and what they say."""
    try:
        data = gzip.decompress(table.read_bytes()) if table.suffix == ".gz" else table.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{table} cannot be read as UTF-8 text ({error}); write it again.") from error
    if table.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text))
        for content in reader:
            yield reader.line_num, {name: value for name, value in content.items() if name and value}
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{table}, line {number}: not valid JSON ({error.msg}); mend or remove the line.") from error


def _row(folder: Path, root: Path, content: Any, split: str | None) -> Row:
    if not isinstance(content, dict) or not isinstance(content.get("file_name"), str):
        raise ValueError('there is no "file_name"; every line names an audio file.')
    path = _inside(folder, content["file_name"])
    name = path.relative_to(root).as_posix()
    clip = content.get("id", Path(name).with_suffix("").as_posix())
    if not isinstance(clip, str) or not clip:
        raise ValueError(f'"id" is {clip!r}; it must be a text.')
    stated = content.get("split", split)
    if stated is not None and stated not in SPLIT_NAMES:
        raise ValueError(f'"split" is {stated!r}; it must be one of {", ".join(SPLITS)}.')
    values = {key: value for key, value in content.items() if key not in _OURS and value is not None}
    for key in _PATHS:
        if key in values:
            values[key] = _inside(folder, str(values[key]))
            if not values[key].is_file():
                raise ValueError(f"there is no file {content[key]}; restore it or remove the line.")
    own = split_of(clip) if stated is None else SPLIT_NAMES[stated]
    return Row(clip, path, own, _seconds(content), _captions(content), values, name, stated=stated is not None)


def _inside(folder: Path, name: str) -> Path:
    inner = Path(name)
    if inner.is_absolute() or ".." in inner.parts:
        raise ValueError(f"{name} lies outside the folder; name files by their path inside it.")
    return folder / inner


def _seconds(content: dict[str, Any]) -> float:
    """The stated length, or 0 where there is none."""
    if "seconds" not in content:
        return 0.0
    seconds = content["seconds"]
    if isinstance(seconds, str):  # all that a CSV file knows
        with contextlib.suppress(ValueError):
            seconds = float(seconds)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ValueError(f'"seconds" is {seconds!r}; it must be a number above 0.')
    return float(seconds)


def _captions(content: dict[str, Any]) -> tuple[str, ...]:
    """The list "captions", or else the texts and what the other columns say."""
    captions = content.get("captions")
    if captions is not None:
        if not isinstance(captions, list) or not all(isinstance(caption, str) for caption in captions):
            raise ValueError('"captions" is no list of texts; make it one, or write a single "text".')
        return tuple(captions)
    for name in TEXTS:
        if not isinstance(content.get(name, ""), str | list | None):
            raise ValueError(f'"{name}" is {content[name]!r}; it must be a text.')
    return captions_in(content)
