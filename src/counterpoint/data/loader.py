"""Items side by side as batches.  The step is the data position: batch s is a function of the seed and s alone.

So a run that resumes at a step goes on with exactly the items it would have seen, and nothing needs to be saved.
"""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint import rng
from counterpoint.data.base import Dataset, Item
from counterpoint.types import Batch, Roll


class Loader:
    """Batches of `dataset`, every item once an epoch in an order drawn from `seed`.

    With several processes (`world`) each takes its own part of one common batch of `world * batch_size` items.  An item's seed
    follows from its place in the whole order, so that neither processes nor accumulation change what is drawn for it.
    """

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, rank: int = 0, world: int = 1):
        if len(dataset) == 0:
            raise ValueError("The data set holds no items; check the folder and the split.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world = world

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        first = (step * self.world + self.rank) * self.batch_size
        numbers = range(first, first + self.batch_size)
        seeds = [rng.mix(self.seed, number) for number in numbers]
        return collate([self.dataset.item(self._index(n), s) for n, s in zip(numbers, seeds, strict=True)], seeds)

    def _index(self, number: int) -> int:
        epoch, place = divmod(number, len(self.dataset))
        return int(_permutation(self.seed, epoch, len(self.dataset))[place])

    def batches(self, first: int, ahead: int = 4) -> Generator[Batch, None, None]:
        """Batches from step `first` on, without end, made by a background thread at most `ahead` steps in advance.

        Close the iterator (or let it be collected) and the thread ends.
        """
        with ThreadPoolExecutor(1, "loader") as pool:
            waiting: deque[Future[Batch]] = deque(pool.submit(self.batch, first + i) for i in range(ahead))
            try:
                step = first + ahead
                while True:
                    batch = waiting.popleft().result()
                    waiting.append(pool.submit(self.batch, step))
                    step += 1
                    yield batch
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng(rng.mix(seed, epoch, length)).permutation(length)


def collate(items: list[Item], seeds: list[int]) -> Batch:
    """Items as one batch: shorter ones are padded with zeros at the end, `mask` is True on real frames."""
    audio = [item.audio for item in items if item.audio is not None]
    frames = [item.frames for item in items if item.frames is not None]
    assert len(audio) in (0, len(items)) and len(frames) in (0, len(items)), "either all items have it or none"
    names = dict.fromkeys(name for item in items for name in item.values)
    longest = max((f.shape[_time_axis(f)] for f in frames), default=0)
    return Batch(
        seeds=seeds,
        audio=_padded(audio, axis=1) if audio else None,
        frames=_padded(frames, _time_axis(frames[0])) if frames else None,
        mask=_mask([f.shape[_time_axis(f)] for f in frames]) if frames else None,
        values={name: [_fitted(item.values.get(name), longest) for item in items] for name in names},
    )


def _time_axis(frames: Tensor) -> int:
    return 0 if frames.is_floating_point() else 1  # "t d" or "k t"


def _padded(parts: list[Tensor], axis: int) -> Tensor:
    longest = max(part.shape[axis] for part in parts)
    shape = list(parts[0].shape)
    shape[axis] = longest
    out = torch.zeros(len(parts), *shape, dtype=parts[0].dtype)
    for row, part in zip(out, parts, strict=True):
        row.narrow(axis, 0, part.shape[axis]).copy_(part)
    return out


def _fitted(value: Any, frames: int) -> Any:
    """A painted score or a lane gets as many frames as the batch has; other values stay as they are."""
    if isinstance(value, np.ndarray):
        return np.pad(value, ((0, frames - len(value)), *[(0, 0)] * (value.ndim - 1)))
    if not isinstance(value, Roll) or len(value.frames) == frames:
        return value
    return Roll(np.pad(value.frames, ((0, frames - len(value.frames)), (0, 0))), value.vector)


def _mask(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
