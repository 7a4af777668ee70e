"""From a corpus folder to a model that loads: encode, train a recipe, go on, load the checkpoint."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from counterpoint import annotation
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.conditioners.score import paint
from counterpoint.encoding import encode
from counterpoint.hub import checkpoint
from counterpoint.music import Chord, ChordSpan, Key, Metre, Note, Score, Track
from counterpoint.recipe import run_recipe

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


def test_it_goes_on_where_it_stopped(recipe, tmp_path):
    run_recipe(recipe, [], tmp_path / "straight", device="cpu")
    run_recipe(recipe, ["train.steps=10", "optim.schedule=constant"], tmp_path / "twice", device="cpu")
    run_recipe(recipe, [], tmp_path / "twice", device="cpu")
    steps = [json.loads(line)["step"] for line in (tmp_path / "twice/train/log.jsonl").read_text().splitlines()]
    assert steps[-1] == 20 and set(range(1, 21)) <= set(steps)


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


def test_a_codec_is_trained_from_its_closed_form(recipe, tmp_path):
    sizes = ", ".join(f"{name} = {value}" for name, value in SpectralConfig.tiny().model_dump(exclude={"kind"}).items())
    path = tmp_path / "codec.toml"
    path.write_text(CODEC.format(folder=recipe.parent / "corpus", sizes=sizes))
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
