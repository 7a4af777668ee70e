"""What chance scores: the same metric over pairs that do not belong together, and a figure with its floor beside it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Better, Score

Made = TypeVar("Made")
Real = TypeVar("Real")

SHUFFLES = 5


def derangement(items: int, seed: int) -> Int[ndarray, " i"]:
    """A permutation that leaves no item in its place: one cycle through all of them, each cycle as likely (Sattolo 1986).

    Raises ValueError for fewer than two items.
    """
    if items < 2:
        raise ValueError(f"A chance floor needs at least 2 pairs to shuffle, and there are {items}; give more clips.")
    generator, order = np.random.default_rng(seed), np.arange(items)
    for last in range(items - 1, 0, -1):
        other = generator.integers(last)  # never `last` itself
        order[[last, other]] = order[[other, last]]
    return order


def shuffled(
    metric: Callable[[Made, Real], float], made: Sequence[Made], real: Sequence[Real], seed: int = 0, shuffles: int = SHUFFLES
) -> float:
    """The metric's mean over pairs that do not belong together, `shuffles` times over; NaN where it is never told.

    Raises ValueError where the two do not pair up or are fewer than two.
    """
    _check(made, real)
    orders = [derangement(len(made), seed + shuffle) for shuffle in range(shuffles)]
    values = np.array([metric(ours, real[other]) for order in orders for ours, other in zip(made, order, strict=True)])
    told = values[~np.isnan(values)]
    return float(told.mean()) if len(told) else float("nan")


def paired(
    name: str,
    metric: Callable[[Made, Real], float],
    made: Sequence[Made],
    real: Sequence[Real],
    unit: str = "",
    better: Better = "higher",
    seed: int = 0,
) -> Score:
    """A metric of pairs as a figure with its interval and its measured chance floor, which one pair alone does not have."""
    _check(made, real)
    values = [metric(ours, theirs) for ours, theirs in zip(made, real, strict=True)]
    if len(made) < 2:
        score = intervals.mean(name, values, unit, better, seed=seed)
        return replace(score, notes=(*score.notes, "One pair cannot be shuffled, so that no chance floor is known."))
    return intervals.mean(name, values, unit, better, shuffled(metric, made, real, seed), seed=seed)


def _check(made: Sequence[object], real: Sequence[object]) -> None:
    if len(made) != len(real):
        raise ValueError(f"{len(made)} made clips cannot be paired with {len(real)} real ones; give one real clip for each.")
