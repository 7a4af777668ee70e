"""Attention: scaled dot product, by torch's kernels but where they lose; what it remembers; and how it knows positions."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn


def rotary_angles(
    positions: Shaped[Tensor, "*b t"], dim: int, period: float = 10_000.0
) -> tuple[Float[Tensor, "*b t d"], Float[Tensor, "*b t d"]]:
    """Cosines and sines of the rotation of each channel pair at each position (RoFormer, eq. 15)."""
    frequencies = period ** (-torch.arange(0, dim, 2, device=positions.device, dtype=torch.float32) / dim)
    angles = positions.float()[..., None] * frequencies
    return torch.cat((angles.cos(), angles.cos()), dim=-1), torch.cat((angles.sin(), angles.sin()), dim=-1)


def sinusoids(positions: Shaped[Tensor, "*b t"], width: int, period: float = 10_000.0) -> Float[Tensor, "*b t h"]:
    """A vector for each position: cosines, then sines, of frequencies from 1 to 1 / `period`, both included.

    That is MusicGen's order and spacing; in "Attention is all you need" (section 3.5) sines alternate with cosines, and the
    lowest frequency is left out.
    """
    half = width // 2
    frequencies = period ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / (half - 1))
    angles = positions.float()[..., None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


def rotate(
    x: Float[Tensor, "b a t d"], cos: Float[Tensor, "*items t d"], sin: Float[Tensor, "*items t d"]
) -> Float[Tensor, "b a t d"]:
    """Turn each channel pair (i, i + d/2) by its position's angle; items may have positions of their own."""
    if cos.ndim == 3:
        cos, sin = cos[:, None], sin[:, None]  # the same for all heads
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)


SHORT = 512


def attend(
    query: Float[Tensor, "b a t d"],
    key: Float[Tensor, "b a s d"],
    value: Float[Tensor, "b a s d"],
    allowed: Bool[Tensor, "b_or_1 1 t_or_1 s"] | None,
    causal: bool,
) -> Float[Tensor, "b a t d"]:
    """Softmax attention; `allowed` marks the pairs that may meet.

    On a CPU, forward and backward of the fused kernel in bfloat16 take three times as long as the plain formula for the few
    hundred frames of a clip (benchmarks/attention.py), so short sequences are written out; in 32 bits the kernel wins.
    """
    if query.device.type != "cpu" or query.dtype == torch.float32 or key.shape[2] > SHORT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal)
    return written_out(query, key, value, allowed, causal)


def written_out(
    query: Float[Tensor, "b a t d"],
    key: Float[Tensor, "b a s d"],
    value: Float[Tensor, "b a s d"],
    allowed: Bool[Tensor, "b_or_1 1 t_or_1 s"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "b a t d"]:
    """The same by the plain formula."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(value.dtype) @ value


@dataclass
class KeyValues:
    """Keys and values of the positions so far, in buffers that are made once, as long as they will ever be."""

    key: Float[Tensor, "b a s d"]
    value: Float[Tensor, "b a s d"]
    length: int = 0
    """Positions that are filled."""

    @staticmethod
    def empty(batch: int, heads: int, length: int, dim: int, like: Tensor) -> "KeyValues":
        """Room for `length` positions, of the type and on the device of `like`."""
        shape = (batch, heads, length, dim)
        return KeyValues(like.new_empty(shape), like.new_empty(shape))

    def append(self, key: Tensor, value: Tensor) -> None:
        """Fill the next positions."""
        end = self.length + key.shape[2]
        self.key[:, :, self.length : end] = key
        self.value[:, :, self.length : end] = value
        self.length = end

    def filled(self) -> tuple[Tensor, Tensor]:
        """The keys and values so far, "b a length d"."""
        return self.key[:, :, : self.length], self.value[:, :, : self.length]


class Attention(nn.Module):
    """Multi-head attention of `x` to itself, or to `context` where one is given."""

    def __init__(self, width: int, heads: int, causal: bool = False) -> None:
        super().__init__()
        if width % heads or (width // heads) % 2:
            raise ValueError(f"width {width} must be an even multiple of heads {heads}.")
        self.heads = heads
        self.causal = causal
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t h"],
        context: Float[Tensor, "b s h"] | None = None,
        mask: Bool[Tensor, "b s"] | None = None,
        rotary: tuple[Tensor, Tensor] | None = None,
        past: KeyValues | None = None,
    ) -> Float[Tensor, "b t h"]:
        """`mask` marks the tokens that may be attended to: of `context`, or of `x` itself where there is none.

        With `past`, `x` follows the positions that are remembered there and joins them; a context is looked at only once.
        """
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # b a t d
        if rotary is not None:
            query = rotate(query, *rotary)
        if past is None:
            key, value = self._keys_and_values(x if context is None else context, rotary)
        else:
            if context is None or past.length == 0:
                past.append(*self._keys_and_values(x if context is None else context, rotary))
            key, value = (part.to(query.dtype) for part in past.filled())
        allowed = None if mask is None else mask[:, None, None, :]  # b 1 1 s
        causal = self.causal and x.shape[1] > 1  # the newest position alone may see all there is
        if causal and (allowed is not None or past is not None):
            before = key.shape[2] - x.shape[1]
            earlier = torch.ones(1, 1, x.shape[1], key.shape[2], dtype=torch.bool, device=x.device).tril(before)
            allowed = earlier if allowed is None else allowed & earlier
        attended = attend(query, key, value, allowed, causal and allowed is None)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _keys_and_values(self, source: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        key, value = self.key_value(source).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # b a s d each
        return (key if rotary is None else rotate(key, *rotary)), value
