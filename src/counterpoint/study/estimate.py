"""What a study will take, before it is made: a line for each part, and hours in all."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from counterpoint.study import cost
from counterpoint.study.material import Network
from counterpoint.study.part import Part


@dataclass(frozen=True)
class Line:
    """A part with its parameters (0 where it learns nothing), its FLOPs, and the hours of one worker."""

    name: str
    kind: str
    parameters: int
    flops: float
    hours: float


def lines(todo: Sequence[Part], flops: float) -> list[Line]:
    """What each part takes where a worker computes so many FLOP/s."""
    return [
        Line(
            part.name,
            type(part).__name__.lower(),
            part.parameters() if isinstance(part, Network) else 0,
            part.flops(),
            part.seconds(flops) / 3600,
        )
        for part in todo
    ]


def hours(todo: Sequence[Part], flops: float, workers: int) -> float:
    """Hours by so many workers; what measures time runs alone."""
    each = [(part.seconds(flops) / 3600, part.alone) for part in todo]
    return sum(taken for taken, alone in each if alone) + sum(taken for taken, alone in each if not alone) / workers


def check_budget(hours: float, budget: float | None) -> None:
    """Raises ValueError where the work takes longer than it may."""
    if budget is not None and hours > budget:
        raise ValueError(
            f"What is missing takes about {hours:.1f} hours, more than the budget of {budget:g}; name fewer exhibits or seeds, "
            "a smaller scale, or a larger --budget."
        )


def check_memory(todo: Sequence[Part], device: str, workers: int) -> None:
    """Raises ValueError where a network's training does not fit the device's memory."""
    room = _memory(device)
    for network in (part for part in todo if isinstance(part, Network)):
        found = network.settings
        config, spec = network.config, network.frames.coder.spec
        if config is None:
            continue
        needed = workers * cost.memory(config, spec, found.data.crop_seconds, found.train.batch_size)
        if needed > room:
            raise ValueError(
                f"{network.name} needs about {needed / 1e9:.0f} GB to train, and {device} has {room / 1e9:.0f}; choose a "
                "smaller scale, fewer --workers, or a larger machine."
            )


def _memory(device: str) -> float:
    """Bytes."""
    if device.startswith("cuda"):
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
