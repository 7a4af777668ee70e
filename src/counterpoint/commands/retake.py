"""`counterpoint retake FILE`: another take of the same request, or a variation of its audio."""

from typing import Annotated

from cyclopts import Parameter

from counterpoint.commands import editing
from counterpoint.commands.regenerate import SOURCE


def retake(
    file: str,
    prompt: str | None = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(help="By default the take's own and 1.")] = None,
    count: editing.Count = 1,
    strength: Annotated[
        float | None, Parameter(help="Vary the audio of the file instead: near 0 hardly, 1 makes it from nothing (flow only).")
    ] = None,
    output: editing.Output = None,
    format: editing.Suffix = None,
    model: Annotated[str | None, Parameter(help="Another model than the take's, with settings of its own.")] = None,
    source: Annotated[str | None, Parameter(help=SOURCE)] = None,
    report: editing.Report = False,
    device: editing.Device = "cpu",
) -> None:
    """Make another take: words, plan, controls and settings are those in the file's tags, only the seed is another.

    With --strength the audio itself is varied, and its structure kept: that works with your own recordings, too, if you
    describe them.

    Parameters
    ----------
    file
        A take as it was saved; with --strength, any audio.
    prompt
        Other words than those of the take.
    """
    from counterpoint import generation, provenance
    from counterpoint.source import read_record

    record = read_record(file) if strength is not None else provenance.record_of(file)
    loaded = provenance.load(record, model, device) if record else generation.load(model or "jasco-tiny", device)
    asked = provenance.another(loaded, file, seed, prompt, strength, count, source)
    editing.make(loaded, asked, file, output, format, report)
