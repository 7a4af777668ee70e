"""`counterpoint inpaint FILE "PROMPT" --span 3:8`: a part of given audio is made anew."""

from typing import Annotated

from cyclopts import Parameter

from counterpoint.commands import editing
from counterpoint.commands.plan import PLANNER
from counterpoint.commands.sampling import Sampler


def inpaint(
    file: str,
    prompt: str,
    /,
    *,
    span: Annotated[list[str], Parameter(negative=(), help="Start and end in seconds, such as 3:8; several are allowed.")],
    method: Annotated[
        str | None, Parameter(help="supervised, zero-shot or fill-in-middle; by default the model's own (counterpoint info).")
    ] = None,
    tries: editing.Tries = 1,
    strength: Annotated[
        float | None, Parameter(help="Below 1, a flow varies what is there: near 0 hardly, 1 is made from nothing.")
    ] = None,
    seed: editing.Seed = 0,
    count: editing.Count = 1,
    output: editing.Output = None,
    format: editing.Suffix = None,
    plan: editing.Plan = "auto",
    plan_seed: editing.PlanSeed = None,
    planner: Annotated[str, Parameter(help=PLANNER)] = "rules",
    model: editing.Named = None,
    report: editing.Report = False,
    sampling: Annotated[Sampler | None, Parameter(name="*")] = None,
    device: editing.Device = "cpu",
) -> None:
    """Make spans of a piece of music anew; all else stays as it is, sample for sample.

    What lies in a span is not heard (but with --strength), so that what is broken there does no harm.

    Parameters
    ----------
    file
        Audio (wav, flac, mp3, ogg), a take or your own.
    prompt
        What is to be there, in words.
    """
    from counterpoint import generation, request

    given = {"source": file, "spans": span, "method": method, "tries": tries, "strength": strength}
    planned = {"plan": plan, "plan_seed": plan_seed, "planner": planner}
    asked = request.read({"text": prompt, "seed": seed, "count": count, **given, **planned, **(sampling or {})})
    editing.make(generation.load(model or "jasco-tiny", device), asked, file, output, format, report)
