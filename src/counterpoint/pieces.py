"""Long things a piece at a time: pieces that follow each other along time, seen among as many neighbours as matter.

What is computed from such pieces is, joined, what would be computed from the whole; no end need be in sight.  All that is
remembered from piece to piece lives in the generators.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Piece:
    """Some positions of something long, with neighbours around them."""

    x: Tensor
    start: int
    """Where the piece's own positions begin within `x`."""
    stop: int
    """Where they end."""
    first: int = 0
    """Where `x` begins in the whole; told by `around`."""
    last: bool = False
    """Whether nothing follows, as far as that is known."""

    def own(self, made: Tensor, axis: int, up: int = 1, down: int = 1) -> Tensor:
        """The piece's own part of what was made of `x`, `up` positions for `down` of its positions."""
        start, stop = self.start * up // down, -(-self.stop * up // down)
        return made.narrow(axis, start, stop - start)

    @staticmethod
    def alone(x: Tensor, axis: int, last: bool) -> "Piece":
        """A piece without neighbours."""
        return Piece(x, 0, x.shape[axis], last=last)


def regroup(parts: Iterable[Tensor], size: int, axis: int, total: int | None = None) -> Iterator[Piece]:
    """Pieces of `size` positions each, the last one shorter, at places that do not depend on how the parts are cut.

    With `total`, no more positions than these are taken or asked for, and the last piece is known as such.  Raises ValueError
    where fewer come.
    """
    if size < 1:
        raise ValueError(f"Pieces of {size} frames cannot be made; take at least 1 frame at a time.")
    begun, held = 0, None
    for part in parts:
        held = part if held is None else torch.cat((held, part), dim=axis)
        while begun != total and held.shape[axis] >= (count := size if total is None else min(size, total - begun)):
            yield Piece.alone(held.narrow(axis, 0, count), axis, begun + count == total)
            held = held.narrow(axis, count, held.shape[axis] - count)
            begun += count
        if begun == total:
            return
    left = 0 if held is None else held.shape[axis]
    if total is not None:
        raise ValueError(f"{begun + left} of {total} frames came; give them all, or ask for less.")
    if held is not None and left:
        yield Piece.alone(held, axis, True)


def around(pieces: Iterable[Piece], before: int, after: int, axis: int) -> Iterator[Piece]:
    """The same positions with up to `before` earlier and `after` later ones around them.

    A piece's own positions end `after` short of what has come, so that all that they hear is there; the last one has the rest.
    """
    held, first, done, end = None, 0, 0, 0
    for piece in pieces:
        own = piece.own(piece.x, axis)
        held = own if held is None else torch.cat((held, own), dim=axis)
        end = first + held.shape[axis]
        until = end if piece.last else end - after
        if until > done:
            yield Piece(held, done - first, until - first, first, piece.last)
            done = until
            left = max(first, done - before)
            held, first = held.narrow(axis, left - first, end - left), left
    if held is not None and end > done:
        yield Piece(held, done - first, end - first, first, True)
