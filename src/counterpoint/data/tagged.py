"""Clips as frames of bands, with their captions and tags (style, instruments, key, tempo): what an ear learns from.

Frames are made once and kept in a folder: bands.npy (float16, N T m) and rows.jsonl (one clip a line: split, frames,
captions, tags).  What makes a crop another than it was (transposed, equalised, noisy) is drawn anew each time.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.data.base import Item, spread
from counterpoint.data.index import index
from counterpoint.data.row import Row, no_clips
from counterpoint.files import renamed, write_text
from counterpoint.music import Key
from counterpoint.types import Progress

BANDS, ROWS = "bands.npy", "rows.jsonl"
Front = Callable[[Float[Tensor, "1 n"]], Float[Tensor, "1 t m"]]
"""Mono audio to frames."""

_NAMES_A_KEY = re.compile(r"\b(major|minor)\b", re.IGNORECASE)
_FARTHEST = 3
"""Semitones that a crop is transposed by, at most."""


def tags(row: Row) -> dict[str, Any]:
    """What a clip's metadata say of it, None where they do not: style (a word), instruments (a sorted list), key (the number
    of its tonic, plus 12 in minor), tempo (beats a minute)."""
    told = row.values
    key = Key.parse(told["key"]) if "key" in told else None
    instruments = told.get("instruments")
    return {
        "style": told.get("style"),
        "instruments": None if instruments is None else sorted(set(instruments.values())),
        "key": None if key is None else key.number,
        "tempo": told.get("tempo"),
    }


def write_bands(folders: Sequence[Path], sample_rate: int, front: Front, out: Path, progress: Progress | None = None) -> None:
    """Make the frames of all clips of `folders` that are no test clips; what is there already stays.  Raises ValueError."""
    if (out / ROWS).is_file():
        return
    rows = [row for folder in folders for row in index(folder).rows if row.split != "test"]
    lines: list[str] = []
    arrays: list[ndarray] = []
    for number, row in enumerate(rows):
        audio, rate = sound.read(row.path)
        with torch.inference_mode():
            frames = front(sound.resample(sound.mix(audio, 1), rate, sample_rate))[0]
        arrays.append(frames.numpy().astype(np.float16))
        content = {"split": row.split, "frames": len(frames), "captions": list(row.captions), **tags(row)}
        lines.append(json.dumps(content, ensure_ascii=False) + "\n")
        if progress is not None:
            progress(number + 1, len(rows))
    whole = np.zeros((len(rows), max(map(len, arrays)), arrays[0].shape[1]), np.float16)
    for place, frames in zip(whole, arrays, strict=True):
        place[: len(frames)] = frames
    with renamed(out / BANDS) as path, path.open("wb") as file:
        np.save(file, whole)
    write_text(out / ROWS, "".join(lines))


class TaggedDataset:
    """A crop of each clip of a split, with one of its captions and its tags.

    With `vary`, crops are changed as music is between recordings: transposed (then the caption is one that names no key),
    equalised, noisy, and blurred as codecs blur.
    """

    def __init__(self, folder: Path, split: str, crop_frames: int, per_semitone: int, vary: bool = False):
        lines = (folder / ROWS).read_text(encoding="utf-8").splitlines()
        rows = list(enumerate(map(json.loads, lines)))
        self.rows: list[tuple[int, dict[str, Any]]] = [(i, row) for i, row in rows if row["split"] == split]
        if not self.rows:
            raise no_clips(folder, split, (row["split"] for _, row in rows))
        self.crop_frames = crop_frames
        self.per_semitone = per_semitone
        self.vary = vary
        self._bands = np.load(folder / BANDS, mmap_mode="r")

    def __len__(self) -> int:
        return len(self.rows)

    def item(self, index: int, seed: int) -> Item:
        number, row = self.rows[index]
        draw = np.random.default_rng(seed)
        first = int(draw.integers(max(0, row["frames"] - self.crop_frames) + 1))
        span = slice(first, min(first + self.crop_frames, row["frames"]))
        frames, key, captions = self._bands[number, span].astype(np.float32), row["key"], row["captions"]
        unkeyed = [caption for caption in captions if not _NAMES_A_KEY.search(caption)]
        if self.vary and (unkeyed or not captions) and draw.random() < 0.5:
            steps = int(draw.integers(-_FARTHEST, _FARTHEST + 1))
            frames = transposed(frames, steps * self.per_semitone)
            key = None if key is None else (key + steps) % 12 + 12 * (key >= 12)
            captions = unkeyed
        if self.vary:
            frames = _varied(frames, draw)
        text = captions[draw.integers(len(captions))] if captions else None
        values = {"text": text, "style": row["style"], "instruments": row["instruments"], "key": key, "tempo": row["tempo"]}
        return Item(frames=torch.from_numpy(frames), values=values)

    def statistics(self, clips: int = 1000) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Mean and standard deviation of each band, over at most `clips` clips of the split."""
        total, square, count = 0.0, 0.0, 0
        for frames in self._spread(clips):
            total, square, count = total + frames.sum(0), square + np.square(frames).sum(0), count + len(frames)
        mean = np.asarray(total / count)
        std = np.sqrt(np.maximum(square / count - mean**2, 1e-12))
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()

    def _spread(self, clips: int) -> Iterator[Float[ndarray, "t m"]]:
        for number, row in spread(self.rows, clips):
            yield self._bands[number, : row["frames"]].astype(np.float64)


def transposed(frames: Float[ndarray, "t m"], bands: int) -> Float[ndarray, "t m"]:
    """The frames moved up by so many bands; what comes in at the edge is as loud as the edge was."""
    moved = np.roll(frames, bands, axis=1)
    if bands > 0:
        moved[:, :bands] = frames[:, :1]
    elif bands < 0:
        moved[:, bands:] = frames[:, -1:]
    return moved


def _varied(frames: Float[ndarray, "t m"], draw: np.random.Generator) -> Float[ndarray, "t m"]:
    """Another loudness (up to 6 dB), a slope of up to 12 dB from one end to the other, a bump or dip of up to 9 dB, now and
    then noise, a muffled top, or chance differences of up to 4 dB (one deviation) everywhere.  Frames are bels."""
    count = frames.shape[1]
    place = np.linspace(-1, 1, count)
    bump = np.exp(-(((place - draw.uniform(-1, 1)) / 0.25) ** 2))
    curve = draw.uniform(-0.6, 0.6) + draw.uniform(-0.6, 0.6) * place + draw.uniform(-0.9, 0.9) * bump
    changed = frames + curve.astype(np.float32)
    if draw.random() < 0.2:
        changed[:, int(count * draw.uniform(0.7, 1.0)) :] -= draw.uniform(0.5, 3.0)
    changed = np.maximum(changed, draw.uniform(-7.0, -4.5) if draw.random() < 0.5 else -7.0)
    if draw.random() < 0.5:
        return changed
    return changed + np.float32(draw.uniform(0.0, 0.4)) * draw.standard_normal(changed.shape, dtype=np.float32)
