"""How much of a sound a codec gives back: of its waveform, of its spectrum, and what its tokens cost.

Two clips are compared sample by sample, so that both must be of one length: `cut` makes them so.  Audio is "c n"; channels are
compared each with its own, and the figure is their mean.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from counterpoint.nn.spectral import mel_triangles, spectral_convergence

MOST = 150.0
"""Decibels that SI-SNR is kept within, so that one perfect clip leaves a mean finite."""
LOG_MEL_SIZE, LOG_MEL_SIZES, LOG_MEL_BANDS, LOG_MEL_FLOOR = 1024, (512, 1024, 2048), 80, 1e-5
STFT_SIZES, STFT_RANGE = (2048, 1024, 512), 80.0


def cut(made: Float[Tensor, "c n"], real: Float[Tensor, "c m"]) -> tuple[Float[Tensor, "c l"], Float[Tensor, "c l"]]:
    """Both clips, as long as the shorter one."""
    length = min(made.shape[-1], real.shape[-1])
    return made[:, :length], real[:, :length]


def si_snr(made: Float[Tensor, "c n"], real: Float[Tensor, "c m"]) -> float:
    """Scale-invariant signal-to-noise ratio in dB, more is better, both less their means (Le Roux et al. 2019, equation 5).

    Kept within -150 and 150 dB.  NaN where a real channel is silent (or constant).  Raises ValueError for clips that differ in
    shape or hold values that are not numbers.
    """
    _check(made, real)
    ours, theirs = (audio.double() - audio.double().mean(1, keepdim=True) for audio in (made, real))
    energy = theirs.square().sum(1, keepdim=True)
    if bool((energy == 0).any()):
        return math.nan
    target = (ours * theirs).sum(1, keepdim=True) / energy * theirs
    signal, noise = target.square().sum(1).log10(), (ours - target).square().sum(1).log10()
    level = 10 * (signal - noise).nan_to_num(nan=-math.inf)  # both are -inf where the made clip is silent
    return float(level.clamp(-MOST, MOST).mean())


def log_mel_distance(
    made: Float[Tensor, "c n"], real: Float[Tensor, "c m"], sample_rate: int, sizes: Sequence[int] = (LOG_MEL_SIZE,)
) -> float:
    """Mean absolute difference of log10(1e-5 + mel power), a mean over window sizes; LOG_MEL_SIZES are the many of them.

    80 bands of height 1 on HTK's scale from 0 Hz on, Hann windows that hop by a quarter, ends reflected: AudioCraft's
    MelSpectrogramL1Loss, to which the values that papers give as "log-MSD" fit.  Silence is ruled by the 1e-5.
    Raises ValueError for clips that differ in shape, are shorter than a window, or hold values that are not numbers.
    """
    _check(made, real, max(sizes))
    distances = []
    for size in sizes:
        filters = mel_triangles(LOG_MEL_BANDS, size, sample_rate).double()
        ours, theirs = ((LOG_MEL_FLOOR + filters @ _power(audio, size)).log10() for audio in (made, real))
        distances.append((ours - theirs).abs().mean())
    return float(torch.stack(distances).mean())


def _power(audio: Float[Tensor, "c n"], size: int) -> Float[Tensor, "c f t"]:
    """Powers of ceil(n / hop) frames of an unscaled Hann window."""
    hop = size // 4
    margin = (size - hop) // 2
    padded = F.pad(F.pad(audio.double(), (margin, margin), mode="reflect"), (0, -audio.shape[-1] % hop))
    return _spectrum(padded, size, center=False).square()


def multi_resolution_stft(made: Float[Tensor, "c n"], real: Float[Tensor, "c m"], sizes: Sequence[int] = STFT_SIZES) -> float:
    """Spectral convergence plus mean absolute difference of log magnitudes (nepers), a mean over window sizes.

    Yamamoto et al. 2020, equations 3 to 6, with hops of a quarter window and magnitudes floored 80 dB below the real clip's
    loudest.  NaN where the real clip is silent.  Raises ValueError as `log_mel_distance`.
    """
    _check(made, real, max(sizes))
    if not bool(real.any()):
        return math.nan
    distances = []
    for size in sizes:
        ours, theirs = (_spectrum(audio.double(), size, center=True) for audio in (made, real))
        floor = theirs.amax() * 10 ** (-STFT_RANGE / 20)
        logarithms = (ours.clamp_min(floor) / theirs.clamp_min(floor)).log().abs().mean((1, 2))
        distances.append((spectral_convergence(ours, theirs) + logarithms).mean())
    return float(torch.stack(distances).mean())


def _spectrum(audio: Float[Tensor, "c n"], size: int, center: bool) -> Float[Tensor, "c f t"]:
    window = torch.hann_window(size, dtype=audio.dtype)
    spectrum = torch.stft(audio, size, size // 4, window=window, center=center, pad_mode="constant", return_complex=True)
    return spectrum.abs()


def perplexity(tokens: Int[Tensor, "k t"], bins: int) -> Float[ndarray, " k"]:
    """For each level, how many codes are in use by the entropy of their counts: 1 for one code, `bins` for all alike.

    A set's figure is that of its clips' tokens one after the other; t bounds it.  Raises ValueError.
    """
    shares = _shares(tokens, bins)
    return np.exp(-np.sum(shares * np.log(np.maximum(shares, 1e-300)), axis=1))


def use(tokens: Int[Tensor, "k t"], bins: int) -> Float[ndarray, " k"]:
    """For each level, the share of its codes that are there at all.  Raises ValueError."""
    return (_shares(tokens, bins) > 0).mean(1)


def bitrate(rate: float, levels: int, bins: int) -> float:
    """Bits a second that a stream of tokens takes as it is: `rate` frames a second of `levels` tokens each.

    Raises ValueError for a stream that is none.
    """
    if not (rate > 0 and levels > 0 and bins > 0):
        raise ValueError(f"{rate} frames a second of {levels} tokens of {bins} kinds are no stream; give numbers above 0.")
    return rate * levels * math.log2(bins)


def entropy_rate(rate: float, tokens: Int[Tensor, "k t"], bins: int) -> float:
    """Bits a second that an ideal coder would take that knows how often each level has each code.  Raises ValueError."""
    return rate * float(np.log2(perplexity(tokens, bins)).sum())


def _shares(tokens: Int[Tensor, "k t"], bins: int) -> Float[ndarray, "k v"]:
    if not tokens.numel() or int(tokens.min()) < 0 or int(tokens.max()) >= bins:
        raise ValueError(f"The tokens must be numbers from 0 to {bins - 1}, and at least one; give those that a codec made.")
    return np.stack([np.bincount(level.cpu().numpy(), minlength=bins) for level in tokens]) / tokens.shape[1]


def _check(made: Float[Tensor, "c n"], real: Float[Tensor, "d m"], shortest: int = 1) -> None:
    if made.shape != real.shape:
        raise ValueError(
            f"The made clip has {made.shape[0]} channels of {made.shape[1]} samples and the real one {real.shape[0]} of "
            f"{real.shape[1]}; they are compared sample by sample: give clips of one shape (`cut` makes one length)."
        )
    if made.shape[-1] < shortest:
        raise ValueError(f"The clips have {made.shape[-1]} samples, fewer than the {shortest} of a window; give longer ones.")
    if not (torch.isfinite(made).all() and torch.isfinite(real).all()):
        raise ValueError("A clip holds values that are not numbers; make it anew.")
