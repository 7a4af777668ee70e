"""A study is made: its parts one after another or side by side, each once; what is there is left, what was stopped goes on."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from counterpoint.parallel import one_thread, without_interrupts
from counterpoint.study import part as parts
from counterpoint.study.part import Part, Workshop

Tell = Callable[[Part, float, float], None]
"""Called with a part that is done, the seconds that it took, and those that the others will take, by what has been seen."""


def missing(cells: Sequence[Part], shop: Workshop) -> list[Part]:
    """The parts that are still to be made, in an order in which they can be.

    What nothing missing needs is left out.  Raises ValueError where something was made by another recipe.
    """
    ordered = parts.in_order(cells)
    for one in ordered:
        parts.check(one, shop)
    wanted = {cell.name for cell in cells if not cell.done(shop)}
    for one in reversed(ordered):
        if one.name in wanted:
            wanted |= {need.name for need in one.needs() if not need.done(shop)}
    return [one for one in ordered if one.name in wanted]


def run(cells: Sequence[Part], shop: Workshop, flops: float, workers: int = 1, tell: Tell | None = None) -> int:
    """Make what is missing; returns how many parts that were.  Raises ValueError as parts do."""
    todo = missing(cells, shop)
    estimates = {one.name: one.seconds(flops) for one in todo}
    taken = expected = 0.0
    for one, seconds in _made(todo, shop, workers):
        taken, expected = taken + seconds, expected + estimates.pop(one.name)
        if tell is not None:
            tell(one, seconds, sum(estimates.values()) * (taken / expected if expected else 1.0) / workers)
    return len(todo)


def _made(todo: Sequence[Part], shop: Workshop, workers: int) -> Iterator[tuple[Part, float]]:
    if workers == 1:
        with one_thread():
            for one in todo:
                yield one, make(one, shop)
        return
    try:
        yield from _side_by_side([one for one in todo if not one.alone], shop, workers)
    except BrokenProcessPool as error:
        raise ValueError(
            "A worker was ended from outside (out of memory?); what is done is kept: call again with fewer workers."
        ) from error
    with one_thread():
        for one in todo:
            if one.alone:
                yield one, make(one, shop)


def _side_by_side(todo: Sequence[Part], shop: Workshop, workers: int) -> Iterator[tuple[Part, float]]:
    """Each part as soon as what it needs is there."""
    waiting, going = list(todo), dict[Future[float], Part]()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        try:
            while waiting or going:
                behind = {one.name for one in (*waiting, *going.values())}
                ready = [one for one in waiting if not behind & {need.name for need in one.needs()}]
                for one in ready[: workers - len(going)]:
                    with without_interrupts():  # workers are started here, and inherit it
                        going[pool.submit(make, one, shop)] = one
                    waiting.remove(one)
                for future in wait(going, return_when=FIRST_COMPLETED).done:
                    yield going.pop(future), future.result()
        except BaseException:
            for process in list(pool._processes.values()):  # training saves its state; the rest is made again
                process.terminate()
            raise


def make(one: Part, shop: Workshop) -> float:
    """Make a part; the seconds that it took."""
    started = time.perf_counter()
    one.make(shop)
    return time.perf_counter() - started
