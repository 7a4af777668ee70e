"""Many prompts at once: items of one length are made side by side, as many as memory takes, and each has its own seed.

An item is what it is alone, but for rounding.  Beside the audio lies a journal of what each file was made from; a file that is
there and was made from the same request, by the same model in as many bits, is not made again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from counterpoint import destination, request, runtime, windows
from counterpoint.controls.told import windowed
from counterpoint.files import whole_lines, writing
from counterpoint.generation import Job, Model
from counterpoint.request import Request
from counterpoint.rng import mix
from counterpoint.takes import Take
from counterpoint.types import Canvas, Progress, time_axis

JOURNAL = "made.jsonl"
MOST = 64
"""Items that are made side by side at most."""


@dataclass(frozen=True)
class Piece:
    """One of many: what is asked, the file that it becomes, and by what: the model and how it computes."""

    asked: Request
    path: Path
    by: Mapping[str, Any]

    @property
    def line(self) -> str:
        """What the journal says of it."""
        told = {"file": self.path.name, **self.by, "asked": self.asked.model_dump(mode="json", exclude_defaults=True)}
        return json.dumps(told)

    def is_there(self) -> bool:
        """Whether the file was made, at last from just this by just that."""
        if not self.path.is_file():
            return False
        told = (line for line in whole_lines(self.path.parent / JOURNAL) if json.loads(line)["file"] == self.path.name)
        return next(reversed([*told]), None) == self.line


def read(prompts: Path, asked: Request, folder: Path, format: str, by: Mapping[str, Any]) -> list[Piece]:
    """A piece for every line of a file that holds words; the n-th line has the n-th seed from the request's on.

    Raises ValueError for what is no such file, naming the line.
    """
    if not prompts.is_file():
        raise ValueError(f"There is no file {prompts}; give a text file with a prompt on every line.")
    try:
        lines = prompts.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{prompts} is no UTF-8 text; give a text file with a prompt on every line.") from error
    pieces = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            own = request.read({**asked.model_dump(exclude_defaults=True), "text": line, "seed": asked.seed + number})
        except ValueError as error:
            raise ValueError(f"{prompts}, line {number + 1}: {error}") from error
        name = f"{number + 1:04d}-{destination.slug(own.text)}-{own.seed}.{format}"
        pieces.append(Piece(own, folder / name, by))
    if not pieces:
        raise ValueError(f"{prompts} holds no prompt; write one on every line.")
    return pieces


def make(model: Model, pieces: Sequence[Piece], progress: Progress | None = None) -> Iterator[Piece]:
    """Make and write pieces, each named when its file is whole.  Raises ValueError, before any work, for what cannot be."""
    for piece in pieces:
        model.check(piece.asked)
    waiting = list(pieces)
    done = 0
    while waiting:
        jobs = [model.job(piece.asked, piece.asked.seed) for piece in waiting[:MOST]]
        first, frames = jobs[0], model.codec.num_frames(jobs[0].samples)
        room = runtime.items_at_once(model.system, frames)
        alike = [i for i, job in enumerate(jobs) if (job.samples, *job.values) == (first.samples, *first.values)][:room]
        for i, take in zip(alike, side_by_side(model, [jobs[i] for i in alike]), strict=True):
            piece = waiting[i]
            take.save(piece.path)
            with writing(piece.path.parent / JOURNAL), (piece.path.parent / JOURNAL).open("a", encoding="utf-8") as journal:
                journal.write(piece.line + "\n")
            done += 1
            if progress is not None:
                progress(done, len(pieces))
            yield piece
        waiting = [piece for i, piece in enumerate(waiting) if i not in alike]


@torch.inference_mode()
def side_by_side(model: Model, jobs: Sequence[Job]) -> list[Take]:
    """A take for each of several jobs of one length, told of by the same conditions and sampled alike."""
    started = perf_counter()
    system, axis = model.system, time_axis(model.system.view)
    frames = model.codec.num_frames(jobs[0].samples)
    blank = Canvas.blank(len(jobs), frames, system.spec, system.view)
    made, given = blank.frames.to(model.device), blank.given.to(model.device)
    for i, here in enumerate(windows.evenly(frames, system.spec.frames(model.checkpoint.config.window_seconds))):
        told = [windowed(job.values, here) for job in jobs]
        values = {name: [own[name][0] for own in told] for name in told[0]}
        seeds = [job.seed if i == 0 else mix(job.seed, i) for job in jobs]
        place = made.narrow(axis, here.start, here.stop - here.start)
        place.copy_(system.generate(Canvas(place.clone(), given[:, here].clone()), values, seeds, jobs[0].sampling))
        given[:, here] = True
    spent = (perf_counter() - started) / len(jobs)
    return [model.finish(job, made[i : i + 1], spent, len(jobs) - 1) for i, job in enumerate(jobs)]
