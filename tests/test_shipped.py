"""The models in the package: small, whole, described, and heard to do what they are told (librosa judges)."""

import re
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

import counterpoint
from counterpoint import audio
from counterpoint.generation import Model
from counterpoint.hub import checkpoint

NAMES = ("ear-tiny", "jasco-tiny", "musicgen-tiny", "score-tiny", "spectral-tiny")


GENERATORS = ("jasco-tiny", "musicgen-tiny")


@pytest.fixture(scope="module", params=GENERATORS)
def model(request: pytest.FixtureRequest) -> Model:
    torch.set_num_threads(1)
    return counterpoint.load(request.param)


def test_they_are_small():
    files = [file for name in NAMES for file in checkpoint.locate(name).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 40 * 10**6


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_card_with_data_recipe_and_figures(name):
    card = (checkpoint.locate(name) / checkpoint.CARD).read_text(encoding="utf-8")
    for word in ("## Data", "## Training", "## Held-out figures", "benchmarks/", "Apache-2.0", "commit"):
        assert word in card
    figures = card.split("## Held-out figures")[1].split("\n## ")[0]
    rows = [line for line in figures.splitlines() if line.startswith("|") and re.search(r"\d\.\d", line)]
    assert len(rows) >= 3, "a table of measured figures"
    if name in GENERATORS:
        assert {"plan", "words"} <= {row.split("|")[1].strip() for row in rows}, "with a plan and without"


def test_same_request_same_bytes(model, tmp_path):
    files = [model.generate("a folk tune with banjo", seconds=2, seed=5).save(tmp_path / f"{i}.wav") for i in range(2)]
    assert Path(files[0]).read_bytes() == Path(files[1]).read_bytes()


@pytest.mark.parametrize("prompt", ["house, 124 bpm, in A minor", "a rock song, 100 bpm, in G major"])
def test_the_beat_that_was_asked_for_is_heard(model, prompt):
    take = model.generate(prompt, seconds=10, seed=1)
    asked = float(prompt.split(" bpm")[0].split()[-1])
    audio = librosa.resample(take.audio.mean(0).numpy(), orig_sr=take.sample_rate, target_sr=22050)
    envelope = librosa.onset.onset_strength(y=audio, sr=22050, hop_length=256)
    heard = float(np.atleast_1d(librosa.feature.tempo(onset_envelope=envelope, sr=22050, hop_length=256))[0])
    assert min(abs(heard / asked / factor - 1) for factor in (0.5, 1.0, 2.0)) < 0.06


def test_without_a_plan_there_is_still_sound(model):
    take = model.generate("a slow ambient pad", seconds=3, plan="none")
    assert take.score is None and take.audio.abs().max() > 0.05 and take.record["summary"] == "none"


def test_it_is_streamed_as_it_is_made_whole(model, monkeypatch):
    """But for mastering: a stream has one gain and a limiter (takes.Stream)."""
    stream = model.stream("a folk tune with banjo", seconds=3, seed=5)
    streamed = torch.cat(list(stream), dim=-1)
    monkeypatch.setattr(audio, "master", lambda sound, rate: sound)
    whole = model.generate("a folk tune with banjo", seconds=3, seed=5).audio
    expected = audio.limit(whole * 10 ** (stream.record["gain"] / 20), stream.sample_rate, -1.0)
    torch.testing.assert_close(streamed, expected, atol=1e-3, rtol=0)


def test_longer_than_a_window_has_no_hole(model):
    """Fourteen seconds are two windows: the level around their seam is the level of the piece."""
    take = model.generate("funk, 110 bpm", seconds=14, seed=2)
    level = take.audio[0].unfold(0, 16000, 16000).square().mean(-1).sqrt()
    assert level.min() > 0.1 * level.median()
