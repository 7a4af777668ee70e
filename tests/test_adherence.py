"""What was asked beside what came out, and the best of several takes: by a stubbed ear, and once by the real one."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import counterpoint
from counterpoint import adherence, audio, cli, generation, planning
from counterpoint.analysis import hearing
from counterpoint.analysis.heard import Heard
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.generation import Model, Take
from counterpoint.hub import capabilities, checkpoint
from counterpoint.metrics.take import Asked
from counterpoint.music import Brief, Key
from counterpoint.request import Request

PROMPT = "a slow piano piece in A minor, 100 bpm"
Ear = Callable[[torch.Tensor, int], Heard]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Model:
    return counterpoint.load(tiny_model)


def heard(seconds: float, tempo: float = 100.0) -> Heard:
    return Heard(seconds, tempo, (), (), Key(9, "minor"), (), np.zeros(50, np.int16), {"any": ()})


@pytest.fixture
def tempi(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[int, float]], list[torch.Tensor]]:
    """Lets the ear hear the tempo that is told for each listening, counted from 0; returns what it has heard so far."""

    def listens(told: dict[int, float]) -> list[torch.Tensor]:
        sounds: list[torch.Tensor] = []

        def hear(sound: torch.Tensor, sample_rate: int) -> Heard:
            sounds.append(sound)
            return heard(sound.shape[-1] / sample_rate, told.get(len(sounds) - 1, 77.0))

        monkeypatch.setattr(hearing, "hear", hear)
        return sounds

    return listens


def requested(seed: int = 5, **more: object) -> Request:
    return Request.model_validate({"text": PROMPT, "seconds": 0.5, "seed": seed, **more})


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# What was asked ------------------------------------------------------------------------------------------------------


def test_a_score_is_what_was_asked_and_without_one_the_words() -> None:
    score = compose(Brief(bpm=90.0), 8.0, seed=1)
    asked = adherence.asked_of(PROMPT, score)
    assert (asked.bpm, asked.key, asked.chords) == (score.bpm, score.key, score.chords)
    assert adherence.asked_of(PROMPT, None) == Asked(bpm=100.0, key=Key(9, "minor"))
    assert adherence.asked_of("slow piano, 90 bpm", score).planned == {"key"}, "which nobody asked for but the plan"
    with pytest.raises(ValueError, match="bpm"):
        adherence.asked_of("a piece at 90 bpm and at 140 bpm", None)


def test_a_report_is_of_the_audio_against_the_plan_or_the_words(model: Model, tempi: Callable[..., list[torch.Tensor]]) -> None:
    planned, free = model.generate(PROMPT, seconds=0.5), model.generate(PROMPT, seconds=0.5, plan="none")
    sounds = tempi({0: 100.4, 1: 50.0, 2: 120.0})
    assert adherence.report(planned).sentence.startswith("asked 100 bpm, got 100.4; key right; chords 0 of ")
    assert counterpoint.report(free).sentence == "asked 100 bpm, got 50.0 (half the tempo); key right"
    assert adherence.report(free, Asked(bpm=120.0)).sentence == "asked 120 bpm, got 120.0"
    assert torch.equal(sounds[0], planned.audio) and torch.equal(sounds[1], free.audio)


def test_the_real_ear_hears_a_rendered_score_and_tells_it_from_another() -> None:
    """The renderer plays the score exactly, so that the ear must find it; and a score of other tempo and key is not there."""
    prompt = "pop in A minor, 100 bpm"
    score, other = (
        compose(Brief(style="pop", key=key, bpm=bpm), 8.0, 1) for key, bpm in ((Key(9, "minor"), 100), (Key(3), 137))
    )
    take = Take(torch.from_numpy(synth.render(score, 32000, 1)), 32000, 0, {"prompt": prompt}, score)
    judged = adherence.judge(take)
    scores = {aspect.name: aspect.score for aspect in judged.report.aspects}
    assert judged.report.rank > 0.8 and scores["tempo"] == scores["key"] == 1
    assert adherence.report(replace(take, score=other)).rank < 0.4
    words = adherence.report(replace(take, score=None))
    assert words.sentence.endswith("key right") and len(words.aspects) == 2 and words.rank == 1
    silent = adherence.report(replace(take, score=None, audio=torch.zeros(1, 32000)))
    assert silent.sentence == "asked 100 bpm, heard no pulse; asked A minor, heard no key" and silent.rank == 0


# The best of several ---------------------------------------------------------------------------------------------------


def test_the_best_is_kept_and_is_the_take_of_its_seed_and_the_first_plan(
    model: Model, tempi: Callable[..., list[torch.Tensor]]
) -> None:
    sounds = tempi({2: 99.0})
    take, judged = adherence.best_of(model, requested(), 4)
    assert take.seed == 7 and len(judged) == len(sounds) == 4
    assert take.record["best_of"]["seeds"] == [5, 6, 7, 8] and take.record["best_of"]["by"] == "adherence"
    ranks = take.record["best_of"]["ranks"]
    assert ranks == [pytest.approx(one.report.rank, abs=1e-6) for one in judged] and max(ranks) == ranks[2] > ranks[0]
    assert all(one.asked == judged[0].asked for one in judged), "all are asked for the same"
    alone = next(model.takes(requested(seed=7, plan_seed=5)))
    assert torch.equal(alone.audio, take.audio) and alone.score == take.score and alone.record["plan_seed"] == 5
    assert alone.score == model.generate(PROMPT, seconds=0.5, seed=5).score != model.generate(PROMPT, seconds=0.5, seed=7).score


def test_all_are_played_from_one_plan_that_is_composed_once(
    model: Model, tempi: Callable[..., list[torch.Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compose, composed = planning.make, []

    def counting(*order: object, **more: object) -> planning.Plan:
        composed.append(order)
        return compose(*order, **more)

    monkeypatch.setattr(planning, "make", counting)
    tempi({1: 100.0})
    best, _ = adherence.best_of(model, requested(), 3)
    assert len(composed) == 1
    alone = next(model.takes(requested(seed=6, plan_seed=5)))
    own = {"timings", "best_of"}
    assert {n: v for n, v in best.record.items() if n not in own} == {n: v for n, v in alone.record.items() if n not in own}


def test_the_same_request_gives_the_same_take(model: Model, tempi: Callable[..., list[torch.Tensor]], tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        tempi({1: 100.0})
        adherence.best_of(model, requested(), 2)[0].save(tmp_path / name)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    record = json.loads(audio.read_tags(tmp_path / "a.wav")["comment"])
    assert record["best_of"]["seeds"] == [5, 6] and record["seed"] == 6 and record["plan_seed"] == 5


def test_of_equals_the_first_is_kept(model: Model, tempi: Callable[..., list[torch.Tensor]]) -> None:
    tempi({})
    assert adherence.best_of(model, requested(), 3)[0].seed == 5
    tempi({1: 100.0, 2: 100.0})
    assert adherence.best_of(model, requested(), 3)[0].seed == 6


def test_the_best_of_one_is_the_take_itself(model: Model, tempi: Callable[..., list[torch.Tensor]]) -> None:
    tempi({})
    take, _ = adherence.best_of(model, requested(), 1)
    assert torch.equal(take.audio, model.generate(PROMPT, seconds=0.5, seed=5).audio)


def test_without_a_plan_the_words_are_what_is_asked(model: Model, tempi: Callable[..., list[torch.Tensor]]) -> None:
    tempi({1: 100.0})
    take, judged = adherence.best_of(model, requested(plan="none"), 2)
    assert take.seed == 6 and take.score is None and "plan_seed" not in take.record
    assert judged[0].asked == Asked(bpm=100.0, key=Key(9, "minor"))
    tempi({0: 60.0})
    assert adherence.best_of(model, requested(plan="none"), 2, asked=Asked(bpm=60.0))[0].seed == 5


def test_progress_is_told_over_all(model: Model, tempi: Callable[..., list[torch.Tensor]]) -> None:
    tempi({})
    told: list[tuple[int, int]] = []
    adherence.best_of(model, requested(), 3, lambda done, total: told.append((done, total)))
    assert len({total for _, total in told}) == 1 and told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(
    ("changes", "candidates", "hint"),
    [
        ({"text": "piano", "plan": "none"}, 2, "Nothing in the request can be heard"),
        ({"count": 2}, 2, "one piece, not 2"),
        ({}, 0, "from 1 to 64, not 0"),
        ({}, 65, "from 1 to 64, not 65"),
        ({}, True, "from 1 to 64, not True"),
        ({"seconds": 600.0, "plan": "none", "text": "90 bpm and 140 bpm"}, 2, "bpm"),
    ],
)
def test_what_cannot_be_chosen_is_refused_before_any_work(
    changes: dict[str, object], candidates: int, hint: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "play", None)
    with pytest.raises(ValueError, match=hint):
        adherence.best_of(model, requested(**changes), candidates)


def test_pieces_share_no_candidate() -> None:
    assert [(one.seed, one.count) for one in adherence.pieces(requested(count=3), 4)] == [(5, 1), (9, 1), (13, 1)]


@pytest.mark.parametrize("plan", ["none", "song.mid"])
def test_a_plan_that_is_not_composed_has_no_seed(plan: str) -> None:
    with pytest.raises(ValueError, match="has no seed"):
        requested(plan=plan, plan_seed=3)


# The command line ------------------------------------------------------------------------------------------------------


def test_a_report_is_said_and_written_beside(
    tiny_model: Path, tempi: Callable[..., list[torch.Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tempi({0: 99.5, 1: 99.5})
    command = ["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5", "--report"]
    assert cli.run([*command, "-o", "song.wav"]) == 0
    out, err = capsys.readouterr()
    assert "heard: asked 100 bpm, got 99.5; key right; chords" in out and err == "" and "song.report.json" in out
    content = json.loads((tmp_path / "song.report.json").read_text())
    assert content["asked"]["tempo"] == 100 and content["heard"]["tempo"] == 99.5 and content["file"] == "song.wav"
    assert content["asked"]["key"] == content["heard"]["key"] == "A minor" and content["seed"] == 0
    assert content["scores"]["tempo"] == {"score": 1.0, "verdict": "right", "text": "asked 100 bpm, got 99.5"}
    assert content["asked"]["chords"] and content["rank"] == pytest.approx(
        np.mean([score["score"] for score in content["scores"].values()])
    )
    first = (tmp_path / "song.report.json").read_bytes()
    tempi({0: 99.5})
    assert cli.run([*command, "-o", "song.wav"]) == 0
    assert (tmp_path / "song.report.json").read_bytes() == first and files(tmp_path) == ["song.report.json", "song.wav"]


def test_silence_makes_a_report_of_plain_json(
    tiny_model: Path, tempi: Callable[..., list[torch.Tensor]], tmp_path: Path
) -> None:
    tempi({0: math.nan})
    assert cli.run(["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5", "--report", "-o", "a.wav"]) == 0

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads((tmp_path / "a.report.json").read_text(), parse_constant=refuse)["heard"]["tempo"] is None


def test_made_up_names_go_round_reports(tiny_model: Path, tempi: Callable[..., list[torch.Tensor]], tmp_path: Path) -> None:
    (tmp_path / "a-piece-in-e-minor-0.report.json").write_text("precious")
    tempi({})
    command = ["generate", "a piece in E minor", "--model", str(tiny_model), "--seconds", "0.5"]
    assert cli.run([*command, "--report"]) == 0
    assert (tmp_path / "a-piece-in-e-minor-0.report.json").read_text() == "precious"
    assert files(tmp_path)[0:2] == ["a-piece-in-e-minor-0-2.report.json", "a-piece-in-e-minor-0-2.wav"]


def test_best_of_keeps_one_file_a_piece_and_says_how_it_was_chosen(
    tiny_model: Path, tempi: Callable[..., list[torch.Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = tempi({1: 100.0, 3: 100.0, 5: 100.0})
    command = ["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5"]
    first = [*command, "--seed", "4", "-o", "song.wav", "--best-of", "3"]
    assert cli.run([*first, "--count", "2", "--by", "adherence"]) == 0
    out, err = capsys.readouterr()
    assert len(sounds) == 6 and files(tmp_path) == ["song-4.wav", "song-7.wav"] and err == ""
    assert "best of 3 by adherence: seed 5 (ranks 4: " in out and "best of 3 by adherence: seed 7 (ranks 7: " in out
    tempi({1: 100.0})
    assert cli.run(first) == 0
    assert (tmp_path / "song.wav").read_bytes() == (tmp_path / "song-4.wav").read_bytes()
    assert cli.run([*command, "--seed", "5", "--plan-seed", "4", "-o", "alone.wav"]) == 0
    assert torch.equal(audio.read(tmp_path / "alone.wav")[0], audio.read(tmp_path / "song.wav")[0])


BAD = {
    "none to choose from": (["--best-of", "0"], "from 1 to 64, not 0"),
    "too many to choose from": (["--best-of", "65"], "from 1 to 64, not 65"),
    "a number in words": (["--best-of", "many"], "--best-of"),
    "by something else": (["--best-of", "2", "--by", "loudness"], "loudness"),
    "chosen from nothing": (["--by", "adherence"], "--best-of, too"),
    "compared and chosen": (["--best-of", "2", "--compare", "a,b"], "leave --best-of out, or --compare"),
    "compared and told": (["--report", "--compare", "a,b"], "leave --report out, or --compare"),
    "compared with a plan's seed": (["--plan-seed", "2", "--compare", "a,b"], "leave --plan-seed out"),
    "a plan's seed without a plan": (["--plan-seed", "2", "--plan", "none"], "has no seed"),
    "a plan's seed in words": (["--plan-seed", "lucky"], "--plan-seed"),
    "a negative plan's seed": (["--plan-seed", "-2"], "The seed of the plan"),
    "the report is a folder": (["--report", "-o", "folder.wav"], "folder.report.json is a folder"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "hint"), BAD.values(), ids=BAD)
def test_mistakes_are_one_sentence_before_anything_is_made(
    options: list[str],
    hint: str,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.report.json").mkdir()
    monkeypatch.setattr(generation, "load", None)
    model = [] if "--compare" in options else ["--model", str(tiny_model)]
    assert cli.run(["generate", PROMPT, *model, "--seconds", "0.5", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("counterpoint: ") and hint in err
    assert files(tmp_path) == ["folder.report.json"]


@pytest.mark.parametrize("flags", [["--report"], ["--best-of", "2"]])
def test_what_cannot_be_heard_is_refused_before_anything_is_made(
    flags: list[str], tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Model, "play", None)
    assert cli.run(["generate", "piano", "--model", str(tiny_model), "--plan", "none", *flags]) == 2
    assert "Nothing in the request can be heard" in capsys.readouterr().err and files(tmp_path) == []


# The capability table --------------------------------------------------------------------------------------------------


def test_info_without_a_name_shows_all_models_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["jasco-tiny", "jasco-tiny-fast", "musicgen-tiny"]
    rows = {line[: lines[0].index("jasco-tiny")].strip(): line for line in lines[1:]}
    assert rows["can inpaint"].split()[2:] == ["yes"] * 3 and rows["is told chords"].split()[3:] == ["yes"] * 3
    assert rows["makes"].endswith("tokens") and rows["is told score"].split()[3:] == ["yes"] * 3
    assert rows["sampled by temperature"].split()[3:] == ["-", "-", "1"]
    assert any(line.startswith("ear-tiny: an ear") for line in lines) and "spectral-tiny: a codec" in lines
    assert any(line.startswith("score-tiny: a planner") for line in lines) and "None" not in "".join(lines)


def test_info_of_a_model_shows_what_its_manifest_states(
    tiny_family: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert capabilities.VIEWS.keys() == checkpoint.SYSTEMS.keys()
    for name in ("tiny", "tiny-ar"):
        assert cli.run(["info", str(tiny_family[name])]) == 0
        out = capsys.readouterr().out
        manifest = checkpoint.read_manifest(tiny_family[name])
        for line in capabilities.table({name: manifest}):
            assert line in out
        can = manifest.capability
        told = [f"is told {condition}" for condition in can.conditions] + [f"can {task}" for task in can.tasks]
        for row in (*told, *(f"sampled by {setting}" for setting, value in can.sampling.items() if value is not None)):
            assert row in out
        assert checkpoint.load(tiny_family[name]).system.view == capabilities.VIEWS[manifest.kind]
        assert ("tokens" if name == "tiny-ar" else "continuous frames") in out
        assert f"{can.max_seconds:g} s" in out and f"{can.sample_rate} Hz, mono" in out and can.licence in out
