"""What a command says on the terminal: lines on stdout, progress on stderr."""

import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterpoint.types import Progress


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def progress(title: str, long: bool = False) -> "contextlib.AbstractContextManager[Progress | None]":
    """A bar for the block; `long` work writes lines where there is no terminal."""
    from counterpoint import journal

    return journal.progress(title, long)


def report_unknown(words: Sequence[str]) -> None:
    """The words of a prompt that nobody understood, where there are any."""
    from counterpoint import planning

    if words:
        say(f"  not understood: {planning.not_understood(words)}")
