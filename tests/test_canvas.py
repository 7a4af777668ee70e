"""The contract of every system with every canvas: fill it and keep what is given, or refuse it in one sentence."""

import math

import pytest
import torch

from counterpoint.paradigms.repair import STRATEGIES
from counterpoint.systems.base import System, task_of
from counterpoint.systems.jasco import JascoConfig, Sampling
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Canvas, Spec, time_axis

SPEC = Spec(rate=25.0, dim=8, levels=4, bins=16)
FRAMES = 12
SYSTEMS = {
    "jasco": JascoConfig.tiny(),
    "jasco without a canvas": JascoConfig.tiny().model_copy(update={"canvas": 0.0}),
    **{
        f"jasco, {strategy}": JascoConfig.tiny().model_copy(
            update={"sampling": Sampling(steps=4, guidance={"all": 1.5}, method="zero-shot", strategy=strategy)}
        )
        for strategy in STRATEGIES
    },
    "musicgen": MusicgenConfig.tiny(),
    "musicgen, fill-in-the-middle": MusicgenConfig.tiny().model_copy(update={"middle": 0.5}),
}
GAPS: dict[str, list[list[range]]] = {
    "nothing given": [[range(12)], [range(12)]],
    "beginnings of several lengths": [[range(5, 12)], [range(12)], [range(3, 12)]],
    "an end": [[range(6)], [range(6)]],
    "both ends": [[range(3, 8)], [range(3, 8)]],
    "one frame is missing": [[range(5, 6)]],
    "one frame is given": [[range(7), range(8, 12)]],
    "several gaps": [[range(2), range(3, 6), range(8, 11)]],
    "to each its own": [[range(3, 8)], [range(4)], [range(5, 12)], [range(2, 4), range(8, 12)], [range(3, 8)]],
}
"""Frames that are not given, for each item of a batch."""


def build(name: str) -> System:
    torch.manual_seed(0)
    system = SYSTEMS[name].build(SPEC)
    with torch.no_grad():  # a silent output layer would make every promise trivially true
        system.out.weight.normal_(std=0.3)
        for parameter in system.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return system.eval()


def canvas_of(system: System, gaps: list[list[range]]) -> Canvas:
    torch.manual_seed(1)
    given = torch.ones(len(gaps), FRAMES, dtype=torch.bool)
    for row, spans in zip(given, gaps, strict=True):
        for span in spans:
            row[span.start : span.stop] = False
    if system.view == "tokens":
        return Canvas(torch.randint(SPEC.bins, (len(gaps), system.spec.levels, FRAMES)), given)
    return Canvas(torch.randn(len(gaps), FRAMES, SPEC.dim), given)


def texts(count: int) -> dict[str, list]:
    return {"text": (["slow piano", None, "fast", "a minor", "piano", "slow"])[:count]}


def by_frame(system: System, frames: torch.Tensor) -> torch.Tensor:
    """Time next to the batch, "b t ..."."""
    return frames.movedim(time_axis(system.view), 1)


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    return build(request.param)


@pytest.mark.parametrize("kind", GAPS)
def test_a_canvas_is_filled_or_refused(system: System, kind: str) -> None:
    canvas = canvas_of(system, GAPS[kind])
    told, seeds = texts(len(canvas.given)), list(range(3, 3 + len(canvas.given)))
    if task_of(canvas) not in system.tasks:
        for ask in (system.generate, lambda *asked: next(system.stream(*asked))):
            with pytest.raises(ValueError, match=rf"^This model cannot {task_of(canvas)}; it can [a-z, ]+\.$"):
                ask(canvas, told, seeds)
        return
    steps: list[tuple[int, int]] = []
    made = system.generate(canvas, told, seeds, progress=lambda done, total: steps.append((done, total)))
    frames, before = by_frame(system, made), by_frame(system, canvas.frames)
    assert torch.equal(frames[canvas.given], before[canvas.given]), "what is given comes back bit for bit"
    missing = ~canvas.given
    assert missing.sum() < 3 or not torch.equal(frames[missing], before[missing]), "and the rest is made"
    assert bool(frames.isfinite().all()) and (system.view == "continuous" or bool((frames < SPEC.bins).all()))
    done, totals = [step for step, _ in steps], {total for _, total in steps}
    assert done == sorted(done) and totals == {done[-1]}, "progress ends where all is done"

    parts = list(system.stream(canvas, told, seeds))
    assert torch.equal(torch.cat(parts, dim=time_axis(system.view)), made), "same seeds, same frames, in parts along time"
    unseen = by_frame(system, canvas.frames.clone())
    unseen[missing] = 0 if system.view == "tokens" else math.nan  # a view: the canvas' own layout
    poisoned = Canvas(unseen.movedim(1, time_axis(system.view)), canvas.given)
    assert torch.equal(system.generate(poisoned, told, seeds), made), "what is not given is never seen"
    for i, seed in enumerate(seeds):
        one = Canvas(canvas.frames[i : i + 1], canvas.given[i : i + 1])
        alone = system.generate(one, {"text": told["text"][i : i + 1]}, [seed])
        torch.testing.assert_close(alone[0], made[i], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["jasco", "jasco, bridge", "musicgen, fill-in-the-middle"])
def test_a_gap_hears_what_is_on_either_side_and_its_seed(name: str) -> None:
    system = build(name)
    canvas = canvas_of(system, [[range(4, 7)]] * 16)
    told, seeds = {"text": ["slow piano"] * 16}, list(range(16))
    made = by_frame(system, system.generate(canvas, told, seeds))[:, 4:7]
    for heard in (slice(0, 4), slice(7, 12)):
        other = canvas.frames.clone()
        by_frame(system, other)[:, heard] = by_frame(system, other.flip(0))[:, heard]
        assert not torch.equal(by_frame(system, system.generate(Canvas(other, canvas.given), told, seeds))[:, 4:7], made)
    assert not torch.equal(by_frame(system, system.generate(canvas, told, [seed + 16 for seed in seeds]))[:, 4:7], made)


def test_a_refused_canvas_is_refused_before_anything_is_made() -> None:
    system = build("musicgen")
    steps: list[int] = []
    canvas = canvas_of(system, GAPS["both ends"])
    with pytest.raises(ValueError, match=r"^This model cannot inpaint; it can generate, continue\.$"):
        system.generate(canvas, texts(2), [1, 2], progress=lambda done, total: steps.append(done))
    assert steps == []
