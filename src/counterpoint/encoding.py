"""A corpus of audio and a codec -> a cache of frames, tokens and painted scores (its layout is described in `data/latents.py`).

The cache grows in OUT.partial and takes its name when it is whole.  Each clip that is done is noted there, so that a run that
was killed goes on where it stopped.  Worker processes decode, encode and paint, with one thread each.
"""

import hashlib
import json
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint import annotation
from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.data.folder import Row, read_folder
from counterpoint.data.latents import CacheInfo
from counterpoint.music import Score
from counterpoint.types import Progress, Roll

Painter = Callable[[Score, float, int], Roll]
"""(score, frames per second, frames) -> Roll; a module-level function, so that worker processes find it."""

ARRAYS = ("frames", "tokens", "rolls", "vectors")


def encode(
    corpus: Path,
    codec: Codec,
    out: Path,
    paint: Painter | None = None,
    workers: int = 1,
    batch: int = 8,
    progress: Progress | None = None,
) -> CacheInfo:
    """Cache every clip of a corpus folder, going on where an earlier call was stopped; a whole cache is left as it is.

    `batch` clips are encoded at once by each of `workers` processes.  Raises ValueError when `out` was made by another codec
    or from other clips, when a clip cannot be read, or when the disk is too small.
    """
    rows = read_folder(corpus)
    if not rows:
        raise ValueError(f"{corpus} holds no clips; compose some (counterpoint compose), or give another folder.")
    info = describe(rows, codec, paint)
    if (out / "info.json").is_file():
        _same_or_refuse(info, out)
        return info
    partial = out.with_name(out.name + ".partial")
    if (partial / "info.json").is_file():
        _same_or_refuse(info, partial)
    else:
        _create(partial, info)
    done = _read_done(partial)
    missing = [(i, row) for i, row in enumerate(rows) if i not in done]
    with (partial / "done.jsonl").open("a", encoding="utf-8") as notes:
        for lengths in _work(_Job(codec, paint, info, partial), _chunks(missing, batch), workers):
            notes.write("".join(json.dumps([index, frames]) + "\n" for index, frames in lengths.items()))
            notes.flush()
            done.update(lengths)
            if progress is not None:
                progress(len(done), len(rows))
    _finish(partial, out, rows, done)
    return info


def describe(rows: Sequence[Row], codec: Codec, paint: Painter | None) -> CacheInfo:
    """What the cache of these clips by this codec will be."""
    samples = max(_samples(row, codec) for row in rows)
    frames = codec.num_frames(samples)
    score = next((score for row in rows if paint is not None and (score := _score(row)) is not None), None)
    roll = None if score is None or paint is None else paint(score, codec.spec.rate, frames)
    names = "\n".join(f"{row.id} {row.split}" for row in rows)
    return CacheInfo(
        codec=digest(codec.frame_state()),
        codebooks=digest(codec.token_state()),
        spec=codec.spec,
        sample_rate=codec.sample_rate,
        channels=codec.channels,
        corpus=hashlib.sha256(names.encode()).hexdigest(),
        clips=len(rows),
        frames=frames,
        painted=None if roll is None else (roll.frames.shape[1], len(roll.vector)),
    )


def digest(state: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors, with their names and shapes."""
    sha = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _samples(row: Row, codec: Codec) -> int:
    return round(row.seconds * codec.sample_rate)


def _score(row: Row) -> Score | None:
    path = row.values.get("annotation")
    return None if path is None else annotation.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))


def _same_or_refuse(info: CacheInfo, folder: Path) -> None:
    found = CacheInfo.read(folder / "info.json")
    if (found.codec, found.codebooks) != (info.codec, info.codebooks):
        raise ValueError(f"{folder} was made by another codec; encode into another folder, or delete it first.")
    if found != info:
        raise ValueError(f"{folder} was made from other clips; encode into another folder, or delete it first.")


def _create(folder: Path, info: CacheInfo) -> None:
    """Empty arrays of the final size, with their room on the disk taken at once: a full disk shows now, not later."""
    spec = info.spec
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {"frames": (np.float16, (info.clips, info.frames, spec.dim))}
    if spec.levels:
        shapes["tokens"] = (np.int16, (info.clips, spec.levels, info.frames))
    if info.painted is not None:
        shapes["rolls"] = (np.uint8, (info.clips, info.frames, info.painted[0]))
        shapes["vectors"] = (np.float32, (info.clips, info.painted[1]))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (kind, shape) in shapes.items():
            path = folder / f"{name}.npy"
            np.lib.format.open_memmap(path, "w+", kind, shape)
            if sys.platform == "linux":
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        (folder / "info.json").write_text(info.dump(), encoding="utf-8")  # the last: what has it is ready to be filled
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror}); choose another folder or make room there.") from error


def _read_done(folder: Path) -> dict[int, int]:
    """Frames of the clips that are done, by number; a line that a kill cut short does not count."""
    path = folder / "done.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    path.write_text(whole, encoding="utf-8")
    return dict(json.loads(line) for line in whole.splitlines())


_Chunk = list[tuple[int, Row]]


def _chunks(rows: _Chunk, size: int) -> list[_Chunk]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


@dataclass
class _Job:
    """What a worker needs; the arrays are opened where they are written."""

    codec: Codec
    paint: Painter | None
    info: CacheInfo
    folder: Path
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def open(self) -> None:
        paths = {name: self.folder / f"{name}.npy" for name in ARRAYS}
        self.arrays = {name: np.load(path, mmap_mode="r+") for name, path in paths.items() if path.is_file()}
        self.codec.eval()

    @torch.inference_mode()
    def run(self, chunk: _Chunk) -> dict[int, int]:
        """Encode, paint and write some clips; their numbers of frames."""
        audio = {index: self._audio(row) for index, row in chunk}
        lengths: dict[int, int] = {}
        for _, group in groupby(sorted(audio, key=lambda i: audio[i].shape[-1]), key=lambda i: audio[i].shape[-1]):
            indices = list(group)
            frames = self.codec.encode(torch.stack([audio[i] for i in indices]))
            self._write("frames", indices, frames)
            if "tokens" in self.arrays:
                self._write("tokens", indices, self.codec.to_tokens(frames).transpose(1, 2))
            lengths |= dict.fromkeys(indices, min(frames.shape[1], self.info.frames))
        for index, row in chunk:
            self._paint(index, row, lengths[index])
        return dict(sorted(lengths.items()))

    def _audio(self, row: Row) -> Tensor:
        audio, rate = sound.read(row.path)
        return sound.mix(sound.resample(audio, rate, self.codec.sample_rate), self.codec.channels)

    def _write(self, name: str, indices: list[int], rows: Tensor) -> None:
        """Rows "b t *" into the array; the time axis comes last where it holds tokens."""
        for index, row in zip(indices, rows.cpu().numpy()[:, : self.info.frames], strict=True):
            place = self.arrays[name][index].T if name == "tokens" else self.arrays[name][index]
            place[: len(row)] = row

    def _paint(self, index: int, row: Row, frames: int) -> None:
        score = _score(row) if "rolls" in self.arrays else None
        if score is None or self.paint is None:
            return
        roll = self.paint(score, self.info.spec.rate, frames)
        self.arrays["rolls"][index, :frames] = roll.frames
        self.arrays["vectors"][index] = roll.vector


_job: _Job | None = None  # of this worker process; set once when it starts


def _start(content: bytes) -> None:
    global _job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer
    torch.set_num_threads(1)
    job = pickle.loads(content)
    assert isinstance(job, _Job)
    job.open()
    _job = job


def _run(chunk: _Chunk) -> dict[int, int]:
    assert _job is not None
    return _job.run(chunk)


def _work(job: _Job, chunks: list[_Chunk], workers: int) -> Iterator[dict[int, int]]:
    """The chunks' lengths as they come ready; with one worker in this process, else in processes of their own."""
    if workers <= 1 or len(chunks) <= 1:
        job.open()
        yield from (job.run(chunk) for chunk in chunks)
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads half
    with ProcessPoolExecutor(min(workers, len(chunks)), context, _start, (pickle.dumps(job),)) as pool:
        try:
            for future in as_completed([pool.submit(_run, chunk) for chunk in chunks]):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finish(partial: Path, out: Path, rows: Sequence[Row], done: dict[int, int]) -> None:
    lines: list[dict[str, Any]] = [
        {
            "id": row.id,
            "split": row.split,
            "captions": list(row.captions),
            "seconds": row.seconds,
            "frames": done[index],
            "score": "annotation" in row.values,
        }
        for index, row in enumerate(rows)
    ]
    (partial / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (partial / "done.jsonl").unlink()
    os.replace(partial, out)
