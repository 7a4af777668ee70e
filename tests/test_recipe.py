"""From a corpus folder to a model that loads: encode, train a recipe, go on, load the checkpoint."""

import contextlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from counterpoint import annotation, cli, generation
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.conditioners.score import paint
from counterpoint.encoding import encode
from counterpoint.hub import anatomy, checkpoint
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track
from counterpoint.recipe.run import run_recipe

RECIPE = """
name = "tiny"
codec = '{codec}'
samples = 1
data = {{ folder = '{folder}', crop_seconds = 1.0, words = 20 }}
optim = {{ lr = 3e-3, warmup_steps = 5, ema_decay = 0.9 }}
train = {{ steps = 20, batch_size = 4, log_every = 1, valid_batches = 2, save_every = 10, precision = "bf16" }}
system = {{ kind = "jasco", precondition = true, canvas = 0.3, backbone = {backbone}, score = {{ channels = 16 }} }}
"""
BACKBONE = '{ width = 32, depth = 2, heads = 2, feedforward = 2, time = "adaln", skips = true, local = 3 }'


def score(bpm: float) -> Score:
    beats = tuple(60 / bpm * i for i in range(8))
    melody = Track("melody", 0, tuple(Note(beat, beat + 0.3, 60 + i, 90) for i, beat in enumerate(beats)))
    chords = (ChordSpan(0.0, 2.0, Chord.parse("C")),)
    return Score(2.0, "pop", bpm, Metre(), Key.parse("C major"), beats, beats[::4], chords, (melody,))


@pytest.fixture(scope="module")
def recipe(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    corpus = folder / "corpus"
    corpus.mkdir()
    lines = []
    for number in range(6):
        audio = 0.1 * np.random.default_rng(number).standard_normal(16000)
        soundfile.write(corpus / f"{number}.flac", audio, 8000)
        (corpus / f"{number}.json").write_text(json.dumps(annotation.to_dict(score(100 + number))))
        row = {"file_name": f"{number}.flac", "seconds": 2.0, "captions": ["slow piano"], "annotation": f"{number}.json"}
        lines.append(json.dumps(row | {"split": "valid" if number > 3 else "train"}))
    (corpus / "metadata.jsonl").write_text("\n".join(lines))
    encode(corpus, checkpoint.load_codec(tiny_model), folder / "latents", paint)
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(codec=tiny_model / "codec", folder=folder / "latents", backbone=BACKBONE))
    return path


def test_a_recipe_becomes_a_checkpoint_that_loads(recipe, tmp_path):
    outcome = run_recipe(recipe, ["train.steps=24"], tmp_path, device="cpu")
    assert outcome.done and outcome.step == 24
    loaded = checkpoint.load(tmp_path)
    assert loaded.config.words.vocabulary == ("piano", "slow")
    assert {"config.json", "model.safetensors", "codec", "train"} <= {path.name for path in tmp_path.iterdir()}
    average = torch.load(tmp_path / "train" / "state.pt", weights_only=True)["ema"]["average"]
    for name, parameter in loaded.system.named_parameters():
        assert torch.equal(parameter, average[name])
    audio, rate = soundfile.read(tmp_path / "train" / "samples" / "0000024" / "0.wav")
    assert rate == 8000 and len(audio) == 8000
    assert (tmp_path / "train" / "samples" / "0000024" / "0.txt").read_text() == "slow piano\n"


TOKENS = """
system = {{ kind = "musicgen", delays = [0, 1], backbone = {backbone}, score = {{ channels = 16 }} }}
"""


@pytest.fixture(scope="module")
def token_recipe(recipe: Path) -> Path:
    backbone = BACKBONE.replace('time = "adaln"', 'time = "none", causal = true')
    path = recipe.parent / "tokens.toml"
    path.write_text(recipe.read_text().split("system =")[0] + TOKENS.format(backbone=backbone))
    return path


def test_autoregression_is_trained_and_generates_by_the_same_doors(token_recipe, tmp_path):
    assert run_recipe(token_recipe, ["train.steps=6"], tmp_path / "out", device="cpu").step == 6
    assert soundfile.info(tmp_path / "out/train/samples/0000006/0.wav").frames == 8000
    model = generation.load(tmp_path / "out")
    take = model.generate("slow piano", seconds=1, seed=3, temperature=0.9, top_k=5)
    assert take.record["sampling"] == {
        "temperature": 0.9,
        "top_k": 5,
        "top_p": 0.0,
        "guidance": {"all": 3.0},
        "guidance_rescale": 0.0,
    }
    assert take.audio.shape == (1, 8000)
    longer = model.generate("slow piano", seconds=12, seed=3, plan="none")  # two windows, the second continues the first
    assert longer.audio.shape == (1, 96000)
    assert "musicgen" in anatomy.describe(tmp_path / "out") and "delays" in anatomy.describe(tmp_path / "out")
    with pytest.raises(ValueError, match="not sampled by steps; it knows guidance"):
        model.generate("slow piano", seconds=1, steps=4)


@pytest.mark.parametrize("kind", ["jasco", "musicgen"])
def test_a_system_told_by_t5_trains_loads_and_generates(recipe, tiny_t5, tmp_path, kind):
    text = recipe.read_text().replace(", words = 20", "")
    if kind == "musicgen":
        backbone = BACKBONE.replace('time = "adaln"', 'time = "none", causal = true')
        text = text.split("system =")[0] + TOKENS.format(backbone=backbone)
    path = tmp_path / "t5.toml"
    path.write_text(text)
    changes = ["system.words.kind=t5", f"system.words.model={tiny_t5}", "system.words.dim=24", "system.score=none"]
    assert run_recipe(path, [*changes, "train.steps=6"], tmp_path / "out", device="cpu").step == 6
    model = generation.load(tmp_path / "out")
    assert not [name for name in model.system.state_dict() if "encoder" in name]
    (slow, again, fast) = (
        model.generate(text, seconds=1, seed=3, plan="none", guidance=20.0) for text in ("slow", "slow", "fast")
    )  # the guidance, because six steps teach little
    assert torch.equal(slow.audio, again.audio) and not torch.equal(slow.audio, fast.audio)
    assert slow.record["unknown"] == []
    assert "conditioners.text" in anatomy.describe(tmp_path / "out")
    with pytest.raises(ValueError, match=r"data\.words is the size"):
        run_recipe(path, [*changes, "data.words=5"], tmp_path / "other", device="cpu")


def test_a_t5_that_lacks_is_told_before_anything_is_written(recipe, tmp_path):
    path = tmp_path / "t5.toml"
    path.write_text(recipe.read_text().replace(", words = 20", ""))
    changes = ["system.words.kind=t5", f"system.words.model={tmp_path}", "system.words.dim=24"]
    with pytest.raises(ValueError, match="holds no T5"):
        run_recipe(path, changes, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_frames_become_normal_by_one_mean_and_deviation_or_by_each_channels_own(recipe, tmp_path):
    """What was taken when training began is saved in the checkpoint, and `encode` has noted it in the cache."""
    latents = recipe.parent / "latents"
    noted = json.loads((latents / "info.json").read_text())
    run_recipe(recipe, ["train.steps=1", "samples=0", "data.normalise=whole"], tmp_path / "whole", device="cpu")
    run_recipe(recipe, ["train.steps=1", "samples=0"], tmp_path / "channels", device="cpu")
    whole, channels = (checkpoint.load(tmp_path / name).system for name in ("whole", "channels"))
    for name in ("mean", "std"):
        torch.testing.assert_close(whole.get_buffer(name), torch.full_like(whole.get_buffer(name), noted[name]))
        assert channels.get_buffer(name).unique().numel() > 1


def test_a_normalisation_that_would_be_ignored_is_refused(recipe, token_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"data\.normalise is for continuous frames, .* leave it out\.$"):
        run_recipe(token_recipe, ["data.normalise=whole"], tmp_path / "out", device="cpu")
    with pytest.raises(ValueError, match=r"data\.weight_power weighs channels of continuous frames"):
        run_recipe(token_recipe, ["data.weight_power=0"], tmp_path / "out", device="cpu")
    codec = EncodecConfig.tiny().build().eval()
    checkpoint.save(tmp_path / "codec", codec, checkpoint.codec_manifest(codec.config, codec))
    encode(recipe.parent / "corpus", codec, tmp_path / "latents", paint)
    changes = [f"codec={tmp_path / 'codec'}", f"data.folder={tmp_path / 'latents'}", "data.normalise=whole"]
    with pytest.raises(ValueError, match=r'normalise = "whole" has one; leave it out\.$'):
        run_recipe(recipe, [*changes, "data.weight_power=2"], tmp_path / "out", device="cpu")


RECIPES = Path(__file__).parent.parent / "recipes"


@pytest.mark.parametrize("name", ["jasco-small", "musicgen-small", "jasco-tiny-text", "musicgen-tiny-text"])
def test_recipes_of_the_pair_train_when_they_are_made_smaller(recipe, tiny_model, tiny_t5, tmp_path, name):
    """A run keeps the recipe as it is run, without its base: that file trains the same run on."""
    there = [f"codec={tiny_model / 'codec'}", f"data.folder={recipe.parent / 'latents'}", "data.crop_seconds=1"]
    size = ["system.backbone.width=32", "system.backbone.depth=3", "system.backbone.heads=2"]
    size += ["system.delays=[0,1]"] * ("musicgen" in name)
    size += [f"system.words.model={tiny_t5}", "system.words.dim=24"] * ("small" in name)
    short = ["train.batch_size=2", "train.valid_batches=1", "samples=1"]
    changes = [*there, *size, *short]
    assert run_recipe(RECIPES / f"{name}.toml", [*changes, "train.steps=1"], tmp_path / "out", device="cpu").step == 1
    kept = tmp_path / "out" / "train" / "recipe.json"
    assert "base" not in json.loads(kept.read_text()) and json.loads(kept.read_text())["name"] == name
    shutil.copy(kept, tmp_path / "kept.json")
    assert run_recipe(tmp_path / "kept.json", ["train.steps=2"], tmp_path / "out", device="cpu").step == 2
    assert checkpoint.load(tmp_path / "out").capability.conditions == ("text",)


@pytest.mark.parametrize("kind", [EncodecConfig, VaeConfig])
def test_a_system_over_another_codec_takes_it_along(recipe, token_recipe, tmp_path, kind):
    torch.manual_seed(0)
    codec = kind.tiny().build().eval()
    checkpoint.save(tmp_path / "codec", codec, checkpoint.codec_manifest(codec.config, codec))
    encode(recipe.parent / "corpus", codec, tmp_path / "latents", paint)
    changes = [f"codec={tmp_path / 'codec'}", f"data.folder={tmp_path / 'latents'}", "train.steps=1", "samples=0"]
    run_recipe(recipe, changes, tmp_path / "out", device="cpu")
    loaded = checkpoint.load(tmp_path / "out")
    assert loaded.codec.spec == codec.spec and loaded.system.spec.rate == 200
    assert f'config.kind = "{codec.config.kind}"' in anatomy.describe(tmp_path / "codec")
    if not codec.spec.levels:
        assert not (tmp_path / "latents" / "tokens.npy").exists()
        with pytest.raises(ValueError, match=r"^'.*codec' has no tokens to learn; name a codec that has them, .*\.$") as error:
            run_recipe(token_recipe, changes, tmp_path / "tokens", device="cpu")
        assert "\n" not in str(error.value) and not (tmp_path / "tokens").exists()


def test_a_codec_whose_frames_do_not_fit_the_system_is_told_in_a_sentence(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "here")
    codec = EncodecConfig.tiny().build()
    checkpoint.save(folder / "codec", codec, checkpoint.codec_manifest(codec.config, codec))
    with pytest.raises(
        ValueError, match=r"was made for frames Spec\(.*, but its codec 'codec' makes .*; use its own codec\.$"
    ) as error:
        checkpoint.load(folder)
    assert "\n" not in str(error.value)


def weights_of(out: Path) -> list[bytes | dict[str, torch.Tensor]]:
    """What a run leaves: its checkpoint as bytes, and its state's tensors."""
    return [(out / "model.safetensors").read_bytes(), torch.load(out / "train" / "state.pt", weights_only=True)["system"]]


def same(a: Path, b: Path) -> bool:
    (one, state), (other, others) = weights_of(a), weights_of(b)
    return one == other and state.keys() == others.keys() and all(torch.equal(state[name], others[name]) for name in state)


KILL = Path(__file__).parent.parent / "benchmarks" / "kill.py"


def test_killed_ten_times_and_resumed_is_never_killed(recipe, token_recipe, tmp_path):
    """Flow, then autoregression: five kills each while it saves and at random times; weights, state and log are compared."""
    for path in (recipe, token_recipe):
        changes = ["train.steps=40", "train.save_every=2", "samples=0", "train.valid_every=13"]
        command = [sys.executable, str(KILL), str(path), *changes, "-o", str(tmp_path / path.stem), "--kills", "5"]
        done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("is saved") == 5 and "equal to the bit" in done.stdout
        lines = [json.loads(line) for line in (tmp_path / path.stem / "killed-0/train/log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "loss" in line] == list(range(1, 41))


@contextlib.contextmanager
def no_more_than(room: int, folder: Path, mounted: bool) -> Iterator[None]:
    """While the block runs there is room for so many more bytes in `folder`, or (not `mounted`) for files of that size."""
    if mounted:
        ballast, free = folder / "ballast", shutil.disk_usage(folder).free
        ballast.write_bytes(bytes(free - room))
        yield
        ballast.unlink()
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(params=["a file that may not grow", "a full file system"])
def disk(request, tmp_path) -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "a file that may not grow":
        yield folder, False
        return
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("only root may mount")
    yield folder, True
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_while_saving_leaves_the_last_checkpoint_whole(recipe, disk, tmp_path, capsys):
    """First there is no room for the model; then for the model, but not for the state."""
    (folder, mounted), out = disk, disk[0] / "run"
    command = ["train", str(recipe), "train.threads=1", "samples=0", "train.save_every=5", "--device", "cpu", "-o", str(out)]
    assert cli.run([*command, "train.steps=5"]) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    files = {path.relative_to(out).as_posix() for path in before}
    model, kept = ((out / name).stat().st_size for name in ("model.safetensors", "train/state.pt"))
    for room in (model - 10_000, model + 20_000):
        assert 40_000 < room < kept - 40_000
        capsys.readouterr()
        with no_more_than(room, folder, mounted):
            assert cli.run([*command, "train.steps=20"]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert re.search(r"cannot be written \((File too large|No space left on device)\); .* make room there\.$", said)
        assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == files
        assert (out / "train" / "state.pt").read_bytes() == before[out / "train" / "state.pt"]
        assert checkpoint.load(out).manifest.weights
        assert ((out / "model.safetensors").read_bytes() == before[out / "model.safetensors"]) == (room < model)
    assert cli.run([*command, "train.steps=20"]) == 0
    run_recipe(recipe, ["train.threads=1", "samples=0", "train.save_every=5"], tmp_path / "straight", device="cpu")
    assert same(tmp_path / "straight", out)


def test_files_that_were_cut_short_are_one_sentence_each(recipe, tmp_path, capsys):
    """Whatever a crash of the machine or a broken copy leaves of a run."""
    train = ["train", str(recipe), "train.steps=2", "samples=0", "--device", "cpu", "-o", str(tmp_path)]
    generate = ["generate", "piano", "--seconds", "1", "--model", str(tmp_path), "-o", str(tmp_path / "a.wav")]
    assert cli.run(train) == 0
    weights = "is damaged or belongs to another config.json; fetch or save the checkpoint again"
    settings = "is not valid JSON: .+; fetch or save the checkpoint again"
    cuts = [
        (generate, "model.safetensors", weights),
        (generate, "config.json", settings),
        (
            generate,
            "codec/model.safetensors",
            "is damaged or belongs to another config.json; fetch or save the checkpoint again",
        ),
        (train, "config.json", settings),
        (train, "train/state.pt", "is damaged or unreadable; bring back a copy of it, or delete it to start anew"),
        (train, "train/recipe.json", "is damaged or unreadable; bring back a copy of it, or delete it and call again"),
    ]
    for command, name, sentence in cuts:
        whole = (tmp_path / name).read_bytes()
        for size in (len(whole) // 2, 0):
            (tmp_path / name).write_bytes(whole[:size])
            capsys.readouterr()
            assert cli.run(command) == 2
            said = capsys.readouterr().err.splitlines()
            assert re.search(rf"{name} {sentence}\.$", said[-1]) and not any("Traceback" in line for line in said)
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "train" / "recipe.json").unlink()
    assert cli.run(train) == cli.run(generate) == 0


def test_what_a_newer_version_wrote_says_so(recipe, codec_recipe, tmp_path):
    for path in (recipe, codec_recipe):
        newer = tmp_path / "newer.toml"
        newer.write_text('format = 2\nnovelty = "unheard of"\n' + path.read_text())
        with pytest.raises(ValueError, match=r"newer\.toml was written for a newer .* .format 2; .*: upgrade counterpoint\.$"):
            run_recipe(newer, [], tmp_path / "out", device="cpu")
        newer.write_text("format = 1\n" + path.read_text())
        assert run_recipe(newer, ["train.steps=1", "samples=0"], tmp_path / path.stem, device="cpu").done
    manifest = tmp_path / "tiny" / "config.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 3, "novelty": 1}))
    with pytest.raises(ValueError, match=r"config\.json was written for a newer .* .format 3; .*: upgrade counterpoint\.$"):
        checkpoint.load(tmp_path / "tiny")


def test_a_run_goes_on_as_it_began(recipe, tmp_path):
    """A longer run is the same run; another learning rate or batch would not be heard of, so it is refused."""
    run_recipe(recipe, ["train.steps=2", "samples=0"], tmp_path, device="cpu")
    for change in ("optim.lr=1e-4", "optim.betas=[0.5,0.6]", "train.batch_size=2", "train.seed=9", "system.drop_all=0.5"):
        with pytest.raises(ValueError, match=rf"begun with {change.split('=')[0]} = .+ train elsewhere"):
            run_recipe(recipe, [change, "samples=0"], tmp_path, device="cpu")
    assert run_recipe(recipe, ["train.steps=3", "train.log_every=2", "samples=0"], tmp_path, device="cpu").step == 3


def test_a_run_says_its_name_and_what_it_learns_from(recipe, tmp_path):
    console = Console(file=io.StringIO(), width=400)
    run_recipe(recipe, ["train.steps=1", "samples=0", "name=Fido"], tmp_path, device="cpu", console=console)
    first = console.file.getvalue().splitlines()[0]
    assert re.fullmatch(rf"Fido: 0\.\d\d million parameters learn from 4 clips, in {tmp_path}\.", first)


def test_the_wrong_codec_and_misspelt_keys_are_named(recipe, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        run_recipe(recipe, ["train.step=3"], tmp_path)
    with pytest.raises(ValueError, match="There is no model"):
        run_recipe(recipe, ["codec=jungle"], tmp_path)
    with pytest.raises(ValueError, match="not a cache"):
        run_recipe(recipe, [f"data.folder='{tmp_path}'"], tmp_path)


CODEC = """
name = "tiny"
samples = 1
codec = {{ kind = "spectral", {sizes} }}
data = {{ folders = ['{folder}'], crop_seconds = 1.0 }}
optim = {{ warmup_steps = 2 }}
train = {{ steps = 4, batch_size = 2, log_every = 1, valid_batches = 1, save_every = 2 }}
"""


@pytest.fixture(scope="module")
def codec_recipe(recipe: Path) -> Path:
    sizes = ", ".join(f"{name} = {value}" for name, value in SpectralConfig.tiny().model_dump(exclude={"kind"}).items())
    path = recipe.parent / "codec.toml"
    path.write_text(CODEC.format(folder=recipe.parent / "corpus", sizes=sizes))
    return path


def test_a_codec_is_trained_from_its_closed_form(codec_recipe, tmp_path):
    path = codec_recipe
    run_recipe(path, ["train.steps=2"], tmp_path / "out", device="cpu")
    assert run_recipe(path, [], tmp_path / "out", device="cpu").step == 4
    codec = checkpoint.load_codec(tmp_path / "out")
    average = torch.load(tmp_path / "out" / "train" / "state.pt", weights_only=True)["ema"]["average"]
    for name, parameter in codec.named_parameters():
        assert torch.equal(parameter, average[f"codec.{name}"])
    names = {path.name for path in (tmp_path / "out/train/samples/0000004").iterdir()}
    assert names == {"0-original.wav", "0-frames.wav", "0-tokens.wav"}
    with pytest.raises(ValueError, match="train into another folder"):
        run_recipe(path, ["codec.levels=2"], tmp_path / "out", device="cpu")


ENCODEC = """
name = "tiny"
samples = 1
codec = {{ kind = "encodec", {sizes} }}
objective = {{ windows = [256, 64], width = 4, alone = 1 }}
data = {{ folders = ['{folder}'], crop_seconds = 0.5 }}
optim = {{ betas = [0.5, 0.9], schedule = "constant", warmup_steps = 0, clip = 1e9 }}
train = {{ steps = 4, batch_size = 2, log_every = 1, valid_batches = 1, save_every = 2 }}
"""


VAE = ENCODEC.replace("[256, 64]", "[256, 64], stft = 0, wave = 1").replace('"encodec"', '"vae"')


@pytest.fixture(scope="module")
def vae_recipe(recipe: Path) -> Path:
    told = VaeConfig.tiny().model_dump(exclude={"kind", "compat"})
    sizes = ", ".join(f"{name} = {list(value) if isinstance(value, tuple) else value}" for name, value in told.items())
    path = recipe.parent / "vae.toml"
    path.write_text(VAE.format(folder=recipe.parent / "corpus", sizes=sizes))
    return path


def test_a_vae_is_trained_by_the_command_and_goes_on(vae_recipe, tmp_path):
    begin = ["train", str(vae_recipe), "-o", str(tmp_path), "--device", "cpu"]
    assert cli.run([*begin, "train.steps=2"]) == 0
    assert cli.run(begin) == 0
    average = torch.load(tmp_path / "train" / "state.pt", weights_only=True)["ema"]["average"]
    for name, parameter in checkpoint.load_codec(tmp_path).named_parameters():
        assert torch.equal(parameter, average[f"codec.{name}"])
    assert {path.name for path in (tmp_path / "train/samples/0000004").iterdir()} == {"0-original.wav", "0-frames.wav"}
    with pytest.raises(ValueError, match=r"has no closed form to fit, so data\.fit_clips would be ignored"):
        run_recipe(vae_recipe, ["data.fit_clips=4"], tmp_path / "other", device="cpu")


@pytest.fixture(scope="module")
def encodec_recipe(recipe: Path) -> Path:
    told = EncodecConfig.tiny().model_dump(exclude={"kind", "pad", "shortcut", "causal", "ratios"})
    sizes = ", ".join([*(f"{name} = {value}" for name, value in told.items()), "ratios = [5, 4, 2]"])
    path = recipe.parent / "encodec.toml"
    path.write_text(ENCODEC.format(folder=recipe.parent / "corpus", sizes=sizes))
    return path


def test_encodec_is_trained_by_the_command_and_goes_on(encodec_recipe, tmp_path):
    begin = ["train", str(encodec_recipe), "-o", str(tmp_path), "--device", "cpu"]
    assert cli.run([*begin, "train.steps=2"]) == 0
    half = checkpoint.load_codec(tmp_path)
    assert cli.run(begin) == 0
    codec = checkpoint.load_codec(tmp_path)
    average = torch.load(tmp_path / "train" / "state.pt", weights_only=True)["ema"]["average"]
    for name, parameter in codec.named_parameters():
        assert torch.equal(parameter, average[f"codec.{name}"])
    assert not torch.equal(codec.token_state()["books.0.codes"], half.token_state()["books.0.codes"])
    samples = tmp_path / "train/samples/0000004"
    assert {path.name for path in samples.iterdir()} == {"0-original.wav", "0-frames.wav", "0-tokens.wav"}
    assert soundfile.info(samples / "0-tokens.wav").frames == 4000
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors", "train"}


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("data.fit_clips=9", r"no closed form to fit, so data\.fit_clips would be ignored; leave it out"),
        ("objective.kind=spectral", r"there is no setting 'objective\.windows'; known here: augment"),
        ("objective.widht=8", "did you mean 'width'"),
        ("codec.kind=mp3", "codec: .*'spectral', 'encodec'"),
        ("data.crop_seconds=0.1", r"800 samples are shorter .* raise data\.crop_seconds"),
    ],
)
def test_what_does_not_fit_encodec_is_named(encodec_recipe, tmp_path, change, hint):
    with pytest.raises(ValueError, match=hint):
        run_recipe(encodec_recipe, [change], tmp_path / "out", device="cpu")


def test_an_objective_for_another_codec_is_refused(codec_recipe, tmp_path):
    with pytest.raises(ValueError, match="objective 'codecgan' does not train a codec 'spectral'"):
        run_recipe(codec_recipe, ["objective.kind=codecgan"], tmp_path / "out", device="cpu")


class Killed(BaseException):
    """Stands for SIGKILL: nothing answers it."""


def test_a_codec_killed_while_its_checkpoint_was_replaced_goes_on(codec_recipe, tmp_path, monkeypatch):
    changes = ["train.threads=1", "samples=0"]
    run_recipe(codec_recipe, changes, tmp_path / "straight", device="cpu")
    broken, replace, replaced = tmp_path / "broken", os.replace, []

    def kill_in_between(source: Path, target: Path) -> None:
        if Path(target).parent == broken and (broken / "train" / "state.pt").exists():
            replaced.append(target)
            if len(replaced) == 2:
                raise Killed
        replace(source, target)

    torch.manual_seed(99)  # a process of its own starts elsewhere
    monkeypatch.setattr(os, "replace", kill_in_between)
    with pytest.raises(Killed):
        run_recipe(codec_recipe, changes, broken, device="cpu")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="belongs to another"):
        checkpoint.load_codec(broken)
    closed = checkpoint.load_codec(broken / "train" / "start")
    run_recipe(codec_recipe, changes, broken, device="cpu")
    assert same(tmp_path / "straight", broken)
    assert checkpoint.load_codec(broken).frame_state()["basis"].equal(closed.frame_state()["basis"])


def test_a_codec_run_that_kept_no_closed_form_goes_on(codec_recipe, tmp_path):
    changes = ["train.threads=1", "samples=0"]
    run_recipe(codec_recipe, changes, tmp_path / "straight", device="cpu")
    run_recipe(codec_recipe, [*changes, "train.steps=2"], tmp_path / "older", device="cpu")
    (tmp_path / "older" / "train" / "start").rename(tmp_path / "elsewhere")
    assert run_recipe(codec_recipe, changes, tmp_path / "older", device="cpu").step == 4
    for name in ("centre", "basis", "spread"):
        one, other = (checkpoint.load_codec(tmp_path / run).get_buffer(name) for run in ("straight", "older"))
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("steps=1", r"no setting 'steps'; did you mean train\.steps or system\.sampling\.steps\?$"),
        ("system.backbone.heads=0", r"system\.backbone\.heads: must be at least 1, not 0"),
        ("trian.steps=1", r"no setting 'trian\.steps'; did you mean train\.steps\?$"),
        ("optim.lr=fast", r"tiny\.toml: optim\.lr: .* number, not 'fast'; mend the recipe, or the changes to it\.$"),
    ],
)
def test_changes_that_cannot_be_say_what_to_write(recipe, tmp_path, change, hint):
    with pytest.raises(ValueError, match=hint):
        run_recipe(recipe, [change], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_another_kind_of_model_is_left_as_it_is(recipe, codec_recipe, tmp_path):
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    run_recipe(recipe, ["train.steps=1", "samples=0"], tmp_path / "system", device="cpu")
    run_recipe(codec_recipe, ["train.steps=1", "samples=0"], tmp_path / "codec", device="cpu")
    before = content()
    for path, out in ((recipe, "codec"), (codec_recipe, "system")):
        with pytest.raises(ValueError, match="train into another folder"):
            run_recipe(path, ["train.steps=1", "samples=0"], tmp_path / out, device="cpu")
    assert content() == before


def test_fitting_is_announced_with_what_it_leaves(codec_recipe, tmp_path):
    console = Console(file=io.StringIO(), width=80)
    run_recipe(codec_recipe, ["train.steps=1", "samples=0"], tmp_path, device="cpu", console=console)
    assert console.file.getvalue().splitlines()[0] == "tiny: fitting on 4 clips comes first; nothing is saved before."


def test_an_interrupted_fit_does_not_speak_of_a_saved_state(codec_recipe, tmp_path, monkeypatch, capsys):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("counterpoint.recipe.codec.fit", interrupt)
    assert cli.run(["train", str(codec_recipe), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "stopped; no step is saved yet; the same command begins anew"
    assert not (tmp_path / "out").exists()


DISTILLED = """
name = "fast"
start = '{start}'
samples = 1
objective = {{ target = "fd", guidance = {{ all = 2.0 }} }}
sampling = {{ steps = 2, guidance = {{ all = 1.0 }} }}
data = {{ folder = '{folder}', crop_seconds = 1.0 }}
optim = {{ lr = 3e-3, warmup_steps = 5, ema_decay = 0.9 }}
train = {{ steps = 8, batch_size = 4, log_every = 1, valid_batches = 2, save_every = 4 }}
"""


@pytest.fixture(scope="module")
def distilled_recipe(recipe: Path) -> Path:
    run_recipe(recipe, ["train.steps=5"], recipe.parent / "teacher", device="cpu")
    path = recipe.parent / "fast.toml"
    path.write_text(DISTILLED.format(start=recipe.parent / "teacher", folder=recipe.parent / "latents"))
    return path


def test_a_flow_model_is_distilled_by_the_same_doors(distilled_recipe, tmp_path):
    teacher = checkpoint.load(distilled_recipe.parent / "teacher")
    assert run_recipe(distilled_recipe, [], tmp_path / "whole", device="cpu").step == 8
    run_recipe(distilled_recipe, ["train.steps=4"], tmp_path / "parts", device="cpu")
    assert (tmp_path / "parts" / "config.json").is_file()
    loaded = checkpoint.load(tmp_path / "whole")
    assert loaded.config.distilled.guidance == {"all": 2.0} and loaded.config.sampling.steps == 2
    assert loaded.config.words == teacher.config.words
    theirs, ours = teacher.system.state_dict(), loaded.system.state_dict()
    assert theirs.keys() < ours.keys() and torch.equal(theirs["mean"], ours["mean"])
    assert not torch.equal(theirs["out.weight"], ours["out.weight"])
    assert soundfile.info(tmp_path / "whole/train/samples/0000008/0.wav").frames == 8000
    assert generation.load(tmp_path / "whole").generate("slow piano", seconds=1).record["sampling"]["steps"] == 2
    assert "backbone.ahead" in "".join(ours) and "distilled" in anatomy.describe(tmp_path / "whole")


def test_a_distillation_that_goes_on_was_never_stopped(distilled_recipe, tmp_path):
    constant = ["optim.schedule=constant"]
    run_recipe(distilled_recipe, constant, tmp_path / "whole", device="cpu")
    for steps in (4, 8):
        run_recipe(distilled_recipe, [*constant, f"train.steps={steps}"], tmp_path / "parts", device="cpu")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts")]
    assert weights[0] == weights[1]


def test_what_cannot_be_distilled_is_told_before_anything_is_written(recipe, token_recipe, distilled_recipe, tmp_path):
    run_recipe(token_recipe, ["train.steps=1"], recipe.parent / "tokens", device="cpu")
    run_recipe(distilled_recipe, ["train.steps=1"], recipe.parent / "fast", device="cpu")
    for start, message in (
        (recipe.parent / "tokens", "only a flow model"),
        (recipe.parent / "fast", "distilled already"),
        ("jasco-tiny", "was encoded by another codec than 'jasco-tiny'"),
    ):
        with pytest.raises(ValueError, match=message):
            run_recipe(distilled_recipe, [f"start={start}"], tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()
    for change, message in (
        ("train.compile=true", 'the target "jvp" differentiates'),
        ("objective.guidance.chords=2", "'chords'"),
    ):
        with pytest.raises(ValueError, match=message):
            run_recipe(distilled_recipe, ["objective.target=jvp", change], tmp_path / "out", device="cpu")
        assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="Guidance names 'scor'"):
        run_recipe(distilled_recipe, ["sampling.guidance={scor = 2.0}"], tmp_path / "out", device="cpu")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match=r"was begun with objective\.guidance = {'all': 2\.0}, not"):
        run_recipe(distilled_recipe, ["objective.guidance.text=2"], recipe.parent / "fast", device="cpu")
    with pytest.raises(ValueError, match="did you mean 'target'"):
        run_recipe(distilled_recipe, ["objective.targt=fd"], tmp_path / "out", device="cpu")
    alone = ["system.distilled={guidance = {all = 1.0}}", "system.backbone.spans=true"]
    with pytest.raises(ValueError, match="learnt from a teacher; name it in a recipe with start"):
        run_recipe(recipe, alone, tmp_path / "out", device="cpu")
