"""Anybody's audio trains as it lies there: every file is either in the data or in the report, never neither, never both."""

import csv
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from counterpoint import cli
from counterpoint.data import index as indexing
from counterpoint.data.clips import AudioDataset
from counterpoint.data.folder import FOREIGN, SUFFIXES
from counterpoint.data.index import index
from counterpoint.data.latents import LatentDataset
from counterpoint.data.report import read_skipped, summary
from counterpoint.data.row import split_of
from counterpoint.encoding import encode
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Canvas, Spec
from test_encoding import RATE, Means, arrays, identical

ROOT = Path(__file__).parent.parent


def noise(number: int, seconds: float = 2.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(number).uniform(-0.5, 0.5, (round(seconds * rate), channels)).astype(np.float32)


def write(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".aif": "AIFF", ".oga": "OGG", ".opus": "OGG"}.get(path.suffix.lower(), path.suffix[1:].upper())
    soundfile.write(path, audio, rate, subtype, format=kind)
    return path


def lines(out: Path) -> list[dict]:
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    return [row for row in rows if row["frames"]]


def snapshot(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


FILES = [
    ("plain.wav", 8000, 1, "PCM_16"),
    ("Deep Folder/with spaces.WAV", 44100, 2, "PCM_24"),
    ("Ünïcode/песня № 1 🎵.flac", 96000, 2, "PCM_24"),
    ("surround.wav", 48000, 6, "FLOAT"),
    ("old tape.aif", 22050, 1, "PCM_16"),
    ("名前.Flac", 32000, 1, "PCM_16"),
]
LOSSY = [("a song.mp3", 44100, 2, None), ("b.MP3", 16000, 1, None), ("c.ogg", 48000, 2, "VORBIS"), ("d.opus", 48000, 1, "OPUS")]


@pytest.mark.parametrize(("name", "rate", "channels", "subtype"), FILES + LOSSY)
def test_any_format_rate_and_channel_count_is_read(name, rate, channels, subtype, tmp_path):
    """A step from 0.2 to -0.1 stays one, whatever it is kept in; a lossy codec may round its corners."""
    step = np.repeat([[0.2], [-0.1]], rate, axis=0) * np.ones((1, channels))
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)[:, None] * np.ones((1, channels))
    lossy = (name, rate, channels, subtype) in LOSSY
    write(tmp_path / "songs" / name, tone if lossy else step, rate, subtype)
    info = encode(tmp_path / "songs", Means(), tmp_path / "out")
    [row] = lines(tmp_path / "out")
    assert row["file"] == name and row["frames"] == pytest.approx(50, abs=3 if lossy else 0) and info.clips == 1
    if not lossy:
        frames = arrays(tmp_path / "out")["frames"][0, :, 0]
        assert np.allclose(frames[2:23], 0.2, atol=2e-3) and np.allclose(frames[27:48], -0.1, atol=2e-3)


def bad_files(folder: Path) -> dict[str, str]:
    """One file of each kind that cannot be used -> the reason that it must be given."""
    write(folder / "silent.wav", np.zeros(2 * RATE))
    write(folder / "nearly silent.flac", 0.0009 * np.sign(noise(1)))
    write(folder / "too short.wav", noise(2, 0.9))
    write(folder / "clipped.wav", (8 * noise(3)).clip(-1, 1))
    write(folder / "no numbers.wav", np.full(2 * RATE, np.nan), subtype="FLOAT")
    (folder / "no audio.mp3").write_bytes(b"<html>not found</html>" * 100)
    (folder / "no bytes.ogg").write_bytes(b"")
    (folder / "phone.m4a").write_bytes(b"ftypM4A")
    whole = write(folder / "damaged.flac", noise(4, 8.0)).read_bytes()
    (folder / "damaged.flac").write_bytes(whole[: len(whole) // 2])
    write(folder / "brackets.wav", noise(5))
    (folder / "brackets.json").write_text('{"description": "a tune"')
    write(folder / "latin.wav", noise(6))
    (folder / "latin.txt").write_bytes("Übung".encode("latin-1"))
    write(folder / "table.wav", noise(7))
    (folder / "table.json").write_text('{"description": {"a": 1}}')
    unreadable = ("no numbers.wav", "no audio.mp3", "no bytes.ogg", "damaged.flac")
    return {
        **{"silent.wav": "silent", "nearly silent.flac": "silent", "too short.wav": "too short", "clipped.wav": "clipped"},
        **dict.fromkeys(unreadable, "unreadable"),
        "phone.m4a": "unsupported",
        **dict.fromkeys(("brackets.wav", "latin.wav", "table.wav"), "bad sidecar"),
    }


@pytest.fixture(scope="module")
def songs(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """Twelve good songs of 2 to 35 s among files of every bad kind, and the reasons."""
    folder = tmp_path_factory.mktemp("own") / "my songs"
    for number in range(12):
        write(folder / "an album" / f"{number:02d} söng.wav", noise(100 + number, 2 + 3 * number))
    reasons = bad_files(folder)
    write(folder / "the same as 3.flac", soundfile.read(folder / "an album" / "03 söng.wav")[0])
    shutil.copy(folder / "an album" / "05 söng.wav", folder / "a copy.wav")
    (folder / "cover.jpg").write_bytes(b"picture")
    return folder, {**reasons, "the same as 3.flac": "duplicate", "an album/05 söng.wav": "duplicate"}


@pytest.fixture(scope="module")
def cache(songs, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cache") / "out"
    before = snapshot(songs[0])
    encode(index(songs[0], 10.0), Means(), out, batch=4)
    assert snapshot(songs[0]) == before  # nothing is written there
    return out


def test_every_file_is_used_or_skipped_with_the_reason(songs, cache):
    folder, reasons = songs
    everything = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.suffix in (*SUFFIXES, *FOREIGN)}
    used = {row["file"] for row in lines(cache)}
    skipped = {thing.file: thing.reason for thing in read_skipped(cache)}
    reasons = dict(reasons)
    assert skipped.pop("the same as 3.flac", skipped.pop("an album/03 söng.wav", None)) == reasons.pop("the same as 3.flac")
    assert skipped == reasons
    assert len(read_skipped(cache)) == len(skipped) + 1
    assert len(used) == 12 and len(used) + len(skipped) + 1 == len(everything)
    assert used | {thing.file for thing in read_skipped(cache)} == everything
    with (cache / "skipped.csv").open(newline="") as file:
        assert all(line["detail"] for line in csv.DictReader(file))


def test_a_summary_counts_what_the_report_lists(songs, cache):
    told = "\n".join(summary(cache))
    assert "used: 12 files" in told and "without a caption: 12" in told
    assert f"skipped: {len(songs[1])} files (4 unreadable, 3 bad sidecar, 2 duplicate, 2 silent, 1 clipped" in told
    assert index(songs[0]).strangers() == ["no audio: 1 .jpg"]


def test_songs_are_cut_without_loss_and_one_song_has_one_split(songs, cache):
    held, rows = arrays(cache)["frames"], [json.loads(line) for line in (cache / "rows.jsonl").read_text().splitlines()]
    parts: dict[str, list[tuple[int, dict]]] = {}
    for number, row in enumerate(rows):
        if row["frames"]:
            parts.setdefault(row["file"], []).append((number, row))
    for file, clips in parts.items():
        assert len({row["split"] for _, row in clips}) == 1
        audio = soundfile.read(songs[0] / file, dtype="float32")[0]
        seconds = len(audio) / RATE
        assert len(clips) == max(1, np.ceil(seconds / 10 - 0.1))
        if round(len(audio) / len(clips)) % 320 == 0 and len(audio) % len(clips) == 0:  # frames and cuts meet
            frames = np.concatenate([held[number, : row["frames"], 0] for number, row in clips])
            assert np.allclose(frames, audio.reshape(-1, 320).mean(1), atol=1e-3)
    assert max(len(clips) for clips in parts.values()) == 4
    assert {row["split"] for row in rows if row["frames"]} >= {"train", "valid"}


def test_stopped_and_called_again_is_never_stopped(songs, cache, tmp_path):
    def stop(done: int, total: int) -> None:
        if done > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(index(songs[0], 10.0), Means(), tmp_path / "out", batch=4, progress=stop)
    assert not (tmp_path / "out").exists()
    seen: list[int] = []
    encode(index(songs[0], 10.0), Means(), tmp_path / "out", batch=4, progress=lambda done, total: seen.append(done))
    assert seen[0] > 13
    assert identical(cache, tmp_path / "out")
    encode(index(songs[0], 10.0), Means(), tmp_path / "two", batch=4, workers=2)
    assert identical(cache, tmp_path / "two")


def test_a_file_of_which_only_some_clips_are_noted_is_done_again(songs, cache, tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    longest = tmp_path / "songs"
    write(longest / "a.wav", noise(1, 45.0))
    write(longest / "b.wav", noise(2, 5.0))
    encode(index(longest, 10.0), Means(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        encode(index(longest, 10.0), Means(), tmp_path / "out", progress=stop)
    notes = tmp_path / "out.partial" / "done.jsonl"
    notes.write_text("".join(line + "\n" for line in notes.read_text().splitlines()[:2]) + "[2, 2")
    encode(index(longest, 10.0), Means(), tmp_path / "out")
    assert identical(tmp_path / "whole", tmp_path / "out")


def test_what_has_been_opened_is_not_opened_again(tmp_path, monkeypatch):
    for number in range(5):
        write(tmp_path / "songs" / f"{number}.wav", noise(number, 0.5 if number == 4 else 2.0))
    notes = tmp_path / "notes.jsonl"
    first = index(tmp_path / "songs", 10.0, notes)
    with notes.open("a") as file:
        file.write('["/cut short by a k')
    write(tmp_path / "songs" / "3.wav", noise(3, 3.0))
    opened: list[str] = []
    measure = indexing.measure
    monkeypatch.setattr(indexing, "measure", lambda row: (opened.append(row.name), measure(row))[1])
    again = index(tmp_path / "songs", 10.0, notes)
    assert opened == ["3.wav"]
    assert [row.seconds for row in again.rows] == [2.0, 2.0, 2.0, 3.0] and again.skipped == first.skipped
    assert index(tmp_path / "songs", 10.0, notes).rows == again.rows and opened == ["3.wav"]


def test_progress_reaches_the_end(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number}.wav", noise(number))
    seen: list[tuple[int, int]] = []
    index(tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


@pytest.mark.parametrize(
    ("text", "table", "captions"),
    [
        (None, None, ()),
        ("a slow waltz\n\n  in  C \n", None, ("a slow waltz", "in  C")),
        ("\ufeffwith a mark\r\nand returns\r\n", None, ("with a mark", "and returns")),
        (None, {"description": "A waltz.", "bpm": 90, "key": "C", "genre": "folk", "moods": ["calm", "warm"], "title": None},
         ("A waltz.", "A waltz. folk, calm, warm, 90 bpm, C")),
        (None, {"genre": "rock", "instrument": "guitar", "keywords": ["loud"], "bpm": "120"}, ("rock, guitar, loud, 120 bpm",)),
        (None, {"captions": ["one", "two"], "genre": "rock"}, ("one", "two")),
        ("beside", {"caption": "inside"}, ("beside", "inside")),
        (None, {"artist": "somebody", "duration": 3}, ()),
    ],
)  # fmt: skip
def test_captions_come_from_what_lies_beside(text, table, captions, tmp_path):
    write(tmp_path / "song one.flac", noise(1))
    if text is not None:
        (tmp_path / "song one.txt").write_bytes(text.encode())
    if table is not None:
        (tmp_path / "song one.json").write_text(json.dumps(table))
    [row] = index(tmp_path).rows
    assert row.captions == captions


def test_an_audio_folder_with_a_table_in_each_split(tmp_path):
    for split, count in (("train", 3), ("validation", 1)):
        for number in range(count):
            write(tmp_path / split / f"{number}.wav", noise(number))
        rows = "".join(f'{number}.wav,"a tune, number {number}",jazz\n' for number in range(count))
        (tmp_path / split / "metadata.csv").write_text("file_name,text,genre\n" + rows)
    write(tmp_path / "train" / "forgotten.wav", noise(9))
    found = index(tmp_path)
    assert [(row.name, row.split) for row in found.rows] == [
        *((f"train/{number}.wav", "train") for number in range(3)),
        ("validation/0.wav", "valid"),
    ]
    assert found.rows[1].captions == ("a tune, number 1", "a tune, number 1. jazz")
    assert [(thing.file, thing.reason) for thing in found.skipped] == [("train/forgotten.wav", "not listed")]


def test_several_lines_of_one_file_are_several_captions(tmp_path):
    write(tmp_path / "a.wav", noise(1))
    (tmp_path / "metadata.jsonl").write_text(
        '{"file_name": "a.wav", "caption": "one"}\n{"file_name": "a.wav", "caption": "two"}\n'
        '{"file_name": "gone.wav", "caption": "three"}\n'
    )
    found = index(tmp_path)
    assert [row.captions for row in found.rows] == [("one", "two")]
    assert [(thing.file, thing.reason) for thing in found.skipped] == [("gone.wav", "missing")]
    assert "metadata.jsonl, line 3" in found.skipped[0].detail


def test_folders_that_are_splits_and_folders_that_are_bands(tmp_path):
    write(tmp_path / "test" / "a.wav", noise(1))
    write(tmp_path / "others" / "b.wav", noise(2))
    assert {row.split for row in index(tmp_path).rows} == {"train", "valid"}  # "test" is a band; one of two is held out
    write(tmp_path / "Train" / "c.wav", noise(3))
    assert {row.name: row.split for row in index(tmp_path).rows if row.stated} == {"Train/c.wav": "train", "test/a.wav": "test"}


def test_an_audiocraft_manifest(tmp_path, monkeypatch):
    write(tmp_path / "data set" / "near.wav", noise(1))
    write(tmp_path / "egs" / "beside.wav", noise(2))
    far = write(tmp_path / "elsewhere" / "far.mp3", noise(3))
    near = {"title": "x", "artist": "y", "description": "a tune", "bpm": 100.0, "key": "", "moods": [], "keywords": "sad, slow"}
    (tmp_path / "data set" / "near.json").write_text(json.dumps(near))
    paths = ["data set/near.wav", "beside.wav", str(far), "gone.wav", str(far)]
    text = "".join(
        json.dumps({"path": path, "duration": 99.0, "sample_rate": 8000, "amplitude": None, "weight": None, "info_path": None})
        + "\n"
        for path in paths
    )
    (tmp_path / "egs" / "data.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.chdir(tmp_path)
    for source in (tmp_path / "egs", tmp_path / "egs" / "data.jsonl.gz"):
        found = index(source)
        assert [row.name for row in found.rows] == paths[:3]
        assert [row.seconds for row in found.rows][:2] == [2.0, 2.0]  # as they are, not as they are said to be
        assert found.rows[0].captions == ("a tune", "a tune. sad, slow, 100 bpm")
        assert sorted((thing.file, thing.reason) for thing in found.skipped) == sorted(
            [("gone.wav", "missing"), (str(far), "duplicate")]
        )


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"path": 3}'])
def test_a_manifest_that_makes_no_sense_is_one_sentence(line, tmp_path):
    (tmp_path / "data.jsonl").write_text('{"path": "a.wav"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"data\.jsonl, line 2: "):
        index(tmp_path)


def test_nothing_to_use_is_one_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "egs").mkdir()
    (tmp_path / "egs" / "data.jsonl").write_text('{"path": "a.wav"}\n{"path": "b.wav"}\n')
    with pytest.raises(ValueError, match=r"Nothing in .* can be used \(2 missing\); the first is a\.wav: .*line 1"):
        encode(tmp_path / "egs", Means(), tmp_path / "out")
    write(tmp_path / "quiet" / "a.wav", np.zeros(2 * RATE))
    with pytest.raises(ValueError, match=r"can be used \(1 silent\); the first is a\.wav: all its samples are zero"):
        encode(tmp_path / "quiet", Means(), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["egs", "quiet"]


def test_a_few_files_hold_one_out_even_where_the_one_chosen_is_skipped(tmp_path):
    for number in range(4):
        write(tmp_path / "songs" / f"{number}.wav", noise(number))
    [chosen] = [row.name for row in index(tmp_path / "songs").rows if row.split == "valid"]
    assert all(split_of(str(number)) == "train" for number in range(4))
    write(tmp_path / "songs" / chosen, np.zeros(2 * RATE))
    encode(tmp_path / "songs", Means(), tmp_path / "out")
    assert len(LatentDataset(tmp_path / "out", "train", 10)) == 2 and len(LatentDataset(tmp_path / "out", "valid", 10)) == 1


def test_loud_music_can_be_kept(tmp_path):
    write(tmp_path / "songs" / "a.wav", (8 * noise(3)).clip(-1, 1))
    encode(tmp_path / "songs", Means(), tmp_path / "out", clipped=1.0)
    assert [row["file"] for row in lines(tmp_path / "out")] == ["a.wav"]


def test_a_cache_whole_or_half_done_knows_what_counted_as_clipped(tmp_path):
    write(tmp_path / "songs" / "a.wav", noise(3))
    out, half = tmp_path / "out", tmp_path / "half"
    encode(tmp_path / "songs", Means(), out, clipped=0.5)
    shutil.copytree(out, tmp_path / "half.partial")
    for place in (out, half):
        with pytest.raises(ValueError, match=r"was made with clipped = 0\.5, not 1; .* or use another folder\.$"):
            encode(tmp_path / "songs", Means(), place, clipped=1.0)
    encode(tmp_path / "songs", Means(), half, clipped=0.5)
    content = json.loads((out / "info.json").read_text())
    assert content.pop("clipped") == 0.5
    (out / "info.json").write_text(json.dumps(content))  # as caches were before they noted it
    assert encode(tmp_path / "songs", Means(), out).clipped == 0.02


def test_a_file_that_goes_away_meanwhile_is_skipped_as_missing(tmp_path):
    for number in range(3):
        write(tmp_path / "songs" / f"{number}.wav", noise(number))
    found = index(tmp_path / "songs")
    (tmp_path / "songs" / "1.wav").unlink()
    encode(found, Means(), tmp_path / "out")
    assert [row["file"] for row in lines(tmp_path / "out")] == ["0.wav", "2.wav"]
    assert [(thing.file, thing.reason) for thing in read_skipped(tmp_path / "out")] == [("1.wav", "missing")]


def test_a_codec_that_meets_a_damaged_file_names_it_and_says_what_to_do(tmp_path):
    bad_files(tmp_path / "songs")
    damaged, seen = ("no numbers.wav", "damaged.flac"), []
    data = AudioDataset([tmp_path / "songs"], "train", 8.0, RATE)
    for i, row in enumerate(data.rows):
        if row.name not in damaged:
            assert data.item(i, 0).audio is not None
            continue
        with pytest.raises(ValueError, match=rf"{row.name} .*; remove it, .* names in its skipped\.csv\.$") as error:
            data.item(i, 0)
        assert "\n" not in str(error.value)
        seen.append(row.name)
    assert sorted(seen) == sorted(damaged)


def test_a_link_back_is_no_endless_folder(tmp_path):
    write(tmp_path / "songs" / "a.wav", noise(1))
    (tmp_path / "songs" / "again").symlink_to(tmp_path / "songs")
    assert [row.name for row in index(tmp_path / "songs").rows] == ["a.wav"]


@pytest.mark.parametrize("config", [JascoConfig.tiny(), MusicgenConfig.tiny()])
def test_a_model_without_scores_is_told_words_alone(config):
    spec = Spec(25.0, 6, 4, 16)
    system = config.model_copy(update={"score": None}).build(spec)
    assert system.conditions == ("text",) and not any("score" in name for name in system.state_dict())
    blank = Canvas.blank(1, 20, system.spec, system.view)
    made = system.generate(blank, {"text": ["piano"]}, [1])
    assert torch.equal(made, system.generate(blank, {"text": ["piano"]}, [1])) and made.numel()
    with pytest.raises(ValueError, match="cannot be told 'score'"):
        system.generate(blank, {"text": ["piano"], "score": [object()]}, [1])


def test_from_a_folder_to_music(tiny_model, tmp_path, monkeypatch, capsys):
    """The page's three commands, on a model as small as can be."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        path = write(tmp_path / "my songs" / f"{number}.flac", noise(number, 3.0, 32000), 32000)
        path.with_suffix(".txt").write_text("a piano tune")
    small = ["system.backbone.width=32", "system.backbone.depth=2", "system.backbone.heads=2", "train.steps=2"]
    small += ["train.batch_size=2", "train.precision='fp32'", "train.sample_every=2", "system.sampling.steps=2"]
    codec, recipe = str(tiny_model / "codec"), str(ROOT / "recipes" / "own-data.toml")
    assert cli.run(["encode", "my songs", "--codec", codec, "-o", "runs/own-latents"]) == 0
    assert "used: 3 files" in capsys.readouterr().out
    assert cli.run(["encode", "my songs", "--codec", codec, "-o", "my songs/latents"]) == 2
    assert "never written to; write beside it" in capsys.readouterr().err and not Path("my songs/latents").exists()
    told = ["system.score.kind=score"]
    assert cli.run(["train", recipe, "-o", "runs/own", f"codec='{codec}'", *small, *told]) == 2
    assert "No clip in runs/own-latents has a score; leave system.score out" in capsys.readouterr().err
    assert cli.run(["train", recipe, "-o", "runs/own", f"codec='{codec}'", *small]) == 0
    assert cli.run(["generate", "a piano tune with gamelan", "--model", "runs/own", "--seconds", "3", "-o", "a.wav"]) == 0
    told = capsys.readouterr().out
    assert "plan: none" in told and "gamelan" in told
    assert soundfile.info("a.wav").duration == 3.0
    assert cli.run(["encode", "my songs", "--codec", codec, "-o", "again", "--clip-seconds", "0"]) == 2
    assert "ask for 1 to 600" in capsys.readouterr().err
