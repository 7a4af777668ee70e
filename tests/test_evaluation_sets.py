"""Sets of clips, their pairs, the features that are taken of them and kept, and what becomes of clips that are of no use."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from counterpoint.evaluation import extraction, sets
from counterpoint.evaluation.extraction import Work, extract
from counterpoint.evaluation.features import Arrays, Cache, Conditions, Feature, listen
from counterpoint.evaluation.sets import Prompt, gather, pairs, prompts

RATE = 8000


def write(path: Path, seconds: float = 2.0, seed: int = 0, gain: float = 0.1, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate)) * gain
    soundfile.write(path, noise, rate, "FLOAT")
    return path


class Level(Feature):
    """A feature that counts how often it listens."""

    identity, sample_rate, calls = "level 1", 4000, 0

    def __call__(self, audio: torch.Tensor, sample_rate: int) -> Arrays:
        Level.calls += 1
        return {"level": np.array([float(audio.square().mean().sqrt()), sample_rate])}


@pytest.fixture(autouse=True)
def _level(monkeypatch: pytest.MonkeyPatch) -> None:
    Level.calls = 0
    monkeypatch.setattr(extraction, "open_features", lambda name: [Level()])


def work(cache: Path, conditions: Conditions = Conditions()) -> Work:  # noqa: B008
    return Work(("level",), conditions, cache)


def test_a_sets_digest_is_of_its_sounds(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write(tmp_path / "one" / f"{name}.wav", seed=seed)
        write(tmp_path / "two" / f"{name}{name}.wav", seed=1 - seed)
    one, two = gather(tmp_path / "one"), gather(tmp_path / "two")
    assert one.digest == two.digest
    write(tmp_path / "two" / "c.wav", seed=2)
    assert gather(tmp_path / "two").digest != one.digest


def test_pairs_are_by_id_or_by_file_name(tmp_path: Path) -> None:
    for name in ("x", "y", "z"):
        write(tmp_path / "real" / "deep" / f"{name}.wav")
    for name in ("y", "z", "w"):
        write(tmp_path / "made" / f"{name}.wav")
    write(tmp_path / "same" / "deep" / "z.wav")
    real = gather(tmp_path / "real")
    assert [(m.id, r.id) for m, r in pairs(gather(tmp_path / "made"), real)] == [("y", "deep/y"), ("z", "deep/z")]
    assert [(m.id, r.id) for m, r in pairs(gather(tmp_path / "same"), real)] == [("deep/z", "deep/z")]


def test_features_are_kept_by_content_outside_the_data(tmp_path: Path) -> None:
    first = write(tmp_path / "data" / "a.wav")
    before = sorted(tmp_path.joinpath("data").rglob("*"))
    members = gather(tmp_path / "data").members
    assert extract(members, work(tmp_path / "cache")) == {}
    assert Level.calls == 1 and sorted(tmp_path.joinpath("data").rglob("*")) == before
    shutil.move(first, tmp_path / "data" / "renamed.wav")
    extract(gather(tmp_path / "data").members, work(tmp_path / "cache"))
    assert Level.calls == 1, "the same sound under another name"
    write(tmp_path / "data" / "renamed.wav", seed=5)
    changed = gather(tmp_path / "data").members
    extract(changed, work(tmp_path / "cache"))
    assert Level.calls == 2, "another sound under the same name"
    extract(changed, work(tmp_path / "cache", Conditions(loudness=-20.0)))
    assert Level.calls == 3, "other conditions"
    kept = Cache(tmp_path / "cache", Conditions()).get(changed[0].digest, Level.identity)
    assert kept is not None and kept["level"][1] == Level.sample_rate
    assert kept["level"][0] == pytest.approx(0.1 / 2**0.5, rel=0.05), "half the band of white noise is half its power"


def test_a_damaged_entry_counts_as_none(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.wav")
    (member,) = gather(tmp_path / "data").members
    extract([member], work(tmp_path / "cache"))
    (entry,) = (tmp_path / "cache").rglob("*.npz")
    entry.write_bytes(entry.read_bytes()[:40])
    extract([member], work(tmp_path / "cache"))
    assert Level.calls == 2


def test_what_is_of_no_use_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write(data / "good.wav"), write(data / "other-rate.wav", rate=22050, seed=1)
    write(data / "silent.wav", gain=0.0), write(data / "quiet.wav", gain=1e-5)
    nan = np.full(RATE * 2, np.nan, dtype=np.float32)
    soundfile.write(data / "nan.wav", nan, RATE, "FLOAT")
    (data / "corrupt.flac").write_bytes(b"fLaC" + bytes(100))
    (data / "empty.wav").touch()
    found = gather(data)
    refused = extract(found.members, work(tmp_path / "cache"))
    left = found.without(refused)
    assert [member.id for member in left.members] == ["good", "other-rate"]
    told = {thing.file: thing.detail for thing in left.skipped}
    assert set(told) == {"silent.wav", "quiet.wav", "nan.wav", "corrupt.flac", "empty.wav"}
    assert "silent" in told["silent.wav"] and "not numbers" in told["nan.wav"] and "empty" in told["empty.wav"]


def test_clips_are_cut_to_one_length_and_shorter_ones_refused(tmp_path: Path) -> None:
    write(tmp_path / "data" / "long.wav", 3.0), write(tmp_path / "data" / "short.wav", 1.5)
    long, short = gather(tmp_path / "data").members
    assert listen(long, Conditions(seconds=2.0))[0].shape == (1, 2 * RATE)
    with pytest.raises(ValueError, match=r"1\.50 s, less than the 2 s"):
        listen(short, Conditions(seconds=2.0))


def test_a_folder_without_use_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="holds no audio"):
        gather(tmp_path / "none")
    with pytest.raises(ValueError, match="There is no folder"):
        gather(tmp_path / "nowhere")
    write(tmp_path / "data" / "a.wav")
    with pytest.raises(ValueError, match="no clips of the split 'dev'"):
        gather(tmp_path / "data", split="dev")
    with pytest.raises(ValueError, match="0 workers"):
        extract(gather(tmp_path / "data").members, work(tmp_path), workers=0)


def test_prompts_are_lines_or_tables_or_captions(tmp_path: Path) -> None:
    text = tmp_path / "p.txt"
    text.write_text("a waltz\n\n  a march  \n")
    assert prompts(text) == [Prompt("prompt-000000", "a waltz"), Prompt("prompt-000001", "a march")]
    lines = tmp_path / "p.jsonl"
    lines.write_text(json.dumps({"text": "a waltz", "id": "w", "seconds": 3}) + "\n" + json.dumps({"text": "a march"}) + "\n")
    assert prompts(lines) == [Prompt("w", "a waltz", 3), Prompt("prompt-000001", "a march")]
    assert prompts(lines, most=1) == [Prompt("w", "a waltz", 3)]
    write(tmp_path / "data" / "a.wav")
    (tmp_path / "data" / "a.txt").write_text("a slow waltz\nthree four time\n")
    assert [(p.id, p.text) for p in prompts(tmp_path / "data")] == [("a", "a slow waltz")]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("p.txt", "\n", "holds no prompt"),
        ("p.jsonl", '{"words": "x"}\n', "line 1"),
        ("p.jsonl", "not json\n", "line 1"),
        ("p.jsonl", '{"text": "a", "id": "1"}\n{"text": "b", "id": "1"}\n', "'1' 2 times"),
    ],
)
def test_a_bad_prompt_file_is_one_sentence(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=complaint):
        sets.prompts(tmp_path / name)


def test_a_clip_without_a_caption_asks_for_nothing(tmp_path: Path) -> None:
    write(tmp_path / "data" / "a.wav")
    with pytest.raises(ValueError, match=r"a\.wav has no caption"):
        prompts(tmp_path / "data")
