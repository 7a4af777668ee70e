"""What every system is: conditions in, losses or frames out; it sees a Spec, never a codec."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from counterpoint.conditioners.base import Conditioners
from counterpoint.config import Config
from counterpoint.paradigms import guidance
from counterpoint.types import Batch, Canvas, Cond, Objective, Progress, Spec, Values, View


class Trainable(nn.Module, ABC):
    """What the training loop needs of anything: objectives, and whose parameters each of them moves."""

    @abstractmethod
    def objectives(self, batch: Batch) -> list[Objective]:
        """The losses of a batch; every random draw comes from `batch.seeds`."""

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the name of the objective that moves them; one player "main" unless there is an opponent."""
        return {"main": [p for p in self.parameters() if p.requires_grad]}

    def compile_parts(self) -> None:
        """Have torch compile what every step spends its time in.  Raises ValueError where there is nothing."""
        backbone = dict(self.named_children()).get("backbone")
        if backbone is None:
            raise ValueError("train.compile = true, but this system has no backbone to compile; set it to false.")
        backbone.compile()


class System(Trainable, ABC):
    """A model of music over frames: it fills canvases under conditions."""

    conditions: tuple[str, ...]
    """Names of the values that it can be told."""
    tasks: tuple[str, ...]
    """Of "generate", "continue", "inpaint"."""
    view: View = "continuous"
    """What it fills canvases with, and learns from."""

    conditioners: Conditioners

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec

    @abstractmethod
    def generate(
        self, canvas: Canvas, values: Values, seeds: list[int], sampling: Config | None = None, progress: Progress | None = None
    ) -> Tensor:
        """The canvas with its missing frames filled; given frames come back bit for bit, item i depends on seed i alone.

        `sampling` of None is the model's own.
        """

    def stream(
        self, canvas: Canvas, values: Values, seeds: list[int], sampling: Config | None = None, progress: Progress | None = None
    ) -> Iterator[Tensor]:
        """What `generate` gives, in parts that follow each other along time, each as soon as it is certain.

        A system that fills a canvas all at once has one part.
        """
        yield self.generate(canvas, values, seeds, sampling, progress)

    def guided(self, weights: Mapping[str, float], canvas: Canvas, values: Values) -> tuple[Cond, list[float]]:
        """What the variants of guidance hear, stacked, and their weights.  Raises ValueError for what is not to be had."""
        self.check(canvas, values)
        guidance.check_told(weights, values)
        return self.variants(weights, values, *canvas.given.shape)

    def variants(self, weights: Mapping[str, float], values: Values, items: int, frames: int) -> tuple[Cond, list[float]]:
        """`guided` for so many items and frames, where what is weighed but told to none is simply not told."""
        table = guidance.variants(weights, self.conditions)
        heard = [self.conditioners(guidance.keep(values, name), self.spec, frames, items) for name in table]
        return Cond.stack(heard), list(table.values())

    def check(self, canvas: Canvas, values: Values) -> None:
        """Raises ValueError for a condition or a task that this system cannot honour: nothing is silently ignored."""
        given = [name for name, column in values.items() if any(value is not None for value in column)]
        strangers = [name for name in given if name not in self.conditions]
        if strangers:
            raise ValueError(f"This model cannot be told {strangers[0]!r}; it understands {', '.join(self.conditions)}.")
        if bool(canvas.given.all()):
            raise ValueError("Every frame of the canvas is given, so nothing is left to fill; leave some of them out.")
        task = task_of(canvas)
        if task not in self.tasks:
            raise ValueError(f"This model cannot {task}; it can {', '.join(self.tasks)}.")


def has_biases(settings: Mapping[str, Any]) -> bool:
    """Whether the layers around a backbone have biases where the settings do not say so: not with MusicGen's positions, which
    come with the paper's network; otherwise, as in all models that were stored before there was a choice, they have."""
    return "backbone" not in settings or settings["backbone"].positions != "sinusoidal"


def task_of(canvas: Canvas) -> str:
    """Nothing given: generate; only a leading part of each item given: continue; else inpaint."""
    if not bool(canvas.given.any()):
        return "generate"
    falling = canvas.given[:, :-1] | ~canvas.given[:, 1:]  # b t: never given after a gap
    return "continue" if bool(falling.all()) else "inpaint"


def share(progress: Progress | None, part: int, parts: int, units: int) -> Progress | None:
    """Tells `progress` of one of several equal parts, of so many units each."""
    if progress is None:
        return None
    return lambda done, total: progress(round((part + done / total) * units), parts * units)
