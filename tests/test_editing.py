"""Given audio: it stays sample for sample, every system that can fills the gaps, and what cannot be is said."""

import contextlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import counterpoint
from counterpoint import amendment, audio, cli, editing, many, midi, parallel, planning, provenance, request, review, windows
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.data.corpus.synth import render
from counterpoint.editing import Task
from counterpoint.generation import Model
from counterpoint.hub import checkpoint
from counterpoint.music import Chord, Note
from counterpoint.paradigms.middle import gaps as gaps_of
from counterpoint.request import Request
from counterpoint.source import read_source
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.takes import Take

PROMPT = "a slow piano piece in A minor, 100 bpm"
SYSTEMS = ("tiny", "tiny-fast", "tiny-ar", "tiny-middle")
TASKS = {
    "continue": {"after": 0.7},
    "continue before": {"before": 0.5},
    "on either side": {"before": 0.3, "after": 0.4},
    "one span": {"spans": [(0.5, 1.0)]},
    "several spans": {"spans": ["0.9:1.3", "0.2:0.4"]},
    "a span, and on": {"spans": [(0.5, 1.0)], "after": 0.5},
    "the best of two": {"spans": [(0.5, 1.0)], "tries": 2},
    "a variation": {"strength": 0.4},
    "a variation of a span": {"strength": 0.4, "spans": [(0.5, 1.0)]},
    "a variation that keeps nothing": {"strength": 1.0},
    "a variation of a span that keeps nothing": {"strength": 1.0, "spans": [(0.5, 1.0)]},
}


@pytest.fixture(scope="module")
def models(tiny_family: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """One of every kind of system; "tiny-middle" fills gaps by fill-in-the-middle."""
    codec, config = checkpoint.load_codec(tiny_family["tiny"]), MusicgenConfig.tiny().model_copy(update={"middle": 0.5})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = config.build(codec.spec)
        torch.nn.init.normal_(system.out.weight, std=0.1)
    folder = tmp_path_factory.mktemp("middle") / "tiny-middle"
    checkpoint.save(folder, system, checkpoint.system_manifest(config, system, codec))
    (folder / "codec").symlink_to(tiny_family["tiny"] / "codec")
    return {name: counterpoint.load({**tiny_family, "tiny-middle": folder}[name]) for name in SYSTEMS}


@pytest.fixture(scope="module")
def take(models: dict[str, Model]) -> Take:
    return models["tiny"].generate(PROMPT, seconds=2, seed=5)


@pytest.fixture(scope="module")
def file(take: Take, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return take.save(tmp_path_factory.mktemp("takes") / "take.wav")


def asked(file: Path, **more: object) -> Request:
    return request.read({"text": PROMPT, "source": file, "seed": 3, **more})


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("task", TASKS)
def test_what_is_given_stays_to_the_bit_or_the_task_is_refused(
    models: dict[str, Model], file: Path, name: str, task: str, tmp_path: Path
) -> None:
    model, order = models[name], asked(file, count=2, **TASKS[task])
    kind = Task.of(order).kind
    if kind not in model.system.tasks or ("strength" in TASKS[task] and model.system.view == "tokens"):
        with pytest.raises(ValueError, match=f"^{name} (cannot|is not sampled by strength)[^.]*[.]$"):
            model.check(order)
        return
    first, second = model.takes(order)
    source, rate = read_source(file), 8000
    given = torch.zeros(first.audio.shape[-1], dtype=torch.bool)
    start = round(TASKS[task].get("before", 0) * rate)
    given[start : start + 2 * rate] = True
    for begin, end in first.record["made"]:
        given[round(begin * rate) : round(end * rate)] = False
    assert torch.equal(first.audio[:, given], source.audio[:, given[start : start + 2 * rate]])
    assert not torch.allclose(first.audio[:, ~given], second.audio[:, ~given])
    assert (first.seed, second.seed) == (3, 4) and torch.isfinite(first.audio).all() and first.audio[:, ~given].any()
    again = next(model.takes(asked(file, **TASKS[task]).model_copy(update={"seed": 4})))
    assert torch.equal(again.audio, second.audio)
    whole = soundfile.read(first.save(tmp_path / "made.wav"), dtype="int16")[0]
    before = soundfile.read(file, dtype="int16")[0]
    assert (whole[given.numpy()] == before[given[start : start + 2 * rate].numpy()]).all()


def test_zero_shot_is_a_method_of_flows_that_are_not_distilled(models: dict[str, Model], file: Path) -> None:
    own, led = (next(models["tiny"].takes(asked(file, spans=[(0.5, 1)], method=name))) for name in (None, "zero-shot"))
    assert led.record["method"] == "zero-shot" and not torch.equal(own.audio, led.audio)
    assert torch.equal(led.audio[:, :4000], own.audio[:, :4000])
    for name in ("tiny-fast", "tiny-ar", "tiny-middle"):
        with pytest.raises(ValueError, match=f"^{name} does not fill gaps by the method zero-shot; it knows"):
            models[name].check(asked(file, spans=[(0.5, 1)] if name != "tiny-ar" else (), after=1.0, method="zero-shot"))


@pytest.mark.parametrize("place", [{"after": 1.0}, {"spans": [(1.5, 2.0)]}, {"spans": [(1.5, 2.0)], "after": 0.5}])
def test_fill_in_middle_is_for_gaps_with_something_after_them(
    models: dict[str, Model], file: Path, place: dict[str, object]
) -> None:
    model = models["tiny-middle"]
    with pytest.raises(ValueError, match=r"^Nothing comes after what tiny-middle is to make, .* leave the method out[.]$"):
        model.check(asked(file, **place, method="fill-in-middle"))
    model.check(asked(file, **place))
    model.check(asked(file, **place, before=0.5, method="fill-in-middle"))
    model.check(asked(file, spans=[(0.5, 1)], method="fill-in-middle"))


@pytest.mark.parametrize("plan", ["auto", "none"])
def test_what_lies_in_a_span_is_never_heard(models: dict[str, Model], file: Path, tmp_path: Path, plan: str) -> None:
    sound, rate = audio.read(file)
    broken = sound.clone()
    broken[:, 4000:8000] = 0.9 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    one, other = (audio.write(tmp_path / f"{i}.wav", s, rate, encoding="PCM_16") for i, s in enumerate((sound, broken)))
    for name in ("tiny", "tiny-middle"):
        first, second = (next(models[name].takes(asked(path, spans=[(0.5, 1)], plan=plan))).audio for path in (one, other))
        assert torch.equal(first, second)


@pytest.mark.parametrize("encoding", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("rate", [8000, 11025])
def test_a_file_of_any_encoding_and_rate_keeps_its_samples(
    models: dict[str, Model], tmp_path: Path, encoding: str, rate: int
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 2 * rate)
    soundfile.write(tmp_path / "own.wav", noise, rate, encoding)
    before = soundfile.read(tmp_path / "own.wav", dtype="float64")[0]
    take = next(models["tiny"].takes(asked(tmp_path / "own.wav", spans=[(0.5, 1.003)], plan="none")))
    after, kept = soundfile.read(take.save(tmp_path / "made.wav"), dtype="float64")
    keep = np.r_[: round(0.5 * rate), round(1.003 * rate) : 2 * rate]
    assert kept == rate and soundfile.info(tmp_path / "made.wav").subtype == encoding and after.shape == before.shape
    assert (after[keep] == before[keep]).all() and not np.allclose(after, before)


def test_flac_keeps_24_bits_and_compressed_formats_are_given_as_they_are_decoded(
    models: dict[str, Model], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
    for name, kind in {"a.flac": "PCM_24", "a.ogg": "VORBIS"}.items():
        soundfile.write(tmp_path / name, noise, 8000, kind)
        take = next(models["tiny"].takes(asked(tmp_path / name, after=0.5, plan="none")))
        target = take.save(tmp_path / ("made.flac" if kind == "PCM_24" else "made.wav"))
        before, after = (soundfile.read(path, dtype="float32")[0] for path in (tmp_path / name, target))
        assert (after[:16000] == before).all()


LOSSES = {
    ("FLOAT", "made.wav"): "",
    ("PCM_24", "made.flac"): "",
    ("PCM_U8", "made.flac"): "",
    ("PCM_32", "made.flac"): ".flac rounds samples to 24 bits; write .wav to keep them",
    ("FLOAT", "made.flac"): ".flac rounds samples to 24 bits, and clips what is beyond full scale; write .wav to keep them",
    ("FLOAT", "made.ogg"): ".ogg changes every sample; write .wav to keep them",
    ("PCM_16", "made.mp3"): ".mp3 changes every sample; write .wav or .flac to keep them",
}


@pytest.mark.parametrize(("stored", "loss"), LOSSES.items(), ids=map(" ".join, LOSSES))
def test_it_is_said_where_a_file_cannot_keep_the_samples_and_the_report_is_of_the_file(
    stored: tuple[str, str],
    loss: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    encoding, name = stored
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 24000)
    noise[:200:50] = 1.5 if encoding == "FLOAT" else 0.5
    soundfile.write("own.wav", noise, 8000, encoding)
    order = ["inpaint", "own.wav", "piano", "--span", "1:1.5", "--plan", "none", "--model", str(tiny_model), "-o", name]
    assert cli.run([*order, "--report"]) == 0
    said = capsys.readouterr().out
    before, after = (soundfile.read(path, dtype="float64")[0] for path in ("own.wav", name))
    keep = np.r_[:8000, 12000:24000]
    assert (after[keep] == before[keep]).all() == (loss == "")
    assert said.count(loss or "all else is own.wav, sample for sample\n") == 1
    assert ("sample for sample" in said) == ("to the bit" in said) == (loss == "")
    kept = json.loads(Path(name).with_suffix(".report.json").read_text())["kept_db"]
    assert kept == 150 if loss == "" else kept < 149


def test_what_is_made_is_as_loud_as_what_is_given_beside_it(tiny_model: Path, file: Path) -> None:
    codec = checkpoint.load_codec(tiny_model)
    sound, rate = audio.read(file)
    made = []
    for gain in (1.0, 0.03):
        source = Take(gain * sound, rate, 0, {}, None, encoding="FLOAT").as_source()
        task = Task.of(request.read({"text": "piano", "source": source, "spans": [(0.4, 1.6)]}))
        loud = codec.encode(editing.Heard.of(task, codec).audio[None]) * 0 + codec.encode(2 * sound[None])
        made.append(editing.joined(task, loud, codec))
    torch.testing.assert_close(made[1], 0.03 * made[0], rtol=1e-3, atol=1e-5)
    given = torch.cat([made[0][:, :3200], made[0][:, 12800:]], 1)
    assert audio.loudness(made[0][:, 3200:12800], rate) == pytest.approx(audio.loudness(given, rate), abs=1)


def test_seams_do_not_click(models: dict[str, Model], tmp_path: Path) -> None:
    wave = 0.5 * torch.sin(2 * torch.pi * 110 * torch.arange(16000) / 8000)[None]
    path = audio.write(tmp_path / "sine.wav", wave, 8000, encoding="FLOAT")
    made = next(models["tiny"].takes(asked(path, spans=[(0.5021, 1.0)], plan="none"))).audio[0]
    steps = made.diff().abs()
    for seam in (round(0.5021 * 8000), 8000):
        assert steps[seam - 1] <= 1.5 * wave.diff().abs().max()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_fill_every_gap_and_hear_what_is_given(data: st.DataObject) -> None:
    frames, longest = data.draw(st.integers(1, 300)), data.draw(st.integers(10, 60))
    known = torch.zeros(frames, dtype=torch.bool)
    for start in data.draw(st.lists(st.integers(0, frames - 1), max_size=4)):
        known[start : start + data.draw(st.integers(1, 80))] = True
    if known.all():
        return
    some = bool(known.any())
    for window in windows.around(known, longest):
        assert 0 <= window.start < window.stop <= frames and window.stop - window.start <= longest
        assert not some or frames <= longest or known[window].any(), "each window has something to go on from"
        assert not known[window].all()
        known[window] = True
    assert known.all()


@pytest.mark.parametrize("seconds", [(10.0, 12.0), (0.0, 9.0)])
def test_long_additions_are_made_in_windows_that_overlap(
    models: dict[str, Model], file: Path, seconds: tuple[float, float]
) -> None:
    order = asked(file, before=seconds[0], after=seconds[1], steps=1, plan="none")
    task, codec = Task.of(order), models["tiny"].codec
    canvas = editing.canvas(task, codec, "continuous", 0)
    assert len(gaps_of(canvas.given[0])) == sum(part > 0 for part in seconds)
    take = next(models["tiny"].takes(order))
    assert take.audio.shape[-1] == round((2 + sum(seconds)) * 8000)
    parts = take.audio.unfold(1, 4000, 4000).square().mean(-1)
    assert (parts > 1e-8).all(), "no part is left out"


# Plans ----------------------------------------------------------------------------------------------------------------


def task_with(take: Take, **more: object) -> Task:
    return Task.of(request.read({"text": "piano", "source": take.as_source(), **more}))


@pytest.mark.parametrize("planner", ["rules", "score-tiny"])
def test_a_take_goes_on_in_its_key_and_tempo_over_its_chords(models: dict[str, Model], planner: str) -> None:
    take = models["tiny"].generate("a pop song in A minor, 120 bpm", seconds=8, seed=1, steps=1)
    score = take.score
    assert score is not None
    plan = amendment.make("music", task_with(take, before=4.0, after=8.0), 0, planner).score
    assert (plan.key, plan.bpm, plan.metre, plan.seconds) == (score.key, score.bpm, score.metre, 20.0)
    assert np.allclose(np.diff(plan.beats), 0.5, atol=1e-6) and plan.beats[0] == pytest.approx(0.0, abs=1e-6)
    assert set(np.round(score.downbeats, 6) + 4.0) <= set(np.round(plan.downbeats, 6))
    for track in score.tracks:
        own = plan.track(track.role)
        assert own is not None and own.program == track.program
        kept = [(round(n.start - 4, 6), n.pitch) for n in own.notes if 4 <= n.start < 12]
        assert kept == [(round(n.start, 6), n.pitch) for n in track.notes]
    new = [n for track in plan.tracks for n in track.notes if n.start < 4 or n.start >= 12]
    assert len(new) > 10 and min(n.start for n in new) < 2 and max(n.start for n in new) > 17
    if planner == "rules" and score.metre.name == "4/4":  # bars last 2 s

        def chord_at(time: float) -> object:
            return next(span.chord for span in plan.chords if span.start <= time + 0.1 < span.end)

        assert [chord_at(12 + 2 * bar) for bar in range(4)] == [chord_at(4 + 2 * bar) for bar in range(4)]


def test_a_span_of_a_take_is_played_anew_and_with_a_seed_of_its_plan_written_anew(take: Take) -> None:
    task = task_with(take, spans=[(0.5, 1.5)])
    assert amendment.make("piano", task, 0).score == take.score
    anew = amendment.make("piano", task, 11, anew=True).score
    assert anew != take.score and take.score is not None and anew.beats == pytest.approx(take.score.beats)


def test_a_planner_that_would_have_nothing_to_do_is_refused(models: dict[str, Model], take: Take, file: Path) -> None:
    with pytest.raises(ValueError, match="score-tiny has nothing to do; give a seed of the plan"):
        amendment.make("piano", task_with(take, spans=[(0.5, 1.5)]), 0, "score-tiny")
    with pytest.raises(ValueError, match="from which score-tiny cannot go on; leave the planner out"):
        amendment.make("piano", task_with(models["tiny"].generate("piano, 60 bpm", seconds=0.6), after=8.0), 0, "score-tiny")
    for more, what in (
        ({"planner": "score-tiny"}, "planner"),
        ({"plan_seed": 7}, "seed"),
        ({"chords": "F#"}, "chords would hold"),
    ):
        with pytest.raises(ValueError, match=what):
            asked(file, strength=0.5, **more)


def test_what_nobody_has_written_is_heard(models: dict[str, Model]) -> None:
    from counterpoint.planning import make

    score = make("a pop song in A minor, 120 bpm", 10, 2).score
    sound = torch.from_numpy(render(score, 16000)).float().mean(0, keepdim=True)
    played = Take(0.3 * sound / sound.abs().max(), 16000, 0, {}, None)
    plan = amendment.make("a pop song", task_with(played, after=8.0), 0)
    assert plan.score.bpm == pytest.approx(120, rel=0.01) and plan.score.key == score.key
    assert "what is heard" in plan.note
    assert any(n.start > 16 for track in plan.score.tracks for n in track.notes)
    gap = amendment.make("a pop song", task_with(played, spans=[(3.0, 5.5)]), 0).score
    assert gap.bpm == pytest.approx(120, rel=0.01) and gap.key == score.key
    assert any(3 <= n.start < 5.5 for track in gap.tracks for n in track.notes)
    silent = Take(torch.zeros(1, 16000), 16000, 0, {}, None)
    assert "nothing was heard" in amendment.make("a pop song", task_with(silent, after=2.0), 0).note


# Making it again ------------------------------------------------------------------------------------------------------


def test_tries_of_a_method_are_told_and_the_best_is_what_its_seed_and_strategy_make(
    models: dict[str, Model], take: Take
) -> None:
    made = models["tiny"].inpaint(take, [(0.5, 1.0)], PROMPT, plan="none", method="zero-shot", tries=3, seed=4)
    (chosen,) = made.record["chosen"]
    assert made.record["sampling"]["method"] == "zero-shot" and made.record["tries"] == len(chosen["tried"]) == 3
    assert len({one["strategy"] for one in chosen["tried"]}) > 1
    assert chosen["tried"][0]["seed"] == 4 and chosen["kept"] in range(3)
    again = models["tiny"].inpaint(take, [(0.5, 1.0)], PROMPT, plan="none", method="zero-shot", tries=3, seed=4)
    assert torch.equal(again.audio, made.audio)
    supervised = models["tiny"].inpaint(take, [(0.5, 1.0)], PROMPT, plan="none", seed=4)
    assert "chosen" not in supervised.record and not torch.equal(supervised.audio, made.audio)


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_a_take_is_made_again_from_its_file(models: dict[str, Model], tiny_model: Path, tmp_path: Path, suffix: str) -> None:
    take = models["tiny"].generate(PROMPT, seconds=1, seed=9, guidance=2, steps=3, chords="Am F", tempo=100)
    again = provenance.regenerate(take.save(tmp_path / f"take.{suffix}"), str(tiny_model))
    assert torch.equal(again.audio, take.audio) and again.score == take.score


def test_a_take_is_made_again_with_as_many_threads_as_it_was(
    models: dict[str, Model], tiny_model: Path, tmp_path: Path
) -> None:
    with parallel.threads_of_torch(2):
        take = models["tiny"].generate(PROMPT, seconds=1, seed=9)
    with parallel.threads_of_torch(1):
        again = provenance.regenerate(take.save(tmp_path / "take.wav"), str(tiny_model))
        assert torch.get_num_threads() == 1
    assert torch.equal(again.audio, take.audio) and again.record["made_on"]["threads"] == 2


ASKED_AGAIN = ["on either side", "several spans", "the best of two", *(task for task in TASKS if "variation" in task)]


@pytest.mark.parametrize("task", ASKED_AGAIN)
def test_what_went_on_from_given_audio_is_made_again_while_that_is_there(
    models: dict[str, Model], tiny_model: Path, file: Path, tmp_path: Path, task: str
) -> None:
    own = tmp_path / "own.wav"
    own.write_bytes(file.read_bytes())
    take = next(models["tiny"].takes(asked(own, **TASKS[task])))
    made = take.save(tmp_path / "made" / "made.wav")
    assert torch.equal(provenance.regenerate(made, str(tiny_model)).audio, take.audio)
    again = provenance.regenerate(made, str(tiny_model), source=file)  # another name and folder, the same samples
    assert torch.equal(again.audio, take.audio)
    another = provenance.retake(models["tiny"], made)
    assert another.seed == 4 and another.score == take.score and not torch.equal(another.audio, take.audio)
    own.unlink()
    with pytest.raises(ValueError, match=r"own\.wav, the audio that it was given, is gone; say where it is with --source\.$"):
        provenance.regenerate(made, str(tiny_model))
    audio.write(made.with_name("own.wav"), 0.5 * audio.read(file)[0], 8000)
    with pytest.raises(ValueError, match="has changed"):
        provenance.regenerate(made, str(tiny_model))


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.parametrize("edited", [False, True])
def test_what_went_on_from_a_take_is_made_again_from_its_file(
    models: dict[str, Model], tiny_model: Path, take: Take, tmp_path: Path, suffix: str, edited: bool
) -> None:
    given = models["tiny"].inpaint(take, [(0.5, 1.0)], PROMPT, seed=2) if edited else take
    longer = models["tiny"].go_on(given, PROMPT, seconds=0.5, seed=4)
    path, kept = longer.save(tmp_path / "longer.wav"), given.save(tmp_path / f"given.{suffix}")
    assert torch.equal(longer.audio, models["tiny"].go_on(kept, PROMPT, seconds=0.5, seed=4).audio), "as from its file"
    assert torch.equal(provenance.regenerate(path, str(tiny_model), source=kept).audio, longer.audio)
    with pytest.raises(ValueError, match=r"was no file; save that take as wav or flac and give the file with --source\.$"):
        provenance.regenerate(path, str(tiny_model))


@pytest.mark.parametrize("encoding", [None, *audio.EXACT])
def test_a_take_is_a_source_as_its_file_is(take: Take, tmp_path: Path, encoding: str | None) -> None:
    other = Take(1.5 * take.audio, take.sample_rate, 3, take.record, take.score, encoding=encoding)
    read, held = read_source(other.save(tmp_path / "take.wav")), other.as_source()
    assert (held.digest, held.encoding, held.sample_rate) == (read.digest, read.encoding, read.sample_rate)
    assert torch.equal(held.audio, read.audio) and held.audio.dtype == read.audio.dtype and held.score == read.score


def test_of_what_was_streamed_the_music_is_made_again(models: dict[str, Model], tiny_model: Path, tmp_path: Path) -> None:
    path = models["tiny"].stream(PROMPT, seconds=1, seed=6).save(tmp_path / "stream.wav")
    with pytest.raises(ValueError, match=r"stream\.wav was streamed, which is not .*; make its music with retake --seed 6\.$"):
        provenance.regenerate(path, str(tiny_model))
    again = provenance.retake(models["tiny"], path, seed=6)
    assert torch.equal(again.audio, models["tiny"].generate(PROMPT, seconds=1, seed=6).audio)


def test_what_was_made_beside_others_says_so(models: dict[str, Model], tiny_model: Path, tmp_path: Path) -> None:
    jobs = [models["tiny"].job(request.read({"text": PROMPT, "seconds": 1, "seed": seed}), seed) for seed in (1, 2, 3)]
    one = many.side_by_side(models["tiny"], jobs)[0]
    rounded = replace(one, record={**one.record, "sha256": "0" * 64})  # on some processors nothing is
    with pytest.raises(ValueError, match=r"than it was: made beside 2 others, it .* retake --seed 1 .* rounding\.$"):
        provenance.regenerate(rounded.save(tmp_path / "one.wav"), str(tiny_model))
    again = provenance.retake(models["tiny"], tmp_path / "one.wav", seed=1)
    torch.testing.assert_close(again.audio, one.audio, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["tune.mid", "songs/tune.mid"])
def test_files_of_controls_are_found_beside_the_take(
    models: dict[str, Model], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "songs", there):
        folder.mkdir(parents=True)
    midi.write(planning.make("a folk song with flute", 2.0, 1).score, here / name)
    monkeypatch.chdir(here)
    take = models["tiny"].generate("a song", seconds=1, melody=name)
    path = take.save(here / "take.wav")
    monkeypatch.chdir(there)
    assert torch.equal(provenance.regenerate(path, str(tiny_model)).audio, take.audio)
    varied = provenance.retake(models["tiny"], path, strength=0.5)
    assert varied.controls.melody == take.controls.melody and varied.score == take.score
    assert torch.equal(provenance.regenerate(varied.save(here / "varied.wav"), str(tiny_model)).audio, varied.audio)
    (here / name).rename(there / "moved.mid")
    told = r"tune\.mid, which it held on to, is gone; put it back, or beside the take\.$"
    for strength in (None, 0.5):
        with pytest.raises(ValueError, match=told):
            provenance.retake(models["tiny"], path, strength=strength)


def test_a_take_with_controls_given_as_values_is_made_again(models: dict[str, Model], tiny_model: Path, tmp_path: Path) -> None:
    held = {"chords": [(Chord.parse("Am/C"), 0.0), (None, 0.5)], "melody": [Note(0, 1, 60, 90)], "tempo": 100}
    take = models["tiny"].generate("a song", seconds=1, **held)
    assert torch.equal(provenance.regenerate(take.save(tmp_path / "take.wav"), str(tiny_model)).audio, take.audio)


def test_what_is_missing_is_said(
    models: dict[str, Model], tiny_model: Path, tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    steps = tmp_path / "steps.txt"
    steps.write_text("key: A minor\n| Am | F |\n")
    take = models["tiny"].generate(PROMPT, seconds=1, chords=str(steps))
    path = take.save(tmp_path / "take.wav")
    assert provenance.regenerate(path, str(tiny_model)).record["sha256"] == take.record["sha256"]
    with pytest.raises(ValueError, match=r"made with weights .* of tiny, and those here are"):
        provenance.regenerate(path, str(tiny_family["tiny-ar"]))
    with pytest.raises(ValueError, match=r"made by tiny, which is not here; give its folder with --model"):
        provenance.regenerate(path)
    steps.write_text("key: A minor\n| Am | G |\n")
    with pytest.raises(ValueError, match=r"steps\.txt, which it held on to, is changed"):
        provenance.regenerate(path, str(tiny_model))
    steps.unlink()
    with pytest.raises(ValueError, match=r"steps\.txt, which it held on to, is gone"):
        provenance.regenerate(path, str(tiny_model))
    bare = audio.write(tmp_path / "bare.wav", take.audio, 8000)
    with pytest.raises(ValueError, match="holds no record of how it was made"):
        provenance.regenerate(bare, str(tiny_model))
    other = {**take.record, "sha256": "0" * 64, "version": "0.0.9"}
    other.pop("files"), other.pop("controls")
    changed = Take(take.audio, 8000, 0, other, take.score).save(tmp_path / "other.wav")
    with pytest.raises(ValueError, match=r"came out otherwise than it was: version 0\.0\.9 made it"):
        provenance.regenerate(changed, str(tiny_model))


@pytest.mark.parametrize("edited", [True, False])
def test_damaged_tags_are_a_sentence(
    models: dict[str, Model], tiny_model: Path, file: Path, tmp_path: Path, edited: bool
) -> None:
    """Whatever is left out of a take's record, or stands there in its stead, what comes of it is a request or a ValueError."""
    chords = tmp_path / "chords.txt"
    chords.write_text("key: A minor\n| Am | F |\n")
    edit = asked(file, spans=[(0.5, 1.0)], method="zero-shot", tries=2, steps=1)
    order = edit if edited else request.read({"text": PROMPT, "seconds": 1, "chords": str(chords), "transpose": 12})
    take = next(models["tiny"].takes(order))
    tags = audio.read_tags(take.save(tmp_path / "take.wav"))
    record = json.loads(tags["comment"])
    damaged = [{name: value for name, value in record.items() if name != left_out} for left_out in record]
    damaged += [{**record, name: stranger} for stranger in (None, {"x": 1}) for name in record]
    for one in damaged:
        path = audio.write(tmp_path / "damaged.wav", take.audio, 8000, {**tags, "comment": json.dumps(one)})
        with contextlib.suppress(ValueError):
            provenance.another(models["tiny"], path)
        with contextlib.suppress(ValueError):
            provenance.another(models["tiny"], path, strength=0.5)
        if one.keys() != record.keys() or any(one[name] != record[name] for name in ("model", "weights", "version", "made_on")):
            with contextlib.suppress(ValueError):
                provenance.regenerate(path, str(tiny_model))


def test_a_retake_keeps_all_but_the_seed(models: dict[str, Model], take: Take) -> None:
    first, again = provenance.retake(models["tiny"], take), provenance.retake(models["tiny"], take, seed=take.seed)
    assert torch.equal(again.audio, take.audio) and first.seed == take.seed + 1
    assert not torch.equal(first.audio, take.audio)
    for name in ("prompt", "plan", "sampling", "seconds", "model"):
        assert first.record[name] == take.record[name]
    other = provenance.retake(models["tiny-ar"], take, text="fast piano")
    assert other.score == take.score and other.record["prompt"] == "fast piano"


@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_another_model_varies_a_variation_as_far(models: dict[str, Model], file: Path, tmp_path: Path, strength: float) -> None:
    varied = provenance.retake(models["tiny"], file, strength=strength).save(tmp_path / "varied.wav")
    other = provenance.retake(models["tiny-fast"], varied)
    assert other.record["sampling"]["strength"] == strength and other.record["source"]["file"] == str(file)


def test_less_strength_is_nearer_to_the_source(models: dict[str, Model], take: Take) -> None:
    near, far, whole = (provenance.retake(models["tiny"], take, strength=share).audio for share in (0.05, 0.5, 1.0))
    codec = models["tiny"].codec
    apart = [float((codec.encode(made[None]) - codec.encode(take.audio[None])).square().mean()) for made in (near, far, whole)]
    assert apart[0] < apart[1] < apart[2]


def test_a_variation_that_keeps_nothing_is_reviewed_as_one(models: dict[str, Model], file: Path) -> None:
    varied, filled = (next(models["tiny"].takes(asked(file, **task))) for task in ({"strength": 1.0}, {"spans": [(0.5, 1)]}))
    assert review.review(varied, read_source(file)).likeness is not None
    assert review.review(filled, read_source(file)).likeness is None


# Mistakes -------------------------------------------------------------------------------------------------------------


MISTAKES = [
    (["inpaint", "FILE", "piano", "--span", "1:03"], "looks like a clock's time .* such as 63:70"),
    (["inpaint", "FILE", "piano", "--span", "0.5:1", "--span", "0.9:1.2"], "spans 0.5:1 and 0.9:1.2 overlap"),
    (["inpaint", "FILE", "piano", "--span", "1:1"], "span 1:1 holds nothing"),
    (["inpaint", "FILE", "piano", "--span", "1.5:1"], "span 1.5:1 holds nothing"),
    (["inpaint", "FILE", "piano", "--span", "3"], "start and an end in seconds such as 3:8, not '3'"),
    (["inpaint", "FILE", "piano", "--span", "1:5"], "1:5 does not lie in .*take.wav, which is 2.00 s long"),
    (["inpaint", "FILE", "piano", "--span", "0:2"], "Nothing of .*take.wav would stay"),
    (["inpaint", "FILE", "piano", "--span", "0.02:1.99"], "Too little of .*take.wav stays"),
    (
        ["inpaint", "FILE", "piano", "--span", "0.5:1", "--method", "fill-in-middle"],
        "tiny does not fill gaps by the",
    ),
    (["inpaint", "FILE", "piano", "--span", "0.5:1", "--method", "magic"], "There is no method 'magic'"),
    (["inpaint", "FILE", "piano", "--span", "0.5:1", "--tries", "0"], "number of tries must be a whole number from 1 to 64"),
    (["inpaint", "FILE", "piano", "--span", "0.5:1", "--strength", "3"], "strength must lie between 0.01 and 1"),
    (["inpaint", "STEREO", "piano", "--span", "0.5:1"], "stereo.wav is stereo, and tiny makes mono; mix it to mono"),
    (["inpaint", "SHORT", "piano", "--span", "0.1:0.2"], "short.wav is 0.30 s long, too short to go on from"),
    (["continue", "MISSING", "piano"], "There is no audio file .*missing.wav"),
    (["continue", "FILE", "piano", "--seconds", "0"], "Nothing is to be made"),
    (["continue", "FILE", "piano", "--seconds", "700"], "must last from 0.1 to 600 seconds"),
    (["continue", "FILE", "piano", "--seconds", "599"], "tiny makes at most 600 seconds"),
    (["continue", "FILE", "piano", "-o", "FILE"], "take.wav is what is given, and would be lost"),
    (["retake", "FILE", "-o", "FILE"], "take.wav is what is given, and would be lost"),
    (["regenerate", "FILE", "-o", "FILE"], "take.wav is what is given, and would be lost"),
    (["retake", "STEREO"], "stereo.wav holds no record of how it was made"),
    (["retake", "STEREO", "--strength", "0.5"], "stereo.wav does not tell how it was made; describe its music in words"),
    (["regenerate", "STEREO"], "stereo.wav holds no record of how it was made"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES)
def test_mistakes_are_a_sentence_and_leave_nothing(
    words: list[str],
    told: str,
    file: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)
    own = tmp_path / "take.wav"
    own.write_bytes(file.read_bytes())
    soundfile.write(tmp_path / "stereo.wav", np.full((16000, 2), 0.1), 8000)
    soundfile.write(tmp_path / "short.wav", np.full(2400, 0.1), 8000)
    places = {
        "FILE": own,
        "STEREO": tmp_path / "stereo.wav",
        "SHORT": tmp_path / "short.wav",
        "MISSING": tmp_path / "missing.wav",
    }
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    line = [str(places.get(word, word)) for word in words]
    code = cli.run([*line, *(["--model", str(tiny_model)] if words[0] != "regenerate" else [])])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and re.search(told, error), error
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


OVERWRITTEN = {
    "what it was continued from": ["regenerate", "longer.wav", "-o", "own.wav"],
    "what it was continued from, beside it": ["regenerate", "on/longer.wav", "-o", "on/own.wav"],
    "what it was continued from, where it is now": ["regenerate", "longer.wav", "--source", "moved.wav", "-o", "moved.wav"],
    "what a take held on to": ["regenerate", "held.wav", "-o", "drums.wav"],
    "what another take holds on to": ["retake", "held.wav", "-o", "drums.wav"],
    "what a take holds on to beside it": ["regenerate", "on/held.wav", "-o", "on/drums.wav"],
    "a control": ["generate", "a pop song", "--tempo", "100", "--drums", "drums.wav", "-o", "drums.wav"],
    "a control, through a link": ["generate", "a pop song", "--drums", "link.wav", "-o", "drums.wav"],
    "a control of a stream": ["generate", "a pop song", "--drums", "drums.wav", "-o", "drums.wav", "--stream"],
    "a control of many": ["generate", "--prompts", "prompts.txt", "--drums", "0001-piano-0.wav", "-o", "."],
    "a control of a plan": ["plan", "a pop song", "--melody", "tune.mid", "-o", "tune.mid"],
    "chords of a chart": ["plan", "a pop song", "--chords", "chart.txt", "-o", "new.mid", "--chart", "chart.txt"],
    "what is analysed, as JSON": ["analyse", "moved.wav", "own.wav", "--json", "own.wav"],
    "what is analysed, as MIDI": ["analyse", "sound.mid", "--midi", "sound.mid"],
    "what is analysed, in a folder": ["analyse", "sound.mid", "--midi", "."],
    "what is analysed, drawn": ["analyse", "sound.png", "--picture", "sound.png"],
}


@pytest.fixture(scope="module")
def given_files(models: dict[str, Model], file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of takes, and of what they were made from."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "on").mkdir()
    for name in ("own.wav", "moved.wav", "on/own.wav"):
        (folder / name).write_bytes(file.read_bytes())
    score = planning.make("a pop song, 100 bpm", 4, 1).score
    midi.write(score, folder / "tune.mid")
    audio.write(folder / "drums.wav", torch.from_numpy(render(score, 16000, 1)), 16000)
    for name in ("0001-piano-0.wav", "sound.mid", "sound.png"):
        (folder / name).write_bytes((folder / "drums.wav").read_bytes())
    (folder / "link.wav").symlink_to("drums.wav")
    (folder / "prompts.txt").write_text("piano\n")
    (folder / "chart.txt").write_text("| Am | F |\n")
    with contextlib.chdir(folder):
        longer = models["tiny"].go_on("own.wav", PROMPT, seconds=0.5)
        longer.save("longer.wav"), longer.save("on/longer.wav")
        models["tiny"].generate("a pop song", seconds=1, tempo=100, drums="drums.wav").save("held.wav")
    for name in ("held.wav", "drums.wav"):
        shutil.copy(folder / name, folder / "on")
    return folder


@pytest.mark.parametrize("words", OVERWRITTEN.values(), ids=OVERWRITTEN)
def test_what_is_given_is_never_written_over(
    words: list[str],
    given_files: Path,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(shutil.copytree(given_files, tmp_path / "given", symlinks=True))
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    model = ["--model", str(tiny_model)] if words[0] not in ("analyse", "plan") else []
    assert cli.run([*words, *model]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is what is given, and would be lost; let --" in error, error
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["spans", "before", "strength", "method", "tries"])
def test_nothing_is_asked_of_audio_that_is_not_given(name: str) -> None:
    values = {"spans": [(1, 2)], "before": 3.0, "strength": 0.5, "method": "supervised", "tries": 3}
    with pytest.raises(ValueError, match=f"There is no audio that {name} could be about"):
        request.read({"text": "piano", name: values[name]})


def test_commands_write_files_and_reports(
    file: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ["--model", str(tiny_model)]
    assert cli.run(["inpaint", str(file), PROMPT, "--span", "1:1.5", "--tries", "2", "-o", "best.wav", *model]) == 0
    assert re.search(r"tries: [12] of 2 is kept, by match, adherence: 0\.\d+, 0\.\d+\n", capsys.readouterr().out)
    assert cli.run(["continue", str(file), PROMPT, "--seconds", "1", "-o", "on.wav", "--report", *model]) == 0
    assert cli.run(["inpaint", "on.wav", PROMPT, "--span", "1:1.5", "-o", "in.flac", "--report", *model]) == 0
    audio.write("song.wav", torch.from_numpy(render(planning.make("a pop song, 100 bpm", 4, 1).score, 8000, 1)), 8000)
    for name, strength in (("near", "0.05"), ("far", "0.95")):
        words = ["a pop song", "--strength", strength, "-o", f"{name}.wav", "--report"]
        assert cli.run(["retake", "song.wav", *words, *model]) == 0
    assert cli.run(["retake", "in.flac", "-o", "retake.wav", *model]) == 0
    assert cli.run(["regenerate", "retake.wav", "-o", "again.wav", *model]) == 0
    assert (tmp_path / "again.wav").read_bytes() == (tmp_path / "retake.wav").read_bytes()
    told = json.loads((tmp_path / "in.report.json").read_text())
    assert told["kept_db"] == 150 and [seam["seconds"] for seam in told["seams"]] == [1.0, 1.5] and told["made"] == [[1.0, 1.5]]
    assert len(json.loads((tmp_path / "on.report.json").read_text())["drift"]) == 1
    near, far = (json.loads((tmp_path / f"{name}.report.json").read_text())["likeness"] for name in ("near", "far"))
    assert near["onsets"] > 0.7 > 0.3 > far["onsets"], "the tiny codec keeps strokes, but no pitches"


def test_the_codec_of_the_tests_hears_no_further_than_a_frame() -> None:
    config = SpectralConfig.tiny()
    assert config.size // 2 <= config.hop * config.stack  # else a frame beside a gap would hear it
