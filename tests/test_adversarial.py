"""Hinge losses against torch's own, and the balancer against gradients taken by hand."""

import pytest
import torch
from torch.nn import functional as F

from counterpoint.paradigms.adversarial import Balancer, discriminator_loss, feature_matching, generator_loss


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tensors(*sizes: int, seed: int = 0) -> list[torch.Tensor]:
    return [2 * torch.randn(3, size, generator=gen(seed + size)) for size in sizes]


def test_hinges_are_torchs():
    real, made = tensors(5, 9), tensors(5, 9, seed=50)
    expected = [
        F.hinge_embedding_loss(r, -torch.ones_like(r)) + F.hinge_embedding_loss(-m, -torch.ones_like(m))
        for r, m in zip(real, made, strict=True)
    ]
    torch.testing.assert_close(discriminator_loss(real, made), sum(expected) / 2)
    torch.testing.assert_close(generator_loss(made), -(made[0].mean() + made[1].mean()) / 2)


def test_features_count_alike_whatever_their_size_and_move_only_what_was_made():
    real, made = [tensors(2, 4), tensors(7)], [tensors(2, 4, seed=9), tensors(7, seed=9)]
    for tensor in (*real[0], *real[1], *made[0], *made[1]):
        tensor.requires_grad_()
    loss = feature_matching(real, made)
    first = (F.l1_loss(made[0][0], real[0][0]) + F.l1_loss(made[0][1], real[0][1])) / 2
    torch.testing.assert_close(loss, (first + F.l1_loss(made[1][0], real[1][0])) / 2)
    loss.backward()
    assert all(tensor.grad is None for layers in real for tensor in layers)
    assert all(tensor.grad is not None for layers in made for tensor in layers)


WEIGHTS = {"left": 3.0, "right": 1.0}


def losses(made: torch.Tensor, scale: float) -> dict[str, torch.Tensor]:
    """One that sees the left half alone, and one, `scale` times as large, that sees the right."""
    return {"left": made[:, :4].square().sum(), "right": scale * made[:, 4:].pow(4).sum()}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_every_loss_has_its_share_of_the_gradient_whatever_its_scale(scale):
    made = torch.randn(5, 8, generator=gen()).requires_grad_()
    gradient = Balancer(WEIGHTS).gradient(losses(made, scale), made)
    norms = torch.stack([gradient[:, :4].norm(dim=1).mean(), gradient[:, 4:].norm(dim=1).mean()])
    torch.testing.assert_close(norms, torch.tensor([0.75, 0.25]))
    direction = 4 * made.detach()[:, 4:].pow(3)  # the derivative by hand: items keep their own sizes
    torch.testing.assert_close(gradient[:, 4:], 0.25 * direction / direction.norm(dim=1).mean())


def test_norms_are_remembered_without_bias():
    balancer, norms = Balancer({"only": 2.0}, decay=0.9), []
    for step in range(4):
        made = torch.randn(3, 6, generator=gen(step)).requires_grad_()
        gradient = balancer.gradient({"only": made.square().sum()}, made)
        norms.append(2 * made.detach().norm(dim=1).mean())
    weights = torch.tensor([0.9**3, 0.9**2, 0.9, 1.0])
    usual = (torch.stack(norms) * weights).sum() / weights.sum()
    torch.testing.assert_close(gradient, 2 * made.detach() / usual)


def test_an_absent_loss_leaves_its_share_and_its_memory_alone():
    balancer = Balancer(WEIGHTS)
    made = torch.randn(2, 8, generator=gen()).requires_grad_()
    alone = balancer.gradient({"right": losses(made, 1.0)["right"]}, made)
    torch.testing.assert_close(alone.norm(dim=1).mean(), torch.tensor(1.0))
    assert balancer.mass.tolist() == [0.0, 1.0]
    balancer.gradient(losses(made, 1.0), made)
    assert balancer.mass[0] == 1.0 and balancer.mass[1] > 1.9


def test_a_loaded_balancer_remembers():
    first, second = Balancer(WEIGHTS), Balancer(WEIGHTS)
    for step in range(3):
        made = torch.randn(2, 8, generator=gen(step)).requires_grad_()
        first.gradient(losses(made, 2.0), made)
    second.load_state_dict(first.state_dict())
    made = torch.randn(2, 8, generator=gen(9)).requires_grad_()
    assert torch.equal(first.gradient(losses(made, 2.0), made), second.gradient(losses(made, 2.0), made))


def test_a_broken_step_leaves_no_trace():
    balancer = Balancer(WEIGHTS)
    made = torch.randn(2, 8, generator=gen()).requires_grad_()
    balancer.gradient(losses(made, 1.0), made)
    before = {name: value.clone() for name, value in balancer.state_dict().items()}
    balancer.gradient({name: loss * float("nan") for name, loss in losses(made, 1.0).items()}, made)
    assert all(torch.equal(balancer.state_dict()[name], value) for name, value in before.items())


def test_silence_has_no_gradient_and_no_nan():
    made = torch.zeros(2, 8).requires_grad_()
    assert torch.equal(Balancer(WEIGHTS).gradient(losses(made, 1.0), made), torch.zeros(2, 8))
