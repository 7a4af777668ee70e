"""Chance floors: no item keeps its partner, and what chance scores is what closed forms say."""

import math

import numpy as np
import pytest
import torch

from counterpoint.metrics.floors import derangement, paired, shuffled
from counterpoint.metrics.melody import melody_argmax


def test_nothing_stays_where_it_was():
    for items in (2, 3, 10):
        for seed in range(20):
            order = derangement(items, seed)
            assert sorted(order) == list(range(items)) and not (order == np.arange(items)).any()
    assert {tuple(derangement(3, seed)) for seed in range(30)} == {(1, 2, 0), (2, 0, 1)}
    assert derangement(9, 4).tolist() == derangement(9, 4).tolist()


def test_the_floor_of_pitch_classes_is_a_twelfth():
    rng = np.random.default_rng(0)
    clips = [torch.from_numpy(rng.random((12, 80))) for _ in range(30)]
    score = paired("melody", melody_argmax, clips, clips)
    assert score.value == 1 and score.floor == pytest.approx(1 / 12, abs=0.01) and score.n == 30


def test_the_floor_of_numbers_is_their_mean_distance():
    values = [0.0, 1.0, 3.0]
    floor = shuffled(lambda a, b: abs(a - b), values, values, shuffles=50)
    assert floor == pytest.approx(np.mean([1, 3, 1, 2, 3, 2]))


def test_what_is_not_told_is_left_out_of_value_and_floor():
    def metric(made: float, real: float) -> float:
        return math.nan if real < 0 else made + real

    score = paired("sum", metric, [1.0, 2.0, 3.0], [1.0, 2.0, -1.0])
    assert score.value == 3 and score.n == 2 and "1 of 3 clips" in score.notes[0]
    assert not math.isnan(score.floor)
    assert math.isnan(shuffled(lambda a, b: math.nan, [1.0, 2.0], [1.0, 2.0]))


def test_few_and_unpaired():
    with pytest.raises(ValueError, match="at least 2 pairs"):
        shuffled(lambda a, b: 0.0, [1.0], [1.0])
    with pytest.raises(ValueError, match="cannot be paired"):
        paired("x", lambda a, b: 0.0, [1.0], [])
    alone = paired("x", lambda a, b: a + b, [1.0], [1.0])
    assert alone.value == 2 and math.isnan(alone.floor) and "no chance floor" in alone.notes[-1]
    none = paired("x", lambda a, b: 0.0, [], [])
    assert math.isnan(none.value) and none.n == 0
