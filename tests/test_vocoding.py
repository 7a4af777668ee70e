"""Pitch tracking on tones of known pitch and against librosa, and CARGAN's figures on what is known by construction."""

import math
import sys
import types

import librosa
import numpy as np
import pytest
import torch

from counterpoint.metrics.vocoding import SAMPLE_RATE, Voice, compare, crepe, hysteresis, pooled, vocoding_scores, yin

RATE = 22050


def tone(hertz: torch.Tensor | float, seconds: float = 1.0, rate: int = RATE) -> torch.Tensor:
    """Six partials; a pitch may move."""
    phase = 2 * torch.pi * torch.cumsum(torch.as_tensor(hertz, dtype=torch.float64).expand(round(seconds * rate)) / rate, 0)
    return 0.2 * sum(torch.sin(k * phase) / k for k in range(1, 7))[None].float()


@pytest.mark.parametrize("hertz", [55.0, 98.0, 220.0, 329.63, 523.25])
def test_the_pitch_of_a_tone(hertz):
    heard = yin(tone(hertz), RATE)
    middle = slice(4, -4)
    assert heard.voiced[middle].all() and heard.periodicity[middle].min() > 0.95
    assert np.abs(1200 * np.log2(heard.hertz[middle] / hertz)).max() < 3


def test_a_glide_is_followed_as_librosa_follows_it():
    rate = SAMPLE_RATE
    glide = 110 * 2 ** torch.linspace(0, 2, 2 * rate, dtype=torch.float64)
    audio = tone(glide, 2.0, rate)
    ours = yin(audio, rate)
    padded = np.pad(audio[0].double().numpy(), (1024 - 185) // 2, mode="reflect")
    theirs = librosa.yin(padded, fmin=50, fmax=550, sr=rate, frame_length=1024, hop_length=185, center=False)
    middle = slice(10, min(len(theirs), len(ours.hertz)) - 10)
    cents = 1200 * np.log2(ours.hertz[middle] / theirs[middle])
    assert np.sqrt(np.mean(cents**2)) < 15  # their window ends earlier, and the pitch rises 1.4 cents each 185 samples
    truth = glide.numpy()[np.arange(len(ours.hertz))[middle] * 185 + 92]
    assert np.abs(1200 * np.log2(ours.hertz[middle] / truth)).max() < 15


def test_noise_and_silence_are_not_voiced():
    noise = 0.1 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    assert yin(noise, RATE).voiced.mean() < 0.05
    silence = yin(torch.zeros(1, RATE), RATE)
    assert not silence.voiced.any() and not silence.periodicity.any() and np.isfinite(silence.hertz).all()
    assert not yin(1e-5 * tone(220.0), RATE).voiced.any()  # a tone at -114 dB
    figures = compare(silence, silence).figures
    assert math.isnan(figures["pitch_rmse"]) and math.isnan(figures["voiced_f1"]) and figures["periodicity_rmse"] == 0


def test_detuning_is_told_in_cents():
    real, same, sharp = (yin(tone(220.0 * 2 ** (cents / 1200)), RATE) for cents in (0, 0, 50))
    assert compare(same, real).figures == {"pitch_rmse": 0.0, "periodicity_rmse": 0.0, "voiced_f1": 1.0}
    assert compare(sharp, real).figures["pitch_rmse"] == pytest.approx(50, abs=3)


def track(hertz: list[float], periodicity: list[float], voiced: list[bool]) -> Voice:
    return Voice(np.array(hertz), np.array(periodicity), np.array(voiced))


def test_figures_pool_frames_not_clips():
    first = compare(track([440.0], [1.0], [True]), track([220.0], [0.4], [True]))
    second = compare(track([220.0] * 3, [0.5] * 3, [True, True, False]), track([220.0] * 9, [0.5] * 9, [True, False, True] * 3))
    figures = pooled([first, second]).figures
    assert figures["pitch_rmse"] == pytest.approx(math.sqrt(1200**2 / 2))
    assert figures["periodicity_rmse"] == pytest.approx(math.sqrt(0.36 / 4))
    assert figures["voiced_f1"] == pytest.approx(2 * 2 / (3 + 3))  # 2 hits, 1 invented, 1 missed


def test_scores_have_intervals_and_floors():
    rng = np.random.default_rng(0)
    real = [track(list(rng.uniform(100, 400, 30)), [0.9] * 30, [True] * 30) for _ in range(6)]
    made = [Voice(voice.hertz * 2 ** (rng.normal(0, 10, 30) / 1200), voice.periodicity, voice.voiced) for voice in real]
    pitch, periodicity, f1 = vocoding_scores(made, real)
    assert pitch.low <= pitch.value <= pitch.high and 8 < pitch.value < 12 < 300 < pitch.floor and pitch.unit == "cents"
    assert periodicity.value == periodicity.low == periodicity.floor == 0 and f1.value == 1 and f1.n == 6
    alone = vocoding_scores(made[:1], real[:1])
    assert math.isnan(alone[0].floor) and math.isnan(alone[0].low)
    with pytest.raises(ValueError, match="cannot be paired"):
        vocoding_scores(made, real[:1])


def test_a_run_is_voiced_where_it_gets_high_enough():
    hertz = np.full(9, 200.0)
    periodicity = np.array([0.1, 0.25, 0.4, 0.25, 0.1, 0.25, 0.25, 0.1, 0.9])
    assert hysteresis(hertz, periodicity).tolist() == [False, True, True, True, False, False, False, False, True]
    far = np.array([200.0] * 20 + [1600.0])
    kept = hysteresis(far, np.full(21, 0.5))
    assert kept[:20].all() and not kept[20]  # an octave jump must be surer of itself


def test_mistakes_are_told(monkeypatch):
    with pytest.raises(ValueError, match="a frame of pitch"):
        yin(tone(220.0, 0.03), RATE)
    with pytest.raises(ValueError, match="not numbers"):
        yin(tone(220.0) * math.nan, RATE)
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(ValueError, match="pip install torchcrepe"):
        crepe(tone(220.0), RATE)


def test_crepe_is_asked_as_cargan_asks_it(monkeypatch):
    """Of a stand-in: frames as ours, numpy's generator seeded and then left as it was."""
    asked = {}

    def predict(audio, rate, hop, low, high, model, **settings):
        asked.update(samples=audio.shape[-1], rate=rate, hop=hop, low=low, high=high, model=model, **settings)
        frames = 1 + (audio.shape[-1] - 1024) // hop
        return torch.full((1, frames), 220.0 + np.random.rand()), torch.full((1, frames), 0.8)

    monkeypatch.setitem(sys.modules, "torchcrepe", types.SimpleNamespace(predict=predict))
    before = np.random.get_state()[1][:5].tolist()
    one, other = crepe(tone(220.0), RATE), crepe(tone(220.0), RATE)
    assert np.array_equal(one.hertz, other.hertz) and np.random.get_state()[1][:5].tolist() == before
    assert one.voiced.all() and len(one.hertz) == len(yin(tone(220.0), RATE).hertz)
    assert (asked["rate"], asked["hop"], asked["low"], asked["high"], asked["model"]) == (16000, 185, 50.0, 550.0, "full")
