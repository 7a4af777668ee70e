"""Kernel distances: against sklearn and loops; unbiased, with p-values and intervals that keep their word."""

import math

import numpy as np
import pytest

from counterpoint.metrics import kernel


def music(seed: int, clips: int, frames: int = 3, dim: int = 8, shift: float = 0.0) -> list[np.ndarray]:
    """Clips whose frames are alike: half of the variance is between clips."""
    gen = np.random.default_rng(seed)
    own = gen.normal(size=(clips, 1, dim)) + gen.normal(size=(clips, frames, dim))
    return list(shift + math.sqrt(0.5) * own)


def uneven(seed: int, clips: int, shift: float = 0.0) -> list[np.ndarray]:
    gen = np.random.default_rng(seed)
    return [shift + gen.normal(size=(frames, 8)) for frames in gen.integers(1, 9, clips)]


def unbiased(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    m, n = xy.shape
    return (xx.sum() - np.trace(xx)) / (m * (m - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1)) - 2 * xy.mean()


@pytest.mark.parametrize("block", [7, 2048])
def test_all_pairs_of_frames_are_sklearns(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rbf = pytest.importorskip("sklearn.metrics.pairwise", reason="needs scikit-learn").rbf_kernel
    monkeypatch.setattr(kernel, "BLOCK", block)
    made, real = uneven(0, 30, 0.2), uneven(1, 40)
    x, y = np.concatenate(made), np.concatenate(real)
    gamma = 1 / (2 * kernel.bandwidth(real) ** 2 + 1e-8)
    expected = 100 * unbiased(rbf(x, x, gamma), rbf(y, y, gamma), rbf(x, y, gamma))
    assert kernel.kad(made, real, pairs="frames", draws=2)[0].value == pytest.approx(expected, rel=1e-10)


def test_pairs_of_clips_are_those_of_loops() -> None:
    made, real, width = uneven(0, 5, 0.3), uneven(1, 6), 2.5

    def mean(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
        apart = [np.square(a - b).sum() for one, other in pairs for a in one for b in other]
        return float(np.mean(np.exp(-np.array(apart) / (2 * width**2 + 1e-8))))

    def others(clips: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(a, b) for i, a in enumerate(clips) for j, b in enumerate(clips) if i != j]

    expected = mean(others(made)) + mean(others(real)) - 2 * mean([(a, b) for a in made for b in real])
    assert kernel.kad(made, real, width=width, draws=2)[0].value == pytest.approx(100 * expected, rel=1e-10)


def test_the_bandwidth_is_the_lower_median_of_the_reference_alone() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    real = music(1, 41, 1)
    apart = np.sort(distance.pdist(np.concatenate(real)))
    assert kernel.bandwidth(real) == pytest.approx(apart[(len(apart) - 1) // 2], rel=1e-12)
    many = music(2, 300, 2)
    assert kernel.bandwidth(many) == pytest.approx(np.median(distance.pdist(np.concatenate(many))), rel=0.03)
    assert kernel.bandwidth(many, seed=4) == kernel.bandwidth(many, seed=4) != kernel.bandwidth(many, seed=5)


def test_the_distance_of_gaussians_is_the_closed_form() -> None:
    """x - y of N(0, I) and N(shift, I) is N(-shift, 2 I), whose mean kernel is known; within a set it is N(0, 2 I)."""
    dim, width, shift = 8, 3.0, 0.25
    gen = np.random.default_rng(0)
    made, real = (list(gen.normal(size=(2000, 1, dim)) + move) for move in (shift, 0.0))
    alike = (width**2 / (width**2 + 2)) ** (dim / 2)
    truth = 200 * alike * (1 - math.exp(-dim * shift**2 / (2 * (width**2 + 2))))
    score = kernel.kad(made, real, width=width, draws=50)[0]
    assert score.value == pytest.approx(truth, rel=0.1) and score.low < truth < score.high


def test_equal_music_scatters_around_nothing_where_pairs_within_clips_would_not() -> None:
    width = kernel.bandwidth(music(99, 300))
    both = [(music(i, 20, 6), music(500 + i, 30, 6)) for i in range(60)]
    clips = np.array([kernel.kad(*pair, width=width, draws=1)[0].value for pair in both])
    frames = np.array([kernel.kad(*pair, width=width, pairs="frames", draws=1)[0].value for pair in both])
    assert (clips < 0).any() and abs(clips.mean()) < 3 * clips.std() / math.sqrt(60)
    assert frames.mean() > 5 * frames.std() / math.sqrt(60)


def test_p_values_and_floors_are_passed_by_chance_as_often_as_they_say() -> None:
    width = kernel.bandwidth(music(99, 300))
    scores = [kernel.kad(music(i, 30), music(500 + i, 40), width=width, draws=100) for i in range(120)]
    assert 0.0 <= np.mean([p.value <= 0.05 for _, p in scores]) < 0.12
    assert 0.25 < np.mean([p.value <= 0.5 for _, p in scores]) < 0.75
    assert np.mean([figure.value > figure.floor for figure, _ in scores]) < 0.12
    far, p = kernel.kad(music(0, 30, shift=0.6), music(1, 40), draws=100)
    assert p.value == pytest.approx(1 / 101) and far.value > far.floor


def test_intervals_hold_the_truth() -> None:
    width = kernel.bandwidth(music(99, 300))
    truth = kernel.kad(music(5, 1500, 2, shift=0.4), music(6, 1500, 2), width=width, draws=1)[0].value
    scores = [kernel.kad(music(i, 50, shift=0.4), music(500 + i, 60), width=width, draws=150)[0] for i in range(60)]
    assert np.mean([score.low <= truth <= score.high for score in scores]) >= 0.88
    assert np.mean([score.high - score.low for score in scores]) < 6 * np.std([score.value for score in scores])


def test_invariances() -> None:
    made, real = uneven(0, 20, 0.2), uneven(1, 25)
    turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))
    one = kernel.kad(made, real, width=3.0, draws=20)
    assert kernel.kad(made, real, width=3.0, draws=20) == one
    assert kernel.kad([c @ turned + 5 for c in made], [c @ turned + 5 for c in real], width=3.0, draws=2)[
        0
    ].value == pytest.approx(one[0].value, rel=1e-9)
    assert kernel.kad(real[::-1], made[::-1], width=3.0, draws=2)[0].value == pytest.approx(one[0].value, rel=1e-9)
    assert kernel.kid([c @ turned for c in made], [c @ turned for c in real], draws=2)[0].value == pytest.approx(
        kernel.kid(made, real, draws=2)[0].value, rel=1e-9
    )


def test_what_cannot_be_compared_is_refused_or_told() -> None:
    good = music(0, 5)
    with pytest.raises(ValueError, match="no clips in the made set"):
        kernel.kad([], good)
    with pytest.raises(ValueError, match="Clip 1 of the made set has embeddings that are not finite"):
        kernel.kad([good[0], np.full((3, 8), np.inf)], good)
    with pytest.raises(ValueError, match="made set has 8 dimensions and the reference set 9"):
        kernel.kid(good, music(0, 5, dim=9))
    with pytest.raises(ValueError, match="cannot be 0"):
        kernel.kad(good, good, width=0.0)
    with pytest.raises(ValueError, match="reference set are equal"):
        kernel.kad(good, [np.ones((3, 8))] * 4)
    with pytest.raises(ValueError, match="at least two"):
        kernel.kad(good, [good[0][:1]])
    alone, p = kernel.kad(good[:1], good)
    assert math.isnan(alone.value) and math.isnan(p.value) and "no pair" in alone.notes[-1]
    within = kernel.kad(good[:1], good, pairs="frames")[0]
    assert math.isfinite(within.value) and math.isnan(within.low) and "one clip" in within.notes[0]
    still = kernel.kad([np.ones((3, 8))] * 5, good, draws=20)[0]
    assert math.isfinite(still.value) and "All frames of the made set are equal." in still.notes
