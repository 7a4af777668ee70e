"""Trains EnCodec (Defossez et al. 2022) or a VAE (Evans et al. 2024) against a discriminator: reconstruction, adversary and
bottleneck, in one step.

Two players go through the one training loop: the codec and its opponent, each with a loss that moves it alone.  The codecs
differ in their bottlenecks, codebooks or Gaussians, and in how losses are weighed: EnCodec's get shares of the gradient that
reaches the audio, the VAE's are summed.

Where this differs from the references: both players look at the same sound and move at once (there the opponent moves first, or
they take turns), so that one look of the opponent serves both; all that is fed back is a mean over items, so that processes
change nothing (in EnCodec's a sum over the items of one GPU, hence the small weight of the commitment here); codebooks start at
12 rounds of k-means (50), dead codes are revived (there they are meant to be) under a twentieth of an even share of use,
nothing is Laplace-smoothed; the average of the weights leaves out buffers.  Codebooks, balance and statistics move at every
backward pass, so also within a step that accumulates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from counterpoint import parallel, rng
from counterpoint.codecs.encodec import Encodec
from counterpoint.codecs.vae import Vae
from counterpoint.config import Config
from counterpoint.nn.discriminator import SpectrogramDiscriminators
from counterpoint.nn.oobleck import divergence, gaussian
from counterpoint.nn.perceptual import StftDistance
from counterpoint.nn.quantize import CodebookAverages
from counterpoint.nn.spectral import MelDistance
from counterpoint.paradigms.adversarial import Balancer, discriminator_loss, feature_matching, generator_loss
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective

DISTANCES = ("wave", "mel", "stft")
"""Losses that compare what was made with what is real; those with a weight of 0 are left out."""


class GanConfig(Config):
    """How much each loss counts, and which opponent there is; the losses' defaults are EnCodec's."""

    adversarial: float = Field(default=4.0, gt=0)
    features: float = Field(default=4.0, gt=0)
    """Of the differences that the opponent's layers see."""
    wave: float = Field(default=0.1, ge=0)
    """Of the mean absolute difference of the samples."""
    mel: float = Field(default=2.0, ge=0)
    """Of the mel spectra's distance, over several window sizes."""
    stft: float = Field(default=0.0, ge=0)
    """Of the A-weighted spectra's distance, over several window sizes."""
    legacy: bool = False
    """Whether `stft` is relative to what was made in place of what is real, which rewards loudness: Stable Audio's way."""
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the moving averages: those of the latents' mean and deviation, and of codebooks."""
    windows: tuple[int, ...] = Field(default=(1024, 2048, 512, 256, 128), min_length=1)
    """Samples in the windows through which the opponent looks, one network for each."""
    width: int = Field(default=32, ge=1)
    """Channels of the opponent's layers."""
    alone: int = Field(default=0, ge=0)
    """Batches before the opponent begins to learn; it rests until then."""
    unheard: int = Field(default=0, ge=0)
    """Batches, from then on, in which it learns but the codec does not hear it yet: a novice's gradient leads nowhere, and a
    balance would give it its full share."""

    @model_validator(mode="after")
    def _fits(self) -> "GanConfig":
        if not any(self.model_dump()[name] for name in DISTANCES):
            raise ValueError(f"nothing compares what is made with what is real; give one of {', '.join(DISTANCES)} a weight.")
        if self.legacy and not self.stft:
            raise ValueError("legacy belongs to stft, which has no weight; give it one, or leave legacy out.")
        return self

    def weights(self) -> dict[str, float]:
        """What each loss at the audio counts, without those that count nothing."""
        losses = {"wave": self.wave, "mel": self.mel, "stft": self.stft}
        return {name: weight for name, weight in losses.items() if weight} | {
            "adversarial": self.adversarial,
            "features": self.features,
        }

    def distances(self, sample_rate: int) -> nn.ModuleDict:
        """The losses that compare, of those that count."""
        losses: dict[str, nn.Module] = {}
        if self.wave:
            losses["wave"] = nn.L1Loss()
        if self.mel:
            losses["mel"] = MelDistance(sample_rate)
        if self.stft:
            losses["stft"] = StftDistance(sample_rate, legacy=self.legacy)
        return nn.ModuleDict(losses)


class CodecganConfig(GanConfig):
    """EnCodec's losses; the defaults are those of the 32 kHz music codec.

    Weights are shares of the gradient that reaches the decoder's audio, whatever the losses' scales.
    """

    kind: Literal["codecgan"] = "codecgan"
    commitment: float = Field(default=1 / 64, ge=0)
    """Weight of the distance between latents and their codes; it does not pass the audio and is not balanced.  The reference
    has 1 beside a gradient that is summed over a batch of 64."""
    drop_levels: bool = False
    """Whether each batch uses a random number of codebooks (quantiser dropout)."""


class VaeganConfig(GanConfig):
    """The VAE's losses, whose weighted sum is minimised; the defaults are those of the paper "Auto-Regressive vs Flow-Matching"
    (appendix E.3) where it tells them, else Stable Audio's."""

    kind: Literal["vaegan"] = "vaegan"
    adversarial: float = Field(default=0.1, gt=0)
    features: float = Field(default=5.0, gt=0)
    wave: float = Field(default=0.0, ge=0)
    mel: float = Field(default=0.0, ge=0)
    stft: float = Field(default=1.0, ge=0)
    divergence: float = Field(default=1e-3, ge=0)
    """Of the frames' Gaussians from the standard normal: a sum over channels, without the factor 1/2."""
    deviation: float | None = Field(default=None, gt=1e-4)
    """That the Gaussians begin with; by default what the layers' initial weights lead to, about 0.7, through which a decoder
    that has learnt little hears next to nothing."""


@dataclass(frozen=True)
class Squeezed:
    """What has passed a bottleneck."""

    latents: Float[Tensor, "b t d"]
    """What the decoder hears."""
    frames: Float[Tensor, "b t d"]
    """What will be the codec's continuous frames."""
    cost: Float[Tensor, ""]
    logs: dict[str, float]


class CodecganTraining(Trainable):
    """A codec, its opponent, and what else moves while they train.  `codec.state_dict()` is what ships."""

    batches: Tensor

    def __init__(self, codec: Encodec | Vae, config: CodecganConfig | VaeganConfig | None = None):
        super().__init__()
        self.codec = codec
        self.config = config = config or (CodecganConfig() if isinstance(codec, Encodec) else VaeganConfig())
        assert isinstance(codec, Encodec) == isinstance(config, CodecganConfig)
        self.discriminator = SpectrogramDiscriminators(config.windows, codec.channels, config.width)
        self.averages = CodebookAverages(codec.quantizer, config.decay) if isinstance(codec, Encodec) else None
        self.balancer = Balancer(config.weights()) if isinstance(codec, Encodec) else None
        self.distances = config.distances(codec.sample_rate)
        if isinstance(config, VaeganConfig) and config.deviation is not None:
            assert isinstance(codec, Vae)
            codec.encoder.begin_with(config.deviation)
        self.register_buffer("batches", torch.zeros(()))  # learnt from, up to now

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"codec": list(self.codec.parameters()), "discriminator": list(self.discriminator.parameters())}

    def objectives(self, batch: Batch) -> list[Objective]:
        audio = self._checked(batch)
        squeezed = self._squeeze(self.codec.encoder(audio).float(), batch.seeds)
        if self.training:
            self._measure(squeezed.frames.detach())
            self.batches += 1
        made = self.codec.decoder(squeezed.latents.transpose(1, 2)).float()[..., : audio.shape[-1]]
        audio = audio[..., : made.shape[-1]]
        heard = made.detach().requires_grad_()  # the losses' gradients end here, are weighed, and go on as one
        losses = self._compare(heard, audio)
        opponent = []
        if self.batches > self.config.alone:
            listens = bool(self.batches > self.config.alone + self.config.unheard)
            fooled, against = self._judge(heard if listens else heard.detach(), audio)
            losses |= fooled if listens else {}
            opponent = [Objective("discriminator", against)]
        loss = self._weigh(losses, heard, made) + squeezed.cost
        logs = squeezed.logs | {name: loss.item() for name, loss in losses.items()}
        return [Objective("codec", loss, logs), *opponent]

    def _checked(self, batch: Batch) -> Float[Tensor, "b c n"]:
        if batch.audio is None:
            raise ValueError("A codec learns from audio, and this batch has none; give a folder of clips, not cached frames.")
        spectra = [part for part in self.distances.values() if isinstance(part, MelDistance | StftDistance)]
        compared = max((size for part in spectra for size in part.sizes), default=0)
        longest = max(*self.config.windows, compared)
        if batch.audio.shape[-1] < longest:
            leave = ", or leave that window out" if longest > compared else ""  # those of the distances are fixed
            raise ValueError(
                f"Crops of {batch.audio.shape[-1]} samples are shorter than the longest window of {longest}; "
                f"raise data.crop_seconds{leave}."
            )
        return batch.audio

    def _squeeze(self, told: Float[Tensor, "b e t"], seeds: list[int]) -> Squeezed:
        """What the encoder tells, through the bottleneck."""
        with torch.autocast(told.device.type, enabled=False):
            return self._quantize(told, seeds) if isinstance(self.codec, Encodec) else self._draw(told, seeds)

    def _draw(self, told: Float[Tensor, "b e t"], seeds: list[int]) -> Squeezed:
        """Draws from the Gaussians, or, when nothing is learnt, their means."""
        assert isinstance(self.config, VaeganConfig)
        mean, deviation = gaussian(told)
        noise = rng.randn(mean.shape[1:], rng.generators([rng.mix(seed, 1) for seed in seeds])).to(mean)
        latents = mean + deviation * noise if self.training else mean
        apart = divergence(mean, deviation)
        logs = {"divergence": apart.item(), "deviation": deviation.mean().item()}
        return Squeezed(latents.transpose(1, 2), mean.transpose(1, 2), self.config.divergence * apart, logs)

    def _quantize(self, told: Float[Tensor, "b d t"], seeds: list[int]) -> Squeezed:
        """The latents' codes; while training, the codebooks then follow them."""
        codec, config, levels = self.codec, self.config, None
        assert isinstance(codec, Encodec) and isinstance(config, CodecganConfig) and self.averages is not None
        latents, logs = told.transpose(1, 2), {}
        generator = rng.generators([rng.mix(seeds[0], 1)])[0]
        if self.training and self.batches == 0:
            self.averages.start(codec.quantizer, latents, generator)
        if self.training and config.drop_levels:
            used = torch.randint(1, codec.config.levels + 1, (), generator=generator)
            levels = used.repeat(len(latents)).to(latents.device)
        quantized = codec.quantizer(latents, levels)
        if self.training:
            revived = self.averages.update(codec.quantizer, latents, generator)
            logs = {"revived": revived, "perplexity": self.averages.perplexity().mean().item()}
        logs = {"commitment": quantized.commitment.item(), **logs}
        return Squeezed(quantized.frames, latents, config.commitment * quantized.commitment, logs)

    @torch.no_grad()
    def _measure(self, frames: Float[Tensor, "b t d"]) -> None:
        """Keep the two numbers by which the codec's continuous frames are shifted and scaled.

        Paper "Auto-Regressive vs Flow-Matching", appendix E.2; there over ten seconds of each of many clips, here over batches.
        """
        spread = frames.std((0, 1), correction=0).clamp_min(1e-5)  # of a silent batch, too, something to divide by
        moments = torch.stack([frames.mean(), spread.mean()])
        counted = torch.cat([moments, moments.new_ones(1)])
        parallel.sum_over_all([counted])
        mean, std = (counted[:2] / counted[2]).unbind()
        follow = 1.0 if self.batches == 0 else 1 - self.config.decay
        self.codec.mean.lerp_(mean, follow)
        self.codec.std.lerp_(std, follow)

    def _compare(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> dict[str, Tensor]:
        """The distances that count."""
        with torch.autocast(made.device.type, enabled=False):
            return {name: distance(made, real) for name, distance in self.distances.items()}

    def _judge(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> tuple[Mapping[str, Tensor], Tensor]:
        """What the opponent's judgement costs the codec, and what it costs the opponent."""
        (real_logits, real_seen), (made_logits, made_seen) = self.discriminator(real), self.discriminator(made)
        fooled = {"adversarial": generator_loss(made_logits), "features": feature_matching(real_seen, made_seen)}
        return fooled, discriminator_loss(real_logits, made_logits)

    def _weigh(self, losses: Mapping[str, Tensor], heard: Tensor, made: Float[Tensor, "b c n"]) -> Float[Tensor, ""]:
        """The value of the losses' weighted sum; its gradient is that of the sum, or, where there is one, that of the balance.

        The losses are those of `heard`, which is `made` without its past.
        """
        weights = self.config.weights()
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        if not torch.is_grad_enabled():
            return total
        if self.balancer is None:
            gradient = torch.autograd.grad(total, heard, retain_graph=True)[0]
        else:
            gradient = self.balancer.gradient(losses, heard) / len(heard)
        sent = (gradient * made).sum()
        return total.detach() + sent - sent.detach()
