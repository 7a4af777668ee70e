"""What a command says of a take that it has made, and the report that it writes beside one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.commands.terminal import report_unknown, say

if TYPE_CHECKING:
    from counterpoint.takes import Take

REPORT = ".report.json"
"""What the report beside a file of audio ends in."""


def tell(take: "Take", path: Path, elapsed: float) -> None:
    """What was made, and what of it was given."""
    seconds = take.audio.shape[-1] / take.sample_rate
    say(f"{path}: {seconds:g} s of music, made in {elapsed:.1f} s (seed {take.seed}, {take.record['model']})")
    if "source" in take.record:
        spans, file = ", ".join(f"{start:g}:{end:g}" for start, end in take.record["made"]), take.record["source"]["file"]
        stays = take.record["made"] != [[0, seconds]]
        say(f"  made: {spans}" + (f"; all else is {file}, {_kept(take, path)}" if stays else f", varied from {file}"))
    say(f"  plan: {take.record['summary']}")
    for choice in take.record.get("chosen", ()):
        say(f"  tries: {_chosen(choice)}")
    if take.record["note"]:
        say(f"  note: {take.record['note']}")
    report_unknown(take.record["unknown"])


def _chosen(choice: Mapping[str, Any]) -> str:
    """Which of several fillings was kept, and what they scored."""
    ranks = ["none" if one["rank"] is None else f"{one['rank']:.3f}" for one in choice["tried"]]
    how = choice["tried"][choice["kept"]].get("strategy")
    of = f"{choice['kept'] + 1} of {len(ranks)} is kept{f' ({how})' if how else ''}"
    return f"{of}, by {', '.join(choice['by'])}: {', '.join(ranks)}"


def _kept(take: "Take", path: Path) -> str:
    """What the file has become of samples that were given."""
    from counterpoint.audio import loss

    encoding = take.encoding or "FLOAT"
    changed = loss(path.suffix.lower(), encoding)
    able = " or ".join(suffix for suffix in (".wav", ".flac") if not loss(suffix, encoding))
    return f"but {changed}; write {able} to keep them" if changed else "sample for sample"


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write what was heard of the audio in `path` beside it."""
    from counterpoint.files import write_text

    target = path.with_suffix(REPORT)
    write_text(target, json.dumps({"file": path.name, **content}, indent=1) + "\n")
    say(f"  report: {target}")
