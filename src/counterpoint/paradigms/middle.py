"""Fill-in-the-middle for autoregression (Bavarian et al. 2022; "Auto-Regressive vs Flow-Matching", section 5.3, appendix J).

A piece with a *span* B to be made, A before it and C after it, is said in the order <a> A <c> C <b> B.  Each segment is laid
out as a piece of its own (`autoregressive`: a silent step, then delayed levels), and its silent step bears its mark.  So all
levels of A and C are said before B begins, and a segment looks as all pieces do; two more ends of delays are the price.
Steps keep the positions that they have in the piece: so B knows how far off C is, and needs no sign that it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from counterpoint import rng
from counterpoint.paradigms import autoregressive as ar

NONE = -1
"""In an order: no frame, or no mark."""
A, C, B = range(3)
"""Marks of segments, as they follow each other."""


@dataclass(frozen=True)
class Order:
    """Which frame is said where, for each item (or for all alike, where b is 1)."""

    frames: Int[Tensor, "b k s"]
    """The frame whose token stands there, or NONE."""
    ahead: Int[Tensor, "b s"]
    """The frame whose first level the next step says, or NONE."""
    marks: Int[Tensor, "b s"]
    """The segment that begins here, or NONE."""
    positions: Int[Tensor, "b s"]
    """Where the step would stand, were the piece said straight on."""

    @property
    def holds_token(self) -> Bool[Tensor, "b k s"]:
        """Where tokens stand; elsewhere is silence."""
        return self.frames != NONE

    def part(self, start: int, stop: int) -> "Order":
        """Some of the steps."""
        return Order(*(tensor[..., start:stop] for tensor in self._tensors()))

    def to(self, device: torch.device) -> "Order":
        """The same on another device."""
        return Order(*(tensor.to(device) for tensor in self._tensors()))

    def lay(self, tokens: Int[Tensor, "b k t"], special: int) -> Int[Tensor, "b k s"]:
        """Frames -> layout."""
        index = self.frames.clamp_min(0).expand(len(tokens), -1, -1)
        return tokens.gather(-1, index).masked_fill(~self.holds_token, special)

    def unlay(self, layout: Int[Tensor, "b k s"], tokens: Int[Tensor, "b k t"]) -> Int[Tensor, "b k t"]:
        """Layout -> frames; those that the order does not say are as in `tokens`."""
        length = tokens.shape[-1]
        index = torch.where(self.holds_token, self.frames, length).expand(len(tokens), -1, -1)
        return F.pad(tokens, (0, 1)).scatter(-1, index, layout)[..., :length]  # silence falls into the frame after the last

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.frames, self.ahead, self.marks, self.positions


def straight(length: int, delays: Sequence[int]) -> Order:
    """So many frames, one after another, without a mark: the layout of `autoregressive.delay`."""
    return _segment(range(length), NONE, delays)


def around(span: range, length: int, delays: Sequence[int]) -> Order:
    """What is before the span, then what is after it up to frame `length`, then the span; the first two may be empty."""
    segments = ((range(span.start), A), (range(span.stop, length), C), (span, B))
    parts = [_segment(frames, mark, delays)._tensors() for frames, mark in segments]
    return Order(*(torch.cat(tensors, dim=-1) for tensors in zip(*parts, strict=True)))


def _segment(frames: range, mark: int, delays: Sequence[int]) -> Order:
    here = torch.arange(frames.start, frames.stop)
    size = ar.steps(len(frames), delays)
    ahead = F.pad(here, (0, size - len(here)), value=NONE)
    marks = torch.full((size,), NONE).index_fill(0, torch.tensor(0), mark)
    said = ar.delay(here.expand(1, len(delays), -1), delays, NONE)
    return Order(said, ahead[None], marks[None], torch.arange(frames.start, frames.start + size)[None])


def beside(orders: Sequence[Order], size: int) -> Order:
    """Items' orders as one, each padded with silence to `size` steps."""
    padded = [[F.pad(tensor, (0, size - tensor.shape[-1]), value=NONE) for tensor in order._tensors()] for order in orders]
    return Order(*(torch.cat(tensors) for tensors in zip(*padded, strict=True)))


def longest(length: int, delays: Sequence[int]) -> int:
    """Steps of any order of so many frames."""
    return ar.steps(length, delays) + 2 * ar.steps(0, delays)


def draw_spans(lengths: Sequence[int], chance: float, gens: Sequence[Generator]) -> list[range | None]:
    """With this chance, a span of each item's frames; None: the item is said straight on.

    Spans are a twentieth to six tenths of the frames.  A fifth of them are at the start, the others anywhere but at the end,
    where there is no C, and going on needs no other order.
    """
    spans: list[range | None] = []
    for count, (hit, size, place) in zip(lengths, rng.rand((3,), gens).tolist(), strict=True):
        wanted = max(1, round((0.05 + 0.55 * size) * count))
        last = count - 1 - wanted  # the latest start that leaves one frame after the span
        start = min(last, int(max(0.0, place - 0.2) / 0.8 * (last + 1)))
        spans.append(range(start, start + wanted) if hit < chance and last >= 0 else None)
    return spans


def gaps(given: Bool[Tensor, " t"]) -> list[range]:
    """The spans of frames that are not given, from left to right."""
    edges = F.pad((~given).int().cpu(), (1, 1)).diff()  # 1 where a gap begins, -1 after its end
    starts, stops = ((edges == way).nonzero()[:, 0].tolist() for way in (1, -1))
    return [range(start, stop) for start, stop in zip(starts, stops, strict=True)]
