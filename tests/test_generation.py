"""From a request to music, and checkpoints: what is promised of seeds, windows, plans, loudness, records, and folders."""

import base64
import io
import json
import math
import os
import re
import runpy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoint
from counterpoint import audio, cli, destination, midi, planning, request, sampler, takes
from counterpoint import windows as windows_of
from counterpoint.codecs.spectral import Spectral
from counterpoint.generation import Model
from counterpoint.hub import checkpoint, location
from counterpoint.request import Settings
from counterpoint.systems.jasco import Distilled, Jasco, JascoConfig
from counterpoint.types import Canvas

PROMPT = "a slow piano piece in A minor, 100 bpm"


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return counterpoint.load(tiny_model)


def test_a_take(model: Model) -> None:
    take = model.generate(PROMPT, seconds=2, seed=5)
    assert take.audio.shape == (1, 2 * 8000) and take.sample_rate == 8000 and take.seed == 5
    assert take.score is not None and take.score.key.name == "A minor" and take.score.seconds == 2
    record = take.record
    assert (record["prompt"], record["seed"], record["seconds"], record["sampling"]["steps"]) == (PROMPT, 5, 2, 4)
    assert record["version"] == counterpoint.__version__ and "key: A minor" in record["plan"] and record["unknown"] == []
    json.dumps(record)


def test_a_take_is_short_to_look_at_and_begins_and_ends_softly(model: Model) -> None:
    take = model.generate("piano " * 100, seconds=1, seed=5)
    assert repr(take).endswith(" ...', 1 seconds, seed 5, tiny)") and len(repr(take)) < 110
    assert (take.audio[:, [0, -1]] == 0).all() and take.audio.abs().max() > 0.01


def test_the_seed_decides(model: Model) -> None:
    first, again, other = (model.generate(PROMPT, seconds=1, seed=seed).audio for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_the_prompt_and_the_plan_are_heard(model: Model) -> None:
    plain, words, planned = (
        model.generate(text, seconds=1, plan=plan).audio
        for text, plan in (("piano", "none"), ("slow", "none"), ("piano", "auto"))
    )
    assert not torch.allclose(plain, words) and not torch.allclose(plain, planned)


def test_item_alone_equals_item_of_many(model: Model) -> None:
    takes = list(model.takes(request.read({"text": PROMPT, "seconds": 1, "seed": 8, "count": 3})))
    assert [take.seed for take in takes] == [8, 9, 10]
    assert torch.equal(takes[2].audio, model.generate(PROMPT, seconds=1, seed=10).audio)


def test_steps_and_guidance_are_obeyed(model: Model) -> None:
    default, more, free = (
        model.generate(PROMPT, seconds=1, steps=steps, guidance=guidance)
        for steps, guidance in ((None, None), (9, None), (None, {"text": 2, "score": 0.5}))
    )
    assert more.record["sampling"]["steps"] == 9 and free.record["sampling"]["guidance"] == {"text": 2, "score": 0.5}
    assert not torch.allclose(default.audio, more.audio) and not torch.allclose(default.audio, free.audio)
    assert torch.equal(default.audio, model.generate(PROMPT, seconds=1, steps=4, guidance=1.5).audio)


@pytest.mark.parametrize(
    "asked",
    [
        {"solver": "midpoint"}, {"schedule": "sway"}, {"solver": "dopri5", "tolerance": 0.5},
        {"guidance": "text=2,score=0.5"}, {"guidance_interval": "0.3:1"}, {"guidance_rescale": 0.7},
        {"guidance": "text=1", "guidance_interval": "0.3:1"},
    ],
)  # fmt: skip
def test_how_a_flow_is_followed_is_heard_and_told(model: Model, asked: Settings) -> None:
    take = model.generate(PROMPT, seconds=1, **asked)
    assert not torch.allclose(take.audio, model.generate(PROMPT, seconds=1).audio)
    told = request.read({"text": PROMPT, **asked}).model_dump(mode="json", include=set(asked))
    assert told.keys() == asked.keys() and told.items() <= take.record["sampling"].items()
    assert model.stream(PROMPT, seconds=1, **asked).record["sampling"] == take.record["sampling"]


def test_a_pair_is_an_interval_and_a_finer_tolerance_is_another_sound(model: Model) -> None:
    pair, text = (model.generate(PROMPT, seconds=1, guidance_interval=ends).audio for ends in ((0.3, 1), "0.3:1"))
    assert torch.equal(pair, text)
    coarse, fine = (model.generate(PROMPT, seconds=1, solver="dopri5", tolerance=e).audio for e in (0.5, 1e-4))
    assert not torch.equal(coarse, fine)


def test_misspelt_settings_are_told_apart_from_right_ones(model: Model) -> None:
    for call in (model.generate, model.stream):
        with pytest.raises(
            ValueError, match=r"There is no setting 'stepz' \(did you mean 'steps'\?\); known here: steps, solver"
        ):
            call(PROMPT, stepz=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="no setting 'count'"):
        model.generate(PROMPT, count=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "asked", "told"),
    [
        (
            "tiny",
            {"tolerance": 0.1},
            "tolerance is that of dopri5, but tiny takes the steps of euler; ask for the solver dopri5, too.",
        ),
        ("tiny", {"tolerance": 0.1, "solver": "rk4"}, "but tiny takes the steps of rk4"),
        ("tiny", {"steps": 3, "solver": "dopri5"}, "steps does nothing with dopri5"),
        ("tiny", {"schedule": "sway", "solver": "dopri5"}, "schedule does nothing with dopri5"),
        ("tiny", {"guidance": 1, "guidance_rescale": 0.5}, "guidance of 1 leaves tiny unguided"),
        ("tiny", {"guidance": "text+score=1", "guidance_interval": (0, 0.5)}, "guidance of 1 leaves tiny unguided"),
        (
            "tiny",
            {"guidance": "text=1", "guidance_rescale": 0.5},
            "guidance_rescale does nothing, as guidance text=1 is a sing",
        ),
        ("tiny", {"guidance": 0, "guidance_rescale": 0.5}, "guidance_rescale does nothing, as guidance 0 is a single"),
        (
            "tiny",
            {"guidance": {"melody": 2}},
            "Guidance names 'melody', which this model is not told; it knows all, text, score.",
        ),
        ("tiny-ar", {"solver": "heun"}, "tiny-ar is not sampled by solver; it knows guidance, guidance_rescale, temperature, "),
        ("tiny-ar", {"guidance_interval": (0, 0.5)}, "tiny-ar is not sampled by guidance_interval"),
        ("tiny-fast", {"solver": "heun"}, "is distilled and takes its own steps, not those of heun; ask for steps alone."),
        ("tiny-fast", {"solver": "dopri5", "tolerance": 0.1}, "takes its own steps, not those of dopri5"),
        ("tiny-fast", {"guidance_interval": (0, 0.5)}, "leaves tiny-fast unguided; ask for guidance, too."),
    ],
)
def test_settings_that_would_be_ignored_are_refused(
    tiny_family: dict[str, Path], name: str, asked: Settings, told: str
) -> None:
    model = counterpoint.load(tiny_family[name])
    for call in (model.generate, model.stream):
        with pytest.raises(ValueError) as error:
            call(PROMPT, seconds=1, **asked)
        assert told in str(error.value) and "\n" not in str(error.value)


def test_a_distilled_model_is_guided_anew_with_a_warning(
    tiny_family: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    model = counterpoint.load(tiny_family["tiny-fast"])
    plain = model.generate(PROMPT, seconds=1, steps=3, schedule="sway", solver="euler", guidance=1)
    assert not caplog.messages and plain.record["note"] == ""
    asked = request.read({"text": PROMPT, "seconds": 1, "guidance": 2, "count": 2})
    (guided, _) = model.takes(asked)
    said = (
        "tiny-fast is distilled, and guidance 3 is part of its every step; "
        "guidance 2, as asked for, is applied on top of it and costs a second evaluation a step"
    )
    assert caplog.messages == [f"{said}."], "once, not for each piece"
    assert guided.record["note"] == said and not torch.allclose(guided.audio, plain.audio)
    take = model.generate(PROMPT, seconds=1, guidance="text=2,score=4")
    assert "costs 3 evaluations a step instead of one" in take.record["note"]
    for table, ending in {
        "text+score=2": "applied on top of it and costs a second evaluation a step",
        "text=1": "guidance text=1, as asked for, is applied on top of it",
        "0": "guidance 0, as asked for, is applied on top of it",
        "text+score=1": "",
    }.items():
        note = model.generate(PROMPT, seconds=1, guidance=table).record["note"]
        assert note.endswith(ending) and bool(note) == bool(ending)


def test_loudness_and_peak(model: Model) -> None:
    take = model.generate(PROMPT, seconds=3)
    heard = take.audio[0].double().numpy()
    level = pyloudnorm.Meter(8000).integrated_loudness(heard)
    peak = 20 * math.log10(np.abs(scipy.signal.resample_poly(heard, 8, 1)).max())
    assert peak <= -0.9
    assert level == pytest.approx(-16, abs=0.3)


def test_progress_counts_every_step(model: Model) -> None:
    heard: list[tuple[int, int]] = []
    asked = request.read({"text": PROMPT, "seconds": 12, "count": 2})
    list(model.takes(asked, lambda done, total: heard.append((done, total))))
    assert heard == [(i, 16) for i in range(1, 17)], "2 pieces of 2 windows of 4 steps"


@settings(deadline=None)
@given(frames=st.integers(1, 3000), window=st.integers(4, 400))
def test_windows_cover_the_canvas(frames: int, window: int) -> None:
    windows = windows_of.evenly(frames, window)
    assert windows[0].start == 0 and windows[-1].stop == frames
    assert len({part.stop - part.start for part in windows}) == 1 and windows[0].stop <= window
    assert all(a.start < b.start < a.stop < b.stop for a, b in pairwise(windows))


@pytest.mark.parametrize("seconds", [10.04, 15, 19.96, 24, 37, 600])
def test_every_window_after_the_first_is_given_a_quarter_of_itself(seconds: float) -> None:
    """The last one, too, however little music is left for it."""
    windows = windows_of.evenly(round(seconds * 25), 250)
    shares = [(before.stop - after.start) / (after.stop - after.start) for before, after in pairwise(windows)]
    assert shares and all(share == pytest.approx(windows_of.OVERLAP, abs=0.02) for share in shares)


def test_a_long_piece_goes_on_from_what_is_there(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    canvases: list[tuple[Canvas, torch.Tensor]] = []
    fill = Jasco.generate

    def watched(self: Jasco, canvas: Canvas, *rest: object) -> torch.Tensor:
        made = fill(self, canvas, *rest)
        canvases.append((canvas, made))
        return made

    monkeypatch.setattr(Jasco, "generate", watched)
    take = model.generate("a waltz", seconds=24)
    assert take.audio.shape[-1] == 24 * 8000
    assert [canvas.given.shape[1] for canvas, _ in canvases] == [240, 240, 240]
    assert not canvases[0][0].given.any()
    for (_, before), (canvas, made) in pairwise(canvases):
        overlap = int(canvas.given.sum())
        assert overlap == 60 and torch.equal(canvas.frames[:, :overlap], before[:, -overlap:])
        assert torch.equal(made[:, :overlap], before[:, -overlap:])


def test_a_model_that_cannot_go_on_says_so(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.system, "tasks", ("generate",))
    with pytest.raises(ValueError, match="at most 10 seconds"):
        model.generate(PROMPT, seconds=11)


def test_a_model_that_cannot_follow_a_plan_says_so(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.system, "conditions", ("text",))
    with pytest.raises(ValueError, match="cannot follow a plan"):
        model.generate(PROMPT, plan=tmp_path / "plan.mid")


def test_words_that_nobody_knows_are_named(model: Model) -> None:
    assert model.generate("a zorbly piano", seconds=1).record["unknown"] == ["zorbly"]
    assert model.generate("a zorbly piano", seconds=1, plan="none").record["unknown"] == ["zorbly"]
    assert model.generate("slow " * 64 + "piano", seconds=1, plan="none").record["unknown"] == ["piano"], (
        "beyond the longest prompt"
    )


def test_without_a_plan(model: Model) -> None:
    take = model.generate("piano", seconds=1, plan="none")
    assert take.score is None and take.record["plan"] == "none"


def test_a_midi_plan_is_played_as_it_is(model: Model, tmp_path: Path) -> None:
    score = planning.make(PROMPT, 3.0, seed=1).score
    midi.write(score, tmp_path / "plan.mid")
    take = model.generate("anything", plan=tmp_path / "plan.mid")
    assert take.score is not None and take.score.seconds == pytest.approx(3.0, abs=0.05)
    wanted = [note.pitch for track in score.tracks for note in track.notes]
    assert [note.pitch for track in take.score.tracks for note in track.notes] == wanted
    shorter = model.generate("anything", plan=tmp_path / "plan.mid", seconds=1.5)
    assert shorter.score is not None and all(n.end <= 1.5 for track in shorter.score.tracks for n in track.notes)


def test_a_plan_of_another_length_than_asked_is_cut_or_followed_by_silence_and_that_is_said(
    model: Model, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.mid"
    midi.write(planning.make(PROMPT, 3.0, seed=1).score, plan)
    length = midi.read(plan).seconds
    for seconds, word in ((1.5, "cut"), (5.0, "silence")):
        take = model.generate("anything", plan=plan, seconds=seconds)
        assert take.audio.shape[-1] == seconds * 8000 and take.score is not None and take.score.seconds == seconds
        assert word in take.record["note"] and f"{length:g} s" in take.record["note"]
    for agreed in (model.generate("anything", plan=plan), model.generate(PROMPT, seconds=1)):
        assert agreed.record["note"] == ""


def test_words_that_a_plan_overrides_are_told(model: Model, tmp_path: Path) -> None:
    midi.write(planning.make("a waltz in C major, 90 bpm", 3.0, seed=1).score, tmp_path / "plan.mid")
    take = model.generate("techno in A minor", plan=tmp_path / "plan.mid", seconds=1)
    assert take.record["note"] == (
        "the plan of 3 s is cut, as 1 s are asked for; the plan overrides the words: style waltz, key C major"
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"guidance": math.nan}, "Guidance must be a number or a table such as text=3,score=2, not nan."),
        ({"seconds": math.nan}, "The duration must be a number of seconds, for example 10, not nan."),
        ({"temperature": "hot"}, "The temperature must be a number from 0 to 5, not 'hot'."),
    ],
)
def test_what_is_no_number_is_told(asked: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError) as error:
        request.read({"text": PROMPT, **asked})
    assert str(error.value) == told


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("techno in F# minor", "techno-in-f-sharp-minor"), ("C♯m, Bb major", "c-sharp-m-b-flat-major"), ("E♭", "e-flat"),
        ("Ebm waltz", "e-flat-m-waltz"), ("abba in D", "abba-in-d"), ("F#", "f-sharp"),
    ],
)  # fmt: skip
def test_names_of_files_tell_sharps_and_flats(prompt: str, name: str) -> None:
    assert destination.slug(prompt) == name


def test_a_device_is_not_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for output in ("pipe", "sound.wav"):
        with pytest.raises(ValueError, match="is a device"):
            destination.audio_file(PROMPT, str(tmp_path / output), None, 0, 1)
        if output == "pipe":
            (tmp_path / "pipe").rename(tmp_path / "sound.wav")


@pytest.mark.parametrize("chart", ["plan.mid", "chart", "./plan.mid"])
def test_a_chart_does_not_replace_the_plan(
    chart: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["plan", "jazz", "-o", "plan.mid", "--chart", chart]) == 2
    assert "end in .txt" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("seconds", "message"), [(700.0, r"at most 600 seconds, not the 700.* of the plan"), (0.3, "at least")]
)
def test_the_length_of_a_plan_is_checked_too(model: Model, tmp_path: Path, seconds: float, message: str) -> None:
    plan = tmp_path / "plan.mid"
    score = planning.make(PROMPT, 4.0, seed=1).score
    midi.write(planning.trim(score, seconds) if seconds < 4 else replace(score, seconds=seconds), plan)
    with pytest.raises(ValueError, match=message):
        model.generate("anything", plan=plan)
    assert model.generate("anything", plan=plan, seconds=1).audio.shape[-1] == 8000


def test_guidance_by_what_is_not_told_is_refused(model: Model) -> None:
    for weights in ({"score": 3.0}, {"all": 1.0, "text+score": 2.0}):
        with pytest.raises(ValueError, match="'score', which is not told"):
            model.generate(PROMPT, seconds=1, plan="none", guidance=weights)
    model.generate(PROMPT, seconds=1, plan="none", guidance={"text": 3.0, "score": 0.0})


def test_a_chart_rules_and_the_prompt_fills_in(tmp_path: Path) -> None:
    (tmp_path / "chart.txt").write_text("key: D major\n\n| D | G | A7 | D |\n")
    made = planning.make("a fast waltz", 6.0, 0, str(tmp_path / "chart.txt")).score
    assert made.key.name == "D major" and made.style == "waltz"
    assert [span.chord.name for span in made.chords[:3] if span.chord] == ["D", "G", "A7"]


def test_saving_and_playing(model: Model, tmp_path: Path) -> None:
    take = model.generate(PROMPT, seconds=1)
    assert take.save(tmp_path / "take.flac") == tmp_path / "take.flac"
    assert audio.read_tags(tmp_path / "take.flac")["title"] == PROMPT
    match = re.search(
        r'src="data:audio/wav;base64,([^"]+)"', replace(take, record={**take.record, "prompt": "<b>"})._repr_html_()
    )
    assert match is not None
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(match[1])))
    assert rate == 8000 and len(samples) == 8000
    assert "<b>" not in replace(take, record={**take.record, "prompt": "<b>"})._repr_html_()


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_any_reader_finds_prompt_seed_model_and_version(model: Model, tmp_path: Path, suffix: str) -> None:
    take = model.generate(PROMPT, seconds=37, seed=11, steps=1)
    with soundfile.SoundFile(take.save(tmp_path / f"take.{suffix}")) as file:
        found = file.copy_metadata()
    assert found["title"] == PROMPT and found["artist"] == "tiny"
    assert found["software"].startswith(f"counterpoint {counterpoint.__version__}, seed 11")
    record = json.loads(found["comment"])
    record.pop("score", None)  # which a wav file holds beside its comment
    assert record == {name: take.record[name] for name in takes.TAGGED if name in take.record}
    assert (record["prompt"], record["seed"], record["model"], record["version"]) == (
        PROMPT,
        11,
        "tiny",
        counterpoint.__version__,
    )


def test_not_a_number_is_not_saved(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Spectral, "decode", lambda self, frames, samples=None: torch.full((1, 1, frames.shape[1] * self.hop), torch.nan)
    )
    with pytest.raises(ValueError, match="no sound"):
        model.generate(PROMPT, seconds=1)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40), seconds=st.floats() | st.integers(), seed=st.integers())
def test_a_request_is_right_or_one_sentence(text: str, seconds: float, seed: int) -> None:
    try:
        asked = request.read({"text": text, "seconds": seconds, "seed": seed})
    except ValueError as error:
        assert "\n" not in str(error) and str(error).endswith(".") and "Value error" not in str(error)
    else:
        assert 0.5 <= (asked.seconds or 10) <= 600 and asked.seed >= 0 and asked.text.strip()


def test_checkpoints_come_back_as_they_were(model: Model, tiny_model: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(tiny_model)
    checkpoint.save(tmp_path / "copy", loaded.system, loaded.manifest)
    assert (tmp_path / "copy" / checkpoint.WEIGHTS).read_bytes() == (tiny_model / checkpoint.WEIGHTS).read_bytes()
    assert (tmp_path / "copy" / checkpoint.CONFIG).read_bytes() == (tiny_model / checkpoint.CONFIG).read_bytes()
    assert not [path for path in (tmp_path / "copy").iterdir() if path.name.endswith(".part")]


def test_half_precision_is_stored_and_cast_back(tiny_model: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(tiny_model)
    checkpoint.save(tmp_path, loaded.system, loaded.manifest, bits=16)
    (tmp_path / "codec").symlink_to(tiny_model / "codec")
    half = checkpoint.load(tmp_path)
    assert (tmp_path / checkpoint.WEIGHTS).stat().st_size < 0.6 * (tiny_model / checkpoint.WEIGHTS).stat().st_size
    for name, weight in half.system.state_dict().items():
        assert weight.dtype == loaded.system.state_dict()[name].dtype
        torch.testing.assert_close(weight, loaded.system.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_an_interrupted_save_keeps_the_old_one(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = checkpoint.load(tiny_model)
    checkpoint.save(tmp_path, loaded.system, loaded.manifest)
    before = (tmp_path / checkpoint.WEIGHTS).read_bytes()
    write, calls = Path.write_bytes, []

    def stopping(self: Path, data: bytes) -> int:
        calls.append(self)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", stopping)
    loaded.system.get_buffer("mean").add_(1)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, loaded.system, loaded.manifest)
    assert (tmp_path / checkpoint.WEIGHTS).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {checkpoint.WEIGHTS, checkpoint.CONFIG}


def test_what_16_bits_cannot_hold_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(tiny_model)
    loaded.system.get_buffer("std")[0] = 1e5
    with pytest.raises(ValueError, match="std holds 100000, which 16-bit floats cannot"):
        checkpoint.save(tmp_path / "half", loaded.system, loaded.manifest, bits=16)
    assert not (tmp_path / "half").exists()
    checkpoint.save(tmp_path / "whole", loaded.system, loaded.manifest)


def test_a_system_ships_with_the_codec_of_its_frames_only(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship = runpy.run_path(str(Path(__file__).parent.parent / "recipes" / "ship.py"))["ship"]
    monkeypatch.setattr(location, "_shipped_folder", lambda: tmp_path)
    checkpoint.save(tmp_path / "own", checkpoint.load_codec(tiny_model), checkpoint.read_manifest(tiny_model / "codec"))
    other = checkpoint.load_codec(tiny_model)
    other.get_buffer("mean").add_(0.01)
    checkpoint.save(tmp_path / "other", other, checkpoint.read_manifest(tiny_model / "codec"))
    for codec, message in ((None, "name its codec"), ("nobody", "own or other|other or own"), ("other", "another encoder")):
        with pytest.raises(ValueError, match=message):
            ship(tiny_model, tmp_path / "shipped", codec)
    with pytest.raises(ValueError, match="leave out --codec"):
        ship(tiny_model / "codec", tmp_path / "shipped", "own")
    with pytest.raises(ValueError, match=r"is a codec, .*--bits 16"):
        ship(tiny_model / "codec", tmp_path / "shipped", None, bits=8)
    assert not (tmp_path / "shipped").exists()
    ship(tiny_model, tmp_path / "shipped", "own")
    whole = checkpoint.load("shipped")
    (tmp_path / "shipped" / checkpoint.CARD).write_text("# Shipped\n")
    ship(tmp_path / "shipped", tmp_path / "shipped", "own", bits=8)  # what ships is packed anew, and keeps its card
    packed = checkpoint.load("shipped")
    assert packed.manifest.model_copy(update={"weights": ""}) == whole.manifest.model_copy(update={"weights": ""})
    assert packed.manifest.codec == "own" and packed.version != whole.version
    assert (tmp_path / "shipped" / checkpoint.CARD).read_text() == "# Shipped\n"


def test_only_what_was_typed_is_fetched(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(location, "fetch", lambda name, revision=None: asked.append(name) or tiny_model)
    manifest = checkpoint.read_manifest(tiny_model).model_copy(update={"codec": "somebody/codec"})
    checkpoint.save(tmp_path, checkpoint.load(tiny_model).system, manifest)
    with pytest.raises(ValueError, match="somebody/codec"):
        checkpoint.load(tmp_path)
    for stranger in ("one", "/no/such/folder", "a/b/c", "../up", "https://x/y"):
        with pytest.raises(ValueError, match="There is no model"):
            checkpoint.load(stranger)
    assert asked == []
    assert checkpoint.load("owner/name").name == "name" and asked == ["owner/name"]


def test_near_names_are_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "shipped", lambda: ["jasco-tiny", "spectral-tiny"])
    with pytest.raises(ValueError, match="Did you mean 'jasco-tiny'"):
        checkpoint.load("jazco-tiny")


def test_leaps_that_a_distilled_model_has_not_learnt_are_told(tiny_family: dict[str, Path]) -> None:
    config = checkpoint.load(tiny_family["tiny-fast"]).config
    assert isinstance(config, JascoConfig)
    knows = config.model_copy(update={"distilled": Distilled(guidance={"all": 3.0}, shortest=1 / 8, longest=1 / 4)})
    for leaps, quiet in (
        ({"steps": 4}, True), ({"steps": 8}, True), ({"steps": 6}, True),
        ({"steps": 2}, False), ({"steps": 9}, False), ({"steps": 4, "schedule": "sway"}, False),
    ):  # fmt: skip
        said = sampler.caution("fast", knows, request.read({"text": PROMPT, **leaps}))
        assert said == ("" if quiet else "fast has not learnt leaps as these; it knows 4 to 8 steps of the schedule uniform")
