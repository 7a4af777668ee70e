"""A folder of audio and what is known about it, recognised by what lies there.

    metadata.jsonl, metadata.csv    a Hugging Face AudioFolder, such as the corpus that we compose
    data.jsonl, data.jsonl.gz       an audiocraft manifest
    neither                         audio at any depth, with captions in a .txt or .json of the same name beside each file

Folders named train, validation and test at the top are splits.  Nothing is written there.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from counterpoint import audio
from counterpoint.data.metadata import MANIFESTS, SPLIT_NAMES, TABLES, Found, read_manifest, read_table, with_captions
from counterpoint.data.row import Row, Skipped, split_of

SUFFIXES = (*audio.FORMATS, ".aif", ".aiff", ".oga", ".opus")
"""Audio that is read."""

FOREIGN = (".m4a", ".m4b", ".aac", ".mp4", ".wma", ".alac", ".ape", ".wv", ".mka", ".webm", ".mpc", ".ac3", ".amr", ".caf")
"""Audio that is not, and is said to be skipped."""

SHORTEST = 1.0
"""Seconds that a file must last."""


@dataclass(frozen=True)
class Listing:
    """What was found, before any audio is opened."""

    rows: list[Row]
    skipped: list[Skipped]
    others: Mapping[str, int]
    """How many files of other kinds lie there, by suffix."""


def listing(source: Path) -> Listing:
    """The audio files of a folder or a manifest, by name.  Raises ValueError: what is wrong, or that there is nothing."""
    source = Path(source)
    if source.is_file() and source.name.endswith((".jsonl", ".jsonl.gz")) and source.name not in TABLES:
        return Listing(*read_manifest(source), {})
    if not source.is_dir():
        raise ValueError(f"There is no folder {source}; give a folder of audio files, or a data.jsonl manifest.")
    manifest = next((source / name for name in MANIFESTS if (source / name).is_file()), None)
    if manifest is not None:
        return Listing(*read_manifest(manifest), {})
    files, skipped = _walk(source)
    splits = _split_folders(source)
    places = [(source, None), *((source / name, split) for name, split in splits.items())]
    tables = [(folder / name, split) for folder, split in places for name in TABLES if (folder / name).is_file()]
    sounding = [Path(file) for file in files if _suffix(file) in (*SUFFIXES, *FOREIGN)]
    others = Counter(_suffix(file) for file in files if _suffix(file) not in (*SUFFIXES, *FOREIGN, ".txt", ".json"))
    rows, refused = _from_tables(source, tables, sounding) if tables else _from_files(source, sounding, splits)
    return Listing(rows, skipped + refused, {} if tables else others)


def read_folder(path: Path) -> list[Row]:
    """All clips of a folder, whole, in the order of its table, or by name where it has none.

    Raises ValueError: which file cannot be used and why, or that there is no audio.
    """
    found = listing(path)
    rows = [row if row.seconds else measure(row) for row in found.rows]
    for problem in [*found.skipped, *(row for row in rows if isinstance(row, Skipped))]:
        raise ValueError(f"{path}: {problem.file} cannot be used: {problem.detail}.")
    if not rows:
        raise ValueError(f"{path} holds no audio; give a folder with {TABLES[0]} or with {', '.join(SUFFIXES)} files.")
    return [row for row in rows if isinstance(row, Row)]


def measure(row: Row) -> Row | Skipped:
    """The row with the length that the head of its file states."""
    if row.path.suffix.lower() in FOREIGN:
        return Skipped(row.name, "unsupported", f"{row.path.suffix} files are not read; convert it to flac, wav, ogg or mp3")
    try:
        head = soundfile.info(row.path)
    except (soundfile.SoundFileError, RuntimeError, OSError):
        return Skipped(row.name, "unreadable", _why_unreadable(row.path))
    if head.frames == 0:
        return Skipped(row.name, "too short", "it holds no audio; remove it")
    if head.duration < SHORTEST:
        return Skipped(row.name, "too short", f"it lasts {head.duration:.2f} s, and at least {SHORTEST:g} s are needed")
    return replace(row, seconds=head.duration)


def _why_unreadable(path: Path) -> str:
    """libsndfile says the same of a file that may not be opened as of one that is no audio."""
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        return f"it cannot be opened ({error.strerror}); change its permissions or remove it"
    return f"{'the file is empty' if empty else 'its content is no audio that can be read'}; replace or remove it"


def _suffix(file: str) -> str:
    return os.path.splitext(file)[1].lower()


def _walk(root: Path) -> tuple[list[str], list[Skipped]]:
    """All files below `root` that are not hidden, by name, through linked folders too; and folders that cannot be read.

    Texts, as a hundred thousand paths take their time.
    """
    files: list[str] = []
    skipped: list[Skipped] = []

    def refuse(error: OSError) -> None:
        name = os.path.relpath(error.filename, root)
        skipped.append(Skipped(name, "unreadable", f"the folder cannot be read ({error.strerror})"))

    seen: set[tuple[int, int]] = set()
    for folder, inner, names in os.walk(root, followlinks=True, onerror=refuse):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link that leads back
            inner.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        files += [os.path.join(folder, name) for name in names if not name.startswith(".")]
    return sorted(files), skipped


def _split_folders(root: Path) -> dict[str, str]:
    """Folders that are splits, where one of them is for training: else "test" may be a band's name."""
    found = {name: SPLIT_NAMES[name.lower()] for name in sorted(os.listdir(root)) if name.lower() in SPLIT_NAMES}
    return found if "train" in found.values() else {}


def _from_tables(root: Path, tables: list[tuple[Path, str | None]], sounding: list[Path]) -> Found:
    """What the tables name; audio that lies beside and is named by none of them is skipped."""
    parts = [read_table(table, root, split) for table, split in tables]
    rows = [row for part, _ in parts for row in part]
    skipped = [thing for _, part in parts for thing in part]
    named = {row.path for row in rows}
    names = " or ".join(table.relative_to(root).as_posix() for table, _ in tables)
    for file in sounding:
        if file not in named:
            name = file.relative_to(root).as_posix()
            skipped.append(Skipped(name, "not listed", f"{names} does not name it; add a line, or remove the table"))
    return rows, skipped


def _from_files(root: Path, sounding: list[Path], splits: Mapping[str, str]) -> Found:
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for file in sounding:
        inner = file.relative_to(root)
        clip = inner.with_suffix("").as_posix()
        stated = splits.get(inner.parts[0]) if len(inner.parts) > 1 else None
        row = with_captions(Row(clip, file, stated or split_of(clip), 0.0, name=inner.as_posix(), stated=stated is not None))
        if isinstance(row, Row):
            rows.append(row)
        else:
            skipped.append(row)
    return rows, skipped
