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


def multi_resolution_stft(made: Samples, real: Samples) -> float:
    """Spectral convergence plus mean absolute difference of log magnitudes (nepers), over windows of 2048, 1024 and 512.

    Yamamoto et al. 2020, eq. 3 to 6; hops are quarters, magnitudes are floored 80 dB below the real one's loudest.
    """
    length, distances = min(len(made), len(real)), []
    for size in (2048, 1024, 512):
        ours, theirs = (np.abs(librosa.stft(a[:length], n_fft=size, hop_length=size // 4)) for a in (made, real))
        floor = max(float(theirs.max()) * 10 ** (-FLOOR / 20), 1e-7)
        convergence = np.linalg.norm(ours - theirs) / max(float(np.linalg.norm(theirs)), 1e-7)
        distances.append(convergence + np.abs(np.log(np.maximum(ours, floor) / np.maximum(theirs, floor))).mean())
    return float(np.mean(distances))


def log_msd(made: Samples, real: Samples, rate: int, sizes: Sequence[int] = (1024,)) -> float:
    """Mean absolute difference of log10(mel power + 1e-5), 80 bands, HTK's scale, no norm; a mean over window sizes.

    The paper "Auto-Regressive vs Flow-Matching" (appendix B) gives a "log-MSD" and does not define it; this is AudioCraft's mel
    distance, whose values are of that size.
    """
    length, distances = min(len(made), len(real)), []
    for size in sizes:
        hop, mels = size // 4, []
        for audio in (made, real):
            padded = np.pad(audio[:length], (size - hop) // 2, mode="reflect")
            mels.append(
                librosa.feature.melspectrogram(
                    y=padded, sr=rate, n_fft=size, hop_length=hop, n_mels=80, htk=True, norm=None, center=False
                )
            )
        distances.append(np.abs(np.log10(mels[0] + 1e-5) - np.log10(mels[1] + 1e-5)).mean())
    return float(np.mean(distances))


def si_snr(made: Samples, real: Samples) -> float:
    """Scale-invariant signal-to-noise ratio in dB (Le Roux et al. 2019): how much of the waveform itself came back."""
    length = min(len(made), len(real))
    ours, theirs = (a[:length].astype(np.float64) - a[:length].mean() for a in (made, real))
    target = ours @ theirs / (theirs @ theirs + 1e-12) * theirs
    return float(10 * np.log10((target @ target + 1e-12) / (np.sum((ours - target) ** 2) + 1e-12)))


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
