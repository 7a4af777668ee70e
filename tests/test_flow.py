"""The flow paradigm, its solvers and guidance, against closed forms."""

import pytest
import torch

from counterpoint import rng
from counterpoint.paradigms import flow, guidance, solvers
from counterpoint.paradigms.solvers import SCHEDULES, SOLVERS, dopri5, leaps, uniform
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


def curved(x, time):
    """dx/dt = x cos(t), with the closed form x0 exp(sin(t))."""
    return x * torch.cos(time)[:, None, None]


ORDERS = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
STAGES = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}


@pytest.mark.parametrize("name", ORDERS)
def test_solvers_converge_at_their_order(name):
    start = torch.ones(1, 1, 1, dtype=torch.float64)
    exact = torch.exp(torch.sin(torch.tensor(1.0, dtype=torch.float64)))

    def error(steps: int) -> float:
        solution = SOLVERS[name](curved, start, uniform(steps).double(), None)
        assert solution.evaluations.tolist() == [steps * STAGES[name]]
        return abs(solution.x.item() - exact.item())

    assert error(10) / error(20) == pytest.approx(2 ** ORDERS[name], rel=0.2)


def counted(field, size):
    """The field, and how often it was asked."""
    calls = []

    def asked(x, time):
        calls.append(len(x))
        assert time.shape == (size,)
        return field(x, time)

    return asked, calls


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_count_their_evaluations(name):
    field, calls = counted(curved, 1)
    solution = SOLVERS[name](field, torch.ones(1, 2, 3), uniform(4), None)
    assert solution.evaluations.tolist() == [len(calls)]


@pytest.mark.parametrize("name", SOLVERS)
def test_solvers_report_progress_up_to_the_end(name):
    seen: list[tuple[int, int]] = []
    SOLVERS[name](curved, torch.zeros(1, 1, 1), uniform(3), lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("tolerance", [1e-5, 1e-7])
def test_dopri5_agrees_with_torchdiffeq_at_equal_tolerance(tolerance):
    """A field that turns a few times; both are as far from the truth as the tolerance allows, by about as many calls."""
    torchdiffeq = pytest.importorskip("torchdiffeq")
    start = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(1, 4, 3)

    def field(x, time):
        return torch.sin(x) + 3 * torch.cos(9 * time[:, None, None])

    asked, calls = counted(field, 1)
    ours = dopri5(asked, start, uniform(1).double(), None, tolerance)
    theirs_asked, theirs_calls = counted(field, 1)
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    theirs = torchdiffeq.odeint(
        lambda t, x: theirs_asked(x, t.expand(1)), start, ends, rtol=tolerance, atol=tolerance, method="dopri5"
    )[-1]
    truth = torchdiffeq.odeint(lambda t, x: field(x, t.expand(1)), start, ends, rtol=1e-12, atol=1e-12, method="dopri8")[-1]
    size = truth.abs().max()
    assert (ours.x - truth).abs().max() / size < 10 * tolerance
    torch.testing.assert_close(ours.x / size, theirs / size, atol=30 * tolerance, rtol=0)
    assert 0.5 < len(calls) / len(theirs_calls) < 2


def test_an_item_of_dopri5_takes_its_own_steps_whatever_its_neighbours_need():
    """The field's strength differs by item, and so do the steps; each item alone gives the same to the last bit."""
    start = torch.linspace(0.5, 2.0, 3, dtype=torch.float64).reshape(3, 1, 1)
    strength = torch.tensor([0.1, 3.0, 30.0], dtype=torch.float64)

    def field(of):
        return lambda x, time: of[:, None, None] * torch.cos(of[:, None, None] * time[:, None, None]) * x

    together = dopri5(field(strength), start, uniform(1).double(), None, 1e-4)
    assert len(set(together.evaluations.tolist())) == 3
    for i in range(3):
        alone = dopri5(field(strength[i : i + 1]), start[i : i + 1], uniform(1).double(), None, 1e-4)
        assert torch.equal(alone.x[0], together.x[i])
        assert alone.evaluations.item() == together.evaluations[i].item()
    torch.testing.assert_close(together.x[:, 0, 0], start[:, 0, 0] * torch.exp(torch.sin(strength)), rtol=1e-2, atol=1e-2)


def test_dopri5_says_so_where_it_gets_nowhere():
    with pytest.raises(ValueError, match="no numbers where the way begins"):
        dopri5(lambda x, time: x * torch.nan, torch.ones(1, 1, 1), uniform(1))
    with pytest.raises(ValueError, match="dopri5 did not arrive"):
        dopri5(lambda x, time: torch.where(time > 0.5, torch.nan, 1.0)[:, None, None] * x, torch.ones(1, 1, 1), uniform(1))


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_schedules_rise_from_noise_to_data(name, steps):
    times = SCHEDULES[name](steps)
    assert times.shape == (steps + 1,) and times[0] == 0 and times[-1] == pytest.approx(1.0)
    assert bool((times.diff() > 0).all())


def test_schedules_are_the_published_ones():
    torch.testing.assert_close(
        1 - solvers.log_snr(8),
        torch.tensor([1, 0.99331, 0.98201, 0.95257, 0.8808, 0.73106, 0.5, 0.26894, 0]),  # Stable Audio 3, eight steps
        atol=1e-5, rtol=0,
    )  # fmt: skip
    torch.testing.assert_close(solvers.sway(4), 1 - torch.cos(torch.pi / 2 * uniform(4)))
    torch.testing.assert_close(solvers.shifted(4, shift=1.0), uniform(4))
    assert solvers.shifted(2, shift=3.0)[1].item() == pytest.approx(0.25)


def test_leaps_by_exact_average_velocities_arrive_exactly_in_any_number_of_steps():
    def leap(x, time, until):
        moved = x * torch.exp(torch.sin(until) - torch.sin(time))[:, None, None]
        return (moved - x) / (until - time)[:, None, None]

    start = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3, 1)
    for steps in (1, 3, 8):
        solution = leaps(leap, start, uniform(steps).double())
        torch.testing.assert_close(solution.x, start * torch.exp(torch.sin(torch.tensor(1.0, dtype=torch.float64))))
        assert solution.evaluations.tolist() == [steps, steps]


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
    made = guidance.guided([everything, text, null], list(weights.values()))
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
