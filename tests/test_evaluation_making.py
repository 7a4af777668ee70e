"""Clips that a model makes for an evaluation: each once, the same whoever makes them, and anew when anything changes."""

import json
from pathlib import Path

import pytest

from counterpoint.evaluation import making
from counterpoint.evaluation.making import Asking, make
from counterpoint.evaluation.sets import Prompt, gather

PROMPTS = [Prompt("one", "a slow waltz for piano", 1.0), Prompt("deep/two", "a fast rock song", 1.0)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(Asking(str(tiny_model), sampling=(("steps", 2),)), PROMPTS, tmp_path_factory.mktemp("made"))


def test_each_prompt_becomes_a_clip_under_its_id(made: Path) -> None:
    found = gather(made)
    assert [(m.id, m.captions[0]) for m in found.members] == [
        ("deep/two", "a fast rock song"),
        ("one", "a slow waltz for piano"),
    ]
    assert all(m.seconds == 1.0 for m in found.members) and not found.skipped
    seeds = [json.loads(line)["seed"] for line in (made / "metadata.jsonl").read_text().splitlines()]
    assert len(set(seeds)) == 2


def test_what_is_there_is_not_made_again(tiny_model: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(made)
    gone = next(path for path in made.iterdir() if path.name.startswith("one"))
    gone.unlink()
    asked = []
    maker = making._Maker.make
    monkeypatch.setattr(making._Maker, "make", lambda self, job: asked.append(job.prompt.id) or maker(self, job))
    make(Asking(str(tiny_model), sampling=(("steps", 2),)), PROMPTS, made)
    assert asked == ["one"] and contents(made) == before


def test_workers_change_no_byte(tiny_model: Path, made: Path, tmp_path: Path) -> None:
    make(Asking(str(tiny_model), sampling=(("steps", 2),)), PROMPTS, tmp_path, workers=2)
    assert contents(tmp_path) == contents(made)


def test_another_request_is_another_file(tiny_model: Path, tmp_path: Path) -> None:
    names = set()
    for asking in (Asking(str(tiny_model)), Asking(str(tiny_model), seed=1), Asking(str(tiny_model), plan="none")):
        make(asking, PROMPTS[:1], tmp_path)
        names.add((tmp_path / "metadata.jsonl").read_text())
    assert len(names) == 3 and len(list(tmp_path.glob("*.flac"))) == 3


def test_what_cannot_be_made_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not make music"):
        make(Asking("spectral-tiny"), PROMPTS, tmp_path)
    with pytest.raises(ValueError, match="gives no plan"):
        make(Asking(str(tiny_model), plan="given"), PROMPTS, tmp_path)
    with pytest.raises(ValueError, match="no plan 'maybe'"):
        make(Asking(str(tiny_model), plan="maybe"), PROMPTS, tmp_path)
    assert not list(tmp_path.glob("*.flac"))
