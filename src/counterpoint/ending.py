"""How a command ends that does not end well: Ctrl-C (or SIGTERM) at any moment, and mistakes that are told in one sentence."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from cyclopts import UnusedCliTokensError

NOTHING = "nothing was written"
ENDS = (signal.SIGINT, signal.SIGTERM)
"""What asks a process to end: Ctrl-C, and what systems send."""


class Stopped(Exception):
    """Ctrl-C or SIGTERM, with a sentence on what is left behind."""

    number = signal.SIGINT
    """Which of them."""


@contextlib.contextmanager
def interruptible(left: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the block as Stopped with what is `left`, whatever exception it has become on its way out."""
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    heard = [number for number in ENDS if signal.getsignal(number) not in (signal.SIG_IGN, None)]  # None: not Python's own
    ours = heard if threading.current_thread() is threading.main_thread() else []
    before = {number: signal.signal(number, interrupt) for number in ours}
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if asked or isinstance(error, KeyboardInterrupt):
            stopped = Stopped(f"stopped; {left()}")
            stopped.number = signal.Signals(asked[0]) if asked else signal.SIGINT
            raise stopped from None
        raise
    else:
        before = {number: signal.SIG_IGN if own is _interrupt else own for number, own in before.items()}
        # only the last word is missing
    finally:
        for number, own in before.items():
            signal.signal(number, own)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """A whole process: Ctrl-C is answered in the block, and comes too late after it.  Not where a shell ignores it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
        signal.signal(signal.SIGINT, _interrupt)
    yield
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done and said: the interpreter's own ending takes a while


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C where nothing is written yet.  A module that is being imported may swallow an exception or make it another."""
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            os.write(2, f"stopped; {NOTHING}\n".encode())
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def complaint(error: Exception) -> str:
    """An error as one sentence on one line."""
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        return f"{words!r} is left over; put a prompt of several words in quotes, or see --help for what the command takes."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'A file'}: {error.strerror}; check the path, its permissions and the free space."
    return " ".join(str(error).split()) or type(error).__name__
