"""Scores and words as conditions: what is painted where, and what a value of None does."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.conditioners.score import FRAME_CHANNELS, KIT, PITCHED, SLOTS, STYLES, VECTOR_CHANNELS, ScoreConfig, paint
from counterpoint.conditioners.words import UNKNOWN, WordsConfig, learn_vocabulary, tokenize
from counterpoint.data.corpus import scanning, styles
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track
from counterpoint.types import Spec

RATE = 25.0
SPEC = Spec(RATE, 4)
PLAIN = Score(
    seconds=4.0, style="swing", bpm=120.0, metre=Metre(), key=Key(0), beats=tuple(i / 2 for i in range(8)),
    downbeats=(0.0, 2.0), chords=(ChordSpan(0.0, 2.0, Chord(9, "min7")), ChordSpan(2.0, 4.0, None)), tracks=(),
)  # fmt: skip
LOW, HIGH = PITCHED["melody"]


def melody(*notes: Note) -> np.ndarray:
    """Sounding, fresh and slot channels of a melody, 0 to 1."""
    score = replace(PLAIN, tracks=(Track("melody", 73, notes),))
    return paint(score, RATE, 100).frames[:, : 2 * (HIGH - LOW) + SLOTS] / 255


def test_a_note_sounds_at_its_pitch_for_its_time():
    painted = melody(Note(1.0, 1.4, 60, 127))
    rows, columns = np.nonzero(painted[:, : HIGH - LOW])
    assert set(columns) == {60 - LOW} and rows.tolist() == list(range(25, 35))


def test_freshness_tells_the_age_of_a_note():
    fresh = melody(Note(1.0, 2.0, 60, 127), Note(1.2, 2.0, 64, 64))[:, HIGH - LOW : 2 * (HIGH - LOW)]
    line = fresh[25:50, 60 - LOW]
    assert line[0] == 1.0 and bool(np.all(np.diff(line) < 0))
    assert fresh[30, 64 - LOW] == pytest.approx(64 / 127, abs=0.01)


def test_a_struck_again_note_is_fresh_again():
    fresh = melody(Note(0.0, 0.4, 60, 100), Note(0.4, 0.8, 60, 100))[:, HIGH - LOW + 60 - LOW]
    assert fresh[10] == pytest.approx(fresh[0]) and fresh[9] < fresh[10]


@pytest.mark.parametrize("slot", range(SLOTS))
def test_onsets_mark_their_quarter_of_a_frame(slot):
    slots = melody(Note(0.4 + (slot + 0.5) * 0.01, 1.0, 60, 127))[:, -SLOTS:]
    assert np.argwhere(slots > 0).tolist() == [[10, slot]]


@pytest.mark.parametrize("start", [0.04 * frame for frame in (1, 3, 7, 29, 57)])
def test_an_onset_on_a_frame_boundary_is_in_the_later_frame(start):
    """1.16 * 25 is 28.999999999999996 in floats."""
    assert np.argwhere(melody(Note(start, start + 0.2, 60, 127))[:, -SLOTS:] > 0).tolist() == [[round(start * RATE), 0]]


@pytest.mark.parametrize(("pitch", "shown"), [(LOW - 1, LOW + 11), (HIGH, HIGH - 12), (0, LOW), (127, 91)])
def test_notes_beyond_the_range_are_folded_by_octaves(pitch, shown):
    columns = np.nonzero(melody(Note(0.0, 1.0, pitch, 127))[:, : HIGH - LOW])[1]
    assert set(columns) == {shown - LOW} and (pitch - shown) % 12 == 0


def test_each_drum_has_its_lane():
    lanes = sum(2 * (high - low) + SLOTS for low, high in PITCHED.values())
    for i, keys in enumerate(KIT):
        score = replace(PLAIN, tracks=(Track("drums", 0, (Note(0.4, 0.5, keys[0], 127),)),))
        drums = paint(score, RATE, 100).frames[:, lanes : lanes + SLOTS * len(KIT)]
        assert np.argwhere(drums > 0).tolist() == [[10, SLOTS * i]]


def test_chords_hold_until_the_next():
    harmony = paint(PLAIN, RATE, 100).frames[:, -41:-4] / 255
    assert np.flatnonzero(harmony[20]).tolist() == [9, 12 + 0, 12 + 4, 12 + 7, 12 + 9, 24 + 9]
    assert np.flatnonzero(harmony[70]).tolist() == [36]


@pytest.mark.parametrize("marks", [(0.0, 2.0), (0.0,), ()])
def test_the_grid_goes_on_where_marks_end(marks):
    """A piece shorter than two bars has the same bar phase as a longer one."""
    bar = paint(replace(PLAIN, downbeats=marks), RATE, 100).frames[:, -2:].astype(int)
    assert np.abs(bar - paint(PLAIN, RATE, 100).frames[:, -2:].astype(int)).max() <= 1
    assert np.abs(bar[:50] - bar[50:]).max() <= 1 and np.ptp(bar[:, 0]) > 200


def test_every_style_of_the_composer_has_its_place():
    assert sorted(STYLES) == sorted(styles.STYLES)


def test_nothing_told_gives_the_null_whatever_the_neighbours_say():
    torch.manual_seed(0)
    conditioner = ScoreConfig(channels=8).build(6)
    torch.nn.init.normal_(conditioner.null_frame)
    alone, beside = conditioner([None], SPEC, 50), conditioner([PLAIN, None], SPEC, 50)
    assert alone.frames is not None and beside.frames is not None and alone.vector is not None and beside.vector is not None
    assert torch.equal(alone.frames[0], beside.frames[1]) and torch.equal(alone.vector[0], beside.vector[1])
    assert torch.equal(alone.frames[0], conditioner.null_frame.expand(50, 8))


def test_a_roll_of_another_length_is_refused():
    roll = paint(PLAIN, RATE, 40)
    assert roll.frames.shape == (40, FRAME_CHANNELS) and roll.vector.shape == (VECTOR_CHANNELS,)
    with pytest.raises(ValueError, match="50 frames"):
        ScoreConfig(channels=8).build(6)([roll], SPEC, 50)


def test_words_numbers_and_notes_are_tokens():
    tokens = ["a", "slow", "waltz", "96", "bpm", "in", "f#", "minor", "6/8"]
    assert tokenize("A slow waltz, 96 BPM in F# minor (6/8)!") == tokens


def test_tokens_of_plain_text_stay_what_models_have_learnt():
    tokens = ["don't", "am", "7", "g", "m", "7", "b", "5", "72", "5", "4/4", "bb", "c#", "rock'n", "roll", "f", "x", "snake"]
    assert tokenize("Don't Am7/G#m7b5 72.5; 4/4 Bb-C# rock'n'roll f#x _snake") == tokens


@pytest.mark.parametrize(
    "text",
    [
        "Café für Élodie",
        "ЁЛКА в Си миноре, 96 bpm",
        "música triste",
        "日本語 の 歌",
        "E♭ and F♯ minor, 6/8",
        "cafe\u0301 façade",
    ],
)
def test_words_of_every_script_are_tokens_and_the_same_for_reader_and_model(text):
    assert tokenize(text) == scanning.tokenize(text)
    assert len(tokenize(text)) == len(text.split())


def test_an_apostrophe_may_be_typographic():
    assert tokenize("don’t") == tokenize("don't")


def test_the_vocabulary_does_not_depend_on_order():
    captions = ["slow piano", "fast piano", "slow waltz"]
    assert learn_vocabulary(captions, 2) == learn_vocabulary(captions[::-1], 2) == ("piano", "slow")


def test_words_beyond_the_vocabulary_and_padding_change_nothing_else():
    torch.manual_seed(0)
    words = WordsConfig(dim=8, longest=6, vocabulary=("piano", "slow")).build(6)
    assert words.ids("slow zorgly piano")[1] == UNKNOWN
    alone, beside = words(["slow piano"], SPEC, 5), words(["slow piano", "slow piano slow piano slow"], SPEC, 5)
    assert alone.context is not None and beside.context is not None and beside.mask is not None
    torch.testing.assert_close(alone.context[0], beside.context[0, :2])
    assert beside.mask.sum(1).tolist() == [2, 5]
    assert words.ids(None) == words.ids("  !") != words.ids("piano")
