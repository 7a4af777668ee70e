"""The fair pair of autoregression and flow: recipes of one scale differ only where the paradigm does, sizes are the paper's.

And what a recipe takes from its base."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from counterpoint import cli
from counterpoint import config as settings
from counterpoint.recipe.base import Recipe, read
from counterpoint.recipe.layers import lay, read_layers
from counterpoint.systems.jasco import Jasco, JascoConfig
from counterpoint.types import Spec

RECIPES = Path(__file__).parent.parent / "recipes"
ALL = sorted(path.name for path in RECIPES.glob("*.toml"))
SMALL = [name for name in ALL if "-small" in name]

PAIRS = {
    "tiny": ("musicgen-tiny", "jasco-tiny"),
    "tiny, controls": ("musicgen-tiny-controls", "jasco-tiny-controls"),
    "tiny, words alone": ("musicgen-tiny-text", "jasco-tiny-text"),
    "tiny, EnCodec": ("musicgen-tiny-encodec", "jasco-tiny-encodec"),
    "tiny, VAE": ("musicgen-tiny-encodec", "jasco-tiny-vae"),
    "small, 25 Hz": ("musicgen-small-25", "jasco-small-25"),
    "small, 50 Hz": ("musicgen-small", "jasco-small"),
    "small, 100 Hz": ("musicgen-small-100", "jasco-small-100"),
    "small, 25 Hz, VAE": ("musicgen-small-25", "jasco-small-vae-25"),
    "small, 50 Hz, VAE": ("musicgen-small", "jasco-small-vae-50"),
    "small, 100 Hz, VAE": ("musicgen-small-100", "jasco-small-vae-100"),
}

MAY_DIFFER = {
    "name": "of the run",
    "weights": "each goes on from its own",
    "system.kind": "the paradigm itself",
    "system.distilled": "average velocities, of flow alone",
    "system.backbone.causal": "tokens are made one after another, frames all at once",
    "system.backbone.time": "only flow runs along a time",
    "system.backbone.skips": "section 4.2: flow has them, MusicGen's network does not; the tiny pair has them in both",
    "system.prefix": "what is said before the tokens, as in MusicGen's melody model; flow adds what it is told to frames",
    "system.delays": "how levels of tokens follow each other; frames have no levels",
    "system.noise": "chance tokens in the history, against exposure bias; flow has no history",
    "system.head_bias": "of the layers that predict tokens (both leave biases out at the paper's size)",
    "system.frame_bias": "of the layers to and from frames (the same rule)",
    "system.sigma_min": "the path between noise and frames, equation 2",
    "system.time_distribution": "which flow times are learnt from",
    "system.time_weight": "how much they count, equation 4",
    "system.precondition": "how the network's output becomes a velocity",
    "system.canvas": "given parts are learnt by flow (tiny only); autoregression can continue untaught",
    "system.middle": "how autoregression learns to fill gaps: by an order of its own",
    "system.sampling": "how each is drawn from, but for guidance",
    "data.normalise": "appendix E.2; tokens have no scale",
}
"""Settings, each with the reason why the paradigm makes it differ."""
VAE_MAY_DIFFER = {"codec": "a VAE has no tokens", "data.folder": "holds the frames of that codec"}


def resolved(name: str, *changes: str) -> Recipe:
    found = read(RECIPES / f"{name}.toml", changes)
    assert isinstance(found, Recipe)
    return found


def flat(content: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {name.removesuffix("."): content}
    return {key: value for part, inner in content.items() for key, value in flat(inner, f"{name}{part}.").items()}


def differences(one: str, other: str) -> set[str]:
    """Names of settings, those of sampling as one, that two recipes do not share, or have other values of."""
    a, b = (flat(json.loads(settings.dump(resolved(name)))) for name in (one, other))
    names = {name for name in a.keys() | b.keys() if name not in a or name not in b or a[name] != b[name]}
    shared = {"system.sampling.guidance.all"}
    return {"system.sampling" if name.startswith("system.sampling.") and name not in shared else name for name in names}


@pytest.mark.parametrize("pair", PAIRS)
def test_recipes_of_one_scale_differ_only_where_the_paradigm_does(pair):
    allowed = set(MAY_DIFFER) | (set(VAE_MAY_DIFFER) if "VAE" in pair else set())
    assert differences(*PAIRS[pair]) - allowed == set()
    assert {resolved(name).system.kind for name in PAIRS[pair]} == {"musicgen", "jasco"}


def test_no_reason_is_given_for_a_setting_that_never_differs():
    assert set().union(*(differences(*names) for names in PAIRS.values())) == set(MAY_DIFFER) | set(VAE_MAY_DIFFER)


def test_every_recipe_of_a_generator_is_in_a_pair_and_rates_differ_by_data_alone():
    paired = {name for names in PAIRS.values() for name in names}
    assert {Path(name).stem for name in ALL if "codec" in read_layers(RECIPES / name)} - paired == {
        *("encodec-100", "encodec-25", "encodec-50", "encodec-tiny", "spectral-tiny"),  # codecs
        "own-data",  # of somebody's music
    } | {Path(name).stem for name in ALL if name.startswith("vae-")}
    for kind, others in (
        ("musicgen-small", ("-25", "-100")),
        ("jasco-small", ("-25", "-100", "-vae-25", "-vae-50", "-vae-100")),
    ):
        for other in others:
            assert differences(kind, kind + other) == {"name", "codec", "data.folder"}


def test_the_paper_s_training_and_network_are_those_of_the_small_recipes():
    """Sections 3.3 and 4.4, appendix E.3.1."""
    flow = resolved("jasco-small")
    assert (flow.train.steps, flow.train.batch_size, flow.data.crop_seconds) == (500_000, 256, 10.0)
    assert (flow.optim.hidden, flow.optim.lr, flow.optim.schedule, flow.optim.warmup_steps) == ("adamw", 1e-4, "cosine", 4000)
    assert isinstance(flow.system, JascoConfig) and flow.system.words.kind == "t5" and flow.system.score is None
    paper = JascoConfig()
    assert flow.system.backbone == paper.backbone and not paper.frame_bias and paper.canvas == 0 and not paper.precondition
    assert (flow.system.sigma_min, flow.system.time_distribution, flow.system.time_weight) == (1e-5, "uniform", "increasing")
    assert flow.data.normalise == "whole"


def count(*parts: torch.nn.Module | None) -> int:
    return sum(parameter.numel() for part in parts if part is not None for parameter in part.parameters())


@pytest.mark.parametrize(("skips", "total"), [("false", 404.7e6), ("true", 429.9e6)])
def test_flow_has_the_paper_s_parameters(skips, total):
    """Counted: blocks and the last norm, skips, the embedding of time, layers to and from frames, T5's projection; not T5."""
    with torch.device("meta"):
        system = resolved("jasco-small", f"system.backbone.skips={skips}").system.build(Spec(50.0, 128, 4, 2048))
    assert isinstance(system, Jasco)
    width, depth, backbone = 1024, 24, system.backbone
    layer = 4 * width**2 + 4 * width**2 + 2 * 4 * width**2 + 3 * 2 * width  # to itself, to the text, feed-forward, norms
    assert count(backbone.blocks, backbone.norm) == depth * layer + 2 * width
    assert count(backbone.time) == (128 * 512 + 512) + (512 * 512 + 512) + (512 * width + width)
    assert count(backbone.skips) == (12 * (2 * width * width + width) if skips == "true" else 0)
    assert count(system.embed) == count(system.out) == 128 * width
    assert count(system.conditioners) == 768 * width + width
    counted = (backbone.blocks, backbone.norm, backbone.time, backbone.skips, system.embed, system.out, system.conditioners)
    assert count(system) == count(*counted) == pytest.approx(total, abs=0.05e6)


def test_over_a_vae_only_the_layers_to_and_from_frames_are_smaller():
    with torch.device("meta"):
        encodec, vae = (resolved("jasco-small").system.build(spec) for spec in (Spec(50.0, 128, 4, 2048), Spec(50.0, 64)))
    assert count(encodec) - count(vae) == 2 * 64 * 1024
    with pytest.raises(ValueError, match="makes tokens, and the codec of these frames has none"):
        resolved("musicgen-small").system.build(Spec(50.0, 64))


@pytest.mark.parametrize("name", ALL)
def test_every_recipe_is_one(name):
    assert read(RECIPES / name, []).name == Path(name).stem


@pytest.mark.parametrize("name", SMALL)
def test_a_small_recipe_lacks_nothing_but_data(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["train", str(RECIPES / name), "-o", "out", "--device", "cpu"]) == 2
    said = capsys.readouterr().err.splitlines()
    folder = read(RECIPES / name, []).model_dump()["data"]["folder"]
    assert said[-1] == f"counterpoint: {folder} is not a cache of encoded clips; make one with counterpoint encode."
    assert not Path("out").exists()


@pytest.mark.parametrize("name", SMALL)
def test_the_command_of_many_processes_names_its_recipe_and_keeps_the_papers_batch(name):
    [command] = [line for line in (RECIPES / name).read_text().splitlines() if line.startswith("#   torchrun")]
    processes, recipe, changes, out = re.findall(r"node (\d+) .* train recipes/(\S+) (\S+) -o runs/(\S+)", command)[0]
    assert recipe == name and out == Path(name).stem
    made = resolved(out, changes)
    assert int(processes) * made.train.batch_size * made.train.accumulate == 256


# ---- recipes that start from another one


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_recipe_is_laid_over_its_base_and_changes_over_both(tmp_path, monkeypatch):
    """The base lies where the recipe's own folder says, wherever the command is given."""
    write(tmp_path, "ground.toml", 'codec = "a"\nname = "ground"\n[data]\nfolder = "x"\n[train]\nsteps = 1\nseed = 1\n')
    write(tmp_path, "above/middle.toml", 'base = "../ground.toml"\nname = "middle"\n[train]\nsteps = 2\nbatch_size = 2\n')
    top = write(tmp_path, "above/top.toml", 'base = "middle.toml"\nname = "top"\n[train]\nbatch_size = 3\n')
    monkeypatch.chdir(os.sep)
    made = read(top, ["train.batch_size=4"])
    assert isinstance(made, Recipe)
    assert (made.name, made.codec, str(made.data.folder)) == ("top", "a", "x")
    assert (made.train.seed, made.train.steps, made.train.batch_size) == (1, 2, 4)


def test_a_table_of_another_kind_takes_the_place_of_the_base_s():
    lower = {"system": {"kind": "jasco", "canvas": 0.1, "words": {"kind": "t5", "dim": 8}}, "codec": {"kind": "x"}, "data": 3}
    assert lay({"system": {"kind": "musicgen", "noise": 0.2}}, lower)["system"] == {"kind": "musicgen", "noise": 0.2}
    assert lay({"system": {"canvas": 0.2}}, lower)["system"] == {**lower["system"], "canvas": 0.2}
    assert lay({"system": {"kind": "jasco", "words": {"dim": 9}}}, lower)["system"]["words"] == {"kind": "t5", "dim": 9}
    assert lay({"codec": "name", "data": {"a": 1}}, lower) == {**lower, "codec": "name", "data": {"a": 1}}
    assert lay({"data": {"kind": "y"}}, {"data": {"b": 1}}) == {"data": {"kind": "y", "b": 1}}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"a": 'base = "gone.toml"'},
            r"a\.toml starts from \S+gone\.toml, which is not there; mend its base, or bring back .*\.$",
        ),
        ({"a": 'base = "b.toml"', "b": 'base = "gone.toml"'}, r"b\.toml starts from \S+gone\.toml, which is not there"),
        (
            {"a": 'base = "./a.toml"'},
            r"a\.toml comes back to itself by its base \(a\.toml -> a\.toml\); take one of these out\.$",
        ),
        ({"a": 'base = "b.toml"', "b": 'base = "a.toml"'}, r"a\.toml comes .* \(a\.toml -> b\.toml -> a\.toml\)"),
        ({"a": 'base = "b.toml"', "b": 'base = "b.toml"'}, r"a\.toml comes .* \(a\.toml -> b\.toml -> b\.toml\)"),
        ({"a": 'base = ["b.toml"]'}, r"a\.toml: base: must be the path of another recipe, not \['b\.toml'\]\.$"),
        ({"a": 'base = "b.toml"', "b": "steps = = 3"}, r"b\.toml is not valid TOML"),
    ],
)
def test_a_base_that_cannot_be_is_one_sentence(files, sentence, tmp_path):
    for name, text in files.items():
        write(tmp_path, f"{name}.toml", text)
    with pytest.raises(ValueError, match=sentence) as error:
        read(tmp_path / "a.toml", [])
    assert "\n" not in str(error.value)


def test_a_base_is_not_named_on_the_command_line():
    with pytest.raises(ValueError, match=r"give the other recipe itself\.$"):
        read(RECIPES / "jasco-tiny.toml", ["base=musicgen-tiny.toml"])
