"""Held-out music that models are asked for: clips under a codec, and what is known of each, from their beginning on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint import rng
from counterpoint.controls.told import windowed
from counterpoint.data.latents import LatentDataset
from counterpoint.types import Canvas, View


@dataclass(frozen=True)
class HeldClip:
    """A clip's name, its frames "t d" or tokens "k t", and what is known of it."""

    id: str
    frames: Tensor
    values: dict[str, Any]


def read_held(cache: Path, splits: Sequence[str], seconds: float, most: int, view: View) -> list[HeldClip]:
    """The first `most` clips by name that last so long, cut to `seconds`.  Raises ValueError where there are fewer."""
    found = []
    for split in splits:
        try:
            clips = LatentDataset(cache, split, 10**9, view)
        except ValueError:  # no clip of that split
            continue
        frames = clips.spec.frames(seconds)
        found += [(row["id"], clips, i, frames) for i, (_, row) in enumerate(clips.rows) if row["frames"] >= frames]
    if len(found) < most:
        raise ValueError(
            f"{cache} holds {len(found)} held-out clips of {seconds:g} s, and {most} are asked for; give more music or longer "
            "clips."
        )
    return [_cut(*place) for place in sorted(found, key=lambda place: place[0])[:most]]


def _cut(name: str, clips: LatentDataset, number: int, frames: int) -> HeldClip:
    item = clips.item(number, 0)
    assert item.frames is not None
    values = {key: column[0] for key, column in windowed(item.values, slice(frames)).items()}
    values["text"] = (clips.rows[number][1]["captions"] or [None])[0]
    return HeldClip(name, item.frames[..., :frames] if clips.view == "tokens" else item.frames[:frames], values)


def gap(clip: HeldClip, frames: int, length: int, margin: int) -> range:
    """The frames of a clip that are to be filled, with `margin` on both sides: drawn by its name, alike for all models."""
    seed = rng.mix(*clip.id.encode())
    start = margin + int(torch.randint(frames - length - 2 * margin + 1, (1,), generator=rng.generators([seed])[0]))
    return range(start, start + length)


def canvas(clips: Sequence[HeldClip], levels: int, gaps: Sequence[range] | None) -> Canvas:
    """Clips side by side with their gaps, or nothing given; of tokens only so many levels."""
    frames = torch.stack([clip.frames for clip in clips])
    frames = frames.float() if frames.is_floating_point() else frames[:, :levels]
    length = frames.shape[1] if frames.is_floating_point() else frames.shape[2]
    given = torch.zeros(len(clips), length, dtype=torch.bool)
    if gaps is None:
        return Canvas(torch.zeros_like(frames), given)
    for row, span in zip(given, gaps, strict=True):
        row[:] = True
        row[span.start : span.stop] = False
    return Canvas(frames, given)
