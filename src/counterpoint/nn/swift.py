"""The step of a causal transformer, one position after another: on a CPU by `step.cpp`, on a GPU by torch's compiler.

The mathematics is that of `nn/transformer.py`, for one new position; what differs is only where numbers are kept.  For torch's
compiler, weights and what is remembered are arguments of `step`, so that it compiles one block, not a stack of them; the
remembered length may be any, and nothing is written inside.
"""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from counterpoint.nn import native
from counterpoint.nn.attention import rotary_angles, rotate, sinusoids
from counterpoint.nn.compact import COMPILING, FEW, Compact, Matrix, Precision, multiply
from counterpoint.nn.native import Packed
from counterpoint.nn.transformer import Block, BlockMemory, Memory, Transformer
from counterpoint.types import Cond

Norm = tuple[Tensor, Tensor]
Way = Literal["plain", "native", "torch"]
"""Who takes a step: the transformer itself, step.cpp, or torch's compiler."""


class Weights(NamedTuple):
    """Those of one block, in the order in which they are used."""

    skip: Matrix | Packed | None
    skip_bias: Tensor | None
    local: Tensor | None
    attention_norm: Norm
    query: Matrix | Packed
    key_value: Matrix | Packed
    out: Matrix | Packed
    cross_norm: Norm | None
    cross_query: Matrix | Packed | None
    cross_out: Matrix | Packed | None
    feedforward_norm: Norm
    expand: Matrix | Packed
    contract: Matrix | Packed


class Past(NamedTuple):
    """What one block looks back at: its own keys and values, those of the context, and inputs to mix with the next."""

    key: Float[Tensor, "r a s d"]
    value: Float[Tensor, "r a s d"]
    seen: Bool[Tensor, " s"]
    """Which of the positions are filled."""
    told_key: Float[Tensor, "r a c d"] | None
    told_value: Float[Tensor, "r a c d"] | None
    told_mask: Bool[Tensor, "r c"] | None
    recent: Float[Tensor, "r h taps"] | None


def step(
    x: Float[Tensor, "r h"], weights: Weights, past: Past, rotary: tuple[Tensor, Tensor] | None, heads: int
) -> tuple[Float[Tensor, "r h"], Tensor, Tensor, Tensor | None]:
    """One block for one position: what goes on, its key and value "r a d", and the inputs to mix with the next."""
    y, recent = _norm(x, weights.attention_norm), None
    if weights.local is not None and past.recent is not None:
        taps = torch.cat((past.recent, y[..., None]), dim=-1)  # r h taps
        y, recent = y + (taps * weights.local[:, 0]).sum(-1), taps[..., 1:]
    query = multiply(y, weights.query).unflatten(-1, (heads, -1))  # r a d
    key, value = multiply(y, weights.key_value).unflatten(-1, (2, heads, -1)).unbind(1)
    if rotary is not None:
        query, key = rotate(query[:, :, None], *rotary)[:, :, 0], rotate(key[:, :, None], *rotary)[:, :, 0]
    x = x + multiply(_look(query, past.key, past.value, past.seen[None], (key, value)).flatten(1), weights.out)
    if weights.cross_norm is not None and weights.cross_query is not None and weights.cross_out is not None:
        assert past.told_key is not None and past.told_value is not None
        query = multiply(_norm(x, weights.cross_norm), weights.cross_query).unflatten(-1, (heads, -1))
        x = x + multiply(_look(query, past.told_key, past.told_value, past.told_mask).flatten(1), weights.cross_out)
    y = F.gelu(multiply(_norm(x, weights.feedforward_norm), weights.expand))
    return x + multiply(y, weights.contract), key, value, recent


def _look(
    query: Float[Tensor, "r a d"],
    key: Float[Tensor, "r a s d"],
    value: Float[Tensor, "r a s d"],
    mask: Bool[Tensor, "r_or_1 s"] | None,
    own: tuple[Tensor, Tensor] | None = None,
) -> Float[Tensor, "r a d"]:
    """Attention of one position to what is remembered and, with `own`, to its own key and value."""
    query = query * query.shape[-1] ** -0.5
    scores = (query[:, :, None] * key.float()).sum(-1)  # r a s
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], torch.finfo(scores.dtype).min)
    if own is None:
        return (scores.softmax(-1)[..., None] * value.float()).sum(2)
    shares = torch.cat((scores, (query * own[0]).sum(-1, keepdim=True)), dim=-1).softmax(-1)
    return (shares[..., :-1, None] * value.float()).sum(2) + shares[..., -1:] * own[1]


def _norm(x: Tensor, norm: Norm) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], *norm)


class Swift(nn.Module):
    """A causal transformer whose matrices have few bits; called as the transformer is, whose numbers it gives but for rounding.

    A new position goes through `native` or, for a few items, through `step` as torch compiles it; anything else through the
    transformer itself.
    """

    def __init__(self, plain: Transformer, precision: Precision, way: Way = "plain") -> None:
        """Takes `plain` over: its linear layers are replaced."""
        super().__init__()
        self.plain, self.config, self.way = plain, plain.config, way
        self.remembered = torch.float32 if precision == "fp32" else torch.bfloat16
        shrink(plain, precision, way == "native")
        self._step = torch.compile(step, options=COMPILING) if way == "torch" else step
        self._weights: list[Weights] = []
        self._lie: Any = None  # where they lie, for `native`
        self._begun = False

    def __getstate__(self) -> dict[str, Any]:
        """Addresses are no copy's."""
        return {**super().__getstate__(), "_weights": [], "_lie": None}

    def remember(self, batch: int, length: int, context: int) -> Memory:
        """See Transformer; keys and values take 16 bits where the weights take no more."""
        return self.plain.remember(batch, length, context, self.remembered)

    def forward(
        self,
        x: Float[Tensor, "b t h"],
        cond: Cond,
        time: Float[Tensor, " b"] | None = None,
        mask: Bool[Tensor, "b t"] | None = None,
        memory: Memory | None = None,
        ahead: Float[Tensor, " b"] | None = None,
        positions: Tensor | None = None,
    ) -> Float[Tensor, "b t h"]:
        """See Transformer."""
        if memory is None or not self._takes(x, cond, memory):
            self._begun = False
            return self.plain(x, cond, time, mask, memory, ahead, positions)
        places = torch.full((1,), memory.length, device=x.device) if positions is None else positions[:, -1]
        x, rotary = x[:, 0], None
        if self.config.positions == "sinusoidal":
            x = x + sinusoids(places, self.config.width)
        else:
            rotary = rotary_angles(places[:, None], self.config.width // self.config.heads)
        self._weights = self._weights or _weights(self.plain)
        walk = self._natively if self.way == "native" else self._block_by_block
        return self.plain.norm(walk(x, cond, memory, rotary))[:, None]

    def _takes(self, x: Tensor, cond: Cond, memory: Memory) -> bool:
        """Whether this is one position after others, and as many items as the way is for."""
        if self.way == "plain" or x.shape[1] > 1 or cond.vector is not None or (self.config.skips and self.way == "torch"):
            return False
        if self.config.context and cond.context is not None and memory.blocks[0].told is None:
            return False
        if self.way == "native":
            return memory.length > 0
        return memory.length > 1 and len(x) <= FEW  # torch makes no size of 0 or 1 one that grows

    def _natively(self, x: Tensor, cond: Cond, memory: Memory, rotary: tuple[Tensor, Tensor] | None) -> Float[Tensor, "b h"]:
        x, dim = x.float().clone(memory_format=torch.contiguous_format), self.config.width // self.config.heads
        angles = None if rotary is None else [part[:, 0].expand(len(x), dim).contiguous() for part in rotary]
        self._lie = self._lie or native.blocks(self._weights)
        native.step(x, self._lie, memory, self.config.heads, cond.mask, angles)
        return x

    def _block_by_block(
        self, x: Tensor, cond: Cond, memory: Memory, rotary: tuple[Tensor, Tensor] | None
    ) -> Float[Tensor, "b h"]:
        seen = _seen(memory.length, memory.blocks[0].own.key)
        for weights, block in zip(self._weights, memory.blocks, strict=True):
            past = _past(block, cond, seen)
            if not self._begun:
                _may_grow(past)
                self._begun = True
            x, key, value, block.recent = self._step(x, weights, past, rotary, self.config.heads)
            block.own.append(key[:, :, None], value[:, :, None])
        return x


def _seen(length: int, key: Tensor) -> Bool[Tensor, " s"]:
    """Which positions are filled: on a CPU no others are looked at; on a GPU all are, so that no size changes."""
    reach = length if key.device.type == "cpu" else key.shape[2]
    return torch.arange(reach, device=key.device) < length


def _past(block: BlockMemory, cond: Cond, seen: Tensor) -> Past:
    key, value = (part[:, :, : len(seen)] for part in (block.own.key, block.own.value))
    told = (None, None) if block.told is None else block.told.filled()
    return Past(key, value, seen, *told, cond.mask, block.recent)


def _may_grow(past: Past) -> None:
    """Have what is compiled first hold for any length of the past and of the context."""
    for tensor, axis in ((past.key, 2), (past.value, 2), (past.seen, 0)):
        torch._dynamo.mark_dynamic(tensor, axis)
    for tensor, axis in ((past.told_key, 2), (past.told_value, 2), (past.told_mask, 1)):
        if tensor is not None and tensor.shape[axis] > 1:
            torch._dynamo.mark_dynamic(tensor, axis)


def _weights(plain: Transformer) -> list[Weights]:
    skips = [None] * (len(plain.blocks) - len(plain.skips)) + list(plain.skips)
    return [_of_block(block, skip) for block, skip in zip(plain.blocks, skips, strict=True)]


def _of_block(block: nn.Module, skip: nn.Module | None) -> Weights:
    assert isinstance(block, Block)
    own, cross = block.attention, block.cross
    return Weights(
        None if skip is None else _matrix(skip),
        None if not isinstance(skip, Compact) or skip.bias is None else skip.bias.detach(),
        None if block.local is None else block.local.weight.detach(),
        _of(block.attention_norm),
        _matrix(own.query),
        _matrix(own.key_value),
        _matrix(own.out),
        None if block.cross_norm is None else _of(block.cross_norm),
        None if cross is None else _matrix(cross.query),
        None if cross is None else _matrix(cross.out),
        _of(block.feedforward_norm),
        _matrix(block.expand),
        _matrix(block.contract),
    )


def _of(norm: nn.LayerNorm) -> Norm:
    return norm.weight.detach(), norm.bias.detach()


def _matrix(layer: nn.Module) -> Matrix | Packed:
    assert isinstance(layer, Compact)
    return layer.matrix


def shrink(module: nn.Module, precision: Precision, natively: bool = False) -> None:
    """Replace every linear layer without adaptive biases in the blocks below by one of few bits, one after the other."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Linear):
            setattr(module, name, Compact(child, precision, natively))
        else:
            shrink(child, precision, natively)
