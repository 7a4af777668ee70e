"""The ear without weights: what its 64 numbers are, by another computation and in closed form, and that they stay."""

import numpy as np
import pytest
import torch
from torch import Tensor

from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.embedders.frames import CodecFrames
from counterpoint.embedders.logmel import LogMel, log_mel
from counterpoint.types import Spec

EAR = LogMel()


def music(seconds: float) -> Tensor:
    place = torch.arange(round(32000 * seconds), dtype=torch.float64) / 32000
    glide = torch.sin(2 * torch.pi * 440 * place * (1 + place / 20))
    strokes = torch.sin(1e5 * torch.sin(1e4 * place)) * torch.exp(-(place % 0.5) * 8)
    return (0.2 * glide + 0.05 * strokes).float()


def by_the_book(wave: np.ndarray) -> np.ndarray:
    """Frame by frame and band by band: Hann windows of 2000 every 500, centred at odd multiples of 250; HTK mels."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(2000) / 2000)
    padded = np.concatenate([np.zeros(750), wave, np.zeros(2000)])
    edges = 700 * (np.exp(np.linspace(0, 1127 * np.log(1 + 16000 / 700), 34) / 1127) - 1)
    hertz = np.arange(1001) * 16.0
    filters = [np.interp(hertz, edges[band : band + 3], [0, 1, 0]) for band in range(32)]
    rows = []
    for start in range(0, len(wave), 500):
        power = np.abs(np.fft.rfft(padded[start : start + 2000] * window) * 2 / 1000) ** 2
        rows.append([np.log10(shape @ power / shape.sum() + 1e-8) for shape in filters])
    return np.array(rows)


def test_bands_are_those_of_another_computation() -> None:
    wave = music(1.3)
    expected = by_the_book(wave.double().numpy())
    made = log_mel(wave).numpy()
    assert made.shape == expected.shape == (84, 32) and np.abs(made - expected).max() < 2e-3


def test_numbers_are_means_and_deviations_of_seconds() -> None:
    wave = music(2.6)
    frames = by_the_book(wave.double().numpy())
    seconds = [frames[:64], frames[64:128], frames[128:]]
    expected = np.array([[*second.mean(0), *second.std(0)] for second in seconds])
    assert np.abs(EAR.embed(wave) - expected).max() < 2e-3


@pytest.mark.parametrize("seconds, rows", [(0.05, 1), (1.0, 1), (1.48, 1), (1.5, 2), (10.0, 10), (10.3, 10)])
def test_a_row_is_a_second(seconds: float, rows: int) -> None:
    assert EAR.embed(music(seconds)).shape == (rows, 64)


def test_a_gain_moves_means_by_what_it_says_and_no_deviation() -> None:
    noise = 0.3 * torch.randn(64000, generator=torch.Generator().manual_seed(0))
    moved = EAR.embed(10 ** (-6 / 20) * noise) - EAR.embed(noise)
    assert np.abs(moved[:, :32] + 0.6).max() < 1e-3 and np.abs(moved[:, 32:]).max() < 1e-3
    assert (moved.mean(0) ** 2).sum() == pytest.approx(32 * 0.6**2, rel=1e-2)


def test_what_lies_under_the_floor_is_silence() -> None:
    hiss = 1e-5 * torch.randn(32000, generator=torch.Generator().manual_seed(0))
    silence = EAR.embed(torch.zeros(32000))
    assert np.array_equal(silence, np.array([[-8.0] * 32 + [0.0] * 32]))
    assert np.abs(EAR.embed(hiss) - silence).max() < 0.01, "nor does it hear what 16 bits leave behind"


def test_numbers_stay() -> None:
    """Where a change of these is meant, the version goes up."""
    row = EAR.embed(music(1.0))[0]
    assert EAR.identity == "logmel 1"
    assert np.abs(row[[3, 10, 20, 31]] - GIVEN[:4]).max() < 1e-4
    assert np.abs(row[[35, 42, 52, 63]] - GIVEN[4:]).max() < 1e-4


GIVEN = [-6.27184, -6.89663, -6.92069, -6.93517, 0.84304, 0.75472, 0.75756, 0.76869]


def test_frames_are_the_codecs_own() -> None:
    codec = SpectralConfig.tiny().build()
    ear = CodecFrames(codec.encode, codec.spec, codec.sample_rate, codec.channels, "tiny 1", "0f3a91c2")
    audio = 0.1 * torch.randn(codec.sample_rate, generator=torch.Generator().manual_seed(0))
    assert ear.identity == "codec 1 of tiny 1 (sha256 0f3a91c2)"
    with torch.no_grad():
        assert np.array_equal(ear.embed(audio), codec.encode(audio[None, None])[0].numpy())


def test_a_codec_of_two_channels_hears_one_sound_on_both() -> None:
    given: list[Tensor] = []

    def encode(audio: Tensor) -> Tensor:
        given.append(audio)
        return torch.ones(1, 3, 5)

    ear = CodecFrames(encode, Spec(rate=25.0, dim=5), 16000, channels=2)
    assert ear.embed(torch.arange(4.0)).shape == (3, 5)
    assert torch.equal(given[0], torch.arange(4.0).expand(1, 2, 4))
