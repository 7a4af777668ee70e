"""Conditional flow matching on the straight (optimal-transport) path, after Lipman et al. 2022 and the AR-vs-FM paper, 3.3.

A `field` is any callable (x "b t d", time "b") -> velocity "b t d"; neither audio nor networks are known here.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from counterpoint import rng

Field = Callable[[Float[Tensor, "b t d"], Float[Tensor, " b"]], Float[Tensor, "b t d"]]
TimeDistribution = Literal["uniform", "logit-normal"]
TimeWeight = Literal["uniform", "increasing"]


def draw_time(kind: TimeDistribution, gens: Sequence[Generator]) -> Float[Tensor, " b"]:
    """One flow time in (0, 1) per item: uniform, or the sigmoid of a standard normal (Esser et al. 2024, eq. 19)."""
    if kind == "uniform":
        return rng.rand((), gens)
    return torch.sigmoid(rng.randn((), gens))


def path(
    noise: Float[Tensor, "b t d"], data: Float[Tensor, "b t d"], time: Float[Tensor, " b"], sigma_min: float
) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b t d"]]:
    """The point at `time` between noise (0) and data (1), and the velocity there (paper, eq. 2).

    On the path the paper's velocity (y1 - (1 - s) y) / (1 - (1 - s) t) equals y1 - (1 - s) y0, which has no pole.
    """
    moment = time[:, None, None]
    point = (1 - (1 - sigma_min) * moment) * noise + moment * data
    return point, data - (1 - sigma_min) * noise


def loss_per_item(
    predicted: Float[Tensor, "b t d"],
    velocity: Float[Tensor, "b t d"],
    time: Float[Tensor, " b"],
    mask: Bool[Tensor, "b t"],
    channel_weight: Float[Tensor, " d"],
    time_weight: TimeWeight,
) -> Float[Tensor, " b"]:
    """Squared error of the velocity, averaged over masked frames and channels; weighted by 1 + t if increasing (eq. 4)."""
    error = ((predicted.float() - velocity).square() * channel_weight).mean(-1)  # b t
    per_item = (error * mask).sum(-1) / mask.sum(-1).clamp_min(1)
    return per_item * (1 + time) if time_weight == "increasing" else per_item


def precondition(field: Field, x: Float[Tensor, "b t d"], time: Float[Tensor, " b"]) -> Float[Tensor, "b t d"]:
    """A network of unit-variance input and output as a velocity field (Karras et al. 2022, section 5, for this path).

    For data and noise of unit variance, x has variance q = t^2 + (1 - t)^2, the velocity's best linear guess from x alone is
    (2t - 1) / q x, and what is left has variance 1 / q: the network fills in only that.
    """
    moment = time[:, None, None]
    variance = moment.square() + (1 - moment).square()
    return (2 * moment - 1) / variance * x + variance.rsqrt() * field(variance.rsqrt() * x, time).float()
