"""EnCodec (Defossez et al. 2022): SEANet, a residual quantiser between its halves; in MusicGen's 32 kHz variant by default.

Continuous frames are the encoder's output before the quantiser, shifted and scaled by two numbers (paper "Auto-Regressive vs
Flow-Matching", section 4 and appendix E.2), which are 0 and 1 until someone measures them.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from counterpoint.codecs.base import Codec, samples_to_decode
from counterpoint.config import Config
from counterpoint.nn.quantize import ResidualQuantizer
from counterpoint.nn.seanet import Decoder, Encoder, Pad, State, Units
from counterpoint.pieces import Piece, around, regroup
from counterpoint.types import Spec


class EncodecConfig(Config):
    """Settings of EnCodec; the defaults are those of the 32 kHz music codec at 50 frames a second."""

    kind: Literal["encodec"] = "encodec"
    sample_rate: int = Field(default=32000, ge=1)
    channels: int = Field(default=1, ge=1)
    dim: int = Field(default=128, ge=1)
    """Channels of a frame."""
    filters: int = Field(default=64, ge=1)
    """Channels at the audio's rate; each stride doubles them."""
    ratios: tuple[int, ...] = (8, 5, 4, 4)
    """The decoder's strides, from frames to samples; the encoder has them in reverse."""
    kernel: int = Field(default=7, ge=1)
    last_kernel: int = Field(default=7, ge=1)
    residual_kernel: int = Field(default=3, ge=1)
    residuals: int = Field(default=1, ge=0)
    dilation: int = Field(default=2, ge=1)
    compress: int = Field(default=2, ge=1)
    shortcut: bool = False
    """Whether residual units have a 1 x 1 convolution beside them."""
    lstm: int = Field(default=2, ge=0)
    causal: bool = False
    pad: Pad = "constant"
    levels: int = Field(default=4, ge=1)
    bins: int = Field(default=2048, ge=2)

    @model_validator(mode="after")
    def _fits(self) -> "EncodecConfig":
        if not self.ratios or min(self.ratios) < 1:
            raise ValueError(f"ratios {self.ratios} must be strides of at least 1; name one for each stage.")
        if self.sample_rate % math.prod(self.ratios):
            raise ValueError(
                f"a second of {self.sample_rate} samples is no whole number of frames of {math.prod(self.ratios)}."
            )
        if self.filters % self.compress:
            raise ValueError(f"filters {self.filters} must be a multiple of compress {self.compress}.")
        return self

    @staticmethod
    def tiny() -> "EncodecConfig":
        """Small enough for tests."""
        return EncodecConfig(sample_rate=8000, dim=8, filters=4, ratios=(5, 4, 2), lstm=1, levels=3, bins=16)

    def build(self) -> "Encodec":
        return Encodec(self)


class Encodec(Codec):
    """See the module's docstring."""

    mean: Tensor
    std: Tensor
    margin: int
    """Frames on either side of a chunk that its samples hear of."""

    def __init__(self, config: EncodecConfig):
        super().__init__()
        self.config = config
        self.sample_rate, self.channels = config.sample_rate, config.channels
        rate = config.sample_rate / math.prod(config.ratios)
        self.spec = Spec(rate=rate, dim=config.dim, levels=config.levels, bins=config.bins)
        units = Units(**{field.name: getattr(config, field.name) for field in fields(Units)})
        self.margin = -(-units.reach(config.ratios) // math.prod(config.ratios))
        sizes = (config.ratios, config.channels, config.dim, config.filters)
        self.encoder, self.decoder = Encoder(*sizes, units), Decoder(*sizes, units)
        self.quantizer = ResidualQuantizer(config.levels, config.bins, config.dim)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def encode(self, audio: Float[Tensor, "b c n"], chunk_frames: int = 500) -> Float[Tensor, "b t d"]:
        """`chunk_frames` at a time where the samples are many, so that memory grows with the frames alone."""
        pieces = regroup([self.checked(audio)], chunk_frames * self.hop, -1, audio.shape[-1])
        return torch.cat(list(self._encode(pieces)), dim=1)

    def encode_stream(
        self, parts: Iterable[Float[Tensor, "b c _"]], chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b _ d"]]:
        """See Codec; a causal codec's frames are certain at once, others `margin` and the last layer's `reach` later."""
        yield from self._encode(regroup(map(self.checked, parts), chunk_frames * self.hop, -1))

    def decode(
        self, frames: Float[Tensor, "b t d"], samples: int | None = None, chunk_frames: int | None = None
    ) -> Float[Tensor, "b c n"]:
        """`chunk_frames` at a time where the samples are many, so that memory grows with the frames and the audio alone; on a
        CPU few, so that what one layer makes is still in its caches for the next."""
        samples = samples_to_decode(samples, frames.shape[1] * self.hop)
        if chunk_frames is None:
            chunk_frames = 100 if frames.device.type == "cpu" else 500
        return torch.cat(list(self.decode_stream([frames], samples, chunk_frames)), dim=-1)

    def decode_stream(
        self, parts: Iterable[Float[Tensor, "b _ d"]], samples: int | None = None, chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b c _"]]:
        """See Codec; a causal codec's audio is certain at once, others' `margin` and the first layer's `reach` later."""
        total = None if samples is None else self.num_frames(samples)
        latents = (rearrange(part * self.std + self.mean, "b t d -> b d t") for part in parts)
        layers, made = self.decoder, 0
        first = self._each(layers.first, regroup(latents, chunk_frames, -1, total), layers.reach)
        for piece in self._each(layers.near, _remembered(layers.remember, first), self.margin, up=self.hop):
            yield piece.x if samples is None else piece.x[..., : samples - made]
            made += piece.x.shape[-1]

    def _encode(self, pieces: Iterable[Piece]) -> Iterator[Float[Tensor, "b _ d"]]:
        layers = self.encoder
        near = self._each(layers.near, pieces, self.margin * self.hop, down=self.hop)
        for piece in self._each(layers.last, _remembered(layers.remember, near), layers.reach):
            yield (rearrange(piece.x, "b d t -> b t d") - self.mean) / self.std

    def _each(
        self, layer: Callable[[Tensor], Tensor], pieces: Iterable[Piece], reach: int, up: int = 1, down: int = 1
    ) -> Iterator[Piece]:
        """What a layer that hears `reach` positions on either side, or if causal before, makes of each piece."""
        for piece in around(pieces, reach, 0 if self.config.causal else reach, -1):
            yield Piece.alone(piece.own(layer(piece.x), -1, up, down), -1, piece.last)

    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        return self.quantizer.encode(frames * self.std + self.mean, levels)

    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        return (self.quantizer.decode(tokens) - self.mean) / self.std

    def frame_state(self) -> dict[str, Tensor]:
        return {**self.encoder.state_dict(prefix="encoder."), "mean": self.mean, "std": self.std}

    def token_state(self) -> dict[str, Tensor]:
        return self.quantizer.state_dict()


def _remembered(
    layer: Callable[[Tensor, State | None], tuple[Tensor, State | None]], pieces: Iterable[Piece]
) -> Iterator[Piece]:
    """What a recurrence makes of each piece, from the state in which the one before has left it."""
    state = None
    for piece in pieces:
        x, state = layer(piece.x, state)
        yield Piece.alone(x, -1, piece.last)
