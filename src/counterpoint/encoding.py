"""A corpus of audio and a codec -> a cache of frames, tokens and painted scores (its layout is described in `data/latents.py`).

The cache grows in OUT.partial and takes its name when it is whole.  Each clip that is done is noted there, so that a run that
was killed goes on where it stopped.  Worker processes decode, encode and paint, with one thread each: sums over threads
would depend on their number.
"""

import hashlib
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
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
from counterpoint.files import renamed, writing
from counterpoint.music import Score
from counterpoint.parallel import collect, one_thread
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

    `batch` clips are encoded at once by each of `workers` processes.  Raises ValueError when there are no workers, when `out`
    holds something else, or was made by another codec or from other clips, when a clip or an annotation cannot be read, when a
    worker is killed, or when nothing can be written.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers cannot work; ask for at least 1.")
    occupied = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if occupied and not (out / "info.json").is_file():
        raise ValueError(f"{out} is there already and is no cache; choose a new or empty folder.")
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
    for lengths in _work(_Job(codec, paint, info, partial), _chunks(missing, batch), workers):
        _note_done(partial, lengths)
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
        contents=hashlib.sha256("\n".join(map(_content, rows)).encode()).hexdigest(),
    )


def _content(row: Row) -> str:
    """What changes when a clip does, without reading it: its length, captions, and the sizes of its audio and annotation."""
    files = [row.path, row.values.get("annotation")]
    return json.dumps([row.seconds, row.captions, [Path(file).stat().st_size for file in files if file is not None]])


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
    if path is None:
        return None
    try:
        return annotation.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an annotation ({str(error).rstrip('.')}); mend or remove it.") from error


def _same_or_refuse(info: CacheInfo, folder: Path) -> None:
    found = CacheInfo.read(folder / "info.json")
    if (found.codec, found.codebooks) != (info.codec, info.codebooks):
        raise ValueError(f"{folder} was made by another codec; encode into another folder, or delete it first.")
    if replace(found, contents=info.contents) != info:
        raise ValueError(f"{folder} was made from other clips; encode into another folder, or delete it first.")
    if found.contents not in (None, info.contents):
        raise ValueError(f"{folder} was made from clips that have since changed; encode into another folder, or delete it.")


def _create(folder: Path, info: CacheInfo) -> None:
    """Empty arrays of the final size, with their room on the disk taken at once: a full disk shows now, not later."""
    spec = info.spec
    shapes: dict[str, tuple[type, tuple[int, ...]]] = {"frames": (np.float16, (info.clips, info.frames, spec.dim))}
    if spec.levels:
        shapes["tokens"] = (np.int16, (info.clips, spec.levels, info.frames))
    if info.painted is not None:
        shapes["rolls"] = (np.uint8, (info.clips, info.frames, info.painted[0]))
        shapes["vectors"] = (np.float32, (info.clips, info.painted[1]))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, (kind, shape) in shapes.items():
            path = folder / f"{name}.npy"
            np.lib.format.open_memmap(path, "w+", kind, shape)
            if sys.platform == "linux":
                with path.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    with renamed(folder / "info.json") as path:  # the last: what has it is ready to be filled
        path.write_text(info.dump(), encoding="utf-8")


def _read_done(folder: Path) -> dict[int, int]:
    """Frames of the clips that are done, by number; a line that a kill cut short does not count."""
    path = folder / "done.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        with renamed(path) as temporary:
            temporary.write_text(whole, encoding="utf-8")
    return dict(json.loads(line) for line in whole.splitlines())


def _note_done(folder: Path, lengths: Mapping[int, int]) -> None:
    with writing(folder), (folder / "done.jsonl").open("a", encoding="utf-8") as notes:
        notes.write("".join(json.dumps([index, frames]) + "\n" for index, frames in lengths.items()))


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


def _start(file: Path) -> None:
    global _job
    torch.set_num_threads(1)
    job = pickle.loads(file.read_bytes())
    assert isinstance(job, _Job)
    job.open()
    _job = job


def _run(chunk: _Chunk) -> dict[int, int]:
    assert _job is not None
    return _job.run(chunk)


def _work(job: _Job, chunks: list[_Chunk], workers: int) -> Iterator[dict[int, int]]:
    """The chunks' lengths as they come ready; with one worker in this process, else in processes of their own."""
    if workers == 1 or len(chunks) <= 1:
        with writing(job.folder):
            job.open()
        with one_thread():
            yield from (job.run(chunk) for chunk in chunks)
        return
    context = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads half
    with tempfile.TemporaryDirectory() as folder:  # a job that went through the workers' pipes would be waited for
        file = Path(folder, "job")
        with writing(file):
            file.write_bytes(pickle.dumps(job))
        with ProcessPoolExecutor(min(workers, len(chunks)), context, _start, (file,)) as pool:
            yield from collect(pool, _run, chunks)


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
    with renamed(partial / "rows.jsonl") as path:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with writing(out):
        os.replace(partial, out)
        (out / "done.jsonl").unlink()  # not before: a kill in between would cost all that was done
