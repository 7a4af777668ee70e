"""A take beside what was asked: the sentence, the verdicts and the ranking, on what is heard of a score by construction."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.data.corpus.compose import compose
from counterpoint.metrics.melody import lane
from counterpoint.metrics.take import Asked, asked_of_brief, asked_of_score, best, hear_take, take_report
from counterpoint.music import Brief, Chord, ChordSpan, Key, Note

BAR = 2.0
LABELS = ("C", "Am", "F", "G")
SPANS = tuple(ChordSpan(i * BAR, (i + 1) * BAR, Chord.parse(LABELS[i % 4])) for i in range(16))
ASKED = Asked(120.0, Key(0), SPANS, tuple(i * BAR for i in range(16)), seconds=32.0)
NOTHING = Heard(32.0, math.nan, (), (), None, (), np.zeros(1600, np.int16), {})


def heard_as(asked: Asked, seconds: float = 32.0) -> Heard:
    """A take that is all that was asked."""
    line = lane(asked.melody, seconds, MELODY_RATE)
    struck = sorted(note.start for note in asked.drums)
    hits = tuple(time for last, time in zip([-1.0, *struck], struck, strict=False) if time - last > 0.03)
    return Heard(seconds, asked.bpm or math.nan, (), asked.downbeats, asked.key, asked.chords, line, {"any": hits})


def test_the_sentence():
    chords = (*SPANS[:4], replace(SPANS[4], chord=Chord.parse("Ebm")), *SPANS[5:])
    downbeats = (*(time + 0.04 for time in ASKED.downbeats[:14]), 28.5, 30.5)
    take = replace(heard_as(ASKED), tempo=119.6, chords=chords, downbeats=downbeats)
    report = take_report(ASKED, take)
    assert report.sentence == "asked 120 bpm, got 119.6; key right; chords 15 of 16 bars; down-beats 14 of 16"
    scores = {aspect.name: aspect.score for aspect in report.aspects}
    assert scores == pytest.approx({"tempo": 1, "key": 1, "chords": 15 / 16, "down-beats": 14 / 16})
    assert report.rank == pytest.approx((1 + 1 + 15 / 16 + 14 / 16) / 4)
    assert {aspect.verdict for aspect in report.aspects} == {"right"}


def test_what_is_nearly_right_is_named():
    take = replace(heard_as(ASKED), tempo=60.2, key=Key(9, "minor"))
    tempo, key = take_report(ASKED, take).aspects[:2]
    assert tempo.text == "asked 120 bpm, got 60.2 (half the tempo)" and tempo.verdict == "partly"
    assert key.text == "asked C major, got A minor (its relative)" and key.verdict == "wrong"
    assert take_report(ASKED, replace(take, tempo=240.0)).aspects[0].text.endswith("(twice the tempo)")
    assert take_report(ASKED, replace(take, tempo=100.0)).aspects[0].score == 0


def test_silence_is_wrong_in_everything_and_says_so():
    report = take_report(ASKED, NOTHING)
    expected = "asked 120 bpm, heard no pulse; asked C major, heard no key; chords 0 of 16 bars; down-beats 0 of 16"
    assert report.sentence == expected and report.rank == 0


def test_a_take_that_ends_early_lacks_its_last_bars():
    chords = take_report(ASKED, replace(heard_as(ASKED, 16.0), chords=SPANS[:8])).aspects[2]
    assert chords.text == "chords 8 of 16 bars" and chords.score == pytest.approx(0.5)


def test_bars_are_judged_by_most_of_their_time():
    two = (ChordSpan(0.0, 0.9, Chord(0)), ChordSpan(0.9, 2.0, Chord(7)), *SPANS[1:])
    assert take_report(ASKED, replace(heard_as(ASKED), chords=two)).aspects[2].text == "chords 15 of 16 bars"
    two = (ChordSpan(0.0, 1.1, Chord(0)), ChordSpan(1.1, 2.0, Chord(7)), *SPANS[1:])
    assert take_report(ASKED, replace(heard_as(ASKED), chords=two)).aspects[2].text == "chords 16 of 16 bars"
    suspended = replace(ASKED, chords=(replace(SPANS[0], chord=Chord(0, "sus4")), *SPANS[1:]))  # neither major nor minor
    assert take_report(suspended, heard_as(ASKED)).aspects[2].text == "chords 15 of 15 bars"
    cut = replace(ASKED, seconds=30.5)  # a last quarter of a bar
    assert take_report(cut, heard_as(ASKED, 30.5)).aspects[2].text == "chords 15 of 15 bars"
    no_grid = Asked(chords=SPANS)
    assert take_report(no_grid, heard_as(ASKED)).sentence == "chords 16 of 16 spans"


def test_only_what_was_asked_is_judged():
    report = take_report(asked_of_brief(Brief(bpm=90.0)), replace(NOTHING, tempo=91.0))
    assert report.sentence == "asked 90 bpm, got 91.0" and report.rank == 1
    nothing = take_report(Asked(), NOTHING)
    assert nothing.sentence == "nothing was asked that can be heard" and math.isnan(nothing.rank)


def test_a_composed_score_is_its_own_perfect_take():
    score = compose(Brief(style="pop", bpm=110.0), 12.0, seed=3)
    asked = asked_of_score(score)
    report = take_report(asked, heard_as(asked, 12.0))
    assert [aspect.name for aspect in report.aspects] == ["tempo", "key", "chords", "down-beats", "tune", "drums"]
    assert report.rank > 0.98
    other = asked_of_score(compose(Brief(style="pop", bpm=83.0), 12.0, seed=4))
    assert take_report(asked, heard_as(other, 12.0)).rank < 0.5


def test_tune_and_drums():
    asked = Asked(
        melody=(Note(0.0, 1.0, 60, 90), Note(1.0, 2.0, 62, 90)), drums=(Note(0.5, 0.6, 36, 90), Note(0.51, 0.6, 42, 90))
    )
    line = np.array([60] * 50 + [63] * 50, np.int16)
    report = take_report(asked, replace(NOTHING, melody=line, drums={"any": (0.48,)}))
    assert report.sentence == "tune 50%; drums 1 of 1 hits"
    assert take_report(asked, replace(NOTHING, melody=line[:50])).sentence == "tune 50%; drums 0 of 1 hits"


def test_the_best_take_is_the_first_of_those_that_follow_most():
    reports = [take_report(ASKED, take) for take in (NOTHING, replace(NOTHING, tempo=120.0), replace(NOTHING, tempo=121.0))]
    assert best(reports) == 1 and best([take_report(Asked(), NOTHING), reports[0]]) == 1
    with pytest.raises(ValueError, match="no take"):
        best([])


def test_audio_is_heard_by_the_analyser_that_is_given():
    def hear(audio: torch.Tensor, sample_rate: int) -> Heard:
        return replace(NOTHING, seconds=audio.shape[-1] / sample_rate, tempo=120.0)

    assert hear_take(Asked(bpm=120.0), torch.zeros(1, 800), 8000, hear).rank == 1
