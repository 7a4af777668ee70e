"""What the ear's network sees: magnitudes on a scale of pitches, and coarse bands for what is struck, 50 frames a second.

Low pitches need long windows to be told apart and high ones short windows to be placed in time, so three Fourier
transforms share the scale (as the constant-Q transform does continuously: Brown 1991).  All frames are centred: frame
t lies at t / FRAME_RATE seconds.
"""

import math
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.audio import mix, resample

RATE = 22050
HOP = 441
FRAME_RATE = RATE / HOP
LOWEST_PITCH, PITCHES, DIVISIONS = 24, 84, 3
"""The scale: seven octaves from C1, three bins a semitone, the middle one in tune."""
BANDS, BAND_WINDOW = 36, 1024
BINS = PITCHES * DIVISIONS + BANDS
WINDOWS = ((8192, 0, 28), (4096, 28, 52), (2048, 52, PITCHES))
"""Window in samples, and the semitones above LOWEST_PITCH that it serves."""
WIDEST = WINDOWS[0][0]
BLOCK = 1500
"""Frames whose Fourier transforms are held at a time: 30 s."""
LOUDNESS, COMPRESSION = 0.1, 1000.0
"""A sound is brought to this root mean square; a magnitude m becomes log(1 + COMPRESSION m)."""
SILENCE = 1e-4
"""A sound whose loudest sample is below this (-80 dB) is silent."""


def mono(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[Tensor, " m"]:
    """The mean of the channels at RATE, at the root mean square LOUDNESS; silence stays silence."""
    sound = resample(mix(audio.detach().cpu().float(), 1), sample_rate, RATE)[0]
    if not len(sound) or sound.abs().max() < SILENCE:
        return torch.zeros_like(sound)
    return sound * (LOUDNESS / sound.square().mean().sqrt())


def spectrum(sound: Float[Tensor, " n"]) -> Float[Tensor, "288 t"]:
    """Compressed magnitudes of a mono sound at RATE: the scale's bins from low to high, then the bands.

    There are n // HOP + 1 frames.  A sine of amplitude A in tune shows as about log(1 + 0.7 COMPRESSION A).
    """
    frames = len(sound) // HOP + 1
    padded = torch.nn.functional.pad(sound, (WIDEST // 2, WIDEST // 2 + HOP))
    blocks = []
    for begin in range(0, frames, BLOCK):  # an hour's Fourier transforms would not fit into memory
        end = min(begin + BLOCK, frames)
        blocks.append(_block(padded[begin * HOP : (end - 1) * HOP + WIDEST]))
    return torch.cat(blocks, dim=1)


def _block(sound: Float[Tensor, " n"]) -> Float[Tensor, "288 t"]:
    """Frames whose centres lie WIDEST / 2, WIDEST / 2 + HOP, ... within the sound."""
    parts = []
    for window, low, high in WINDOWS:
        bells = _scale(window, low, high)
        parts.append(bells @ _magnitudes(sound, window, bells.shape[1]))
    bands = (_bands() @ _magnitudes(sound, BAND_WINDOW, BAND_WINDOW // 2 + 1).square()).sqrt()
    return torch.log1p(COMPRESSION * torch.cat([*parts, bands]))


def _magnitudes(sound: Float[Tensor, " n"], window: int, lines: int) -> Float[Tensor, "f t"]:
    """The lowest `lines` of a Fourier transform with a Hann window that sums to 1."""
    shape = torch.hann_window(window)
    margin = (WIDEST - window) // 2
    cut = sound[margin : len(sound) - margin]
    return torch.stft(cut, window, HOP, window=shape / shape.sum(), center=False, return_complex=True)[:lines].abs()


@lru_cache
def _scale(window: int, low: int, high: int) -> Float[Tensor, "p f"]:
    """Rows that read one bin of the scale each: a bell round its frequency, no narrower than the window can tell apart."""
    bins = torch.arange(low * DIVISIONS, high * DIVISIONS)
    pitches = LOWEST_PITCH + (bins - DIVISIONS // 2) / DIVISIONS
    centres = 440.0 * 2.0 ** ((pitches - 69) / 12)
    spacing = RATE / window
    lines = min(window // 2 + 1, math.ceil(1.15 * centres[-1].item() / spacing))
    frequencies = torch.arange(lines) * spacing
    width = (centres * (2 ** (1 / 36) - 1)).clamp(min=0.5 * spacing)
    bells = torch.exp(-0.5 * ((frequencies[None] - centres[:, None]) / width[:, None]) ** 2)
    return bells / bells.amax(1, keepdim=True).clamp(min=1e-6)


@lru_cache
def _bands() -> Float[Tensor, "36 f"]:
    """Triangles on the mel scale (2595 log10(1 + f / 700)) up to the highest frequency."""
    highest = 2595 * math.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(20.0, highest, BANDS + 2) / 2595) - 1)
    frequencies = torch.arange(BAND_WINDOW // 2 + 1) * RATE / BAND_WINDOW
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)
