"""From guesses of the key to a key."""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.music import Key


def decode_key(guesses: Float[ndarray, " 24"]) -> Key:
    """The likeliest key; the listener's classes are tonic * 2 + (1 for minor)."""
    label = int(np.argmax(guesses))
    return Key(label // 2, "minor" if label % 2 else "major")
