"""The ear without weights: what a second of sound is like in 32 mel bands, and how much each band moves in it.

    frames   Hann windows of 62.5 ms every 15.6 ms at 32 kHz, so that 64 frames are one second
    bands    32 triangles on the mel scale from 0 to 16 kHz, mean power, log10(power + 1e-8)
    numbers  for each second: the 32 means over its frames, then the 32 standard deviations (population)

Why 64 numbers: a Frechet distance needs clearly more independent samples than dimensions, and the seconds of one clip are not
independent; 128 clips are twice these dimensions.  Twice the bands tell damaged clips apart a little better, and three times as
much is then chance; without the deviations, loops and dull sound are heard less (`benchmarks/results/logmel_ear.md`).  Bands
are not decorrelated by a cosine transform, because a Frechet distance does not change under rotations.

Gain: g dB of gain move every mean by g / 10 and no deviation, so that a gain alone makes a distance of 32 (g / 10)^2, until the
floor 80 dB below a full-scale sine cuts in; so compare sets of one loudness.  What it is deaf to: the order of seconds, and
time's direction.  Its figures compare with themselves only.
"""

from functools import lru_cache

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint.embedders.base import Embedder, checked
from counterpoint.nn.spectral import mel_filters, stft

RATE, SIZE, HOP, BANDS = 32000, 2000, 500, 32
FRAMES = RATE // HOP
"""Spectral frames of a second, which one row of numbers describes."""
FLOOR = 1e-8


class LogMel(Embedder):
    """64 numbers a second; a last half second or more makes a row too, and so does any sound shorter than that."""

    name = "logmel"
    version = "1"
    digest = ""
    sample_rate = RATE
    dim = 2 * BANDS

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        seconds = log_mel(checked(audio)).double().split(FRAMES)
        whole = [second for number, second in enumerate(seconds) if number == 0 or len(second) >= FRAMES // 2]
        return torch.stack([torch.cat([second.mean(0), second.std(0, correction=0)]) for second in whole]).numpy()


def log_mel(audio: Float[Tensor, " n"]) -> Float[Tensor, "t m"]:
    """log10 of the power in each band; a full-scale sine has the power 1 in its bin."""
    power = stft(audio[None], SIZE, HOP)[0].abs().square()  # t f
    return (power @ _filters().T + FLOOR).log10()


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _filters() -> Float[Tensor, "m f"]:
    return mel_filters(BANDS, SIZE, RATE)
