"""The flags of `generate` that hear what came out: `--report`, and `--best-of N --by adherence`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from cyclopts import Parameter

from counterpoint.commands import telling
from counterpoint.commands.terminal import say

if TYPE_CHECKING:
    from counterpoint.adherence import Judged
    from counterpoint.generation import Model, Take
    from counterpoint.metrics.take import Asked
    from counterpoint.request import Request
    from counterpoint.types import Progress


class Adherence(TypedDict, total=False):
    """What is done with what is heard of a take, as it is typed."""

    report: Annotated[
        bool,
        Parameter(
            negative=(),
            help="Hear each take and say what was asked and what came out; all of it goes into NAME.report.json beside it.",
        ),
    ]
    best_of: Annotated[
        int,
        Parameter(
            help="Make N takes of one plan, with the seeds SEED to SEED + N - 1, hear them all and keep the best: N times the "
            "work, and some tenth of a take's length to hear it.  With --count, each piece has N seeds of its own."
        ),
    ]
    by: Annotated[Literal["adherence"], Parameter(help="What the best is chosen by: adherence, how right it is of all asked.")]


def check(wanted: Adherence, compared: bool) -> None:
    """Raises ValueError for flags that cannot be, or would do nothing, before any work."""
    from counterpoint.request import check_candidates

    if wanted and compared:
        flag = next(iter(wanted)).replace("_", "-")
        raise ValueError(f"A comparison is one take by each model, and none is judged; leave --{flag} out, or --compare.")
    if "by" in wanted and "best_of" not in wanted:
        raise ValueError("--by says what the best of several takes is chosen by; say of how many with --best-of, too.")
    check_candidates(wanted.get("best_of", 1))


def takes(
    model: "Model", asked: "Request", wanted: Adherence, progress: "Progress | None"
) -> "Iterator[tuple[Take, Judged | None]]":
    """The pieces of a request as they are to be kept, each with what was heard of it where that is wanted."""
    if not wanted:
        for take in model.takes(asked, progress):
            yield take, None
        return
    from counterpoint import adherence
    from counterpoint.generation import share

    if "best_of" not in wanted:
        adherence.check(model, asked)
        for take in model.takes(asked, progress):
            yield take, adherence.judge(take)
        return
    for i, piece in enumerate(adherence.pieces(asked, wanted["best_of"])):
        take, judged = adherence.best_of(model, piece, wanted["best_of"], share(progress, i, asked.count))
        yield take, judged[take.seed - piece.seed]


def first_seeds(asked: "Request", wanted: Adherence) -> list[int]:
    """The seed that each piece is named after: its own, or that of its first candidate."""
    return [asked.seed + i * wanted.get("best_of", 1) for i in range(asked.count)]


def tell(take: "Take", judged: "Judged", path: Path, written: bool) -> None:
    """Say what was asked and what came out, and how the take was chosen; `written`: write it beside the audio, too."""
    say(f"  heard: {judged.report.sentence}")
    if "best_of" in take.record:
        chosen = take.record["best_of"]
        ranked = zip(chosen["seeds"], chosen["ranks"], strict=True)
        ranks = ", ".join(f"{seed}: {'none' if rank is None else f'{rank:.2f}'}" for seed, rank in ranked)
        say(f"  best of {len(chosen['seeds'])} by {chosen['by']}: seed {take.seed} (ranks {ranks})")
    if written:
        telling.write_report(path, as_json(take, judged))


def as_json(take: "Take", judged: "Judged") -> dict[str, Any]:
    """How a take was made, what was asked, what was heard, and a score for each aspect of it.

    Times are seconds, chords [start, end, Harte label], notes [start, end, pitch]; None is what was left open, or not heard.
    """
    from counterpoint.commands.analyse import as_json as heard_as_json
    from counterpoint.takes import TAGGED

    report = judged.report
    return {
        **{name: take.record[name] for name in TAGGED if name in take.record},
        "sentence": report.sentence,
        "rank": report.rank if report.rank == report.rank else None,
        "scores": {a.name: {"score": a.score, "verdict": a.verdict, "text": a.text} for a in report.aspects},
        "asked": _asked_as_json(judged.asked),
        "heard": heard_as_json(judged.heard),
    }


def _asked_as_json(asked: "Asked") -> dict[str, Any]:
    from counterpoint.music import harte_label

    return {
        "seconds": asked.seconds,
        "tempo": asked.bpm,
        "key": asked.key.name if asked.key else None,
        "chords": [[span.start, span.end, harte_label(span.chord)] for span in asked.chords],
        "downbeats": list(asked.downbeats),
        "melody": [[note.start, note.end, note.pitch] for note in asked.melody],
        "drums": [[note.start, note.end, note.pitch] for note in asked.drums],
    }
