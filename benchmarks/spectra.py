"""How alike two sounds are as spectra, and how dull, noisy or even one is: no label and no score needed."""

from collections.abc import Sequence

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Array = NDArray[np.float64]
Samples = NDArray[np.float32]

WINDOW, HOP, BANDS = 2048, 512, 128
FLOOR = 80.0
"""Decibels below the loudest band of a clip at which silence is drawn."""


def log_mel(audio: Samples, rate: int) -> Array:
    """Mel magnitudes in dB below the clip's loudest, `128 t`, no less than -80."""
    mel = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    return librosa.power_to_db(mel, ref=np.max, top_db=FLOOR)


def level_mel(audio: Samples, rate: int) -> Array:
    """Mel magnitudes in dB, `128 t`, of one reference for all clips, no less than -50: some 80 below the corpus' loudest.

    Unlike `log_mel`, in which one loud moment makes all the rest of a clip quieter.
    """
    mel = librosa.feature.melspectrogram(y=audio, sr=rate, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    return librosa.power_to_db(mel, ref=1.0, amin=1e-5, top_db=None)


def log_mel_db(made: Samples, real: Samples, rate: int) -> float:
    """Mean absolute difference of the log-mel spectrograms in dB; levels are taken from the real one for both."""
    length = min(len(made), len(real))
    spectra = [
        librosa.feature.melspectrogram(y=a[:length], sr=rate, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS) for a in (made, real)
    ]
    loudest = float(spectra[1].max())
    decibels = [librosa.power_to_db(np.maximum(s, loudest * 10 ** (-FLOOR / 10)), ref=loudest, top_db=None) for s in spectra]
    return float(np.abs(decibels[0] - decibels[1]).mean())


def frechet_log_mel(made: Sequence[Array], real: Sequence[Array]) -> float:
    """Frechet distance between the log-mel frames of two sets of clips, `128 t` each, in dB squared per band.

    Relative only: the clips' number matters, and order in time is not seen (flicker has been preferred to music).
    """
    (mean_a, cov_a), (mean_b, cov_b) = (_gaussian(np.concatenate(clips, axis=1).T) for clips in (made, real))
    root = linalg.sqrtm(cov_a @ cov_b)
    distance = np.sum((mean_a - mean_b) ** 2) + np.trace(cov_a + cov_b - 2 * np.real(root))
    return float(distance / len(mean_a))


def _gaussian(rows: Array) -> tuple[Array, Array]:
    return rows.mean(0), np.cov(rows.T) + 1e-6 * np.eye(rows.shape[1])


def high_band_ratio(audio: Samples, rate: int, above: float = 5000.0) -> float:
    """Mean level above 5 kHz in dB relative to the whole."""
    power = np.abs(librosa.stft(audio, n_fft=WINDOW, hop_length=HOP)) ** 2
    high = power[librosa.fft_frequencies(sr=rate, n_fft=WINDOW) >= above].sum()
    return float(10 * np.log10((high + 1e-12) / (power.sum() + 1e-12)))


def spectral_flatness(audio: Samples) -> float:
    """Wiener entropy, 0 for a tone and 1 for noise, averaged over time."""
    return float(librosa.feature.spectral_flatness(y=audio, n_fft=WINDOW, hop_length=HOP).mean())


def dispersion(mel: Array) -> float:
    """How much the log-mel bands move in time: their standard deviation in dB, averaged over bands."""
    return float(mel.std(1).mean())
