"""Distances against torchmetrics, which is slow to import: in one file."""

import numpy as np
import pytest
import torch

from counterpoint.metrics import kernel
from counterpoint.metrics.gaussian import distance, gaussian


def test_the_frechet_distance_is_that_of_fid() -> None:
    fid = pytest.importorskip("torchmetrics.image.fid", reason="needs torchmetrics")
    gen = np.random.default_rng(0)
    mixing = gen.normal(size=(32, 32))
    x, y = gen.normal(size=(500, 32)) @ mixing, gen.normal(size=(600, 32)) @ mixing * 1.1 + 0.2
    theirs = fid._compute_fid(*(torch.from_numpy(part) for z in (x, y) for part in (z.mean(0), np.cov(z.T))))
    assert distance(gaussian(x), gaussian(y)) == pytest.approx(float(theirs), rel=1e-11)


def test_the_polynomial_distance_is_that_of_kid() -> None:
    kid = pytest.importorskip("torchmetrics.image.kid", reason="needs torchmetrics")
    gen = np.random.default_rng(0)
    x, y = gen.normal(size=(40, 8)) + 0.2, gen.normal(size=(40, 8))
    theirs = kid.poly_mmd(torch.from_numpy(y), torch.from_numpy(x))
    ours = kernel.kid([row[None] for row in x], [row[None] for row in y], draws=2)[0]
    assert ours.value == pytest.approx(float(theirs), rel=1e-10)
