"""`counterpoint regenerate FILE`: a take is made again, to the bit, from the record in its tags."""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

from cyclopts import Parameter

from counterpoint import destination
from counterpoint.commands import editing, telling
from counterpoint.commands.terminal import progress, say
from counterpoint.ending import NOTHING, interruptible

SOURCE = "Where the audio is now that the take was given, if it is not where it was, nor beside the take."


def regenerate(
    file: str,
    /,
    *,
    output: editing.Output = None,
    format: editing.Suffix = None,
    model: Annotated[str | None, Parameter(help="Where the take's model is, if its name does not tell.")] = None,
    source: Annotated[str | None, Parameter(help=SOURCE)] = None,
    device: editing.Device = "cpu",
) -> None:
    """Make a take again from the record in its tags, to the bit, or say what is missing.

    Parameters
    ----------
    file
        A take as it was saved, in any format.
    """
    from counterpoint import provenance

    record, started = provenance.record_of(file), perf_counter()
    suffix = format or (None if output and Path(output).suffix else Path(file).suffix.lower().removeprefix("."))
    target = destination.audio_file(record["prompt"], output, suffix, record["seed"], 1)
    editing.spared([target], _given(record, file, source))
    with interruptible(lambda: NOTHING), progress("generating") as bar:
        take = provenance.regenerate(file, model, source, device, bar)
        telling.tell(take, take.save(target), perf_counter() - started)
    say(f"  the same, to the bit, as {file} was when it was made")


def _given(record: Mapping[str, Any], file: str, source: str | None) -> list[Path]:
    """The take's file, and what the take was made from: without that it could not be made again."""
    from counterpoint.provenance import places

    names = [*([record["source"]["file"]] if "source" in record else []), *record.get("files", {})]
    found = [place for name in names for place in places(name, file)]
    return [Path(file), *found, *([] if source is None else [Path(source)])]
