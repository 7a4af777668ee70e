"""What a study is made of: parts that need other parts, each made once, and found again by a hash of all that it depends on.

A part is a frozen value.  Its key is the SHA-256 of its kind, its recipe and the keys of what it needs, so that a change
anywhere below is a change of the key.  What was made notes its key and recipe; another key under the same name is refused,
never mixed.
"""

import abc
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from counterpoint.files import write_text, writing

NOTE = "part.json"
"""In the folder of a part: its name, its key, and the recipe that the key was taken of."""


@dataclass(frozen=True)
class Workshop:
    """Where a study is made: its folder, the device of training and generation, and the cache of what ears hear."""

    folder: Path
    device: str = "cpu"
    cache: Path | None = None

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def place(self, part: "Part") -> Path:
        """The folder in which a part is made."""
        return self.folder / "parts" / part.name


@dataclass(frozen=True)
class Part(abc.ABC):
    """A thing to be made once.  `name` is unique in a study, and that of its folder."""

    name: str

    @abc.abstractmethod
    def needs(self) -> "tuple[Part, ...]":
        """What has to be there first."""

    @abc.abstractmethod
    def recipe(self) -> Mapping[str, Any]:
        """All that it depends on beside what it needs, as plain values."""

    @abc.abstractmethod
    def done(self, shop: Workshop) -> bool:
        """Whether it is there, whole."""

    @abc.abstractmethod
    def make(self, shop: Workshop) -> None:
        """Make it, or go on where an earlier call was stopped.  Raises ValueError for what cannot be."""

    @abc.abstractmethod
    def seconds(self, flops: float) -> float:
        """Roughly how long one worker takes that computes so many FLOP/s."""

    def flops(self) -> float:
        """Floating-point operations of its networks."""
        return 0.0

    alone = False
    """Whether nothing else may run beside it: what it measures is time."""


@cache
def key(part: Part) -> str:
    """The start of SHA-256 of what a part depends on."""
    return hashlib.sha256(json.dumps(_told(part), sort_keys=True).encode()).hexdigest()[:16]


def _told(part: Part) -> list[Any]:
    return [type(part).__name__, dict(part.recipe()), [key(need) for need in part.needs()]]


def in_order(parts: Iterable[Part]) -> list[Part]:
    """The parts and all that they need, each once and after what it needs.  Raises ValueError where two have one name."""
    found: dict[str, Part] = {}
    for part in _below(parts):
        if found.setdefault(part.name, part) != part:
            raise ValueError(f"Two parts of the study are called {part.name}; give each a name of its own.")
    return list(found.values())


def _below(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield from _below(part.needs())
        yield part


def claim(part: Part, shop: Workshop) -> Path:
    """The part's folder, which is noted to be this part's.  Raises ValueError where it was begun by another recipe."""
    folder = shop.place(part)
    check(part, shop)
    if not (folder / NOTE).is_file():
        told = {"name": part.name, "key": key(part), "recipe": dict(part.recipe())}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / NOTE, json.dumps(told, indent=1) + "\n")
    return folder


def check(part: Part, shop: Workshop) -> None:
    """Raises ValueError where what is there under the part's name was made by another recipe."""
    note = shop.place(part) / NOTE
    if note.is_file():
        refuse_another(part, json.loads(note.read_text(encoding="utf-8")), note.parent)


def refuse_another(part: Part, found: Mapping[str, Any], place: Path) -> None:
    """Raises ValueError where `found` notes another key than the part's; names the first setting that differs."""
    if found["key"] == key(part):
        return
    before, now = dict(_flat(found["recipe"])), dict(_flat(json.loads(json.dumps(dict(part.recipe())))))
    names = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    why = (
        f"{names[0]} was {before.get(names[0])!r} and is {now.get(names[0])!r}"
        if names
        else "what it was made from has changed"
    )
    raise ValueError(
        f"{place} was made by another recipe ({why}); results of both are never mixed: name another --output, or remove it."
    )


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for name, value in content.items():
            yield from _flat(value, f"{prefix}{name}.")
    else:
        yield prefix.removesuffix("."), content
