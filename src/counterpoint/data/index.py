"""All audio of a folder, opened once: how long each file is, which cannot be used, and into which clips songs are cut.

Only the heads of files are read here, so that 100,000 of them take a minute; what only decoding shows is found while they are
encoded (`data/checks.py`).  What has been seen is noted as it is seen, by path, size and date: a run that was killed goes on.
"""

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint.data.folder import SUFFIXES, listing, measure
from counterpoint.data.row import Row, Skipped, hold_out, tally
from counterpoint.files import whole_lines, writing
from counterpoint.types import Progress

THREADS = 4  # files that are opened at once: disks answer late
_CHUNK = 500  # files between two notes

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Index:
    """The clips that can be used, the files that cannot, and how many other files lie there, by suffix."""

    source: Path
    rows: list[Row]
    skipped: list[Skipped]
    others: Mapping[str, int]

    def strangers(self) -> list[str]:
        """A sentence on the files that are no audio, if there are any."""
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(self.others.items()))
        return [f"no audio: {kinds}"] if kinds else []


def index(
    source: Path, clip_seconds: float | None = None, notes: Path | None = None, progress: Progress | None = None
) -> Index:
    """Every file of `source`, either as clips of about `clip_seconds` (whole without) or as skipped with the reason.

    `notes` is where to note what has been seen.  Raises ValueError when the source makes no sense or nothing can be used.
    """
    if clip_seconds is not None and not 1 <= clip_seconds <= 600:
        raise ValueError(f"Clips of {clip_seconds:g} seconds are not cut; ask for 1 to 600.")
    found = listing(source)
    opened = _open_all(found.rows, notes, progress)
    rows = hold_out([thing for thing in opened if isinstance(thing, Row)])
    skipped = sorted([*found.skipped, *(thing for thing in opened if isinstance(thing, Skipped))], key=lambda s: s.file)
    if not rows:
        if notes is not None:
            notes.unlink(missing_ok=True)
        raise nothing_usable(source, skipped)
    return Index(source, [piece for row in rows for piece in cut(row, clip_seconds)], skipped, found.others)


def nothing_usable(source: Path, skipped: Sequence[Skipped]) -> ValueError:
    """The error that all files are skipped, or that there are none."""
    if not skipped:
        return ValueError(f"{source} holds no audio; give a folder with {', '.join(SUFFIXES)} files.")
    first = skipped[0]
    return ValueError(
        f"Nothing in {source} can be used ({tally(s.reason for s in skipped)}); the first is {first.file}: {first.detail}."
    )


def cut(row: Row, clip_seconds: float | None) -> list[Row]:
    """A song as consecutive clips of equal length, about `clip_seconds` or less, so that nothing is left over.

    What is a tenth too long stays whole (an mp3 of 10 s lasts 10.03), and so does what has a score, which is not cut.
    """
    if clip_seconds is None or "annotation" in row.values:
        return [row]
    count = max(1, math.ceil(row.seconds / clip_seconds - 0.1))
    if count == 1:
        return [row]
    each = row.seconds / count
    return [replace(row, id=f"{row.id}@{i:03d}", seconds=each, offset=i * each) for i in range(count)]


def _open_all(rows: Sequence[Row], notes: Path | None, progress: Progress | None) -> list[Row | Skipped]:
    """Each row with its length, or why it is skipped; lengths that were stated or noted are not read again."""
    known = {} if notes is None else _read(notes)
    opened: list[Row | Skipped] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            keys = [None if row.seconds else _key(row.path) for row in chunk]
            fresh = [row for row, key in zip(chunk, keys, strict=True) if key is not None and key not in known]
            measured = dict(zip((row.path for row in fresh), pool.map(measure, fresh), strict=True))
            if notes is not None and measured:
                _note(notes, {key: measured[row.path] for row, key in zip(chunk, keys, strict=True) if row.path in measured})
            opened += [measured.get(row.path) or _recall(row, key, known) for row, key in zip(chunk, keys, strict=True)]
            if progress is not None:
                progress(len(opened), len(rows))
    return opened


def _recall(row: Row, key: Key | None, known: Mapping[Key, float | tuple[str, str]]) -> Row | Skipped:
    if key is None:
        return row
    said = known[key]
    return Skipped(row.name, *said) if isinstance(said, tuple) else replace(row, seconds=said)


def _key(path: Path) -> Key:
    try:
        there = path.stat()
    except OSError:  # gone since it was listed; opening it will say so
        return str(path.absolute()), -1, -1
    return str(path.absolute()), there.st_size, there.st_mtime_ns


def _read(notes: Path) -> dict[Key, float | tuple[str, str]]:
    """Lengths and reasons by path, size and date."""
    lines = [json.loads(line) for line in whole_lines(notes)]
    return {(path, size, date): said if isinstance(said, float) else (said[0], said[1]) for path, size, date, said in lines}


def _note(notes: Path, measured: Mapping[Key | None, Row | Skipped]) -> None:
    with writing(notes):
        notes.parent.mkdir(parents=True, exist_ok=True)
        with notes.open("a", encoding="utf-8") as file:
            for key, thing in measured.items():
                said = thing.seconds if isinstance(thing, Row) else [thing.reason, thing.detail]
                file.write(json.dumps([*(key or ()), said]) + "\n")
