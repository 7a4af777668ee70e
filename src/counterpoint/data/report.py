"""What a cache tells its owner: skipped.csv, and a summary in sentences."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from counterpoint.data.latents import CacheInfo
from counterpoint.data.row import Skipped, tally
from counterpoint.files import renamed

SKIPPED = "skipped.csv"
"""Each file of the corpus that is not in the cache, with the reason."""


def write_skipped(folder: Path, skipped: Iterable[Skipped]) -> None:
    """Write skipped.csv; names that are no valid text come back as they were."""
    with renamed(folder / SKIPPED) as path, path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "reason", "detail"])
        table.writerows([thing.file, thing.reason, thing.detail] for thing in skipped)


def read_skipped(folder: Path) -> list[Skipped]:
    """What skipped.csv says; nothing where there is none, as in caches of before."""
    if not (folder / SKIPPED).is_file():
        return []
    with (folder / SKIPPED).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return [Skipped(line["file"], line["reason"], line["detail"]) for line in csv.DictReader(file)]


def summary(folder: Path) -> list[str]:
    """What a cache holds and what is not in it, in sentences."""
    lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["frames"]]
    files = {row.get("file", row["id"]): bool(row["captions"]) for row in rows}
    minutes = sum(row["seconds"] for row in rows) / 60
    told = [f"used: {len(files)} files, {minutes:.1f} minutes, as {len(rows)} clips ({tally(row['split'] for row in rows)})"]
    if (mute := sum(not captions for captions in files.values())) > 0:
        told.append(f"without a caption: {mute} of these files")
    if skipped := read_skipped(folder):
        reasons = tally(thing.reason for thing in skipped)
        told.append(f"skipped: {len(skipped)} files ({reasons}); {folder / SKIPPED} names each with the reason")
    info = CacheInfo.read(folder / "info.json")
    if info.mean is not None and info.std is not None:
        told.append(f'frames as a whole (data.normalise = "whole"): mean {info.mean:.4f}, deviation {info.std:.4f}')
    return told
