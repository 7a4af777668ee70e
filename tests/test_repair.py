"""Zero-shot in-painting against closed forms: Gaussian data, whose flow is known, and what is to be expected of a gap."""

import math
from dataclasses import replace

import pytest
import torch

from counterpoint import rng
from counterpoint.paradigms import repair
from counterpoint.paradigms.repair import STRATEGIES, How, Known
from counterpoint.paradigms.solvers import SOLVERS, uniform
from counterpoint.systems.jasco import JascoConfig, Sampling
from counterpoint.systems.meanflow import MeanflowConfig, student_config
from counterpoint.types import Canvas, Spec

RATE, FRAMES = 0.8, 10
GAP = slice(4, 7)
COVARIANCE = RATE ** (torch.arange(FRAMES)[:, None] - torch.arange(FRAMES)).abs().double()
"""Of an autoregression of first order, which keeps RATE of a frame in the next."""
EXACT = How(reach=-1 / math.log(RATE))


def field(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """The velocity E[data - noise | x] of such data: (E[data | x] - x) / (1 - t)."""
    t = time[0].clamp(max=1 - 1e-6)
    gain = t * COVARIANCE @ torch.linalg.inv(t**2 * COVARIANCE + (1 - t) ** 2 * torch.eye(FRAMES).double())
    return (torch.einsum("ij,bjd->bid", gain, x) - x) / (1 - t)


def conditional(data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and covariance of the gap, given the rest."""
    rest = [i for i in range(FRAMES) if i not in range(*GAP.indices(FRAMES))]
    regression = COVARIANCE[GAP][:, rest] @ torch.linalg.inv(COVARIANCE[rest][:, rest])
    return regression @ data[rest], COVARIANCE[GAP, GAP] - regression @ COVARIANCE[rest][:, GAP]


def known(draws: int = 4000) -> Known:
    """One item whose channels all have the same data, and noise of their own."""
    gens = rng.generators([5])
    data = torch.linalg.cholesky(COVARIANCE) @ torch.linspace(-2, 2, FRAMES).double()
    given = torch.ones(1, FRAMES, dtype=torch.bool)
    given[:, GAP] = False
    frames = torch.where(given[0], data, 0.0)[None, :, None].expand(1, -1, draws)
    return Known(frames, given, rng.randn((FRAMES, draws), gens).double(), gens)


def errors(strategy: repair.StrategyName, how: How, steps: int = 40) -> tuple[float, float]:
    """How far the made gaps' mean and covariance are from the truth."""
    task = known()
    made = STRATEGIES[strategy](field, task.noise, uniform(steps).double(), task, how, None).x
    assert torch.equal(made[task.given], task.data[task.given])
    mean, covariance = conditional(task.data[0, :, 0])
    gap = made[0, GAP]
    return (gap.mean(1) - mean).abs().max().item(), (gap.cov() - covariance).abs().max().item()


@pytest.mark.parametrize("churn", [0.0, 0.5, 1.0])
def test_a_bridge_draws_from_the_conditional_distribution(churn):
    mean, covariance = errors("bridge", replace(EXACT, churn=churn), 80)
    assert mean < 0.06 and covariance < 0.06


def test_what_goes_over_mistakes_again_comes_nearer_to_the_conditional_distribution():
    """Replacement is biased (Trippe et al. 2023, section 3); noise drawn anew, and more so resampling, take that off."""
    plain, renewed = errors("replacement", How()), errors("renewal", How())
    twice, often = errors("resampling", How(repeats=2), 20), errors("resampling", How(repeats=10), 20)
    ignored = conditional(known(1).data[0, :, 0])[0].abs().max().item()
    assert plain[0] > 0.15 and all(error < ignored for error in (plain[0], renewed[0]))
    assert renewed[0] < 0.75 * plain[0] and twice[0] < 0.75 * plain[0] and often[0] < 0.3 * plain[0]
    assert often[1] < 0.15


def test_inversion_goes_back_the_way_that_the_flow_came():
    """The flow of a Gaussian takes data at 1 to S_t^1/2 S_1^-1/2 of them at t, where S_t is the covariance there."""
    task, asked = known(1), []

    def heard(x, time):
        asked.append((time[0].item(), x.clone()))
        return field(x, time)

    steps = 400
    solution = STRATEGIES["inversion"](heard, task.noise, uniform(steps).double(), task, How(), None)
    assert solution.evaluations.tolist() == [len(asked)] == [2 * steps]
    values, vectors = torch.linalg.eigh(COVARIANCE)
    for time, x in asked[steps :: steps // 4]:
        scale = ((time**2 * values + (1 - time) ** 2) / values).sqrt()
        there = vectors @ torch.diag(scale) @ vectors.T @ task.data[0]
        torch.testing.assert_close(x[task.given], there[task.given[0]], atol=0.03, rtol=0.03)


def test_without_churn_renewal_is_replacement():
    task = known(3)
    renewed = STRATEGIES["renewal"](field, task.noise, uniform(7).double(), task, How(churn=0.0), None).x
    replaced = STRATEGIES["replacement"](field, task.noise, uniform(7).double(), task, How(), None).x
    torch.testing.assert_close(renewed, replaced)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("start", [0.0, 0.6])
def test_a_strategy_takes_what_it_says_and_tells_of_it(strategy, steps, start):
    task, told, calls = known(2), [], []

    def counted(x, time):
        calls.append(len(x))
        return field(x, time)

    how, times = How(repeats=3), start + (1 - start) * uniform(steps).double()
    solution = STRATEGIES[strategy](counted, task.noise, times, task, how, lambda *done: told.append(done))
    assert solution.evaluations.tolist() == [len(calls)]
    assert len(calls) == repair.evaluations(strategy, steps, how, start) == told[-1][0]
    assert [done for done, _ in told] == list(range(1, len(calls) + 1)) and {total for _, total in told} == {len(calls)}
    assert repair.steps_within(strategy, len(calls), how, start) == steps, "a budget of as much allows as many steps"
    assert bool(solution.x.isfinite().all())


@pytest.mark.parametrize("gaps", [(range(3, 6),), (range(4),), (range(6, 10),), (range(1, 2), range(4, 9)), (range(10),)])
def test_what_spreads_into_gaps_is_the_regression_on_what_is_given(gaps):
    given = torch.ones(1, FRAMES, dtype=torch.bool)
    for gap in gaps:
        given[:, gap.start : gap.stop] = False
    wrong = torch.where(given[..., None], torch.randn(1, FRAMES, 2, generator=torch.Generator().manual_seed(3)).double(), 0.0)
    there = given[0]
    regression = COVARIANCE[~there][:, there] @ torch.linalg.pinv(COVARIANCE[there][:, there])
    expected = wrong[0].clone()
    expected[~there] = regression @ wrong[0, there]
    torch.testing.assert_close(repair.spread(wrong, given, RATE)[0], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("time", [0.0, 0.3, 0.9])
def test_the_more_is_seen_of_a_frame_the_less_its_neighbour_says(time):
    """Against the posterior covariance of a long chain, computed as a matrix."""
    frames = torch.arange(81)
    prior = RATE ** (frames[:, None] - frames).abs().double()
    posterior = torch.linalg.inv(torch.linalg.inv(prior) + (time / (1 - time)) ** 2 * torch.eye(81).double())
    now = torch.tensor(time).double()
    rate = repair.kept(RATE, now, 1 - now)
    torch.testing.assert_close(rate, posterior[40, 41] / posterior[40, 40], atol=1e-6, rtol=1e-6)


SPEC = Spec(rate=25.0, dim=8)
CANVAS = Canvas(torch.zeros(1, 12, 8), (torch.arange(12) < 6)[None])
TOLD = {"text": ["slow piano"]}


def build(config: JascoConfig):
    torch.manual_seed(0)
    system = config.build(SPEC)
    torch.nn.init.normal_(system.out.weight, std=0.3)
    return system.eval()


UNTAUGHT = JascoConfig.tiny().model_copy(update={"canvas": 0.0})
FAST = student_config(JascoConfig.tiny(), MeanflowConfig(), Sampling(steps=3, guidance={"all": 1.0}))


def test_a_method_that_a_model_does_not_have_is_refused():
    for config, method, words in (
        (UNTAUGHT, "supervised", r"^This model has not learnt to be given frames; take the method zero-shot\.$"),
        (FAST, "zero-shot", r"^This model is distilled .*; take the method supervised\.$"),
    ):
        with pytest.raises(ValueError, match=words):
            build(config).generate(CANVAS, TOLD, [1], Sampling(steps=2, method=method))
    assert build(UNTAUGHT).tasks == ("generate", "continue", "inpaint")
    assert build(FAST.model_copy(update={"canvas": 0.0})).tasks == ("generate",)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strategy": "renewal"}, "strategy is a setting of the method zero-shot"),
        ({"churn": 0.5}, "churn is a setting of the method zero-shot"),
        ({"method": "supervised", "repeats": 3}, "repeats is a setting of the method zero-shot"),
        ({"method": "zero-shot", "strategy": "renewal", "repeats": 3}, "repeats is no setting of the strategy renewal"),
        ({"method": "zero-shot", "strategy": "inversion", "churn": 0.5}, "churn is no setting of the strategy inversion"),
        ({"method": "zero-shot", "strategy": "renewal", "solver": "heun"}, "takes Euler's steps, not those of heun"),
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Sampling(**settings)


def test_the_default_is_what_the_model_has_learnt():
    for config, method in ((JascoConfig.tiny(), "supervised"), (UNTAUGHT, "zero-shot")):
        system = build(config)
        own, asked = (system.generate(CANVAS, TOLD, [1], Sampling(steps=2, method=how)) for how in (None, method))
        assert torch.equal(own, asked)
    system = build(JascoConfig.tiny())
    assert not torch.equal(system.generate(CANVAS, TOLD, [1], Sampling(steps=2, method="zero-shot")), own)


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_untaught_model_fills_a_canvas_by_any_solver(solver):
    made = build(UNTAUGHT).generate(CANVAS, TOLD, [1], Sampling(steps=2, solver=solver))
    assert torch.equal(made[:, :6], CANVAS.frames[:, :6]) and bool(made[:, 6:].abs().sum() > 0)


def test_a_network_that_has_learnt_a_canvas_sees_none_of_it_zero_shot():
    """Its canvas is blank: so the weights of those channels do not matter."""
    system = build(JascoConfig.tiny())
    asked = Sampling(steps=2, method="zero-shot", strategy="renewal")
    canvas = Canvas(torch.randn(1, 12, 8, generator=torch.Generator().manual_seed(1)), CANVAS.given)
    before = system.generate(canvas, TOLD, [1], asked)
    with torch.no_grad():
        system.embed.weight[:, 8:17] = 5.0
    assert torch.equal(system.generate(canvas, TOLD, [1], asked), before)
