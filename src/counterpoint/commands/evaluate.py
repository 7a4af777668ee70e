"""`counterpoint evaluate`: what was made, against what is real."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from cyclopts import Parameter

from counterpoint.commands.sampling import Sampler
from counterpoint.commands.terminal import progress, say
from counterpoint.ending import interruptible

if TYPE_CHECKING:
    from counterpoint.evaluation.evaluation import Settings
    from counterpoint.evaluation.report import Report
    from counterpoint.evaluation.sets import ClipSet, Prompt


CODED = ("reconstruction", "tokens")
"""What a codec is measured by, unless metrics are named."""


class Asking(TypedDict, total=False):
    """Of a model that makes the clips first."""

    prompts: Annotated[Path, Parameter(help="A .txt of a prompt a line, a .jsonl, or a folder with captions; else --against.")]
    plan: Annotated[
        Literal["auto", "none", "given"],
        Parameter(
            help="auto composes a score from the words, none tells the words alone, given takes the prompts' own scores."
        ),
    ]
    made: Annotated[Path, Parameter(help="The folder for the clips that the model makes; by default beside the report.")]


class Comparing(TypedDict, total=False):
    """Of the clips."""

    seconds: Annotated[float, Parameter(help="Compare the first seconds of clips only, and leave shorter ones out.")]
    loudness: Annotated[
        float, Parameter(help="Bring all clips to so many LUFS first, such as -14; else they stay as they are.")
    ]
    labels: Annotated[
        Literal["exact", "heard"],
        Parameter(help="What music is compared with: the reference's exact scores, where it has them, or what is heard in it."),
    ]
    spans: Annotated[Path, Parameter(help='JSON of filled-in spans: {"item": {"mask_start": 2.0, "mask_end": 7.0}}.')]
    split: Annotated[str, Parameter(help="Only this split of the reference: train, valid or test.")]
    clips: Annotated[int, Parameter(help="Only the first so many prompts, or clips of each set.")]


def evaluate(
    source: Annotated[str, Parameter(name="MADE")],
    /,
    *,
    against: Path | None = None,
    metrics: str = "",
    embedder: Annotated[list[str] | None, Parameter(negative=())] = None,
    asking: Annotated[Asking | None, Parameter(name="*")] = None,
    comparing: Annotated[Comparing | None, Parameter(name="*")] = None,
    sampling: Annotated[Sampler | None, Parameter(name="*")] = None,
    seed: int = 0,
    workers: int = 1,
    cache: Path | None = None,
    out: Annotated[Path, Parameter(name=["--out", "-o"])] = Path("report.json"),
) -> None:
    """Measure made music: every figure with its interval, its count, and what chance would score.

    Parameters
    ----------
    source
        A folder or manifest of audio; or a model, which makes a clip for each prompt first, and goes on where it was stopped;
        or a codec, which gives the reference back.
    against
        The reference: a folder or manifest of real music.
    metrics
        Names with commas between, such as frechet,text,chords; by default all usual ones that can be had.
    embedder
        An ear, and again for more: logmel, ear-tiny, codec=MODEL, or with weights of yours vggish=FILE, clap=FOLDER, ...
    seed
        Of everything that is drawn.
    workers
        Processes.
    cache
        Where features are kept, by content; by default the user's cache folder, never the data's.
    out
        The report to write.
    """
    from counterpoint import destination
    from counterpoint.evaluation import evaluation, report
    from counterpoint.evaluation.families import FAMILIES

    asking, comparing = asking or {}, comparing or {}
    destination.check_writable(out)
    codes = _is_codec(source)
    names = tuple(name.strip() for name in metrics.split(",") if name.strip()) or (CODED if codes else ())
    ears = tuple(embedder or ((f"codec={source}",) if codes else evaluation.USUAL))
    settings = evaluation.Settings(
        names, ears, comparing.get("seconds"), comparing.get("loudness"), comparing.get("labels", "exact"), seed, workers, cache
    )
    if embedder and names and not any(FAMILIES[name].ears for name in names):
        raise ValueError(f"{', '.join(names)} are heard without an embedder; leave --embedder out, or ask for frechet or text.")
    if "spans" in comparing and names and "seams" not in names:
        raise ValueError("Only the metric seams looks at spans; leave --spans out, or ask for seams.")
    with interruptible(lambda: "what is made and heard stays; the same command goes on"):
        found = _report(source, against, asking, comparing, sampling or {}, settings, out)
        found.save(out)
    say(report.render(found))
    say(f"{out}: {len(found.scores)} figures of {found.made['clips']} clips")


def _report(
    source: str,
    against: Path | None,
    asking: Asking,
    comparing: Comparing,
    sampling: Sampler,
    settings: "Settings",
    out: Path,
) -> "Report":
    from counterpoint.data.spans import read_spans
    from counterpoint.evaluation import evaluation
    from counterpoint.evaluation.sets import first, gather

    most = comparing.get("clips")
    spans = read_spans(comparing["spans"]) if "spans" in comparing else None
    real = None if against is None else gather(against, comparing.get("split"))
    folder = asking.get("made", out.absolute().parent / f"made-{Path(source).name}-{_short(asking, sampling, settings)}")
    if _is_audio(Path(source)):
        for name in [*asking, *sampling]:
            raise ValueError(f"{source} holds audio that is made already, so --{name} would mean nothing; leave it out.")
        made = gather(Path(source))
    elif _is_codec(source):
        if real is not None and most is not None:
            real = first(real, real, most)[0]
        made = gather(_recode(source, {**asking, **sampling}, real, folder))
    else:
        made = gather(_make(source, asking, sampling, _prompts(source, against, asking, real)[:most], settings, folder))
    if most is not None:
        made, real = first(made, real, most)
    with progress("listening", True) as bar:
        return evaluation.evaluate(made, real, settings, spans, bar)


def _short(asking: Asking, sampling: Sampler, settings: "Settings") -> str:
    """A few letters that differ where a model is asked otherwise: each way of asking has a folder of its own."""
    told = [sorted((name, str(value)) for name, value in {**asking, **sampling}.items()), settings.seed, settings.seconds]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:6]


def _is_audio(path: Path) -> bool:
    """A folder that is no checkpoint, or a manifest."""
    from counterpoint.hub.location import LAYOUTS

    return path.is_file() or (path.is_dir() and not any((path / name).is_file() for name in LAYOUTS))


def _is_codec(source: str) -> bool:
    from counterpoint.hub import checkpoint

    if _is_audio(Path(source)):
        return False
    return checkpoint.is_codec(checkpoint.locate(source))


def _recode(source: str, asked: Mapping[str, object], real: "ClipSet | None", folder: Path) -> Path:
    from counterpoint.evaluation.recoding import recode

    for name in asked.keys() - {"made"}:
        raise ValueError(f"{source} is a codec, which is asked for nothing; leave --{name} out.")
    if real is None:
        raise ValueError(f"{source} is a codec; say what it is to give back: --against FOLDER.")
    with progress("coding", True) as bar:
        return recode(source, real.members, folder, bar)


def _prompts(source: str, against: Path | None, asking: Asking, real: "ClipSet | None") -> "list[Prompt]":
    """What the model is asked for: the prompts that are named, or the captions of the reference clips that are compared."""
    from counterpoint.evaluation import making, sets

    making.version_of(source)
    if "prompts" in asking:
        return sets.prompts(asking["prompts"])
    if against is None or real is None:
        raise ValueError(f"{source} is a model; say what to ask it for: --prompts FILE, or --against FOLDER with captions.")
    kept = {member.id for member in real.members}
    return [prompt for prompt in sets.prompts(against) if prompt.id in kept]


def _make(source: str, asking: Asking, sampling: Sampler, prompts: "list[Prompt]", settings: "Settings", folder: Path) -> Path:
    from counterpoint.evaluation import making

    how = making.Asking(source, asking.get("plan", "auto"), settings.seed, settings.seconds, tuple(sampling.items()))
    with progress("generating", True) as bar:
        return making.make(how, prompts, folder, settings.workers, bar)
