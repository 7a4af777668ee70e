"""Of several fillings the best is kept, for a reason that is told; and what fits is told from what does not."""

from pathlib import Path

import pytest
import torch

from counterpoint import tries
from counterpoint.analysis.chroma import chroma
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import Checkpoint
from counterpoint.metrics.fit import Fit, fit
from counterpoint.music import Brief
from counterpoint.paradigms import repair
from counterpoint.systems import jasco
from counterpoint.types import Canvas

RATE, FRAMES = 16000, 75
SPAN = (3.0, 5.0)


@pytest.fixture(scope="module")
def clips() -> list[torch.Tensor]:
    torch.set_num_threads(1)
    scores = [compose(Brief(style=style), 8.0, seed) for seed, style in enumerate(("pop", "bossa nova"))]
    return [torch.from_numpy(synth.render(score, RATE, 1)) for score in scores]


def filled(clip: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    first, last = (round(at * RATE) for at in SPAN)
    return torch.cat([clip[:, :first], fill[:, first:last], clip[:, last:]], dim=1)


def heard(clip: torch.Tensor) -> Fit:
    return fit(clip, RATE, [SPAN], chroma)


def test_music_fits_itself_better_than_whatever_else_is_put_there(clips):
    clip, other = clips
    noise = 0.1 * torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    itself = heard(clip)
    for fill in (other, 3 * clip, torch.zeros_like(clip), noise):
        found = heard(filled(clip, fill))
        assert found.rank < itself.rank and found.match < itself.match
    assert heard(filled(clip, 3 * clip)).seam < itself.seam


def test_a_fit_says_what_it_can_and_refuses_what_is_no_span(clips):
    short = clips[0][:, : 2 * RATE]
    found = fit(short, RATE, [(0.5, 1.5)], chroma)
    assert found.seam != found.seam and found.rank == found.match, "no seam is heard in two seconds"
    with pytest.raises(ValueError, match="does not lie in a clip of"):
        fit(short, RATE, [(1.0, 3.0)], chroma)


@pytest.fixture(scope="module")
def tiny(tiny_model: Path) -> Checkpoint:
    return checkpoint.load(tiny_model)


def canvas_of(system, items: int, view: str = "continuous") -> Canvas:
    given = torch.ones(items, FRAMES, dtype=torch.bool)
    given[0, 20:50] = False
    given[1:, 40:] = False
    draw = torch.Generator().manual_seed(2)
    if view == "tokens":
        return Canvas(torch.randint(system.spec.bins, (items, system.spec.levels, FRAMES), generator=draw), given)
    return Canvas(torch.randn(items, FRAMES, system.spec.dim, generator=draw), given)


ZERO_SHOT = jasco.Sampling(steps=6, guidance={"all": 1.5}, method="zero-shot")
TOLD = {"text": ["slow piano", "fast"]}


def choose(loaded: Checkpoint, sampling, count: int, seeds=(3, 4), progress=None):
    canvas = canvas_of(loaded.system, len(seeds), loaded.system.view)
    told = {"text": TOLD["text"][: len(seeds)]}
    return tries.best(loaded.system, loaded.codec, canvas, told, list(seeds), sampling, count, progress=progress)


def test_the_best_of_all_that_was_tried_is_kept_and_the_record_says_why(tiny):
    steps: list[tuple[int, int]] = []
    frames, choices = choose(tiny, ZERO_SHOT, 5, progress=lambda done, total: steps.append((done, total)))
    canvas = canvas_of(tiny.system, 2)
    assert torch.equal(frames[canvas.given], canvas.frames[canvas.given])
    assert steps[-1][0] == steps[-1][1] and [done for done, _ in steps] == sorted(done for done, _ in steps)
    for i, choice in enumerate(choices):
        record = choice.record
        assert record["by"] == ["seam", "match"] and len(record["tried"]) == 5
        ranks = []
        for attempt, told in zip(tries.attempts(tiny.system, ZERO_SHOT, 5), record["tried"], strict=True):
            seed = attempt.seeds([3, 4])[i]
            one = Canvas(canvas.frames[i : i + 1], canvas.given[i : i + 1])
            made = tiny.system.generate(one, {"text": TOLD["text"][i : i + 1]}, [seed], attempt.sampling)
            figures = tries.judge(tiny.codec.decode(made)[0], tiny.codec, one, 0)
            assert told["seed"] == seed and told["rank"] == pytest.approx(figures["rank"], abs=1e-3)
            ranks.append(told["rank"])
            if attempt.number == record["kept"]:
                torch.testing.assert_close(frames[i], made[0], atol=2e-4, rtol=1e-3)
        assert record["kept"] == ranks.index(max(ranks))
        assert len({one["strategy"] for one in record["tried"]}) > 2
    again, _ = choose(tiny, ZERO_SHOT, 5)
    assert torch.equal(frames, again)


def test_no_try_costs_more_than_a_supervised_filling(tiny):
    """Counted at the network: two variants of guidance a step."""
    _, choices = choose(tiny, ZERO_SHOT, len(tries.LADDER))
    most = 2 * ZERO_SHOT.steps * len(tries.LADDER)
    assert most - 2 * 2 * len(tries.LADDER) < choices[0].evaluations <= most
    for one in choices[0].tried:
        how = jasco.Sampling(method="zero-shot", **{k: one[k] for k in ("strategy", *repair.NUMBERS) if k in one}).repair[1]
        assert repair.evaluations(one["strategy"], one["steps"], how) <= ZERO_SHOT.steps


def test_a_solver_with_steps_of_its_own_is_told_none(tiny):
    _, choices = choose(tiny, ZERO_SHOT.model_copy(update={"solver": "dopri5"}), 2)
    assert all(one["strategy"] == "replacement" and "steps" not in one for one in choices[0].tried)


def test_one_try_is_what_the_system_makes(tiny):
    asked = ZERO_SHOT.model_copy(update={"strategy": "renewal"})
    frames, choices = choose(tiny, asked, 1)
    assert torch.equal(frames, tiny.system.generate(canvas_of(tiny.system, 2), TOLD, [3, 4], asked))
    assert choices[0].kept == 0 and choices[0].record["by"] == []


@pytest.mark.parametrize("name", ["tiny", "tiny-ar", "tiny-fast"])
def test_without_strategies_seeds_are_tried(tiny_family, name):
    loaded = checkpoint.load(tiny_family[name])
    if name == "tiny-ar":
        canvas = Canvas(*(part[..., :60] for part in vars(canvas_of(loaded.system, 1, "tokens")).values()))
        canvas.given[:, 30:] = False
        canvas.given[:, :30] = True
        _, (choice,) = tries.best(loaded.system, loaded.codec, canvas, {"text": ["fast"]}, [3], loaded.config.sampling, 2)
    else:
        _, (choice,) = choose(loaded, loaded.config.sampling, 2, seeds=(3,))
    assert [set(one) for one in choice.tried] == [{"seed", "seam", "match", "rank"}] * 2
    assert len({one["seed"] for one in choice.tried}) == 2


def test_a_strategy_that_is_asked_for_is_the_only_one(tiny):
    planned = tries.attempts(tiny.system, jasco.Sampling(steps=6, method="zero-shot", strategy="resampling", repeats=3), 3)
    assert {(one.sampling.strategy, one.sampling.repeats, one.sampling.steps) for one in planned} == {("resampling", 3, 2)}


def test_no_tries_are_refused(tiny):
    with pytest.raises(ValueError, match="0 tries are none to choose from"):
        choose(tiny, ZERO_SHOT, 0)
