"""What every conditioner is: values of a batch in, a Cond out; None means "not told" and has a learnt null of its own."""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from counterpoint.types import Cond, Spec


class Conditioner(nn.Module, ABC):
    """One kind of thing that is known about music.

    `forward(values, spec, frames)` takes one value (or None) per item and gives a Cond for `frames` frames at `spec.rate`.
    An item's part of the Cond depends on its own value alone.
    """

    @abstractmethod
    def forward(self, values: list[Any], spec: Spec, frames: int) -> Cond: ...
