"""Fill-in-the-middle: the order in which a piece with a gap is said, and a model that fills gaps in canvases."""

from dataclasses import replace

import pytest
import torch

from counterpoint import config, rng
from counterpoint.conditioners.words import WordsConfig
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms import autoregressive as ar
from counterpoint.paradigms import middle
from counterpoint.recipe.system import begin_as
from counterpoint.systems.musicgen import Musicgen, MusicgenConfig, Sampling
from counterpoint.types import Batch, Canvas, Cond, Spec

SPEC = Spec(rate=25.0, dim=8, levels=4, bins=16)
FRAMES = 20
TINY = MusicgenConfig.tiny()
STEPS = 120


def build(chance: float = 0.5, seed: int = 0, **changes) -> Musicgen:
    torch.manual_seed(seed)
    system = TINY.model_copy(update={"middle": chance, **changes}).build(SPEC)
    with torch.no_grad():  # a silent output layer would make every promise trivially true
        system.out.weight.normal_(std=0.3)
        for parameter in system.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return system.eval()


# ---- the order


def test_the_order_of_a_gap_step_by_step():
    """Five frames of two levels, the span of frames 1 and 2: <a> 0, <c> 3 4, <b> 1 2, each with its own end of delays."""
    order = middle.around(range(1, 3), 5, (0, 1))
    tokens = torch.tensor([[[10, 11, 12, 13, 14], [20, 21, 22, 23, 24]]])
    assert order.lay(tokens, 0).tolist() == [[[0, 10, 0, 0, 13, 14, 0, 0, 11, 12, 0], [0, 0, 20, 0, 0, 23, 24, 0, 0, 21, 22]]]
    assert order.marks.tolist() == [[0, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1]]
    assert order.ahead.tolist() == [[0, -1, -1, 3, 4, -1, -1, 1, 2, -1, -1]]
    assert order.positions.tolist() == [[0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4]]


@pytest.mark.parametrize("delays", [(0,), (0, 1, 2, 3), (2, 0, 5)])
@pytest.mark.parametrize("span", [range(3, 7), range(0, 4), range(6, 9), range(0, 9), range(8, 9)])
def test_every_frame_is_said_once_and_found_again(delays, span):
    order = middle.around(span, 9, delays)
    tokens = torch.randint(9, (2, len(delays), 9))
    layout = order.lay(tokens, special=9)
    assert layout.shape[-1] == middle.longest(9, delays) == 9 + 3 * (1 + max(delays))
    assert torch.equal(order.unlay(layout, torch.zeros_like(tokens)), tokens)
    own = layout[..., -ar.steps(len(span), delays) :]
    assert torch.equal(own, ar.delay(tokens[..., span.start : span.stop], delays, 9)), "a segment is a piece of its own"
    assert order.marks[order.marks != middle.NONE].tolist() == [middle.A, middle.C, middle.B]


def test_straight_on_is_the_layout_without_gaps():
    tokens, delays = torch.randint(9, (2, 3, 6)), (0, 2, 1)
    order = middle.straight(6, delays)
    assert torch.equal(order.lay(tokens, 9), ar.delay(tokens, delays, 9))
    assert bool((order.marks == middle.NONE).all()) and order.positions.tolist() == [list(range(9))]


def test_drawn_spans_are_within_the_real_frames_and_depend_on_the_seed_alone():
    lengths, seeds = [250, 40, 7, 2, 1], range(400)
    drawn = {n: [middle.draw_spans([n], 1.0, rng.generators([seed]))[0] for seed in seeds] for n in lengths}
    for count in (250, 40, 7, 2):
        assert all(span is not None and 0 <= span.start < span.stop < count for span in drawn[count])
    assert set(drawn[1]) == {None}, "one frame has nothing around it"
    together = middle.draw_spans(lengths, 1.0, rng.generators([3] * 5))
    assert together == [drawn[count][3] for count in lengths]
    long = [span for span in drawn[250] if span is not None]
    sizes, starts = torch.tensor([len(span) for span in long]) / 250, torch.tensor([span.start for span in long])
    assert 0.05 <= sizes.min() < 0.07 and 0.58 < sizes.max() <= 0.6
    assert 0.15 < (starts == 0).float().mean() < 0.26 and max(span.stop for span in long) > 240
    rare = [middle.draw_spans([250], 0.25, rng.generators([seed]))[0] for seed in seeds]
    assert 0.2 < sum(span is not None for span in rare) / len(rare) < 0.3


def test_gaps_are_found():
    given = [False, True, True, False, False, True, False]
    assert middle.gaps(torch.tensor(given)) == [range(1), range(3, 5), range(6, 7)]
    assert middle.gaps(torch.ones(4, dtype=torch.bool)) == []


# ---- the model


def test_without_a_middle_nothing_is_new():
    plain, able = build(0.0), build(0.5)
    assert set(able.state_dict()) - set(plain.state_dict()) == {"marks.weight"}
    assert plain.tasks == ("generate", "continue") and able.tasks == ("generate", "continue", "inpaint")
    stored = TINY.model_dump(mode="json")
    stored.pop("middle")  # as models were stored before there was a choice
    assert config.parse(MusicgenConfig, stored) == TINY and TINY.middle == 0


def test_it_begins_as_the_model_that_fills_no_gaps():
    start, system = build(0.0, seed=0), build(0.5, seed=1)
    marks = system.state_dict()["marks.weight"].clone()
    begin_as(system, start)
    assert torch.equal(system.state_dict()["marks.weight"], marks) and marks.std() > 0.5
    for given in (0, 6):
        canvas = Canvas(torch.randint(16, (2, 3, FRAMES)), (torch.arange(FRAMES) < given).expand(2, -1))
        values = {"text": ["slow", "fast piano"]}
        assert torch.equal(*(model.generate(canvas, values, [1, 2]) for model in (system, start)))
    with pytest.raises(ValueError, match="generate, continue, inpaint, which does not go over"):
        begin_as(start, system)


def test_items_that_are_said_straight_on_learn_as_without_a_middle():
    """Where no span is drawn, loss and gradients are those of the model that knows none."""
    plain, able = build(0.0, noise=0.0, drop_all=0.0, drop_each=0.0), build(1e-9, noise=0.0, drop_all=0.0, drop_each=0.0)
    able.load_state_dict(plain.state_dict(), strict=False)
    mask = torch.arange(FRAMES) < torch.tensor([[FRAMES], [12]])
    batch = Batch([1, 2], frames=torch.randint(16, (2, 3, FRAMES)), mask=mask, values={"text": ["slow", None]})
    losses = [model.objectives(batch)[0].loss for model in (plain, able)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(plain.out.weight.grad, able.out.weight.grad)


def test_an_item_s_loss_does_not_depend_on_how_far_it_is_padded():
    system = build(1.0)
    frames = torch.randint(16, (1, 3, 14))
    lone = Batch([5], frames=frames, mask=torch.ones(1, 14, dtype=torch.bool), values={"text": ["slow"]})
    padded = replace(lone, frames=torch.nn.functional.pad(frames, (0, 9), value=3), mask=torch.arange(23)[None] < 14)
    torch.testing.assert_close(system.objectives(lone)[0].loss, system.objectives(padded)[0].loss)


def told_logits(system: Musicgen, lane: torch.Tensor, order: middle.Order) -> torch.Tensor:
    return system._logits(torch.zeros(1, 3, order.ahead.shape[1], dtype=torch.long), Cond(frames=lane), order=order)


def test_what_is_told_of_a_frame_follows_it():
    """A lane that differs at one frame is first heard where that frame's first level is about to be said."""
    system = build()
    assert system.told is not None
    order = middle.around(range(5, 12), FRAMES, system.config.delays)
    lane = torch.randn(1, FRAMES, system.told.in_features)
    base = told_logits(system, lane, order)
    for frame in (2, 5, 8, 11, 12, 19):
        other = lane.clone()
        other[:, frame] += 1
        moved = (told_logits(system, other, order) != base).any(-1).any(1)[0]
        first = int((order.frames[0, 0] == frame).nonzero()) - 1  # level 0 has no delay
        assert int(moved.int().argmax()) == first


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_remembered_steps_are_those_of_one_pass_in_any_order(positions):
    backbone = TINY.backbone.model_copy(update={"positions": positions})
    system = build(backbone=backbone)
    order = middle.around(range(5, 12), FRAMES, system.config.delays)
    size = order.ahead.shape[1]
    history = torch.randint(16, (2, 3, size))
    lane = torch.randn(2, FRAMES, system.told.in_features) if system.told is not None else None
    cond = Cond(frames=lane)
    memory = system.backbone.remember(2, size, 0)
    parts = [system._logits(history[..., a:b], cond, memory, order=order) for a, b in ((0, 9), (9, 10), (10, size))]
    torch.testing.assert_close(torch.cat(parts, dim=2), system._logits(history, cond, order=order), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_positions_are_those_of_the_music(positions):
    """Without marks, an order says the same frames at the same places: only sums over the past may differ."""
    config_ = TransformerConfig(width=16, depth=1, heads=2, causal=True, context=False, time="none", positions=positions)
    torch.manual_seed(0)
    network = config_.build().eval()
    x, places = torch.randn(1, 6, 16), torch.tensor([[0, 1, 4, 5, 2, 3]])
    made = network(x, Cond(), positions=places)
    inverse = places[0].argsort()
    straight = network(x[:, inverse], Cond())
    torch.testing.assert_close(made[:, :2], straight[:, :2])
    # the last one said has heard all six: so has frame 5 of the straight pass, and from its place it hears the same
    follows = torch.tensor([[0, 1, 2, 4, 3, 5]])
    torch.testing.assert_close(network(x[:, [0, 1, 2, 4, 3, 5]], Cond(), positions=follows)[:, -1], network(x, Cond())[:, -1])


def pieces(count: int, seed: int) -> torch.Tensor:
    """Twelve frames of two levels: a third of silence (0), then one symbol to the end."""
    symbol = torch.randint(1, 16, (count, 1, 1), generator=torch.Generator().manual_seed(seed))
    return torch.where(torch.arange(12) < 4, 0, symbol).expand(-1, 2, -1).clone()


def test_a_gap_that_only_what_follows_it_can_tell_is_learnt():
    """After the silence, any of fifteen symbols may come: only a model that attends to C knows which."""
    backbone = TransformerConfig(width=32, depth=2, heads=2, feedforward=2, causal=True, time="none")
    torch.manual_seed(0)
    system = MusicgenConfig(
        backbone=backbone, words=WordsConfig(dim=8, vocabulary=("a",)), score=None, delays=(0, 1), middle=0.8
    ).build(SPEC)
    optimiser = torch.optim.Adam(system.parameters(), 6e-3)
    everywhere = torch.ones(16, 12, dtype=torch.bool)
    for step in range(STEPS):
        seeds = [16 * step + i for i in range(16)]
        loss = system.objectives(Batch(seeds, frames=pieces(16, step), mask=everywhere))[0].loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    system.eval()
    held_out, now = pieces(64, 10_000), torch.arange(12)
    greedy = Sampling(temperature=0.0, guidance={"all": 1.0})

    def right(given: torch.Tensor) -> float:
        made = system.generate(Canvas(held_out, given.expand(64, -1)), {}, list(range(64)), greedy)
        return float((made == held_out)[..., 4:8].all(-1).all(-1).float().mean())

    assert right((now < 4) | (now >= 8)) > 0.95
    assert right(now >= 8) > 0.95, "without a beginning, too"
    assert right(now < 4) < 0.3, "chance, where C is not there"
