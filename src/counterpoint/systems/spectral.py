"""Trains the spectral codec's decoder and codebooks from their closed form: magnitudes come back whole, quantised or not."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import rng
from counterpoint.codecs.spectral import Spectral, SpectralConfig, fit_closed_form
from counterpoint.config import Config
from counterpoint.data.base import Dataset
from counterpoint.nn.quantize import CodebookAverages
from counterpoint.nn.spectral import mel_filters
from counterpoint.systems.augment import augment
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective

_MEL_FLOOR = 3e-6
_DECIBELS = 20 / math.log(10)


class SpectralObjectiveConfig(Config):
    """What is minimised: errors of compressed bands and of log-mel magnitudes, both as mean absolute differences."""

    kind: Literal["spectral"] = "spectral"
    mel: float = 0.5
    """Weight of the log-mel error (nepers)."""
    quantized: float = 0.5
    """Weight of the quantised path; the continuous one has 1."""
    noise: float = 0.2
    """Each item's frames reach the decoder with noise of up to this deviation, so that it forgives generated frames."""
    keep_all: float = 0.5
    """Part of items that use every codebook; the others a random number of them (quantiser dropout)."""
    augment: bool = True


class SpectralTraining(Trainable):
    """A codec, what trains its codebooks, and its loss.  `codec.state_dict()` is what ships."""

    mel: Tensor
    deviation: Tensor

    def __init__(self, codec: Spectral, config: SpectralObjectiveConfig | None = None):
        super().__init__()
        self.codec = codec
        self.config = config or SpectralObjectiveConfig()
        self.averages = CodebookAverages(codec.quantizer)
        filters = mel_filters(128, codec.config.size, codec.config.sample_rate)
        self.register_buffer("mel", (codec.bands @ filters.T), persistent=False)  # m 128
        deviation = (codec.spread.square().sum() / codec.centre.numel()).sqrt()  # of a feature: makes band errors relative
        self.register_buffer("deviation", deviation, persistent=False)

    def objectives(self, batch: Batch) -> list[Objective]:
        if batch.audio is None:
            raise ValueError("A codec learns from audio, and this batch has none; give a folder of clips, not cached frames.")
        codec, gens = self.codec, rng.generators([rng.mix(seed, 1) for seed in batch.seeds])
        with torch.no_grad(), torch.autocast(batch.audio.device.type, enabled=False):
            audio = augment(batch.audio, codec.sample_rate, gens) if self.training and self.config.augment else batch.audio
            target = codec.features(audio)
            latents = codec.latents(target)
            quantized = codec.quantizer(latents, self._levels(gens).to(latents.device) if self.training else None)
            revived = self.averages.update(codec.quantizer, latents, gens[0]) if self.training else 0.0
            latents = self._noisy(latents, gens) if self.training else latents
        made = codec.reconstruct(torch.cat([latents, quantized.frames]))
        band, coded_band = ((made - target.repeat(2, 1, 1)) / self.deviation).abs().flatten(1).mean(1).chunk(2)
        mel, coded_mel = (self._log_mel(made) - self._log_mel(target).repeat(2, 1, 1, 1)).abs().flatten(1).mean(1).chunk(2)
        weights = self.config
        continuous = (band + weights.mel * mel).mean()
        coded = (coded_band + weights.mel * coded_mel).mean()
        logs = {
            "mel_db": _DECIBELS * mel.mean().item(),
            "mel_db_quantized": _DECIBELS * coded_mel.mean().item(),
            "commitment": quantized.commitment.item(),
            "revived": revived,
        }
        return [Objective("codec", continuous + weights.quantized * coded, logs)]

    def _levels(self, gens: list[torch.Generator]) -> Tensor:
        levels = self.codec.config.levels
        draws = rng.rand((2,), gens)
        some = 1 + (draws[:, 1] * levels).long().clamp_max(levels - 1)
        return torch.where(draws[:, 0] < self.config.keep_all, levels, some)

    def _noisy(self, latents: Float[Tensor, "b t d"], gens: list[torch.Generator]) -> Float[Tensor, "b t d"]:
        amount = self.config.noise * rng.rand((1, 1), gens)
        noise = amount * rng.randn(latents.shape[1:], gens)
        return latents + noise.to(latents) * self.codec.spread[: self.codec.config.dim]

    def _log_mel(self, features: Float[Tensor, "b t e"]) -> Float[Tensor, "b t s m"]:
        """Natural logarithm of mel magnitudes, straight from the bands."""
        config = self.codec.config
        compressed = features.unflatten(-1, (config.stack, -1)) / self.codec.weight
        magnitude = compressed.clamp_min(config.floor**config.power) ** (1 / config.power)
        return torch.log(magnitude @ self.mel + _MEL_FLOOR)


@torch.no_grad()
def fit(dataset: Dataset, config: SpectralConfig, seed: int, augmented: float = 0.25) -> Spectral:
    """The closed form fitted on every item of a dataset, and on augmented copies of that part of them."""
    batches = [dataset.item(index, rng.mix(seed, index)).audio for index in range(len(dataset))]
    clips = [clip for clip in batches if clip is not None]
    copies = round(augmented * len(clips))
    gens = rng.generators([rng.mix(seed, 1, index) for index in range(copies)])
    changed = [augment(clip.mean(0)[None, None], config.sample_rate, [gen])[0] for clip, gen in zip(clips, gens, strict=False)]
    return fit_closed_form(config, [*clips, *changed], torch.Generator().manual_seed(rng.mix(seed, 2)))
