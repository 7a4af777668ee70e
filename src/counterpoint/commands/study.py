"""`counterpoint study`: a paper's tables, figures and claims, made again on your data, at your scale."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

from cyclopts import Parameter

from counterpoint.commands.terminal import say
from counterpoint.ending import interruptible

if TYPE_CHECKING:
    from counterpoint.study.design import Scale
    from counterpoint.study.part import Part
    from counterpoint.study.running import Tell


class Ears(TypedDict, total=False):
    """Which ears judge."""

    fad: Annotated[str, Parameter(help="The ear of Frechet distances: logmel, or as the paper's, vggish=FILE.")]
    clap: Annotated[str, Parameter(help="The ear that reads: ear-tiny, or as the paper's, clap=FOLDER.")]
    aesthetics: Annotated[str, Parameter(help="The ear that rates (PQ, PC, CE): audiobox=FOLDER; none by default.")]


class Doing(TypedDict, total=False):
    """How the work is done."""

    dry_run: Annotated[bool, Parameter(help="Only say what is missing: parts, parameters, FLOPs, hours.", negative="")]
    budget: Annotated[float, Parameter(help="Refuse to begin what takes longer than so many hours.")]
    workers: Annotated[int, Parameter(help="Processes; by default as many as the scale has.")]
    engine: Annotated[str, Parameter(help="Who works: local (processes here) or ray (a cluster that sees the same folders).")]
    device: Annotated[str, Parameter(help="Where to compute: cpu or cuda.")]
    cache: Annotated[Path, Parameter(help="Where features are kept, by content; by default the user's cache folder.")]


def study(
    name: str,
    /,
    *exhibits: str,
    scale: str = "tiny",
    seeds: int | None = None,
    data: Path | None = None,
    ears: Annotated[Ears | None, Parameter(name="*")] = None,
    doing: Annotated[Doing | None, Parameter(name="*")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> None:
    """Make a paper's study again: train, generate, judge, and say which of its claims hold; the same command goes on.

    Parameters
    ----------
    name
        A study, such as ar-vs-fm, or a folder with a study.py.
    exhibits
        Tables and figures, such as table-2 figure-3; all of them by default.
    scale
        How large: tiny, small or paper.
    seeds
        How often each model is trained; by default as the scale has it.
    data
        Your music, with captions; by default a corpus is composed.
    output
        The folder of the study; by default runs/ and its name and scale.
    """
    from counterpoint.study import design, engines, estimate, findings, report, running
    from counterpoint.study.part import Workshop

    if seeds is not None and seeds < 1:
        raise ValueError(f"{seeds} seeds train nothing; ask for 1 or more.")
    found, doing, ears = design.find(name), doing or {}, ears or {}
    engine = engines.engine(doing.get("engine", "local"))
    size, asked = found.scale(scale), design.Asked(scale, seeds, data, **ears)
    chosen = design.choose(found.exhibits(asked), exhibits)
    shop = Workshop(output or Path("runs") / f"{found.name}-{scale}", doing.get("device", "cpu"), doing.get("cache"))
    workers = doing.get("workers", size.workers)
    cells = [cell for exhibit in chosen for cell in exhibit.cells]
    todo = running.missing(cells, shop)
    hours = estimate.hours(todo, size.flops, workers)
    if doing.get("dry_run"):
        return _tell(todo, size, workers, hours)
    estimate.check_budget(hours, doing.get("budget"))
    estimate.check_memory(todo, shop.device, workers)
    _check_data(cells)
    with interruptible(lambda: f"what is done stays in {shop.folder}; the same command goes on"):
        running.run(cells, shop, size.flops, workers, _teller(len(todo)), engine)
    gathered = findings.gather(found, asked, chosen, shop)
    readme, page = report.write(gathered, shop)
    for claim in gathered.claims:
        say(f"{gathered.verdict(claim):13} {claim.id}: {claim.text}")
    say(f"{readme} and {page}: {len(gathered.files)} cells, {len(gathered.claims)} claims")


def _tell(todo: "list[Part]", size: "Scale", workers: int, hours: float) -> None:
    """What there is to do, a part a line."""
    from counterpoint.study import estimate

    say(f"{'part':44} {'kind':10} {'parameters':>12} {'FLOPs':>9} {'hours':>8}")
    lines = estimate.lines(todo, size.flops)
    for line in lines:
        parameters = f"{line.parameters / 1e6:.2f} M" if line.parameters else "-"
        flops = f"{line.flops:.1e}" if line.flops else "-"
        say(f"{line.name:44} {line.kind:10} {parameters:>12} {flops:>9} {line.hours:8.3f}")
    total = sum(line.flops for line in lines)
    say(f"{len(todo)} parts are missing: {total:.1e} FLOPs, about {hours:.2f} hours by {workers} workers")


def _check_data(cells: "list[Part]") -> None:
    """Somebody's music is enough, and has captions.  Raises ValueError."""
    from counterpoint.study.taken import Taken

    for held in dict.fromkeys(cell.held for cell in cells if isinstance(cell, Taken)):
        held.check()


def _teller(many: int) -> "Tell":
    """Says what is done, and how long the rest takes."""
    numbers = itertools.count(1)

    def tell(part: "Part", seconds: float, left: float) -> None:
        say(f"{next(numbers)} of {many}: {part.name} in {seconds:.0f} s, about {left / 60:.0f} minutes are left")

    return tell
