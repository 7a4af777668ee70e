"""Average velocities: every target against a flow whose average velocities are known."""

import math
from dataclasses import replace

import pytest
import torch

from counterpoint import rng
from counterpoint.paradigms import distill
from counterpoint.paradigms.distill import TARGETS
from counterpoint.paradigms.solvers import leaps, uniform
from counterpoint.systems.jasco import Distilled, Jasco, JascoConfig, Sampling
from counterpoint.systems.meanflow import Meanflow, MeanflowConfig, student_config
from counterpoint.types import Batch, Spec
from test_systems import SPEC, training_batch

SPEED = 1.0


def turned(x: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """Points of the plane, "b t 2", turned about the origin."""
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], dim=-1)


def swirl(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """A flow that turns the plane ever faster: by SPEED t^2 up to time t."""
    return 2 * SPEED * time[:, None, None] * torch.stack([-x[..., 1], x[..., 0]], dim=-1)


def average(x: torch.Tensor, time: torch.Tensor, until: torch.Tensor) -> torch.Tensor:
    """Its average velocities, in closed form."""
    span = (until - time)[:, None, None]
    moved = (turned(x, SPEED * (until**2 - time**2)) - x) / torch.where(span == 0, 1.0, span)
    return torch.where(span == 0, swirl(x, time), moved)


def points(count: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gens = rng.generators(range(count))
    time, until = distill.draw_span(gens, longest=0.5, halvings=1)
    return rng.randn((3, 2), gens).double(), time.double(), until.double()


CLOSE = {"jvp": 1e-9, "fd": 1e-2, "shortcut": 1e-9, "teacher": 0.2}
"""How near each comes: two are exact, two are rules of second order."""


@pytest.mark.parametrize("name", TARGETS)
def test_the_average_velocity_is_what_every_target_asks_for(name):
    x, time, until = points()
    torch.testing.assert_close(
        TARGETS[name](average, swirl, x, time, until), average(x, time, until), atol=CLOSE[name] * SPEED, rtol=0
    )


@pytest.mark.parametrize("name", TARGETS)
def test_spans_of_nothing_teach_the_velocity_itself(name):
    x, time, _ = points()
    made = TARGETS[name](lambda x, time, until: x, swirl, x, time, time)
    torch.testing.assert_close(made, swirl(x, time))


@pytest.mark.parametrize("name", TARGETS)
def test_a_network_learns_to_leap(name):
    """Taught by velocities alone, it makes in two leaps what Euler's method takes many more steps for."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 64), torch.nn.SiLU(), torch.nn.Linear(64, 4)).double()

    def student(x, time, until):
        clock = torch.stack([time, until, time * until, (until - time) ** 2, time**2, until**2], dim=-1)
        turn = network(clock).unflatten(-1, (2, 2))
        return torch.einsum("bij,btj->bti", turn, x)

    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(600):
        gens = rng.generators(range(64 * step, 64 * step + 64))
        time, until = (moment.double() for moment in distill.draw_span(gens, longest=0.5, halvings=3))
        x = rng.randn((2, 2), gens).double()
        with torch.no_grad():
            target = TARGETS[name](student, swirl, x, time, until)
        loss = distill.adaptive((student(x, time, until) - target).square().mean((1, 2)), power=0.5).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x = points()[0]
    truth = turned(x, torch.full((len(x),), SPEED, dtype=torch.float64))
    with torch.no_grad():
        leapt = leaps(student, x, uniform(2).double()).x
    stepped = leaps(lambda x, time, until: swirl(x, time), x, uniform(2).double()).x
    assert (leapt - truth).norm() < 0.5 * (stepped - truth).norm()


def test_spans_lie_within_flow_time_and_have_the_lengths_that_are_asked_for():
    time, until = distill.draw_span(rng.generators(range(2000)), longest=0.5, halvings=2, instants=0.25)
    assert time.min() >= 0 and until.max() <= 1
    lengths = (until - time).mul(64).round().div(64)
    shares = [(lengths == length).float().mean().item() for length in (0.0, 0.125, 0.25, 0.5)]
    assert sum(shares) == 1 and shares == pytest.approx([0.25] * 4, abs=0.04)
    alone = distill.draw_span(rng.generators([7]), 0.5, 2, 0.25)
    together = distill.draw_span(rng.generators([3, 7]), 0.5, 2, 0.25)
    assert torch.equal(alone[0][0], together[0][1])


def test_adaptive_errors_weigh_alike_and_pass_gradients():
    error = torch.tensor([1e-2, 1.0, 100.0], requires_grad=True)
    even = distill.adaptive(error, power=1.0, floor=0.0)
    torch.testing.assert_close(even, torch.ones(3))
    even.sum().backward()
    assert error.grad is not None
    torch.testing.assert_close(error.grad * error.detach(), torch.ones(3))
    assert torch.equal(distill.adaptive(error, power=0.0), error)


def teacher() -> Jasco:
    torch.manual_seed(0)
    system = JascoConfig.tiny().build(SPEC)
    with torch.no_grad():
        system.out.weight.normal_(std=0.3)
    return system.eval()


LEAPS = Sampling(steps=2, guidance={"all": 1.0})


def test_a_student_begins_as_its_teacher():
    system = Meanflow(teacher(), MeanflowConfig(), LEAPS)
    x, time = torch.randn(2, 20, SPEC.dim), torch.tensor([0.2, 0.9])
    given = torch.zeros(2, 20, dtype=torch.bool)
    cond = system.teacher.conditioners({}, SPEC, 20, 2)
    ours, theirs = (
        network.velocity(x, time, cond, x, given, until=until)
        for network, until in ((system.student, time + 0.1), (system.teacher, None))
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", TARGETS)
def test_only_the_student_learns_and_only_from_the_batch_and_its_seeds(name):
    system = Meanflow(teacher(), MeanflowConfig(target=name, guidance={"all": 1.5}), LEAPS).train()
    batch = training_batch(system.student)
    losses = [system.objectives(batch)[0] for _ in range(2)]
    assert losses[0].loss.item() == losses[1].loss.item() > 0
    losses[0].loss.backward()
    assert all(p.grad is None for p in system.teacher.parameters())
    assert all(p.grad is not None for p in system.student.backbone.parameters())
    assert {id(p) for p in system.players()["main"]} == {id(p) for p in system.student.parameters()}


@pytest.mark.parametrize("name", TARGETS)
def test_the_loss_falls_on_one_batch(name):
    system = Meanflow(teacher(), MeanflowConfig(target=name, longest=0.5, halvings=1), LEAPS).train()
    batch = training_batch(system.student)
    optimiser = torch.optim.Adam(system.players()["main"], 3e-3)
    errors = []
    for _ in range(30):
        objective = system.objectives(batch)[0]
        optimiser.zero_grad()
        objective.loss.backward()
        optimiser.step()
        errors.append(objective.logs["error"])
    assert math.isfinite(errors[-1]) and errors[-1] < 0.8 * errors[0]


def test_long_items_are_differentiated_forwards_too():
    """Beyond some length attention is fused elsewhere, which forward differentiation does not know."""
    system = Meanflow(teacher(), MeanflowConfig(target="jvp"), LEAPS)
    frames = torch.randn(1, 600, SPEC.dim)
    batch = Batch(seeds=[1], frames=frames, mask=torch.ones(1, 600, dtype=torch.bool), values={"text": ["slow"]})
    assert system.objectives(batch)[0].loss.isfinite()


def test_guidance_by_name_goes_on_where_chance_has_dropped_it():
    system = Meanflow(teacher(), MeanflowConfig(target="teacher", guidance={"text": 2.0}), LEAPS)
    whole = training_batch(system.student)
    dropped = replace(whole, values={"text": [None, None], "score": whole.values["score"]})
    assert system.objectives(dropped)[0].loss.isfinite()
    with pytest.raises(ValueError, match="'chords', which this model is not told"):
        Meanflow(teacher(), MeanflowConfig(guidance={"chords": 2.0}), LEAPS)


def test_what_cannot_be_distilled_is_told_in_a_sentence():
    config = student_config(JascoConfig.tiny(), MeanflowConfig(guidance={"all": 2.0}), LEAPS)
    assert config.distilled == Distilled(guidance={"all": 2.0}) and config.backbone.spans and config.sampling == LEAPS
    with pytest.raises(ValueError, match="distilled already; start from the one"):
        student_config(config, MeanflowConfig(), LEAPS)
    with pytest.raises(ValueError, match=r"^the student: .*a distilled model takes its own steps, .* is not for it\.$"):
        student_config(JascoConfig.tiny(), MeanflowConfig(), Sampling(solver="heun"))
    with pytest.raises(ValueError, match="differentiates what is compiled"):
        Meanflow(teacher(), MeanflowConfig(), LEAPS).compile_parts()
    with pytest.raises(ValueError, match="belong together"):
        JascoConfig(distilled=Distilled(guidance={"all": 1.0}))
    assert config.build(Spec(rate=25.0, dim=8)).backbone.ahead is not None
