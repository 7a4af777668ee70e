"""What was asked beside what came out, heard in the audio itself; and the best of several takes by it.

adherence.report(take).sentence  # "asked 120 bpm, got 119.6; key right; chords 15 of 16 bars; ..."
take, judged = adherence.best_of(model, Request(text="a slow waltz in G, 90 bpm"), 4)
"""

import math
from dataclasses import dataclass, replace

from counterpoint.analysis import hearing
from counterpoint.analysis.heard import Heard
from counterpoint.controls.scalars import same_tempo
from counterpoint.data.corpus.reading import read
from counterpoint.generation import Job, Model, Take, share
from counterpoint.metrics.take import Asked, TakeReport, asked_of_brief, asked_of_score, best, take_report
from counterpoint.music import NO_CONTROLS, Controls, Score
from counterpoint.request import Request, check_candidates
from counterpoint.types import Progress


@dataclass(frozen=True)
class Judged:
    """A take's audio against a request: what was asked, what is heard, and how far they agree."""

    asked: Asked
    heard: Heard
    report: TakeReport


def asked_of(text: str, score: Score | None, controls: Controls = NO_CONTROLS) -> Asked:
    """What can be heard of a request: all of the score that is played, of which tempo and key may be the plan's alone; without
    one, the controls, and what the words say of tempo and key.

    Raises ValueError for words that contradict themselves.
    """
    said = asked_of_brief(read(text).brief)
    bpm, key = controls.tempo or said.bpm, controls.key or said.key
    if score is not None:
        planned = {"tempo": bpm is None or not same_tempo(bpm, score.bpm), "key": key != score.key}
        return replace(asked_of_score(score), planned=frozenset(name for name, alone in planned.items() if alone))
    return Asked(
        bpm=bpm,
        key=key,
        chords=controls.chords or (),
        melody=controls.melody or (),
        drums=controls.drums or (),
    )


def judge(take: Take, asked: Asked | None = None) -> Judged:
    """A take beside what was asked: `asked`, or what its own score or words ask for (`asked_of`)."""
    wanted = asked_of(take.record["prompt"], take.score, take.controls) if asked is None else asked
    heard = hearing.hear(take.audio, take.sample_rate)
    return Judged(wanted, heard, take_report(wanted, heard))


def report(take: Take, asked: Asked | None = None) -> TakeReport:
    """What was asked of a take, and what came out; `asked` as for `judge`."""
    return judge(take, asked).report


def check(model: Model, request: Request, asked: Asked | None = None) -> None:
    """Raises ValueError where the model cannot do what is asked, or where nothing of it can be heard; nothing is made."""
    _job(model, request, asked)


def _job(model: Model, request: Request, asked: Asked | None) -> Job:
    job = model.job(request, request.seed)
    wanted = asked_of(request.text, job.score, job.controls) if asked is None else asked
    if replace(wanted, seconds=None) == Asked():
        raise ValueError(
            "Nothing in the request can be heard in its music, so there is nothing to judge takes by; "
            "name a tempo or a key in the prompt, or give the model a plan."
        )
    return job


def best_of(
    model: Model, request: Request, candidates: int, progress: Progress | None = None, asked: Asked | None = None
) -> tuple[Take, tuple[Judged, ...]]:
    """The take that follows the request best, of those with the seeds `seed`, `seed + 1`, ...; and what was heard of each.

    All are played from the plan of the first (or of `plan_seed`): so they are asked for the same, and what is compared is the
    playing, not how easy a plan is.  Of equals the first is kept.  The kept take's record has "best_of": by what, the seeds,
    and the rank of each (`TakeReport.rank`).  Raises ValueError before anything is made, as `check` does; for a number of
    candidates that cannot be; and for more than one piece, as the best of each is a request of its own (`pieces`).
    """
    check_candidates(candidates)
    if request.count != 1:
        raise ValueError(f"The best of several takes is one piece, not {request.count}; ask for each in a request of its own.")
    same_plan = request.seed if request.composes and request.plan_seed is None else request.plan_seed
    job = _job(model, request.model_copy(update={"plan_seed": same_plan}), asked)
    model.warn(request)
    judged: list[Judged] = []
    kept: Take | None = None
    for i in range(candidates):
        take = model.play(job.again(request.seed + i), share(progress, i, candidates))
        judged.append(judge(take, asked))
        if kept is None or best([one.report for one in judged]) == len(judged) - 1:
            kept = take  # the others are let go: minutes of audio are large
    assert kept is not None
    chosen = {
        "by": "adherence",
        "seeds": [request.seed + i for i in range(candidates)],
        "ranks": [_finite(one.report.rank) for one in judged],
    }
    return replace(kept, record={**kept.record, "best_of": chosen}), tuple(judged)


def pieces(request: Request, candidates: int) -> list[Request]:
    """A request for each of the `count` pieces: piece i is chosen from the seeds `seed + i * candidates` on, so that no two
    share a candidate.
    """
    return [request.model_copy(update={"count": 1, "seed": request.seed + i * candidates}) for i in range(request.count)]


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None  # JSON knows no NaN
