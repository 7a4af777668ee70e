"""The VAE of Stable Audio (Evans et al. 2024), which is trained as a GAN; by default with the settings that the paper
"Auto-Regressive vs Flow-Matching" has for 50 frames a second (appendix E.3).

A frame is a Gaussian of which `encode` takes the mean and `sample` draws; it has no tokens.  Continuous frames are shifted and
scaled by two numbers (the paper's appendix E.2), which are 0 and 1 until someone measures them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NoReturn

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from counterpoint import rng
from counterpoint.codecs.base import Codec, samples_to_decode
from counterpoint.config import Config
from counterpoint.nn.oobleck import Decoder, Encoder, decoder_field, encoder_field, gaussian
from counterpoint.pieces import Piece, around, regroup
from counterpoint.types import Spec


class VaeConfig(Config):
    """Settings of the VAE."""

    kind: Literal["vae"] = "vae"
    sample_rate: int = Field(default=32000, ge=1)
    channels: int = Field(default=1, ge=1)
    dim: int = Field(default=64, ge=1)
    """Channels of a frame."""
    strides: tuple[int, ...] = (2, 4, 4, 4, 5)
    """The encoder's, from samples to frames; the decoder has them in reverse."""
    widths: tuple[int, ...] = (128, 256, 512, 1024, 2048)
    """Channels after each of the encoder's stages, of which the first keeps those at the audio's rate."""
    compat: bool = False
    """Whether the decoder, where a stride is odd, ends a few samples early, as other implementations' does.  Weights serve
    with either; silence takes the place of what is missing."""

    @model_validator(mode="after")
    def _fits(self) -> "VaeConfig":
        if not self.strides or min(self.strides) < 1:
            raise ValueError(f"strides {self.strides} must be at least 1; name one for each stage.")
        if len(self.widths) != len(self.strides) or min(self.widths) < 1:
            raise ValueError(f"widths {self.widths} must be one for each of strides {self.strides}, and at least 1.")
        return self

    @staticmethod
    def tiny() -> "VaeConfig":
        """Small enough for tests."""
        return VaeConfig(sample_rate=8000, dim=8, strides=(2, 4, 5), widths=(4, 8, 16))

    def build(self) -> "Vae":
        return Vae(self)


class Vae(Codec):
    """See the module's docstring."""

    mean: Tensor
    std: Tensor
    margin: int
    """Frames on either side of a chunk that its samples hear of."""

    def __init__(self, config: VaeConfig):
        super().__init__()
        self.config = config
        self.sample_rate, self.channels = config.sample_rate, config.channels
        hop = math.prod(config.strides)
        self.spec = Spec(rate=config.sample_rate / hop, dim=config.dim)
        self._heard = -(-max(encoder_field(config.strides)) // hop)  # frames' worth of samples around a chunk's own
        self.margin = max(decoder_field(config.strides))
        self.encoder = Encoder(config.strides, config.widths, config.channels, 2 * config.dim)
        self.decoder = Decoder(config.strides, config.widths, config.channels, config.dim, config.compat)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def encode(self, audio: Float[Tensor, "b c n"], chunk_frames: int = 500) -> Float[Tensor, "b t d"]:
        """The most likely frames, `mode`; `chunk_frames` at a time, so that memory grows with the frames alone."""
        return self.mode(audio, chunk_frames)

    def mode(self, audio: Float[Tensor, "b c n"], chunk_frames: int = 500) -> Float[Tensor, "b t d"]:
        """The means of the frames' Gaussians."""
        return (self.posterior(audio, chunk_frames)[0] - self.mean) / self.std

    def sample(self, audio: Float[Tensor, "b c n"], seeds: Sequence[int], chunk_frames: int = 500) -> Float[Tensor, "b t d"]:
        """Draws from the frames' Gaussians, each item's by its own seed."""
        mean, deviation = self.posterior(audio, chunk_frames)
        noise = rng.randn(mean.shape[1:], rng.generators(seeds)).to(mean)
        return (mean + deviation * noise - self.mean) / self.std

    def posterior(
        self, audio: Float[Tensor, "b c n"], chunk_frames: int = 500
    ) -> tuple[Float[Tensor, "b t d"], Float[Tensor, "b t d"]]:
        """Means and deviations of the frames' Gaussians, neither shifted nor scaled."""
        pieces = regroup([self.checked(audio)], chunk_frames * self.hop, -1, audio.shape[-1])
        mean, deviation = gaussian(torch.cat(list(self._told(pieces)), dim=-1))
        return rearrange(mean, "b d t -> b t d"), rearrange(deviation, "b d t -> b t d")

    def encode_stream(
        self, parts: Iterable[Float[Tensor, "b c _"]], chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b _ d"]]:
        """See Codec; frames are certain when all that they hear has come."""
        for told in self._told(regroup(map(self.checked, parts), chunk_frames * self.hop, -1)):
            yield (rearrange(gaussian(told)[0], "b d t -> b t d") - self.mean) / self.std

    def decode(
        self, frames: Float[Tensor, "b t d"], samples: int | None = None, chunk_frames: int = 500
    ) -> Float[Tensor, "b c n"]:
        """`chunk_frames` at a time where the samples are many, so that memory grows with the frames and the audio alone."""
        samples = samples_to_decode(samples, frames.shape[1] * self.hop)
        return torch.cat(list(self.decode_stream([frames], samples, chunk_frames)), dim=-1)

    def decode_stream(
        self, parts: Iterable[Float[Tensor, "b _ d"]], samples: int | None = None, chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b c _"]]:
        """See Codec; audio is certain `margin` frames later."""
        total, made = None if samples is None else self.num_frames(samples), 0
        latents = (rearrange(part * self.std + self.mean, "b t d -> b d t") for part in parts)
        for piece in around(regroup(latents, chunk_frames, -1, total), self.margin, self.margin, -1):
            audio = self.decoder(piece.x)
            missing = piece.x.shape[-1] * self.hop - audio.shape[-1]  # none, unless `compat`
            audio = piece.own(torch.nn.functional.pad(audio, (0, missing)), -1, up=self.hop)
            yield audio if samples is None else audio[..., : samples - made]
            made += audio.shape[-1]

    def _told(self, pieces: Iterable[Piece]) -> Iterator[Float[Tensor, "b e _"]]:
        """What the encoder tells of each piece's frames."""
        reach = self._heard * self.hop  # whole frames, so that the strides fall on the same samples everywhere
        for piece in around(pieces, reach, reach, -1):
            yield piece.own(self.encoder(piece.x), -1, down=self.hop)

    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        """Raises ValueError: there are none."""
        _no_tokens()

    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """Raises ValueError: there are none."""
        _no_tokens()

    def frame_state(self) -> dict[str, Tensor]:
        return {**self.encoder.state_dict(prefix="encoder."), "mean": self.mean, "std": self.std}

    def token_state(self) -> dict[str, Tensor]:
        return {}


def _no_tokens() -> NoReturn:
    raise ValueError("A VAE has no tokens; use a codec that has them, such as spectral-tiny or an EnCodec.")
