"""The cache's promises: it holds what the codec and the painter say, survives a kill, and belongs to one codec."""

import json
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from counterpoint import encoding
from counterpoint.codecs.base import Codec
from counterpoint.data.base import spread
from counterpoint.data.clips import AudioDataset
from counterpoint.data.latents import LatentDataset
from counterpoint.data.loader import Loader
from counterpoint.data.report import read_skipped, summary
from counterpoint.encoding import encode
from counterpoint.music import Score
from counterpoint.types import Roll, Spec

RATE = 8000


class Means(Codec):
    """A frame is the mean of 320 samples, in three scales; a token its sign."""

    def __init__(self, scale: float = 1.0, delay: float = 0.0):
        super().__init__()
        self.spec, self.sample_rate, self.channels, self.delay = Spec(25.0, 3, 2, 2), RATE, 1, delay
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 4.0]) * scale)

    def encode(self, audio: Tensor) -> Tensor:
        time.sleep(self.delay)
        padded = torch.nn.functional.pad(audio, (0, -audio.shape[-1] % 320))
        return padded.unflatten(-1, (-1, 320)).mean(-1).transpose(1, 2) * self.get_buffer("scale")

    def decode(self, frames: Tensor, samples: int | None = None) -> Tensor:
        raise NotImplementedError

    def to_tokens(self, frames: Tensor, levels: int | None = None) -> Tensor:
        return (frames[..., :2] > 0).long().transpose(1, 2)

    def from_tokens(self, tokens: Tensor) -> Tensor:
        raise NotImplementedError

    def frame_state(self) -> dict[str, Tensor]:
        return {"scale": self.get_buffer("scale")}

    def token_state(self) -> dict[str, Tensor]:
        return {}


def paint(score: Score, rate: float, frames: int) -> Roll:
    grid = np.arange(frames)[:, None] + np.zeros((1, 5))
    return Roll(grid.astype(np.uint8), np.full(2, score.bpm, np.float32))


def annotation(bpm: float) -> dict:
    names = {"style": "pop", "mood": None, "tempo": bpm, "metre": "4/4", "key": "C major"}
    return {"seconds": 4.0, **names, "beats": [0.0, 0.5], "downbeats": [0.0], "chords": [], "sections": [], "tracks": []}


def sound(number: int, samples: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(-0.5, 0.5, samples).astype(np.float32)


def length(number: int) -> int:
    return RATE * (4 if number % 3 else 3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    with (folder / "metadata.jsonl").open("w") as file:
        for number in range(9):
            name = f"{number:03d}"
            soundfile.write(folder / f"{name}.flac", sound(number, length(number)), RATE)
            (folder / f"{name}.json").write_text(json.dumps(annotation(60.0 + number)))
            row = {"file_name": f"{name}.flac", "id": name, "split": "valid" if number > 6 else "train"}
            row |= {
                "seconds": length(number) / RATE,
                "captions": [f"clip {number}", f"take {number}"],
                "annotation": f"{name}.json",
            }
            file.write(json.dumps(row) + "\n")
    return folder


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in sorted(folder.glob("*.npy"))}


def identical(a: Path, b: Path) -> bool:
    return [(p.name, p.read_bytes()) for p in sorted(a.iterdir())] == [(p.name, p.read_bytes()) for p in sorted(b.iterdir())]


@pytest.fixture(scope="module")
def cache(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cache") / "cache"
    encode(corpus, Means(), out, paint, workers=1, batch=4)
    return out


def test_the_cache_holds_what_numpy_says(cache):
    held = arrays(cache)
    assert {name: (a.shape, str(a.dtype)) for name, a in held.items()} == {
        "frames": ((9, 100, 3), "float16"),
        "tokens": ((9, 2, 100), "int16"),
        "rolls": ((9, 100, 5), "uint8"),
        "vectors": ((9, 2), "float32"),
    }
    for number in range(9):
        means = sound(number, length(number)).reshape(-1, 320).mean(1)
        frames = len(means)
        assert np.allclose(held["frames"][number, :frames], means[:, None] * [1, 2, 4], atol=1e-3)
        clear = np.abs(means) > 1e-4  # 16-bit audio may turn the sign of less
        assert np.array_equal(held["tokens"][number, 0, :frames][clear], (means > 0)[clear])
        assert np.array_equal(held["rolls"][number, :frames, 0], np.arange(frames))
        assert not held["frames"][number, frames:].any() and not held["rolls"][number, frames:].any()
        assert held["vectors"][number].tolist() == [60 + number] * 2


def test_workers_and_batches_change_nothing(corpus, cache, tmp_path):
    seen = []
    encode(
        corpus, Means(), tmp_path / "two", paint, workers=2, batch=2, progress=lambda done, total: seen.append((done, total))
    )
    assert identical(cache, tmp_path / "two")
    assert seen[-1] == (9, 9) and not (tmp_path / "two.partial").exists()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_encoding as t
t.encode(Path(sys.argv[1]), t.Means(delay=0.3), Path(sys.argv[2]), t.paint, batch=1)
"""


def test_killed_and_called_again_is_never_killed(corpus, cache, tmp_path):
    out, notes = tmp_path / "out", tmp_path / "out.partial" / "done.jsonl"
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(corpus), str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    end = time.monotonic() + 300  # a busy machine takes long to import torch
    while time.monotonic() < end and not (notes.exists() and notes.read_text().count("\n") >= 3):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists() and 3 <= notes.read_text().count("\n") < 9
    notes.write_text(notes.read_text() + "[8, 1")  # a line cut short by the kill
    seen = []
    encode(corpus, Means(), out, paint, progress=lambda done, total: seen.append(done))
    assert seen[0] > 3  # goes on, does not begin again
    assert identical(cache, out)


def test_a_cache_belongs_to_one_codec_and_one_corpus(corpus, cache, tmp_path):
    before = (cache / "frames.npy").stat().st_mtime_ns
    encode(corpus, Means(), cache, paint)
    assert (cache / "frames.npy").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="made by another codec"):
        encode(corpus, Means(scale=2.0), cache, paint)
    with pytest.raises(ValueError, match="made from other clips"):
        encode(corpus, Means(), cache, paint=None)


def test_a_clip_that_cannot_be_read_is_skipped_and_named(corpus, cache, tmp_path):
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    (folder / "004.flac").write_bytes(b"nothing like audio")
    encode(folder, Means(), tmp_path / "out", paint)
    [skipped] = read_skipped(tmp_path / "out")
    assert (skipped.file, skipped.reason) == ("004.flac", "unreadable")
    whole, left = (LatentDataset(place, "train", 40) for place in (cache, tmp_path / "out"))
    assert [row["id"] for _, row in left.rows] == [row["id"] for _, row in whole.rows if row["id"] != "004"]
    assert torch.equal(left.item(4, 0).frames, whole.item(5, 0).frames)


@pytest.mark.parametrize("damaged", ["{", "[]", '{"seconds": 4.0}'])
def test_an_annotation_that_cannot_be_read_is_named(corpus, tmp_path, damaged):
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    (folder / "004.json").write_text(damaged)
    with pytest.raises(ValueError, match=r"004\.json cannot be read as an annotation .*; mend or remove it\."):
        encode(folder, Means(), tmp_path / "out", paint)


def test_a_clip_that_was_composed_anew_is_noticed(corpus, cache, tmp_path):
    folder, out = shutil.copytree(corpus, tmp_path / "corpus"), shutil.copytree(cache, tmp_path / "out")
    encode(folder, Means(), out, paint)  # another place is no other corpus
    soundfile.write(folder / "004.flac", 0.5 * sound(99, length(4)), RATE)
    with pytest.raises(ValueError, match="made from clips that have since changed"):
        encode(folder, Means(), out, paint)
    shutil.copy(corpus / "004.flac", folder)
    lines = (folder / "metadata.jsonl").read_text()
    (folder / "metadata.jsonl").write_text(lines.replace("clip 2", "a better caption"))
    with pytest.raises(ValueError, match="made from clips that have since changed"):
        encode(folder, Means(), out, paint)


def test_a_cache_that_did_not_note_its_contents_stays_good(corpus, cache, tmp_path):
    out = shutil.copytree(cache, tmp_path / "out")
    info = json.loads((out / "info.json").read_text())
    assert info.pop("contents")
    (out / "info.json").write_text(json.dumps(info))
    encode(corpus, Means(), out, paint)
    assert len(LatentDataset(out, "train", 10)) == 7
    shutil.move(out, tmp_path / "half.partial")  # as it would lie there after a kill
    encode(corpus, Means(), tmp_path / "half", paint)
    ours = arrays(tmp_path / "half")
    assert all(np.array_equal(ours[name], array) for name, array in arrays(cache).items())


class Forbidden(Means):
    """Must not be asked for anything."""

    def num_frames(self, samples: int) -> int:
        raise AssertionError("work has begun")


def test_a_place_that_holds_something_else_is_refused_before_any_work(corpus, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "diary.txt").write_text("dear diary")
    (tmp_path / "file").write_text("dear diary")
    for name in ("folder", "file"):
        with pytest.raises(ValueError, match="is no cache; choose a new or empty folder"):
            encode(corpus, Forbidden(), tmp_path / name, paint)
    (tmp_path / "empty").mkdir()
    encode(corpus, Means(), tmp_path / "empty", paint)
    assert (tmp_path / "empty" / "info.json").is_file()


class Mortal(Means):
    """Its worker is killed, as by a system that runs out of memory."""

    def encode(self, audio: Tensor) -> Tensor:
        if multiprocessing.parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(audio)


def test_a_worker_that_is_killed_is_one_sentence(corpus, tmp_path):
    with pytest.raises(ValueError, match=r"A worker was ended from outside .* call again with fewer workers"):
        encode(corpus, Mortal(), tmp_path / "out", paint, workers=2, batch=4)


class Counting(Means):
    """Notes how many threads torch has."""

    def encode(self, audio: Tensor) -> Tensor:
        self.threads = torch.get_num_threads()
        return super().encode(audio)


def test_one_worker_computes_as_many_do(corpus, tmp_path):
    before, codec = torch.get_num_threads(), Counting()
    torch.set_num_threads(3)
    try:
        encode(corpus, codec, tmp_path / "out", paint)
        assert codec.threads == 1 and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_full_disk_is_one_sentence(corpus, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encoding.os, "posix_fallocate", full)
    with pytest.raises(ValueError, match=r"No space left.*make room"):
        encode(corpus, Means(), tmp_path / "out", paint)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_disk_that_fills_up_is_one_sentence(corpus, cache, tmp_path):
    partial = shutil.copytree(cache, tmp_path / "out.partial")
    (partial / "done.jsonl").symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"out\.partial cannot be written \(No space left.*make room"):
        encode(corpus, Means(), tmp_path / "out", paint)


def test_a_place_where_nothing_can_be_written_is_one_sentence(corpus, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"cannot be written .*choose another folder"):
        encode(corpus, Means(), tmp_path / "file" / "out", paint)


def test_crops_of_frames_scores_and_tokens_are_the_same_crop(cache):
    continuous, tokens = LatentDataset(cache, "train", 40), LatentDataset(cache, "train", 40, "tokens")
    held, firsts = arrays(cache), set()
    assert len(continuous) == 7
    for seed in range(30):
        item = continuous.item(1, seed)
        roll = item.values["score"]
        first = int(roll.frames[0, 0])
        firsts.add(first)
        assert np.array_equal(item.frames.numpy(), held["frames"][1, first : first + 40].astype(np.float32))
        assert np.array_equal(tokens.item(1, seed).frames.numpy(), held["tokens"][1][:, first : first + 40])
        assert roll.frames.shape == (40, 5) and roll.vector.tolist() == [61, 61]
        assert item.values["text"] in ("clip 1", "take 1")
    assert len(firsts) > 10 and min(firsts) >= 0 and max(firsts) <= 60
    assert {continuous.item(1, seed).values["text"] for seed in range(30)} == {"clip 1", "take 1"}


def test_the_whole_of_shorter_clips_is_padded_and_masked(cache):
    batch = Loader(LatentDataset(cache, "train", 200), 7, seed=0).batch(0)
    assert batch.frames is not None and batch.mask is not None
    assert batch.frames.shape == (7, 100, 3)
    assert sorted(batch.mask.sum(1).tolist()) == [75, 75, 75, 100, 100, 100, 100]
    assert all(roll.frames.shape == (100, 5) for roll in batch.values["score"])


def test_statistics_are_numpys(cache):
    mean, std = LatentDataset(cache, "valid", 10).statistics()
    frames = np.concatenate([arrays(cache)["frames"][7], arrays(cache)["frames"][8]]).astype(np.float64)
    assert np.allclose(mean, frames.mean(0), atol=1e-6) and np.allclose(std, frames.std(0), atol=1e-6)


def test_scalars_are_those_of_the_papers_four_lines(cache):
    """Appendix E.2, in numpy (torch's deviation divides by n - 1), over segments of which each is a random part of a clip."""
    train = LatentDataset(cache, "train", 10)
    M = np.stack(list(train.segments(2048, 2.0)))
    mean = M.mean()
    mean_std = M.std(axis=1, ddof=1).mean()
    assert M.shape == (2048, 50, 3) and train.scalars(2048, 2.0) == pytest.approx((mean, mean_std), rel=1e-9)
    parts = {held[first : first + 50].tobytes(): (number, first) for number, held, first in places(cache, range(7), 50)}
    found = [parts[segment.astype(np.float16).tobytes()] for segment in M]
    assert {number for number, _ in found} == set(range(7)) and len(set(found)) > 200
    assert np.array_equal(M, np.stack(list(train.segments(2048, 2.0))))
    whole = [frames.shape for frames in train.segments(200, 10.0)]  # as long as the clips are
    assert set(whole) == {(100, 3), (75, 3)}


def places(cache: Path, numbers: range, frames: int) -> list[tuple[int, np.ndarray, int]]:
    """Every place in a clip where so many frames begin."""
    held = arrays(cache)["frames"]
    lengths = [length(number) // 320 for number in numbers]
    return [
        (number, held[number], first)
        for number, whole in zip(numbers, lengths, strict=True)
        for first in range(whole - frames + 1)
    ]


def test_the_cache_notes_its_scalars_and_says_them(corpus, cache, tmp_path):
    """Old caches, which do not, are read all the same, and one that is whole stays as it is."""
    info = json.loads((cache / "info.json").read_text())
    mean, std = LatentDataset(cache, "train", 1).scalars()
    assert (info["mean"], info["std"]) == (mean, std)
    assert f"mean {mean:.4f}, deviation {std:.4f}" in "\n".join(summary(cache))
    old = shutil.copytree(cache, tmp_path / "old")
    (old / "info.json").write_text(json.dumps({name: value for name, value in info.items() if name not in ("mean", "std")}))
    assert encode(corpus, Means(), old, paint).mean is None and "deviation" not in "\n".join(summary(old))
    assert LatentDataset(old, "train", 1).scalars() == (mean, std)


def test_statistics_of_some_clips_are_those_of_clips_spread_over_the_split(cache):
    held = arrays(cache)["frames"].astype(np.float64)
    mean, _ = LatentDataset(cache, "train", 10).statistics(clips=4)
    assert np.allclose(mean, np.concatenate([held[i, : length(i) // 320] for i in (0, 1, 3, 5)]).mean(0), atol=1e-6)


@pytest.mark.parametrize(("count", "most"), [(7, 4), (601, 600), (5, 9), (1, 1), (3999, 2000)])
def test_spread_is_even_and_takes_all_that_it_may(count, most):
    chosen = spread(range(count), most)
    assert len(chosen) == min(count, most) and chosen[0] == 0
    gaps = np.diff([*chosen, count])
    assert gaps.max() - gaps.min() <= 1


def test_unknown_splits_and_folders_are_named(cache, corpus, tmp_path):
    with pytest.raises(ValueError, match="its splits are: train, valid"):
        LatentDataset(cache, "test", 10)
    with pytest.raises(ValueError, match="its splits are: train, valid"):
        AudioDataset([corpus], "test", 1.0, RATE)
    with pytest.raises(ValueError, match="not a cache"):
        LatentDataset(tmp_path, "train", 10)


def test_audio_crops_are_true_crops(corpus):
    dataset = AudioDataset([corpus], "train", 0.5, RATE)
    whole, _ = soundfile.read(corpus / "001.flac", dtype="float32")
    windows = np.lib.stride_tricks.sliding_window_view(whole, RATE // 2)
    starts = set()
    for seed in range(8):
        crop = dataset.item(1, seed).audio
        assert crop is not None and crop.shape == (1, RATE // 2)
        [start] = np.flatnonzero((windows[:, :8] == crop[0, :8].numpy()).all(1))
        assert np.array_equal(windows[start], crop[0].numpy())
        starts.add(int(start))
    assert len(starts) == 8
    assert torch.equal(dataset.item(1, 3).audio, dataset.item(1, 3).audio)


def test_audio_crops_come_at_the_asked_rate_and_channels(corpus):
    item = AudioDataset([corpus], "valid", 6.0, 2 * RATE, channels=2).item(0, 0)
    assert item.audio is not None and item.audio.shape == (2, 12 * RATE)
    assert item.audio[:, : length(7)].abs().mean() > 0.05 and not item.audio[:, 2 * length(7) :].any()
    assert math.isfinite(float(item.audio.sum()))


class Large(Means):
    """Does not fit into a pipe."""

    def __init__(self):
        super().__init__()
        self.register_buffer("ballast", torch.zeros(1_000_000))


INTERRUPTED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import test_encoding as t
from counterpoint import parallel
wait = parallel.as_completed
def announced(futures):
    print("ready", flush=True)
    return wait(futures)
parallel.as_completed = announced
if __name__ == "__main__":
    try:
        t.encode(Path(sys.argv[1]), t.Large(), Path(sys.argv[2]), t.paint, workers=2, batch=1)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_ctrl_c_while_workers_start_is_heard_once(corpus, tmp_path):
    """All processes of a terminal get it; only the first answers."""
    script = INTERRUPTED.format(tests=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, str(corpus), str(tmp_path / "out")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, **pipes, text=True, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, "")


def test_there_is_no_work_without_workers(corpus, tmp_path):
    with pytest.raises(ValueError, match="0 workers cannot work; ask for at least 1"):
        encode(corpus, Means(), tmp_path / "out", paint, workers=0)


def test_a_split_that_is_missing_comes_with_advice(cache):
    with pytest.raises(ValueError, match=r"its splits are: train, valid; 2 % of clips .* compose at least 0\.2 hours"):
        LatentDataset(cache, "test", 10)
