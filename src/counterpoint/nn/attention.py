"""Attention with rotary positions: scaled dot product, by torch's kernels but where they lose."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn


def rotary_angles(
    length: int, dim: int, device: torch.device, period: float = 10_000.0
) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"]]:
    """Cosines and sines of the rotation of each channel pair at each position (RoFormer, eq. 15)."""
    frequencies = period ** (-torch.arange(0, dim, 2, device=device, dtype=torch.float32) / dim)
    angles = torch.arange(length, device=device, dtype=torch.float32)[:, None] * frequencies
    return torch.cat((angles.cos(), angles.cos()), dim=-1), torch.cat((angles.sin(), angles.sin()), dim=-1)


def rotate(x: Float[Tensor, "b a t d"], cos: Float[Tensor, "t d"], sin: Float[Tensor, "t d"]) -> Float[Tensor, "b a t d"]:
    """Turn each channel pair (i, i + d/2) by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)


SHORT = 512


def attend(
    query: Float[Tensor, "b a t d"],
    key: Float[Tensor, "b a s d"],
    value: Float[Tensor, "b a s d"],
    allowed: Bool[Tensor, "b 1 t_or_1 s"] | None,
    causal: bool,
) -> Float[Tensor, "b a t d"]:
    """Softmax attention; `allowed` marks the pairs that may meet.

    On a CPU, forward and backward of the fused kernel take three times as long as the plain formula for the few hundred frames
    of a clip (benchmarks/attention.py), so short sequences are written out.
    """
    if query.device.type != "cpu" or key.shape[2] > SHORT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if causal:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return scores.softmax(-1).to(value.dtype) @ value


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
    ) -> Float[Tensor, "b t h"]:
        """`mask` marks the tokens that may be attended to: of `context`, or of `x` itself where there is none."""
        source = x if context is None else context
        query = rearrange(self.query(x), "b t (a d) -> b a t d", a=self.heads)
        key, value = rearrange(self.key_value(source), "b s (kv a d) -> kv b a s d", kv=2, a=self.heads)
        if rotary is not None:
            query, key = rotate(query, *rotary), rotate(key, *rotary)
        allowed = None if mask is None else mask[:, None, None, :]  # b 1 1 s
        if self.causal and allowed is not None:
            allowed = allowed & torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        attended = attend(query, key, value, allowed, self.causal and allowed is None)
        return self.out(rearrange(attended, "b a t d -> b t (a d)"))
