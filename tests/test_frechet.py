"""Frechet distances: against scipy and torchmetrics, closed forms, the truth of Gaussians, and the coverage of intervals."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint.metrics import frechet, reference
from counterpoint.metrics import gaussian as gaussians
from counterpoint.metrics.gaussian import Gaussian, distance, gaussian


def sample(seed: int, frames: int, dim: int, shift: float = 0.0) -> np.ndarray:
    gen = np.random.default_rng(seed)
    return gen.normal(size=(frames, dim)) @ np.random.default_rng(99).normal(size=(dim, dim)) + shift


def music(seed: int, clips: int, frames: int = 4, dim: int = 8, shift: float = 0.0) -> list[np.ndarray]:
    """Clips whose frames are alike: half of the variance is between clips."""
    gen = np.random.default_rng(seed)
    own = gen.normal(size=(clips, 1, dim)) + gen.normal(size=(clips, frames, dim))
    return list(shift + math.sqrt(0.5) * own)


def exact(dim: int, frames: int = 10**9) -> reference.Reference:
    """The statistics of endless music of `music`."""
    return reference.Reference(Gaussian(np.zeros(dim), np.eye(dim)), frames, frames, "", 0, 0.0, math.nan)


@pytest.mark.parametrize("counts", [(300, 400), (30, 300), (12, 15), (300, 20)], ids=str)
def test_the_distance_is_scipys(counts: tuple[int, int]) -> None:
    linalg = pytest.importorskip("scipy.linalg")
    x, y = sample(0, counts[0], 24), sample(1, counts[1], 24, 0.3)
    cx, cy = np.cov(x.T), np.cov(y.T)
    full = min(counts) > 24  # else the product is singular, and its root is left to eigenvalues
    roots = np.diag(linalg.sqrtm(cx @ cy)) if full else np.sqrt(linalg.eigvals(cx @ cy))
    expected = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(cx) + np.trace(cy) - 2 * roots.real.sum()
    assert distance(gaussian(x), gaussian(y)) == pytest.approx(expected, rel=1e-9 if full else 1e-6)


def test_both_ways_agree_where_frames_are_few() -> None:
    few, many = gaussian(sample(0, 20, 24)), gaussian(sample(1, 300, 24))
    assert few.rows is not None and many.rows is None
    assert distance(few, many) == pytest.approx(distance(replace(few, rows=None), many), rel=1e-7)


@pytest.mark.parametrize("frames", [10, 200])
def test_a_set_is_nowhere_but_where_it_is(frames: int) -> None:
    x = sample(0, frames, 24)
    assert 0 <= distance(gaussian(x), gaussian(x)) < 1e-9 * np.trace(np.cov(x.T))
    assert distance(gaussian(x), gaussian(x + 0.5)) == pytest.approx(24 * 0.25, rel=1e-9)
    turned, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(24, 24)))
    y = sample(1, frames, 24)
    there = distance(gaussian(x), gaussian(y))
    assert distance(gaussian(x @ turned), gaussian(y @ turned)) == pytest.approx(there, rel=1e-9)
    assert distance(gaussian(y), gaussian(x)) == pytest.approx(there, rel=1e-9)


def test_closed_forms() -> None:
    plain = Gaussian(np.zeros(6), np.eye(6))
    assert distance(plain, replace(plain, covariance=9 * np.eye(6))) == pytest.approx(6 * 4)
    wide, narrow = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.0])
    diagonal = distance(Gaussian(np.zeros(3), np.diag(wide)), Gaussian(np.ones(3), np.diag(narrow)))
    assert diagonal == pytest.approx(3 + np.square(np.sqrt(wide) - np.sqrt(narrow)).sum())


@pytest.mark.parametrize("kept", [gaussians.KEPT, 0], ids=["squares", "frames"])
def test_resamples_of_clips_are_what_copies_of_them_would_be(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussians, "KEPT", kept)
    clips = [sample(i, 1 + 3 * (i % 4), 5, shift=1e4) for i in range(7)]
    counts = np.array([[1, 1, 1, 1, 1, 1, 1], [0, 3, 1, 0, 2, 0, 1]], dtype=np.float64)
    stack = next(gaussians.Sums(clips).gaussians(counts))
    for mean, covariance, row in zip(stack.mean, stack.covariance, counts.astype(int), strict=True):
        copies = np.concatenate([clip for clip, count in zip(clips, row, strict=True) for _ in range(count)])
        np.testing.assert_allclose(mean, copies.mean(0))
        np.testing.assert_allclose(covariance, np.cov(copies.T), rtol=1e-8, atol=1e-8)


def test_neither_the_order_of_clips_nor_of_frames_tells() -> None:
    made, real = music(0, 40), music(1, 40, shift=0.3)
    one = frechet.frechet(made, real, draws=10)
    other = frechet.frechet([clip[::-1] for clip in made[::-1]], real[::-1], draws=10)
    assert one.value == pytest.approx(other.value, rel=1e-12)
    assert frechet.frechet(made, real, draws=10) == one  # the same bytes for the same input


def test_intervals_hold_the_mean_of_other_sets_and_the_floor_is_what_real_clips_score() -> None:
    scores = [frechet.frechet(music(i, 50, shift=0.3), music(1000 + i, 60), draws=80) for i in range(60)]
    mean = np.mean([score.value for score in scores])
    assert np.mean([score.low <= mean <= score.high for score in scores]) >= 0.88
    assert np.mean([score.high - score.low for score in scores]) < 6 * np.std([score.value for score in scores])
    real = np.mean([distance(*(gaussian(np.concatenate(music(s + i, n))) for s, n in ((0, 50), (900, 60)))) for i in range(60)])
    assert np.mean([score.floor for score in scores]) == pytest.approx(real, rel=0.1)
    assert mean > 1.5 * real


def test_extrapolation_takes_the_bias_off() -> None:
    """Truth 0.8 in 64 dimensions: plain distances of 2000 frames say 1.4, those of bootstrap samples extrapolate to 1.35."""
    shift = math.sqrt(0.8 / 64)
    made = [music(seed, 2000, 1, 64, shift) for seed in range(3)]
    plain = np.mean([frechet.frechet(clips, exact(64), draws=2).value for clips in made])
    scores = [frechet.frechet_inf(clips, exact(64), points=8, seeds=3, draws=20) for clips in made]
    assert np.mean([score.value for score in scores]) == pytest.approx(0.8, rel=0.1)
    assert plain > 1.2
    assert all(score.low < 0.8 < score.high and score.floor == 0 for score in scores)
    assert "R^2 0.9" in scores[0].notes[-1] and "spread" in scores[0].notes[-1]  # 2000 clips are enough: no other note


def test_extrapolation_of_both_sides_finds_no_distance_between_halves() -> None:
    values = [frechet.frechet_inf(music(i, 60), music(500 + i, 90), points=6, seeds=2, draws=4).value for i in range(12)]
    plain = [frechet.frechet(music(i, 60), music(500 + i, 90), draws=2).value for i in range(12)]
    assert abs(np.mean(values)) < 0.15 * np.mean(plain)


def test_too_few_clips_are_not_extrapolated() -> None:
    bent = frechet.frechet_inf(music(0, 50), music(1, 50), points=4, seeds=2, draws=3)
    assert "line bends below 80 clips" in bent.notes[-1]
    score = frechet.frechet_inf(music(0, 20, 1, 64), exact(64))
    assert math.isnan(score.value) and "too few" in score.notes[-1]
    assert "do not trust" in frechet.frechet(music(0, 20, 1, 64), exact(64), draws=3).notes[-1]


def test_outliers_are_named() -> None:
    made = music(0, 40, 10)
    made[7], made[21], made[3] = made[7] + 3, made[21] + 9, made[3][:1]
    score = frechet.per_song(made, music(1, 60, 10))
    assert score.n == 39 and "1 of 40" in score.notes[0]
    assert "clips 21, 7," in score.notes[-1]
    calm = frechet.per_song(music(2, 200, 10), music(1, 300, 10))
    assert calm.floor == pytest.approx(calm.value, rel=0.1) and calm.floor < score.value


def test_kept_statistics_are_those_that_were_stored(tmp_path: Path) -> None:
    kept = reference.reference(music(1, 60), "logmel 1", 16000)
    reference.save(tmp_path / "a.npz", kept)
    reference.save(tmp_path / "b.npz", kept)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read = reference.load(tmp_path / "a.npz", "logmel 1", 16000)
    fresh, stored = (frechet.frechet(music(0, 40), against, draws=5) for against in (music(1, 60), read))
    assert (stored.value, stored.floor) == (fresh.value, fresh.floor)
    assert "taken as exact" in stored.notes[-1]
    assert (read.clips, read.songs, read.frames) == (60, kept.songs, 240)


@pytest.mark.parametrize(("identity", "rate"), [("vggish 1", 16000), ("logmel 1", 32000)])
def test_statistics_of_another_ear_are_refused(tmp_path: Path, identity: str, rate: int) -> None:
    reference.save(tmp_path / "a.npz", reference.reference(music(1, 10), "logmel 1", 16000))
    with pytest.raises(ValueError, match="heard by logmel 1 at 16000 Hz"):
        reference.load(tmp_path / "a.npz", identity, rate)


def test_files_that_are_no_statistics_are_refused(tmp_path: Path) -> None:
    reference.save(tmp_path / "whole.npz", reference.reference(music(1, 10), "", 0))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:600])
    (tmp_path / "text.npz").write_text("not numbers")
    np.savez(tmp_path / "pickle.npz", mean=np.array([{}], dtype=object))
    np.savez(tmp_path / "other.npz", mean=np.zeros(3))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("cut.npz", "text.npz", "pickle.npz", "other.npz", "array.npy", "missing.npz"):
        with pytest.raises(ValueError, match="cannot be read as reference statistics"):
            reference.load(tmp_path / name, "", 0)
    with np.load(tmp_path / "whole.npz") as file:
        whole = dict(file)
    np.savez(tmp_path / "shapes.npz", **(whole | {"covariance": np.eye(3)}))
    with pytest.raises(ValueError, match="shapes that do not fit"):
        reference.load(tmp_path / "shapes.npz", "", 0)
    np.savez(tmp_path / "nan.npz", **(whole | {"mean": np.full(8, np.nan)}))
    with pytest.raises(ValueError, match="not finite"):
        reference.load(tmp_path / "nan.npz", "", 0)


def test_what_cannot_be_compared_is_refused_by_name() -> None:
    good = music(0, 5)
    broken = [*good[:3], np.full((4, 8), np.nan), *good[3:]]
    with pytest.raises(ValueError, match="no clips in the made set"):
        frechet.frechet([], good)
    with pytest.raises(ValueError, match="no clips in the reference set"):
        frechet.frechet(good, [])
    with pytest.raises(ValueError, match="Clip 3 of the made set has embeddings that are not finite"):
        frechet.frechet(broken, good)
    with pytest.raises(ValueError, match="Clip 3 of the reference set has embeddings that are not finite"):
        frechet.frechet_inf(good, broken)
    with pytest.raises(ValueError, match="Clip 1 of the made set has 9 dimensions and clip 0 has 8"):
        frechet.frechet([good[0], np.zeros((4, 9))], good)
    with pytest.raises(ValueError, match="made set has 8 dimensions and the reference set 9"):
        frechet.per_song(good, music(0, 5, dim=9))
    with pytest.raises(ValueError, match="Clip 1 of the made set has no frames"):
        frechet.frechet([good[0], np.zeros((0, 8))], good)
    with pytest.raises(ValueError, match="at least two frames"):
        frechet.frechet([good[0][:1]], good)
    with pytest.raises(ValueError, match="at least 2 points"):
        frechet.frechet_inf(good, good, points=1)


def test_one_clip_and_equal_frames_are_told() -> None:
    score = frechet.frechet(music(0, 1, 10, 4), music(1, 50, 4, 4))
    assert math.isfinite(score.value) and math.isnan(score.low) and "one clip" in score.notes[0]
    still = frechet.frechet([np.ones((4, 8))] * 40, music(1, 40), draws=5)
    assert math.isfinite(still.value) and "All frames of the made set are equal." in still.notes
    assert still.low <= still.value <= still.high
