"""Who makes the parts of a study: this process, several of this machine, or a Ray cluster."""

import logging
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from counterpoint.parallel import one_thread, without_interrupts
from counterpoint.study.part import Part, Workshop

Submit = Callable[[Part], "Future[float]"]
"""Has a part made; in the end the seconds that it took."""

Engine = Callable[[Workshop, int], AbstractContextManager[Submit]]
"""Makers of a workshop's parts, so many at once; when it is left early, trainings save their state."""

LOST = "A worker was ended from outside (out of memory?); what is done is kept: call again with fewer workers."
PATIENCE = 60
"""Seconds that trainings on other machines have to save their state when all is stopped."""


def make(one: Part, shop: Workshop) -> float:
    """Make a part; the seconds that it took."""
    started = time.perf_counter()
    one.make(shop)
    return time.perf_counter() - started


def local(shop: Workshop, workers: int) -> AbstractContextManager[Submit]:
    """Processes of this machine, with a thread each; one worker is this process."""
    return _here(shop) if workers == 1 else _processes(shop, workers)


@contextmanager
def _here(shop: Workshop) -> Iterator[Submit]:
    def submit(one: Part) -> "Future[float]":
        future = Future[float]()
        future.set_result(make(one, shop))
        return future

    with one_thread():
        yield submit


@contextmanager
def _processes(shop: Workshop, workers: int) -> Iterator[Submit]:
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))

    def submit(one: Part) -> "Future[float]":
        with without_interrupts():  # workers are started here, and inherit it
            return pool.submit(make, one, shop)

    with pool:
        try:
            yield submit
        except BrokenProcessPool as error:
            raise ValueError(LOST) from error
        except BaseException:
            for process in list(pool._processes.values()):  # training saves its state; the rest is made again
                process.terminate()
            raise


@contextmanager
def on_ray(shop: Workshop, workers: int) -> Iterator[Submit]:
    """Tasks of the cluster that RAY_ADDRESS names, which sees the same folders; else of a Ray on this machine alone.

    A part takes one of its CPUs, or one of its GPUs where the workshop's device is one.  Raises ValueError.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told
    try:
        import ray  # pyright: ignore[reportMissingImports]
        from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError("The engine ray needs an extra; install it: pip install 'counterpoint[ray]'.") from error
    own = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": workers, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(include_dashboard=None if not own else False, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (RayError, ConnectionError, RuntimeError) as error:
        raise ValueError(f"Ray does not start ({error}); look at RAY_ADDRESS, or take --engine local.") from error
    gpus = int(shop.device.startswith("cuda"))
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)(_elsewhere)
    going = []

    def submit(one: Part) -> "Future[float]":
        going.append(task.remote(one, shop, Path.cwd()))
        return going[-1].future()

    try:
        yield submit
    except RayTaskError as error:
        raise error.cause from None
    except RayError as error:
        raise ValueError(LOST) from error
    finally:
        for ref in going:
            ray.cancel(ref)  # one that is done does not mind
        ray.wait(going, num_returns=len(going), timeout=PATIENCE)
        ray.shutdown()


def _elsewhere(one: Part, shop: Workshop, at: Path) -> float:
    """In a process of Ray's, seen from the caller's folder."""
    os.chdir(at)
    with one_thread():
        return make(one, shop)


ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray}


def engine(name: str) -> Engine:
    """An engine by its name.  Raises ValueError."""
    if name not in ENGINES:
        raise ValueError(f"There is no engine {name!r}; choose {' or '.join(ENGINES)}.")
    return ENGINES[name]
