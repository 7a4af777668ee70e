"""One take beside what was asked: what is right, said in one sentence, and one number that ranks takes of the same request.

"asked 120 bpm, got 119.6; key right; chords 15 of 16 bars; down-beats 14 of 16".  Only what was asked is judged.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.metrics.harmony import chord_agreement, key_score
from counterpoint.metrics.melody import lane, lane_figures
from counterpoint.metrics.rhythm import OCTAVES, event_f1, matched, tempo_accuracy1, tempo_accuracy2
from counterpoint.music import Brief, ChordSpan, Key, Note, Score

Verdict = Literal["right", "partly", "wrong"]

RIGHT, PARTLY = 0.8, 0.4
"""Scores from which on an aspect is right, or partly right."""
SAME_HIT = 0.03
"""Seconds within which drums that are struck together are one hit."""
_MULTIPLES = dict(zip(OCTAVES, ("", "twice", "half", "three times", "a third of"), strict=True))
_RELATIONS = {0.5: "a fifth above", 0.3: "its relative", 0.2: "its parallel"}


@dataclass(frozen=True)
class Asked:
    """What a take is to be; what is None or empty is left open.  Times are seconds."""

    bpm: float | None = None
    key: Key | None = None
    chords: tuple[ChordSpan, ...] = ()
    downbeats: tuple[float, ...] = ()
    melody: tuple[Note, ...] = ()
    drums: tuple[Note, ...] = ()
    seconds: float | None = None
    planned: frozenset[str] = frozenset()
    """Of "tempo" and "key", what nobody but the plan asked for."""

    def by(self, what: str) -> str:
        """Who asked for it, in a word."""
        return "planned" if what in self.planned else "asked"


@dataclass(frozen=True)
class Aspect:
    """One thing that was asked: how right it is from 0 to 1, and in words."""

    name: str
    score: float
    text: str

    @property
    def verdict(self) -> Verdict:
        """The score in a word."""
        return "right" if self.score >= RIGHT else "partly" if self.score >= PARTLY else "wrong"


@dataclass(frozen=True)
class TakeReport:
    """What was heard of all that was asked."""

    aspects: tuple[Aspect, ...]

    @property
    def sentence(self) -> str:
        """All aspects in one line."""
        return "; ".join(aspect.text for aspect in self.aspects) or "nothing was asked that can be heard"

    @property
    def rank(self) -> float:
        """How right a take is: the mean score of its aspects; NaN where nothing was asked that can be heard."""
        return float(np.mean([aspect.score for aspect in self.aspects])) if self.aspects else math.nan


def asked_of_score(score: Score) -> Asked:
    """All that a score asks for."""
    notes = {role: tuple(note for t in score.tracks if t.role == role for note in t.notes) for role in ("melody", "drums")}
    return Asked(score.bpm, score.key, score.chords, score.downbeats, notes["melody"], notes["drums"], score.seconds)


def asked_of_brief(brief: Brief) -> Asked:
    """What of words can be heard without a score: tempo and key.  A progression has no times, so it is not among them."""
    return Asked(bpm=brief.bpm, key=brief.key)


def take_report(asked: Asked, heard: Heard) -> TakeReport:
    """Every aspect that was asked, judged by what was heard.  Raises ValueError for values that are none."""
    judged = [
        _tempo(asked, heard.tempo),
        _key(asked, heard.key),
        _chords(asked, heard),
        _downbeats(asked, heard),
        _melody(asked, heard),
        _drums(asked, heard),
    ]
    return TakeReport(tuple(aspect for aspect in judged if aspect is not None))


def hear_take(
    asked: Asked,
    audio: Float[Tensor, "c n"],
    sample_rate: int,
    hear: Callable[[Float[Tensor, "c n"], int], Heard],
) -> TakeReport:
    """The same of audio, by an analyser such as `analysis.hearing.hear`."""
    return take_report(asked, hear(audio, sample_rate))


def best(reports: Sequence[TakeReport]) -> int:
    """Which take follows what was asked best; the first of equals.  Raises ValueError where there is none."""
    if not reports:
        raise ValueError("There is no take to choose from; make at least one.")
    return max(range(len(reports)), key=lambda i: (-1.0 if math.isnan(reports[i].rank) else reports[i].rank, -i))


def _tempo(wanted: Asked, heard: float) -> Aspect | None:
    if (asked := wanted.bpm) is None:
        return None
    by = wanted.by("tempo")
    if math.isnan(heard):
        return Aspect("tempo", 0.0, f"{by} {asked:g} bpm, heard no pulse")
    exact, octave = tempo_accuracy1(heard, asked), tempo_accuracy2(heard, asked)
    text = f"{by} {asked:g} bpm, got {heard:.1f}"
    if octave and not exact:
        nearest = min(OCTAVES, key=lambda multiple: abs(math.log(heard / (asked * multiple))))
        text += f" ({_MULTIPLES[nearest]} the tempo)"
    return Aspect("tempo", (exact + octave) / 2, text)


def _key(wanted: Asked, heard: Key | None) -> Aspect | None:
    if (asked := wanted.key) is None:
        return None
    by = wanted.by("key")
    if heard is None:
        return Aspect("key", 0.0, f"{by} {asked.spelled}, heard no key")
    score = key_score(heard, asked)
    relation = f" ({_RELATIONS[score]})" if score in _RELATIONS else ""
    return Aspect("key", score, "key right" if score == 1 else f"{by} {asked.spelled}, got {heard.spelled}{relation}")


def _chords(asked: Asked, heard: Heard) -> Aspect | None:
    """By bars, each right where its major and minor chords are right for most of it; the score is the overlap in time."""
    edges = _bars(asked)
    if not edges:
        return None
    over = max(heard.seconds, max((span.end for span in heard.chords), default=0.0))
    spans = heard.chords if over >= edges[-1] else (*heard.chords, ChordSpan(over, edges[-1], None))
    until = [chord_agreement(spans, asked.chords, "majmin", edge) for edge in edges]
    told = [(b.equal - a.equal, b.compared - a.compared) for a, b in pairwise(until)]
    told = [(equal, compared) for equal, compared in told if compared > 1e-9]
    if not told:
        return None
    right = sum(equal > compared / 2 for equal, compared in told)
    overlap = sum(equal for equal, _ in told) / sum(compared for _, compared in told)
    return Aspect("chords", overlap, f"chords {right} of {len(told)} {'bars' if asked.downbeats else 'spans'}")


def _bars(asked: Asked) -> list[float]:
    """Where bars begin and the last one ends, or chords where no bars are told; a last bar cut under its half is left out."""
    if not asked.chords:
        return []
    end = asked.seconds if asked.seconds is not None else max(span.end for span in asked.chords)
    starts = asked.downbeats or tuple(span.start for span in asked.chords)
    edges = sorted({start for start in starts if start < end})
    if len(edges) > 1 and end - edges[-1] < 0.5 * float(np.median(np.diff(edges))):
        return edges
    return [*edges, end]


def _downbeats(asked: Asked, heard: Heard) -> Aspect | None:
    if not asked.downbeats:
        return None
    hits, extra = matched(heard.downbeats, asked.downbeats), max(0, len(heard.downbeats) - len(asked.downbeats))
    text = f"down-beats {hits} of {len(asked.downbeats)}" + (f", and {extra} more" if extra else "")
    return Aspect("down-beats", event_f1(heard.downbeats, asked.downbeats), text)


def _melody(asked: Asked, heard: Heard) -> Aspect | None:
    if not asked.melody:
        return None
    seconds = max(note.end for note in asked.melody) if asked.seconds is None else asked.seconds
    line = lane(asked.melody, seconds, MELODY_RATE)
    silence = np.zeros(max(0, len(line) - len(heard.melody)), dtype=np.int16)
    share = lane_figures(np.concatenate([heard.melody, silence]), line)["pitch"]
    return None if math.isnan(share) else Aspect("tune", share, f"tune {share:.0%}")


def _drums(asked: Asked, heard: Heard) -> Aspect | None:
    """By hits, whichever drum is struck; drums struck together are one."""
    hits: list[float] = []
    for time in sorted(note.start for note in asked.drums if asked.seconds is None or note.start < asked.seconds):
        if not hits or time - hits[-1] > SAME_HIT:
            hits.append(time)
    if not hits:
        return None
    struck = heard.drums.get("any", ())
    return Aspect("drums", event_f1(struck, hits), f"drums {matched(struck, hits)} of {len(hits)} hits")
