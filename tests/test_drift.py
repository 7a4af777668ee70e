"""Drift and likeness on sounds whose answers are known."""

import math

import numpy as np
import pytest
import torch

from counterpoint.analysis.chroma import chroma
from counterpoint.analysis.heard import Heard
from counterpoint.metrics.drift import curve, likeness
from counterpoint.music import Key

RATE = 8000


def heard(tempo: float = 120.0, key: Key | None = None) -> Heard:
    return Heard(10.0, tempo, (), (), key, (), np.zeros(500, np.int16), {})


def tone(hertz: float, seconds: float = 10.0, pulse: float = 2.0, late: float = 0.0) -> torch.Tensor:
    """A tone that is struck `pulse` times a second."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    decay = torch.exp(-8 * ((time - late) * pulse % 1) / pulse)
    return (0.3 * torch.sin(2 * torch.pi * hertz * time) * decay).float()[None]


def test_what_goes_on_alike_does_not_drift() -> None:
    stretches = curve(torch.cat([tone(440)] * 3, 1), RATE, lambda *_: heard(key=Key(9)), chroma)
    assert [(s.start, s.end) for s in stretches] == [(0, 10), (10, 20), (20, 30)]
    for stretch in stretches:
        assert stretch.harmony == pytest.approx(1, abs=1e-4) and stretch.timbre == pytest.approx(0, abs=0.1)
        assert stretch.loudness == pytest.approx(stretches[0].loudness, abs=0.05)
        assert stretch.key_kept == stretch.tempo_kept == 1


def test_what_changes_is_told_apart() -> None:
    keys = iter([(120.0, Key(9)), (120.0, Key(9)), (240.0, Key(4)), (131.0, None)])
    sound = torch.cat([tone(440), tone(440) / 2, tone(622.25)], 1)
    first, quiet, other = curve(sound, RATE, lambda *_: heard(*next(keys)), chroma)
    assert quiet.loudness - first.loudness == pytest.approx(-6.02, abs=0.1)
    assert quiet.harmony == pytest.approx(1, abs=1e-3) and other.harmony < 0.5 and other.timbre > quiet.timbre / 2 > 0
    assert (quiet.tempo_kept, other.tempo_kept) == (1, 0) and quiet.key_kept == 0.5 and other.key_kept == 0


def test_a_start_elsewhere_is_what_others_are_held_against() -> None:
    sound = torch.cat([tone(622.25), tone(440)], 1)
    stretches = curve(sound, RATE, lambda *_: heard(math.nan), chroma, (10.0, 20.0))
    assert stretches[1].harmony == pytest.approx(1, abs=1e-4) and stretches[0].harmony < 0.5
    assert math.isnan(stretches[0].tempo_kept) and math.isnan(stretches[0].key_kept)


def test_a_last_stretch_of_less_than_half_belongs_to_the_one_before() -> None:
    ends = [curve(tone(440, s), RATE, lambda *_: heard(), chroma)[-1].end for s in (3.0, 24.0, 26.0)]
    counts = [len(curve(tone(440, s), RATE, lambda *_: heard(), chroma)) for s in (3.0, 24.0, 26.0)]
    assert ends == [3.0, 24.0, 26.0] and counts == [1, 2, 3]


def test_likeness_knows_the_same_another_tune_and_another_rhythm() -> None:
    source = torch.cat([tone(440, 5), tone(622.25, 5)], 1)
    same = likeness(source, source, RATE, chroma)
    assert same.chroma == pytest.approx(1) and same.onsets == pytest.approx(1) and same.chance_chroma < 0.6
    tune = likeness(torch.cat([tone(622.25, 5), tone(440, 5)], 1), source, RATE, chroma)
    assert tune.chroma < 0.6 and tune.onsets > 0.5
    rhythm = likeness(torch.cat([tone(440, 5, late=0.25), tone(622.25, 5, late=0.25)], 1), source, RATE, chroma)
    assert rhythm.chroma > 0.95 and rhythm.onsets < 0.3
