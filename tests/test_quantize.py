"""Codebooks: nearest codes, k-means, revival, prefixes, gradients."""

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
