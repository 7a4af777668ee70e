"""Few steps: a network u(x, t, r) that knows the average velocity from flow time t to r, taught by a network of velocities.

Where the velocity v of a flow is known, u obeys (r - t) u(x, t, r) = integral of v from t to r along the path through x.  Each
target below says what u should be at a point, from what the student says now and from the teacher's (guided) velocities; none
of them needs more data than the teacher had.  With r = t all agree: u is the velocity.

    jvp       MeanFlow's identity, by forward-mode differentiation: u = v + (r - t) du/dt (Geng et al. 2025, eq. 6; there time
              runs the other way)
    fd        the same, du/dt by a central difference, which any kernel and a compiled network can do; in 32 bits, as a
              difference of 16-bit numbers is mostly their rounding
    shortcut  two half leaps of the student's own (Frans et al. 2024, eq. 4)
    teacher   two steps of the teacher's, by the midpoint rule (progressive distillation, Salimans and Ho 2022, section 3)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from counterpoint import rng
from counterpoint.paradigms.flow import Field
from counterpoint.paradigms.solvers import Leap

TargetName = Literal["jvp", "fd", "shortcut", "teacher"]
Target = Callable[[Leap, Field, Tensor, Tensor, Tensor], Tensor]
"""(student, teacher, x "b t d", time "b", until "b") -> the average velocity to learn, "b t d"."""


def draw_span(
    gens: Sequence[Generator], longest: float = 1.0, halvings: int = 4, instants: float = 0.25
) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
    """Begin and end of one span of flow time per item: `longest`, or that halved up to `halvings` times, anywhere in [0, 1].

    A share of `instants` ends where it begins.
    """
    draws = rng.rand((3,), gens)
    which, where, instant = draws[:, 0], draws[:, 1], draws[:, 2]
    length = longest * 0.5 ** torch.floor(which * (halvings + 1))
    length = torch.where(instant < instants, 0.0, length)
    time = where * (1 - length)
    return time, time + length


def mean_flow(student: Leap, teacher: Field, x: Tensor, time: Tensor, until: Tensor) -> Float[Tensor, "b t d"]:
    """See `jvp` above."""
    velocity = teacher(x, time)
    tangents = (velocity, torch.ones_like(time), torch.zeros_like(until))
    change = torch.func.jvp(student, (x, time, until), tangents)[1]
    return velocity + (until - time)[:, None, None] * change


def mean_flow_by_differences(
    student: Leap, teacher: Field, x: Tensor, time: Tensor, until: Tensor, width: float = 0.005
) -> Float[Tensor, "b t d"]:
    """See `fd` above; `width` is how far in flow time the difference looks to either side."""
    velocity = teacher(x, time)
    with torch.autocast(x.device.type, enabled=False):
        later = student(x + width * velocity, time + width, until)
        earlier = student(x - width * velocity, time - width, until)
    return velocity + (until - time)[:, None, None] * (later - earlier) / (2 * width)


def shortcut(student: Leap, teacher: Field, x: Tensor, time: Tensor, until: Tensor) -> Float[Tensor, "b t d"]:
    """See `shortcut` above."""
    middle = (time + until) / 2
    first = student(x, time, middle)
    second = student(x + (middle - time)[:, None, None] * first, middle, until)
    instant = (until == time)[:, None, None]
    return torch.where(instant, teacher(x, time), (first + second) / 2)


def progressive(
    student: Leap, teacher: Field, x: Tensor, time: Tensor, until: Tensor, steps: int = 2
) -> Float[Tensor, "b t d"]:
    """See `teacher` above."""
    step = (until - time) / steps
    total, point = torch.zeros_like(x), x
    for i in range(steps):
        now = time + i * step
        half = point + (step / 2)[:, None, None] * teacher(point, now)
        velocity = teacher(half, now + step / 2)
        total, point = total + velocity / steps, point + step[:, None, None] * velocity
    return total


TARGETS: dict[TargetName, Target] = {
    "jvp": mean_flow,
    "fd": mean_flow_by_differences,
    "shortcut": shortcut,
    "teacher": partial(progressive, steps=2),
}


def adaptive(error: Float[Tensor, " b"], power: float, floor: float = 1e-3) -> Float[Tensor, " b"]:
    """Squared errors by item, each divided by (itself + floor) to the power, through which no gradient goes (MeanFlow, 4.3)."""
    return error / (error.detach() + floor) ** power
