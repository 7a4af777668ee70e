"""Promises of every control in every system: it is heard, in time, alone or together, and left out it is as if never learnt."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from counterpoint import config, rng
from counterpoint.chordino import LABELS
from counterpoint.conditioners.base import DropConfig, drop
from counterpoint.conditioners.controls import CONTROLS, LANES, ControlsConfig
from counterpoint.music import Key
from counterpoint.recipe.system import begin_as
from counterpoint.systems import jasco
from counterpoint.systems.base import System
from counterpoint.systems.jasco import Jasco, JascoConfig
from counterpoint.systems.meanflow import MeanflowConfig, student_config
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Batch, Canvas, Spec

SPEC = Spec(rate=25.0, dim=8, levels=4, bins=16)
FRAMES = 20
ALL: dict[str, Any] = {name: {} for name in CONTROLS}
FORMS = {
    "the paper's": ALL,
    "JASCO's": {**ALL, "melody": {"form": "one-hot"}, "drums": {"order": "quantise-blur", "blur": 3, "channels": 2}},
}
TINY = {
    "jasco": JascoConfig.tiny(),
    "jasco, distilled": student_config(JascoConfig.tiny(), MeanflowConfig(), jasco.Sampling(steps=3, guidance={"all": 1.0})),
    "musicgen": MusicgenConfig.tiny(),
}
MEMBERS = [(kind, form) for kind in TINY for form in FORMS]


def build(kind: str, controls: dict[str, Any], seed: int = 0) -> System:
    content = {**TINY[kind].model_dump(mode="json"), "controls": controls}
    torch.manual_seed(seed)
    system = config.parse(type(TINY[kind]), content).build(SPEC)
    with torch.no_grad():  # what begins silent would make every promise trivially true
        system.out.weight.normal_(std=0.3)
        for parameter in system.parameters():
            if not parameter.any():
                parameter.normal_(std=0.3)
        for name in system.config.controls.names:
            for parameter in system.conditioners[name].parameters():
                parameter.normal_(std=1.0)
    return system.eval()


@pytest.fixture(params=MEMBERS, ids=" ".join)
def system(request: pytest.FixtureRequest) -> System:
    kind, form = request.param
    return build(kind, FORMS[form])


def value(system: System, name: str, seed: int = 0) -> Any:
    """Something that may be told of a control."""
    draw = np.random.default_rng(seed)
    if name == "drums" and system.config.controls.drums.order == "quantise-blur":
        return draw.standard_normal((FRAMES, SPEC.dim)).astype(np.float16)
    symbols = {"chords": len(LABELS), "melody": 54, "drums": SPEC.bins}
    if name in symbols:
        return draw.integers(symbols[name], size=FRAMES).astype(np.int16)
    return {"tempo": 90.0 + seed, "key": Key(seed % 12, "minor"), "seconds": 5.0 + seed}[name]


def generate(system: System, told: dict[str, list], seeds: tuple[int, ...] = (1,), **settings: Any) -> torch.Tensor:
    sampling = system.config.sampling.model_copy(update=settings)
    return system.generate(Canvas.blank(len(seeds), FRAMES, system.spec, system.view), told, list(seeds), sampling)


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_is_heard(system, name):
    said = {"text": ["slow"]}
    left_open, one, other = (
        generate(system, said | told) for told in ({}, {name: [value(system, name)]}, {name: [value(system, name, 1)]})
    )
    assert not torch.equal(left_open, one) and not torch.equal(one, other)


def test_an_item_alone_equals_the_item_in_a_batch_where_some_are_told_and_some_are_not(system):
    told = {name: [value(system, name), None, value(system, name, 2)] for name in CONTROLS} | {"text": ["slow", None, "fast"]}
    together = generate(system, told, (1, 2, 3))
    for i in range(3):
        alone = generate(system, {name: column[i : i + 1] for name, column in told.items()}, (1 + i,))
        torch.testing.assert_close(alone[0], together[i], atol=5e-5, rtol=1e-4)


def test_what_is_not_told_is_one_learnt_null_however_it_is_left_out(system):
    left_out = generate(system, {"text": ["slow"]})
    none = generate(system, {"text": ["slow"]} | {name: [None] for name in CONTROLS})
    assert torch.equal(left_out, none)


def test_every_parameter_of_a_control_is_moved(system):
    system.train()
    frames = torch.randint(16, (2, 4, FRAMES)) if system.view == "tokens" else torch.randn(2, FRAMES, 8)
    moved = dict.fromkeys((name for name, _ in system.conditioners.named_parameters()), 0.0)
    for seed in range(10):
        told = {name: [value(system, name, seed), value(system, name, seed + 50)] for name in CONTROLS}
        system.zero_grad()
        batch = Batch([2 * seed, 2 * seed + 1], None, frames, torch.ones(2, FRAMES, dtype=torch.bool), told)
        system.objectives(batch)[0].loss.backward()
        for name, parameter in system.conditioners.named_parameters():
            moved[name] += 0.0 if parameter.grad is None else parameter.grad.abs().sum().item()
    assert [n for n, amount in moved.items() if amount == 0 and not n.startswith(("text", "score"))] == []


@pytest.mark.parametrize("name", LANES)
@pytest.mark.parametrize("form", FORMS)
def test_autoregression_is_told_of_a_frame_when_it_makes_it_and_not_before(name, form):
    """The paper's figure 2: the step that makes frame s has heard of frame s, and of none that follows."""
    system = build("musicgen", FORMS[form])
    told = value(system, name)
    later = told.copy()
    later[12:] = value(system, name, 7)[12:]
    one, other = (generate(system, {name: [lane]}, top_k=0, guidance={"all": 1.0}) for lane in (told, later))
    for level, late in enumerate(system.config.delays):  # a level that lags by two frames has heard of two more
        assert torch.equal(one[:, level, : 12 - late], other[:, level, : 12 - late])
    history = torch.randint(16, (1, 3, 13))
    heard = []
    for lane in (told, later):
        cond = system.conditioners({name: [lane]}, system.spec, FRAMES, 1)
        heard.append(system._logits(history, cond))
    assert torch.equal(heard[0][:, :, :12], heard[1][:, :, :12])
    assert not torch.equal(heard[0][:, :, 12], heard[1][:, :, 12]), "the very step that makes frame 12 has heard of it"


@pytest.mark.parametrize("kind", ["jasco", "musicgen"])
def test_guidance_weighs_any_set_of_controls(kind):
    system = build(kind, ALL)
    told = {"text": ["slow"], "chords": [value(system, "chords")], "melody": [value(system, "melody")]}
    tables = ({"text": 3.0, "chords": 2.0}, {"text": 3.0}, {"text+chords": 2.0, "melody": 1.0}, {"all": 2.0})
    made = [generate(system, told, guidance=table) for table in tables]
    assert not any(torch.equal(one, other) for i, one in enumerate(made) for other in made[:i])
    with pytest.raises(ValueError, match="'drums', which is not told"):
        generate(system, told, guidance={"drums": 2.0})


@pytest.mark.parametrize("kind", ["jasco", "musicgen"])
def test_a_model_that_is_told_more_begins_as_the_one_that_was_told_less(kind):
    start = build(kind, {}, seed=0)
    system = config.parse(type(TINY[kind]), {**TINY[kind].model_dump(mode="json"), "controls": ALL}).build(SPEC).eval()
    begin_as(system, start)
    assert torch.equal(generate(system, {"text": ["slow"]}), generate(start, {"text": ["slow"]})), "unheard at first"
    assert torch.equal(generate(system, {"chords": [value(system, "chords")]}), generate(start, {}))
    drums_alone = build(kind, {"drums": {}})
    with pytest.raises(ValueError, match="does not go over into score, chords, melody, drums"):
        begin_as(system, drums_alone)  # else the weights of its drums would act on the tune
    if isinstance(start, Jasco):
        unshown = Jasco(start.config.model_copy(update={"canvas": 0.0}), SPEC)
        with pytest.raises(ValueError, match="leave the canvas as it was"):
            begin_as(system, unshown)  # else the weights of its score would act on what is given
    narrow = type(start)(replace_width(start.config), SPEC)
    with pytest.raises(ValueError, match="of another network"):
        begin_as(system, narrow)


def replace_width(settings: JascoConfig | MusicgenConfig) -> JascoConfig | MusicgenConfig:
    return settings.model_copy(update={"backbone": settings.backbone.model_copy(update={"width": 16})})


def test_dropout_is_joint_and_independent_and_an_items_own():
    """Of many items, the shares that lose all, and each thing by itself, are those that were asked for."""
    names = ("text", "chords", "melody")
    values = {name: [1] * 4000 for name in names}
    gens = rng.generators(range(4000))
    how = DropConfig(drop_all=0.2, drop_each=0.1, drop_music=0.5)
    kept = drop(values, names, gens, how)
    told = np.array([[entry is not None for entry in kept[name]] for name in names])
    shares = told.mean(1)
    np.testing.assert_allclose(shares, [0.8 * 0.9, 0.8 * 0.5, 0.8 * 0.5], atol=0.03)
    assert abs((~told).all(0).mean() - (0.2 + 0.8 * 0.1 * 0.5 * 0.5)) < 0.03
    assert abs((told[1] & told[2]).mean() - 0.8 * 0.25) < 0.03, "chords and melody are left out apart from each other"
    again = drop({name: [1] for name in names}, names, rng.generators([17]), how)
    assert [again[name][0] for name in names] == [kept[name][17] for name in names]


def test_any_number_of_controls_is_told_equally_often():
    names = ("text", "score", "chords", "melody", "drums")
    values = {name: [1] * 4000 for name in names}
    how = DropConfig(drop_all=0.0, drop_each=0.1, drop_music="any", drop_score=0.75)
    kept = drop(values, names, rng.generators(range(4000)), how)
    told = np.array([[entry is not None for entry in kept[name]] for name in names])
    np.testing.assert_allclose(told.mean(1), [0.9, 0.25, 0.5, 0.5, 0.5], atol=0.03)
    np.testing.assert_allclose(np.bincount(told[2:].sum(0)) / 4000, [0.25] * 4, atol=0.03)
    again = drop({name: [1] for name in names}, names, rng.generators([17]), how)
    assert [again[name][0] for name in names] == [kept[name][17] for name in names]


def test_settings_without_controls_are_those_of_before():
    for settings in (JascoConfig.tiny(), MusicgenConfig.tiny()):
        content = settings.model_dump(mode="json")
        assert content.pop("controls") == dict.fromkeys(CONTROLS)
        assert content.pop("drop_music") is None and content.pop("drop_score") is None
        assert config.parse(type(settings), content) == settings
    assert ControlsConfig.model_validate({"chords": {}, "melody": "none"}).names == ("chords",)


def test_a_codec_without_tokens_has_no_drums_to_tell():
    with pytest.raises(ValueError, match="first codebook"):
        config.parse(JascoConfig, {"controls": {"drums": {}}}).build(replace(SPEC, levels=0, bins=0))
