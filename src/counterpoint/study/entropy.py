"""A cell of autoregression's certainty: entropy of the first codebook while it is drawn (the paper's appendix I, figure 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from jaxtyping import Float

from counterpoint.hub import checkpoint
from counterpoint.metrics import intervals
from counterpoint.paradigms import autoregressive
from counterpoint.study import result
from counterpoint.study.held import read_held
from counterpoint.study.material import Network
from counterpoint.study.part import Part, Workshop
from counterpoint.study.result import Result, figure
from counterpoint.study.taken import PART, SLOW, Held, changed
from counterpoint.systems.musicgen import Musicgen, Sampling
from counterpoint.types import Canvas

EARLY = 50
"""Steps that the paper calls early."""


def drawn(
    system: Musicgen, told: Mapping[str, Sequence[Any]], sampling: Sampling, seeds: list[int], frames: int
) -> Float[np.ndarray, "b t"]:
    """Bits of entropy of what the first level is drawn from, before temperature and top-p, at every frame of a batch."""
    bits: list[Float[np.ndarray, " b"]] = []
    sample = autoregressive.sample

    def watched(logits: torch.Tensor, *settings: Any) -> torch.Tensor:
        log = logits[:, 0].float().log_softmax(-1)
        bits.append((-(log.exp() * log).sum(-1) / np.log(2)).numpy())
        return sample(logits, *settings)

    blank = Canvas.blank(len(seeds), frames, system.spec, "tokens")
    with patch.object(autoregressive, "sample", watched), torch.inference_mode():
        system.generate(blank, {name: list(column) for name, column in told.items()}, seeds, sampling)
    return np.stack(bits, axis=1)[:, :frames]


@dataclass(frozen=True)
class Certainty(Part):
    """How certain a network is while it makes held-out clips, told `told`: a curve, and its early and late means."""

    network: Network
    held: Held
    told: tuple[str, ...] = ("text",)
    sampling: tuple[str, ...] = ()

    def needs(self) -> tuple[Part, ...]:
        return (self.network, self.held.frames)

    def recipe(self) -> Mapping[str, Any]:
        return {"told": list(self.told), "sampling": list(self.sampling), "held": self.held.plain()}

    def done(self, shop: Workshop) -> bool:
        return result.load(self, shop) is not None

    def make(self, shop: Workshop) -> None:
        started = perf_counter()
        loaded = checkpoint.load(shop.place(self.network))
        assert isinstance(loaded.system, Musicgen), "only autoregression draws tokens"
        held = self.held
        clips = read_held(held.frames.cache(shop), held.splits, held.seconds, held.clips, "tokens")
        sampling, parts = changed(loaded.config.sampling, self.sampling), []
        assert isinstance(sampling, Sampling)
        for first in range(0, len(clips), PART):
            part = clips[first : first + PART]
            told = {name: [clip.values.get(name) for clip in part] for name in self.told}
            seeds = list(range(first, first + len(part)))
            parts.append(drawn(loaded.system, told, sampling, seeds, loaded.codec.spec.frames(held.seconds)))
        bits = np.concatenate(parts)
        spans = {"early": bits[:, :EARLY], "late": bits[:, EARLY:], "all": bits}
        figures = {
            f"bits_{name}": figure(intervals.mean(name, span.mean(1), "bits")) for name, span in spans.items() if span.size
        }
        curves = {"x": tuple(range(bits.shape[1])), "bits": tuple(bits.mean(0).tolist())}
        done = Result(self.name, figures, tuple(clip.id for clip in clips), self.network.seed, curves=curves)
        result.save(self, done, shop, perf_counter() - started)

    def flops(self) -> float:
        return 2 * self.held.clips * self.network.forward(self.held.seconds)

    def seconds(self, flops: float) -> float:
        return 5 + SLOW * self.flops() / flops
