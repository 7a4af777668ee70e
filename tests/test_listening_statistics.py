"""The figures of listening tests against scipy, closed forms, published examples and plain loops."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from counterpoint.listening.statistics import cliffs_delta, holm, krippendorff_alpha, two_sided, two_way, two_way_draws


def simulated(generator: np.random.Generator, raters: int = 25, items: int = 10, truth: float = 6.0) -> np.ndarray:
    """Ratings whose raters, items and single judgments all vary, as in a test of 25 raters and 10 items."""
    rater, item = generator.normal(0, 0.8, (raters, 1)), generator.normal(0, 0.6, (1, items))
    return truth + rater + item + generator.normal(0, 0.9, (raters, items))


def test_two_way_intervals_cover_where_pooled_ones_do_not() -> None:
    """Section 5.3 of the specification: pooled t about 48 %, two-way bootstrap about 93 %; 300 simulations are +-6 and +-3."""
    generator = np.random.default_rng(1)
    inside = {"pooled": 0, "two-way": 0}
    for seed in range(300):
        values = simulated(generator)
        low, high = two_way(values, draws=400, seed=seed)
        inside["two-way"] += low <= 6.0 <= high
        half = scipy.stats.t.ppf(0.975, values.size - 1) * scipy.stats.sem(values.ravel())
        inside["pooled"] += abs(values.mean() - 6.0) <= half
    assert 0.40 < inside["pooled"] / 300 < 0.56
    assert 0.89 < inside["two-way"] / 300 < 0.97


def test_drawn_means_are_those_of_drawn_rows_and_columns() -> None:
    """The variance over draws of means of all pairs (closed form for a complete grid of row effects alone)."""
    rows = np.random.default_rng(2).normal(size=(12, 1))
    drawn = two_way_draws(np.repeat(rows, 7, axis=1), draws=40000)
    assert drawn.var() == pytest.approx(rows.var() / 12, rel=0.03)
    both = rows + np.random.default_rng(3).normal(size=(1, 7))
    columns = both[0] - rows[0]
    assert two_way_draws(both, draws=40000).var() == pytest.approx(rows.var() / 12 + columns.var() / 7, rel=0.03)


def test_missing_judgments_weigh_nothing() -> None:
    values = np.array([[3.0, np.nan], [3.0, 3.0], [np.nan, 3.0]])
    assert two_way(values) == (3.0, 3.0)
    assert all(math.isnan(bound) for bound in two_way(values[:1]))
    assert all(math.isnan(bound) for bound in two_way(values[:, :1]))
    assert all(math.isnan(bound) for bound in two_way(np.full((3, 3), np.nan)))


def test_p_values_say_what_intervals_say() -> None:
    generator = np.random.default_rng(4)
    clear, none = simulated(generator, truth=1.5), simulated(generator, truth=0.0)
    none -= none.mean()
    assert two_sided(clear) < 0.01 and two_way(clear)[0] > 0
    assert two_sided(none) > 0.5
    assert two_sided(-clear) == pytest.approx(two_sided(clear))
    assert math.isnan(two_sided(clear[:1]))


def test_p_values_of_no_difference_are_seldom_small() -> None:
    generator = np.random.default_rng(5)
    small = [two_sided(simulated(generator, truth=0.0), draws=300, seed=seed) < 0.05 for seed in range(200)]
    assert np.mean(small) < 0.12


def test_cliffs_delta_is_that_of_mann_and_whitney() -> None:
    generator = np.random.default_rng(6)
    first, second = generator.integers(1, 11, 40).astype(float), generator.integers(2, 9, 33).astype(float)
    statistic = scipy.stats.mannwhitneyu(first, second).statistic
    assert cliffs_delta(first, second) == pytest.approx(2 * statistic / (40 * 33) - 1)
    loops = np.mean([np.sign(a - b) for a in first for b in second])
    assert cliffs_delta(first, second) == pytest.approx(loops)
    assert cliffs_delta(np.array([9.0, 8.0]), np.array([1.0])) == 1.0
    assert math.isnan(cliffs_delta(np.array([]), second))


def test_holm_closes_under_intersection() -> None:
    """Holm's step-down is the closed test whose intersections are tested by Bonferroni."""
    p_values = np.array([0.01, 0.04, 0.03, 0.005, 0.6])
    subsets = [s for size in range(1, 6) for s in itertools.combinations(range(5), size)]
    closed = [max(min(1.0, len(s) * min(p_values[list(s)])) for s in subsets if i in s) for i in range(5)]
    assert holm(p_values) == pytest.approx(closed)
    with_gap = holm(np.array([0.01, np.nan, 0.02]))
    assert with_gap[[0, 2]] == pytest.approx([0.02, 0.02]) and np.isnan(with_gap[1])


NAN = float("nan")
EXAMPLE = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
"""The data of Krippendorff 2011, section C: four observers, twelve units, gaps."""


def test_alpha_of_the_published_example() -> None:
    """0.815 is the ordinal alpha that the literature gives for it (0.743 nominal, 0.849 interval)."""
    assert krippendorff_alpha(EXAMPLE) == pytest.approx(0.815, abs=5e-4)


def loop_alpha(values: np.ndarray) -> float:
    """Krippendorff's definition, pair by pair."""
    units = [[v for v in column if not math.isnan(v)] for column in values.T]
    units = [unit for unit in units if len(unit) > 1]
    every = [v for unit in units for v in unit]

    def apart(one: float, two: float) -> float:
        low, high = min(one, two), max(one, two)
        between = sum(low <= v <= high for v in every) - (sum(v == low for v in every) + sum(v == high for v in every)) / 2
        return between**2 if one != two else 0.0

    observed = sum(apart(*pair) / (len(unit) - 1) for unit in units for pair in itertools.permutations(unit, 2)) / len(every)
    expected = sum(apart(*pair) for pair in itertools.permutations(every, 2)) / (len(every) * (len(every) - 1))
    return 1 - observed / expected


def test_alpha_is_its_definition() -> None:
    generator = np.random.default_rng(7)
    for _ in range(4):
        values = generator.integers(1, 6, (5, 9)).astype(float)
        values[generator.random(values.shape) < 0.3] = NAN
        assert krippendorff_alpha(values) == pytest.approx(loop_alpha(values))


def test_alpha_at_its_ends() -> None:
    assert krippendorff_alpha(np.array([[1.0, 4.0, 9.0], [1.0, 4.0, 9.0]])) == 1.0
    assert math.isnan(
        krippendorff_alpha(np.full((3, 4), 5.0))
    )  # nobody ever differs: agreement cannot be told from a fixed mark
    assert math.isnan(krippendorff_alpha(np.full((3, 4), NAN)))
    random = np.random.default_rng(8).integers(1, 11, (20, 200)).astype(float)
    assert abs(krippendorff_alpha(random)) < 0.02
