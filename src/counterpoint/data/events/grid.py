"""Seconds and ticks: the grid of a score's beats, straightened where it swings."""

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.data.events.vocabulary import SWINGS, TICKS
from counterpoint.music import Metre, Score

Swing = tuple[float, float]
_FINEST = 4
"""Notes in a beat that a swing is told by."""
_UPBEAT = 0.1
"""Beats by which a piece may begin before its first bar without having an upbeat."""
_PREFERENCE = 0.9
"""A swing has to come so much nearer to the notes than straight time."""


@dataclass(frozen=True)
class Grid:
    """Times of the beats from the start of bar 0 on (before 0 where a piece begins with an upbeat), and how they swing."""

    beats: Float[ndarray, " t"]
    tempo: float
    metre: Metre
    swing: Swing = SWINGS[0]

    @staticmethod
    def steady(tempo: float, metre: Metre, swing: Swing = SWINGS[0]) -> "Grid":
        """Beats at one tempo, the first at 0."""
        return Grid(np.zeros(1), tempo, metre, swing)

    @staticmethod
    def of(score: Score) -> "Grid":
        """The grid of a score, whole bars from the one that holds its start; the swing is found from its notes."""
        beats = np.array(score.beats or (0.0,), np.float64)
        first = bisect_left(score.beats, score.downbeats[0] - 1e-6) if score.downbeats else 0
        beat, bar = 60 / score.bpm, score.metre.beats
        missing = -first % bar
        missing += bar * max(0, ceil((beats[0] / beat - missing - _UPBEAT) / bar))
        upbeat = beats[0] - np.arange(missing, 0, -1) * beat
        grid = Grid(np.concatenate((upbeat, beats)), score.bpm, score.metre)
        return Grid(grid.beats, score.bpm, score.metre, _swing(score, grid))

    @property
    def bar(self) -> int:
        """Ticks in a bar."""
        return self.metre.beats * TICKS

    def bars(self, seconds: float) -> int:
        """Bars, the last perhaps cut short, in a piece of so many seconds; at least one."""
        return max(1, ceil(float(self.beat(np.array([seconds], np.float64))[0]) / self.metre.beats - 1e-6))

    def beat(self, seconds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Times as beats since bar 0, as they are counted: not straightened."""
        places = np.arange(len(self.beats), dtype=np.float64)
        inside = np.interp(seconds, self.beats, places)
        before = np.minimum(0, (seconds - self.beats[0]) * self.tempo / 60)
        after = np.maximum(0, (seconds - self.beats[-1]) * self.tempo / 60)
        return inside + before + after

    def ticks(self, seconds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Times as ticks since bar 0, between which no swing bends them."""
        return straight(self.beat(seconds), self.swing) * TICKS

    def seconds(self, ticks: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """The inverse of `ticks`."""
        beats = bent(ticks / TICKS, self.swing)
        places = np.arange(len(self.beats), dtype=np.float64)
        beyond = np.minimum(0, beats) + np.maximum(0, beats - places[-1])
        return np.interp(beats, places, self.beats) + beyond * 60 / self.tempo


def bent(beats: Float[ndarray, " n"], swing: Swing) -> Float[ndarray, " n"]:
    """Straight beats as they are played: the second half of each unit is late and short."""
    unit, ratio = swing
    whole = np.floor(beats / unit + 1e-9)
    phase = np.maximum(beats / unit - whole, 0.0)
    played = np.where(phase < 0.5, phase * 2 * ratio, ratio + (phase - 0.5) * 2 * (1 - ratio))
    return (whole + played) * unit


def straight(beats: Float[ndarray, " n"], swing: Swing) -> Float[ndarray, " n"]:
    """The inverse of `bent`."""
    unit, ratio = swing
    whole = np.floor(beats / unit + 1e-9)
    phase = np.maximum(beats / unit - whole, 0.0)
    counted = np.where(phase < ratio, phase / (2 * ratio), 0.5 + (phase - ratio) / (2 * (1 - ratio)))
    return (whole + counted) * unit


def _swing(score: Score, grid: Grid) -> Swing:
    """The swing under which the notes lie nearest to sixteenths; straight where none is clearly nearer, and in 6/8."""
    onsets = np.array([note.start for track in score.tracks for note in track.notes], np.float64)
    if len(onsets) == 0 or score.metre.denominator == 8:
        return SWINGS[0]
    beats = grid.beat(onsets)

    def distance(swing: Swing) -> float:
        places = straight(beats, swing) * _FINEST
        return float(np.abs(places - np.round(places)).mean()) * (1.0 if swing != SWINGS[0] else _PREFERENCE)

    return min(SWINGS, key=distance)
