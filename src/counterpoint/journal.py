"""A run's record: one JSON object a line, TensorBoard's files where that is installed, and how far work has come."""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from counterpoint import types
from counterpoint.files import renamed, writing


class Journal:
    """The run's record: one JSON object a line in log.jsonl, and TensorBoard's files where that is installed."""

    def __init__(self, out: Path | None, step: int):
        """Go on at `step`, forgetting what was written after it; without a folder nothing is written."""
        self._board = None
        self.path = None if out is None else out / "log.jsonl"
        if out is None or self.path is None:
            return
        # What came after the saved state will happen again.
        kept = [line for line in _lines(self.path) if json.loads(line)["step"] <= step]
        with renamed(self.path) as path:
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        if self.path is None:
            return
        with writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{name: _finite(value) for name, value in numbers.items()}}) + "\n")
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None  # JSON knows no nan


def _lines(path: Path) -> list[str]:
    """Whole lines of a log; one that a kill cut short is left out."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [line for line in text[: text.rfind("\n") + 1].splitlines() if line]


@contextlib.contextmanager
def bar(console: Console | None, step: int, total: float) -> Iterator[Callable[[int, float, float], None]]:
    """A progress bar from `step` on, with the time left and the loss; without a console, nothing."""
    if console is None:
        yield lambda step, total, loss: None
        return
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, TextColumn("loss {task.fields[loss]}"), console=console, refresh_per_second=2) as progress:
        task = progress.add_task("training", completed=step, total=round(total), loss="-")
        yield lambda step, total, loss: progress.update(task, completed=step, total=round(total), loss=f"{loss:.4f}")


@contextlib.contextmanager
def progress(title: str, long: bool) -> Iterator[types.Progress | None]:
    """A bar with the time that is left, on a terminal; elsewhere lines, where it takes long."""
    if not sys.stderr.isatty():
        yield _report(title) if long else None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _report(title: str) -> types.Progress:
    """A line for every tenth of the work, and when half a minute has passed."""
    told = [-1, time.monotonic()]  # tenths, and when

    def show(done: int, total: int) -> None:
        tenths, now = 10 * done // total, time.monotonic()
        if tenths > told[0] or now - told[1] >= 30:
            told[:] = tenths, now
            sys.stderr.write(f"{title}: {done} of {total}\n")
            sys.stderr.flush()

    return show
