"""Mel spectra and the distance that EnCodec is trained by, against librosa."""

import librosa
import numpy as np
import pytest
import torch

from counterpoint.nn.spectral import MelDistance, mel_filters, mel_triangles


@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
@pytest.mark.parametrize(("bands", "size", "low"), [(64, 1024, 64.0), (64, 64, 64.0), (128, 2048, 0.0)])
def test_triangles_are_librosas(bands, size, low):
    theirs = librosa.filters.mel(sr=32000, n_fft=size, n_mels=bands, fmin=low, htk=True, norm=None)
    np.testing.assert_allclose(mel_triangles(bands, size, 32000, low).numpy(), theirs, atol=2e-4)


@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
def test_filters_that_sum_to_one_leave_no_band_empty():
    filters = mel_filters(128, 512, 32000)
    torch.testing.assert_close(filters.sum(1), torch.ones(128))
    theirs = librosa.filters.mel(sr=32000, n_fft=512, n_mels=128, htk=True, norm=None)[64:]
    np.testing.assert_allclose(filters[64:].numpy(), theirs / theirs.sum(1, keepdims=True), atol=2e-4)


def mel_by_librosa(audio: np.ndarray, size: int) -> np.ndarray:
    """Powers by unit-energy windows that hop by a quarter, over the reflected signal."""
    hop = size // 4
    margin = (size - hop) // 2
    padded = np.pad(np.pad(audio, (margin, margin), mode="reflect"), (0, -len(audio) % hop))
    energy = np.sum(librosa.filters.get_window("hann", size) ** 2)
    mel = {"sr": 16000, "n_fft": size, "hop_length": hop, "center": False, "n_mels": 64, "fmin": 64.0, "htk": True}
    return librosa.feature.melspectrogram(y=padded, norm=None, power=2.0, **mel) / energy


@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
@pytest.mark.parametrize("samples", [4000, 4096])
def test_the_distance_is_that_of_librosas_spectra(samples):
    made, real = (0.3 * np.random.default_rng(seed).standard_normal((2, 1, samples)).astype(np.float32) for seed in (1, 2))
    real[:, :, : samples // 2] *= 1e-3
    terms = []
    for size in (64, 128, 256, 512, 1024):
        ours, theirs = (np.stack([mel_by_librosa(item[0], size) for item in audio]) for audio in (made, real))
        logarithms = np.log10(1e-5 + ours) - np.log10(1e-5 + theirs)
        terms += [np.abs(ours - theirs).mean(), np.square(logarithms).mean()]
    distance = MelDistance(16000)(torch.from_numpy(made), torch.from_numpy(real))
    np.testing.assert_allclose(distance.item(), np.mean(terms), rtol=1e-4)


def test_the_distance_of_a_sound_from_itself_is_nothing_and_every_channel_counts():
    distance, audio = MelDistance(8000), torch.randn(2, 2, 3000, generator=torch.Generator().manual_seed(0))
    assert distance(audio, audio) == 0
    for channel in range(2):
        changed = audio.clone()
        changed[1, channel] *= 2
        assert distance(changed, audio) > 0.01
