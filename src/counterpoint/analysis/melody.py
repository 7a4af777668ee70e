"""From the salience of 53 pitches to one tune: the path that changes as seldom as the guesses allow."""

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int16
from numpy import ndarray

from counterpoint.analysis.chords import steadiest
from counterpoint.analysis.heard import LOWEST, MELODY_RATE
from counterpoint.analysis.listener import MELODY_STEP

CHANGE = 1.0
"""What a change of pitch, or a beginning or end, costs (natural log)."""


def decode_melody(guesses: Float[ndarray, "v t2"], rate: float, seconds: float) -> Int16[ndarray, " t"]:
    """MIDI pitches at k / MELODY_RATE for k / MELODY_RATE < seconds, 0 where there is no tune.

    `guesses` are log-probabilities of the listener's classes, `rate` the spectrum's frames a second.
    """
    frames = max(1, int(np.ceil(seconds * MELODY_RATE)))
    places = (np.arange(frames) / MELODY_RATE * rate - (MELODY_STEP - 1) / 2) / MELODY_STEP
    slow = np.arange(guesses.shape[1])
    finer = np.stack([np.interp(places, slow, row) for row in guesses])
    path = steadiest(finer, CHANGE)
    return np.where(path > 0, path + (LOWEST - 1), 0).astype(np.int16)


def notes_of(melody: Int16[ndarray, " t"]) -> tuple[tuple[float, float, int], ...]:
    """Start, end and pitch of every run of one pitch; a note that is struck again is one run."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(melody)) + 1, [len(melody)]])
    runs = [(int(begin), int(end)) for begin, end in pairwise(edges) if end > begin]
    return tuple((begin / MELODY_RATE, end / MELODY_RATE, int(melody[begin])) for begin, end in runs if melody[begin])
