"""One clip and what is known about it, one file that cannot be used and why, and which of them are held out."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

METADATA = "metadata.jsonl"
SPLITS = ("train", "valid", "test")
_PERCENT = {"test": 2, "valid": 4}  # cumulative: 2 % test, 2 % valid, the rest train


@dataclass(frozen=True)
class Row:
    """One clip: where it is, how long, in which split, how it is worded, and whatever else is said of it.

    In `values`, "midi" and "annotation" are full paths.
    """

    id: str
    path: Path
    split: str
    seconds: float
    """Length; 0 until the file has been opened."""
    captions: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """The file as its owner knows it: by its path inside the folder, or as a manifest names it."""
    offset: float = 0.0
    """Where in the file the clip begins, in seconds."""
    stated: bool = False
    """Whether its owner said which split it belongs to."""


@dataclass(frozen=True)
class Skipped:
    """A file that is not used: its name, the reason in a word or two (to be counted), and the reason in full."""

    file: str
    reason: str
    detail: str


def split_of(clip_id: str) -> str:
    """The split that a clip belongs to for ever, by hash of its id: 96 % train, 2 % valid, 2 % test."""
    number = _hash(clip_id) % 10_000 / 100
    return next((split for split, percent in _PERCENT.items() if number < percent), "train")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def hold_out(rows: Sequence[Row]) -> list[Row]:
    """The rows, with one file's moved to valid where 2 % of a few files are none and their owner did not choose any."""
    names = {row.name for row in rows}
    if len(names) < 2 or any(row.split == "valid" or row.stated for row in rows):
        return list(rows)
    chosen = min(names, key=_hash)
    return [replace(row, split="valid") if row.name == chosen else row for row in rows]


def no_clips(folder: Path, split: str, there: Iterable[str]) -> ValueError:
    """The error that a folder has clips of the splits that are `there`, but none of the split that is needed."""
    known = ", ".join(sorted(set(there))) or "none at all"
    return ValueError(
        f"{folder} has no clips of the split {split!r}; its splits are: {known}; 2 % of clips are valid and 2 % test, so "
        f"compose at least 0.2 hours, gather at least 2 files of your own, or give each clip a split in {METADATA}."
    )


def tally(words: Iterable[str]) -> str:
    """How often each word is there, the most frequent first: "3 unreadable, 1 silent"."""
    counts = Counter(words)
    return ", ".join(f"{counts[word]} {word}" for word in sorted(counts, key=lambda word: (-counts[word], word)))
