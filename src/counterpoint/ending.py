"""How a command ends that does not end well: Ctrl-C at any moment, and mistakes that are told in one sentence."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from cyclopts import UnusedCliTokensError

NOTHING = "nothing was written"


class Stopped(Exception):
    """Ctrl-C, with a sentence on what is left behind."""


@contextlib.contextmanager
def interruptible(left: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C ends the block as Stopped with what is `left`, whatever exception it has become on its way out."""
    asked: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    before = signal.signal(signal.SIGINT, interrupt) if ours else None
    try:
        yield
    except (KeyboardInterrupt, Exception) as error:
        if asked or isinstance(error, KeyboardInterrupt):
            raise Stopped(f"stopped; {left()}") from None
        raise
    else:
        before = signal.SIG_IGN if before is _interrupt else before  # only the last word is missing
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


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
