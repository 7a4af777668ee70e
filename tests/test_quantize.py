"""Codebooks: nearest codes, k-means, revival, prefixes, gradients."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from counterpoint.nn.quantize import CodebookAverages, ResidualQuantizer, kmeans, nearest


def _gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(3000, 6, generator=_gen())


@pytest.fixture
def quantizer(vectors) -> ResidualQuantizer:
    quantizer = ResidualQuantizer(levels=4, bins=16, dim=6)
    quantizer.fit(vectors, _gen(1))
    return quantizer


def test_nearest_agrees_with_scipy(vectors):
    codes = vectors[:40]
    assert np.array_equal(nearest(vectors, codes).numpy(), cdist(vectors, codes).argmin(1))


def test_kmeans_finds_separate_clusters_and_leaves_no_code_empty():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    points = centres.repeat(50, 1) + 0.1 * torch.randn(200, 2, generator=_gen())
    codes = kmeans(points, 4, _gen(3))
    assert torch.cdist(centres, codes).min(1).values.max() < 0.2
    assert len(nearest(points, kmeans(points, 32, _gen())).unique()) >= 30


def test_kmeans_takes_fewer_vectors_than_codes():
    assert kmeans(torch.randn(5, 3, generator=_gen()), 16, _gen()).isfinite().all()


def test_each_level_lowers_the_error_and_prefixes_decode(quantizer, vectors):
    frames = vectors.view(3, 1000, 6)
    tokens = quantizer.encode(frames)
    assert tokens.shape == (3, 4, 1000)
    assert torch.equal(quantizer.encode(frames, levels=2), tokens[:, :2])
    errors = [(quantizer.decode(tokens[:, :k]) - frames).square().mean().item() for k in (1, 2, 3, 4)]
    assert errors == sorted(errors, reverse=True) and errors[3] < 0.6 * errors[0]


def test_dropout_keeps_leading_levels_of_each_item(quantizer, vectors):
    frames = vectors[:20].view(2, 10, 6)
    out = quantizer(frames, torch.tensor([1, 3]))
    torch.testing.assert_close(out.frames[0], quantizer.decode(out.tokens[:1, :1])[0])
    torch.testing.assert_close(out.frames[1], quantizer.decode(out.tokens[1:, :3])[0])


def test_the_gradient_goes_straight_through(quantizer, vectors):
    frames = vectors[:20].view(2, 10, 6).clone().requires_grad_()
    weight = torch.randn(2, 10, 6, generator=_gen())
    (quantizer(frames).frames * weight).sum().backward()
    torch.testing.assert_close(frames.grad, weight)


def test_a_killed_code_comes_back_and_stays(quantizer, vectors):
    averages = CodebookAverages(quantizer, decay=0.9)
    book = quantizer.books[0]
    book.codes[3] = 1e4
    averages.total[0, 3] = 1e4
    averages.count[0, 3] = 1e-4
    frames = vectors.view(3, 1000, 6)
    assert averages.update(quantizer, frames, _gen()) > 0
    assert book.codes[3].abs().max() < 10
    for step in range(20):
        averages.update(quantizer, frames, _gen(step))
    assert (quantizer.encode(frames)[:, 0] == 3).any()


def test_averages_follow_the_data(quantizer, vectors):
    averages = CodebookAverages(quantizer, decay=0.8)
    moved = vectors.view(3, 1000, 6) * 0.5 + 2.0
    before = quantizer(moved).commitment
    for step in range(40):
        averages.update(quantizer, moved, _gen(step))
    assert quantizer(moved).commitment < 0.7 * before


def learnt(frames: torch.Tensor, seed: int, kill: bool) -> torch.Tensor:
    """The codes after ten steps on `frames`; with `kill`, one begins dead."""
    quantizer = ResidualQuantizer(levels=2, bins=8, dim=6)
    quantizer.fit(torch.randn(500, 6, generator=_gen()), _gen())
    averages = CodebookAverages(quantizer, decay=0.9)
    if kill:
        quantizer.books[0].codes[3] = averages.total[0, 3] = 1e4
        averages.count[0, 3] = 1e-4
    for step in range(10):
        averages.update(quantizer, frames, _gen(100 * seed + step))
    return torch.stack([book.codes for book in quantizer.books])


TOGETHER = """
import sys
sys.path.insert(0, {tests!r})
import torch
import test_quantize as t
from counterpoint import parallel
torch.set_num_threads(1)
place = parallel.place("cpu")
with parallel.together(place):
    frames = torch.randn(4, 200, 6, generator=t._gen(5))[2 * place.rank : 2 * place.rank + 2]
    torch.save([t.learnt(frames, place.rank, kill) for kill in (False, True)], f"{{sys.argv[1]}}/{{place.rank}}.pt")
"""


def test_several_processes_learn_the_codebooks_of_one(run_as_two, tmp_path):
    run_as_two(TOGETHER.format(tests=str(Path(__file__).parent)), tmp_path)
    (alive, revived), other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert torch.equal(alive, other[0]) and torch.equal(revived, other[1])
    assert revived.abs().max() < 10
    torch.testing.assert_close(alive, learnt(torch.randn(4, 200, 6, generator=_gen(5)), 0, kill=False), atol=1e-5, rtol=1e-4)
