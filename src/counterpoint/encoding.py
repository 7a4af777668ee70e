"""A corpus of audio and a codec -> a cache of frames, tokens and painted scores (its layout is described in `data/latents.py`).

The cache grows in OUT.partial and takes its name when it is whole.  Each clip that is done is noted there, so that a run that
was killed goes on where it stopped.  Files that decoding shows to be of no use are noted, too, and left out at the end.  Worker
processes decode, encode and paint, with one thread each: sums over threads would depend on their number.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint import annotation
from counterpoint.codecs.base import Codec
from counterpoint.data.checks import CLIPPED, Hearing
from counterpoint.data.index import Index, index, nothing_usable
from counterpoint.data.latents import CacheInfo, note_scalars
from counterpoint.data.report import write_skipped
from counterpoint.data.row import Row, Skipped, hold_out
from counterpoint.files import renamed, whole_lines, writing
from counterpoint.music import Score
from counterpoint.types import Progress, Roll
from counterpoint.workers import by_workers

Painter = Callable[[Score, float, int], Roll]
"""(score, frames per second, frames) -> Roll; a module-level function, so that worker processes find it."""

ARRAYS = ("frames", "tokens", "rolls", "vectors")
PARTIAL = ".partial"
HEADS = "heads.jsonl"
"""In a cache that grows: what `index` has seen."""


@dataclass(frozen=True)
class Done:
    """What became of a clip: its frames, none where its file is skipped; and what its file sounds like, to find it again."""

    frames: int
    sound: str | None = None
    refusal: tuple[str, str] | None = None
    """The reason, in a word or two and in full."""


def check_workers(workers: int) -> None:
    """Raises ValueError where there are none."""
    if workers < 1:
        raise ValueError(f"{workers} workers cannot work; ask for at least 1.")


def encode(
    corpus: Path | Index,
    codec: Codec,
    out: Path,
    paint: Painter | None = None,
    workers: int = 1,
    batch: int = 8,
    progress: Progress | None = None,
    clipped: float = CLIPPED,
) -> CacheInfo:
    """Cache every clip of a corpus, going on where an earlier call was stopped; a whole cache is left as it is.

    A folder's files are taken whole; `data.index.index` cuts songs into clips.  `batch` clips are encoded at once by each of
    `workers` processes.  A file with a share of samples at full scale above `clipped` is skipped.  Raises ValueError when there
    are no workers, when `out` holds something else, or was made by another codec, from other clips or with another `clipped`,
    when no file or not an annotation can be read, when a worker is killed, or when nothing can be written.
    """
    check_workers(workers)
    _check_place(out)
    found = corpus if isinstance(corpus, Index) else index(corpus)
    rows = found.rows
    info = replace(describe(rows, codec, paint), clipped=clipped)
    if (out / "info.json").is_file():
        _same_or_refuse(info, out)
        return CacheInfo.read(out / "info.json")
    partial = out.with_name(out.name + PARTIAL)
    if (partial / "info.json").is_file():
        _same_or_refuse(info, partial)
    else:
        _create(partial, info)
    done = _read_done(partial)
    job = _Job(codec, paint, info, partial, batch)
    for news in by_workers(job, _chunks(rows, done, batch), workers):
        _note_done(partial, news)
        done.update(news)
        if progress is not None:
            progress(len(done), len(rows))
    _finish(partial, out, found, done)
    return CacheInfo.read(out / "info.json")


def take_stock(corpus: Path, out: Path, clip_seconds: float, progress: Progress | None = None) -> Index:
    """The corpus, its songs cut into clips, to be encoded into `out`; a call that was killed goes on.  Raises ValueError."""
    if corpus.is_dir() and out.resolve().is_relative_to(corpus.resolve()):
        raise ValueError(f"{out} lies in {corpus}, which is read and never written to; write beside it.")
    _check_place(out)
    return index(
        corpus, clip_seconds, None if (out / "info.json").is_file() else out.with_name(out.name + PARTIAL) / HEADS, progress
    )


def _check_place(out: Path) -> None:
    occupied = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if occupied and not (out / "info.json").is_file():
        raise ValueError(f"{out} is there already and is no cache; choose a new or empty folder.")


def describe(rows: Sequence[Row], codec: Codec, paint: Painter | None) -> CacheInfo:
    """What the cache of these clips by this codec will be."""
    samples = max(_samples(row, codec) for row in rows)
    frames = codec.num_frames(samples)
    score = next((score for row in rows if paint is not None and (score := score_of(row)) is not None), None)
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
    return json.dumps([row.seconds, row.captions, [_size(Path(file)) for file in files if file is not None]])


def _size(file: Path) -> int | None:
    """Bytes; None where a file has gone since it was listed, which its reading will tell."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def digest(state: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors, with their names and shapes."""
    sha = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        sha.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _samples(row: Row, codec: Codec) -> int:
    return round(row.seconds * codec.sample_rate)


def score_of(row: Row) -> Score | None:
    """The exact score of a clip, where its annotation tells one.  Raises ValueError for one that cannot be read."""
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
    if found.clipped != info.clipped:
        raise ValueError(
            f"{folder} was made with clipped = {found.clipped:g}, not {info.clipped:g}; ask for that, or use another folder."
        )
    if replace(found, contents=info.contents, mean=None, std=None) != info:
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


def _read_done(folder: Path) -> dict[int, Done]:
    """What became of the clips that are done, by number."""
    lines = [json.loads(line) for line in whole_lines(folder / "done.jsonl")]
    return {line[0]: _done(*line[1:]) for line in lines}


def _done(frames: int, sound: str | None = None, refusal: Sequence[str] | None = None) -> Done:
    return Done(frames, sound, None if refusal is None else (refusal[0], refusal[1]))


def _note_done(folder: Path, news: Mapping[int, Done]) -> None:
    with writing(folder), (folder / "done.jsonl").open("a", encoding="utf-8") as notes:
        lines = [[number, done.frames, done.sound, done.refusal] for number, done in news.items()]
        notes.write("".join(json.dumps(line) + "\n" for line in lines))


_File = list[tuple[int, Row]]
"""The clips of one file, with their numbers."""


def _chunks(rows: Sequence[Row], done: Mapping[int, Done], size: int) -> list[list[_File]]:
    """Files of which a clip is missing, as many together as have `size` clips, or one that has more."""
    chunks: list[list[_File]] = []
    clips = size
    for _, group in groupby(enumerate(rows), key=lambda pair: pair[1].path):
        file = list(group)
        if all(number in done for number, _ in file):
            continue
        if clips + len(file) > size:
            chunks.append([])
            clips = 0
        chunks[-1].append(file)
        clips += len(file)
    return chunks


@dataclass
class _Job:
    """What a worker needs; the arrays are opened where they are written."""

    codec: Codec
    paint: Painter | None
    info: CacheInfo
    folder: Path
    batch: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def open(self) -> None:
        paths = {name: self.folder / f"{name}.npy" for name in ARRAYS}
        with writing(self.folder):
            self.arrays = {name: np.load(path, mmap_mode="r+") for name, path in paths.items() if path.is_file()}
        self.codec.eval()

    @torch.inference_mode()
    def run(self, chunk: list[_File]) -> dict[int, Done]:
        """Decode, check, encode, paint and write the clips of some files; what became of each."""
        done: dict[int, Done] = {}
        lengths: dict[int, int] = {}
        waiting: dict[int, Tensor] = {}
        for file in chunk:
            hearing = Hearing(self.info.clipped)
            for start in range(0, len(file), self.batch):
                numbers, rows = zip(*file[start : start + self.batch], strict=True)
                waiting |= zip(numbers, hearing.read(rows, self.codec.sample_rate, self.codec.channels), strict=False)
                if len(waiting) >= self.batch:
                    lengths |= self._encode(waiting)
                    waiting = {}
            hearing.end()
            done |= {number: Done(0, hearing.sound, hearing.refusal) for number, _ in file}
        lengths |= self._encode(waiting)
        kept = {number: row for file in chunk for number, row in file if done[number].refusal is None}
        for number, row in kept.items():
            done[number] = replace(done[number], frames=lengths[number])
            self._paint(number, row, lengths[number])
        return done

    def _encode(self, audio: Mapping[int, Tensor]) -> dict[int, int]:
        """Encode and write clips; their numbers of frames."""
        lengths: dict[int, int] = {}
        for _, group in groupby(sorted(audio, key=lambda i: audio[i].shape[-1]), key=lambda i: audio[i].shape[-1]):
            indices = list(group)
            frames = self.codec.encode(torch.stack([audio[i] for i in indices]))
            self._write("frames", indices, frames)
            if "tokens" in self.arrays:
                self._write("tokens", indices, self.codec.to_tokens(frames).transpose(1, 2))
            lengths |= dict.fromkeys(indices, min(frames.shape[1], self.info.frames))
        return lengths

    def _write(self, name: str, indices: list[int], rows: Tensor) -> None:
        """Rows "b t *" into the array; the time axis comes last where it holds tokens."""
        for number, row in zip(indices, rows.cpu().numpy()[:, : self.info.frames], strict=True):
            place = self.arrays[name][number].T if name == "tokens" else self.arrays[name][number]
            place[: len(row)] = row

    def _paint(self, index: int, row: Row, frames: int) -> None:
        score = score_of(row) if "rolls" in self.arrays else None
        if score is None or self.paint is None:
            return
        roll = self.paint(score, self.info.spec.rate, frames)
        self.arrays["rolls"][index, :frames] = roll.frames
        self.arrays["vectors"][index] = roll.vector


def _finish(partial: Path, out: Path, found: Index, done: Mapping[int, Done]) -> None:
    """Say which clips are there and which files are not, and give the cache its name."""
    refused = _refusals(found.rows, done)
    skipped = sorted([*found.skipped, *refused.values()], key=lambda thing: thing.file)
    kept = hold_out([row for row in found.rows if row.name not in refused])
    if not kept:
        shutil.rmtree(partial)
        raise nothing_usable(found.source, skipped)
    splits = {row.id: row.split for row in kept}
    lines: list[dict[str, Any]] = [
        {
            "id": row.id,
            "file": row.name,
            "split": splits.get(row.id, row.split),
            "captions": list(row.captions),
            "seconds": row.seconds,
            "frames": 0 if row.name in refused else done[number].frames,
            "score": "annotation" in row.values,
        }
        for number, row in enumerate(found.rows)
    ]
    with renamed(partial / "rows.jsonl") as path:
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    write_skipped(partial, skipped)
    note_scalars(partial)
    (partial / HEADS).unlink(missing_ok=True)
    with writing(out):
        os.replace(partial, out)
        (out / "done.jsonl").unlink()  # not before: a kill in between would cost all that was done


def _refusals(rows: Sequence[Row], done: Mapping[int, Done]) -> dict[str, Skipped]:
    """Files that decoding has shown to be of no use, by name; of those that sound the same the first is kept."""
    refused: dict[str, Skipped] = {}
    firsts: dict[str, str] = {}
    for number, row in enumerate(rows):
        refusal, heard = done[number].refusal, done[number].sound
        if refusal is not None:
            refused[row.name] = Skipped(row.name, *refusal)
        elif heard is not None and firsts.setdefault(heard, row.name) != row.name:
            refused[row.name] = Skipped(row.name, "duplicate", f"it sounds the same as {firsts[heard]} to the last sample")
    return refused
