"""The distance by ear: A-weighting against its formula and scipy, spectra against librosa, and what it is not fooled by."""

import librosa
import numpy as np
import pytest
import scipy.signal
import torch

from counterpoint.nn.perceptual import StftDistance, a_weighting, a_weighting_filter

RATE = 32000


def sounds(channels: int = 1, samples: int = 8000) -> tuple[torch.Tensor, torch.Tensor]:
    """Two items each of something made and something real, alike but not the same."""
    gen = torch.Generator().manual_seed(0)
    real = 0.3 * torch.randn(2, channels, samples, generator=gen) * torch.linspace(1, 0, samples)
    return 0.6 * real + 0.05 * torch.randn(2, channels, samples, generator=gen), real


def test_the_curve_is_the_standards():
    """IEC 61672-1, table 3: design goals in dB, given to a tenth."""
    table = {31.5: -39.4, 63: -26.2, 125: -16.1, 250: -8.6, 500: -3.2, 1000: 0.0, 2000: 1.2, 4000: 1.0, 8000: -1.1, 16000: -6.6}
    nominal = 1000 * 10 ** (np.round(10 * np.log10(np.array(list(table)) / 1000)) / 10)  # the table's exact frequencies
    np.testing.assert_allclose(20 * np.log10(a_weighting(nominal)), list(table.values()), atol=0.06)


@pytest.mark.parametrize("rate", [32000, 44100])
def test_the_filter_follows_the_curve(rate):
    taps = a_weighting_filter(rate).numpy().astype(np.float64)
    assert len(taps) == 101 and np.array_equal(taps, taps[::-1])
    hertz = np.linspace(500, rate / 2 - 500, 200)
    response = np.abs(scipy.signal.freqz(taps, worN=hertz, fs=rate)[1])
    np.testing.assert_allclose(20 * np.log10(response), 20 * np.log10(a_weighting(hertz)), atol=0.5)
    assert abs(scipy.signal.freqz(taps, worN=[20.0], fs=rate)[1][0]) < 0.12  # -50 dB is out of its reach


def test_the_filter_is_scipys_least_squares():
    grid = np.linspace(0, RATE / 2, 1024)
    edges = np.repeat(grid, 2)[1:-1]
    expected = scipy.signal.firls(101, edges, a_weighting(edges), fs=RATE)
    np.testing.assert_allclose(a_weighting_filter(RATE).numpy(), expected, atol=1e-4)


def by_hand(made: np.ndarray, real: np.ndarray, legacy: bool = False) -> float:
    """Another's filter and another's spectra, one signal at a time."""
    taps = a_weighting_filter(RATE).numpy().astype(np.float64)
    total = []
    for size in (2048, 1024, 512, 256, 128, 64, 32):
        ours, theirs = (
            np.maximum(
                np.abs(librosa.stft(np.convolve(x, taps, "same"), n_fft=size, hop_length=size // 4, pad_mode="reflect")), 1e-4
            )
            for x in (made, real)
        )
        convergence = np.linalg.norm(theirs - ours) / np.linalg.norm(ours if legacy else theirs)
        total.append(convergence + np.mean(np.abs(np.log(theirs) - np.log(ours))))
    return float(np.mean(total))


@pytest.mark.parametrize("legacy", [False, True])
def test_it_is_what_librosa_hears(legacy):
    made, real = sounds()
    expected = np.mean(
        [by_hand(m.numpy(), r.numpy(), legacy) for m, r in zip(made[:, 0].double(), real[:, 0].double(), strict=True)]
    )
    assert StftDistance(RATE, legacy=legacy)(made, real).item() == pytest.approx(expected, rel=1e-4)


def test_stereo_is_heard_in_its_channels_and_in_their_sum_and_difference():
    made, real = sounds(channels=2)
    expected = []
    for m, r in zip(made.double().numpy(), real.double().numpy(), strict=True):
        sides = by_hand(m[0] + m[1], r[0] + r[1]) + by_hand(m[0] - m[1], r[0] - r[1])
        expected.append(sides / 2 + by_hand(m[0], r[0]) / 2 + by_hand(m[1], r[1]) / 2)
    assert StftDistance(RATE)(made, real).item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_no_reward_for_loudness_unless_legacy():
    """Ten times too loud and too soft are as far off by the logarithm; the reference's convergence prefers the former."""
    _, real = sounds()
    loud, soft = (
        {legacy: StftDistance(RATE, legacy=legacy)(gain * real, real).item() for legacy in (True, False)} for gain in (10, 0.1)
    )
    assert loud[True] < soft[True] and soft[False] < loud[False]


def test_silence_has_a_gradient():
    silence = torch.zeros(1, 1, 4000, requires_grad=True)
    loss = StftDistance(RATE)(silence, sounds(samples=4000)[1][:1])
    loss.backward()
    assert loss.isfinite() and silence.grad is not None and silence.grad.isfinite().all()
