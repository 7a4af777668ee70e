"""What a dataset is: numbered items, each a function of its number and a seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from torch import Tensor

T = TypeVar("T")


def spread(things: Sequence[T], most: int) -> list[T]:
    """At most `most` of the things, as many as there are else, at even distances from the first on."""
    count = min(len(things), most)
    return [things[i * len(things) // count] for i in range(count)]


@dataclass(frozen=True)
class Item:
    """One training item: `audio` "c n", `frames` "t d" (floating) or tokens "k t" (whole numbers), and what is known."""

    audio: Tensor | None = None
    frames: Tensor | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


class Dataset(Protocol):
    """Items by number.  All chance (crop, caption, augmentation) comes from the item's seed: same seed, same item."""

    def __len__(self) -> int: ...

    def item(self, index: int, seed: int) -> Item: ...
