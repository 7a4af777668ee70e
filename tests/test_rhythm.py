"""Matching of beats against mir_eval and against trying every pairing; tempo by closed forms."""

import itertools
import math

import mir_eval
import numpy as np
import pytest

from counterpoint.metrics.rhythm import event_f1, event_figures, matched, tempo_accuracy1, tempo_accuracy2


def most_pairs(made, real, window):
    """The largest one-to-one pairing, by trying all."""
    few, many = sorted((list(made), list(real)), key=len)
    tries = itertools.permutations(range(len(many)), len(few))
    return max((sum(abs(few[i] - many[j]) <= window for i, j in enumerate(order)) for order in tries), default=0)


def test_no_pairing_has_more():
    rng = np.random.default_rng(0)
    for _ in range(60):
        made, real = (np.sort(rng.uniform(0, 0.5, rng.integers(0, most))) for most in (9, 6))
        assert matched(made, real) == matched(real, made) == most_pairs(made, real, 0.05)


def test_f1_is_mir_evals_for_beats_and_onsets():
    rng = np.random.default_rng(1)
    for _ in range(50):
        real = np.sort(rng.uniform(0, 10, 20))
        made = np.sort(np.concatenate([real[:15] + rng.normal(0, 0.04, 15), rng.uniform(0, 10, 8)]).clip(0))
        assert event_f1(made, real) == pytest.approx(mir_eval.beat.f_measure(real, made, 0.05))
        f1, precision, recall = mir_eval.onset.f_measure(real, made, window=0.05)
        assert event_figures(made, real) == pytest.approx({"precision": precision, "recall": recall, "f1": f1})


def test_an_event_is_paired_once_and_the_tolerance_belongs_to_it():
    assert matched([1.0, 1.01, 1.02], [1.0]) == 1
    assert matched([1.05], [1.0]) == matched([0.95], [1.0]) == 1
    assert matched([1.0501], [1.0]) == 0
    assert event_f1([2.0, 1.0], [1.0, 2.0]) == 1  # in any order


def test_the_first_seconds_count():
    """mir_eval's `evaluate` leaves out all before 5 s; a clip has ten."""
    assert event_f1([6.0, 8.0], [0.0, 2.0, 4.0, 6.0, 8.0]) == pytest.approx(2 * 2 / 7)


def test_where_there_is_nothing():
    assert math.isnan(event_f1([], []))
    assert event_f1([], [1.0]) == event_f1([1.0], []) == 0
    figures = event_figures([], [1.0])
    assert math.isnan(figures["precision"]) and figures["recall"] == figures["f1"] == 0
    with pytest.raises(ValueError, match="not a finite number"):
        event_f1([math.nan], [1.0])


def test_tempo():
    assert tempo_accuracy1(104.0, 100.0) == tempo_accuracy1(96.0, 100.0) == 1
    assert tempo_accuracy1(104.1, 100.0) == tempo_accuracy2(104.1, 100.0) == 0
    for multiple in (1, 2, 3, 1 / 2, 1 / 3):
        assert tempo_accuracy2(121.0 * multiple, 120.0) == 1
        assert tempo_accuracy1(121.0 * multiple, 120.0) == (multiple == 1)
    assert tempo_accuracy2(160.0, 120.0) == tempo_accuracy2(480.0, 120.0) == 0
    assert tempo_accuracy1(math.nan, 120.0) == 0 and math.isnan(tempo_accuracy2(120.0, math.nan))
    for tempo in (0.0, -120.0, math.inf):
        with pytest.raises(ValueError, match="is no tempo"):
            tempo_accuracy1(tempo, 120.0)
