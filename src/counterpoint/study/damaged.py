"""A second, noisier set to evaluate on, as MusicCaps is to the paper: duller recordings, in noise, and captions that err.

Noise lies 5 to 30 dB below the music, a low-pass at 3 to 14 kHz, drawn for each clip; one caption in four is another clip's.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint import rng
from counterpoint.data.index import index
from counterpoint.data.row import METADATA
from counterpoint.files import write_text
from counterpoint.study.material import Music
from counterpoint.study.part import Part, Workshop, claim

WRONG = 4
"""One caption in so many is another clip's."""


@dataclass(frozen=True)
class Damaged(Music):
    """The first `clips` of some splits of music, made worse."""

    of: Music | None = None
    clips: int = 64
    splits: tuple[str, ...] = ("train", "valid", "test")

    def needs(self) -> tuple[Part, ...]:
        assert self.of is not None, "there is something to damage"
        return (self.of,)

    def recipe(self) -> Mapping[str, Any]:
        return {"clips": self.clips, "seed": self.seed, "clip_seconds": self.clip_seconds, "splits": list(self.splits)}

    def source(self, shop: Workshop) -> Path:
        return shop.place(self) / "corpus"

    def done(self, shop: Workshop) -> bool:
        return (self.source(shop) / METADATA).is_file()

    def make(self, shop: Workshop) -> None:
        assert self.of is not None
        claim(self, shop)
        found = index(self.of.source(shop), self.clip_seconds).rows
        rows = sorted((row for row in found if row.split in self.splits), key=lambda row: row.id)[: self.clips]
        lines = []
        for number, row in enumerate(rows):
            audio, rate = sound.read(row.path, row.seconds, row.offset)
            sound.write(self.source(shop) / f"{number:06d}.flac", damage(audio, rate, rng.mix(self.seed, number)), rate)
            told = rows[(number + 1) % len(rows)] if number % WRONG == 0 else row
            told = {"file_name": f"{number:06d}.flac", "id": f"{number:06d}", "text": (*told.captions, "")[0], "split": "test"}
            lines.append(json.dumps(told, ensure_ascii=False) + "\n")
        write_text(self.source(shop) / METADATA, "".join(lines))

    def seconds(self, flops: float) -> float:
        return self.clips * self.clip_seconds / 100


def damage(audio: Float[Tensor, "c n"], rate: int, seed: int) -> Float[Tensor, "c n"]:
    """The same music, duller and in noise; as loud as it was at its loudest."""
    [gen] = rng.generators([seed])
    quiet, cut = torch.rand(2, generator=gen).tolist()
    level = audio.square().mean().sqrt() * 10 ** (-(5 + 25 * quiet) / 20)
    noisy = audio + level * torch.randn(audio.shape, generator=gen)
    spectrum = torch.fft.rfft(noisy)
    hertz = torch.fft.rfftfreq(audio.shape[-1], 1 / rate)
    edge = 3000 * (14000 / 3000) ** cut
    dull = torch.fft.irfft(spectrum / (1 + (hertz / edge) ** 8), n=audio.shape[-1])
    peak = float(dull.abs().max())
    return dull * (float(audio.abs().max()) / peak) if peak > 0 and math.isfinite(peak) else dull
