"""Trains EnCodec against a discriminator (Defossez et al. 2022): reconstruction, adversary and codebooks, in one step.

Two players go through the one training loop: the codec and its opponent, each with a loss that moves it alone.

Where this differs from the reference: both players look at the same sound and move at once (there the opponent moves first),
so that one look of the opponent serves both; the balanced gradient is a mean over items, so that processes change nothing
(there a sum over the items of one GPU, hence the small weight of the commitment here); codebooks start at 12 rounds of
k-means (50), dead codes are revived (there they are meant to be) under a twentieth of an even share of use, nothing is
Laplace-smoothed; the average of the weights leaves out buffers. Codebooks, balance and statistics move at every backward
pass, so also within a step that accumulates.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Generator, Tensor, nn

from counterpoint import parallel, rng
from counterpoint.codecs.encodec import Encodec
from counterpoint.config import Config
from counterpoint.nn.discriminator import SpectrogramDiscriminators
from counterpoint.nn.quantize import CodebookAverages, Quantized
from counterpoint.nn.spectral import MelDistance
from counterpoint.paradigms.adversarial import Balancer, discriminator_loss, feature_matching, generator_loss
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective


class CodecganConfig(Config):
    """What is minimised, and by which opponent; the defaults are those of the 32 kHz music codec.

    The first four are shares of the gradient that reaches the decoder's audio, whatever the losses' scales.
    """

    kind: Literal["codecgan"] = "codecgan"
    adversarial: float = Field(default=4.0, gt=0)
    features: float = Field(default=4.0, gt=0)
    """Share of the differences that the opponent's layers see."""
    wave: float = Field(default=0.1, gt=0)
    """Share of the mean absolute difference of the samples."""
    mel: float = Field(default=2.0, gt=0)
    """Share of the mel spectra's distance, over several window sizes."""
    commitment: float = Field(default=1 / 64, ge=0)
    """Weight of the distance between latents and their codes; it does not pass the audio and is not balanced.  The reference
    has 1 beside a gradient that is summed over a batch of 64."""
    decay: float = Field(default=0.99, ge=0, lt=1)
    """Of the codebooks' moving averages, and of those of the latents' mean and deviation."""
    drop_levels: bool = False
    """Whether each batch uses a random number of codebooks (quantiser dropout)."""
    windows: tuple[int, ...] = Field(default=(1024, 2048, 512, 256, 128), min_length=1)
    """Samples in the windows through which the opponent looks, one network for each."""
    width: int = Field(default=32, ge=1)
    """Channels of the opponent's layers."""
    alone: int = Field(default=0, ge=0)
    """Batches before the opponent begins to learn; it rests until then."""
    unheard: int = Field(default=0, ge=0)
    """Batches, from then on, in which it learns but the codec does not hear it yet: a novice's gradient leads nowhere, and the
    balance would give it its full share."""


class CodecganTraining(Trainable):
    """A codec, its opponent, and what else moves while they train.  `codec.state_dict()` is what ships."""

    batches: Tensor

    def __init__(self, codec: Encodec, config: CodecganConfig | None = None):
        super().__init__()
        self.codec = codec
        self.config = config = config or CodecganConfig()
        self.discriminator = SpectrogramDiscriminators(config.windows, codec.channels, config.width)
        self.averages = CodebookAverages(codec.quantizer, config.decay)
        shares = {"wave": config.wave, "mel": config.mel, "adversarial": config.adversarial, "features": config.features}
        self.balancer = Balancer(shares)
        self.mel = MelDistance(codec.sample_rate)
        self.register_buffer("batches", torch.zeros(()))  # learnt from, up to now

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"codec": list(self.codec.parameters()), "discriminator": list(self.discriminator.parameters())}

    def objectives(self, batch: Batch) -> list[Objective]:
        audio = self._checked(batch)
        latents = self.codec.encoder(audio).transpose(1, 2).float()
        quantized, logs = self._quantize(latents, rng.generators([rng.mix(batch.seeds[0], 1)])[0])
        decoded = self.codec.decoder(quantized.frames.transpose(1, 2))
        made = decoded[..., : audio.shape[-1]].float()
        heard = made.detach().requires_grad_()  # the losses' gradients end here, are balanced, and go on as one
        losses = self._distances(heard, audio)
        opponent = []
        if self.batches > self.config.alone:
            listens = bool(self.batches > self.config.alone + self.config.unheard)
            fooled, against = self._judge(heard if listens else heard.detach(), audio)
            losses |= fooled if listens else {}
            opponent = [Objective("discriminator", against)]
        told = torch.stack([self.balancer.weights[name] * loss.detach() for name, loss in losses.items()]).sum()
        loss = told + self.config.commitment * quantized.commitment
        if torch.is_grad_enabled():
            balanced = (self.balancer.gradient(losses, heard) * made).sum() / len(batch)
            loss = loss + balanced - balanced.detach()  # the value of a weighted sum, the gradient of the balance
        logs |= {name: loss.item() for name, loss in losses.items()}
        return [Objective("codec", loss, logs), *opponent]

    def _checked(self, batch: Batch) -> Float[Tensor, "b c n"]:
        if batch.audio is None:
            raise ValueError("A codec learns from audio, and this batch has none; give a folder of clips, not cached frames.")
        longest = max(*self.config.windows, *self.mel.sizes)
        if batch.audio.shape[-1] < longest:
            raise ValueError(
                f"Crops of {batch.audio.shape[-1]} samples are shorter than the longest window of {longest}; "
                "raise data.crop_seconds, or leave that window out."
            )
        return batch.audio

    def _quantize(self, latents: Float[Tensor, "b t d"], generator: Generator) -> tuple[Quantized, dict[str, float]]:
        """The latents' codes; while training, the codebooks and the latents' statistics then follow them."""
        codec, levels = self.codec, None
        with torch.autocast(latents.device.type, enabled=False):
            if not self.training:
                quantized = codec.quantizer(latents)
                return quantized, {"commitment": quantized.commitment.item()}
            if self.batches == 0:
                self.averages.start(codec.quantizer, latents, generator)
            self._measure(latents.detach())
            if self.config.drop_levels:
                used = torch.randint(1, codec.config.levels + 1, (), generator=generator)
                levels = used.repeat(len(latents)).to(latents.device)
            quantized = codec.quantizer(latents, levels)
            revived = self.averages.update(codec.quantizer, latents, generator)
        self.batches += 1
        perplexity = self.averages.perplexity().mean().item()
        return quantized, {"commitment": quantized.commitment.item(), "revived": revived, "perplexity": perplexity}

    @torch.no_grad()
    def _measure(self, latents: Float[Tensor, "b t d"]) -> None:
        """Keep the two numbers by which the codec's continuous frames are shifted and scaled.

        Paper "Auto-Regressive vs Flow-Matching", appendix E.2; there over ten seconds of each of many clips, here over batches.
        """
        spread = latents.std((0, 1), correction=0).clamp_min(1e-5)  # of a silent batch, too, something to divide by
        moments = torch.stack([latents.mean(), spread.mean()])
        counted = torch.cat([moments, moments.new_ones(1)])
        parallel.sum_over_all([counted])
        mean, std = (counted[:2] / counted[2]).unbind()
        follow = 1.0 if self.batches == 0 else 1 - self.config.decay
        self.codec.mean.lerp_(mean, follow)
        self.codec.std.lerp_(std, follow)

    def _distances(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> dict[str, Tensor]:
        with torch.autocast(made.device.type, enabled=False):
            return {"wave": (made - real).abs().mean(), "mel": self.mel(made, real)}

    def _judge(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> tuple[Mapping[str, Tensor], Tensor]:
        """What the opponent's judgement costs the codec, and what it costs the opponent."""
        (real_logits, real_seen), (made_logits, made_seen) = self.discriminator(real), self.discriminator(made)
        fooled = {"adversarial": generator_loss(made_logits), "features": feature_matching(real_seen, made_seen)}
        return fooled, discriminator_loss(real_logits, made_logits)
