"""Promises of the built-in renderer; pitches, onsets and spectra are measured by plain FFTs and envelopes, not by its code."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from counterpoint.data.corpus.synth import render
from counterpoint.music import Key, Metre, Note, Score, Track

RATE = 32000
FAMILIES = (0, 4, 11, 16, 24, 29, 33, 38, 40, 48, 52, 56, 65, 71, 73, 80, 89, 98, 107, 114)


def score(*tracks: Track, seconds: float = 1.0) -> Score:
    return Score(seconds, "pop", 120.0, Metre(), Key(0), (), (), (), tracks)


def melody(program: int, *notes: Note, pan: float = 0.0, gain: float = 1.0) -> Track:
    return Track("melody", program, notes, pan, gain)


def kit(*hits: tuple[float, int]) -> Track:
    return Track("drums", 0, tuple(Note(at, at + 0.1, key, 100) for at, key in hits))


def spectrum(sound: NDArray[np.float32]) -> tuple[NDArray, NDArray]:
    """Frequencies and magnitudes, with bins 0.5 Hz apart."""
    windowed = sound * np.hanning(len(sound))
    return np.fft.rfftfreq(2 * RATE, 1 / RATE), np.abs(np.fft.rfft(windowed, 2 * RATE))


def dense(seconds: float = 10.0) -> Score:
    """Five players: a tune, a bass in eighths, chords in eighths, a pad, and a kit in sixteenths."""
    beats = np.arange(0, seconds, 0.5)
    tune = tuple(Note(b, b + 0.45, 67 + int(5 * np.sin(b)), 95) for b in beats)
    bass = tuple(Note(b, b + 0.24, 36 + int(b) % 7, 90) for b in np.arange(0, seconds, 0.25))
    comp = tuple(Note(b, b + 0.2, 55 + int(b) % 5 + p, 70) for b in np.arange(0, seconds, 0.25) for p in (0, 4, 7, 11))
    pad = tuple(Note(b, b + 2.0, 60 + int(b) % 5 + p, 60) for b in np.arange(0, seconds, 2.0) for p in (0, 4, 7))
    drums = kit(*((b, (36, 42, 38, 46)[i % 4]) for i, b in enumerate(np.arange(0, seconds, 0.125))))
    tracks = (
        melody(65, *tune),
        Track("bass", 33, bass, 0, 0.8),
        Track("comp", 4, comp, 0.4, 0.5),
        Track("pad", 89, pad, -0.4, 0.4),
    )
    return score(*tracks, drums, seconds=seconds)


@pytest.mark.parametrize("program", FAMILIES)
@pytest.mark.parametrize("pitch", [48, 60, 69, 76])
def test_pitch_is_within_30_cents(program: int, pitch: int) -> None:
    sound = render(score(melody(program, Note(0.0, 1.0, pitch, 90))), channels=1)[0]
    frequency, level = spectrum(sound)
    expected = 440 * 2 ** ((pitch - 69) / 12)
    near = (frequency > expected * 0.75) & (frequency < expected * 1.4)
    peak = frequency[near][level[near].argmax()]
    assert abs(1200 * np.log2(peak / expected)) < 30
    below = frequency < expected * 0.75
    assert level[below].max() < 0.1 * level.max(), "something sounds below the fundamental"
    assert level[near].max() > 0.15 * level.max(), "the fundamental is hidden"


@pytest.mark.parametrize("program", [0, 4, 12, 24, 33, 38, 45, 46, 56, 65, 73, 81, 108])
def test_notes_start_within_10_ms(program: int) -> None:
    starts = (0.1234, 0.777, 1.5005)
    sound = render(score(melody(program, *(Note(s, s + 0.25, 64, 100) for s in starts)), seconds=2.0), channels=1)[0]
    for start in starts:
        there = np.abs(sound[round((start - 0.05) * RATE) : round((start + 0.2) * RATE)])
        assert there[: round(0.049 * RATE)].max() < 0.1 * there.max()
        assert abs(np.argmax(there > 0.15 * there.max()) / RATE - 0.05) < 0.01


@pytest.mark.parametrize("key", [36, 38, 39, 42, 46, 49, 51, 45, 60, 75])
def test_hits_start_within_10_ms_and_are_heard(key: int) -> None:
    sound = np.abs(render(score(kit((0.333, key))), channels=1)[0])
    assert sound.max() > 0.02
    assert abs(np.argmax(sound > 0.2 * sound.max()) / RATE - 0.333) < 0.01


def test_every_program_and_every_key_sounds_and_stays_finite() -> None:
    for program in range(128):
        for pitch in (21, 108):
            sound = render(score(melody(program, Note(0.0, 0.2, pitch, 127)), seconds=0.3))
            assert np.isfinite(sound).all() and 0.01 < np.abs(sound).max() <= 1, (program, pitch)
    for key in range(27, 88):
        sound = render(score(kit((0.0, key)), seconds=0.3))
        assert np.isfinite(sound).all() and 0.01 < np.abs(sound).max() <= 1, key


@pytest.mark.parametrize("program", [6, 16, 30, 62, 80])
def test_high_notes_do_not_alias(program: int) -> None:
    sound = render(score(melody(program, Note(0.0, 1.0, 103, 120))), channels=1)[0]  # 3136 Hz
    frequency, level = spectrum(sound[RATE // 4 : 3 * RATE // 4])
    cents = 1200 * np.log2(np.maximum(frequency, 1) / 3136)
    nearest = np.abs(frequency / 3136 - np.maximum(1, np.round(frequency / 3136)))
    strange = (nearest > 0.03) & (np.abs(cents) > 60)
    assert level[strange].max() < 1e-3 * level.max()


@pytest.mark.parametrize("program", [16, 48, 65, 81, 89])
def test_ends_of_notes_do_not_click(program: int) -> None:
    sound = render(score(melody(program, Note(0.0, 0.5, 57, 100))), channels=1)[0]
    bend = np.abs(np.diff(sound, n=2))
    assert bend[round(0.48 * RATE) :].max() < 1.5 * bend[round(0.1 * RATE) : round(0.48 * RATE)].max()
    cut = render(score(melody(program, Note(0.0, 9.0, 57, 100))), channels=1)[0]
    assert abs(cut[-1]) < 1e-4


def test_pan_gain_and_channels() -> None:
    notes = tuple(Note(i / 10, i / 10 + 0.09, 60 + i, 90) for i in range(9))
    for pan, sign in ((-0.8, 1), (0.8, -1)):
        left, right = render(score(melody(0, *notes, pan=pan))).std(1)
        assert (left / right) ** sign > 2  # the room answers from both sides
    centre = render(score(melody(0, *notes)))
    left, right = centre.std(1)
    assert left == pytest.approx(right, rel=0.15)
    assert np.corrcoef(centre)[0, 1] > 0.8
    assert render(score(melody(0, *notes, gain=0.5))).std() == pytest.approx(0.5 * centre.std(), rel=1e-3)
    assert np.allclose(render(score(melody(0, *notes)), channels=1)[0], centre.mean(0), atol=1e-6)
    with pytest.raises(ValueError, match="channels"):
        render(score(melody(0, *notes)), channels=3)


def test_force_is_heard_as_level_and_brightness() -> None:
    sounds = [render(score(melody(0, Note(0.0, 0.9, 52, velocity))), channels=1)[0] for velocity in (40, 110)]
    assert sounds[1].std() > 2 * sounds[0].std()
    shares = []
    for sound in sounds:
        frequency, level = spectrum(sound)
        shares.append((level[frequency > 1500] ** 2).sum() / (level**2).sum())
    assert shares[1] > 1.5 * shares[0]


def test_a_closing_hi_hat_stops_the_open_one() -> None:
    ringing, closed = render(score(kit((0.0, 46)))), render(score(kit((0.0, 46), (0.1, 42))))
    late = slice(round(0.25 * RATE), round(0.4 * RATE))
    assert np.abs(closed[:, late]).max() < 0.3 * np.abs(ringing[:, late]).max()


@pytest.mark.parametrize("seconds", [0.001, 0.3333, 1.0])
@pytest.mark.parametrize("rate", [16000, 32000, 44100])
def test_any_length_and_rate(seconds: float, rate: int) -> None:
    notes = (Note(-0.2, 0.2, 60, 90), Note(0.1, 5.0, 64, 90), Note(2.0, 3.0, 67, 90))
    sound = render(score(melody(0, *notes), kit((-0.05, 49), (0.9, 49), (3.0, 36)), seconds=seconds), rate)
    assert sound.shape == (2, round(seconds * rate)) and sound.dtype == np.float32 and np.isfinite(sound).all()


def test_no_players_make_silence() -> None:
    assert not render(score()).any()
    assert not render(score(melody(0))).any()


def test_the_same_score_gives_the_same_bytes_on_any_number_of_threads() -> None:
    piece, threads, sounds = dense(3.0), torch.get_num_threads(), []
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            sounds.append(render(piece).tobytes())
    finally:
        torch.set_num_threads(threads)
    assert sounds[0] == sounds[1] == sounds[2]


def test_a_dense_piece_is_loud_and_does_not_clip() -> None:
    sound = render(dense())
    assert 0.3 < np.abs(sound).max() <= 0.98 and 0.03 < sound.std() < 0.4
