"""Audio made various, item by item from its own generator: so that a codec fitted on one corpus survives other sound."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from counterpoint.nn.spectral import istft, num_frames, stft


def augment(audio: Float[Tensor, "b 1 n"], sample_rate: int, gens: list[Generator]) -> Float[Tensor, "b 1 n"]:
    """Some items become synthetic speech, some are mixed with their neighbour; then equaliser tilt, noise and gain."""
    items = []
    for i, gen in enumerate(gens):
        item = audio[i, 0]
        if _chance(0.08, gen):
            item = speech_like(item.shape[0], sample_rate, gen).to(item)
        elif _chance(0.15, gen):
            item = item + _uniform(0.2, 1.0, gen) * audio[(i + 1) % len(audio), 0]
        if _chance(0.4, gen):
            item = _tilted(item, sample_rate, gen)
        if _chance(0.2, gen):
            item = _noisy(item, gen)
        if _chance(0.6, gen):
            item = item * 10 ** (_uniform(-24.0, 6.0, gen) / 20)
        items.append(item.clamp(-1, 1))
    return torch.stack(items)[:, None]


def speech_like(samples: int, sample_rate: int, generator: Generator) -> Float[Tensor, "n"]:
    """Babble: a gliding pulse train or noise, filtered by formants that change with every syllable, with pauses."""
    size, hop = 1024, 256
    frames = num_frames(samples, hop)
    syllables = max(2, round(samples / sample_rate * _uniform(3.0, 8.0, generator)))
    pitch = _contour(syllables, 0.7, 1.4, samples, generator) * _uniform(80.0, 300.0, generator)
    cycles = torch.cumsum(pitch.double() / sample_rate, 0).floor()
    pulses = torch.diff(cycles, prepend=cycles[:1]).float() * (sample_rate / pitch).sqrt()
    voiced = _contour(syllables, -0.5, 1.0, samples, generator).clamp(0, 1)
    breath = torch.randn(samples, generator=generator)
    source = pulses * voiced + breath * (0.02 + 0.3 * (1 - voiced))
    hertz = torch.linspace(0, sample_rate / 2, size // 2 + 1)
    envelope = torch.full((frames, len(hertz)), 0.002)
    for low, high in ((250.0, 900.0), (800.0, 2600.0), (2200.0, 3600.0), (3300.0, 7000.0)):
        formant = _contour(syllables, low, high, frames, generator)[:, None]
        width = 50.0 + 0.06 * formant
        envelope = envelope + (1000.0 / (1000.0 + formant)) / (1 + ((hertz - formant) / width).square())
    loudness = _contour(syllables, -0.3, 1.0, frames, generator).clamp(0, 1)[:, None]
    speech = istft(stft(source[None], size, hop) * envelope * loudness, size, hop, samples)[0]
    return speech * (_uniform(0.1, 0.9, generator) / speech.abs().max().clamp_min(1e-6))


def _contour(points: int, low: float, high: float, length: int, generator: Generator) -> Float[Tensor, "n"]:
    """Random values, one a syllable, joined by lines."""
    values = low + (high - low) * torch.rand(1, 1, points, generator=generator)
    return torch.nn.functional.interpolate(values, length, mode="linear", align_corners=True)[0, 0]


def _tilted(audio: Float[Tensor, "n"], sample_rate: int, generator: Generator) -> Float[Tensor, "n"]:
    """Up to 3 dB an octave around 1 kHz, and a broad bump or dip of up to 9 dB."""
    spectrum = torch.fft.rfft(audio)
    octaves = torch.linspace(20.0, sample_rate / 2, spectrum.shape[0], device=audio.device).div(1000.0).log2()
    tilt = _uniform(-3.0, 3.0, generator) * octaves.clamp(-5, 5)
    bump = _uniform(-9.0, 9.0, generator) * torch.exp(-(octaves - _uniform(-4.0, 4.0, generator)).square())
    return torch.fft.irfft(spectrum * 10 ** ((tilt + bump) / 20), n=audio.shape[0])


def _noisy(audio: Float[Tensor, "n"], generator: Generator) -> Float[Tensor, "n"]:
    """White noise 20 to 60 dB below the signal."""
    level = audio.square().mean().sqrt() * 10 ** (_uniform(-60.0, -20.0, generator) / 20)
    return audio + level * torch.randn(audio.shape, generator=generator).to(audio)


def _uniform(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * torch.rand((), generator=generator).item()


def _chance(probability: float, generator: Generator) -> bool:
    return _uniform(0.0, 1.0, generator) < probability
