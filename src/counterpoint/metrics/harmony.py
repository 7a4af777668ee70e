"""Chords and keys side by side: how long two sequences of chord labels agree, and how near two keys are.

A clip of D seconds in which the labels are equal for O seconds has the overlap O / D (MIREX's weighted chord symbol recall) and
the IoU O / (2 D - O): the Jaccard index of the two sets of (time, label).  No paper that reports a "chord IoU" gives a formula;
this one is ours.  Before its first label a sequence is taken to have that label, after its last one the last.

What was real decides whether a figure applies: without any reference there is none (NaN); where there is one, hearing
nothing is wrong, and counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.music import QUALITIES, Chord, ChordSpan, Key

Detail = Literal["root", "majmin", "full"]
"""What of a chord must be equal: the root; the root and the third (of chords that are major or minor); quality and bass too."""
DETAILS: tuple[Detail, ...] = ("root", "majmin", "full")

_THIRDS = {
    quality: "major" if 4 in steps else "minor"
    for quality, steps in QUALITIES.items()
    if {step for step in steps if step < 8 and step != 2} in ({0, 4, 7}, {0, 3, 7})
}
"""Qualities that are major or minor: a third and a perfect fifth, whatever lies above them (mir_eval's `majmin`)."""


@dataclass(frozen=True)
class Agreement:
    """Seconds in which two sequences of chords agree, of the seconds in which they are compared."""

    equal: float
    compared: float

    @property
    def overlap(self) -> float:
        """O / D; NaN where nothing is compared."""
        return self.equal / self.compared if self.compared > 0 else math.nan

    @property
    def iou(self) -> float:
        """O / (2 D - O); NaN where nothing is compared."""
        return self.equal / (2 * self.compared - self.equal) if self.compared > 0 else math.nan


def chord_agreement(
    made: Sequence[ChordSpan],
    real: Sequence[ChordSpan],
    detail: Detail = "full",
    seconds: float | None = None,
    silence: bool = True,
) -> Agreement:
    """How long the chords agree in the first `seconds`, the clips' length or the shorter one's; by default, until one ends.

    At detail "majmin", whatever the bass, time in which the real chord is neither major nor minor nor none is not compared.
    Without `silence`, time in which neither has a chord is not compared.  Where two spans leave a gap there is no chord; where
    they overlap, the later one holds.  Sequences without spans: a made one has no chords, a real one is not compared with.
    Raises ValueError for times that are not numbers or run backwards.
    """
    _check(made)
    _check(real)
    ends = [max(span.end for span in spans) for spans in (made, real) if spans]
    last = min(ends, default=0.0) if seconds is None else seconds
    if not real or last <= 0:
        return Agreement(0.0, 0.0)
    edges = _edges([*made, *real], last)
    middles, lengths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    compared = equal = 0.0
    for length, ours, theirs in zip(lengths, _labels(made, middles), _labels(real, middles), strict=True):
        same = _same(ours, theirs, detail)
        if same is None or (ours is None and theirs is None and not silence):
            continue
        compared += length
        equal += length * same
    return Agreement(float(equal), float(compared))


def chord_figures(made: Sequence[ChordSpan], real: Sequence[ChordSpan], seconds: float | None = None) -> dict[str, float]:
    """Overlap and IoU of one clip at every detail, by names such as "chord overlap majmin"."""
    agreements = {detail: chord_agreement(made, real, detail, seconds) for detail in DETAILS}
    overlaps = {f"chord overlap {detail}": agreement.overlap for detail, agreement in agreements.items()}
    return {**overlaps, **{f"chord iou {detail}": agreement.iou for detail, agreement in agreements.items()}}


def read_changes(changes: Sequence[tuple[float, str]], seconds: float) -> tuple[ChordSpan, ...]:
    """Chords from (time, label) pairs such as Chordino writes, each of which holds until the next, the last until `seconds`.

    Labels are those that `Chord.parse` reads, slash chords among them; "N" is no chord.  Raises ValueError.
    """
    inside = sorted((change for change in changes if change[0] < seconds), key=lambda change: change[0])
    ends = [time for time, _ in inside[1:]] + [seconds]
    return tuple(ChordSpan(start, end, Chord.parse(label)) for (start, label), end in zip(inside, ends, strict=True))


def key_score(made: Key | None, real: Key | None) -> float:
    """How near a key is: 1 the same, 0.5 a fifth above, 0.3 the relative, 0.2 the parallel key, else 0 (MIREX, mir_eval).

    A key that was not found where there is one scores 0; where there is none to compare with: NaN.
    """
    if real is None:
        return math.nan
    if made is None:
        return 0.0
    step = (made.tonic - real.tonic) % 12
    if made.mode == real.mode:
        return {0: 1.0, 7: 0.5}.get(step, 0.0)
    relative = 9 if real.mode == "major" else 3
    return {relative: 0.3, 0: 0.2}.get(step, 0.0)


def _check(spans: Sequence[ChordSpan]) -> None:
    for span in spans:
        if not (math.isfinite(span.start) and math.isfinite(span.end) and span.start <= span.end):
            raise ValueError(
                f"A chord lasts from {span.start} to {span.end} s; give finite times, the end not before the start."
            )


def _edges(spans: Sequence[ChordSpan], last: float) -> Float[ndarray, " e"]:
    """All times from 0 to `last` at which a label may change."""
    times = [time for span in spans for time in (span.start, span.end) if 0 < time < last]
    return np.unique([0.0, *times, last])


def _labels(spans: Sequence[ChordSpan], times: Float[ndarray, " e"]) -> list[Chord | None]:
    """The chord at each time; before the first span that of the first, after the last that of the last."""
    if not spans:
        return [None] * len(times)
    line = sorted(spans, key=lambda span: span.start)
    places = np.searchsorted([span.start for span in line], times, side="right") - 1
    latest = max(span.end for span in line)
    labels = []
    for place, time in zip(places, times, strict=True):
        span = line[max(0, place)]
        sounds = time < span.end or place < 0
        labels.append(span.chord if sounds else line[-1].chord if time >= latest else None)
    return labels


def _same(made: Chord | None, real: Chord | None, detail: Detail) -> bool | None:
    """Whether two chords are equal in so much detail; None where the real one cannot be compared."""
    if detail == "majmin" and real is not None and real.quality not in _THIRDS:
        return None
    if made is None or real is None:
        return made is real
    if detail == "root":
        return made.root == real.root
    if detail == "majmin":
        return made.root == real.root and _THIRDS.get(made.quality) == _THIRDS[real.quality]
    return made.root == real.root and made.quality == real.quality and _bass(made) == _bass(real)


def _bass(chord: Chord) -> int:
    return chord.root if chord.bass is None else chord.bass
