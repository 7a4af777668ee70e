"""From guesses of beats to a pulse: the path through tempo, metre and bar that explains the guesses best.

A small bar-pointer model (Whiteley, Cemgil and Godsill 2006; Krebs, Böck and Widmer 2015) written as a semi-Markov chain: a
step goes from beat to beat, so that tempo changes at beats only, and all frames between them must be quiet.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

METRES = (2, 3, 4)
"""Felt beats in a bar."""
SHORTEST, LONGEST = 13, 61
"""Frames from beat to beat: 231 to 49 beats a minute at 50 frames a second."""
CHANGE = 0.4
"""What it costs (natural log) that a beat is a frame longer or shorter than the last: true lengths lie between frames."""
DRIFT = 60.0
"""What every further change by a factor of e costs."""
METRE_PRIOR = {2: -1.0, 3: -0.5, 4: 0.0}
QUIETEST = 0.005
"""No guess is trusted beyond this."""
FAINT = 0.08
"""Before the first and after the last guess of a beat above this there is no pulse."""
DOUBTED = 0.15
"""Where the guesses at the beats found are below this on average there is no pulse."""
_NUMBERS = [(metre, number) for metre in METRES for number in range(metre)]
"""The places of a beat in a bar, for each metre: 9 states."""
_BEFORE = [_NUMBERS.index((metre, (number - 1) % metre)) for metre, number in _NUMBERS]


class Pulse(NamedTuple):
    """Seconds of beats and down-beats (which are among them), and beats a minute; fewer than three beats are none, and NaN."""

    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    tempo: float


def decode_pulse(guesses: Float[ndarray, "2 t"], rate: float) -> Pulse:
    """Beats and down-beats from their probabilities, `rate` frames a second."""
    loud = np.flatnonzero(guesses[0] >= FAINT)
    if not len(loud):
        return Pulse((), (), float("nan"))
    begin, end = int(loud[0]), int(loud[-1]) + 1
    begin = 0 if begin < LONGEST else begin
    before = LONGEST if begin == 0 else 0
    unknown = np.arange(-before, end - begin) < 0  # beats before the sound, so that one at its very start has a place
    frames, numbers = _path(np.pad(guesses[:, begin:end].astype(np.float64), ((0, 0), (before, 0))), unknown)
    frames, numbers = frames - before, numbers[frames >= before - 1]
    frames = np.maximum(frames[frames >= -1], 0) + begin
    if len(frames) < 3 or guesses[0][frames].mean() < DOUBTED:
        return Pulse((), (), float("nan"))
    times = (frames + _offsets(guesses[0], frames)) / rate
    beats = np.maximum(times, 0.0)
    return Pulse(tuple(beats.tolist()), tuple(beats[numbers == 0].tolist()), tempo_of(beats))


def tempo_of(beats: Float[ndarray, " i"]) -> float:
    """Beats a minute: the slope of the line through the beats; NaN where there are fewer than three."""
    if len(beats) < 3:
        return float("nan")
    numbers = np.arange(len(beats)) - (len(beats) - 1) / 2
    slope = float(numbers @ (beats - beats.mean()) / (numbers @ numbers))
    return 60.0 / slope


def _path(guesses: Float[ndarray, "2 t"], unknown: Bool[ndarray, " t"]) -> tuple[Int[ndarray, " i"], Int[ndarray, " i"]]:
    """Frames of the beats, and each one's number in its bar from 0; `unknown` frames say neither beat nor none."""
    beat, down = np.clip(guesses, QUIETEST, 1 - QUIETEST)
    length = len(beat)
    lengths = np.arange(SHORTEST, LONGEST + 1)
    rest = np.concatenate([[0.0], np.cumsum(np.where(unknown, 0.0, np.log1p(-beat)))])  # rest[j] - rest[i]: no beat in i to j
    first = np.array([number == 0 for _, number in _NUMBERS])
    observed = np.where(first, np.log(down)[:, None], np.log(np.maximum(beat - down, QUIETEST))[:, None])  # t k
    observed[unknown] = 0.0
    prior = np.array([METRE_PRIOR[metre] - np.log(metre) for metre, _ in _NUMBERS])[:, None]
    change = np.abs(lengths[:, None] - lengths)
    penalty = np.where(change <= 1, CHANGE * change, CHANGE + DRIFT * np.abs(np.log(lengths[:, None] / lengths)))

    best = np.empty((length, len(_NUMBERS), len(lengths)))  # a beat at t, its number, the last one a length ago
    onward = np.empty_like(best)  # the best to step on from with a next beat of that length
    chosen = np.empty(best.shape, dtype=np.int16)
    places = np.arange(len(lengths))
    for t in range(length):
        scores = np.where(t < lengths, rest[t] + prior, -np.inf)  # the first beat of all
        inside = t >= lengths
        if inside.any():
            starts = t - lengths[inside]
            came = onward[starts, :, places[inside]].T[_BEFORE]
            scores[:, inside] = np.maximum(scores[:, inside], came + (rest[t] - rest[starts + 1]))
        best[t] = scores + observed[t][:, None]
        options = best[t][:, None, :] - penalty  # number, to, from
        chosen[t] = options.argmax(-1)
        onward[t] = np.take_along_axis(options, chosen[t][..., None].astype(np.intp), -1)[..., 0]
    return _trace(best, chosen, rest, lengths)


def _trace(best: ndarray, chosen: ndarray, rest: ndarray, lengths: ndarray) -> tuple[Int[ndarray, " i"], Int[ndarray, " i"]]:
    """Back from the best last beat, one within a beat's length of the end."""
    length = len(best)
    left = length - 1 - np.arange(length)
    ends = best + (rest[-1] - rest[1:])[:, None, None]
    ends = np.where((left[:, None] >= lengths)[:, None, :], -np.inf, ends)
    t, state, place = (int(i) for i in np.unravel_index(int(ends.argmax()), ends.shape))
    frames, numbers = [t], [_NUMBERS[state][1]]
    while t - lengths[place] >= 0:
        t -= int(lengths[place])
        state = _BEFORE[state]
        place = int(chosen[t, state, place])
        frames.append(t)
        numbers.append(_NUMBERS[state][1])
    return np.array(frames[::-1]), np.array(numbers[::-1])


def _offsets(guesses: Float[ndarray, " t"], frames: Int[ndarray, " i"]) -> Float[ndarray, " i"]:
    """Where between frames a beat lies: the centre of gravity of its guess and its neighbours'."""
    padded = np.pad(guesses, 1)
    around = np.stack([padded[frames], padded[frames + 1], padded[frames + 2]])
    return (around[2] - around[0]) / np.maximum(around.sum(0), 1e-6)
