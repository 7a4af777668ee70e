"""From guesses of chords to chords: the path that changes as seldom as the guesses allow, its changes put onto beats."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from counterpoint.analysis.listener import CHORD_STEP, NO_CHORD, QUALITIES
from counterpoint.music import Chord, ChordSpan

CHANGE = 6.0
"""What a change of chord costs (natural log)."""
REACH = 0.12
"""Seconds by which a change is moved onto a beat."""


def decode_chords(
    guesses: Float[ndarray, "v t"], rate: float, seconds: float, beats: Sequence[float] = ()
) -> tuple[ChordSpan, ...]:
    """Spans that cover the sound from log-probabilities of the listener's classes, `rate` spectrum frames a second."""
    path = steadiest(guesses, CHANGE)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    times = (edges * CHORD_STEP - 0.5) / rate
    times[1:-1] = _onto(times[1:-1], beats)
    times = np.clip(times, 0.0, seconds)
    times[0], times[-1] = 0.0, seconds
    spans = []
    for begin, end, edge in zip(times[:-1], times[1:], edges[:-1], strict=True):
        if end > begin:
            spans.append(ChordSpan(float(begin), float(end), chord_of(int(path[edge]))))
    return tuple(spans)


def chord_of(label: int) -> Chord | None:
    """The chord of one of the listener's classes."""
    return None if label == NO_CHORD else Chord(label // len(QUALITIES), QUALITIES[label % len(QUALITIES)])


def steadiest(scores: Float[ndarray, "v t"], change: float) -> Int[ndarray, " t"]:
    """The path of states of the highest sum of scores less `change` for every change (Viterbi 1967)."""
    states, length = scores.shape
    came = np.zeros((length, states), dtype=np.int32)
    total = scores[:, 0].astype(np.float64)
    stay = np.arange(states)
    for t in range(1, length):
        best = int(total.argmax())
        moved = total[best] - change > total
        came[t] = np.where(moved, best, stay)
        total = np.where(moved, total[best] - change, total) + scores[:, t]
    path = np.empty(length, dtype=np.int64)
    path[-1] = int(total.argmax())
    for t in range(length - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def _onto(times: Float[ndarray, " i"], beats: Sequence[float]) -> Float[ndarray, " i"]:
    if not len(beats) or not len(times):
        return times
    grid = np.asarray(beats)
    nearest = grid[np.abs(times[:, None] - grid).argmin(1)]
    return np.where(np.abs(nearest - times) <= REACH, nearest, times)
