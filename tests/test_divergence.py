"""Divergences of what a tagger hears, and inception scores: against scipy, closed forms, and coverage."""

import math

import numpy as np
import pytest

from counterpoint.metrics import divergence


def tags(seed: int, clips: int, windows: int = 2, labels: int = 6, like: list[np.ndarray] | None = None) -> list[np.ndarray]:
    """Softmax outputs; near those of `like` where it is given."""
    gen = np.random.default_rng(seed)
    near = [np.log(clip) for clip in like] if like else [2 * gen.normal(size=(1, labels)) for _ in range(clips)]
    logits = [clip + 0.5 * gen.normal(size=(windows, labels)) for clip in near]
    return [np.exp(row) / np.exp(row).sum(1, keepdims=True) for row in logits]


def test_both_directions_are_scipys() -> None:
    entropy = pytest.importorskip("scipy.special").rel_entr
    real, made = tags(0, 40), tags(1, 40)
    ref_gen, gen_ref = divergence.kl(made, real)
    assert (ref_gen.name, gen_ref.name) == ("kl_ref_gen", "kl_gen_ref")
    pairs = list(zip(real, made, strict=True))
    assert ref_gen.value == pytest.approx(np.mean([entropy(r, g + 1e-6).sum(1).mean() for r, g in pairs]), rel=1e-12)
    assert gen_ref.value == pytest.approx(np.mean([entropy(g, r + 1e-6).sum(1).mean() for r, g in pairs]), rel=1e-12)
    assert abs(ref_gen.value - gen_ref.value) > 1e-2  # else the test could not tell them apart


def test_the_small_number_is_in_the_second_logarithm_only() -> None:
    certain, other = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    score = divergence.kl([certain], [other])[0]
    assert score.value == pytest.approx(-math.log(1e-6))
    assert divergence.kl([certain], [certain])[0].value == pytest.approx(-1e-6, rel=1e-3)
    assert divergence.kl(tags(0, 9), tags(0, 9))[0].value == pytest.approx(0, abs=6e-6)


def test_one_distribution_a_clip_is_the_softmax_of_mean_logits() -> None:
    gen = np.random.default_rng(0)
    logits = [[3 * gen.normal(size=(3, 5)) for _ in range(8)] for _ in range(2)]
    soft = [[np.exp(x) / np.exp(x).sum(1, keepdims=True) for x in side] for side in logits]
    mean = [[np.exp(x.mean(0)) / np.exp(x.mean(0)).sum() for x in side] for side in logits]
    by_hand = np.mean([(r * np.log(r / g)).sum() for g, r in zip(*mean, strict=True)])
    assert divergence.kl(*soft, rule="clip")[0].value == pytest.approx(by_hand, abs=1e-4)
    assert divergence.kl(*soft, rule="segments")[0].value > 1.2 * by_hand


def test_the_floor_is_what_shuffled_pairs_score() -> None:
    real = tags(0, 30)
    made = tags(1, 30, like=real)
    score = divergence.kl(made, real)[0]
    apart = [
        (one * np.log(one / (other + 1e-6))).sum()
        for i, clip in enumerate(real)
        for j, against in enumerate(made)
        for one in clip
        for other in against
        if i != j
    ]
    assert score.floor == pytest.approx(np.mean(apart), rel=1e-9) and score.value < 0.3 * score.floor
    chance = divergence.kl(tags(2, 30), real)[0]
    assert chance.low < chance.floor < chance.high


def test_intervals_hold_the_mean_of_other_clips() -> None:
    def score(i: int):
        real = tags(i, 40)
        return divergence.kl(tags(1000 + i, 40, like=real), real, draws=200)[0]

    scores = [score(i) for i in range(40)]
    mean = np.mean([each.value for each in scores])
    assert np.mean([each.low <= mean <= each.high for each in scores]) >= 0.85
    assert np.mean([each.high - each.low for each in scores]) < 6 * np.std([each.value for each in scores])


def test_inception_scores_of_known_tags() -> None:
    certain = [row[None] for row in np.tile(np.eye(8), (10, 1))]
    whole, split = divergence.inception_score(certain, splits=2, draws=20)
    assert whole.value == pytest.approx(8) and 6 < split.value <= 8 and whole.n == 80
    few = divergence.inception_score(certain[:16], splits=2, draws=50)[0]  # resamples lack labels and score less: taken off
    assert few.low < few.value < few.high
    alike = divergence.inception_score([np.full((2, 5), 0.2)] * 40, draws=20)
    assert [score.value for score in alike] == pytest.approx([1, 1]) and alike[0].floor == 1
    assert alike[1].name == "inception_score_10" and alike[1].low == pytest.approx(1)


def test_inception_scores_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rows = np.concatenate(tags(0, 120, windows=1))
    whole, split = divergence.inception_score([row[None] for row in rows], splits=4, draws=20, seed=3)
    assert whole.value == pytest.approx(np.exp(stats.entropy(rows, rows.mean(0)[None], axis=1).mean()), rel=1e-9)
    parts = np.array_split(np.random.default_rng(3).permutation(120), 4)
    each = [np.exp(stats.entropy(rows[p], rows[p].mean(0)[None], axis=1).mean()) for p in parts]
    assert split.value == pytest.approx(np.mean(each), rel=1e-9)
    assert f"deviation {np.std(each):.3g}" in split.notes[1]


def test_splits_lower_the_score_as_they_are_known_to() -> None:
    whole, split = divergence.inception_score(tags(0, 60, 1, 40), draws=50)
    assert split.value < 0.8 * whole.value and "Fewer clips in a split than labels" in split.notes[-1]
    assert whole.low < whole.value < whole.high and split.low < split.value < split.high


def test_intervals_of_inception_scores_hold_the_mean_of_other_clips() -> None:
    scores = [divergence.inception_score(tags(i, 60), splits=3, draws=100) for i in range(50)]
    for which in range(2):
        mean = np.mean([each[which].value for each in scores])
        assert np.mean([each[which].low <= mean <= each[which].high for each in scores]) >= 0.85


def test_what_is_no_pair_or_no_distribution_is_refused_by_name() -> None:
    good = tags(0, 5)
    with pytest.raises(ValueError, match="5 made clips and 4 references are no pairs"):
        divergence.kl(good, good[:4])
    with pytest.raises(ValueError, match="Clip 2 has 1 windows and its reference 2"):
        divergence.kl([*good[:2], good[2][:1], *good[3:]], good)
    assert math.isfinite(divergence.kl([*good[:2], good[2][:1], *good[3:]], good, rule="clip")[0].value)
    with pytest.raises(ValueError, match="6 labels cannot be compared with 7"):
        divergence.kl(good, tags(0, 5, labels=7))
    with pytest.raises(ValueError, match="Clip 1 of the reference set has 7 labels and clip 0 has 6"):
        divergence.kl(good, [good[0], *tags(0, 4, labels=7)])
    with pytest.raises(ValueError, match="Clip 3 of the made set has probabilities that are not finite"):
        divergence.kl([*good[:3], np.full((2, 6), np.nan), good[4]], good)
    with pytest.raises(ValueError, match="Rows of clip 1 of the made set do not sum to 1"):
        divergence.inception_score([good[0], np.full((2, 6), 0.5)])
    with pytest.raises(ValueError, match="no clips in the made set"):
        divergence.inception_score([])
    with pytest.raises(ValueError, match="Clip 0 of the made set has no windows"):
        divergence.kl([np.zeros((0, 6))], good[:1])
    with pytest.raises(ValueError, match="5 clips cannot be split in 10"):
        divergence.inception_score(good)


def test_one_clip_is_told_without_interval() -> None:
    one = divergence.kl(tags(0, 1), tags(1, 1))[0]
    assert math.isfinite(one.value) and math.isnan(one.low) and math.isnan(one.floor) and "1 pairs" in one.notes[1]
    assert math.isnan(divergence.inception_score(tags(0, 1), splits=1)[0].low)
