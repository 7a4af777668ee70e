"""The flow paradigm, its solvers and guidance, against closed forms."""

import pytest
import torch

from counterpoint import rng
from counterpoint.paradigms import flow, guidance
from counterpoint.paradigms.solvers import SOLVERS, euler, midpoint, uniform_times
from counterpoint.types import Cond


def test_path_runs_from_noise_to_data_and_its_velocity_is_its_slope():
    noise, data = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    start, velocity = flow.path(noise, data, torch.zeros(2), 1e-5)
    end, _ = flow.path(noise, data, torch.ones(2), 1e-5)
    torch.testing.assert_close(start, noise)
    torch.testing.assert_close(end, data, atol=1e-4, rtol=0)
    later, _ = flow.path(noise, data, torch.full((2,), 0.25), 1e-5)
    torch.testing.assert_close((later - start) / 0.25, velocity, atol=1e-5, rtol=1e-4)


def test_loss_counts_masked_frames_only_and_weighs_late_times():
    predicted, velocity = torch.zeros(2, 4, 3), torch.ones(2, 4, 3)
    velocity[:, 2:] = 100.0
    mask = torch.tensor([[True, True, False, False]] * 2)
    time = torch.tensor([0.0, 1.0])
    plain = flow.loss_per_item(predicted, velocity, time, mask, torch.ones(3), "uniform")
    rising = flow.loss_per_item(predicted, velocity, time, mask, torch.ones(3), "increasing")
    torch.testing.assert_close(plain, torch.ones(2))
    torch.testing.assert_close(rising, torch.tensor([1.0, 2.0]))


def test_loss_of_nothing_asked_is_zero():
    nothing = torch.zeros(1, 4, dtype=torch.bool)
    loss = flow.loss_per_item(torch.zeros(1, 4, 2), torch.ones(1, 4, 2), torch.zeros(1), nothing, torch.ones(2), "uniform")
    assert loss.item() == 0.0


def test_preconditioned_silent_network_is_the_best_linear_guess():
    """For independent unit-variance noise and data, E[velocity | x] = (2t - 1) / q x: no other multiple of x has less error."""
    noise, data = torch.randn(64, 200, 8), torch.randn(64, 200, 8)
    time = torch.full((64,), 0.7)
    point, velocity = flow.path(noise, data, time, 0.0)
    guess = flow.precondition(lambda x, now: torch.zeros_like(x), point, time)
    slope = ((point * velocity).sum() / point.square().sum()).item()
    torch.testing.assert_close(guess, slope * point, atol=0.05, rtol=0.05)
    scaled = flow.precondition(lambda x, now: x, point, time) - guess
    assert scaled.std().item() == pytest.approx((0.7**2 + 0.3**2) ** -0.5, rel=0.02)


def test_logit_normal_times_gather_in_the_middle():
    gens = rng.generators(range(4000))
    middle = flow.draw_time("logit-normal", gens)
    even = flow.draw_time("uniform", gens)
    assert ((middle > 0.25) & (middle < 0.75)).float().mean() > 0.7
    assert even.mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("midpoint", 2)])
def test_solvers_converge_at_their_order(name, order):
    """dx/dt = x cos(t) has the closed form x0 exp(sin(t))."""
    start = torch.ones(1, 1, 1, dtype=torch.float64)
    exact = torch.exp(torch.sin(torch.tensor(1.0, dtype=torch.float64)))

    def error(steps: int) -> float:
        def field(x, time):
            return x * torch.cos(time)[:, None, None]

        return abs(SOLVERS[name](field, start, uniform_times(steps).double(), None).item() - exact.item())

    assert error(20) / error(40) == pytest.approx(2**order, rel=0.15)


def test_solvers_report_progress():
    seen: list[tuple[int, int]] = []
    for solver in (euler, midpoint):
        seen.clear()
        solver(lambda x, time: x, torch.zeros(1, 1, 1), uniform_times(3), lambda done, total: seen.append((done, total)))
        assert seen == [(1, 3), (2, 3), (3, 3)]


def test_guidance_weights_sum_to_one_and_skip_what_is_not_needed():
    assert guidance.variants({"all": 1.0}, ("text",)) == {"all": 1.0}
    assert guidance.variants({"all": 3.0}, ("text",)) == {"all": 3.0, "null": -2.0}
    assert guidance.variants({"all": 3.0, "text": 0.0}, ("text", "score")) == {"all": 3.0, "null": -2.0}
    table = guidance.variants({"text": 2.0, "score": 4.0}, ("text", "score"))
    assert sum(table.values()) == pytest.approx(1.0)


def test_guidance_names_a_stranger():
    with pytest.raises(ValueError, match="chords"):
        guidance.variants({"chords": 2.0}, ("text", "score"))


def test_guidance_variants_hear_only_what_they_name():
    values = {"text": ["a", "b"], "score": [1, None]}
    assert guidance.keep(values, "all") == values
    assert guidance.keep(values, "null") == {"text": [None, None], "score": [None, None]}
    assert guidance.keep(values, "text") == {"text": ["a", "b"], "score": [None, None]}


def test_guidance_combines_as_jasco_does():
    null, everything, text = torch.randn(3, 4)
    weights = guidance.variants({"all": 3.0, "text": 1.0}, ("text",))
    made = guidance.combine([everything, text, null], list(weights.values()))
    torch.testing.assert_close(made, null + 3 * (everything - null) + (text - null))


def test_stacked_conditions_pad_and_mask_contexts():
    short = Cond(context=torch.ones(2, 1, 4), mask=torch.ones(2, 1, dtype=torch.bool))
    long = Cond(context=torch.ones(2, 3, 4), mask=torch.ones(2, 3, dtype=torch.bool))
    stacked = Cond.stack([short, long])
    assert stacked.context is not None and stacked.context.shape == (4, 3, 4)
    assert stacked.mask is not None and stacked.mask.sum(1).tolist() == [1, 1, 3, 3]


def test_item_noise_does_not_depend_on_neighbours():
    alone = rng.randn((5, 2), rng.generators([7]))
    together = rng.randn((5, 2), rng.generators([3, 7, 9]))
    assert torch.equal(alone[0], together[1])
    assert len({rng.mix(1, step, item) for step in range(50) for item in range(50)}) == 2500
