"""Mel bands in dB, and how much they rise: what timbre and strokes are told by."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.nn.spectral import mel_filters, stft

SIZE, HOP, BANDS = 1024, 256, 64
"""Samples of a window and between windows, and bands."""


def log_mel(audio: Float[Tensor, "c n"], rate: int) -> Float[ndarray, "t m"]:
    """Mel magnitudes in dB, no less than 80 dB below the loudest."""
    magnitude = stft(sound.mix(audio, 1), SIZE, HOP)[0].abs() @ mel_filters(BANDS, SIZE, rate).T
    return (20 * magnitude.clamp_min(max(1e-5, float(magnitude.max()) * 1e-4)).log10()).double().numpy()


def rises(audio: Float[Tensor, "c n"], rate: int) -> Float[ndarray, " t"]:
    """Spectral flux: how much mel bands rise (mean, dB) from one frame to the next; frame j is centred at j + 1/2 hops."""
    bands = log_mel(audio, rate)
    return np.diff(bands, axis=0, prepend=bands[:1]).clip(min=0).mean(1)
