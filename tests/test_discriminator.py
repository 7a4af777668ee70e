"""The discriminator's sizes by hand, its spectra by scipy, and that it hears every part of the audio."""

import numpy as np
import pytest
import torch
from scipy import signal

from counterpoint.nn.discriminator import SpectrogramDiscriminator, SpectrogramDiscriminators


def by_hand(channels: int, width: int) -> int:
    """Weights, gains and biases of one network: 3 x 9 in, three of 3 x 9, one of 3 x 3, 3 x 3 out."""
    first = 2 * channels * width * 27 + 2 * width
    middle = width * width * 27 + 2 * width
    square = width * width * 9 + 2 * width
    return first + 3 * middle + square + width * 9 + 2


@pytest.mark.parametrize(("channels", "width", "count"), [(1, 32, 94_498), (2, 8, None)])
def test_parameters(channels, width, count):
    assert count is None or by_hand(channels, width) == count
    made = SpectrogramDiscriminators(channels=channels, width=width)
    assert sum(parameter.numel() for parameter in made.parameters()) == 5 * by_hand(channels, width)


def test_every_network_halves_the_frequencies_three_times_and_keeps_time():
    logits, features = SpectrogramDiscriminators((128, 64), width=4)(torch.randn(2, 1, 640))
    assert [tuple(part.shape) for part in logits] == [(2, 1, 17, 9), (2, 1, 37, 5)]
    assert [tuple(part.shape) for part in features[0]] == [(2, 4, 17, f) for f in (65, 33, 17, 9, 9)]


def test_spectra_are_scipys():
    audio = np.random.default_rng(0).standard_normal((2, 2, 700))
    judge = SpectrogramDiscriminator(128, channels=2, width=4)
    ours = judge.spectrum(torch.from_numpy(audio).float())
    window = signal.get_window("hann", 128)
    frames = np.lib.stride_tricks.sliding_window_view(audio, 128, axis=-1)[:, :, ::32]
    theirs = np.fft.rfft(frames * (window / np.sqrt(np.sum(window**2))))
    expected = np.concatenate([theirs.real, theirs.imag], axis=1)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_the_gradient_reaches_every_sample_that_a_whole_window_covers():
    torch.manual_seed(0)
    audio = torch.randn(1, 1, 640, requires_grad=True)
    logits, _ = SpectrogramDiscriminators((128, 64), width=4)(audio)
    sum(part.square().sum() for part in logits).backward()
    assert (audio.grad[0, 0, 1:] != 0).all()


def test_items_are_judged_apart():
    torch.manual_seed(0)
    made, audio = SpectrogramDiscriminators((128, 64), width=4), torch.randn(3, 1, 640)
    together, alone = made(audio)[0], made(audio[1:2])[0]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[1:2], other)
