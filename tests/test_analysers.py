"""The benchmarks' analysers against sounds whose tempo, key, chords, notes and onsets are known by construction."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import analysers
import intervals
import spectra
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track

RATE = analysers.RATE


def tone(pitch: float, seconds: float) -> np.ndarray:
    """A plucked tone: four partials that die away."""
    time = np.arange(round(seconds * RATE)) / RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    partials = sum(np.sin(2 * np.pi * k * frequency * time) / k**1.5 for k in range(1, 5))
    return (
        partials * np.exp(-2 * time) * np.minimum(1, time / 0.004) * np.minimum(1, (seconds - time) / 0.08)
    )  # no click at the end


def song(
    bpm: float = 100.0,
    labels: tuple[str, ...] = ("A:min", "D:min", "E:maj", "A:min"),
    key: str = "A minor",
    seconds: float = 10.0,
) -> Score:
    """Chords of four beats, a bass, a melody of chord tones, a back-beat; eight bars or as many as ten seconds hold."""
    beat = 60 / bpm
    chords, bass, comp, melody, drums = [], [], [], [], []
    bars = int(seconds / (4 * beat))
    for bar in range(bars):
        chord = Chord.parse(labels[bar % len(labels)])
        assert chord is not None
        start = bar * 4 * beat
        chords.append(ChordSpan(start, start + 4 * beat, chord))
        for i in range(4):
            at = start + i * beat
            bass.append(Note(at, at + 0.9 * beat, 36 + chord.root, 90))
            comp += [Note(at, at + 0.8 * beat, 55 + (pc - 7) % 12, 60) for pc in chord.pitch_classes]
            drums.append(Note(at, at + 0.1, 36 if i % 2 == 0 else 38, 110))
            drums.append(Note(at + beat / 2, at + beat / 2 + 0.1, 42, 50))
            melody.append(Note(at, at + 0.9 * beat, 72 + chord.pitch_classes[i % 3], 110))
    tracks = [("melody", melody), ("bass", bass), ("comp", comp), ("drums", drums)]
    beats = tuple(i * beat for i in range(4 * bars))
    return Score(
        seconds, "test", bpm, Metre(), Key.parse(key), beats, beats[::4], tuple(chords),
        tuple(Track(role, 0, tuple(notes)) for role, notes in tracks),
    )  # fmt: skip


def render(score: Score) -> analysers.Sound:
    audio = np.zeros(round((score.seconds + 1) * RATE))
    noise = np.random.default_rng(0).standard_normal(RATE)
    for track in score.tracks:
        for note in track.notes:
            if track.role == "drums":
                size = round(0.08 * RATE)
                made = 0.6 * noise[:size] * np.exp(-np.arange(size) / RATE * 60)
            else:
                made = tone(note.pitch, note.end - note.start) * (0.3 if track.role == "comp" else 0.6)
            start = round(note.start * RATE)
            audio[start : start + len(made)] += made * note.velocity / 127
    return analysers.listen((0.2 * audio[: round(score.seconds * RATE)]).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def heard() -> tuple[Score, analysers.Sound]:
    score = song()
    return score, render(score)


def test_all_that_was_played_is_heard(heard):
    figures = analysers.judge(*heard)
    assert figures["tempo"] == figures["octave"] == figures["accuracy2"] == 1
    assert figures["key"] == 1
    assert figures["root"] > 0.9 and figures["majmin"] > 0.9
    assert figures["onsets"] > 0.9 and figures["drums"] > 0.85 and figures["melody"] > 0.9
    assert figures["chroma"] > 0.5


def test_another_score_is_not_heard(heard):
    other = replace(song(bpm=77.0).transpose(6))
    figures = analysers.judge(other, heard[1])
    assert figures["octave"] == 0 and figures["key"] == 0
    assert figures["root"] < 0.3 and figures["chroma"] < 0.1
    assert figures["onsets"] < 0.6 and figures["melody"] < 0.4


@pytest.mark.parametrize("bpm", [66.0, 92.0, 131.0, 168.0])
def test_tempo_up_to_an_octave(bpm):
    assert analysers.tempo_matches(analysers.tempo(render(song(bpm)))[0], bpm)


def test_a_tempo_matches_itself_its_octaves_and_thirds_where_asked():
    assert analysers.tempo_matches(104, 100) and not analysers.tempo_matches(107, 100)
    assert analysers.tempo_matches(50, 100) and not analysers.tempo_matches(50, 100, octave=False)
    assert analysers.tempo_matches(300, 100, triple=True) and not analysers.tempo_matches(300, 100)
    assert not analysers.tempo_matches(150, 100, triple=True)


@pytest.mark.parametrize("tonic", [1, 6])
def test_keys_are_told_apart(tonic):
    minor = song(bpm=160, seconds=6).transpose(tonic - 9)
    major = song(160, ("C:maj", "F:maj", "G:maj", "C:maj"), "C major", seconds=6).transpose(tonic)
    for score in (minor, major):
        assert analysers.key(render(score)) == score.key


def test_key_score_is_mir_evals():
    assert analysers.key_score(Key(9, "minor"), Key(0, "major")) == pytest.approx(0.3)
    assert analysers.key_score(Key(7, "major"), Key(0, "major")) == pytest.approx(0.5)


def test_chord_overlap_by_hand():
    score = song(bpm=96.0)  # bars of 2.5 s
    labels = ["A:min", "D:maj", "G:maj", "A:min"]
    times = np.array([[0, 2.5], [2.5, 5], [5, 7.5], [7.5, 10]])
    overlap = analysers.chord_overlap(score, times, labels)
    assert overlap["root"] == pytest.approx(0.75) and overlap["majmin"] == pytest.approx(0.5)


def test_every_chord_quality_can_be_compared():
    from counterpoint.music import QUALITIES

    for quality in QUALITIES:
        score = replace(song(), chords=(ChordSpan(0, 10, Chord(2, quality)),))
        overlap = analysers.chord_overlap(score, np.array([[0.0, 10.0]]), ["D:maj"])
        assert overlap["root"] == pytest.approx(1)


def test_planned_onsets_are_merged():
    track = Track("comp", 0, (Note(1.0, 2, 60, 90), Note(1.02, 2, 64, 90), Note(1.05, 2, 67, 90)))
    score = replace(song(), tracks=(track,))
    np.testing.assert_allclose(analysers.planned_onsets(score), [1.0, 1.05])


def test_what_does_not_apply_is_nan(heard):
    silent = analysers.Sound(np.zeros(3 * RATE, np.float32))
    pitched = replace(heard[0], tracks=())
    figures = analysers.judge(pitched, silent)
    assert np.isnan([figures["onsets"], figures["drums"], figures["melody"]]).all()


def test_log_mel_difference_is_the_gain_and_zero_for_itself():
    noise = (0.1 * np.random.default_rng(1).standard_normal(RATE)).astype(np.float32)
    assert spectra.log_mel_db(noise, noise, RATE) == 0
    assert spectra.log_mel_db(noise / 2, noise, RATE) == pytest.approx(20 * np.log10(2), abs=0.01)


def test_frechet_of_shifted_frames_is_the_squared_shift():
    frames = np.random.default_rng(2).standard_normal((128, 2000))
    assert spectra.frechet_log_mel([frames], [frames]) == pytest.approx(0, abs=1e-3)
    assert spectra.frechet_log_mel([frames + 3], [frames]) == pytest.approx(9, rel=1e-3)


def test_high_bands_and_flatness():
    time = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (200, 8000))
    assert spectra.high_band_ratio(high, RATE) > -0.1 and spectra.high_band_ratio(low, RATE) < -40
    noise = np.random.default_rng(3).standard_normal(RATE).astype(np.float32)
    assert spectra.spectral_flatness(noise) > 0.4 > 0.01 > spectra.spectral_flatness(low)


def test_intervals_cover_the_mean():
    """Of 95 % intervals on 200 normal samples of size 50, most hold the true mean."""
    gen = np.random.default_rng(4)
    rows = [intervals.interval(gen.normal(1.0, 2.0, 50).tolist(), draws=300) for _ in range(200)]
    assert 0.88 <= np.mean([row["low"] <= 1.0 <= row["high"] for row in rows]) <= 0.99
    assert intervals.interval([1.0, float("nan"), 3.0])["n"] == 2


def test_tables_and_files(tmp_path):
    summary = intervals.summarise([{"tempo": 1.0, "drums": float("nan")}, {"tempo": 0.0, "drums": float("nan")}])
    text = intervals.table({"all": summary}, "clips", bounds=False)
    assert text.splitlines()[-1] == "| all | 0.50 |  |"
    intervals.write_json(tmp_path / "a.json", summary)
    assert json.loads((tmp_path / "a.json").read_text())["tempo"]["mean"] == 0.5
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
