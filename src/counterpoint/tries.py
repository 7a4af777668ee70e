"""Of several fillings of one canvas, the one that fits best: kept by how its seams and its sound suit what was given.

frames, choices = tries.best(model.system, model.codec, canvas, values, seeds, sampling, 6)
choices[0].record  # which was kept, of which, by what figures, after how many evaluations

Zero-shot in-painting needs settings of its own for every sample ("AR-vs-FM", section 5.3): here they are tried, within a
budget that is told in advance, as every try may ask the network as often as one supervised filling does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import windows
from counterpoint.analysis import hearing
from counterpoint.analysis.chroma import chroma
from counterpoint.codecs.base import Codec
from counterpoint.config import Config
from counterpoint.controls.told import windowed
from counterpoint.metrics.fit import fit, mean
from counterpoint.metrics.take import Asked, asked_of_score, take_report
from counterpoint.music import Score
from counterpoint.paradigms import repair
from counterpoint.paradigms.middle import gaps
from counterpoint.paradigms.repair import StrategyName
from counterpoint.rng import mix
from counterpoint.systems import jasco
from counterpoint.systems.base import System, share
from counterpoint.types import Canvas, Progress, Values, time_axis

LADDER: tuple[tuple[StrategyName, Mapping[str, float]], ...] = (
    ("bridge", {}),
    ("resampling", {}),
    ("bridge", {"churn": 0.5}),
    ("renewal", {}),
    ("bridge", {"churn": 0.0}),
    ("resampling", {"repeats": 3}),
)
"""What zero-shot tries follow, one after another and then from the start again, each with a seed of its own."""


@dataclass(frozen=True)
class Attempt:
    """How one filling is made.  An item's seed is mixed with `number`; the first has the item's own."""

    number: int
    sampling: Config
    told: Mapping[str, Any]
    """What of the sampling differs between tries."""

    def seeds(self, seeds: Sequence[int]) -> list[int]:
        """Those of the items."""
        return [mix(seed, self.number) if self.number else seed for seed in seeds]


@dataclass(frozen=True)
class Choice:
    """Which of an item's fillings was kept, and what was made of all: seed, settings, `seam`, `match`, `adherence`, `rank`."""

    kept: int
    tried: tuple[Mapping[str, Any], ...]
    evaluations: int
    """Of the network, for this item, in all tries together, guidance included."""

    @property
    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        by = [name for name in ("seam", "match", "adherence") if self.tried[0].get(name) is not None]
        return {"by": by, "kept": self.kept, "evaluations": self.evaluations, "tried": [dict(one) for one in self.tried]}


def attempts(system: System, sampling: Config, count: int) -> list[Attempt]:
    """What is tried: seeds, and zero-shot, where no strategy is asked for, strategies with steps within the same budget.

    Raises ValueError for a count that is none, or a method that the system does not have.
    """
    if count < 1:
        raise ValueError(f"{count} tries are none to choose from; ask for at least one.")
    if not (isinstance(sampling, jasco.Sampling) and isinstance(system, jasco.Jasco) and system.hears_zero_shot(sampling)):
        return [Attempt(number, sampling, {}) for number in range(count)]
    return [Attempt(number, *_settled(sampling, number)) for number in range(count)]


def _settled(sampling: jasco.Sampling, number: int) -> tuple[jasco.Sampling, dict[str, Any]]:
    """The settings of a zero-shot try: those asked for, where the strategy is, or where the solver has only one."""
    strategy, how = sampling.repair
    told: dict[str, Any] = {"strategy": strategy}
    if sampling.strategy is None and strategy == repair.DEFAULT:
        name, numbers = LADDER[number % len(LADDER)]
        told = {"strategy": name, **numbers}
        how = jasco.Sampling(method="zero-shot", **told).repair[1]
    settings = {**sampling.model_dump(), **told, "method": "zero-shot"}
    if sampling.solver != "dopri5":  # which takes as many steps as it needs
        told["steps"] = repair.steps_within(told["strategy"], sampling.steps, how, 1 - sampling.strength)
    return jasco.Sampling.model_validate(settings | told), told


def fill(
    system: System,
    codec: Codec,
    canvas: Canvas,
    values: Mapping[str, Any],
    seed: int,
    sampling: Config,
    count: int,
    longest: int,
    score: Score | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, list[Choice]]:
    """A canvas of one item, of any length, filled window by window (`windows.around`), each the best of `count` fillings.

    `values` are what the item is told, `longest` the frames of a window.  Where one window does, it is also held against the
    `score`.
    """
    axis, done, given = time_axis(system.view), canvas.frames.clone(), canvas.given.clone()
    places = windows.around(canvas.given[0].cpu(), longest)
    asked = None if score is None or len(places) > 1 else [asked_of_score(score)]
    choices: list[Choice] = []
    for i, here in enumerate(places):
        place = done.narrow(axis, here.start, here.stop - here.start)
        own = [mix(seed, i) if i else seed]
        part = Canvas(place.clone(), given[:, here].clone())
        heard = progress if len(places) == 1 else share(progress, i, len(places), 100)
        made, chosen = best(system, codec, part, windowed(values, here), own, sampling, count, asked, heard)
        place.copy_(made)
        given[:, here] = True
        choices += chosen
    return done, choices


@torch.inference_mode()
def best(
    system: System,
    codec: Codec,
    canvas: Canvas,
    values: Values,
    seeds: list[int],
    sampling: Config,
    count: int,
    asked: Sequence[Asked | None] | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, list[Choice]]:
    """The frames of the filling that ranks best, item by item, and how it was chosen; the first of equals.

    `asked` is what each item is to be, where a plan or controls are told: then `adherence` counts as `seam` and `match` do.
    One try is not judged.  Raises ValueError as `attempts` and the system do, before anything is made.
    """
    made: list[Tensor] = []
    tried: list[list[dict[str, Any]]] = [[] for _ in seeds]
    total = 0
    planned = attempts(system, sampling, count)
    for attempt in planned:
        own = attempt.seeds(seeds)
        heard = progress if count == 1 else share(progress, attempt.number, count, 100)
        with counted(system) as rows:
            frames = system.generate(canvas, values, own, attempt.sampling, heard)
        total += rows[0] // len(seeds)
        made.append(frames)
        audio = codec.decode(codec.as_frames(frames, system.view)) if count > 1 else None
        for i, seed in enumerate(own):
            wanted = None if asked is None else asked[i]
            figures = {} if audio is None else judge(audio[i], codec, canvas, i, wanted)
            tried[i].append({"seed": seed, **attempt.told, **figures})
    kept = [_first_best([one.get("rank") for one in item]) for item in tried]
    chosen = torch.stack([made[number][i] for i, number in enumerate(kept)])
    return chosen, [Choice(number, tuple(item), total) for number, item in zip(kept, tried, strict=True)]


def judge(
    audio: Float[Tensor, "c n"], codec: Codec, canvas: Canvas, item: int, asked: Asked | None = None
) -> dict[str, float | None]:
    """The figures of one filling by their names; None where one cannot be told, such as of a seam in two seconds of sound."""
    audio, rate = audio.detach().float().cpu(), codec.spec.rate
    length = audio.shape[-1] / codec.sample_rate
    spans = [(gap.start / rate, min(gap.stop / rate, length)) for gap in gaps(canvas.given[item])]
    heard = fit(audio, codec.sample_rate, spans, chroma)
    figures = {"seam": heard.seam, "match": heard.match}
    if asked is not None:
        figures["adherence"] = take_report(asked, hearing.hear(audio, codec.sample_rate)).rank
    figures["rank"] = mean(list(figures.values()))
    return {name: None if math.isnan(value) else round(value, 6) for name, value in figures.items()}


def _first_best(ranks: Sequence[float | None]) -> int:
    return max(range(len(ranks)), key=lambda i: (-1.0 if (rank := ranks[i]) is None else rank, -i))


@contextmanager
def counted(system: System) -> Iterator[list[int]]:
    """Counts rows that go through a system's last layer: once for every evaluation of the network, of every item."""
    rows = [0]

    def count(_layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        rows[0] += len(inputs[0])

    hook = system.get_submodule("out").register_forward_pre_hook(count)
    try:
        yield rows
    finally:
        hook.remove()
