"""Spectra in bands of equal musical width: a step along them is an interval, so that transposing is shifting.

Sound is scaled to a mean power of 1 first, so that how loud it was plays no part; digital silence stays silent.
"""

import math

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from counterpoint.config import Config
from counterpoint.nn.spectral import num_frames, stft


class NotesConfig(Config):
    """Which bands, how often."""

    sample_rate: int = Field(default=16000, ge=8000)
    size: int = Field(default=2048, ge=4)
    """Samples in an STFT window."""
    hop: int = Field(default=320, ge=1)
    """Samples between frames."""
    lowest: float = Field(default=55.0, gt=0)
    """Centre of the first band, in Hz: A1."""
    per_semitone: int = Field(default=2, ge=1)
    octaves: int = Field(default=7, ge=1)
    floor: float = Field(default=1e-7, gt=0, lt=1)
    """Power that is added to every band before its logarithm is taken; the sound's mean power is 1."""

    @model_validator(mode="after")
    def _fits(self) -> "NotesConfig":
        if self.lowest * 2**self.octaves > self.sample_rate / 2:
            raise ValueError(f"{self.octaves} octaves above {self.lowest:g} Hz pass half the sample rate; lower octaves.")
        return self

    @property
    def bands(self) -> int:
        return 12 * self.per_semitone * self.octaves

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.sample_rate / self.hop

    def build(self) -> "Notes":
        return Notes(self)


class Notes(nn.Module):
    """Mono audio "b n" -> "b t m", base-10 logarithms of the bands' mean powers; n samples make ceil(n / hop) frames."""

    def __init__(self, config: NotesConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("bands", band_weights(config), persistent=False)  # m f

    def num_frames(self, samples: int) -> int:
        """Frames that cover `samples`."""
        return num_frames(samples, self.config.hop)

    def forward(self, audio: Float[Tensor, "b n"]) -> Float[Tensor, "b t m"]:
        power = audio.float().square().mean(-1, keepdim=True)
        level = torch.where(power > 0, power.clamp_min(1e-20), 1.0).sqrt()
        spectrum = stft(audio.float() / level, self.config.size, self.config.hop).abs().square()  # b t f
        return (spectrum @ self.get_buffer("bands").T + self.config.floor).log10()


def band_weights(config: NotesConfig) -> Float[Tensor, "m f"]:
    """Triangles around each centre, as wide as the distance to the next or else as a bin (then they interpolate); rows sum
    to 1."""
    steps = torch.arange(config.bands, dtype=torch.float64) / (12 * config.per_semitone)
    centres = config.lowest * 2**steps * (config.size / config.sample_rate)  # in bins
    reach = (centres * math.expm1(math.log(2) / (12 * config.per_semitone))).clamp_min(1.0)
    position = torch.arange(config.size // 2 + 1, dtype=torch.float64)
    weights = (1 - (position - centres[:, None]).abs() / reach[:, None]).clamp_min(0)
    return (weights / weights.sum(1, keepdim=True)).float()
