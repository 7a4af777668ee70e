"""`counterpoint continue FILE "PROMPT" --seconds 20`: given audio goes on, on either side."""

from typing import Annotated

from cyclopts import Parameter

from counterpoint.commands import editing
from counterpoint.commands.plan import PLANNER
from counterpoint.commands.sampling import Sampler


def go_on(
    file: str,
    prompt: str,
    /,
    *,
    seconds: float = 10.0,
    before: float = 0.0,
    seed: editing.Seed = 0,
    count: editing.Count = 1,
    output: editing.Output = None,
    format: editing.Suffix = None,
    plan: editing.Plan = "auto",
    plan_seed: editing.PlanSeed = None,
    planner: Annotated[str, Parameter(help=PLANNER)] = "rules",
    model: editing.Named = None,
    report: editing.Report = False,
    method: Annotated[str | None, Parameter(help="As for inpaint; fill-in-middle is for what comes --before.")] = None,
    tries: editing.Tries = 1,
    sampling: Annotated[Sampler | None, Parameter(name="*")] = None,
    device: editing.Device = "cpu",
) -> None:
    """Go on with a piece of music; all of it stays as it is, sample for sample.

    Longer than a model's window, it is made in windows that overlap; --report tells how far it drifts.

    Parameters
    ----------
    file
        Audio (wav, flac, mp3, ogg), a take or your own.
    prompt
        What is to come, in words.
    seconds
        How much is added after it; 0 with --before.
    before
        How much is added before it, by models that fill gaps.
    """
    from counterpoint import generation, request

    given = {"source": file, "after": seconds, "before": before, "method": method, "tries": tries}
    planned = {"plan": plan, "plan_seed": plan_seed, "planner": planner}
    asked = request.read({"text": prompt, "seed": seed, "count": count, **given, **planned, **(sampling or {})})
    editing.make(generation.load(model or "jasco-tiny", device), asked, file, output, format, report)
