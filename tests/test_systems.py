"""Promises of every system: each is checked for each member of SYSTEMS."""

import math
from dataclasses import replace

import pytest
import torch

from counterpoint import config
from counterpoint.conditioners.score import paint
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms.solvers import SCHEDULES, SOLVERS
from counterpoint.systems import jasco, musicgen
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.meanflow import MeanflowConfig, student_config
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Batch, Canvas, Spec

SPEC = Spec(rate=25.0, dim=8, levels=4, bins=16)
PAPER = TransformerConfig(width=32, depth=3, heads=2, feedforward=2, time="context", positions="sinusoidal", skips=True)
SYSTEMS = {
    "jasco": JascoConfig.tiny(),
    "jasco, the paper's network": JascoConfig.tiny().model_copy(
        update={"backbone": PAPER, "frame_bias": False, "precondition": False}
    ),
    "jasco, distilled": student_config(JascoConfig.tiny(), MeanflowConfig(), jasco.Sampling(steps=3, guidance={"all": 1.0})),
    "musicgen": MusicgenConfig.tiny(),
    "musicgen, fill-in-the-middle": MusicgenConfig.tiny().model_copy(update={"middle": 0.5}),
}
FRAMES = 20


def build(name: str) -> System:
    torch.manual_seed(0)
    system = SYSTEMS[name].build(SPEC)
    with torch.no_grad():  # a silent output layer would make every promise trivially true
        system.out.weight.normal_(std=0.3)
        for parameter in system.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return system.eval()


@pytest.fixture(params=SYSTEMS)
def system(request: pytest.FixtureRequest) -> System:
    return build(request.param)


def score(pitch: int = 60) -> Score:
    notes = tuple(Note(i * 0.2, i * 0.2 + 0.15, pitch + i, 90) for i in range(4))
    return Score(
        seconds=0.8, style="pop", bpm=150.0, metre=Metre(), key=Key(0), beats=(0.0, 0.4), downbeats=(0.0,),
        chords=(ChordSpan(0.0, 0.8, Chord(0)),), tracks=(Track("melody", 73, notes),),
    )  # fmt: skip


def values(batch: int) -> dict[str, list]:
    texts = ["slow piano in a minor", "fast", None, "piano"]
    scores = [score(), None, score(64), score(72)]
    return {"text": (texts * batch)[:batch], "score": (scores * batch)[:batch]}


def draw(system: System, batch: int, seed: int) -> torch.Tensor:
    """Frames of the system's view."""
    torch.manual_seed(seed)
    if system.view == "tokens":
        return torch.randint(SPEC.bins, (batch, system.spec.levels, FRAMES))
    return torch.randn(batch, FRAMES, SPEC.dim)


def by_frame(system: System, frames: torch.Tensor) -> torch.Tensor:
    """Time next to the batch, "b t ..."."""
    return frames.transpose(1, 2) if system.view == "tokens" else frames


def overwritten(system: System, frames: torch.Tensor, where: torch.Tensor, value: float) -> torch.Tensor:
    """`frames` with `value` (or for tokens, 0) in the frames that `where` marks."""
    if system.view == "tokens":
        return frames.masked_fill(where[:, None], 0)
    return frames.masked_fill(where[..., None], value)


def training_batch(system: System) -> Batch:
    mask = torch.ones(2, FRAMES, dtype=torch.bool)
    return Batch(seeds=[1, 2], frames=draw(system, 2, 1), mask=mask, values=values(2))


def sampling(system: System, **settings) -> config.Config:
    """Settings for few steps, or for a broad choice, with `settings`."""
    if system.view == "tokens":
        return musicgen.Sampling(top_k=0, **settings)
    return jasco.Sampling(steps=3, **settings)


def generate(system: System, batch: int, seeds: list[int], sampling: config.Config | None = None, **told) -> torch.Tensor:
    canvas = Canvas.blank(batch, FRAMES, system.spec, system.view)
    return system.generate(canvas, told or values(batch), seeds, sampling)


def test_learns_two_clips(system):
    """The loss on fixed draws falls by a third."""
    system.train()
    torch.nn.init.zeros_(system.out.weight)
    batch = training_batch(system)
    optimiser = torch.optim.Adam(system.parameters(), 5e-3)
    losses = []
    for step in range(120):
        seeded = replace(batch, seeds=[2 * (step % 4), 2 * (step % 4) + 1])
        loss = system.objectives(seeded)[0].loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < 2 / 3 * sum(losses[:4])


def test_every_parameter_is_moved(system):
    system.train()
    moved = {name: 0.0 for name, _ in system.named_parameters()}
    for seed in range(12):
        system.zero_grad()
        system.objectives(replace(training_batch(system), seeds=[2 * seed, 2 * seed + 1]))[0].loss.backward()
        for name, parameter in system.named_parameters():
            moved[name] += 0.0 if parameter.grad is None else parameter.grad.abs().sum().item()
    assert [name for name, amount in moved.items() if amount == 0.0] == []


def test_loss_depends_on_seeds_alone(system):
    batch = training_batch(system)
    first, again = (system.objectives(batch)[0].loss for _ in range(2))
    other = system.objectives(replace(batch, seeds=[5, 6]))[0].loss
    assert first == again and first != other


def test_padding_never_leaks(system):
    """What stands in frames that are not real (even NaN) changes nothing."""
    batch = training_batch(system)
    assert batch.frames is not None and batch.mask is not None
    mask = batch.mask.clone()
    mask[1, 12:] = False
    clean = replace(batch, mask=mask)
    dirty = replace(clean, frames=overwritten(system, batch.frames, ~mask, math.nan))
    torch.testing.assert_close(system.objectives(dirty)[0].loss, system.objectives(clean)[0].loss)


def test_same_seed_same_frames(system):
    assert torch.equal(generate(system, 2, [3, 4]), generate(system, 2, [3, 4]))
    assert not torch.equal(generate(system, 2, [3, 4]), generate(system, 2, [5, 6]))


@pytest.mark.parametrize("beginning", [0, 7])
def test_streamed_is_generated_bit_for_bit(system, beginning):
    """Parts along time, each as soon as it is certain; between them the caller's grad mode is its own."""
    canvas = Canvas(draw(system, 2, 2), (torch.arange(FRAMES) < beginning).expand(2, -1))
    steps: list[int] = []
    parts, come = [], []
    for part in system.stream(canvas, values(2), [3, 4], progress=lambda done, total: steps.append(done)):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        parts.append(by_frame(system, part))
        come.append(len(steps))
    assert torch.equal(torch.cat(parts, dim=1), by_frame(system, system.generate(canvas, values(2), [3, 4])))
    if system.view == "tokens":
        given = [beginning] if beginning else []
        assert [part.shape[1] for part in parts] == given + [1] * (FRAMES - beginning)
        late = max(system.config.delays)
        assert come == [0] * len(given) + list(range(1 + late, 1 + late + FRAMES - beginning)), "no later than need be"


def test_a_stream_that_is_closed_stops(system):
    steps: list[int] = []
    canvas = Canvas.blank(1, FRAMES, system.spec, system.view)
    stream = system.stream(canvas, values(1), [3], progress=lambda done, total: steps.append(done))
    next(stream)
    before = len(steps)
    stream.close()
    assert next(stream, None) is None and len(steps) == before and torch.is_grad_enabled()


def test_item_alone_equals_item_in_a_batch(system):
    together = generate(system, 4, [1, 2, 3, 4])
    told = values(4)
    for i in range(4):
        alone = generate(system, 1, [1 + i], text=told["text"][i : i + 1], score=told["score"][i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=2e-5, rtol=1e-4)


def test_guidance_of_one_is_plain_conditional(system):
    """No null variant is computed, and a table that sums to one by parts agrees with it."""
    plain = generate(system, 2, [1, 2], sampling(system, guidance={"all": 1.0}))
    same = generate(system, 2, [1, 2], sampling(system, guidance={"all": 1.0, "text": 1e-9}))
    torch.testing.assert_close(plain, same, atol=1e-4, rtol=1e-4)


def test_told_nothing_equals_guided_by_null(system):
    silent = {"text": [None], "score": [None]}
    unconditional = generate(system, 1, [1], sampling(system, guidance={"all": 1.0}), **silent)
    null = generate(system, 1, [1], sampling(system, guidance={"all": 0.0}))
    torch.testing.assert_close(unconditional, null, atol=1e-5, rtol=1e-4)


def test_every_condition_is_heard(system):
    base = generate(system, 4, [1, 2, 3, 4], text=["slow"] * 4, score=[score()] * 4)
    for name, other in (("text", "fast minor"), ("score", score(67))):
        told = {"text": ["slow"] * 4, "score": [score()] * 4, name: [other] * 4}
        assert not torch.allclose(base, generate(system, 4, [1, 2, 3, 4], **told), atol=1e-4)


def test_what_is_given_is_kept_bit_for_bit_and_heard(system):
    frames = draw(system, 2, 2)
    spans = [slice(0, 8), slice(0, 0)] + [slice(12, 20)] * ("inpaint" in system.tasks)
    for span in spans:
        given = torch.zeros(2, FRAMES, dtype=torch.bool)
        given[:, span] = True
        made = by_frame(system, system.generate(Canvas(frames, given), values(2), [1, 2])).float()
        assert torch.equal(made[given], by_frame(system, frames)[given].float())
        assert not torch.allclose(made[~given], by_frame(system, frames)[~given].float())
    given = (torch.arange(FRAMES) < 8).expand(2, -1)
    other = torch.where(overwritten(system, torch.ones_like(frames), ~given, 0.0).bool(), draw(system, 2, 9), frames)
    first, second = (by_frame(system, system.generate(Canvas(f, given), values(2), [1, 2])) for f in (frames, other))
    assert not torch.allclose(first[:, 8:].float(), second[:, 8:].float(), atol=1e-4)


def test_what_is_not_given_is_never_seen(system):
    given = torch.zeros(1, FRAMES, dtype=torch.bool)
    given[:, :5] = True
    frames = draw(system, 1, 3)
    poisoned = overwritten(system, frames, ~given, math.nan)
    made = [by_frame(system, system.generate(Canvas(f, given), values(1), [1])) for f in (frames, poisoned)]
    assert torch.equal(*made)


def test_stranger_conditions_and_tasks_are_refused(system):
    with pytest.raises(ValueError, match="chords"):
        generate(system, 1, [1], chords=["C"])


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_without_a_score_learns_from_a_corpus_that_has_them(name):
    torch.manual_seed(0)
    content = SYSTEMS[name].model_dump(mode="json") | {"score": "none"}
    plain = config.parse(type(SYSTEMS[name]), content)
    assert config.parse(type(plain), plain.model_dump(mode="json")) == plain and plain.score is None
    system = plain.build(SPEC)
    assert system.conditions == ("text",) and not [key for key in system.state_dict() if "score" in key or "told" in key]
    system.objectives(training_batch(system))[0].loss.backward()
    assert all(p.grad is not None for p in system.backbone.parameters() if p.requires_grad)
    assert generate(system.eval(), 1, [1], text=["slow"]).shape == generate(build(name), 1, [1], text=["slow"]).shape
    with pytest.raises(ValueError, match=r"cannot be told 'score'; it understands text\."):
        generate(system, 1, [1], text=["slow"], score=[score()])


@pytest.mark.parametrize(("kind", "biases"), [(JascoConfig, "frame_bias"), (MusicgenConfig, "head_bias")])
def test_settings_from_before_there_was_a_choice_have_biases(kind, biases):
    """A stored backbone without positions turns queries and keys, and layers around it have biases; the paper's have none."""
    stored = kind.tiny().model_dump(mode="json")
    assert stored.pop(biases) and stored["backbone"].pop("positions") == "rotary"
    assert config.parse(kind, stored) == kind.tiny()
    assert not kind().model_dump()[biases] and kind().backbone.positions == "sinusoidal"
    assert config.parse(kind, {biases: True}).model_dump()[biases]
    with pytest.raises(ValueError, match=r"^recipe: backbone\.heads: "):
        config.parse(kind, {"backbone": {"heads": 0}}, "recipe")


def test_without_biases_there_are_none_around_the_papers_network():
    names = [name for name in build("jasco, the paper's network").state_dict() if name.startswith(("embed.", "out."))]
    assert names == ["embed.weight", "out.weight"]


@pytest.mark.parametrize("settings", [
    *({"solver": solver} for solver in SOLVERS if solver != "dopri5"), {"solver": "dopri5", "tolerance": 1e-5},
    *({"schedule": schedule} for schedule in SCHEDULES),
    {"guidance": {"all": 3.0}, "guidance_interval": (0.3, 0.7)}, {"guidance": {"all": 3.0}, "guidance_rescale": 0.7},
    {"solver": "dopri5", "tolerance": 1e-5, "guidance": {"all": 3.0}, "guidance_interval": (0.3, 0.7)},
])  # fmt: skip
def test_an_item_of_a_flow_is_its_own_however_it_is_sampled(settings):
    """Solvers, schedules and guidance keep what is given, and do not let neighbours meet."""
    system, frames = build("jasco"), draw(build("jasco"), 3, 2)
    given = torch.zeros(3, FRAMES, dtype=torch.bool)
    given[:, :5] = True
    told, how = values(3), jasco.Sampling(steps=3, **settings)
    together = system.generate(Canvas(frames, given), told, [1, 2, 3], how)
    assert bool(together.isfinite().all()) and torch.equal(together[given], frames[given])
    for i in range(3):
        own = {name: column[i : i + 1] for name, column in told.items()}
        alone = system.generate(Canvas(frames[i : i + 1], given[i : i + 1]), own, [1 + i], how)
        # rounding decides which steps dopri5 takes across the ends of an interval: then its tolerance is all that holds
        atol = 1e-2 if settings.get("solver") == "dopri5" and "guidance_interval" in settings else 2e-3
        torch.testing.assert_close(alone[0], together[i], atol=atol, rtol=1e-3)


def rows_evaluated(system: System, how: jasco.Sampling) -> int:
    """Network evaluations of one item."""
    rows: list[int] = []
    hook = system.backbone.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    generate(system, 1, [1], how)
    hook.remove()
    return sum(rows)


def test_guidance_costs_a_second_evaluation_only_where_it_acts():
    system, guided = build("jasco"), {"all": 3.0}
    assert rows_evaluated(system, jasco.Sampling(steps=4, guidance={"all": 1.0})) == 4
    assert rows_evaluated(system, jasco.Sampling(steps=4, guidance=guided)) == 8
    assert rows_evaluated(system, jasco.Sampling(steps=4, guidance=guided, guidance_interval=(0.25, 0.5))) == 6
    assert rows_evaluated(build("jasco, distilled"), jasco.Sampling(steps=3, guidance={"all": 1.0})) == 3
    nowhere = jasco.Sampling(steps=4, guidance=guided, guidance_interval=(0.3, 0.4))
    plain = jasco.Sampling(steps=4, guidance={"all": 1.0})
    torch.testing.assert_close(generate(system, 2, [1, 2], nowhere), generate(system, 2, [1, 2], plain))


def test_a_full_canvas_is_told_so(system):
    full = Canvas(draw(system, 1, 2), torch.ones(1, FRAMES, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"nothing is left to fill; leave some of them out\.$"):
        system.generate(full, values(1), [1])


def test_items_with_unequal_beginnings_equal_each_alone(system):
    """One of them may even be given nothing."""
    given = torch.arange(FRAMES) < torch.tensor([[7], [0], [12]])
    frames, told = draw(system, 3, 2), values(3)
    together = system.generate(Canvas(frames, given), told, [1, 2, 3])
    for i in range(3):
        own = {name: column[i : i + 1] for name, column in told.items()}
        alone = system.generate(Canvas(frames[i : i + 1], given[i : i + 1]), own, [1 + i])
        torch.testing.assert_close(alone[0], together[i], atol=2e-5, rtol=1e-4)


def test_a_task_that_was_not_learnt_is_refused():
    flow = JascoConfig.tiny().model_copy(update={"canvas": 0.0})  # which fills gaps zero-shot
    generator_only = student_config(flow, MeanflowConfig(), jasco.Sampling(steps=3, guidance={"all": 1.0})).build(SPEC)
    given = torch.zeros(1, FRAMES, dtype=torch.bool)
    given[:, :3] = True
    with pytest.raises(ValueError, match="continue"):
        generator_only.generate(Canvas(torch.zeros(1, FRAMES, SPEC.dim), given), values(1), [1])


def test_saved_and_loaded_is_identical(system, tmp_path):
    from safetensors.torch import load_file, save_file

    save_file(system.state_dict(), tmp_path / "weights.safetensors")
    fresh = type(system)(system.config, SPEC)
    fresh.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(generate(system, 2, [1, 2]), generate(fresh.eval(), 2, [1, 2]))


def test_normalisation_is_undone():
    """Frames of another mean and scale are learnt as if whitened, and come back on their own scale."""
    system = build("jasco")
    plain = generate(system, 1, [1])
    assert isinstance(system, jasco.Jasco)
    system.normalise_by(torch.full((8,), 3.0), torch.full((8,), 2.0), torch.arange(1.0, 9.0))
    torch.testing.assert_close(generate(system, 1, [1]), plain * 2 + 3, atol=1e-4, rtol=1e-4)
    assert system.get_buffer("weight").mean().item() == pytest.approx(1.0)


def test_a_painted_score_is_the_score(system):
    roll = paint(score(), SPEC.rate, FRAMES)
    torch.testing.assert_close(
        generate(system, 1, [1], text=["slow"], score=[roll]), generate(system, 1, [1], text=["slow"], score=[score()])
    )


def test_guidance_by_what_is_not_told_is_refused(system):
    with pytest.raises(ValueError, match="'score', which is not told"):
        generate(system, 1, [1], sampling(system, guidance={"score": 3.0}), text=["slow"], score=[None])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"drop_all": 1.5}, "drop_all: "),
        ({"drop_each": -0.1}, "drop_each: "),
        ({"canvas": math.nan}, "canvas: "),
        ({"sigma_min": 1.0}, "sigma_min: "),
        ({"window_seconds": 0}, "window_seconds: "),
        ({"window_seconds": math.inf}, "window_seconds: "),
        ({"sampling": {"steps": 0}}, "sampling.steps: "),
        ({"sampling": {"tolerance": 1e-2}}, "sampling: tolerance is that of dopri5"),
        (
            {"sampling": {"guidance": {"all": 1.0}, "guidance_rescale": 0.5}},
            "sampling: guidance_interval and guidance_rescale do",
        ),
        ({"sampling": {"guidance_interval": [0.5, 0.2]}}, "sampling: guidance_interval 0.5 to 0.2 must rise"),
        ({"sampling": {"guidance": {"all": math.nan}}}, "sampling.guidance.all: "),
        ({"sampling": {"guidance": {}}}, "sampling.guidance: "),
        ({"backbone": {"heads": 0}}, "backbone.heads: "),
        ({"backbone": {"context": False, "time": "adaln"}}, "backbone.context is false"),
        ({"backbone": {"time": "none"}}, 'backbone.time is "none"'),
        ({"backbone": {"causal": True}}, "backbone.causal is true"),
    ],
)
def test_impossible_settings_are_named(content, message):
    with pytest.raises(ValueError, match=f"^recipe: .*{message}") as error:
        config.parse(JascoConfig, content, "recipe")
    assert "\n" not in str(error.value) and "Value error" not in str(error.value)
