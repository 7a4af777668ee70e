"""A cell of time: how long a network of a recipe's size takes to make a batch (the paper's section 5.4 and appendix K).

The network is built and not trained, which changes no time, and told one caption.  As in the paper a "sample" is a whole clip,
without the codec.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from counterpoint.machine import autocast
from counterpoint.metrics import intervals
from counterpoint.recipe.base import Recipe
from counterpoint.study import cost, result
from counterpoint.study.material import Coder, content_of, recipe_of
from counterpoint.study.part import Part, Workshop
from counterpoint.study.result import Result, figure
from counterpoint.study.taken import changed
from counterpoint.types import Canvas

CAPTION = "a slow waltz for piano and strings in G, 90 bpm"


@dataclass(frozen=True)
class Speed(Part):
    """Seconds of a batch of so many clips of so many seconds: the median of `repeats`, after one that does not count."""

    file: Path
    coder: Coder
    batch: int
    clip_seconds: float
    changes: tuple[str, ...] = ()
    sampling: tuple[str, ...] = ()
    repeats: int = 3
    alone = True

    def needs(self) -> tuple[Part, ...]:
        return ()

    def recipe(self) -> Mapping[str, Any]:
        told = {"batch": self.batch, "clip_seconds": self.clip_seconds, "repeats": self.repeats, "rate": self.coder.spec.rate}
        return {**told, "sampling": list(self.sampling), "network": content_of(self.file, self.changes)["system"]}

    def done(self, shop: Workshop) -> bool:
        return result.load(self, shop) is not None

    @property
    def _recipe(self) -> Recipe:
        found = recipe_of(self.file, self.changes)
        assert isinstance(found, Recipe)
        return found

    def make(self, shop: Workshop) -> None:
        started = perf_counter()
        torch.manual_seed(0)
        config, spec = self._recipe.system, self.coder.spec
        system = config.build(spec).eval().to(shop.device)
        sampling = changed(config.sampling, self.sampling)
        blank = Canvas.blank(self.batch, spec.frames(self.clip_seconds), system.spec, system.view)
        canvas = Canvas(blank.frames.to(shop.device), blank.given.to(shop.device))
        taken = []
        for _ in range(1 + self.repeats):
            begun = perf_counter()
            with torch.inference_mode(), autocast(shop.device):
                system.generate(canvas, {"text": [CAPTION] * self.batch}, list(range(self.batch)), sampling)
            if shop.device != "cpu":
                torch.cuda.synchronize()
            taken.append(perf_counter() - begun)
        seconds = taken[1:]
        rates = [self.batch / each for each in seconds]
        figures = {
            "latency": figure(intervals.mean("latency", seconds, "s", "lower")),
            "throughput": figure(intervals.mean("throughput", rates, "samples/s", "higher")),
            "log_latency": figure(
                intervals.mean("log_latency", [float(torch.tensor(each).log2()) for each in seconds], "", "lower")
            ),
        }
        notes = (f"median {statistics.median(seconds):.4g} s on {torch.get_num_threads()} threads of {shop.device}",)
        done = Result(self.name, figures, tuple(map(str, range(self.repeats))), notes=notes)
        result.save(self, done, shop, perf_counter() - started)

    def flops(self) -> float:
        found = self._recipe
        passes = 1
        if found.system.kind == "jasco":
            passes = next((int(text.partition("=")[2]) for text in self.sampling if text.startswith("steps=")), 50)
        guided = 1 if "guidance={all=1}" in self.sampling else 2
        return (
            (1 + self.repeats) * guided * passes * self.batch * cost.forward(found.system, self.coder.spec, self.clip_seconds)
        )

    def seconds(self, flops: float) -> float:
        steps = self.coder.spec.frames(self.clip_seconds) if self._recipe.system.kind == "musicgen" else 0
        return self.flops() / flops + (1 + self.repeats) * 0.005 * steps
