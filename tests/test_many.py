"""Many prompts at once: each as it would be alone, in batches as large as memory allows, going on after a kill."""

from pathlib import Path

import pytest
import torch

import counterpoint
from counterpoint import audio, cli, many, request, runtime

BY = {"model": "tiny", "dtype": "fp32", "compiled": False}
LINES = "slow piano\n\nfast piano in a minor\na slow piano piece\n"


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text(LINES)
    return path


def asked(**settings):
    return request.read({"text": "music", "seconds": 1.0, "seed": 5, **settings})


def test_every_line_is_a_piece_with_a_seed_of_its_own(prompts: Path, tmp_path: Path) -> None:
    pieces = many.read(prompts, asked(), tmp_path / "out", "wav", BY)
    assert [(piece.asked.text, piece.asked.seed) for piece in pieces] == [
        ("slow piano", 5),
        ("fast piano in a minor", 7),
        ("a slow piano piece", 8),
    ]
    assert pieces[1].path == tmp_path / "out" / "0003-fast-piano-in-a-minor-7.wav"


def test_side_by_side_is_one_by_one(tiny_model: Path, prompts: Path, tmp_path: Path) -> None:
    model = counterpoint.load(tiny_model)
    pieces = many.read(prompts, asked(), tmp_path, "wav", BY)
    together = many.side_by_side(model, [model.job(piece.asked, piece.asked.seed) for piece in pieces])
    for take, piece in zip(together, pieces, strict=True):
        alone = next(model.takes(piece.asked))
        assert torch.allclose(take.audio, alone.audio, atol=1e-3) and take.seed == alone.seed
        bits = {"timings": 0, "sha256": "", "made_on": {}}  # what may differ by rounding, and why
        assert {**take.record, **bits} == {**alone.record, **bits} and take.record["made_on"]["beside"] == 2


@pytest.mark.parametrize("room", [1, 2, 64])
def test_whatever_fits_all_are_made_and_none_twice(
    room: int, tiny_model: Path, prompts: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(runtime, "items_at_once", lambda system, frames: room)
    model, pieces = counterpoint.load(tiny_model), many.read(prompts, asked(), tmp_path / "out", "wav", BY)
    made = many.make(model, pieces)
    first = next(made)
    made.close()  # as a kill would
    assert [piece.is_there() for piece in pieces].count(True) == 1 and first.is_there()
    left = [piece for piece in pieces if not piece.is_there()]
    assert [piece.path.name for piece in many.make(model, left)] == [piece.path.name for piece in left]
    assert all(piece.is_there() for piece in pieces)


def test_another_request_is_made_anew(tiny_model: Path, prompts: Path, tmp_path: Path) -> None:
    model = counterpoint.load(tiny_model)
    list(many.make(model, many.read(prompts, asked(), tmp_path / "out", "wav", BY)))
    assert not any(piece.is_there() for piece in many.read(prompts, asked(plan="none"), tmp_path / "out", "wav", BY))
    other = many.read(prompts, asked(), tmp_path / "out", "wav", {**BY, "model": "other"})
    list(many.make(model, other))
    assert all(piece.is_there() for piece in other)
    assert not any(piece.is_there() for piece in many.read(prompts, asked(), tmp_path / "out", "wav", BY))  # no longer
    list(many.make(model, many.read(prompts, asked(), tmp_path / "out", "wav", BY)))
    for change in ({"model": "other"}, {"dtype": "int8"}, {"compiled": True}):
        assert not any(piece.is_there() for piece in many.read(prompts, asked(), tmp_path / "out", "wav", {**BY, **change}))


def test_the_command_goes_on(tiny_model: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generate", "--prompts", str(prompts), "--seconds", "1", "--model", str(tiny_model), "-o", str(tmp_path / "out")]
    assert cli.run(words) == 0
    files = sorted((tmp_path / "out").glob("*.wav"))
    assert len(files) == 3 and audio.read_tags(files[0])["title"] == "slow piano"
    files[1].unlink()
    before = files[0].stat().st_mtime_ns
    assert cli.run(words) == 0
    assert files[1].is_file() and files[0].stat().st_mtime_ns == before
    assert "3 pieces, 2 of them were there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["generate"], "There is no prompt"),
        (["generate", "x", "--prompts", "p.txt"], "--prompts has all prompts in its file"),
        (["generate", "--prompts", "p.txt"], "--prompts makes many files; name the folder"),
        (["generate", "--prompts", "none.txt", "-o", "out"], "There is no file none.txt"),
        (["generate", "--prompts", "p.txt", "-o", "out", "--count", "2"], "--prompts makes one piece of a prompt, not 2"),
        (["generate", "--prompts", "p.txt", "--stream"], "--prompts makes many pieces at once"),
        (["generate", "x", "--stream", "--report"], "--stream and --report do not go together"),
        (["generate", "x", "--stream", "--format", "mp3"], "A file that grows is a wav file, not mp3"),
        (["generate", "x", "--stream", "-o", "a.flac"], "A file that grows is a wav file; let a.flac end in .wav"),
        (["generate", "x", "--compile", "--compare", "a,b"], "--compile and --compare do not go together"),
        (["generate", "--prompts", "empty.txt", "-o", "out"], "empty.txt holds no prompt"),
        (["generate", "--prompts", "bad.txt", "-o", "out"], "bad.txt, line 2: The prompt holds no word"),
        (["bench", "--clock", "cpu"], "The processor's seconds are those of one thread"),
        (["bench", "--dtypes", "fp16"], "There is no dtype 'fp16'"),
        (["bench", "--batches", "0"], "Batches are whole numbers"),
        (["bench", "jasco-tiny", "--versus", "transformers"], "transformers has no network like jasco-tiny"),
    ],
)
def test_refusals(words, sentence, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("p.txt", "piano"), ("empty.txt", "\n \n"), ("bad.txt", "piano\n!!!\n")):
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.iterdir())
    assert cli.run(words) == 2
    assert capsys.readouterr().err.startswith(f"counterpoint: {sentence}")
    assert sorted(tmp_path.iterdir()) == before
