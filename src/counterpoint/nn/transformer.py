"""The backbone of autoregression and flow alike: a pre-norm transformer over frames.

It is told things in three ways (types.Cond): `context` by cross-attention, `vector` and flow time by adaptive layer norm
("adaln", one shared projection and a table per block, PixArt-alpha section 2.3) or added to every token of the context
("context", as in JASCO, where nothing tells time to a network without words; here it then is a token by itself), and `frames`
by whoever embeds the input.
U-Net skips feed block i >= L/2 with the output of block L-1-i (Voicebox; the off-by-one of the paper's text is not followed);
the block in the middle of an odd L has none.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from counterpoint.config import Config
from counterpoint.nn.attention import Attention, KeyValues, rotary_angles, sinusoids
from counterpoint.types import Cond


class TransformerConfig(Config):
    """Sizes and switches of the backbone."""

    width: int = Field(default=1024, ge=2)
    depth: int = Field(default=24, ge=1)
    heads: int = Field(default=16, ge=1)
    feedforward: float = Field(default=4.0, gt=0, allow_inf_nan=False)
    """Inner width of the feed-forward layers, in widths."""
    causal: bool = False
    context: bool = True
    """Whether blocks attend to Cond.context."""
    time: Literal["adaln", "context", "none"] = "context"
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    """How blocks know where a frame stands: queries and keys are turned, or sinusoids are added to the frames (MusicGen)."""
    skips: bool = False
    local: int = Field(default=0, ge=0)
    """Taps of a depthwise convolution before each attention; 0 for none."""
    spans: bool = False
    """Whether it is also told a span of flow time that lies ahead, for average velocities (paradigms/distill.py)."""

    @model_validator(mode="after")
    def _fits(self) -> "TransformerConfig":
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be an even multiple of heads {self.heads}; change one of them.")
        if self.positions == "sinusoidal" and self.width < 4:
            raise ValueError(f'positions "sinusoidal" take a width of 4 or more, not {self.width}; raise width.')
        if self.feedforward * self.width < 1:
            raise ValueError(f"feedforward {self.feedforward:g} leaves nothing of width {self.width}; raise it.")
        if self.skips and self.depth < 2:
            raise ValueError("skips join two halves, and depth is 1; set depth to 2 or more, or skips to false.")
        if self.spans and self.time == "none":
            raise ValueError('spans are of flow time, and time is "none"; set spans to false, or time to "adaln" or "context".')
        if self.time == "context" and not self.context:
            raise ValueError('time is "context", but context is false; set time to "adaln" or "none", or context to true.')
        return self

    def build(self) -> "Transformer":
        return Transformer(self)


@dataclass
class BlockMemory:
    """What one block keeps of the past: its own keys and values, those of the context, and frames to mix with the next."""

    own: KeyValues
    told: KeyValues | None
    recent: Float[Tensor, "b h taps"] | None


@dataclass
class Memory:
    """What a causal backbone keeps between calls that each add positions to the ones before (see `Transformer.remember`)."""

    blocks: list[BlockMemory]

    @property
    def length(self) -> int:
        """Positions so far."""
        return self.blocks[0].own.length


class Transformer(nn.Module):
    """Frames in, frames out, of the same width."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        half = config.depth // 2
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.skips = nn.ModuleList(nn.Linear(2 * config.width, config.width) for _ in range(half if config.skips else 0))
        self.time = None if config.time == "none" else _time_embedding(config)
        self.ahead = TimeEmbedding(config.width) if config.spans else None
        self.modulation = nn.Linear(config.width, 6 * config.width) if config.time == "adaln" else None
        self.norm = nn.LayerNorm(config.width)
        self.apply(_init_linear)
        if self.modulation is not None:
            nn.init.zeros_(self.modulation.weight)
        if self.ahead is not None:  # silent until trained: so it begins as the network of the velocities themselves
            nn.init.zeros_(self.ahead.second.weight)

    def forward(
        self,
        x: Float[Tensor, "b t h"],
        cond: Cond,
        time: Float[Tensor, " b"] | None = None,
        mask: Bool[Tensor, "b t"] | None = None,
        memory: Memory | None = None,
        ahead: Float[Tensor, " b"] | None = None,
        positions: Int[Tensor, "_ t"] | None = None,
    ) -> Float[Tensor, "b t h"]:
        """`time` is flow time in [0, 1], `ahead` the span of it that lies ahead; `mask` marks real frames, which never look at
        the others.

        With `memory`, `x` holds the frames that follow those of the calls before, and `cond.context` is that of the first.
        `positions` (a row for each item, or one for all) say where frames stand that do not follow each other in time.
        """
        told = self._told(cond, time, ahead)
        context, context_mask = self._context(cond, told)
        modulation = None if self.modulation is None or told is None else self.modulation(F.silu(told))
        before = 0 if memory is None else memory.length
        places = torch.arange(before, before + x.shape[1], device=x.device) if positions is None else positions
        if self.config.positions == "sinusoidal":
            x, rotary = x + sinusoids(places, self.config.width).to(x.dtype), None
        else:
            rotary = rotary_angles(places, self.config.width // self.config.heads)
        stack: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            if self.config.skips and i >= self.config.depth - len(self.skips):
                x = self.skips[i - self.config.depth + len(self.skips)](torch.cat((x, stack.pop()), dim=-1))
            past = None if memory is None else memory.blocks[i]
            x = block(x, context, context_mask, modulation, mask, rotary, past)
            if self.config.skips and i < len(self.skips):
                stack.append(x)
        return self.norm(x)

    def remember(self, batch: int, length: int, context: int, dtype: torch.dtype | None = None) -> Memory:
        """An empty memory for `length` positions under a context of so many tokens; keys and values are of `dtype`, by default
        of the weights'.  Raises ValueError: not causal."""
        if not self.config.causal:
            raise ValueError("Only a causal backbone makes one frame after another; build it with causal = true.")
        heads, dim = self.config.heads, self.config.width // self.config.heads
        like = self.norm.weight if dtype is None else self.norm.weight.to(dtype)

        def block() -> BlockMemory:
            own = KeyValues.empty(batch, heads, length, dim, like)
            told = KeyValues.empty(batch, heads, context, dim, like) if self.config.context and context else None
            recent = self.norm.weight.new_zeros(batch, self.config.width, self.config.local - 1) if self.config.local else None
            return BlockMemory(own, told, recent)

        return Memory([block() for _ in self.blocks])

    def _told(self, cond: Cond, time: Tensor | None, ahead: Tensor | None) -> Float[Tensor, "b h"] | None:
        """Flow time, the span ahead and the condition vector as one vector."""
        if (ahead is None) != (self.ahead is None):
            raise ValueError("This backbone is built with spans, and none is given." if ahead is None else "It takes no spans.")
        if (time is None) != (self.time is None):
            raise ValueError("This backbone is built with time, and none is given." if time is None else "It takes no time.")
        if time is None or self.time is None:
            return cond.vector
        embedded = self.time(time)
        if ahead is not None and self.ahead is not None:
            embedded = embedded + self.ahead(ahead)
        return embedded if cond.vector is None else embedded + cond.vector

    def _context(self, cond: Cond, told: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        if not self.config.context:
            return None, None
        if self.config.time == "adaln" or told is None:
            return cond.context, cond.mask
        token = told[:, None]  # b 1 h
        return (token, None) if cond.context is None else (cond.context + token, cond.mask)


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward; each adds to the stream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, inner = config.width, int(config.feedforward * config.width)
        self.local = LocalMix(width, config.local, config.causal) if config.local else None
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, config.heads, config.causal)
        self.cross_norm = nn.LayerNorm(width) if config.context else None
        self.cross = Attention(width, config.heads) if config.context else None
        self.feedforward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, inner, bias=False)
        self.contract = nn.Linear(inner, width, bias=False)
        self.table = nn.Parameter(torch.zeros(6, width)) if config.time == "adaln" else None

    def forward(
        self,
        x: Float[Tensor, "b t h"],
        context: Float[Tensor, "b s h"] | None,
        context_mask: Bool[Tensor, "b s"] | None,
        modulation: Float[Tensor, "b six_h"] | None,
        mask: Bool[Tensor, "b t"] | None,
        rotary: tuple[Tensor, Tensor] | None,
        past: BlockMemory | None = None,
    ) -> Float[Tensor, "b t h"]:
        """`modulation` holds scale, shift and gate of the two residual branches, side by side."""
        scale1, shift1, gate1, scale2, shift2, gate2 = self._modulation(modulation)
        y = self.attention_norm(x) * (1 + scale1) + shift1
        if self.local is not None:
            y = y + self.local(y if mask is None else y * mask[..., None], past)
        x = x + (1 + gate1) * self.attention(y, mask=mask, rotary=rotary, past=past and past.own)
        if self.cross is not None and self.cross_norm is not None and context is not None:
            x = x + self.cross(self.cross_norm(x), context, context_mask, past=past and past.told)
        y = self.feedforward_norm(x) * (1 + scale2) + shift2
        return x + (1 + gate2) * self.contract(F.gelu(self.expand(y)))

    def _modulation(self, modulation: Tensor | None) -> tuple[Tensor, ...] | tuple[float, ...]:
        if self.table is None:
            return (0.0,) * 6
        table = self.table.reshape(1, 1, -1)
        return (table if modulation is None else table + modulation[:, None]).chunk(6, dim=-1)


class LocalMix(nn.Module):
    """A depthwise convolution over neighbouring frames; silent until trained."""

    def __init__(self, width: int, taps: int, causal: bool) -> None:
        super().__init__()
        self.pad = (taps - 1, 0) if causal else (taps // 2, taps - 1 - taps // 2)
        self.weight = nn.Parameter(torch.zeros(width, 1, taps))

    def forward(self, x: Float[Tensor, "b t h"], past: BlockMemory | None = None) -> Float[Tensor, "b t h"]:
        if past is None or past.recent is None:
            padded = F.pad(x.transpose(1, 2), self.pad)  # b h t
        else:
            padded = torch.cat((past.recent, x.transpose(1, 2)), dim=-1)
            past.recent = padded[..., padded.shape[-1] - self.pad[0] :]
            if x.shape[1] == 1:  # a convolution's kernel takes six times as long for one position
                return (padded * self.weight[:, 0].to(x.dtype)).sum(-1)[:, None]
        return F.conv1d(padded, self.weight.to(x.dtype), groups=x.shape[-1]).transpose(1, 2)


class TimeEmbedding(nn.Module):
    """Flow time in [0, 1] as a vector: sinusoids, then two layers."""

    def __init__(self, width: int, sinusoids: int = 128) -> None:
        super().__init__()
        # Periods from 2 pi / 1000 to about 60: fine near neighbouring steps, unique over the unit interval.
        frequencies = torch.exp(torch.linspace(math.log(1000.0), math.log(0.1), sinusoids // 2))
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.first = nn.Linear(sinusoids, width)
        self.second = nn.Linear(width, width)

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b h"]:
        angles = time[:, None].float() * self.get_buffer("frequencies")
        return self.second(F.silu(self.first(torch.cat((angles.cos(), angles.sin()), dim=-1))))


class ContextTimeEmbedding(nn.Module):
    """Flow time as JASCO embeds it for the context: 128 sinusoids, two layers of 512, and one onto the width.

    Their frequencies, from 1 to 1 / 10,000, were made for positions: over the unit interval few of them turn by much.
    """

    def __init__(self, width: int, sinusoids: int = 128, inner: int = 512, period: float = 10_000.0) -> None:
        super().__init__()
        half = sinusoids // 2
        self.register_buffer("frequencies", period ** (-torch.arange(half) / (half - 1)), persistent=False)
        self.first = nn.Linear(sinusoids, inner)
        self.second = nn.Linear(inner, inner)
        self.out = nn.Linear(inner, width)

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b h"]:
        angles = time[:, None].float() * self.get_buffer("frequencies")
        return self.out(self.second(F.silu(self.first(torch.cat((angles.sin(), angles.cos()), dim=-1)))))


def _time_embedding(config: TransformerConfig) -> TimeEmbedding | ContextTimeEmbedding:
    return ContextTimeEmbedding(config.width) if config.time == "context" else TimeEmbedding(config.width)


def _init_linear(module: nn.Module) -> None:
    """Normal weights of variance 1 / (2 fan-in): outputs of unit inputs have half their variance."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.7 * module.in_features**-0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
