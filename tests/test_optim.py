"""Schedules by closed form, averages by hand, decay where it belongs."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from counterpoint.config import dump, parse
from counterpoint.optim import EMA, Muon32, OptimConfig, clip_gradients, hidden_matrices, parameter_groups, schedule


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.conv = nn.Conv1d(4, 4, 3)
        self.norm = nn.LayerNorm((2, 4))  # its gain is a matrix, and still a gain
        self.linear = nn.Linear(4, 7, bias=False)
        self.tied = nn.Linear(4, 7, bias=False)
        self.tied.weight = self.linear.weight
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(4))


def test_only_matrices_and_kernels_decay():
    net = Net()
    decay, rest = parameter_groups(net, 0.3)
    assert decay["weight_decay"] == 0.3 and rest["weight_decay"] == 0.0
    names = {id(p): name for name, p in net.named_parameters()}
    assert {names[id(p)] for p in decay["params"]} == {"conv.weight", "linear.weight"}
    assert {names[id(p)] for p in rest["params"]} == {"embedding.weight", "conv.bias", "norm.weight", "norm.bias", "scale"}
    assert len(decay["params"]) == 2  # a tied weight is moved once
    [only] = parameter_groups(net, 0.3, among=[net.scale])
    assert only["params"] == [net.scale]


class Stacked(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 24), nn.LayerNorm(24), nn.Linear(24, 8)) for _ in range(2))
        self.last = nn.Linear(8, 5)


def test_muon_moves_the_matrices_of_blocks_by_rotations_and_adamw_the_rest():
    torch.manual_seed(0)
    net = Stacked()
    hidden = hidden_matrices(net, list(net.parameters()))
    assert {id(p) for p in hidden} == {id(net.blocks[i][j].weight) for i in (0, 1) for j in (0, 2)}
    config = OptimConfig(hidden="muon", lr=0.01, weight_decay=0.0)
    before = [p.detach().clone() for p in net.parameters()]
    optimisers = config.build(net, list(net.parameters()))
    assert optimisers.keys() == {"adamw", "muon"}
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    for optimiser in optimisers.values():
        optimiser.step()
    moved = {id(p): p.detach() - old for p, old in zip(net.parameters(), before, strict=True)}
    assert all(step.abs().max() > 0 for step in moved.values())
    for weight in hidden:  # every direction by about the same: 0.2 sqrt(the longer side) times the learning rate
        sizes = torch.linalg.svdvals(moved[id(weight)]) / (0.01 * 0.2 * 24**0.5)
        assert sizes.min() > 0.5 and sizes.max() < 1.4
    assert torch.allclose(moved[id(net.first.weight)].abs(), torch.tensor(0.01), atol=1e-4)  # AdamW's first step
    assert OptimConfig().build(net, list(net.parameters())).keys() == {"adamw"}


@pytest.mark.parametrize(("kind", "at_middle"), [("cosine", 0.55), ("linear", 0.55), ("constant", 1.0), ("wsd", 1.0)])
def test_schedules_start_peak_and_end_where_they_should(kind, at_middle):
    config = OptimConfig(schedule=kind, warmup_steps=100)
    assert schedule(config, 0, 1100) == pytest.approx(0.01)
    assert schedule(config, 49, 1100) == pytest.approx(0.5)
    assert schedule(config, 99, 1100) == schedule(config, 100, 1100) == pytest.approx(1.0)
    assert schedule(config, 600, 1100) == pytest.approx(at_middle)
    assert schedule(config, 1100, 1100) == pytest.approx(1.0 if kind == "constant" else 0.1)
    assert schedule(config, 5000, 1100) == schedule(config, 1100, 1100)
    factors = [schedule(config, step, 1100) for step in range(100, 1101)]
    assert factors == sorted(factors, reverse=True)


def test_cosine_is_torchs_and_no_warm_up_starts_at_the_peak():
    config = OptimConfig(schedule="cosine", warmup_steps=0, min_lr_ratio=0.0, lr=1.0)
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=50)
    for step in range(50):
        assert schedule(config, step, 50) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimiser.step()
        theirs.step()


def test_wsd_falls_in_its_last_part_only():
    config = OptimConfig(schedule="wsd", warmup_steps=0, min_lr_ratio=0.0, decay_part=0.2)
    assert schedule(config, 800, 1000) == pytest.approx(1.0)
    assert schedule(config, 900, 1000) == pytest.approx(0.5)


def test_clipping_is_torchs_and_shows_what_is_not_finite():
    ours, theirs = ([nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))] for _ in range(2))
    for parameters in (ours, theirs):
        parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0, 0.0]), torch.full((2, 2), 2.0)
    assert clip_gradients(ours, 1.0) == pytest.approx(5.0)
    nn.utils.clip_grad_norm_(theirs, 1.0)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a.grad, b.grad)
    assert clip_gradients(ours, 9.0) == pytest.approx(1.0, abs=1e-5)  # what is short enough stays
    ours[0].grad = torch.tensor([float("nan"), 0.0, 0.0])
    assert math.isnan(clip_gradients(ours, 1.0))
    assert clip_gradients([nn.Parameter(torch.zeros(1))], 1.0) == 0.0


def test_the_average_is_the_recurrence_and_takes_its_turn():
    module = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(1.0)
    ema, expected = EMA(module, 0.5), 1.0
    for n, value in enumerate((2.0, 5.0, -1.0, 7.0, 0.0, 3.0, 3.0, 2.0, 8.0), start=1):
        with torch.no_grad():
            module.weight.fill_(value)
        ema.update()
        decay = min(0.5, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        with ema.applied():
            assert module.weight.item() == pytest.approx(expected, rel=1e-5)
        assert module.weight.item() == value
    with pytest.raises(RuntimeError), ema.applied():
        raise RuntimeError
    assert module.weight.item() == 8.0


def test_the_average_goes_on_from_its_state():
    torch.manual_seed(0)
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    first, second = EMA(one, 0.9), EMA(other, 0.9)
    first.update()
    second.load_state_dict(first.state_dict())
    other.load_state_dict(one.state_dict())
    first.update()
    second.update()
    assert all(torch.equal(first.average[name], second.average[name]) for name in first.average)


def test_what_a_schedule_would_ignore_is_refused():
    for kind, name in (
        ("cosine", "decay_part"),
        ("linear", "decay_part"),
        ("constant", "decay_part"),
        ("constant", "min_lr_ratio"),
    ):
        with pytest.raises(ValueError) as error:
            parse(OptimConfig, {"schedule": kind, name: 0.3}, "a.toml")
        sentence = f"the schedule {kind!r} has no {name}; leave it out or choose another schedule."
        assert str(error.value) == f"a.toml: the whole: {sentence}"
    for kind in ("cosine", "linear", "constant", "wsd"):
        config = OptimConfig(schedule=kind)
        assert parse(OptimConfig, json.loads(dump(config))) == config  # though it names all settings
    assert OptimConfig(schedule="wsd", decay_part=0.3, min_lr_ratio=0.3).decay_part == 0.3


def test_settings_out_of_range_are_refused():
    for wrong in ({"lr": 0}, {"ema_decay": 1.0}, {"clip": 0}, {"schedule": "cosin"}, {"min_lr_ratio": 2}):
        with pytest.raises(ValueError):
            OptimConfig.model_validate(wrong)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24)])
def test_muon_in_32_bits_is_torchs(shape, monkeypatch):
    """The steps are those of torch's, had it not rounded to 16 bits, and either goes on with the other's state."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    kinds = (torch.optim.Muon, Muon32, Muon32)
    gen = torch.Generator().manual_seed(0)
    start, grads = torch.randn(shape, generator=gen), [torch.randn(shape, generator=gen) for _ in range(4)]
    matrices = [nn.Parameter(start.clone()) for _ in kinds]
    optimisers = [
        kind([matrix], lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
        for kind, matrix in zip(kinds, matrices, strict=True)
    ]
    for step, grad in enumerate(grads):
        for matrix, optimiser in zip(matrices, optimisers, strict=True):
            matrix.grad = grad.clone()
            optimiser.step()
        if step == 1:
            optimisers[2].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))
            matrices[2].data.copy_(matrices[0].data)
    for matrix in matrices[1:]:
        torch.testing.assert_close(matrix, matrices[0], atol=1e-6, rtol=0)
