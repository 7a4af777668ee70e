"""The few-step benchmark's statistics against closed forms and scipy, and its count of evaluations against the solvers'."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import few_steps
import few_steps_cells
import frechet
from counterpoint.systems.jasco import JascoConfig
from counterpoint.types import Canvas, Spec


def gaussian(frames: np.ndarray) -> frechet.Gaussian:
    clips = frechet.moments(frames.reshape(10, -1, frames.shape[-1]))
    return clips.gaussians(np.ones((1, 10)))[0]


def frames(seed: int, dim: int = 6, n: int = 400) -> np.ndarray:
    gen = np.random.default_rng(seed)
    return gen.normal(size=(n, dim)) @ gen.normal(size=(dim, dim)) + gen.normal(size=dim)


def test_mean_and_covariance_of_clips_are_those_of_their_frames():
    told = gaussian(frames(0))
    np.testing.assert_allclose(told.mean, frames(0).mean(0))
    np.testing.assert_allclose(told.covariance, np.cov(frames(0).T))


def test_distance_is_scipys():
    one, other = frames(0), frames(1)
    a, b = np.cov(one.T), np.cov(other.T)
    means = np.square(one.mean(0) - other.mean(0)).sum()
    expected = (means + np.trace(a + b - 2 * np.real(linalg.sqrtm(a @ b)))) / 6
    assert frechet.distance(gaussian(one), gaussian(other)) == pytest.approx(expected, rel=1e-10)
    assert frechet.distance(gaussian(other), gaussian(one)) == pytest.approx(expected, rel=1e-10)


def test_distances_that_are_known_in_closed_form():
    x = frames(2)
    assert frechet.distance(gaussian(x), gaussian(x)) == pytest.approx(0, abs=1e-10)
    assert frechet.distance(gaussian(x + 0.5), gaussian(x)) == pytest.approx(0.25)
    spread = np.trace(np.cov(x.T)) / 6
    scaled = (x - x.mean(0)) * 1.5 + x.mean(0)
    assert frechet.distance(gaussian(scaled), gaussian(x)) == pytest.approx(0.25 * spread)
    flat = np.concatenate([x, x], axis=1)  # a covariance of half rank
    assert frechet.distance(gaussian(flat), gaussian(flat)) == pytest.approx(0, abs=1e-6)


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="too few"):
        frechet.moments(np.zeros((2, 5, 8)))


def test_resampled_clips_count_as_often_as_they_are_drawn():
    clips = frames(3).reshape(10, 40, 6)
    counts = frechet.resamples(10, 5)
    assert (counts[0] == 1).all() and (counts.sum(1) == 10).all() and not (counts[1:] == 1).all(1).any()
    drawn = frechet.moments(clips).gaussians(counts)[3]
    repeated = np.repeat(clips, counts[3].astype(int), axis=0).reshape(-1, 6)
    np.testing.assert_allclose(drawn.mean, repeated.mean(0))
    np.testing.assert_allclose(drawn.covariance, np.cov(repeated.T))


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """A clip's frames are alike, so that only resampling of clips can know how sure the distance is."""
    gen = np.random.default_rng(4)
    counts, trials = frechet.resamples(40, 100), []
    for _ in range(40):
        clips = gen.normal(size=(2, 40, 1, 2)) + 0.3 * gen.normal(size=(2, 40, 5, 2))
        real = frechet.moments(clips[0]).gaussians(counts)
        values = [frechet.distances(frechet.moments(clips[1] + shift), real, counts) for shift in (1.0, 1.5)]
        trials.append((frechet.interval(values[0]), frechet.ratio(values[1], values[0])))
    for told in zip(*trials, strict=True):
        truth = np.mean([one["mean"] for one in told])
        assert 0.85 <= np.mean([one["low"] <= truth <= one["high"] for one in told]) <= 1.0


def test_an_interval_is_about_its_figure_though_resamples_lie_farther_apart():
    gen, counts = np.random.default_rng(6), frechet.resamples(30, 100)
    one, other = (frechet.moments(clips) for clips in gen.normal(size=(2, 30, 2, 12)))
    values = frechet.distances(one, other.gaussians(counts), counts)
    told = frechet.interval(values)
    assert told["low"] < told["mean"] == values[0] < told["high"] and values[1:].min() > values[0]


def test_a_ratio_is_surer_than_its_parts():
    gen, counts = np.random.default_rng(5), frechet.resamples(40, 200)
    real, made = gen.normal(size=(2, 40, 5, 2))
    theirs = frechet.moments(real).gaussians(counts)
    one, other = (frechet.distances(frechet.moments(made + shift), theirs, counts) for shift in (1.0, 1.02))
    alone, paired = frechet.interval(other), frechet.ratio(other, one)
    assert paired["high"] - paired["low"] < 0.2 * (alone["high"] - alone["low"]) / alone["mean"]


CELLS = {
    "plan:uniform:euler:8:g1.5": "m-plan-uniform-euler-8-g1.5",
    "words:log-snr:midpoint:4:g1:i0.2,0.8": "m-words-log-snr-midpoint-4-g1-i0.2,0.8",
    "plan:uniform:dopri5:0.01:g1.5:r0.7": "m-plan-uniform-dopri5-0.01-g1.5-r0.7",
    "plan:own": "m-plan-own",
}


@pytest.mark.parametrize(("text", "name"), CELLS.items())
def test_cells_are_read_and_named(text, name):
    assert few_steps_cells.Cell.read("runs/m", text).name == name


@pytest.mark.parametrize("text", ["plan", "score:uniform:euler:8:g1.5", "plan:uniform:euler:x:g1.5", "plan:uniform:euler:8:z1"])
def test_what_is_no_cell_is_refused(text):
    with pytest.raises(ValueError, match="is no cell"):
        few_steps_cells.Cell.read("m", text)


def test_cells_of_the_grids_differ():
    for name in few_steps_cells.GRIDS:
        names = [few_steps_cells.Cell.read("m", text).name for text in few_steps_cells.grid(name)]
        assert len(set(names)) == len(names)


def cost(text: str, seeds: list[int]) -> float:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = JascoConfig.tiny().build(Spec(rate=25.0, dim=4)).eval()
        torch.nn.init.normal_(system.out.weight)
    count = few_steps.Evaluations(system)
    told = few_steps.sampling(few_steps_cells.Cell.read("m", text), system.config.sampling)
    blank = Canvas.blank(len(seeds), 5, system.spec)
    with torch.inference_mode():
        system.generate(blank, {"text": ["a piano"] * len(seeds)}, seeds, told)
    return count.each(len(seeds))


COSTS = {
    "words:uniform:euler:3:g1.5": 6,
    "words:uniform:euler:3:g1": 3,
    "words:uniform:euler:4:g1.5:i0.1,0.6": 6,
    "words:uniform:euler:5:g1.5:i0.1,0.7": 8,
    "words:uniform:midpoint:3:g1.5": 12,
    "words:shifted:rk4:2:g1.5:r0.7": 16,
    "words:own": 8,
}


@pytest.mark.parametrize(("text", "evaluations"), COSTS.items())
def test_evaluations_are_counted_at_the_network(text, evaluations):
    assert cost(text, [0, 1]) == evaluations


def test_items_that_wait_for_their_neighbours_cost_what_they_cost_alone():
    text, seeds = "words:uniform:dopri5:0.001:g1.5", [0, 1, 2, 3]
    alone = [cost(text, [seed]) for seed in seeds]
    assert len(set(alone)) > 1 and cost(text, seeds) == pytest.approx(np.mean(alone))


def test_the_machine_is_this_one():
    name, cores = few_steps.machine().rsplit(", ", 1)
    assert name and cores.split()[0] == str(os.cpu_count())
    info = Path("/proc/cpuinfo")
    assert not info.exists() or "model name" not in info.read_text() or f": {name}\n" in info.read_text()
