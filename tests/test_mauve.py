"""MAUVE divergence: nothing between equals, monotone on mixtures, areas of known histograms, k-means against sklearn."""

import math
from itertools import pairwise

import numpy as np
import pytest

from counterpoint.metrics import mauve


def mixture(seed: int, clips: int, part: float) -> list[np.ndarray]:
    """Clips of two frames from four places of equal weight, but `part` of them from a fifth."""
    gen = np.random.default_rng(seed)
    places = 3 * np.eye(6)[:5]
    which = np.where(gen.random(clips) < part, 4, gen.integers(4, size=clips))
    return [places[i] + 0.2 * gen.normal(size=(2, 6)) for i in which]


def test_areas_of_known_histograms() -> None:
    p = np.array([0.2, 0.5, 0.3])
    assert mauve.area(p, p) == pytest.approx(1)
    assert mauve.area(p, np.array([0.3, 0.2, 0.5])) == pytest.approx(mauve.area(np.array([0.3, 0.2, 0.5]), p))
    far = mauve.area(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    # Disjoint: x = (1 - l)^5 and y = l^5, whose area is 5 B(6, 5) = 5 * 5! 4! / 10!
    assert far == pytest.approx(5 * math.factorial(5) * math.factorial(4) / math.factorial(10), rel=0.35)


def test_areas_become_exact_with_many_mixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mauve, "MIXTURES", 4000)
    far = mauve.area(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert far == pytest.approx(5 * math.factorial(5) * math.factorial(4) / math.factorial(10), rel=1e-4)


def test_equals_are_not_apart_and_mixtures_are_the_farther_the_more_is_foreign() -> None:
    real = mixture(0, 200, 0.0)
    assert mauve.mad(real, real, draws=20).value == pytest.approx(0, abs=1e-9)
    scores = [mauve.mad(mixture(1, 200, part), real, draws=50) for part in (0.0, 0.2, 0.5, 0.9)]
    assert all(one.value < other.value for one, other in pairwise(scores))
    assert scores[0].value < 2 * scores[0].floor and scores[2].low > scores[0].floor
    assert scores[2].low < scores[2].value < scores[2].high
    assert mauve.mad(mixture(1, 200, 0.5), real, draws=50) == scores[2]


def test_clusters_are_as_tight_as_sklearns() -> None:
    cluster = pytest.importorskip("sklearn.cluster", reason="needs scikit-learn")
    gen = np.random.default_rng(0)
    rows = gen.normal(size=(200, 5)) + 4 * gen.integers(3, size=(200, 1))
    theirs = cluster.KMeans(12, n_init=5, random_state=0).fit(rows).inertia_

    labels = mauve.kmeans(rows, 12, seed=1)
    ours = sum(np.square(rows[labels == i] - rows[labels == i].mean(0)).sum() for i in np.unique(labels))
    assert len(np.unique(labels)) == 12 and ours < 1.08 * theirs


def test_equal_rows_and_small_sets() -> None:
    still = mauve.mad([np.ones((2, 3))] * 6, [np.ones((2, 3))] * 6, draws=5)
    assert still.value == pytest.approx(0, abs=1e-9) and "All frames of the made set are equal." in still.notes
    with pytest.raises(ValueError, match="at least 2 clips"):
        mauve.mad([np.ones((2, 3))], [np.ones((2, 3))] * 6)
    with pytest.raises(ValueError, match="Clip 1 of the made set has embeddings that are not finite"):
        mauve.mad([np.ones((2, 3)), np.full((2, 3), np.nan)], [np.ones((2, 3))] * 6)
    with pytest.raises(ValueError, match="made set has 3 dimensions and the reference set 4"):
        mauve.mad([np.ones((2, 3))] * 3, [np.ones((2, 4))] * 3)
