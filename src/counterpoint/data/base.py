"""What a dataset is: numbered items, each a function of its number and a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


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
