"""Zero-shot in-painting: a flow that never learnt to be given frames is led to agree with those that are.

A strategy follows a field that knows nothing of what is given ("AR-vs-FM", section 5.3).  At every step the given frames are
put where they belong at that flow time; strategies differ in how, and in what else they do for the gaps between:

    inversion    on the way back from the data into noise, which the flow itself leads (appendix J, algorithm 1)
    replacement  on the straight path from the item's own noise (Song et al. 2021, appendix I, for diffusion)
    renewal      the same, and a part of the noise is drawn anew at each step, so that early mistakes are forgotten: clean
                 estimates, with the given frames in their place, are noised again (DDNM, Wang et al. 2023, algorithm 1)
    resampling   each step is taken several times, with noise in between (RePaint, Lugmayr et al. 2022, algorithm 1)
    bridge       renewal, where moreover the gaps' clean estimates are pulled by what was found wrong of the given frames beside
                 them: guidance without a gradient, which for data of an autoregression of first order is exact

What is not given is never seen: in `Known.data` it is 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from counterpoint import rng
from counterpoint.paradigms.flow import Field
from counterpoint.paradigms.solvers import EULER, Solution, fixed
from counterpoint.types import Progress

StrategyName = Literal["inversion", "replacement", "renewal", "resampling", "bridge"]


@dataclass(frozen=True)
class Known:
    """What is given of each item, and its randomness: the noise that it starts from, and generators of more."""

    data: Float[Tensor, "b t d"]
    given: Bool[Tensor, "b t"]
    noise: Float[Tensor, "b t d"]
    gens: Sequence[Generator]
    sigma_min: float = 0.0

    def draw(self) -> Float[Tensor, "b t d"]:
        """Noise that was never drawn before."""
        return rng.randn(self.data.shape[1:], self.gens).to(self.data)

    def left(self, time: Tensor) -> Tensor:
        """The share of noise at a flow time."""
        return 1 - (1 - self.sigma_min) * time

    def noised(self, data: Tensor, noise: Tensor, time: Tensor) -> Float[Tensor, "b t d"]:
        """Where the straight path from noise to data is at a flow time (flow.path)."""
        return self.left(time) * noise + time * data

    def put(self, there: Tensor, elsewhere: Tensor) -> Float[Tensor, "b t d"]:
        """One in the given frames, the other in the gaps."""
        return torch.where(self.given[..., None], there, elsewhere)


@dataclass(frozen=True)
class How:
    """The numbers of the strategies that have some.

    `churn` is how much noise each step of renewal or bridge draws anew, as a deviation: with 0 none, so that renewal is
    replacement, with 1 as much as a step back into noise would bring (eta of DDIM, Song et al. 2021, equation 16); `repeats`
    how often resampling takes a step; `reach` over how many frames a bridge pulls.
    """

    churn: float = 1.0
    repeats: int = 2
    reach: float = 4.0


Strategy = Callable[[Field, Tensor, Tensor, Known, How, Progress | None], Solution]
"""(field, x, times, known, how, progress) -> the last point, all frames of it, and what it took; `x` and `times` are as for a
solver."""


def straightened(field: Callable[..., Tensor], known: Known) -> Callable[..., Tensor]:
    """The field, but where frames are given the velocity that leads straight from their noise to what they are.

    Further arguments, such as the end of a leap, are passed on.
    """
    straight = known.data - (1 - known.sigma_min) * known.noise

    def velocity(x: Tensor, *times: Tensor) -> Tensor:
        return known.put(straight, field(x, *times))

    return velocity


def inversion(
    field: Field, x: Tensor, times: Float[Tensor, " n"], known: Known, how: How, progress: Progress | None = None
) -> Solution:
    """Back along the flow by Euler's steps, then forth, with the given frames where they were: twice the evaluations.

    The paper inverts the whole clip, with what lies in the gaps; here that is unknown, and 0, the mean.
    """
    steps, point = len(times) - 1, known.data
    backwards: list[Tensor] = []
    for i, (after, now) in enumerate(pairwise(times.flip(0))):
        point = point - (after - now) * field(point, after.expand(len(x)))
        backwards.append(point)
        _tell(progress, i + 1, 2 * steps)
    for i, (now, after) in enumerate(pairwise(times)):
        x = known.put(backwards.pop(), x)
        x = x + (after - now) * field(x, now.expand(len(x)))
        _tell(progress, steps + i + 1, 2 * steps)
    return _solution(known, x, 2 * steps)


def replacement(
    field: Field, x: Tensor, times: Float[Tensor, " n"], known: Known, how: How, progress: Progress | None = None
) -> Solution:
    """Euler's steps; other solvers may follow the straightened field as well."""
    return _solution(known, fixed(EULER, straightened(field, known), x, times, progress).x, len(times) - 1)


def renewal(
    field: Field, x: Tensor, times: Float[Tensor, " n"], known: Known, how: How, progress: Progress | None = None
) -> Solution:
    """From each instant to the clean estimate, and from that, newly noised, to the next instant."""
    return _renewed(field, x, times, known, how.churn, lambda clean, now: clean, progress)


def bridge(
    field: Field, x: Tensor, times: Float[Tensor, " n"], known: Known, how: How, progress: Progress | None = None
) -> Solution:
    """Renewal with corrected estimates."""

    def corrected(clean: Tensor, now: Tensor) -> Tensor:
        wrong = known.put(known.data - clean, torch.zeros_like(clean))
        return clean + spread(wrong, known.given, kept(math.exp(-1 / how.reach), now, known.left(now)))

    return _renewed(field, x, times, known, how.churn, corrected, progress)


def resampling(
    field: Field, x: Tensor, times: Float[Tensor, " n"], known: Known, how: How, progress: Progress | None = None
) -> Solution:
    """Each step `repeats` times: forth by Euler's step, and back by as much noise as the path has more there.

    Of a point at time t', t / t' of it with noise of the variance that is missing is a point at t (the path is Gaussian given
    the data).  The first step, from noise alone, would only be drawn again, and is taken once.
    """
    steps = len(times) - 1
    total = evaluations("resampling", steps, how, times[0].item())
    done = 0
    for now, after in pairwise(times):
        for again in reversed(range(how.repeats if now > 0 else 1)):
            x = known.put(known.noised(known.data, known.draw(), now), x)
            x = x + (after - now) * field(x, now.expand(len(x)))
            done += 1
            _tell(progress, done, total)
            if again:
                share = now / after
                missing = known.left(now).square() - (share * known.left(after)).square()
                x = share * x + missing.clamp_min(0).sqrt() * known.draw()
    return _solution(known, x, done)


DEFAULT: StrategyName = "bridge"
STRATEGIES: dict[StrategyName, Strategy] = {
    "inversion": inversion,
    "replacement": replacement,
    "renewal": renewal,
    "resampling": resampling,
    "bridge": bridge,
}

SETTINGS: dict[StrategyName, tuple[str, ...]] = {
    "inversion": (),
    "replacement": (),
    "renewal": ("churn",),
    "resampling": ("repeats",),
    "bridge": ("churn", "reach"),
}
"""Which numbers of How each strategy has."""
NUMBERS = ("churn", "repeats", "reach")


def evaluations(strategy: StrategyName, steps: int, how: How, start: float = 0.0) -> int:
    """How often a strategy asks the field in so many steps from the flow time `start`, 0 for noise."""
    if strategy == "resampling":
        return how.repeats * steps if start > 0 else 1 + how.repeats * (steps - 1)
    return 2 * steps if strategy == "inversion" else steps


def steps_within(strategy: StrategyName, budget: int, how: How, start: float = 0.0) -> int:
    """The most steps from `start` that ask the field at most `budget` times; at least one."""
    if strategy == "resampling":
        return max(1, budget // how.repeats) if start > 0 else 1 + max(0, budget - 1) // how.repeats
    return max(1, budget // 2) if strategy == "inversion" else max(1, budget)


def spread(
    wrong: Float[Tensor, "b t d"], given: Bool[Tensor, "b t"], rate: Float[Tensor, ""] | float
) -> Float[Tensor, "b t d"]:
    """What is to be expected in the gaps of a deviation that is known in the given frames, where it is taken over as it is.

    Of a stationary autoregression of first order, of which `rate` of a frame is kept in the next, that is (Markov) a weighted
    sum of the nearest given frames before and after: with a and b frames to them, r^a (1 - r^2b) / (1 - r^2(a+b)) of the one,
    and a and b exchanged of the other.
    """
    frames = given.shape[1]
    here = torch.arange(frames, device=given.device).expand_as(given)
    before = torch.where(given, here, -1).cummax(1).values
    after = torch.where(given, here, frames).flip(1).cummin(1).values.flip(1)
    rate = torch.as_tensor(rate, dtype=wrong.dtype, device=wrong.device).clamp(0, 1 - 1e-6)
    told_before, told_after = before >= 0, after < frames
    first = torch.where(told_before, here - before, math.inf).to(wrong)  # frames to the nearest
    second = torch.where(told_after, after - here, math.inf).to(wrong)
    whole = 1 - rate ** (2 * (first + second))
    earlier = torch.where(told_before, rate**first * (1 - rate ** (2 * second)) / whole, 0.0)
    later = torch.where(told_after, rate**second * (1 - rate ** (2 * first)) / whole, 0.0)
    past, future = (_gathered(wrong, index.clamp(0, frames - 1)) for index in (before, after))
    return torch.where(given[..., None], wrong, earlier[..., None] * past + later[..., None] * future)


def _gathered(x: Float[Tensor, "b t d"], index: Tensor) -> Float[Tensor, "b t d"]:
    return x.gather(1, index[..., None].expand_as(x))


def kept(rate: float, time: Tensor, noise: Tensor) -> Float[Tensor, ""]:
    """How much of a deviation of clean estimates goes on into the next frame, where the data keep `rate`.

    At a flow time data x and noise n have been seen as t x + s n, so that estimates deviate with the precision of the data plus
    (t / s)^2: a tridiagonal matrix of one row -r, 1 + r^2 + (1 - r^2) (t / s)^2, -r, whose decaying solution is a power.
    """
    seen = (time / noise.clamp_min(1e-6)).square()
    half = (1 + rate**2 + (1 - rate**2) * seen) / (2 * rate)
    return 1 / (half + (half.square() - 1).clamp_min(0).sqrt())


def _renewed(
    field: Field,
    x: Tensor,
    times: Float[Tensor, " n"],
    known: Known,
    churn: float,
    corrected: Callable[[Tensor, Tensor], Tensor],
    progress: Progress | None,
) -> Solution:
    """Steps through clean estimates; without churn they are Euler's (the same points, by another way).

    A point (1 - (1 - s) t) n + t z with the velocity z - (1 - s) n is (1 - s) times itself plus the share of noise times the
    velocity at its end z.
    """
    steps = len(times) - 1
    for i, (now, after) in enumerate(pairwise(times)):
        x = known.put(known.noised(known.data, known.noise, now), x) if i == 0 else x
        clean = (1 - known.sigma_min) * x + known.left(now) * field(x, now.expand(len(x)))
        clean = known.put(known.data, corrected(clean, now))
        noise = (x - now * clean) / known.left(now).clamp_min(1e-6)
        if churn and after < 1:
            kept_noise = now * known.left(after) / (after * known.left(now))
            anew = churn**2 * (1 - kept_noise.square())
            noise = (1 - anew).sqrt() * noise + anew.sqrt() * known.draw()
        x = known.noised(clean, noise, after)
        _tell(progress, i + 1, steps)
    return _solution(known, x, steps)


def _solution(known: Known, x: Float[Tensor, "b t d"], asked: int) -> Solution:
    return Solution(known.put(known.data, x), torch.full((len(x),), asked))


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
