"""`counterpoint plan "PROMPT"`: the score that a sentence asks for, as MIDI."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from counterpoint import destination
from counterpoint.commands import editing
from counterpoint.commands.holding import Holding
from counterpoint.commands.terminal import report_unknown, say

PLANNER = "Who writes the plan: rules, or a model that writes scores (a shipped name, a folder or a Hub id)."


def plan(
    prompt: str,
    /,
    *,
    seconds: float = 10.0,
    seed: int = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    chart: Path | None = None,
    planner: Annotated[str, Parameter(help=PLANNER)] = "rules",
    holding: Annotated[Holding | None, Parameter(name="*")] = None,
) -> None:
    """Write the score that a sentence asks for, as MIDI: to look at, to change, and to give back as `generate --plan FILE`.

    Parameters
    ----------
    prompt
        The music in words.
    seconds
        Length.
    seed
        What the words leave open is decided by the seed.
    output
        The MIDI file to write; by default named after the prompt.
    chart
        Write a chord chart, too: a text file that can be edited and given back.
    """
    from counterpoint import planning, request
    from counterpoint.chart import print_chart
    from counterpoint.controls.held import Held
    from counterpoint.files import write_text
    from counterpoint.midi import write

    asked = request.read({"text": prompt, "seconds": seconds, "seed": seed, "planner": planner, **(holding or {})})
    target = output or destination.free(Path(f"{destination.slug(prompt)}-{seed}.mid"))
    if target.suffix.lower() not in (".mid", ".midi"):
        raise ValueError(f"A plan is a MIDI file: let {target} end in .mid.")
    if chart is not None and chart.suffix.lower() != ".txt":
        raise ValueError(f"A chord chart is a text file: let {chart} end in .txt.")
    for path in (target, chart):
        if path is not None:
            destination.check_writable(path)
    editing.spared([target], list(asked.files().values()))
    if chart is not None:
        editing.spared([chart], list(asked.files().values()), "--chart")
    made = planning.make(asked.text, asked.seconds, asked.seed, held=Held.of(asked), planner=asked.planner)
    write(made.score, target)
    if chart is not None:
        write_text(chart, print_chart(made.score))
    say(f"{target}: {planning.summary(made.score)} (seed {seed})")
    report_unknown(made.unknown)
