"""Chroma similarity on librosa's chroma with the pitfalls that were measured, and lane accuracy against mir_eval."""

import math
import warnings

import librosa
import mir_eval
import numpy as np
import pytest
import torch

from counterpoint.metrics.melody import HOP, SAMPLE_RATE, WINDOW, lane, lane_figures, melody_argmax, melody_soft, sounding
from counterpoint.music import Note


def chroma(audio: torch.Tensor) -> torch.Tensor:
    """AudioCraft's configuration, by librosa: ceil(n / hop) frames."""
    mono = audio.mean(0).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frames = librosa.feature.chroma_stft(
            y=mono, sr=SAMPLE_RATE, n_fft=WINDOW, hop_length=HOP, tuning=0.0, norm=np.inf, pad_mode="reflect"
        )
    return torch.from_numpy(frames[:, : -(-len(mono) // HOP)])


def tune(semitones: float = 0.0, seconds: float = 4.0) -> torch.Tensor:
    """Eight notes of four partials."""
    time = torch.arange(round(seconds / 8 * SAMPLE_RATE)) / SAMPLE_RATE
    notes = []
    for step in (0, 4, 7, 12, 9, 5, 2, 11):
        hertz = 261.63 * 2 ** ((step + semitones) / 12)
        notes.append(sum(torch.sin(2 * torch.pi * k * hertz * time) / k**2 for k in range(1, 5)))
    return 0.3 * torch.cat(notes)[None]


def noise(seed: int, seconds: float = 4.0) -> torch.Tensor:
    return 0.1 * torch.randn(1, round(seconds * SAMPLE_RATE), generator=torch.Generator().manual_seed(seed))


def test_a_tune_is_like_itself_and_not_like_its_neighbour():
    one, other = chroma(tune()), chroma(tune(1.0))
    assert melody_argmax(one, one) == 1 and melody_soft(one, one) == pytest.approx(1)
    assert melody_argmax(one, other) <= 0.05
    assert melody_soft(one, other) > 0.1  # which is why the two never share a column
    assert melody_argmax(chroma(tune(12.0)), one) > 0.9  # an octave up is the same tune


def test_argmax_is_the_cosine_of_one_hot_frames():
    one, other = (torch.from_numpy(np.random.default_rng(seed).random((12, 50))) for seed in (0, 1))
    hot = [torch.nn.functional.one_hot(x.argmax(0), 12).double() for x in (one, other)]
    assert melody_argmax(one, other) == pytest.approx(torch.cosine_similarity(*hot, dim=1).mean().item())
    soft = (torch.nn.functional.normalize(one, dim=0) * torch.nn.functional.normalize(other, dim=0)).sum(0).mean().item()
    assert melody_soft(one, other) == pytest.approx(soft)
    assert melody_argmax(one[:, :30], other) == melody_argmax(one[:, :30], other[:, :30])


def test_silence_is_no_tune_where_it_is_told():
    silence = torch.zeros(1, 4 * SAMPLE_RATE)
    empty, quiet = torch.zeros(12, 32), sounding(silence)
    assert melody_argmax(empty, empty) == 1  # the pitfall, kept as AudioCraft has it
    assert math.isnan(melody_argmax(empty, empty, quiet, quiet))
    loud = sounding(tune())
    assert loud.all() and len(loud) == 32 == chroma(tune()).shape[1]
    assert melody_argmax(empty, chroma(tune()), quiet, loud) == 0
    half = torch.cat([tune()[:, : 2 * SAMPLE_RATE], 1e-4 * noise(0, 2.0)], dim=1)  # then, 75 dB below
    halved = sounding(half)
    assert halved[:15].all() and not halved[18:].any()
    ours = melody_argmax(chroma(half), chroma(half), halved, halved)
    assert ours == 1
    assert melody_argmax(chroma(half), chroma(tune()), halved, loud) == pytest.approx(halved.double().mean().item(), abs=0.07)


def test_noise_scores_what_chance_does():
    values = [melody_argmax(chroma(noise(i)), chroma(noise(i + 50))) for i in range(6)]
    assert np.mean(values) < 0.25
    assert np.mean([melody_soft(chroma(noise(i)), chroma(noise(i + 50))) for i in range(6)]) > 0.4


def test_mistakes_are_told():
    one = chroma(tune())
    with pytest.raises(ValueError, match="of neither"):
        melody_argmax(one, one, sounding(tune()))
    with pytest.raises(ValueError, match="not numbers"):
        melody_argmax(one * math.nan, one)
    for audio in (torch.zeros(1, 0), torch.full((1, 9), math.nan)):
        with pytest.raises(ValueError, match="empty or holds"):
            sounding(audio)
    assert math.isnan(melody_argmax(torch.zeros(12, 0), one))
    assert melody_argmax(one[:, :1], one[:, :1]) == 1


def test_a_lane_is_the_notes_in_its_middles():
    notes = [Note(0.0, 0.04, 60, 90), Note(0.04, 0.1, 64, 90), Note(0.06, 0.08, 67, 90), Note(0.16, 9.0, 72, 90)]
    assert lane(notes, 0.2, 50.0).tolist() == [60, 60, 64, 67, 64, 0, 0, 0, 72, 72]
    assert lane([Note(0.0, 1.0, 60, 90), Note(0.0, 1.0, 48, 90)], 0.06, 50.0).tolist() == [60] * 3
    assert lane([Note(0.04, 0.1, 48, 90), Note(0.0, 0.1, 60, 90)], 0.1, 50.0).tolist() == [60, 60, 48, 48, 48]
    assert lane([], 0.06, 50.0).tolist() == [0] * 3


def test_lane_accuracies_are_mir_evals():
    rng = np.random.default_rng(0)
    for _ in range(20):
        real = rng.integers(57, 64, 200) * (rng.random(200) < 0.7)
        made = np.where(rng.random(200) < 0.5, real, rng.integers(57, 64, 200))
        made = (made + 12 * (rng.random(200) < 0.2)) * (rng.random(200) < 0.8) * (made > 0)
        voiced, cents = [[(line > 0).astype(float), 100.0 * line] for line in (real, made)], mir_eval.melody
        expected = {
            "pitch": cents.raw_pitch_accuracy(*voiced[0], *voiced[1]),
            "chroma": cents.raw_chroma_accuracy(*voiced[0], *voiced[1]),
            "overall": cents.overall_accuracy(*voiced[0], *voiced[1]),
        }
        assert lane_figures(made.astype(np.int16), real.astype(np.int16)) == pytest.approx(expected)


def test_lanes_without_a_tune():
    none, some = np.zeros(5, np.int16), np.full(5, 60, np.int16)
    figures = lane_figures(some, none)
    assert math.isnan(figures["pitch"]) and math.isnan(figures["chroma"]) and figures["overall"] == 0
    assert lane_figures(none, some) == {"pitch": 0.0, "chroma": 0.0, "overall": 0.0}
    assert math.isnan(lane_figures(none[:0], none)["overall"])
    assert lane_figures(some[:1], some)["pitch"] == 1
