"""Sets of clips to evaluate: a folder or a manifest as members with a digest of their content, and the pairs of two sets."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from counterpoint import annotation
from counterpoint.data.folder import listing
from counterpoint.data.index import THREADS, index
from counterpoint.data.row import Row, Skipped
from counterpoint.files import whole_lines
from counterpoint.music import Score
from counterpoint.types import Progress


@dataclass(frozen=True)
class Member:
    """One clip of a set.  `digest` is of its file's content and of the part of it that is the clip."""

    id: str
    path: Path
    offset: float
    seconds: float
    captions: tuple[str, ...]
    values: Mapping[str, Any]
    digest: str

    @property
    def place(self) -> tuple[Path, float]:
        """What tells a clip from all others, whatever it is called and however it sounds."""
        return self.path, self.offset

    @cached_property
    def score(self) -> Score | None:
        """The exact score that an annotation beside the clip holds; None where there is none.  Raises ValueError."""
        if "annotation" not in self.values:
            return None
        path = Path(self.values["annotation"])
        try:
            return annotation.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} cannot be read as an annotation ({error}); restore it or leave its line out.") from error


@dataclass(frozen=True)
class ClipSet:
    """The clips of a place, in the order of their ids, and the files there that cannot be used."""

    source: Path
    members: tuple[Member, ...]
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def digest(self) -> str:
        """The same for sets of the same sounds, whatever their names and order."""
        joined = "\n".join(sorted(member.digest for member in self.members))
        return hashlib.sha256(joined.encode()).hexdigest()

    def without(self, refused: Mapping[str, Skipped]) -> "ClipSet":
        """The set less the clips that turned out to be of no use, by digest."""
        kept = tuple(member for member in self.members if member.digest not in refused)
        gone = tuple(replace(refused[m.digest], file=m.path.name) for m in self.members if m.digest in refused)
        return ClipSet(self.source, kept, self.skipped + gone)


def gather(
    source: Path,
    split: str | None = None,
    most: int | None = None,
    progress: Progress | None = None,
    clip_seconds: float | None = None,
) -> ClipSet:
    """The clips of a folder or manifest, whole or cut as `index` does; of one split, and the first `most` by id, where asked.

    Raises ValueError where there is nothing to evaluate.
    """
    found = index(Path(source), clip_seconds, progress=progress)
    rows = sorted((row for row in found.rows if split in (None, row.split)), key=lambda row: row.id)[:most]
    if not rows:
        raise ValueError(f"{source} has no clips of the split {split!r}; leave --split out, or name another.")
    for first, second in pairwise(rows):
        if first.id == second.id:
            raise ValueError(f"{source} holds {first.path.name} and {second.path.name}, both called {first.id}; rename one.")
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(_digest, rows))
    members = tuple(
        Member(row.id, row.path, row.offset, row.seconds, row.captions, row.values, digest)
        for row, digest in zip(rows, digests, strict=True)
    )
    return ClipSet(Path(source), members, tuple(found.skipped))


def _digest(row: Row) -> str:
    content = hashlib.sha256(row.path.read_bytes())
    content.update(f"{row.offset:.6f} {row.seconds:.6f}".encode())
    return content.hexdigest()


def pairs(made: ClipSet, real: ClipSet) -> list[tuple[Member, Member]]:
    """Clips of the two sets that belong together: of one id, or where no ids agree, of one file name without its suffix."""
    for name in (lambda member: member.id, lambda member: member.path.stem):
        partners = {name(member): member for member in real.members}
        found = [(member, partners[name(member)]) for member in made.members if name(member) in partners]
        if found:
            for members in (made.members, real.members):
                _check_names([name(member) for member in members], {name(member) for member, _ in found})
            return found
    return []


def _check_names(names: Sequence[str], used: set[str]) -> None:
    for name, count in _counts(names).items():
        if count > 1 and name in used:
            raise ValueError(f"{count} clips of a set are called {name!r}, so that their partners are not known; rename them.")


def first(made: ClipSet, real: ClipSet | None, most: int) -> tuple[ClipSet, ClipSet | None]:
    """The first `most` clips: of those that have partners, where any have, so that pairs stay pairs.  Raises ValueError."""
    if most < 1:
        raise ValueError(f"{most} clips cannot be evaluated; ask for 1 or more.")
    found = [] if real is None else pairs(made, real)[:most]
    if real is None or not found:
        return replace(made, members=made.members[:most]), None if real is None else replace(real, members=real.members[:most])
    ours, theirs = zip(*found, strict=True)
    return replace(made, members=ours), replace(real, members=theirs)


UNNAMED = "prompt-"
"""What the ids of prompts begin with that were given none: they have no partner in a reference."""


@dataclass(frozen=True)
class Prompt:
    """One thing to ask of a model, and the id under which the answer is compared."""

    id: str
    text: str
    seconds: float | None = None
    plan: str | None = None


def prompts(source: Path, most: int | None = None) -> list[Prompt]:
    """What a file asks for: a text of a prompt a line, or JSON lines with "text" and, where wanted, "id", "seconds", "plan".

    A folder or manifest of clips asks for its captions, the first of each clip.  Raises ValueError.
    """
    source = Path(source)
    if source.is_file() and source.suffix.lower() == ".txt":
        lines = [line.strip() for line in source.read_text(encoding="utf-8-sig").splitlines()]
        found = [Prompt(f"{UNNAMED}{number:06d}", line) for number, line in enumerate(line for line in lines if line)]
    elif source.is_file() and source.suffix.lower() == ".jsonl" and source.name not in ("data.jsonl", "metadata.jsonl"):
        found = [_prompt(source, number, line) for number, line in enumerate(whole_lines(source), start=1)]
    else:
        found = [_of_clip(source, row) for row in sorted(listing(source).rows, key=lambda row: row.id)]
    if not found:
        raise ValueError(f"{source} holds no prompt; write one a line.")
    for entry, count in _counts([prompt.id for prompt in found]).items():
        if count > 1:
            raise ValueError(f"{source} asks for the id {entry!r} {count} times; give every prompt its own.")
    return found[:most]


def _counts(names: Sequence[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _prompt(source: Path, number: int, line: str) -> Prompt:
    try:
        content = json.loads(line)
        text, seconds, plan = content["text"], content.get("seconds"), content.get("plan")
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{source}, line {number}: write {{"text": "a slow waltz"}}, and "id", "seconds" if wanted.'
        ) from error
    return Prompt(str(content.get("id", f"{UNNAMED}{number - 1:06d}")), text, seconds, plan)


def _of_clip(source: Path, row: Row) -> Prompt:
    if not row.captions:
        raise ValueError(f"{source}: {row.name or row.id} has no caption to ask with; write one beside it, or give --prompts.")
    return Prompt(row.id, row.captions[0], row.seconds or None, str(row.values["midi"]) if "midi" in row.values else None)
