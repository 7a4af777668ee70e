"""The codec that ships: compressed magnitude spectra, principal components, small residual networks, Griffin-Lim.

Audio -> |STFT| -> perceptual bands -> power-law compression -> `stack` spectra side by side -> principal components.
The first `dim` components are the continuous frames.  A network predicts what was dropped from what was kept, with the
frames around it; it starts at zero, so that `fit_closed_form` gives a codec without training.  The encoder is linear and
never trains: frames cached once stay valid however long the decoder learns.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Generator, Tensor

from counterpoint.codecs.base import Codec, samples_to_decode
from counterpoint.config import Config
from counterpoint.nn.conv import ConvNeXt
from counterpoint.nn.griffin_lim import griffin_lim, propagated_phase, reach
from counterpoint.nn.quantize import ResidualQuantizer
from counterpoint.nn.spectral import hertz_to_mel, stft, triangles, warped_centres
from counterpoint.pieces import Piece, around, regroup
from counterpoint.types import Spec

_KMEANS_FRAMES = 60_000  # that the codebooks start from
_KERNEL = 7  # frames that a block of the decoder mixes


class SpectralConfig(Config):
    """Settings of the spectral codec; the defaults are those of `spectral-tiny`."""

    kind: Literal["spectral"] = "spectral"
    sample_rate: int = Field(default=32000, ge=1)
    size: int = Field(default=2048, ge=4)
    """Samples in an STFT window."""
    hop: int = Field(default=320, ge=1)
    """Samples between STFT frames."""
    stack: int = Field(default=4, ge=1)
    """STFT frames in a codec frame."""
    dim: int = Field(default=128, ge=1)
    """Channels of a codec frame: principal components kept."""
    wide: int = Field(default=384, ge=1)
    """Principal components that the decoder predicts."""
    levels: int = Field(default=8, ge=1)
    bins: int = Field(default=1024, ge=2)
    linear_below: float = Field(default=2000.0, gt=0, allow_inf_nan=False)
    """Hz under which every STFT bin is kept; above, bands widen with frequency."""
    power: float = Field(default=0.2, gt=0, le=2)
    """Magnitudes are raised to this: a smooth stand-in for the logarithm that favours what is loud."""
    floor: float = Field(default=1e-5, gt=0, lt=1)
    """Magnitude added (in power) before compression; a full-scale sine has 1."""
    mel_weight: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Bands are weighted by their width in mel to this power."""
    width: int = Field(default=352, ge=1)
    """Channels of the decoder."""
    blocks: int = Field(default=4, ge=0)
    phase_steps: int = Field(default=8, ge=0)
    """Griffin-Lim iterations."""

    @model_validator(mode="after")
    def _fits(self) -> "SpectralConfig":
        if 2 * self.hop > self.size:
            raise ValueError(
                f"size {self.size} is less than twice hop {self.hop}, so windows leave gaps; raise size or lower hop."
            )
        if self.linear_below < self.sample_rate / self.size:
            raise ValueError(
                f"linear_below {self.linear_below:g} Hz is less than a bin of {self.sample_rate / self.size:g} Hz; raise it."
            )
        if self.dim > self.wide:
            raise ValueError(f"dim {self.dim} is more than wide {self.wide}, of which it is part; lower dim or raise wide.")
        return self

    @staticmethod
    def tiny() -> "SpectralConfig":
        """Small enough for tests."""
        return SpectralConfig(
            sample_rate=8000, size=512, hop=80, dim=16, wide=32, levels=3, bins=16, linear_below=1000.0,
            width=16, blocks=1, phase_steps=2,
        )  # fmt: skip

    def build(self) -> "Spectral":
        return Spectral(self)


class Spectral(Codec):
    """See the module's docstring.

    `centre` and `basis` are those of the principal components, `spread` their standard deviations, largest first.
    Frames are whitened: `frames * scale + mean` are the components.
    """

    mean: Tensor
    scale: Tensor
    centre: Tensor
    basis: Tensor
    spread: Tensor
    bands: Tensor
    weight: Tensor

    def __init__(self, config: SpectralConfig):
        super().__init__()
        self.config = config
        self.sample_rate, self.channels = config.sample_rate, 1
        rate = config.sample_rate / (config.hop * config.stack)
        self.spec = Spec(rate=rate, dim=config.dim, levels=config.levels, bins=config.bins)
        self._add_bands(config)
        features = config.stack * len(self.bands)
        if config.wide > features or config.dim > config.wide:
            raise ValueError(f"dim {config.dim} <= wide {config.wide} <= {features} features does not hold; lower dim or wide.")
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("basis", torch.eye(features, config.wide))
        self.register_buffer("spread", torch.ones(config.wide))
        self.register_buffer("mean", torch.zeros(config.dim))
        self.register_buffer("scale", torch.ones(config.dim))
        self.decoder = ConvNeXt(config.dim, config.wide, config.width, config.blocks, _KERNEL)
        self.quantizer = ResidualQuantizer(config.levels, config.bins, config.dim)

    def _add_bands(self, config: SpectralConfig) -> None:
        """What follows from the config alone and is not saved: the bands and their weights."""
        centres = warped_centres(config.size, config.sample_rate, config.linear_below)
        hertz = centres * (config.sample_rate / config.size)
        width = torch.gradient(hertz_to_mel(hertz))[0]
        self.register_buffer("bands", triangles(centres, config.size // 2 + 1), persistent=False)
        self.register_buffer("weight", (width / width.mean()) ** config.mel_weight, persistent=False)

    def encode(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b t d"]:
        return (self.latents(self.features(audio)) - self.mean) / self.scale

    def encode_stream(
        self, parts: Iterable[Float[Tensor, "b c _"]], chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b _ d"]]:
        """See Codec; a frame is certain when the window of its last STFT frame has been heard."""
        reach = -(-self.config.size // (2 * self.hop)) * self.hop  # whole frames, so that the windows stay where they are
        for piece in around(regroup(parts, chunk_frames * self.hop, -1), reach, reach, -1):
            yield piece.own(self.encode(piece.x), 1, down=self.hop)

    def decode(
        self, frames: Float[Tensor, "b t d"], samples: int | None = None, chunk_frames: int = 500
    ) -> Float[Tensor, "b 1 n"]:
        """`chunk_frames` at a time, each with as much on either side as it hears, and with the phases of the one before.

        So memory does not grow with the length, and the chunks' size changes the audio by rounding errors only.
        """
        samples = samples_to_decode(samples, frames.shape[1] * self.hop)
        return torch.cat(list(self.decode_stream([frames], samples, chunk_frames)), dim=-1)

    def decode_stream(
        self, parts: Iterable[Float[Tensor, "b _ d"]], samples: int | None = None, chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b 1 _"]]:
        """See Codec; audio is certain when the frames that the decoder and then the polish of phases hear have come."""
        config, hop, phase, before = self.config, self.config.hop, None, 0
        total = None if samples is None else self.num_frames(samples)
        margin = -(-reach(config.size, hop, config.phase_steps) // config.stack) * config.stack
        for piece in around(self._magnitudes(regroup(parts, chunk_frames, 1, total)), margin, margin, 1):
            length = samples - piece.first * hop if piece.last and samples is not None else piece.x.shape[1] * hop
            magnitude = piece.x[:, : -(-length // hop)]
            known = None if phase is None else phase[:, piece.first - before]
            phase, before = propagated_phase(magnitude, config.size, hop, known), piece.first
            audio = griffin_lim(magnitude, config.size, hop, length, config.phase_steps, phase=phase)
            yield audio[:, None, piece.start * hop : piece.stop * hop]

    def _magnitudes(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """`decode_magnitude` of each piece, which the decoder sees among its neighbours."""
        seen = self.config.blocks * (_KERNEL // 2)
        for piece in around(pieces, seen, seen, 1):
            yield Piece.alone(piece.own(self.decode_magnitude(piece.x), 1, up=self.config.stack), 1, piece.last)

    def decode_magnitude(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b j f"]:
        """STFT magnitudes, `stack` per frame, before phases are found."""
        return self.magnitude(self.reconstruct(frames * self.scale + self.mean))

    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        return self.quantizer.encode(frames * self.scale + self.mean, levels)

    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        return (self.quantizer.decode(tokens) - self.mean) / self.scale

    def frame_state(self) -> dict[str, Tensor]:
        kept = self.config.dim
        return {"centre": self.centre, "basis": self.basis[:, :kept], "mean": self.mean, "scale": self.scale}

    def token_state(self) -> dict[str, Tensor]:
        return self.quantizer.state_dict()

    def features(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b t e"]:
        """Weighted compressed bands of `stack` STFT frames side by side."""
        config = self.config
        if audio.ndim != 3 or audio.shape[1] != 1 or audio.shape[2] == 0:
            raise ValueError(f"The codec wants mono audio, (batch, 1, samples), not {tuple(audio.shape)}; mix to one channel.")
        magnitude = stft(audio[:, 0].float(), config.size, config.hop).abs()
        pooled = magnitude.square() @ (self.bands / self.bands.sum(1, keepdim=True)).T  # b j m
        compressed = (pooled + config.floor**2) ** (config.power / 2) * self.weight
        missing = -compressed.shape[1] % config.stack
        silence = (config.floor**config.power * self.weight).expand(len(audio), missing, -1)
        return rearrange(torch.cat([compressed, silence], dim=1), "b (t s) m -> b t (s m)", s=config.stack)

    def magnitude(self, features: Float[Tensor, "b t e"]) -> Float[Tensor, "b j f"]:
        """The inverse of `features`, up to the pooling of bands."""
        config = self.config
        compressed = rearrange(features, "b t (s m) -> b (t s) m", s=config.stack) / self.weight
        power = compressed.clamp_min(config.floor**config.power) ** (2 / config.power) - config.floor**2
        return power.clamp_min(1e-14).sqrt() @ self.bands

    def latents(self, features: Float[Tensor, "b t e"]) -> Float[Tensor, "b t d"]:
        """The leading principal components."""
        return (features - self.centre) @ self.basis[:, : self.config.dim]

    def reconstruct(self, latents: Float[Tensor, "b t d"]) -> Float[Tensor, "b t e"]:
        """Features from principal components; the decoder predicts the dropped ones and corrects the others."""
        kept = self.config.dim
        correction = self.decoder(latents / self.spread[:kept]).float() * self.spread
        components = torch.nn.functional.pad(latents, (0, self.config.wide - kept)) + correction
        return components @ self.basis.T + self.centre


@torch.no_grad()
def fit_closed_form(config: SpectralConfig, clips: Iterable[Float[Tensor, "c n"]], generator: Generator) -> Spectral:
    """A usable codec with no training: principal components, then residual k-means.

    Minutes of varied audio at the config's sample rate suffice (the features of all of it are held in memory, 160 kB per
    second); clips are mixed to mono.
    """
    codec = config.build()
    rows = [codec.features(clip.mean(0)[None, None])[0] for clip in clips]
    if not rows:
        raise ValueError("There are no clips to fit the codec on; give at least one.")
    features = torch.cat(rows)
    codec.centre.copy_(features.mean(0))
    features -= codec.centre
    variance, basis = torch.linalg.eigh(features.T @ features / len(features))
    basis = basis.flip(1)[:, : config.wide]
    basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()  # eigenvectors come with either sign
    codec.basis.copy_(basis)
    codec.spread.copy_(variance.flip(0)[: config.wide].clamp_min(1e-6).sqrt())
    codec.scale.copy_(codec.spread[: config.dim])
    chosen = torch.randperm(len(features), generator=generator)[:_KMEANS_FRAMES]
    codec.quantizer.fit(features[chosen] @ basis[:, : config.dim], generator)
    return codec.eval()
