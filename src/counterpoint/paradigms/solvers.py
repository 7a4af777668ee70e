"""Integrate a velocity field from noise (time 0) to data (time 1).

A solver takes (field, x, times, progress) and returns the last point, with the number of times that the field was asked for
each item.  `times` is a schedule: increasing instants from 0 to 1, at which steps end; the adaptive solver chooses its own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from counterpoint.paradigms.flow import Field
from counterpoint.types import Progress


@dataclass(frozen=True)
class Solution:
    """The last point, and how many evaluations of the field each item took."""

    x: Float[Tensor, "b t d"]
    evaluations: Int[Tensor, " b"]


Solver = Callable[[Field, Tensor, Tensor, Progress | None], Solution]
SolverName = Literal["euler", "midpoint", "heun", "rk4", "dopri5"]
ScheduleName = Literal["uniform", "shifted", "log-snr", "sway"]


# Schedules ------------------------------------------------------------------------------------------------------------


def uniform(steps: int) -> Float[Tensor, " steps_and_one"]:
    """`steps` equal steps from 0 to 1."""
    return torch.linspace(0.0, 1.0, steps + 1)


def shifted(steps: int, shift: float = 3.0) -> Float[Tensor, " steps_and_one"]:
    """More, smaller steps near the noise: the noise's share n becomes s n / (1 + (s - 1) n) (Esser et al. 2024, eq. 23)."""
    noise = 1 - uniform(steps)
    return 1 - shift * noise / (1 + (shift - 1) * noise)


def log_snr(steps: int, first: float = -6.0, last: float = 2.0) -> Float[Tensor, " steps_and_one"]:
    """Equal steps of the logarithm of t / (1 - t), but for the two ends, which it never reaches (as Stable Audio samples)."""
    times = torch.sigmoid(torch.linspace(first, last, steps + 1))
    times[0], times[-1] = 0.0, 1.0
    return times


def sway(steps: int, strength: float = -1.0) -> Float[Tensor, " steps_and_one"]:
    """u + s (cos(pi u / 2) - 1 + u) of equal steps u: a negative s goes slowly near the noise (F5-TTS, Chen et al. 2024)."""
    even = uniform(steps)
    return even + strength * (torch.cos(math.pi / 2 * even) - 1 + even)


SCHEDULES: dict[ScheduleName, Callable[[int], Tensor]] = {
    "uniform": uniform,
    "shifted": shifted,
    "log-snr": log_snr,
    "sway": sway,
}


# Solvers --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method (Butcher): where each stage looks, from which slopes it gets there, what they weigh."""

    nodes: Sequence[float]
    rows: Sequence[Sequence[float]]
    weights: Sequence[float]


EULER = Tableau((0.0,), ((),), (1.0,))
MIDPOINT = Tableau((0.0, 1 / 2), ((), (1 / 2,)), (0.0, 1.0))
HEUN = Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2))
RK4 = Tableau((0.0, 1 / 2, 1 / 2, 1.0), ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
DOPRI5 = Tableau(
    (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0),
)
DOPRI5_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""Weights of fifth order less those of fourth (Dormand and Prince 1980, table 2)."""


def fixed(
    tableau: Tableau,
    field: Field,
    x: Float[Tensor, "b t d"],
    times: Float[Tensor, " n"],
    progress: Progress | None = None,
) -> Solution:
    """One step of the method from each instant to the next (Euler's is eq. 5 of the AR-vs-FM paper)."""
    steps = len(times) - 1
    for i, (now, after) in enumerate(pairwise(times)):
        step = (after - now).expand(len(x))
        x = _moved(x, step, tableau.weights, _slopes(tableau, field, x, now.expand(len(x)), step))
        if progress is not None:
            progress(i + 1, steps)
    return Solution(x, torch.full((len(x),), steps * len(tableau.nodes)))


def _slopes(
    tableau: Tableau,
    field: Field,
    x: Float[Tensor, "b t d"],
    now: Float[Tensor, " b"],
    step: Float[Tensor, " b"],
    first: Tensor | None = None,
) -> list[Tensor]:
    """The field at each stage of a step of each item; `first` is what it is at the start, where that is known."""
    slopes = [field(x, now) if first is None else first]
    for node, row in zip(tableau.nodes[1:], tableau.rows[1:], strict=True):
        slopes.append(field(_moved(x, step, row, slopes), now + node * step))
    return slopes


def _moved(x: Tensor, step: Float[Tensor, " b"], weights: Sequence[float], slopes: Sequence[Tensor]) -> Tensor:
    """`x` after a step along the weighted slopes; a weight of nothing spares the sum."""
    along = [weight * slope for weight, slope in zip(weights, slopes, strict=False) if weight]
    return x + step[:, None, None] * sum(along[1:], along[0])


ATTEMPTS = 500
"""Steps, with those taken back, after which the adaptive solver gives up."""


def dopri5(
    field: Field,
    x: Float[Tensor, "b t d"],
    times: Float[Tensor, " n"],
    progress: Progress | None = None,
    tolerance: float = 1e-3,
) -> Solution:
    """Fifth order, with steps that each item takes as long as its own error allows (Dormand and Prince 1980).

    Of `times` only the ends count.  `tolerance` is both absolute and relative, on the root mean square over an item: unlike
    in solvers with one norm for the whole batch, an item's steps do not depend on its neighbours.  An item that has arrived
    waits, and counts no more evaluations.  Raises ValueError where it gets nowhere.
    """
    now, end = times[0].expand(len(x)), times[-1]
    step = (end - now) * min(1.0, tolerance**0.2)  # the first try; the error of a step grows with its fifth power
    slope = field(x, now)
    if not bool(slope.isfinite().all()):
        raise ValueError("The velocities are no numbers where the way begins; lower the guidance, or check the checkpoint.")
    evaluations = torch.ones(len(x), dtype=torch.long)
    for _ in range(ATTEMPTS):
        going = now < end
        step = torch.minimum(step, end - now)  # of nothing, where an item has arrived
        slopes = _slopes(DOPRI5, field, x, now, step, slope)
        evaluations += 6 * going.cpu()
        made = _moved(x, step, DOPRI5.weights, slopes)
        error = _error(x, made, step, slopes, tolerance)
        taken = going & (error <= 1)
        x = torch.where(taken[:, None, None], made, x)
        slope = torch.where(taken[:, None, None], slopes[-1], slope)  # the last stage is the next step's first
        # A step that ends where the schedule does ends there exactly.
        now = torch.where(taken, torch.where(step >= end - now, end, now + step), now)
        step = step * torch.where(error.isfinite(), (0.9 * error.clamp_min(1e-10) ** -0.2).clamp(0.2, 10.0), 0.2)
        if progress is not None:
            progress(round(100 * ((now - times[0]) / (end - times[0])).min().item()), 100)
        if bool((now >= end).all()):
            return Solution(x, evaluations)
    raise ValueError(f"dopri5 did not arrive within {ATTEMPTS} steps; raise its tolerance, or take a solver of fixed steps.")


def _error(x: Tensor, made: Tensor, step: Tensor, slopes: Sequence[Tensor], tolerance: float) -> Float[Tensor, " b"]:
    """The estimated error of a step in units of what is allowed; infinite where numbers are no numbers any more."""
    error = _moved(torch.zeros_like(x), step, DOPRI5_ERROR, slopes)
    allowed = tolerance * (1 + torch.maximum(x.abs(), made.abs()))
    return (error / allowed).square().flatten(1).mean(1).sqrt().nan_to_num(nan=math.inf)


SOLVERS: dict[SolverName, Solver] = {
    "euler": partial(fixed, EULER),
    "midpoint": partial(fixed, MIDPOINT),
    "heun": partial(fixed, HEUN),
    "rk4": partial(fixed, RK4),
    "dopri5": dopri5,
}


Leap = Callable[[Float[Tensor, "b t d"], Float[Tensor, " b"], Float[Tensor, " b"]], Float[Tensor, "b t d"]]
"""An average velocity: (x "b t d", time "b", until "b") -> what moves x from the one time to the other, "b t d"."""


def leaps(leap: Leap, x: Float[Tensor, "b t d"], times: Float[Tensor, " n"], progress: Progress | None = None) -> Solution:
    """From each instant to the next by the average velocity in between, of which a distilled network has learnt."""
    steps = len(times) - 1
    for i, (now, after) in enumerate(pairwise(times)):
        x = x + (after - now) * leap(x, now.expand(len(x)), after.expand(len(x)))
        if progress is not None:
            progress(i + 1, steps)
    return Solution(x, torch.full((len(x),), steps))
