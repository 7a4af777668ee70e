"""Who hears what when: Latin squares over conditions and items, in an order of the seed's.

With items in a row i = 0, 1, ..., order k and round r present item i in condition (i + r + k) mod C.  Over the C orders of a
block every item is met in every condition at every position equally often; over `rounds` rounds a rater meets every item in
that many conditions.  Where there are more items than a rater should hear, blocks of neighbouring items, wrapping around, take
turns: every item is in equally many blocks.
"""

import math
from dataclasses import dataclass

import numpy as np

from counterpoint.listening.study import Role


@dataclass(frozen=True)
class Cell:
    """An item in a condition."""

    item: int
    condition: int


def blocks(items: int, size: int) -> list[list[int]]:
    """Items that one rater hears: each item in equally many blocks."""
    count = items // math.gcd(items, size)
    return [[(block * size + i) % items for i in range(size)] for block in range(count)]


def orders(items: int, conditions: int, rounds: int, size: int, seed: int) -> list[list[Cell]]:
    """Every rater's cells in the order of hearing; raters take the orders in turn, blocks changing fastest.

    The item order within a round is shuffled, the same for all k, which keeps the square balanced.
    """
    parts = []
    for number, block in enumerate(blocks(items, size)):
        shuffled = _item_orders(block, rounds, np.random.default_rng((seed, number)))
        parts.append([_one(shuffled, conditions, k) for k in range(conditions)])
    return [part[k] for k in range(conditions) for part in parts]


def _item_orders(block: list[int], rounds: int, generator: np.random.Generator) -> list[list[int]]:
    """One order of the items a round; no item ends one and begins the next."""
    result: list[list[int]] = []
    for _ in range(rounds):
        row = [block[i] for i in generator.permutation(len(block))]
        if result and len(row) > 1 and result[-1][-1] == row[0]:
            row[0], row[1] = row[1], row[0]
        result.append(row)
    return result


def _one(rows: list[list[int]], conditions: int, k: int) -> list[Cell]:
    return [Cell(item, (item + r + k) % conditions) for r, row in enumerate(rows) for item in row]


def insert_checks(length: int, repeats: int, attention: int, generator: np.random.Generator) -> list[tuple[Role, int]]:
    """A session of `length` cells with its checks put in: ("test", i), ("repeat", i) or ("attention", i).

    A repeat is of a cell in the first third and comes in the last third; attention is asked in the middle third.
    """
    session: list[tuple[Role, int]] = [("test", i) for i in range(length)]
    third = max(1, length // 3)
    for i in generator.choice(third, size=min(repeats, third), replace=False):
        session.insert(int(generator.integers(length - third + 1, length + 1)), ("repeat", int(i)))
    for _ in range(attention):
        place = int(generator.integers(third, max(third + 1, length - third + 1)))
        session.insert(place, ("attention", int(generator.integers(length))))
    return session
