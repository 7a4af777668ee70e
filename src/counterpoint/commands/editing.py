"""What the commands that go on from given audio share: where their results go, how they are made and judged."""

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from counterpoint import destination
from counterpoint.commands import telling
from counterpoint.commands.terminal import progress, say
from counterpoint.ending import NOTHING, interruptible

if TYPE_CHECKING:
    from counterpoint.generation import Model
    from counterpoint.request import Request
    from counterpoint.takes import Take

Format = Literal["wav", "flac", "mp3", "ogg"]
Output = Annotated[
    str | None, Parameter(name=["--output", "-o"], help="The file to write, or a folder/; by default named after the prompt.")
]
Suffix = Annotated[
    Format | None,
    Parameter(help="Format of the file where --output does not say it; wav keeps all samples, flac those of up to 24 bits."),
]
Tries = Annotated[int, Parameter(help="Fill so often, zero-shot by several strategies, and keep what fits best.")]
Report = Annotated[
    bool, Parameter(negative=(), help="Hear the result and say how it fits; all of it goes into NAME.report.json beside it.")
]
Seed = Annotated[int, Parameter(help="The same request and seed give the same music; another seed, other music.")]
Count = Annotated[int, Parameter(help="How many pieces, with the seeds SEED, SEED + 1, ...")]
Plan = Annotated[
    str,
    Parameter(help="auto: what is given goes on, from a take's own plan or from what is heard; none: words alone; or a file."),
]
PlanSeed = Annotated[int | None, Parameter(help="The seed of what is composed; within a take it also has spans written anew.")]
Named = Annotated[str | None, Parameter(name="--model", help="A shipped model, a folder, or a Hub id; jasco-tiny by default.")]
Device = Annotated[str, Parameter(help="Where to compute: cpu, cuda or mps.")]


def make(model: "Model", asked: "Request", file: str, output: str | None, format: Format | None, report: bool) -> None:
    """The pieces of a request that `file` is the matter of, each written and told as soon as it is there."""
    targets = files(asked, file, output, format, telling.REPORT if report else "")
    started, written = perf_counter(), 0
    with (
        interruptible(lambda: f"{written} of {asked.count} pieces are written" if written else NOTHING),
        progress("generating") as bar,
    ):
        for take, target in zip(model.takes(asked, bar), targets, strict=True):
            telling.tell(take, take.save(target), perf_counter() - started)
            if report:
                judge(take, asked, target)
            started = perf_counter()
            written += 1


def files(asked: "Request", file: str, output: str | None, format: Format | None, beside: str = "") -> list[Path]:
    """Where the pieces go.  Raises ValueError where that is what is given, which would be lost."""
    given = [Path(file).expanduser(), *([] if asked.source is None else [Path(asked.source.name)])]
    given += asked.files().values()
    kept = "flac" if given[0].suffix.lower() == ".flac" else None
    suffix = format or (kept if output is None or not Path(output).suffix else None)
    seeds = range(asked.seed, asked.seed + asked.count)
    targets = [destination.audio_file(asked.text, output, suffix, seed, asked.count, beside) for seed in seeds]
    spared(targets, given)
    return targets


def spared(targets: Sequence[Path], given: Sequence[Path], flag: str = "--output") -> None:
    """Raises ValueError where a file that is given would be written over; `flag` says where targets go."""
    for target in targets:
        if any(target.exists() and path.exists() and target.samefile(path) for path in given):
            raise ValueError(f"{target} is what is given, and would be lost; let {flag} name another file.")


def judge(take: "Take", asked: "Request", path: Path) -> None:
    """Say how the result fits to what is given, or to what was asked; write it beside the audio."""
    from counterpoint import adherence, review
    from counterpoint.commands.adherence import tell
    from counterpoint.takes import TAGGED

    if asked.source is None:
        return tell(take, adherence.judge(take), path, written=True)
    heard = review.review(review.stored(take, path), asked.source)
    for line in heard.sentences:
        say(f"  heard: {line}")
    made = {name: take.record[name] for name in TAGGED if name in take.record}
    telling.write_report(path, {**made, **heard.as_json()})
