"""The tempo map of a MIDI file: from ticks to seconds, and what of a map cannot be followed."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

FASTEST, SLOWEST = 20_000, 15_000_000
"""Microseconds in a quarter note (3000 and 4 bpm) beyond which a tempo is none."""
LAST_TICK = 2**40
"""A tick that no music reaches."""
_USUAL = 500_000


@dataclass(frozen=True)
class TempoMap:
    """Times of the ticks at which the tempo changes, and the seconds that a tick lasts from there on."""

    ticks: list[int]
    seconds: list[float]
    slopes: list[float]

    @staticmethod
    def of(tempi: Sequence[tuple[int, int]], ticks_per_quarter: int) -> "TempoMap":
        """From (tick, microseconds in a quarter note); before the first it is 120 bpm, at one tick the last holds.

        Raises ValueError for tempi that nobody can follow.
        """
        changes = dict(sorted([(0, _USUAL), *tempi], key=lambda change: change[0]))
        result = TempoMap([], [], [])
        for tick, tempo in changes.items():
            _check(tick, tempo)
            result.seconds.append(result.at(tick) if result.ticks else 0.0)
            result.ticks.append(tick)
            result.slopes.append(tempo / 1e6 / ticks_per_quarter)
        return result

    def at(self, tick: float) -> float:
        """Seconds at a tick."""
        i = bisect.bisect_right(self.ticks, tick) - 1
        return round(self.seconds[i] + (tick - self.ticks[i]) * self.slopes[i], 6)


def _check(tick: int, tempo: int) -> None:
    if not FASTEST <= tempo <= SLOWEST:
        asked = f"{60e6 / tempo:.3g} beats a minute" if tempo else "a tempo of 0, at which all happens at once"
        raise ValueError(f"The tempo map is broken, since at tick {tick} it asks for {asked}; set a tempo and export it again.")
