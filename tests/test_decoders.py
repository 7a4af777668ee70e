"""Decoders on guesses that are sure, the chroma against librosa's, and the labels that the listener learns from."""

import math
import sys
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import listener_data
from counterpoint.analysis.beats import LONGEST, decode_pulse, tempo_of
from counterpoint.analysis.chords import decode_chords, steadiest
from counterpoint.analysis.chroma import chroma
from counterpoint.analysis.drums import decode_drums
from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.analysis.listener import NO_CHORD, QUALITIES
from counterpoint.analysis.melody import decode_melody, notes_of
from counterpoint.analysis.spectrum import BINS
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track

torch.set_num_threads(1)


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0))


def guessed(beats: list[float], downbeats: list[float], frames: int) -> np.ndarray:
    """Sure guesses of these events, as the network learns to make them."""
    places = np.full((2, 64), np.nan)
    for row, times in zip(places, (beats, downbeats), strict=True):
        row[: len(times)] = np.array(times) * 50
    return 0.96 * listener_data._pulses(places, frames) + 0.01


@pytest.mark.parametrize(("bpm", "metre"), [(61.0, 4), (97.3, 3), (120.0, 4), (142.7, 2), (188.0, 4)])
def test_sure_guesses_become_their_beats(bpm, metre):
    beats = [0.31 + i * 60 / bpm for i in range(int(9.5 * bpm / 60))]
    pulse = decode_pulse(guessed(beats, beats[1::metre], 500), 50.0)
    assert np.abs(np.array(pulse.beats[-len(beats) :]) - beats).max() < 0.008
    assert pulse.tempo == pytest.approx(bpm, rel=0.003)
    assert np.allclose(pulse.downbeats[-len(beats[1::metre]) :], beats[1::metre], atol=0.008)


def test_a_beat_that_nobody_guessed_is_found():
    beats = [0.5 * i + 0.2 for i in range(19)]
    told = [time for i, time in enumerate(beats) if i not in (5, 6, 11)]
    assert np.allclose(decode_pulse(guessed(told, beats[::4], 490), 50.0).beats, beats, atol=0.03)


def test_a_beat_that_begins_with_the_sound_is_found():
    beats = [0.5 * i for i in range(20)]
    guesses = guessed(beats, beats[::4], 500)
    guesses[:, :2] = 0.01
    assert decode_pulse(guesses, 50.0).downbeats[0] == pytest.approx(0.0, abs=0.02)


def test_a_slowing_pulse_is_followed():
    beats = list(np.cumsum(np.linspace(0.45, 0.65, 18)))
    pulse = decode_pulse(guessed(beats, beats[::4], 520), 50.0)
    assert np.abs(np.array(pulse.beats[-18:]) - beats).max() < 0.02


def test_a_pulse_that_changes_its_tempo_at_once_is_followed():
    beats = list(np.cumsum([0.4] * 9 + [0.6] * 9))
    pulse = decode_pulse(guessed(beats, beats[::4], 520), 50.0)
    assert len(pulse.beats) >= 18 and np.abs(np.array(pulse.beats[-18:]) - beats).max() < 0.02


def test_no_guesses_no_pulse():
    assert decode_pulse(np.full((2, 500), 0.01), 50.0).beats == ()
    assert decode_pulse(np.full((2, 1), 0.9), 50.0).tempo != decode_pulse(np.full((2, 1), 0.9), 50.0).tempo
    assert math.isnan(tempo_of(np.array([0.0, 0.5]))) and tempo_of(np.array([0.0, 0.5, 1.0])) == pytest.approx(120)
    assert LONGEST / 50.0 > 1.2


def test_the_steadiest_path_is_the_best_of_all_paths():
    scores = np.random.default_rng(1).normal(0, 1, (3, 7))

    def worth(path: tuple[int, ...]) -> float:
        return sum(scores[s, t] for t, s in enumerate(path)) - 0.8 * sum(a != b for a, b in pairwise(path))

    best = max(np.ndindex(*(3,) * 7), key=worth)
    assert tuple(steadiest(scores, 0.8)) == best


def test_chords_change_on_beats_and_cover_the_sound():
    guesses = np.full((NO_CHORD + 1, 50), -8.0)
    minor = 9 * len(QUALITIES) + QUALITIES.index("min")
    guesses[minor, :25] = guesses[NO_CHORD, 25:] = 0.0
    spans = decode_chords(guesses, 50.0, 4.0, beats=(0.0, 1.05, 2.05, 3.0))
    assert spans == (ChordSpan(0.0, 2.05, Chord(9, "min")), ChordSpan(2.05, 4.0, None))
    assert decode_chords(guesses, 50.0, 4.0)[0].end == pytest.approx(1.99)


def test_melody_frames_lie_where_they_should():
    guesses = np.full((HIGHEST - LOWEST + 2, 50), -9.0)
    guesses[0, :20] = guesses[30, 20:] = 0.0
    melody = decode_melody(guesses, 50.0, 2.0)
    assert len(melody) == 100 and set(melody) == {0, LOWEST + 29}
    assert notes_of(melody) == ((pytest.approx(0.8, abs=0.021), 2.0, LOWEST + 29),)


def test_drum_peaks_lie_between_frames():
    guesses = np.zeros((4, 100))
    guesses[0, 9:12] = (0.2, 0.8, 0.6)
    found = decode_drums(guesses, 50.0)
    assert found["kick"] == (pytest.approx((10 + 0.25) / 50),) and found["snare"] == ()


# Chroma ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [200_000, 16384, 9000])
def test_chroma_is_librosas(count):
    sound = torch.sin(torch.arange(count) * 0.05) + 0.3 * noise(count)
    padded = np.pad(sound.double().numpy(), (0, max(0, 16384 - count)))
    settings = {"sr": 32000, "n_fft": 16384, "hop_length": 4096, "tuning": 0, "norm": np.inf, "pad_mode": "reflect"}
    oracle = librosa.feature.chroma_stft(y=padded, **settings)
    ours = chroma(sound[None], 32000).numpy()
    assert ours.shape == oracle.shape and np.abs(ours - oracle).max() < 5e-7
    assert (ours.argmax(0) == oracle.argmax(0)).all()


def test_chroma_of_silence_is_nothing():
    assert not chroma(torch.zeros(2, 100), 44100).any()
    with pytest.raises(ValueError, match="no samples"):
        chroma(torch.zeros(1, 0), 32000)


# What the network learns from -----------------------------------------------------------------------------------------


def score_of(melody: tuple[Note, ...] = (), drums: tuple[Note, ...] = (), label: str = "A:min7") -> Score:
    tracks = (Track("melody", 0, melody), Track("drums", 0, drums))
    spans = (ChordSpan(0.0, 10.0, Chord.parse(label)),)
    return Score(10.0, "test", 120.0, Metre(), Key.parse("A minor"), (0.0, 0.5), (0.0,), spans, tracks)


def test_labels_say_what_the_score_says():
    score = score_of((Note(1.0, 2.0, 60, 90), Note(1.5, 2.5, 72, 90)), (Note(0.25, 0.3, 36, 90), Note(0.252, 0.3, 42, 90)))
    told = listener_data.labels(score)
    melody = told["melody"].astype(int)
    assert melody[[49, 50, 74, 75, 124, 125]].tolist() == [0, 18, 18, 30, 30, 0], "of overlapping notes the later one counts"
    assert set(told["chords"]) == {9 * len(QUALITIES) + QUALITIES.index("min7")} and told["key"] == 19
    assert np.isfinite(told["times"]).sum(1).tolist() == [2, 1, 1, 0, 1, 2]
    assert listener_data.chord_class(Chord.parse("C:sus4")) == listener_data.UNTOLD
    assert listener_data.chord_class(None) == NO_CHORD


def test_transposed_crops_keep_their_labels_true(tmp_path):
    cache = listener_data.Cache(
        np.zeros((1, listener_data.FRAMES, BINS), dtype=np.uint8),
        np.array(["train"]),
        {name: value[None] for name, value in listener_data.labels(score_of((Note(0.0, 10.0, 60, 90),))).items()},
    )
    crop = cache.whole(0)
    crop.spectrum[100] = 1.0
    moved = listener_data._transposed(crop, -2)
    assert (moved.spectrum[94] == 1).all() and (moved.melody == crop.melody - 2).all() and int(moved.key) == 15
    assert (moved.chords == 7 * len(QUALITIES) + QUALITIES.index("min7")).all()
    crops = [cache.crop("train", 400, np.random.default_rng([1, step])) for step in range(12)]
    assert {tuple(one.spectrum.shape) for one in crops} == {(BINS, 400)} and all(
        torch.isfinite(c.spectrum).all() for c in crops
    )
    again = cache.crop("train", 400, np.random.default_rng([1, 3]))
    assert torch.equal(again.spectrum, crops[3].spectrum)
