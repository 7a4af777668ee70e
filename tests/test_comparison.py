"""The same request of several models: the same plan and seed, what each took of it, a file each and one picture."""

import logging
import os
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from matplotlib.image import imread

import counterpoint
from counterpoint import cli, comparison, generation, provenance, sampler
from counterpoint.commands import telling
from counterpoint.comparison import Comparison
from counterpoint.paradigms.solvers import SOLVERS
from counterpoint.systems.jasco import JascoConfig

PROMPT = "a slow piano piece in A minor, 100 bpm"


@pytest.fixture(scope="module")
def made(tiny_family: dict[str, Path]) -> Comparison:
    return counterpoint.compare(list(tiny_family.values()), PROMPT, seconds=1, seed=3, steps=3, solver="midpoint")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_play_the_same_plan_with_the_same_seed_as_each_would_alone(made: Comparison, tiny_family: dict[str, Path]) -> None:
    assert [entry.name for entry in made.entries] == ["tiny", "tiny-ar", "tiny-fast"]
    assert {entry.take.seed for entry in made.entries} == {3}
    assert all(entry.take.score == made.entries[0].take.score is not None for entry in made.entries)
    alone = [{"steps": 3, "solver": "midpoint"}, {}, {"steps": 3}]
    for entry, settings in zip(made.entries, alone, strict=True):
        take = counterpoint.load(tiny_family[entry.name]).generate(PROMPT, seconds=1, seed=3, **settings)
        assert torch.equal(take.audio, entry.take.audio) and take.record["sampling"] == entry.take.record["sampling"]


def test_controls_and_planner_are_asked_of_all(tiny_family: dict[str, Path], tmp_path: Path) -> None:
    models = f"{tiny_family['tiny']},{tiny_family['tiny-ar']}"
    asked = ["generate", "a pop song", "--seconds", "1", "--compare", models, "-o", "out/"]
    assert cli.run([*asked, "--chords", "F#", "--tempo", "150", "--planner", "no-such"]) == 2
    assert not (tmp_path / "out").exists()
    assert cli.run([*asked, "--chords", "F#", "--tempo", "150"]) == 0
    for file in (tmp_path / "out").glob("*.wav"):
        assert "150" in (record := provenance.record_of(file))["plan"] and record["controls"]["chords"] == "F#"


def test_what_a_model_did_not_take_is_told(made: Comparison) -> None:
    flow, tokens, fast = made.entries
    assert flow.refused == () and flow.sampled == "3 steps of midpoint, guidance 1.5"
    assert [reason.split(";")[0] for reason in tokens.refused] == [
        "tiny-ar is not sampled by steps",
        "tiny-ar is not sampled by solver",
    ]
    assert [reason.split(",")[0] for reason in fast.refused] == ["tiny-fast is distilled and takes its own steps"]
    assert "top_k" in tokens.sampled and fast.sampled == "3 leaps of its own, guidance 3 learnt"


def test_where_and_how_guidance_acts_is_told() -> None:
    config = JascoConfig.tiny()
    changes = {"guidance": {"text": 2.0, "score": 4.0}, "guidance_interval": (0.2, 0.9), "guidance_rescale": 0.5}
    acts = "guidance text=2, score=4, rescaled by 0.5 within 0.2:0.9"
    told = [sampler.describe(config, config.sampling.model_copy(update=changes | {"solver": kind})) for kind in SOLVERS]
    assert all(how.endswith(f", {acts}") for how in told) and len(set(told)) == len(SOLVERS)


def test_the_picture_has_a_row_for_each_model(made: Comparison) -> None:
    figure = made.draw()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[::2] == ["tiny", "tiny-ar", "tiny-fast"]
    for entry, caption in zip(made.entries, titles[1::2], strict=True):
        assert caption == f"{entry.elapsed:.1f} s of work: {entry.sampled}"
    assert all(len(axes.images) == row % 2 for row, axes in enumerate(figure.axes))
    heading = figure.get_suptitle()
    assert PROMPT in heading and "seed 3" in heading and "A minor" in heading


def test_a_tone_is_drawn_at_its_height() -> None:
    """At any sample rate; 2595 log10(1 + f / 700) mel, as the textbooks have it."""
    for rate in (8000, 32000, 44100):
        tone = torch.sin(2 * torch.pi * 1000 * torch.arange(rate) / rate)
        mel = comparison.log_mel(tone, rate)
        height, top = (2595 * torch.log10(torch.tensor(1 + hertz / 700)) for hertz in (1000, rate / 2))
        assert mel.max() == 0 and abs((mel.mean(0).argmax() + 1) / 129 - height / top) < 1.5 / 129


def test_files_belong_together_and_never_meet_others(made: Comparison, tmp_path: Path) -> None:
    stem = "a-slow-piano-piece-in-a-minor-100-bpm-3"
    first, again = made.save("out", "flac"), made.save(tmp_path / "out", "flac")
    assert [path.name for path in first] == [
        f"{stem}-{name}" for name in ("tiny.flac", "tiny-ar.flac", "tiny-fast.flac", "comparison.png")
    ]
    assert [path.stem for path in again] == [f"{path.stem}-2" for path in first]
    assert listed(tmp_path / "out") == sorted(path.name for path in (*first, *again))
    for entry, path in zip(made.entries, first[:-1], strict=True):
        assert soundfile.info(path).frames == entry.take.audio.shape[-1]
    height, width, _ = imread(first[-1]).shape
    assert width > 1000 and height > 600


@pytest.mark.parametrize("failing", ["draw", "replace"])
def test_nothing_appears_where_something_cannot_be_written(
    made: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    owner = Comparison if failing == "draw" else os
    monkeypatch.setattr(owner, failing, full)
    with pytest.raises(ValueError, match="No space left"):
        made.save(tmp_path)
    assert listed(tmp_path) == []


def test_signs_of_every_kind_are_drawn(made: Comparison, tmp_path: Path) -> None:
    odd = Comparison(made.asked.model_copy(update={"text": "$x^$ waltz 円舞曲 $\\frac$"}), made.entries[:2])
    assert odd.save(tmp_path)[-1].stat().st_size > 10_000


def test_on_the_command_line(tiny_family: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ", ".join(map(str, tiny_family.values()))
    assert cli.run(["generate", "piano", "--compare", names, "--seconds", "1", "--top-k", "3", "-o", "out/"]) == 0
    out, err = capsys.readouterr()
    written = ["piano-0-comparison.png", "piano-0-tiny-ar.wav", "piano-0-tiny-fast.wav", "piano-0-tiny.wav"]
    assert listed(tmp_path / "out") == written and all(name in out for name in written) and err == ""
    assert out.count("not taken: ") == 2 and "not taken: tiny is not sampled by top_k" in out
    assert "sampling: temperature 1, top_k 3" in out


def test_guiding_a_distilled_model_warns_on_stderr(
    tiny_family: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])  # as outside of pytest
    command = ["generate", "piano", "--model", str(tiny_family["tiny-fast"]), "--seconds", "1"]
    assert cli.run([*command, "--guidance", "2"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("tiny-fast is distilled, and guidance 3 is part of its every step") and err.count("\n") == 1
    assert f"note: {err.strip().rstrip('.')}" in out
    assert cli.run(command) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("place", "said"),
    [("picture", "nothing was written"), ("names", "1 of 3 files are written"), ("report", "3 of 3 files are written")],
)
def test_an_interrupt_tells_what_is_written(
    tiny_family: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str, said: str
) -> None:
    rename = os.replace

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    def rename_one(part: Path, target: Path) -> None:
        if any(Path("out").glob("*.wav")):
            raise KeyboardInterrupt
        rename(part, target)

    owner, name, does = {
        "picture": (Comparison, "draw", stop),
        "names": (os, "replace", rename_one),
        "report": (telling, "tell", stop),
    }[place]
    monkeypatch.setattr(owner, name, does)
    names = f"{tiny_family['tiny']},{tiny_family['tiny-fast']}"
    assert cli.run(["generate", "piano", "--compare", names, "--seconds", "0.5", "-o", "out/"]) == 130
    assert capsys.readouterr().err == f"stopped; {said}\n"


BAD = {
    "unknown model": (["--compare", "{tiny},jazco-tiny"], "There is no model"),
    "codec": (["--compare", "{tiny},{tiny}/codec"], "is a codec"),
    "one model": (["--compare", "{tiny}"], "two models or more"),
    "an empty name": (["--compare", "{tiny},"], "two models or more"),
    "twice the same": (["--compare", "{tiny},{tiny-ar},{tiny}/"], "Two of the models to compare are called tiny"),
    "several pieces": (["--count", "2"], "one piece by each model, not 2"),
    "a model besides": (["--model", "tiny"], "leave --model out"),
    "output with a suffix": (["-o", "song.wav"], "song.wav is not a folder"),
    "output is a file": (["-o", "precious"], "precious is not a folder"),
    "output under a file": (["-o", "precious/deep/"], "precious"),
    "what no model knows": (["--steps", "3", "--solver", "dopri5"], "None of the models can take steps"),
    "what the two do not know": (["--top-p", "0.5", "--compare", "{tiny},{tiny-fast}"], "None of the models can take top_p"),
    "what is not told": (["--plan", "none", "--guidance", "score=3"], "'score', which is not told"),
    "too long": (["--seconds", "1000"], "600"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "hint"), BAD.values(), ids=BAD)
def test_mistakes_are_one_sentence_before_anything_is_made(
    options: list[str],
    hint: str,
    tiny_family: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "precious").write_text("precious")
    monkeypatch.setattr(generation.Model, "play", None)  # nothing is generated
    options = [option.format(**tiny_family) for option in options]
    models = [] if "--compare" in options else ["--compare", f"{tiny_family['tiny']},{tiny_family['tiny-ar']}"]
    assert cli.run(["generate", PROMPT, *models, *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("counterpoint: ") and hint in err
    assert listed(tmp_path) == ["precious"]


def test_without_matplotlib_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(generation, "load", None)
    assert cli.run(["generate", PROMPT, "--compare", "musicgen-tiny,jasco-tiny"]) == 2
    err = capsys.readouterr().err
    assert "python -m pip install 'counterpoint[eval]'" in err and err.count("\n") == 1 and listed(tmp_path) == []
