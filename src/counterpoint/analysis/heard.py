"""The value that analysis ends in, the counterpart of a `Score` as it is heard."""

from dataclasses import dataclass

from jaxtyping import Int16
from numpy import ndarray

from counterpoint.music import ChordSpan, Key

LOWEST, HIGHEST = 43, 95
"""The melody's range as MIDI pitches: G2 to B7, 53 of them."""
MELODY_RATE = 50.0
"""Melody pitches a second."""


@dataclass(frozen=True)
class Heard:
    """What a sound says of its music.  Times are seconds; `tempo` counts felt beats a minute and is NaN without a pulse.

    `melody` is the MIDI pitch of the tune at each 1 / MELODY_RATE seconds, 0 where there is none.  `drums` are onset times by
    class, "kick", "snare" and "hat", and "any" for all struck sounds.
    """

    seconds: float
    tempo: float
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    key: Key | None
    chords: tuple[ChordSpan, ...]
    melody: Int16[ndarray, " t"]
    drums: dict[str, tuple[float, ...]]
