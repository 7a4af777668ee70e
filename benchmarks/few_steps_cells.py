"""What few_steps.py compares: ways of making clips (cells), named grids of them, and held-out compositions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.types import Roll

FRAMES, BATCH = 64, 32
GUIDANCE = 1.5


@dataclass(frozen=True)
class Cell:
    """One way of making the clips."""

    model: str
    conditions: str
    schedule: str = "uniform"
    solver: str = "own"
    steps: int = 0
    tolerance: float | None = None
    guidance: float = GUIDANCE
    interval: tuple[float, float] = (0.0, 1.0)
    rescale: float = 0.0

    @property
    def name(self) -> str:
        """What its folder is called."""
        model = Path(self.model).name
        if self.solver == "own":
            return f"{model}-{self.conditions}-own" if self.conditions else model
        effort = self.steps if self.tolerance is None else f"{self.tolerance:g}"
        parts = [model, self.conditions, self.schedule, self.solver, str(effort), f"g{self.guidance:g}"]
        if self.interval != (0.0, 1.0):
            parts.append("i{:g},{:g}".format(*self.interval))
        if self.rescale:
            parts.append(f"r{self.rescale:g}")
        return "-".join(parts)

    @staticmethod
    def read(model: str, text: str) -> "Cell":
        """A cell from its notation.  Raises ValueError."""
        conditions, *words = text.split(":")
        if conditions not in ("plan", "words"):
            raise ValueError(f"{text!r} is no cell: it begins with {conditions!r}; begin with plan or words.")
        if words == ["own"]:
            return Cell(model, conditions)
        try:
            schedule, solver, effort, *more = words
            cell = Cell(model, conditions, schedule, solver)
            cell = replace(cell, tolerance=float(effort)) if solver == "dopri5" else replace(cell, steps=int(effort))
            for word in more:
                cell = replace(cell, **_option(word))
        except (ValueError, KeyError) as error:
            form = "plan:uniform:euler:8:g1.5, with :i0.2,0.8 or :r0.7 after it, or plan:own"
            raise ValueError(f"{text!r} is no cell; write it like {form}.") from error
        return cell


def _option(word: str) -> dict[str, Any]:
    low, _, high = word[1:].partition(",")
    return {
        "g": lambda: {"guidance": float(low)},
        "i": lambda: {"interval": (float(low), float(high))},
        "r": lambda: {"rescale": float(low)},
    }[word[0]]()


SCHEDULES = ("uniform", "shifted", "log-snr", "sway")
FREE = {"euler": (1, 2, 4, 8, 16, 25, 50, 100), "midpoint": (1, 2, 4, 8, 16), "heun": (1, 2, 4, 8, 16), "rk4": (1, 2, 4)}
SPANS = ("0,0.5", "0.25,1", "0.25,0.75")


def early() -> list[str]:
    """A first look."""
    return [f"uniform:{way}:g{GUIDANCE}" for way in ("euler:4", "midpoint:4", "euler:8", "euler:16", "euler:50")]


def eight() -> list[str]:
    """What can be had without training for 8 evaluations in all, and for 4."""
    guided = [f"{schedule}:{way}:g{GUIDANCE}" for schedule in SCHEDULES for way in ("euler:4", "midpoint:2")]
    guided += [f"uniform:{way}:g{GUIDANCE}" for way in ("heun:2", "rk4:1", "euler:2", "midpoint:1")]
    alone = [f"{schedule}:{way}:g1" for schedule in SCHEDULES for way in ("euler:8", "midpoint:4", "euler:4", "midpoint:2")]
    # Some steps are guided and some are not: 5 + 3, 6 + 2, 7 + 1 evaluations, then 3 + 1.
    spans = (
        "5:0,0.5",
        "5:0.3,1",
        "5:0.1,0.7",
        "6:0,0.2",
        "6:0.3,0.6",
        "6:0.6,1",
        "7:0,0.1",
        "7:0.4,0.5",
        "3:0,0.1",
        "3:0.3,0.4",
    )
    mixed = [f"uniform:euler:{steps}:g{GUIDANCE}:i{span}" for steps, span in (word.split(":") for word in spans)]
    return [*guided, *mixed, *alone]


def free() -> list[str]:
    """Every solver and schedule."""
    ways = [f"uniform:{solver}:{n}:g{GUIDANCE}" for solver, counts in FREE.items() for n in counts]
    tilted = [(schedule, solver, n) for schedule in SCHEDULES[1:] for solver in ("euler", "midpoint") for n in (2, 4, 8)]
    ways += [f"{schedule}:{solver}:{n}:g{GUIDANCE}" for schedule, solver, n in tilted]
    ways += [f"uniform:dopri5:{tolerance}:g{GUIDANCE}" for tolerance in ("0.1", "0.01", "0.001")]
    ways += [f"uniform:{way}:g{GUIDANCE}:i{span}" for way in ("euler:8", "midpoint:4") for span in SPANS]
    return ways + [f"uniform:{way}:g1" for way in ("euler:4", "euler:8", "euler:16", "midpoint:4")]


GRIDS = {"early": early, "eight": eight, "free": free}


def grid(name: str) -> list[str]:
    """Cells by name."""
    return [f"{conditions}:{way}" for way in GRIDS[name]() for conditions in ("plan", "words")]


@dataclass(frozen=True)
class Held:
    """The first clips of a corpus and of its cache, all of which the models have never seen."""

    corpus: Path
    latents: Path

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The clips' descriptions."""
        return [json.loads(line) for line in (self.latents / "rows.jsonl").read_text(encoding="utf-8").splitlines()]

    def array(self, name: str) -> np.ndarray:
        """One of the cache's arrays, a row a clip."""
        return np.load(self.latents / f"{name}.npy", mmap_mode="r")

    def batches(self, n: int) -> Iterator[list[int]]:
        """The first n clips by their numbers.  Raises ValueError where there are fewer, or one is too short."""
        if n % BATCH or not 0 < n <= len(self.rows):
            raise ValueError(f"--clips {n} is not to be had; ask for a multiple of {BATCH} up to {len(self.rows)}.")
        if any(row["frames"] < FRAMES for row in self.rows[:n]):
            raise ValueError(f"{self.latents} has clips of less than {FRAMES} frames; compose it with longer ones.")
        return (list(range(start, start + BATCH)) for start in range(0, n, BATCH))

    def values(self, ids: list[int], conditions: str) -> dict[str, list[Any]]:
        """What a model is told of these clips."""
        captions = [self.rows[i]["captions"] for i in ids]
        values: dict[str, list[Any]] = {"text": [told[i % len(told)] for i, told in zip(ids, captions, strict=True)]}
        if conditions == "plan":
            rolls, vectors = self.array("rolls"), self.array("vectors")
            values["score"] = [Roll(np.array(rolls[i, :FRAMES]), np.array(vectors[i])) for i in ids]
        return values

    def frames(self, ids: list[int]) -> NDArray[np.float32]:
        """The real renderings, encoded, "b t d"."""
        return self.array("frames")[ids, :FRAMES].astype(np.float32)

    def audio(self, ids: list[int], codec: Codec) -> list[NDArray[np.float32]]:
        """The real renderings, as long as the frames."""
        return [self._read(self.corpus / self.rows[i]["file"], codec) for i in ids]

    def _read(self, path: Path, codec: Codec) -> NDArray[np.float32]:
        samples, rate = sound.read(path)
        samples = sound.resample(sound.mix(samples, 1), rate, codec.sample_rate)
        return samples[0, : FRAMES * codec.hop].numpy()
