"""Waveform and spectral distances against torchmetrics and librosa, tokens against closed forms and scipy; ViSQOL's order."""

import math
import sys

import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import torch
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio

from counterpoint.metrics import reconstruction
from counterpoint.metrics.reconstruction import bitrate, cut, entropy_rate, log_mel_distance, multi_resolution_stft, si_snr
from counterpoint.metrics.visqol import load, visqol, visqol_score

RATE = 16000


def sounds(channels: int = 1, samples: int = 16384, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Something made and something real, alike but not the same."""
    gen = torch.Generator().manual_seed(seed)
    real = 0.3 * torch.randn(channels, samples, generator=gen) * torch.linspace(1, 0.1, samples)
    return 0.6 * real + 0.05 * torch.randn(channels, samples, generator=gen), real


def test_si_snr_is_torchmetrics():
    for seed in range(5):
        made, real = sounds(2, seed=seed)
        made = made + 0.1  # a constant is no error
        expected = scale_invariant_signal_noise_ratio(made.double(), real.double()).mean().item()
        assert si_snr(made, real) == pytest.approx(expected, abs=1e-6)
        assert si_snr(7 * made, real) == pytest.approx(expected, abs=1e-4)


def test_si_snr_at_its_ends():
    time = torch.arange(16000) / 16000
    sine, cosine = torch.sin(2 * torch.pi * 100 * time)[None], torch.cos(2 * torch.pi * 100 * time)[None]
    assert si_snr(sine + 0.1 * cosine, sine) == pytest.approx(20, abs=1e-3)
    assert si_snr(sine, sine) == 150
    assert si_snr(torch.zeros_like(sine), sine) == -150  # none of it is there
    assert math.isnan(si_snr(sine, torch.zeros_like(sine))) and math.isnan(si_snr(sine, torch.ones_like(sine)))


def mel(audio: np.ndarray, size: int) -> np.ndarray:
    hop = size // 4
    padded = np.pad(audio, (size - hop) // 2, mode="reflect")
    settings = {"n_mels": 80, "htk": True, "norm": None, "center": False, "sr": RATE}
    return np.log10(1e-5 + librosa.feature.melspectrogram(y=padded, n_fft=size, hop_length=hop, **settings))


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("sizes", [(1024,), (512, 1024, 2048)])
def test_log_mel_distance_is_librosas(sizes):
    made, real = sounds()
    waves = [audio[0].double().numpy() for audio in (made, real)]
    expected = np.mean([np.abs(mel(waves[0], size) - mel(waves[1], size)).mean() for size in sizes])
    assert log_mel_distance(made, real, RATE, sizes) == pytest.approx(expected, abs=3e-7)


def test_log_mel_distance_of_a_level():
    """Ten times quieter is a hundredth of the power, 2 in its logarithm, where it is far above the floor."""
    _, real = sounds()
    assert log_mel_distance(real, real, RATE) == 0
    assert log_mel_distance(10 * real, 100 * real, RATE) == pytest.approx(2, abs=0.01)
    assert log_mel_distance(-real, real, RATE) == 0
    assert log_mel_distance(torch.zeros(1, 2000), torch.zeros(1, 2000), RATE) == 0


def test_multi_resolution_stft_is_librosas():
    made, real = sounds()
    real[:, 9000:] *= 1e-7  # far under the floor
    waves, distances = [audio[0].double().numpy() for audio in (made, real)], []
    for size in (2048, 1024, 512):
        ours, theirs = (np.abs(librosa.stft(wave, n_fft=size, hop_length=size // 4)) for wave in waves)
        floor = theirs.max() * 1e-4
        logs = np.abs(np.log(np.maximum(ours, floor)) - np.log(np.maximum(theirs, floor))).mean()
        distances.append(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) + logs)
    assert multi_resolution_stft(made, real) == pytest.approx(np.mean(distances), abs=1e-6)
    assert multi_resolution_stft(real, real) == 0
    assert math.isnan(multi_resolution_stft(made, 0 * real))


def test_channels_are_a_mean():
    made, real = sounds(2)
    for metric in (si_snr, multi_resolution_stft, lambda a, b: log_mel_distance(a, b, RATE)):
        alone = [metric(made[[i]], real[[i]]) for i in range(2)]
        assert metric(made, real) == pytest.approx(np.mean(alone))


def test_mistakes_are_told():
    made, real = sounds()
    for metric in (si_snr, multi_resolution_stft, lambda a, b: log_mel_distance(a, b, RATE)):
        with pytest.raises(ValueError, match="sample by sample"):
            metric(made[:, 1:], real)
        with pytest.raises(ValueError, match="not numbers"):
            metric(made * math.nan, real)
        assert not math.isnan(metric(*cut(made[:, 5:], real)))
    with pytest.raises(ValueError, match="give longer ones"):
        multi_resolution_stft(made[:, :500], real[:, :500])


def test_what_tokens_cost():
    even = torch.arange(64).repeat(2)[None]
    tokens = torch.cat([even, torch.zeros_like(even)])
    np.testing.assert_allclose(reconstruction.perplexity(tokens, 64), [64, 1])
    np.testing.assert_allclose(reconstruction.use(tokens, 128), [0.5, 1 / 128])
    assert bitrate(50.0, 4, 2048) == 2200  # EnCodec at 32 kHz
    assert entropy_rate(50.0, tokens, 64) == pytest.approx(50 * 6)
    drawn = torch.from_numpy(np.random.default_rng(0).geometric(0.2, (3, 500)).clip(max=31))
    entropies = [scipy.stats.entropy(np.bincount(level)) for level in drawn.numpy()]
    np.testing.assert_allclose(reconstruction.perplexity(drawn, 32), np.exp(entropies))
    for wrong in (torch.zeros(2, 0, dtype=torch.long), torch.full((1, 3), 64), torch.full((1, 3), -1)):
        with pytest.raises(ValueError, match="from 0 to 63"):
            reconstruction.perplexity(wrong, 64)
    with pytest.raises(ValueError, match="no stream"):
        bitrate(0.0, 4, 2048)


def test_visqol_orders_what_ears_do():
    pytest.importorskip("visqol", reason="needs the extra 'visqol'")
    gen, rate = torch.Generator().manual_seed(0), 32000
    time = torch.arange(rate) / rate
    hertz = (220.0, 440.0, 1320.0, 3520.0, 7040.0)
    real = sum(torch.sin(2 * torch.pi * f * time) * (0.6 + 0.4 * torch.sin(5 * f * time / 220)) for f in hertz)[None] / 10
    real = real + 0.005 * torch.randn(real.shape, generator=gen)
    api = load()
    noises = [real + level * torch.randn(real.shape, generator=gen) for level in (0.01, 0.3)]
    opinions = [visqol(made, real, rate, api) for made in (real, *noises)]
    assert opinions[0] > 4.7 and opinions == sorted(opinions, reverse=True) and opinions[-1] < 2.5
    edges = [scipy.signal.butter(8, edge, fs=rate, output="sos") for edge in (8000, 3500)]
    dull = [torch.from_numpy(scipy.signal.sosfiltfilt(edge, real.numpy()).copy()).float() for edge in edges]
    assert opinions[0] > visqol(dull[0], real, rate, api) > visqol(dull[1], real, rate, api)
    assert math.isnan(visqol(real, 0 * real, rate, api)) and math.isnan(visqol(0 * real, real, rate, api))
    with pytest.raises(ValueError, match="not numbers"):
        visqol(real * math.nan, real, rate, api)


def test_visqol_that_fails_is_no_zero(monkeypatch):
    score = visqol_score([4.0, math.nan, 3.0, math.nan])
    assert score.value == 3.5 and score.n == 2 and any("50%" in note for note in score.notes)
    assert not any("failed" in note for note in visqol_score([4.0, 3.0]).notes)
    monkeypatch.setitem(sys.modules, "visqol", None)
    with pytest.raises(ValueError, match=r"pip install 'counterpoint\[visqol\]'"):
        visqol(torch.ones(1, 9), torch.ones(1, 9), RATE)
