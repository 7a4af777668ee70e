"""Names of tensors in two libraries, as one table that is read in both directions."""

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
Table = Sequence[tuple[str, str]]
"""Pairs of (their name, our name); a * stands for a number, the same in both, and a ** for all that follows."""


def to_ours(tensors: Mapping[str, T], table: Table) -> dict[str, T]:
    """By our names; what the table does not know keeps its name, for the reader to complain of."""
    return _renamed(tensors, [(_pattern(theirs), ours) for theirs, ours in table])


def to_theirs(tensors: Mapping[str, T], table: Table) -> dict[str, T]:
    """By their names."""
    return _renamed(tensors, [(_pattern(ours), theirs) for theirs, ours in table])


def _renamed(tensors: Mapping[str, T], rules: Sequence[tuple[re.Pattern[str], str]]) -> dict[str, T]:
    return {_name(name, rules): tensor for name, tensor in tensors.items()}


def _name(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, other in rules:
        if found := pattern.fullmatch(name):
            return re.sub(r"\*\*?", "{}", other).format(*found.groups())
    return name


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\*\*", "(.+)").replace(r"\*", r"(\d+)"))
