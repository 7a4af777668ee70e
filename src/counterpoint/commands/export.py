"""counterpoint export: a model as another library reads it."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from counterpoint.commands.terminal import say
from counterpoint.ending import NOTHING, interruptible


def export(model: str, /, *, to: Literal["transformers"], output: Annotated[Path, Parameter(name=["--output", "-o"])]) -> None:
    """Write a model as another library reads it: a musicgen with EnCodec and T5, or an EnCodec.

    Parameters
    ----------
    model
        A folder, or a Hub id (owner/name, or owner/name@revision).
    to
        The library.
    output
        The folder to write, new or empty.
    """
    from counterpoint.hub.export import export

    with interruptible(lambda: NOTHING):
        names = export(model, output)
    say(f"{output}: {model} for {to}: {', '.join(names)}")
