"""Randomness as a contract: one generator per item, drawn on the CPU.

Item i alone equals item i in a batch, on every device, because each item's numbers come from its own seed.
"""

from collections.abc import Sequence

import torch
from torch import Generator, Tensor


def generators(seeds: Sequence[int]) -> list[Generator]:
    """One CPU generator per seed."""
    return [Generator().manual_seed(seed % 2**63) for seed in seeds]


def randn(shape: Sequence[int], gens: Sequence[Generator]) -> Tensor:
    """Standard normal numbers, `b ...`: row i from generator i."""
    return torch.stack([torch.randn(tuple(shape), generator=gen) for gen in gens])


def rand(shape: Sequence[int], gens: Sequence[Generator]) -> Tensor:
    """Uniform numbers in [0, 1), `b ...`: row i from generator i."""
    return torch.stack([torch.rand(tuple(shape), generator=gen) for gen in gens])


def mix(*parts: int) -> int:
    """One seed from several numbers (splitmix64), so that neighbouring items and steps share nothing."""
    state = 0
    for part in parts:
        state = (state ^ (part & 0xFFFFFFFFFFFFFFFF)) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ state >> 27) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
