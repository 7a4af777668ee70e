"""The models in the package: small, whole, described, and heard to do what they are told (librosa judges)."""

import re
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

import counterpoint
from counterpoint import adherence, audio
from counterpoint.analysis.chroma import chroma
from counterpoint.generation import Model
from counterpoint.hub import checkpoint
from counterpoint.metrics.drift import Likeness, likeness
from counterpoint.metrics.take import Asked
from counterpoint.takes import Take

GENERATORS = ("jasco-tiny", "jasco-tiny-fast", "musicgen-tiny")
NAMES = ("ear-tiny", *GENERATORS, "score-tiny", "spectral-tiny")


@pytest.fixture(scope="module", params=GENERATORS)
def model(request: pytest.FixtureRequest) -> Model:
    torch.set_num_threads(1)
    return counterpoint.load(request.param)


def test_all_that_ship_are_tested():
    assert sorted(NAMES) == sorted(checkpoint.shipped())


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
    told = {line.split("|")[1].strip(): line for line in figures.splitlines() if line.startswith("|")}
    for row in ("plan", "words") if name in GENERATORS else ():
        assert re.search(r"\d\.\d|not measured", told[row]), "with a plan and without, or that it is not known"


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


def test_without_a_plan_chords_that_are_told_are_heard(model):
    """Beside chance: the chords of the other take, which shares none."""
    asked = ("| C | F | G |", "| Eb | Ab | Bb |")
    takes = [model.generate("a folk song", seconds=6, seed=1, plan="none", chords=chords, tempo=120) for chords in asked]
    assert all(take.score is None for take in takes)

    def heard(told: list[Take]) -> float:
        """The share of the music in which the chords that those takes were told are heard."""
        reports = [adherence.report(take, Asked(chords=other.controls.chords)) for take, other in zip(takes, told, strict=True)]
        return float(np.mean([aspect.score for report in reports for aspect in report.aspects]))

    assert heard(takes) > 0.6 and heard(takes[::-1]) < 0.1


def test_a_gap_is_filled_with_the_music_that_was_there(model):
    """Which is not heard: it is played again, from the take's notes; beside chance, the same music half a gap later."""
    prompt = "a pop song with piano, 120 bpm"
    take = model.generate(prompt, seconds=5, seed=3)
    rate, start, end = take.sample_rate, 2 * take.sample_rate, 3 * take.sample_rate
    broken = take.audio.clone()
    broken[:, start:end] = 0
    given = replace(take, audio=broken)
    made, kept = model.inpaint(given, [(2, 3)], prompt, seed=4).audio, given.as_source().audio
    assert torch.equal(made[:, :start], kept[:, :start]) and torch.equal(made[:, end:], kept[:, end:])
    alike = likeness(made[:, start:end], take.audio[:, start:end], rate, chroma)
    assert alike.chroma > 0.85 > 0.75 > alike.chance_chroma and alike.onsets > 0.8 > 0.75 > alike.chance_onsets
    assert abs(audio.loudness(made[:, start:end], rate) - audio.loudness(take.audio[:, start:end], rate)) < 3


def test_a_variation_keeps_as_much_of_its_source_as_is_asked():
    model, prompt = counterpoint.load("jasco-tiny"), "a pop song with piano, 120 bpm"
    source = model.generate(prompt, seconds=4, seed=3)

    def kept(strength: float) -> Likeness:
        varied = model.inpaint(source, [(0, 4)], "a rock song", plan="none", strength=strength)
        return likeness(varied.audio, source.audio, source.sample_rate, chroma)

    near, far = kept(0.05), kept(0.95)
    assert near.chroma > 0.9 > 0.7 > far.chroma and near.onsets > 0.9 > 0.5 > far.onsets


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
