"""Integrate a velocity field from noise (time 0) to data (time 1).

Every solver takes (field, x, times, progress) and returns the last point; `times` is a schedule of increasing instants.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.paradigms.flow import Field
from counterpoint.types import Progress

Solver = Callable[[Field, Tensor, Tensor, Progress | None], Tensor]
SolverName = Literal["euler", "midpoint"]


def uniform_times(steps: int) -> Float[Tensor, " steps_and_one"]:
    """`steps` equal steps from 0 to 1."""
    return torch.linspace(0.0, 1.0, steps + 1)


def euler(
    field: Field, x: Float[Tensor, "b t d"], times: Float[Tensor, " n"], progress: Progress | None = None
) -> Float[Tensor, "b t d"]:
    """First order, one evaluation a step (paper, eq. 5)."""
    for i, (now, after) in enumerate(pairwise(times)):
        x = x + (after - now) * field(x, now.expand(len(x)))
        _report(progress, i, times)
    return x


def midpoint(
    field: Field, x: Float[Tensor, "b t d"], times: Float[Tensor, " n"], progress: Progress | None = None
) -> Float[Tensor, "b t d"]:
    """Second order, two evaluations a step."""
    for i, (now, after) in enumerate(pairwise(times)):
        half = (now + after) / 2
        middle = x + (half - now) * field(x, now.expand(len(x)))
        x = x + (after - now) * field(middle, half.expand(len(x)))
        _report(progress, i, times)
    return x


SOLVERS: dict[SolverName, Solver] = {"euler": euler, "midpoint": midpoint}


def _report(progress: Progress | None, i: int, times: Tensor) -> None:
    if progress is not None:
        progress(i + 1, len(times) - 1)
