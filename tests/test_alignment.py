"""Text match: cosines, floors and retrieval of embeddings whose answers are known."""

import math

import numpy as np
import pytest

from counterpoint.metrics import alignment, intervals


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pairs(seed: int, n: int, noise: float = 1.0, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    gen = np.random.default_rng(seed)
    texts = gen.normal(size=(n, dim)) + 0.5
    return unit(texts), unit(texts + noise * gen.normal(size=(n, dim)))


def test_the_score_is_torchs_cosine_and_the_floor_that_of_all_wrong_pairs() -> None:
    torch = pytest.importorskip("torch")
    texts, sounds = pairs(0, 50)
    table = torch.nn.functional.cosine_similarity(
        torch.from_numpy(texts)[:, None], torch.from_numpy(sounds)[None], dim=2
    ).numpy()
    score = alignment.text_match(texts, sounds)[0]
    assert score.value == pytest.approx(table.diagonal().mean(), rel=1e-12)
    assert score.floor == pytest.approx(table[~np.eye(50, dtype=bool)].mean(), rel=1e-10)
    gen, drawn = np.random.default_rng(0), []
    while len(drawn) < 300:
        order = gen.permutation(50)
        if (order != np.arange(50)).all():
            drawn.append((texts * sounds[order]).sum(1).mean())
    assert score.floor == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / math.sqrt(300))
    assert score.low < score.value < score.high and score.floor < score.low


def test_the_order_of_pairs_tells_nothing_and_a_wrong_order_much() -> None:
    texts, sounds = pairs(0, 60, 0.3)
    order = np.random.default_rng(1).permutation(60)
    one, other = alignment.text_match(texts, sounds)[0], alignment.text_match(texts[order], sounds[order])[0]
    assert (one.value, one.floor) == pytest.approx((other.value, other.floor))
    wrong = alignment.text_match(texts, sounds[order])[0]
    assert wrong.value == pytest.approx(wrong.floor, abs=0.15) and wrong.value < one.value - 0.3
    same = np.tile(texts[:1], (60, 1))
    equal = [alignment.text_match(same, rows)[0].value for rows in (sounds, sounds[order])]
    assert equal[0] == pytest.approx(equal[1])


def test_scores_below_nothing_are_kept() -> None:
    texts, _ = pairs(0, 20)
    assert alignment.text_match(texts, -texts)[0].value == pytest.approx(-1)
    assert alignment.cosines(texts, texts) == pytest.approx(np.ones(20))


def test_the_ceiling_is_the_references() -> None:
    texts, sounds = pairs(0, 50)
    real = pairs(0, 50, 0.2)[1]
    score, ceiling = alignment.text_match(texts, sounds, reference=real)
    assert ceiling.name == "text_match_reference" and ceiling.value > score.value
    assert f"scores {ceiling.value:.3f}" in score.notes[-1]


def test_intervals_hold_the_truth() -> None:
    truth = alignment.text_match(*pairs(0, 20000))[0].value
    scores = [alignment.text_match(*pairs(i, 40), draws=200)[0] for i in range(1, 81)]
    assert np.mean([score.low <= truth <= score.high for score in scores]) >= 0.87
    difference = alignment.cosines(*pairs(1, 40, 0.5)) - alignment.cosines(*pairs(1, 40))
    assert intervals.mean("difference", difference).low > 0


@pytest.mark.parametrize("block", [7, 2048])
def test_retrieval_is_that_of_sorted_lists(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "BLOCK", block)
    texts, sounds = pairs(0, 40, 2.0)
    ranks = [sorted(range(40), key=lambda j, row=row: -row[j]).index(i) for i, row in enumerate(sounds @ texts.T)]
    first, tenth = alignment.retrieval(texts, sounds)
    assert first.value == pytest.approx(np.mean([rank < 1 for rank in ranks]))
    assert tenth.value == pytest.approx(np.mean([rank < 10 for rank in ranks]))
    assert (first.floor, tenth.floor) == (1 / 40, 10 / 40) and first.value < tenth.value < 1
    assert alignment.retrieval(texts, texts)[0].value == 1


def test_an_embedder_that_hears_nothing_scores_the_floor() -> None:
    texts, sounds = pairs(0, 40)
    deaf = np.tile(sounds[:1], (40, 1))
    first, tenth = alignment.retrieval(texts, deaf)
    assert (first.value, tenth.value) == pytest.approx((1 / 40, 10 / 40))
    assert "All sounds have the same vector." in first.notes
    illiterate = np.tile(texts[:1], (40, 1))
    assert alignment.retrieval(illiterate, sounds)[1].value == pytest.approx(10 / 40)
    twice = np.repeat(texts[:20], 2, axis=0)
    assert alignment.retrieval(twice, twice)[0].value == pytest.approx(0.5)
    assert "20 different texts among 40" in alignment.text_match(twice, twice)[0].notes[0]


def test_what_is_no_pair_of_unit_vectors_is_refused_by_name() -> None:
    texts, sounds = pairs(0, 10)
    with pytest.raises(ValueError, match="10 texts and 9 sounds are no pairs"):
        alignment.text_match(texts, sounds[:9])
    with pytest.raises(ValueError, match="10 texts and 8 reference sounds"):
        alignment.text_match(texts, sounds, reference=sounds[:8])
    with pytest.raises(ValueError, match="16 dimensions and sounds 8"):
        alignment.cosines(texts, unit(sounds[:, :8]))
    with pytest.raises(ValueError, match="Vector 4 of the sounds is not finite"):
        alignment.retrieval(texts, np.where(np.arange(10)[:, None] == 4, np.nan, sounds))
    with pytest.raises(ValueError, match="Vector 2 of the texts has the length 0"):
        alignment.retrieval(np.where(np.arange(10)[:, None] == 2, 0.0, texts), sounds)
    with pytest.raises(ValueError, match="no texts vectors"):
        alignment.text_match(texts[:0], sounds[:0])


def test_one_pair_is_told_alone() -> None:
    texts, sounds = pairs(0, 1)
    score = alignment.text_match(texts, sounds)[0]
    assert math.isfinite(score.value) and math.isnan(score.low) and math.isnan(score.floor) and "One pair" in score.notes[0]
    assert alignment.retrieval(texts, sounds)[1].floor == 1
