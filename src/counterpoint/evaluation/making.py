"""The clips that a model makes of prompts, one file each; what is there already is not made again.

A clip's file name ends in a digest of all that it depends on (weights, words, plan, seed, settings), so that a folder may be
filled by several calls and a change of any of them is a new file.  `metadata.jsonl`, written last, names those of this call.
"""

import hashlib
import json
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from counterpoint import audio, generation, request, rng
from counterpoint.data.row import METADATA
from counterpoint.evaluation.sets import Prompt
from counterpoint.files import write_text
from counterpoint.hub import checkpoint, foreign
from counterpoint.parallel import collect, one_thread
from counterpoint.request import Request
from counterpoint.types import Progress

PLANS = ("auto", "none", "given")
"""How a model is told the music: a score composed from the words, the words alone, or each prompt's own plan."""


@dataclass(frozen=True)
class Asking:
    """How a model is asked: the plan (one of PLANS), the seed from which each prompt's follows, and its sampler's settings."""

    model: str
    plan: str = "auto"
    seed: int = 0
    seconds: float | None = None
    sampling: tuple[tuple[str, Any], ...] = ()


def make(asking: Asking, prompts: Sequence[Prompt], folder: Path, workers: int = 1, progress: Progress | None = None) -> Path:
    """A clip for each prompt in `folder`, and its table; returns the folder.  Raises ValueError for what cannot be made."""
    version = version_of(asking.model)
    claim(folder)
    jobs = [_job(asking, version, prompt, folder) for prompt in prompts]
    missing = [job for job in jobs if not job.target.is_file()]
    done = len(jobs) - len(missing)
    if progress:
        progress(done, len(jobs))
    for count in _all(asking.model, missing, workers):
        done += count
        if progress:
            progress(done, len(jobs))
    rows = [
        {"file_name": job.target.name, "id": job.prompt.id, "text": job.prompt.text, "seed": job.asked.seed, "model": version}
        for job in jobs
    ]
    write_text(folder / METADATA, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return folder


MARK = ".made-by-counterpoint-evaluate"


def claim(folder: Path) -> None:
    """Make `folder` one that holds what was made here, and nothing else.  Raises ValueError where it holds other things."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise ValueError(
            f"{folder} holds files that were not made here; choose a new or empty folder for what the model makes."
        )
    write_text(folder / MARK, "")


@dataclass(frozen=True)
class _Job:
    prompt: Prompt
    asked: Request
    target: Path


def version_of(model: str) -> str:
    """A model's name and what pins it down.  Raises ValueError for one that is not to be had, or makes no music."""
    folder = checkpoint.locate(model)
    if foreign.system_there(folder):
        return f"{Path(model).name} {checkpoint.load(model).version}"
    manifest = checkpoint.read_manifest(folder)
    if manifest.kind not in checkpoint.SYSTEMS:
        raise ValueError(f"{model!r} does not make music from words; give a folder of audio, or one of the generators.")
    return f"{Path(model).name} {manifest.version}+{manifest.weights[:8]}"


def _job(asking: Asking, version: str, prompt: Prompt, folder: Path) -> _Job:
    if asking.plan not in PLANS:
        raise ValueError(f"There is no plan {asking.plan!r}; known are {', '.join(PLANS)}.")
    plan = asking.plan
    if plan == "given":
        if prompt.plan is None:
            raise ValueError(f"The prompt {prompt.id} gives no plan; add its MIDI file, or ask with --plan auto or none.")
        plan = prompt.plan
    seed = rng.mix(asking.seed, int.from_bytes(hashlib.sha256(prompt.id.encode()).digest()[:4], "big"))
    told = {"text": prompt.text, "seconds": asking.seconds or prompt.seconds, "seed": seed, "plan": plan}
    asked = request.read({**told, **dict(asking.sampling)})
    plan_file = hashlib.sha256(Path(plan).read_bytes()).hexdigest() if Path(plan).is_file() else plan
    depends = json.dumps([version, asked.model_dump(mode="json", exclude={"plan"}), plan_file], sort_keys=True)
    stem = re.sub(r"[^\w.-]+", "-", prompt.id)[:80]
    return _Job(prompt, asked, folder / f"{stem}-{hashlib.sha256(depends.encode()).hexdigest()[:8]}.flac")


def _all(model: str, jobs: list[_Job], workers: int) -> Iterator[int]:
    """Make the jobs; yields how many more are done, as they come."""
    if workers == 1 or len(jobs) < 2:
        if jobs:
            maker = _Maker(model)
            with one_thread():
                for job in jobs:
                    maker.make(job)
                    yield 1
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), spawn, _start_worker, (model,)) as pool:
        yield from collect(pool, _work, jobs)


class _Maker:
    """A model, loaded once per process."""

    def __init__(self, model: str):
        self._model = generation.load(model)

    def make(self, job: _Job) -> int:
        take = next(self._model.takes(job.asked))
        audio.write(job.target, take.audio, take.sample_rate)
        return 1


_worker: _Maker | None = None


def _start_worker(model: str) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = _Maker(model)


def _work(job: _Job) -> int:
    assert _worker is not None, "the worker was not started"
    return _worker.make(job)
