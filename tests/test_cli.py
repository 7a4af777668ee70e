"""The command line: what it makes, and that every mistake is one sentence, exit code 2, and nothing written."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from counterpoint import audio, cli, ending, request
from counterpoint.hub import checkpoint
from counterpoint.systems import jasco, musicgen

PROMPT = "a slow piano piece in A minor, 100 bpm"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("COUNTERPOINT_DEBUG", raising=False)


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.fixture
def broken(tiny_model: Path, tmp_path: Path) -> dict[str, Path]:
    """Inputs that are damaged in one way each."""
    folder = tmp_path / "broken"
    folder.mkdir()
    weights, config = (tiny_model / checkpoint.WEIGHTS).read_bytes(), (tiny_model / checkpoint.CONFIG).read_text()
    manifest = json.loads(config)
    models = {
        "truncated": (weights[:-100], config),
        "flipped": (weights[:-9] + bytes([weights[-9] ^ 64]) + weights[-8:], config),
        "noise": (b"\x93noise" * 1000, json.dumps({**manifest, "weights": ""})),
        "no_weights": (None, config),
        "not_json": (weights, "{"),
        "old_format": (weights, json.dumps({**manifest, "format": 7})),
        "misspelt": (weights, json.dumps({**manifest, "config": {**manifest["config"], "bakbone": 1}})),
        "other_size": (weights, config.replace('"width": 32', '"width": 64')),
        "unknown_kind": (weights, json.dumps({**manifest, "kind": "opera"})),
        "no_codec": (weights, config),
    }
    for name, (data, text) in models.items():
        (folder / name).mkdir()
        (folder / name / checkpoint.CONFIG).write_text(text)
        if data is not None:
            (folder / name / checkpoint.WEIGHTS).write_bytes(data)
        if name != "no_codec":
            (folder / name / "codec").symlink_to(tiny_model / "codec")
    (folder / "empty").mkdir()
    (folder / "a_file.wav").write_bytes(b"")
    (folder / "bad.mid").write_bytes(b"not midi at all")
    (folder / "bad.txt").write_text("| Xyz | Hq7 |\n")
    (folder / "binary.txt").write_bytes(bytes(range(128, 256)))
    (folder / "bad.toml").write_text("steps = = 3\n")
    return {path.name: path for path in folder.iterdir()}


BAD_PROMPTS = {
    "empty": "",
    "blank": "  \n ",
    "10 000 words": "piano " * 10_000,
    "bytes": os.fsdecode(b"\xff\xfe\x00\x01".replace(b"\x00", b"\x02")),
    "control": "piano\x1b[31m",
    "no word": "?!?",
}

BAD_GENERATE = {
    "zero seconds": ["--seconds", "0"],
    "negative seconds": ["--seconds", "-3"],
    "huge seconds": ["--seconds", "1e9"],
    "nan seconds": ["--seconds", "nan"],
    "seconds in words": ["--seconds", "ten"],
    "no value": ["--seconds"],
    "negative seed": ["--seed", "-1"],
    "seed in words": ["--seed", "lucky"],
    "no pieces": ["--count", "0"],
    "too many pieces": ["--count", "1000"],
    "no steps": ["--steps", "0"],
    "infinite guidance": ["--guidance", "inf"],
    "negative guidance": ["--guidance", "-1"],
    "guidance in words": ["--guidance", "much"],
    "guidance by a stranger": ["--guidance", "smell=3"],
    "guidance by a plan that is not there": ["--guidance", "score=3", "--plan", "none"],
    "unknown solver": ["--solver", "eulr"],
    "unknown schedule": ["--schedule", "cosine"],
    "tolerance without dopri5": ["--tolerance", "0.01"],
    "no tolerance": ["--solver", "dopri5", "--tolerance", "0"],
    "steps with dopri5": ["--solver", "dopri5", "--steps", "8"],
    "schedule with dopri5": ["--solver", "dopri5", "--schedule", "sway"],
    "interval reversed": ["--guidance-interval", "0.9:0.2"],
    "interval outside": ["--guidance-interval", "0.5:1.5"],
    "interval in words": ["--guidance-interval", "early"],
    "interval of one end": ["--guidance-interval", "0.5"],
    "interval of nothing": ["--guidance-interval", "0.2:0.9", "--guidance", "1"],
    "rescaled beyond": ["--guidance-rescale", "1.5"],
    "rescaling of nothing": ["--guidance-rescale", "0.5", "--guidance", "1"],
    "setting of another kind of model": ["--top-k", "3"],
    "unknown option": ["--secnds", "3"],
    "second prompt": ["with", "flute"],
    "unknown format": ["--format", "aiff"],
    "unknown suffix": ["-o", "song.aiff"],
    "formats disagree": ["-o", "song.wav", "--format", "flac"],
    "output under a file": ["-o", "broken/a_file.wav/song.wav"],
    "read-only folder": ["-o", "/proc/song.wav"],
    "no such model": ["--model", "jazco-tiny"],
    "no such folder": ["--model", "./no/such/folder"],
    "hub, offline": ["--model", "nobody/nothing"],
    "empty model folder": ["--model", "broken/empty"],
    "codec as model": ["--model", "{tiny}/codec"],
    "truncated weights": ["--model", "broken/truncated"],
    "a flipped bit": ["--model", "broken/flipped"],
    "weights of noise": ["--model", "broken/noise"],
    "no weights": ["--model", "broken/no_weights"],
    "config is no json": ["--model", "broken/not_json"],
    "old format": ["--model", "broken/old_format"],
    "unknown setting": ["--model", "broken/misspelt"],
    "weights of another size": ["--model", "broken/other_size"],
    "unknown kind": ["--model", "broken/unknown_kind"],
    "codec is missing": ["--model", "broken/no_codec"],
    "no such device": ["--device", "abacus"],
    "no such GPU": ["--device", "cuda:99"],
    "no such plan": ["--plan", "missing.mid"],
    "plan of another kind": ["--plan", "song.pdf"],
    "plan is no midi": ["--plan", "broken/bad.mid"],
    "chart is no chart": ["--plan", "broken/bad.txt"],
    "chart is no text": ["--plan", "broken/binary.txt"],
}

BAD_COMMANDS = {
    "unknown command": ["generat", PROMPT],
    "unknown global option": ["--nope"],
    "no prompt": ["generate"],
    "plan of nothing": ["plan", ""],
    "plan of no time": ["plan", PROMPT, "--seconds", "0"],
    "plan as audio": ["plan", PROMPT, "-o", "plan.wav"],
    "plan into nowhere": ["plan", PROMPT, "-o", "/proc/plan.mid"],
    "info on nothing": ["info", "jazco-tiny"],
    "recipe missing": ["train", "missing.toml"],
    "recipe broken": ["train", "broken/bad.toml"],
    "corpus missing": ["encode", "no/corpus", "--codec", "{tiny}", "-o", "frames"],
    "codec missing": ["encode", "no/corpus", "--codec", "nonesuch", "-o", "frames"],
    "no hours": ["compose", "corpus", "--hours", "0"],
    "renderer unknown": ["compose", "corpus", "--renderer", "orchestra"],
    "soundfont missing": ["compose", "corpus", "--renderer", "soundfont", "--soundfont", "missing.sf2"],
}


def assert_one_sentence(code: int, captured: "pytest.CaptureResult[str]") -> None:
    assert code == 2, captured.err
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("counterpoint: ") and len(lines[0]) > 30
    assert "Traceback" not in captured.err and "pydantic" not in captured.err and "Value error" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("text", BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_bad_prompts(text: str, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["generate", text, "--model", str(tiny_model)])
    assert_one_sentence(code, capsys.readouterr())
    assert not files(tmp_path)


@pytest.mark.parametrize("options", BAD_GENERATE.values(), ids=BAD_GENERATE)
def test_bad_settings(
    options: list[str], broken: dict[str, Path], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(tmp_path)
    options = [option.format(tiny=tiny_model) for option in options]
    model = [] if "--model" in options else ["--model", str(tiny_model)]
    seconds = [] if "--seconds" in options else ["--seconds", "1"]
    code = cli.run(["generate", PROMPT, *model, *seconds, *options])
    assert_one_sentence(code, capsys.readouterr())
    assert files(tmp_path) == before


@pytest.mark.parametrize("argv", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_bad_commands(
    argv: list[str], broken: dict[str, Path], tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(tmp_path)
    code = cli.run([arg.format(tiny=tiny_model) for arg in argv])
    assert_one_sentence(code, capsys.readouterr())
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["generat", PROMPT], "generate"),
        (["generate", PROMPT, "--secnds", "3"], "--seconds"),
        (["generate", PROMPT, "--model", "no-such-model"], "folder"),
        (["generate", PROMPT, "piece"], "quotes"),
        (["generate", PROMPT, "-o", "song.aiff"], ".flac"),
        (["generate", PROMPT, "--seconds", "0"], "600"),
        (["generate", PROMPT, "--solver", "eulr"], "(did you mean 'euler'?); known here: euler, midpoint, heun, rk4, dopri5."),
        (
            ["generate", PROMPT, "--schedule", "logsnr"],
            "(did you mean 'log-snr'?); known here: uniform, shifted, log-snr, sway.",
        ),
        (["generate", PROMPT, "--guidance", "text=2, text=5"], "weighs 'text' more than once in 'text=2, text=5'; give it one"),
        (["generate", PROMPT, "--guidance-interval", "0.9:0.2"], "such as 0.2:0.9, not 0.9:0.2"),
    ],
)
def test_sentences_say_what_to_do(argv: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(argv) == 2
    assert hint in capsys.readouterr().err


def test_generate(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "a slow waltz with flumboid piano, 100 bpm"
    assert cli.run(["generate", prompt, "--model", str(tiny_model), "--seconds", "1", "--seed", "7"]) == 0
    out, err = capsys.readouterr()
    (path,) = tmp_path.iterdir()
    assert path.name == "a-slow-waltz-with-flumboid-piano-100-bpm-7.wav"
    assert err == "" and path.name in out and "seed 7" in out and "3/4" in out and "not understood: flumboid" in out
    sound, rate = audio.read(path)
    assert rate == 8000 and sound.shape == (1, 8000)
    tags = audio.read_tags(path)
    assert tags["title"] == prompt
    record = json.loads(tags["comment"])
    assert record["seed"] == 7 and record["model"] == "tiny" and record["prompt"] == prompt


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg"])
def test_formats(suffix: str, tiny_model: Path, tmp_path: Path) -> None:
    assert (
        cli.run(["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5", "--format", suffix, "-o", "a/song"]) == 0
    )
    assert audio.read_tags(tmp_path / "a" / f"song.{suffix}")["title"] == PROMPT


def test_several_pieces_are_the_single_ones(tiny_model: Path, tmp_path: Path) -> None:
    model = ["--model", str(tiny_model), "--seconds", "0.5"]
    assert cli.run(["generate", PROMPT, *model, "--count", "2", "--seed", "3", "-o", "song.wav"]) == 0
    assert cli.run(["generate", PROMPT, *model, "--seed", "4", "-o", "alone.wav"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"song-3.wav", "song-4.wav", "alone.wav"}
    assert (tmp_path / "song-4.wav").read_bytes() == (tmp_path / "alone.wav").read_bytes()
    assert (tmp_path / "song-3.wav").read_bytes() != (tmp_path / "alone.wav").read_bytes()


def test_default_names_never_overwrite(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "piano-0.wav").write_text("precious")
    assert cli.run(["generate", "piano", "--model", str(tiny_model), "--seconds", "0.5"]) == 0
    assert (tmp_path / "piano-0.wav").read_text() == "precious"
    assert (tmp_path / "piano-0-2.wav").stat().st_size > 1000


def test_numbered_names_never_overwrite_and_a_given_name_does(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("song-1.wav", "song.wav"):
        (tmp_path / name).write_text("precious")
    model = ["--model", str(tiny_model), "--seconds", "0.5"]
    assert cli.run(["generate", PROMPT, *model, "--count", "2", "-o", "song.wav"]) == 0
    assert (tmp_path / "song-1.wav").read_text() == (tmp_path / "song.wav").read_text() == "precious"
    assert cli.run(["generate", PROMPT, *model, "-o", "song.wav"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"song.wav", "song-0.wav", "song-1.wav", "song-1-2.wav"}
    assert (tmp_path / "song.wav").read_bytes() == (tmp_path / "song-0.wav").read_bytes()


@pytest.mark.parametrize(("output", "exists"), [("there", True), ("there/", True), ("new/", False), ("deep/er/", False)])
def test_folders_take_named_files(output: str, exists: bool, tiny_model: Path, tmp_path: Path) -> None:
    if exists:
        (tmp_path / output).mkdir()
    command = ["generate", "piano", "--model", str(tiny_model), "--seconds", "0.5", "--format", "flac", "-o", output]
    assert cli.run([*command, "--count", "2", "--seed", "5"]) == 0
    assert cli.run([*command, "--seed", "5"]) == 0
    assert {path.name for path in (tmp_path / output).iterdir()} == {"piano-5.flac", "piano-6.flac", "piano-5-2.flac"}


def test_plan_goes_out_and_comes_back(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", PROMPT, "--seconds", "4", "--seed", "1", "-o", "plan.mid", "--chart", "plan.txt"]) == 0
    assert "A minor" in capsys.readouterr().out and "tempo: 100" in (tmp_path / "plan.txt").read_text()
    for given in ("plan.mid", "plan.txt"):
        assert cli.run(["generate", "music", "--plan", given, "--model", str(tiny_model)]) == 0
        out = capsys.readouterr().out
        assert "A minor" in out and "100 bpm" in out
        assert ("4 s of music" in out) == (given == "plan.mid"), "a MIDI plan brings its own length"
        assert "note:" not in out
    assert cli.run(["generate", "music", "--plan", "plan.mid", "--seconds", "2", "--model", str(tiny_model)]) == 0
    assert "note: the plan of 4 s is cut, as 2 s are asked for" in capsys.readouterr().out


def test_info(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["info", str(tiny_model)]) == 0
    out = capsys.readouterr().out
    assert "system.backbone" in out and "1 25 32" in out and "1 1 8000" in out
    size = sum(weight.numel() for weight in checkpoint.load(tiny_model).system.parameters())
    assert f"{size:,}" in out
    assert cli.run(["info", str(tiny_model / "codec")]) == 0
    assert "codec.decoder" in capsys.readouterr().out


def test_full_disk(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "song.wav")

    monkeypatch.setattr(os, "replace", full)
    assert_one_sentence(cli.run(["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5"]), capsys.readouterr())
    assert not files(tmp_path)


def test_file_size_limit(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A real refusal by the kernel in the middle of writing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        code = cli.run(["generate", PROMPT, "--model", str(tiny_model), "--seconds", "1"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_one_sentence(code, capsys.readouterr())
    assert not files(tmp_path)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERPOINT_DEBUG", "1")
    with pytest.raises(ValueError, match="empty"):
        cli.run(["generate", ""])


def test_interrupt_leaves_nothing(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(audio, "master", interrupt)
    assert cli.run(["generate", PROMPT, "--model", str(tiny_model), "--seconds", "0.5"]) == 130
    assert capsys.readouterr().err == "stopped; nothing was written\n"
    assert not files(tmp_path)


def test_a_real_signal(tiny_model: Path, tmp_path: Path) -> None:
    code = """
from counterpoint import cli, generation
take = generation.Model._take
def announced(*args):
    print("ready", flush=True)
    return take(*args)
generation.Model._take = announced
cli.main()
"""
    command = [sys.executable, "-c", code, "generate", PROMPT, "--model", str(tiny_model), "--seconds", "60", "--steps", "1000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*command, "--count", "64"], **pipes, text=True, cwd=tmp_path)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "stopped; nothing was written\n")
    assert not files(tmp_path)


def test_help_answers_at_once() -> None:
    """Not even pydantic is imported for it; benchmarks/start_up.py measures the time."""
    code = (
        "import sys; from counterpoint import cli; cli.run(['--help']); sys.exit(bool({'torch', 'pydantic'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    for command in ("generate", "plan", "compose", "encode", "train", "info"):
        assert command in done.stdout


def test_every_setting_of_a_sampler_is_a_flag_and_a_keyword_of_some_model() -> None:
    models = {*jasco.Sampling.model_fields, *musicgen.Sampling.model_fields}
    of_given_audio = {"strength", "method"}  # flags of inpaint, continue and retake
    assert set(cli.Sampler.__annotations__) | of_given_audio == set(request.Settings.__annotations__) == set(request.SAMPLING)
    assert models == set(request.SAMPLING) | {"guidance_alone", *jasco.REPAIR}, "how zero-shot is led is no wish of a musician"
    assert set(request.SAMPLING) < set(request.Request.model_fields)


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["generate", "slow", "piano"], "'piano' is left over; put a prompt of several words in quotes"),
        (["generate", PROMPT, "--model", "{tiny}/codec"], "is a codec, which does not generate; name a generator"),
        (["generate", PROMPT, "--model", "broken/no_codec"], "broken/no_codec lacks its folder codec/"),
        (["encode", "no/corpus", "--codec", "{tiny}", "-o", "frames", "--workers", "0"], "at least 1"),
    ],
)
def test_sentences_name_what_is_meant(
    argv: list[str], hint: str, broken: dict[str, Path], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, captured = cli.run([arg.format(tiny=tiny_model) for arg in argv]), capsys.readouterr()
    assert_one_sentence(code, captured)
    assert hint in captured.err


def test_long_work_tells_how_far_it_is_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clips = ["--seconds", "2", "--sample-rate", "8000", "--hours", str(40 / 3600)]
    assert cli.run(["compose", "corpus", *clips]) == 0
    assert capsys.readouterr().err.splitlines() == [f"composing: {done} of 20" for done in range(0, 21, 2)]


def test_the_usage_names_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["train", "--help"])
    assert "RECIPE [CHANGES...]" in capsys.readouterr().out


SWALLOWED = """
import signal, sys
from counterpoint import cli

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:  # as some modules do while they are imported
                pass

sys.meta_path.insert(0, Finder())
cli.main()
"""

LATE = """
import atexit, signal
from counterpoint import cli
atexit.register(signal.raise_signal, signal.SIGINT)
cli.main()
"""


@pytest.mark.parametrize(
    ("code", "argv", "ending"),
    [
        (SWALLOWED, ["info", "spectral-tiny"], (130, "stopped; nothing was written\n")),
        (LATE, ["plan", PROMPT], (0, "")),
    ],
    ids=["while modules are imported", "when all is done"],
)
def test_a_signal_is_answered_whenever_it_comes(code: str, argv: list[str], ending: tuple[int, str]) -> None:
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == ending


@pytest.mark.parametrize("number", ending.ENDS)
def test_an_interrupt_that_became_another_error_is_an_interrupt(number: signal.Signals) -> None:
    def work() -> None:
        with ending.interruptible(lambda: "half of it is there"):
            try:
                signal.raise_signal(number)
            except KeyboardInterrupt:
                raise AttributeError("half a module") from None

    before = signal.getsignal(number)
    with pytest.raises(ending.Stopped, match="stopped; half of it is there") as stopped:
        work()
    assert stopped.value.number == number
    assert signal.getsignal(number) is before
