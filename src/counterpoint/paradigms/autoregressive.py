"""Autoregression over a codec's tokens, level by level with delays, after MusicGen (Copet et al. 2023, section 3.1).

A *layout* spreads k codebooks over steps: step 0 is silent (all special), level q holds frame i at step 1 + delays[q] + i, and
the rest is special.  So the levels of one frame are made one after the other, and several frames at once.  Neither audio nor
networks are known here.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from counterpoint import rng


def steps(frames: int, delays: Sequence[int]) -> int:
    """Steps of the layout of so many frames."""
    return 1 + frames + max(delays)


def delay(tokens: Int[Tensor, "b k t"], delays: Sequence[int], special: int) -> Int[Tensor, "b k s"]:
    """Frames -> layout."""
    length = tokens.shape[-1]
    layout = tokens.new_full((*tokens.shape[:2], steps(length, delays)), special)
    for level, late in enumerate(delays):
        layout[:, level, 1 + late : 1 + late + length] = tokens[:, level]
    return layout


def undelay(layout: Int[Tensor, "b k s"], delays: Sequence[int]) -> Int[Tensor, "b k t"]:
    """Layout -> frames."""
    length = layout.shape[-1] - 1 - max(delays)
    return torch.stack([layout[:, level, 1 + late : 1 + late + length] for level, late in enumerate(delays)], dim=1)


def holds_token(mask: Bool[Tensor, "b t"], delays: Sequence[int]) -> Bool[Tensor, "b k s"]:
    """Where a layout holds the tokens of the frames that `mask` marks."""
    spread = mask[:, None].expand(-1, len(delays), -1).long()
    return delay(spread, delays, special=0).bool()


def cross_entropy(
    logits: Float[Tensor, "b k s v"], layout: Int[Tensor, "b k s"], mask: Bool[Tensor, "b k s"]
) -> Float[Tensor, "b k"]:
    """Nats a token for each item and level, over the entries that `mask` marks; special entries are no targets.

    By item, so that a batch's mean does not depend on which items share it: parts of a batch average to the whole.
    """
    by_step = logits.transpose(1, 2).flatten(0, 2)  # bsk v, as the last layer lays them out: no copy
    targets = layout.masked_fill(~mask, -1).transpose(1, 2)  # b s k
    losses = F.cross_entropy(by_step.float(), targets.flatten(), ignore_index=-1, reduction="none")
    return losses.view(targets.shape).sum(1) / mask.sum(-1).clamp_min(1)


def sample(
    logits: Float[Tensor, "b k v"], gens: Sequence[Generator], temperature: float = 1.0, top_k: int = 0, top_p: float = 0.0
) -> Int[Tensor, "b k"]:
    """One token for each level, drawn independently; item i draws from generator i.  A temperature of 0 takes the likeliest.

    `top_k` keeps the k likeliest, `top_p` the likeliest that together have this share (Holtzman et al. 2019, eq. 2); 0: all.
    """
    if temperature == 0:
        return logits.argmax(-1)
    scaled = _nucleus(_likeliest(logits.float() / temperature, top_k), top_p)
    uniform = rng.rand(scaled.shape[1:], gens).clamp_min(torch.finfo(torch.float32).tiny)
    gumbel = -torch.log(-torch.log(uniform))
    return (scaled + gumbel.to(scaled)).argmax(-1)


def _likeliest(logits: Tensor, count: int) -> Tensor:
    if not 0 < count < logits.shape[-1]:
        return logits
    least = logits.topk(count, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < least, -math.inf)


def _nucleus(logits: Tensor, share: float) -> Tensor:
    """A token stays where those likelier than it have less than `share`; the likeliest always stays."""
    if not 0 < share < 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(-1)
    dropped = probabilities.cumsum(-1) - probabilities >= share
    return logits.masked_fill(torch.zeros_like(dropped).scatter(-1, order, dropped), -math.inf)
