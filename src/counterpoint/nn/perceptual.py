"""How far apart two sounds are to the ear: short-time spectra of many window sizes, of signals weighted as the ear hears.

After Steinmetz and Reiss 2020 ("auraloss") as Stable Audio is trained with it (Evans et al. 2024).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_FLOOR = 1e-8  # of a power; spectra are those of an unscaled Hann window
_TAPS = 101
_GRID = 1024  # frequencies at which the filter is fitted


def a_weighting(hertz: Float[np.ndarray, "f"]) -> Float[np.ndarray, "f"]:
    """Gain of the A-weighting curve, 1 at 1 kHz (IEC 61672-1, annex E)."""

    def response(frequency: Float[np.ndarray, "f"]) -> Float[np.ndarray, "f"]:
        square = frequency**2
        poles = (square + 20.598997**2) * (square + 12194.217**2)
        return square**2 / (poles * np.sqrt((square + 107.65265**2) * (square + 737.86223**2)))

    return response(hertz) / response(np.array([1000.0]))


def a_weighting_filter(sample_rate: int, taps: int = _TAPS) -> Float[Tensor, "k"]:
    """The symmetric filter of so many taps, an odd number, whose gain comes nearest to the curve (least squares over Hz).

    What is slower than its length goes its own way: with 101 taps at 32 kHz, below some 300 Hz.
    """
    turn = np.linspace(0, np.pi, _GRID)
    cosines = np.cos(turn[:, None] * np.arange(taps // 2 + 1))
    half = np.linalg.lstsq(cosines, a_weighting(turn * sample_rate / (2 * np.pi)))[0]
    side = half[1:] / 2  # the middle tap, then twice each of the others
    return torch.from_numpy(np.concatenate([side[::-1], half[:1], side])).float()


class StftDistance(nn.Module):
    """Spectral convergence plus mean absolute difference of logarithmic magnitudes, a mean over window sizes.

    Hops are a quarter of a window, magnitudes those of an unscaled Hann window, floored at 1e-4.  Of stereo, the mean distance
    of the two channels is added to that of their sum and difference.
    """

    taps: Tensor

    def __init__(
        self, sample_rate: int, sizes: Sequence[int] = (2048, 1024, 512, 256, 128, 64, 32), legacy: bool = False
    ) -> None:
        """`legacy` divides the convergence by the norm of what was made, not of what is real: it rewards loudness, and is what
        Stable Audio was trained with."""
        super().__init__()
        self.sizes = tuple(sizes)
        self.legacy = legacy
        self.register_buffer("taps", a_weighting_filter(sample_rate)[None, None], persistent=False)
        for size in self.sizes:
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> Float[Tensor, ""]:
        ours, theirs = self._weighted(made), self._weighted(real)
        pairs = [(self.magnitude(ours, size), self.magnitude(theirs, size)) for size in self.sizes]
        distance = torch.stack([self._distance(*pair) for pair in pairs]).mean()
        return 2 * distance if made.shape[1] == 2 else distance  # four signals share the mean, and two means are meant

    def _weighted(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "e n"]:
        """Every signal that is compared, as the ear weighs it: the channels, and of two their sum and their difference."""
        if audio.shape[1] == 2:
            left, right = audio.unbind(1)
            audio = torch.stack([left, right, left + right, left - right], dim=1)
        return F.conv1d(audio.flatten(0, 1)[:, None], self.taps, padding=self.taps.shape[-1] // 2)[:, 0]

    def magnitude(self, signals: Float[Tensor, "e n"], size: int) -> Float[Tensor, "e f t"]:
        """Magnitudes of frames around every quarter window; the ends of the signal are reflected."""
        spectrum = torch.stft(signals, size, size // 4, window=self.get_buffer(f"window{size}"), return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square()).clamp_min(_FLOOR).sqrt()

    def _distance(self, made: Float[Tensor, "e f t"], real: Float[Tensor, "e f t"]) -> Float[Tensor, ""]:
        norm = torch.linalg.vector_norm(made if self.legacy else real, dim=(1, 2))
        convergence = torch.linalg.vector_norm(made - real, dim=(1, 2)) / norm
        return convergence.mean() + (made.log() - real.log()).abs().mean()
