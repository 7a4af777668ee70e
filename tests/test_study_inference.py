"""Claims are decided rightly on numbers whose truth is known: intervals hold it, errors stay in bounds, verdicts follow."""

import math

import numpy as np
import pytest
from scipy import stats

from counterpoint.metrics.intervals import resamples
from counterpoint.study.inference import Effect, contrast, evidence, judge, student_quantile, student_tail, together
from counterpoint.study.result import Figure, Result

N = 40


def cells(values, ids=None):
    """Results, one a seed, of a figure with these items "seeds items"."""
    names = tuple(map(str, range(values.shape[1]))) if ids is None else ids
    return [Result("cell", {"f": Figure(float(row.mean()), n=len(row), items=tuple(row))}, names) for row in values]


def drawn_cells(values):
    """The same figure, as one of which only resamples are known."""
    picked = resamples(values.shape[1], 200)
    return [
        Result("cell", {"f": Figure(float(row.mean()), n=len(row), drawn=tuple(row[picked].mean(1)))}, ("a",)) for row in values
    ]


def model(gen, effect, seeds, items=N, seed_sd=0.3, item_sd=1.0):
    """Values of two rows: clips are hard or easy for both, each training comes out a little otherwise."""
    hard = gen.normal(0, item_sd, items)
    rows = []
    for mean in (0.0, effect):
        trained = gen.normal(0, seed_sd, (seeds, 1))
        rows.append(mean + hard + trained + gen.normal(0, 0.5, (seeds, items)))
    return rows


@pytest.mark.parametrize(("seeds", "kind"), [(1, cells), (3, cells), (3, drawn_cells)])
def test_intervals_hold_the_truth(seeds, kind):
    """With one seed the truth is that of the trained models; with more, that of all trainings."""
    gen, held, runs = np.random.default_rng(1), 0, 150
    for _ in range(runs):
        base, better = model(gen, 0.5, seeds, seed_sd=0.0 if seeds == 1 else 0.3)
        effect = contrast([(1.0, kind(better)), (-1.0, kind(base))], "f")
        assert effect is not None
        low, high = effect.interval
        held += low <= 0.5 <= high
    assert held / runs >= 0.91


def test_pairs_take_off_what_clips_have_in_common():
    base, better = model(np.random.default_rng(2), 0.5, 3)
    paired = contrast([(1.0, cells(better)), (-1.0, cells(base))], "f")
    others = [cells(better), cells(base, tuple(f"other {i}" for i in range(N)))]
    alone = contrast([(1.0, others[0]), (-1.0, others[1])], "f")
    assert paired is not None and alone is not None
    assert paired.paired and not alone.paired
    assert paired.value == pytest.approx(alone.value)
    items = np.asarray(better).mean(0) - np.asarray(base).mean(0)
    between = np.var([(b - a).mean() for a, b in zip(base, better, strict=True)], ddof=1) / 3
    assert paired.error == pytest.approx(math.hypot(items.std() / math.sqrt(N), math.sqrt(between)), rel=0.1)
    assert paired.error < alone.error


def test_seeds_are_not_more_clips():
    """Three trainings that agree to the bit on the same clips say no more than one."""
    values = np.random.default_rng(3).normal(size=(1, N))
    one, three = (contrast([(1.0, cells(np.repeat(values, times, 0)))], "f") for times in (1, 3))
    assert one is not None and three is not None
    assert one.error == pytest.approx(three.error)


def test_a_claim_over_several_rows_is_a_weighted_sum():
    gen = np.random.default_rng(4)
    rows = [gen.normal(size=(2, N)) for _ in range(4)]
    weights = (1.0, -1.0, -1.0, 1.0)
    effect = contrast([(weight, cells(row)) for weight, row in zip(weights, rows, strict=True)], "f")
    assert effect is not None
    assert effect.value == pytest.approx(sum(w * row.mean() for w, row in zip(weights, rows, strict=True)))


def test_what_was_not_measured_is_no_effect():
    values = np.ones((2, N))
    assert contrast([(1.0, cells(values)), (-1.0, [])], "f") is None
    assert contrast([(1.0, cells(values))], "g") is None
    judged = judge({"a": (None, "above", 0.0)})
    assert (judged["a"].verdict, judged["a"].effect) == ("undecided", None)


def test_fewer_seeds_on_one_side_are_paired_as_far_as_they_go():
    gen = np.random.default_rng(5)
    effect = contrast([(1.0, cells(gen.normal(size=(3, N)))), (-1.0, cells(gen.normal(size=(1, N))))], "f")
    assert effect is not None and effect.seeds == 1


@pytest.mark.parametrize("freedom", [1, 2, 2.7, 10, 63, 1e5])
def test_student_s_distribution_is_scipy_s(freedom):
    for t in (0.0, 0.3, 1.0, 2.5, 12.0):
        assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-4, abs=1e-9)
        assert student_tail(-t, freedom) == pytest.approx(stats.t.cdf(t, freedom), rel=1e-4)
    assert student_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-4)


def effect_of(value, error=1.0, freedom=60):
    return Effect(value, error, freedom, 3, N, True)


@pytest.mark.parametrize(
    ("value", "region", "margin", "verdict"),
    [
        (5.0, "above", 0.0, "holds"),
        (-5.0, "above", 0.0, "does not hold"),
        (0.5, "above", 0.0, "undecided"),
        (-5.0, "below", 0.0, "holds"),
        (5.0, "below", 0.0, "does not hold"),
        (5.0, "above", 4.8, "undecided"),
        (0.0, "within", 5.0, "holds"),
        (9.0, "within", 3.0, "does not hold"),
        (-9.0, "within", 3.0, "does not hold"),
        (3.0, "within", 3.0, "undecided"),
        (0.0, "within", 1.0, "undecided"),
    ],
)
def test_verdicts(value, region, margin, verdict):
    """A claim of likeness holds when all outside of its margin is refuted, and not because nothing was found."""
    assert judge({"a": (effect_of(value), region, margin)})["a"].verdict == verdict


def test_p_values_are_student_s():
    pro, contra = evidence(effect_of(2.0, 0.8, 7), "above", 0.5)
    assert pro == pytest.approx(stats.t.sf(1.5 / 0.8, 7), rel=1e-4)
    assert contra == pytest.approx(1 - pro)


def test_many_statements_together_are_seldom_wrong():
    """Holm: of twenty statements about nothing, any is decided in at most about 5 of 100 studies; each by itself in 64."""
    gen, wrong, alone, studies = np.random.default_rng(6), 0, 0, 60
    for _ in range(studies):
        told = {str(i): (effect_of(gen.normal()), "above", 0.0) for i in range(20)}
        wrong += any(found.verdict != "undecided" for found in judge(told).values())
        alone += any(judge({name: one})[name].verdict != "undecided" for name, one in told.items())
    assert wrong / studies <= 0.1
    assert alone / studies > 0.5


def test_holm_is_the_textbook_s():
    """Adjusted by 3, 2 and 1, and never below one that came before."""
    told = {name: (effect_of(value), "above", 0.0) for name, value in (("a", 3.0), ("b", 2.6), ("c", 0.1))}
    raw = {name: 2 * stats.t.sf(one[0].value, 60) for name, one in told.items()}
    found = judge(told)
    assert found["a"].p == pytest.approx(3 * raw["a"], rel=1e-3)
    assert found["b"].p == pytest.approx(2 * raw["b"], rel=1e-3)
    assert found["c"].p == pytest.approx(raw["c"], rel=1e-3)


def test_a_claim_of_several_statements():
    assert together(["holds", "holds"]) == "holds"
    assert together(["holds", "undecided"]) == "undecided"
    assert together(["undecided", "does not hold"]) == "does not hold"
    assert together([]) == "undecided"


def test_marks_of_people_bring_their_own_interval():
    marks = [Result("rating", {"f": Figure(8.0, 7.8, 8.2, 250, "higher")}, ())]
    effect = contrast([(1.0, marks)], "f")
    assert effect is not None
    assert effect.interval == pytest.approx((7.8, 8.2), abs=0.01)
