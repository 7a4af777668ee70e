"""What the commands that change given audio share: where their result goes, how it is made and told."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from counterpoint import destination
from counterpoint.commands.terminal import progress, report_unknown, say
from counterpoint.ending import NOTHING, interruptible

if TYPE_CHECKING:
    from counterpoint.generation import Model
    from counterpoint.request import Request
    from counterpoint.takes import Take

Format = Literal["wav", "flac", "mp3", "ogg"]
Output = Annotated[
    str | None, Parameter(name=["--output", "-o"], help="The file to write, or a folder/; by default named after the prompt.")
]
Suffix = Annotated[Format | None, Parameter(help="Format of the file where --output does not say it; wav or flac keep samples.")]
Report = Annotated[
    bool, Parameter(negative=(), help="Hear the result and say how it fits; all figures go into NAME.report.json beside it.")
]
REPORT = ".report.json"
"""What the report beside a file of audio ends in."""


def make(model: "Model", asked: "Request", output: str | None, format: Format | None, report: bool) -> None:
    """The pieces of a request about given audio, written and told one after the other."""
    targets = files(asked, output, format, report)
    started, written = perf_counter(), 0
    with (
        interruptible(lambda: f"{written} of {asked.count} pieces are written" if written else NOTHING),
        progress("generating") as bar,
    ):
        for take, target in zip(model.takes(asked, bar), targets, strict=True):
            tell(take, take.save(target), perf_counter() - started)
            if report:
                judge(take, asked, target)
            started = perf_counter()
            written += 1


def files(asked: "Request", output: str | None, format: Format | None, report: bool = False) -> list[Path]:
    """Where the pieces go.  Raises ValueError where that is the given audio itself, which would be lost."""
    given = None if asked.source is None else Path(asked.source.name)
    if format is None and given is not None and given.suffix.lower() == ".flac":
        format = "flac"
    seeds, beside = range(asked.seed, asked.seed + asked.count), REPORT if report else ""
    targets = [destination.audio_file(asked.text, output, format, seed, asked.count, beside) for seed in seeds]
    for target in targets:
        if given is not None and target.exists() and given.exists() and target.samefile(given):
            raise ValueError(f"{target} is what is given, and would be lost; let --output name another file.")
    return targets


def tell(take: "Take", path: Path, elapsed: float) -> None:
    """What was made, and what of it was given."""
    seconds = take.audio.shape[-1] / take.sample_rate
    say(f"{path}: {seconds:g} s of music, made in {elapsed:.1f} s (seed {take.seed}, {take.record['model']})")
    if "source" in take.record:
        spans = ", ".join(f"{start:g}:{end:g}" for start, end in take.made)
        say(f"  new: {spans}; all else is {take.record['source']['file']}, sample for sample" if not take.whole else f"  new: all")
    say(f"  plan: {take.record['summary']}")
    if take.record["note"]:
        say(f"  note: {take.record['note']}")
    if path.suffix.lower() in (".mp3", ".ogg") and "source" in take.record:
        say(f"  note: {path.suffix} changes every sample; write .wav or .flac to keep what is given to the bit")
    report_unknown(take.record["unknown"])


def judge(take: "Take", asked: "Request", target: Path) -> None:
    """Say how well the result fits, and write all of it beside the audio."""
