"""Crops of encoded clips: what generators learn from.  `encoding.py` writes the cache that is read here.

A cache is a folder: info.json, rows.jsonl (one clip a line, in the order of the arrays; those of files that turned out to be of
no use have no frames), skipped.csv (all files that are not used, and why), and arrays with one row a clip, padded to the
longest: frames.npy (float16, N T d), tokens.npy (int16, N k T), and, where scores are known, rolls.npy (uint8, N T e) and
vectors.npy (float32, N g).  A folder controls/ in it tells chords, tune and drums of every frame (`labelling.py`).
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.data.base import Item, spread
from counterpoint.data.checks import CLIPPED
from counterpoint.data.row import no_clips
from counterpoint.files import renamed
from counterpoint.music import Key
from counterpoint.types import Roll, Spec, View

CONTROLS = "controls"
"""The folder of a cache that tells what else is known of its clips."""


@dataclass(frozen=True)
class CacheInfo:
    """What a cache was made from: the codec by the SHA-256 of what its frames follow from, and of what its tokens follow from
    beside that; the corpus by that of its clips' names, and of what they are like.  A decoder that learns on leaves a cache
    valid."""

    codec: str
    codebooks: str
    spec: Spec
    sample_rate: int
    channels: int
    corpus: str
    clips: int
    frames: int
    """Frames of the longest clip, T."""
    painted: tuple[int, int] | None
    """Columns e of the rolls and g of the vectors."""
    contents: str | None = None
    """SHA-256 of the clips' lengths, captions and sizes of files; None where they were not noted."""
    clipped: float = CLIPPED
    """Share of samples at full scale above which a file was skipped."""
    mean: float | None = None
    std: float | None = None
    """The scalars of the frames that are trained on (`LatentDataset.scalars`); None where they were not noted."""

    def dump(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def read(path: Path) -> "CacheInfo":
        """Raises ValueError when this is not the description of a cache."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            painted = content["painted"]
            return CacheInfo(**{**content, "spec": Spec(**content["spec"]), "painted": painted and tuple(painted)})
        except (OSError, json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(f"{path.parent} is not a cache of encoded clips; make one with counterpoint encode.") from error


class LatentDataset:
    """A random crop of `crop_frames` of each encoded clip of a split, with one of its captions and the same crop of its score.

    `view` is "continuous" (frames "t d") or "tokens" ("k t").  Clips that are shorter come whole.
    """

    def __init__(self, folder: Path, split: str, crop_frames: int, view: View = "continuous"):
        self.info = CacheInfo.read(folder / "info.json")
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [(i, row) for i, row in enumerate(map(json.loads, lines)) if row["frames"]]  # the others were skipped
        self.rows: list[tuple[int, dict[str, Any]]] = [(i, row) for i, row in rows if row["split"] == split]
        if not self.rows:
            raise no_clips(folder, split, (row["split"] for _, row in rows))
        if view == "tokens" and not self.info.spec.levels:
            raise ValueError(f"{folder} was made by a codec without tokens; use the view 'continuous'.")
        self.crop_frames = crop_frames
        self.view = view
        self._frames = np.load(folder / ("frames.npy" if view == "continuous" else "tokens.npy"), mmap_mode="r")
        self._rolls = np.load(folder / "rolls.npy", mmap_mode="r") if self.info.painted else None
        self._vectors = np.load(folder / "vectors.npy", mmap_mode="r") if self.info.painted else None
        self.drums: tuple[str, int] | None = None
        """The order and blur of the drums' lane, where controls are known."""
        self._lanes: dict[str, np.ndarray] = {}
        if (folder / CONTROLS / "info.json").is_file():
            made = json.loads((folder / CONTROLS / "info.json").read_text(encoding="utf-8"))
            self.drums = (made["order"], made["blur"])
            names = ("chords", "melody", "drums", "scalars")
            self._lanes = {name: np.load(folder / CONTROLS / f"{name}.npy", mmap_mode="r") for name in names}

    @property
    def spec(self) -> Spec:
        return self.info.spec

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, index: int, seed: int) -> Item:
        number, row = self.rows[index]
        draw = np.random.default_rng(seed)
        first = int(draw.integers(max(0, row["frames"] - self.crop_frames) + 1))
        span = slice(first, min(first + self.crop_frames, row["frames"]))
        captions = row["captions"]
        values: dict[str, Any] = {"text": captions[draw.integers(len(captions))] if captions else None}
        if self._rolls is not None and self._vectors is not None and row["score"]:
            values["score"] = Roll(np.array(self._rolls[number, span]), np.array(self._vectors[number]))
        return Item(frames=self._read(number, span), values=values | self._controls(number, span))

    def _controls(self, number: int, span: slice) -> dict[str, Any]:
        """The lanes of a crop, and what of tempo, key and length is known of its clip."""
        if not self._lanes:
            return {}
        tempo, key, seconds = self._lanes["scalars"][number].tolist()
        known = {
            "tempo": None if math.isnan(tempo) else tempo,
            "key": None if math.isnan(key) else Key.numbered(int(key)),
            "seconds": seconds,
        }
        return known | {name: np.array(self._lanes[name][number, span]) for name in ("chords", "melody", "drums")}

    def _read(self, number: int, span: slice) -> Tensor:
        if self.view == "tokens":
            return torch.from_numpy(self._frames[number][:, span].astype(np.int64))
        return torch.from_numpy(self._frames[number, span].astype(np.float32))

    def statistics(self, clips: int = 2000) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
        """Mean and standard deviation of each channel of the continuous frames, over at most `clips` clips of the split."""
        assert self.view == "continuous"
        total, square, count = np.zeros(self.spec.dim), np.zeros(self.spec.dim), 0
        for number, row in spread(self.rows, clips):
            frames = self._frames[number, : row["frames"]].astype(np.float64)
            total, square, count = total + frames.sum(0), square + np.square(frames).sum(0), count + len(frames)
        mean = total / count
        std = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def segments(self, count: int, seconds: float, seed: int = 0) -> Iterator[np.ndarray]:
        """Random segments "t d" of the continuous frames; every clip is as likely as another, shorter ones come whole."""
        assert self.view == "continuous"
        draw, length = np.random.default_rng(seed), self.spec.frames(seconds)
        rows = [(number, row["frames"]) for number, row in self.rows if row["frames"] > 1]  # one frame does not deviate
        for _ in range(count if rows else 0):
            number, frames = rows[draw.integers(len(rows))]
            first = int(draw.integers(max(0, frames - length) + 1))
            yield self._read(number, slice(first, min(first + length, frames))).numpy().astype(np.float64)

    def scalars(self, count: int = 2048, seconds: float = 10.0) -> tuple[float, float]:
        """One mean and one standard deviation for all channels, of random segments of the split (paper, appendix E.2).

        The mean is that of all numbers; the deviation is taken over the time of each segment and channel, then averaged.
        Raises ValueError where no clip has two frames.
        """
        total, numbers, deviations = 0.0, 0, []
        for frames in self.segments(count, seconds):
            total, numbers = total + frames.sum(), numbers + frames.size
            deviations.append(frames.std(axis=0, ddof=1).mean())
        if not deviations:
            raise ValueError("No clip is longer than a frame, so that nothing deviates; encode longer clips.")
        return float(total / numbers), float(np.mean(deviations))


def note_scalars(folder: Path) -> None:
    """Note in the info.json of a cache whose rows are written what `data.normalise = "whole"` will take."""
    info = CacheInfo.read(folder / "info.json")
    rows = map(json.loads, (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines())
    if not any(row["split"] == "train" and row["frames"] > 1 for row in rows):
        return
    mean, std = LatentDataset(folder, "train", 1).scalars()
    with renamed(folder / "info.json") as path:
        path.write_text(replace(info, mean=mean, std=std).dump(), encoding="utf-8")
