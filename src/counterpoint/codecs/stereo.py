"""Two channels by a codec that knows one: left and right are coded apart, as in MusicGen's stereo models (Copet et al. 2023).

A frame is the left channel's beside the right one's, and levels alternate: left 1, right 1, left 2, right 2, ...
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import model_validator
from torch import Tensor

from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.config import Config


class StereoConfig(Config):
    """The codec of either channel."""

    kind: Literal["stereo"] = "stereo"
    mono: EncodecConfig = EncodecConfig()

    @model_validator(mode="after")
    def _fits(self) -> "StereoConfig":
        if self.mono.channels != 1:
            raise ValueError(f"mono.channels is {self.mono.channels}, but each channel is coded by itself; set it to 1.")
        return self

    @staticmethod
    def tiny() -> "StereoConfig":
        """Small enough for tests."""
        return StereoConfig(mono=EncodecConfig.tiny())

    def build(self) -> "Stereo":
        return Stereo(self)


class Stereo(Codec):
    """See the module's docstring."""

    def __init__(self, config: StereoConfig):
        super().__init__()
        self.config = config
        self.mono = config.mono.build()
        self.sample_rate, self.channels = self.mono.sample_rate, 2
        spec = self.mono.spec
        self.spec = replace(spec, dim=2 * spec.dim, levels=2 * spec.levels)

    def encode(self, audio: Float[Tensor, "b c n"], chunk_frames: int = 500) -> Float[Tensor, "b t d"]:
        return _side_by_side(self.mono.encode(_apart(self.checked(audio)), chunk_frames))

    def decode(
        self, frames: Float[Tensor, "b t d"], samples: int | None = None, chunk_frames: int | None = None
    ) -> Float[Tensor, "b c n"]:
        return _together(self.mono.decode(_halves(frames), samples, chunk_frames))

    def encode_stream(
        self, parts: Iterable[Float[Tensor, "b c _"]], chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b _ d"]]:
        apart = (_apart(self.checked(part)) for part in parts)
        yield from map(_side_by_side, self.mono.encode_stream(apart, chunk_frames))

    def decode_stream(
        self, parts: Iterable[Float[Tensor, "b _ d"]], samples: int | None = None, chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b c _"]]:
        yield from map(_together, self.mono.decode_stream(map(_halves, parts), samples, chunk_frames))

    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        each = None if levels is None else -(-levels // 2)
        tokens = self.mono.to_tokens(_halves(frames), each)
        return rearrange(tokens, "(b c) k t -> b (k c) t", c=2)[:, :levels]

    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """An odd number of levels leaves the right channel one short."""
        channels = [self.mono.from_tokens(tokens[:, side::2]) for side in (0, 1) if tokens.shape[1] > side]
        if len(channels) == 1:
            channels.append(torch.zeros_like(channels[0]) - self.mono.mean / self.mono.std)  # of no code at all
        return torch.cat(channels, dim=-1)

    def frame_state(self) -> dict[str, Tensor]:
        return self.mono.frame_state()

    def token_state(self) -> dict[str, Tensor]:
        return self.mono.token_state()


def _apart(audio: Float[Tensor, "b c n"]) -> Float[Tensor, "bc 1 n"]:
    return rearrange(audio, "b c n -> (b c) 1 n")


def _together(audio: Float[Tensor, "bc 1 n"]) -> Float[Tensor, "b c n"]:
    return rearrange(audio, "(b c) 1 n -> b c n", c=2)


def _halves(frames: Float[Tensor, "b t d"]) -> Float[Tensor, "bc t half"]:
    return rearrange(frames, "b t (c d) -> (b c) t d", c=2)


def _side_by_side(frames: Float[Tensor, "bc t half"]) -> Float[Tensor, "b t d"]:
    return rearrange(frames, "(b c) t d -> b t (c d)", c=2)
