"""Pieces of what is long: at the same places whatever they come from, among their neighbours, and nothing is lost."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint.pieces import around, regroup


def cut(length: int, size: int) -> list[torch.Tensor]:
    return list(torch.arange(float(length)).split(size))


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 60), part=st.integers(1, 70), size=st.integers(1, 20),
    before=st.integers(0, 15), after=st.integers(0, 15), known=st.booleans(),
)  # fmt: skip
def test_what_hears_its_neighbours_only_is_the_whole(
    length: int, part: int, size: int, before: int, after: int, known: bool
) -> None:
    """The sum of the `before` earlier and `after` later numbers, made piece by piece."""
    expected = [float(sum(range(max(0, i - before), min(length, i + after + 1)))) for i in range(length)]
    made, come = [], []
    for piece in around(regroup(cut(length, part), size, 0, length if known else None), before, after, 0):
        x = piece.x
        sums = torch.stack([x[max(0, i - before) : i + after + 1].sum() for i in range(len(x))])
        assert x[0] == piece.first and len(x) <= before + size + after + size
        come.append(int(x[-1]))
        made += piece.own(sums, 0).tolist()
    assert made == expected and all(a <= b for a, b in pairwise(come)) and piece.last == (known or after > 0 or piece.last)


def test_pieces_do_not_depend_on_how_the_parts_are_cut() -> None:
    def shapes(part: int) -> list[list[float]]:
        return [piece.x.tolist() for piece in regroup(cut(23, part), 5, 0)]

    assert shapes(1) == shapes(3) == shapes(7) == shapes(23) and [len(x) for x in shapes(1)] == [5, 5, 5, 5, 3]


def test_no_more_is_asked_for_than_is_needed() -> None:
    asked: list[int] = []

    def parts():
        for i in range(10):
            asked.append(i)
            yield torch.full((2,), float(i))

    pieces = list(regroup(parts(), 3, 0, total=7))
    assert [len(piece.x) for piece in pieces] == [3, 3, 1] and asked == [0, 1, 2, 3]
    assert [piece.last for piece in pieces] == [False, False, True]


def test_too_little_is_told() -> None:
    with pytest.raises(ValueError, match="4 of 7 frames came"):
        list(regroup(cut(4, 2), 3, 0, total=7))
    with pytest.raises(ValueError, match="at least 1 frame"):
        list(regroup(cut(4, 2), 0, 0))
