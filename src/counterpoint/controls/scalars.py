"""Tempo and key as a musician gives them, and whether a prompt says otherwise."""

from counterpoint.chart import parse_tempo
from counterpoint.data.corpus.scanning import items
from counterpoint.music import Key, Metre

SAME_TEMPO = 0.05
"""Tempi that differ by no more than this share agree."""


def read_tempo(given: float | str) -> float:
    """Felt beats a minute from a number, "120" or "120 bpm".  Raises ValueError for what nobody plays."""
    return parse_tempo(given if isinstance(given, str) else str(given))


def read_key(given: Key | str, transpose: int = 0) -> Key:
    """A key, or its name ("A minor", "B♭", "F#m"), `transpose` semitones higher.  Raises ValueError."""
    key = given if isinstance(given, Key) else Key.parse(given)
    return key.transpose(transpose)


def same_tempo(said: float, asked: float) -> bool:
    """Whether two tempi agree."""
    return abs(said / asked - 1) <= SAME_TEMPO


def agree(prompt: str, tempo: float | None = None, key: Key | None = None, metre: Metre | None = None) -> None:
    """Raises ValueError, which names both, where a prompt names another tempo, key or metre than is asked for beside it.

    It is the prompt's own words that count, not the brief that is made of them: "slow" contradicts no number, "in a minor
    key" no tonic, though a mode that is said must be that of `key`.
    """
    for kind, value, _ in items(prompt):
        if kind == "bpm" and tempo is not None and not same_tempo(float(value), tempo):
            raise ValueError(f"The prompt says {value} bpm, but the tempo is to be {tempo:g} bpm; leave one of the two.")
        if kind in ("key", "mode") and key is not None and not _is_key(value, key):
            said = f"{value} key" if kind == "mode" else value
            raise ValueError(f"The prompt says {said}, but the key is to be {key.spelled}; leave one of the two.")
        if kind == "metre" and metre is not None and Metre.parse(value) != metre:
            raise ValueError(f"The prompt says {value}, but the metre is to be {metre.name}; leave one of the two.")


def _is_key(said: str, key: Key) -> bool:
    """Whether "minor", "A" or "A minor" is true of a key."""
    if said in ("major", "minor"):
        return said == key.mode
    named = Key.parse(said)
    return named.tonic == key.tonic and (" " not in said or named.mode == key.mode)
