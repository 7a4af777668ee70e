"""One process or many: who am I, where do I compute, and how are gradients averaged.

`torchrun` tells each process its place through the environment; without it there is one process and nothing to set up.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import Parameter

C = TypeVar("C")
R = TypeVar("R")


@dataclass(frozen=True)
class Place:
    """This process among all: its number, how many there are, and the device that is its own."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """True for the process that writes files and talks to the user."""
        return self.rank == 0


def place(device: str = "auto") -> Place:
    """This process' place by torchrun's variables; "auto" takes a GPU if there is one.  Raises ValueError."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"The device {device!r} was asked for, but no GPU is at hand; use --device cpu.")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        return Place(rank, world, torch.empty(0, device=device).device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without that kind
        raise ValueError(f"There is no device {device!r} here; use cpu, or cuda where a GPU is at hand.") from error


@contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """torch computes with so many threads while the block runs: sums over several threads depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes with one thread while the block runs, so that nothing depends on how many there are."""
    with threads_of_torch(1):
        yield


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Ctrl-C is not heard while the block runs, nor ever by the processes that it starts: theirs is the parent's to answer.

    SIGTERM is answered after the block, which may be starting them; they hear it as ever.
    """
    if threading.current_thread() is not threading.main_thread():  # where nothing is interrupted anyway
        yield
        return
    held: list[int] = []
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    if signal.getsignal(signal.SIGTERM) not in (signal.SIG_IGN, None):
        before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(signal.SIGTERM)


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Ctrl-C (and SIGTERM) ask for a stop after the running step; a second Ctrl-C stops at once, without saving."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return

    def ask(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def collect(pool: ProcessPoolExecutor, work: Callable[[C], R], chunks: Sequence[C]) -> Iterator[R]:
    """What `work` makes of each chunk, as it comes ready; workers finish their chunk when Ctrl-C ends the parent.

    Raises ValueError where a worker is killed.
    """
    try:
        with without_interrupts():  # the workers, which are started here, inherit this
            futures = [pool.submit(work, chunk) for chunk in chunks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        message = "A worker was ended from outside (out of memory?); what is done is kept: call again with fewer workers."
        raise ValueError(message) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def together(place: Place) -> Iterator[None]:
    """Connect the processes (gloo on CPUs, nccl on GPUs) while the block runs; one process needs nothing."""
    if place.world == 1:
        yield
        return
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)
    dist.init_process_group("nccl" if place.device.type == "cuda" else "gloo", rank=place.rank, world_size=place.world)
    try:
        yield
    finally:
        dist.destroy_process_group()


def only_rank0(place: Place, action: Callable[[], None]) -> None:
    """Run `action` in the first process while the others wait for it."""
    if place.first:
        action()
    if place.world > 1:
        dist.barrier()


def connected() -> bool:
    """Whether this process is one of several, inside `together`."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def from_first(tensors: Iterable[Tensor]) -> None:
    """Give every process the first one's numbers, in place."""
    if connected():
        for tensor in tensors:
            dist.broadcast(tensor.data, src=0)


def sum_over_all(tensors: Sequence[Tensor]) -> None:
    """Make every tensor its sum over all processes, in place and in one message; they are of one type and one device."""
    if connected():
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(summed.view_as(tensor))


def average_gradients(parameters: list[Parameter], place: Place) -> None:
    """Make every process' gradients their mean; one that is absent counts as zero, unless it is absent in all of them.

    One exchange after all backward passes serves accumulation and adversaries alike, where DDP's hooks
    expect one forward and one backward.
    """
    if place.world == 1:
        return
    absent = torch.tensor([float(parameter.grad is None) for parameter in parameters], device=place.device)
    sum_over_all([absent])
    moved = [parameter for parameter, count in zip(parameters, absent.tolist(), strict=True) if count < place.world]
    grads = [torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in moved]
    for parameter, grad in zip(moved, grads, strict=True):
        parameter.grad = grad
    if grads:
        sum_over_all(grads)
    for grad in grads:
        grad /= place.world


def mean(number: float, place: Place) -> float:
    """The mean of one number over all processes."""
    if place.world == 1:
        return number
    total = torch.tensor(number, dtype=torch.float64, device=place.device)
    dist.all_reduce(total)
    return total.item() / place.world


def any_of(flag: bool, place: Place) -> bool:
    """True in all processes if it is True in one, so that they stop together."""
    return mean(float(flag), place) > 0
