"""Long work by several processes: a job goes to each of them once, and then chunk after chunk.

Each computes with one thread: sums over several threads depend on their number.
"""

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from counterpoint.files import writing
from counterpoint.parallel import collect, one_thread

C = TypeVar("C")
C_in = TypeVar("C_in", contravariant=True)
R = TypeVar("R")
R_out = TypeVar("R_out", covariant=True)


class Job(Protocol[C_in, R_out]):
    """What a worker needs; it goes to another process by pickle, before it is opened."""

    def open(self) -> None:
        """Open the files that are to be written, once in each process."""
        ...

    def run(self, chunk: C_in) -> R_out:
        """Do a chunk of the work; the result says what became of it."""
        ...


def by_workers(job: Job[C, R], chunks: Sequence[C], workers: int) -> Iterator[R]:
    """What became of the chunks, as they come ready; with one worker in this process, else in processes of their own.

    Raises ValueError where a worker is killed, or where nothing can be written.
    """
    if workers == 1 or len(chunks) <= 1:
        job.open()
        with one_thread():
            yield from (job.run(chunk) for chunk in chunks)
        return
    with tempfile.TemporaryDirectory() as folder:  # a job that went through the workers' pipes would be waited for
        file = Path(folder, "job")
        with writing(file):
            file.write_bytes(pickle.dumps(job))
        spawn = get_context("spawn")  # a fork would inherit torch's threads half
        with ProcessPoolExecutor(min(workers, len(chunks)), spawn, _start, (file,)) as pool:
            yield from collect(pool, _run, chunks)


_job: Job[Any, Any] | None = None  # of this worker process; set once when it starts


def _start(file: Path) -> None:
    global _job
    torch.set_num_threads(1)
    _job = pickle.loads(file.read_bytes())
    assert _job is not None
    _job.open()


def _run(chunk: Any) -> Any:
    assert _job is not None
    return _job.run(chunk)
