"""Audio crops from a folder of clips: what codecs learn from."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.data.base import Item, spread
from counterpoint.data.checks import TOLERANCE
from counterpoint.data.index import index
from counterpoint.data.row import Row, Skipped, no_clips


class AudioDataset:
    """A random crop of each clip of a split of some folders, at `sample_rate` with `channels`; short clips end in silence.

    `most` leaves only so many clips, spread over the split.  `skipped` are the folders' files whose heads show that they
    cannot be used; what only decoding shows (`checks.py`) is not looked for.  Raises ValueError, naming the splits that there
    are, when a folder has none of this one.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        split: str,
        crop_seconds: float,
        sample_rate: int,
        channels: int = 1,
        most: int | None = None,
    ):
        self.skipped: list[Skipped] = []
        rows = []
        for folder in folders:
            found = index(folder)
            chosen = [row for row in found.rows if row.split == split]
            if not chosen:
                raise no_clips(folder, split, (row.split for row in found.rows))
            rows += chosen
            self.skipped += found.skipped
        self.rows = rows if most is None else spread(rows, most)
        self.crop_seconds = crop_seconds
        self.sample_rate = sample_rate
        self.channels = channels

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, index: int, seed: int) -> Item:
        """Raises ValueError where the file turns out to be damaged."""
        row = self.rows[index]
        draw = np.random.default_rng(seed)
        offset = draw.random() * max(0.0, row.seconds - self.crop_seconds)
        crop, rate = self._read(row, offset)
        crop = sound.mix(sound.resample(crop, rate, self.sample_rate), self.channels)
        samples = round(self.crop_seconds * self.sample_rate)
        crop = F.pad(crop, (0, max(0, samples - crop.shape[-1])))[:, :samples]
        text = row.captions[draw.integers(len(row.captions))] if row.captions else None
        return Item(audio=crop, values={"text": text})

    def _read(self, row: Row, offset: float) -> tuple[Float[Tensor, "c n"], int]:
        """A crop as its file has it, and the file's sample rate.  Raises ValueError."""
        try:
            crop, rate = sound.read(row.path, self.crop_seconds, offset)
            if crop.shape[-1] < (min(self.crop_seconds, row.seconds) - TOLERANCE) * rate:
                raise ValueError(f"{row.path} ends earlier than it says; export it again.")
            if not torch.isfinite(crop).all():
                raise ValueError(f"{row.path} holds values that are not numbers; export it again.")
        except ValueError as error:
            damage = str(error).rpartition(";")[0]
            raise ValueError(f"{damage}; remove it, and all that counterpoint encode names in its skipped.csv.") from error
        return crop, rate
