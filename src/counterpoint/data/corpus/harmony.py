"""Harmony: Roman numerals into chords, progressions over a form, and voicings that move as little as they can."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, pairwise

from counterpoint.music import QUALITIES, Chord, Key

_NUMERALS = {"i": 0, "ii": 1, "iii": 2, "iv": 3, "v": 4, "vi": 5, "vii": 6}
_SUFFIXES = {
    "ø7": "hdim7", "dim": "dim", "dim7": "dim7", "maj7": "maj7", "maj9": "maj9", "sus2": "sus2", "sus4": "sus4",
    "7sus4": "7sus4",
}  # fmt: skip
_BY_CASE = {"": ("maj", "min"), "7": ("7", "min7"), "6": ("maj6", "min6"), "9": ("9", "min9")}
# A chromatic tone displaces the scale's tone that shares its letter: keyed by semitones above the tonic.
_DISPLACED = {"major": {1: 0, 3: 4, 6: 5, 8: 9, 10: 11}, "minor": {1: 2, 4: 3, 6: 5, 9: 8, 11: 10}}


@dataclass(frozen=True)
class Slot:
    """A chord and the felt beats that it spans."""

    start: float
    end: float
    chord: Chord | None


@dataclass(frozen=True)
class Harmony:
    """The chords of a piece in order, without gaps."""

    slots: tuple[Slot, ...]
    starts: tuple[float, ...]

    @staticmethod
    def of(slots: Sequence[Slot]) -> "Harmony":
        return Harmony(tuple(slots), tuple(slot.start for slot in slots))

    def at(self, beat: float) -> Slot:
        """The slot in which `beat` lies."""
        return self.slots[max(0, bisect_right(self.starts, beat + 1e-6) - 1)]


def roman(numeral: str, key: Key) -> Chord:
    """The chord that a Roman numeral such as "ii7", "bVII", "V7/7" or "iiø7" means in `key`.

    A digit after the slash is the scale degree in the bass, counted from the tonic of the key: V/7 has the leading tone.
    """
    match = re.fullmatch(r"(b?)([ivIV]+)([^/]*)(?:/(\d))?", numeral)
    assert match is not None, f"{numeral} is no Roman numeral"
    flat, degree, suffix, bass = match.groups()
    root = key.scale[_NUMERALS[degree.lower()]] - (1 if flat else 0)
    quality = _SUFFIXES[suffix] if suffix in _SUFFIXES else _BY_CASE[suffix][0 if degree.isupper() else 1]
    leading = (key.tonic - 1) % 12
    lowest = None if bass is None else (leading if bass == "7" else key.scale[int(bass) - 1])
    return Chord(root % 12, quality, lowest)


def progression(text: str, key: Key, sevenths: bool) -> list[list[Chord]]:
    """The chords of each bar; `sevenths` turns plain triads into the key's own seventh chords."""
    bars = [[roman(numeral, key) for numeral in bar.split(".")] for bar in text.split()]
    return [[add_seventh(chord, key) if sevenths else chord for chord in bar] for bar in bars]


def add_seventh(chord: Chord, key: Key) -> Chord:
    """A triad as seventh chord: the seventh that the key has, a minor one on a major dominant."""
    if chord.quality not in ("maj", "min"):
        return chord
    major_seventh = (chord.root + 11) % 12 in key.scale and (chord.root - key.tonic) % 12 != 7
    qualities = {"maj": ("7", "maj7"), "min": ("min7", "min7")}
    return replace(chord, quality=qualities[chord.quality][int(major_seventh)])


def looped(chords: Sequence[Chord | None], lengths: Sequence[float], beats: float) -> list[Slot]:
    """A progression, each chord with its length in beats, repeated until `beats` are full."""
    slots: list[Slot] = []
    start = 0.0
    for chord, length in cycle(zip(chords, lengths, strict=True)):
        end = min(start + length, beats)
        slots.append(Slot(start, end, chord))
        start = end
        if start >= beats - 1e-6:
            return slots
    return slots


def guess_key(chords: Sequence[Chord | None]) -> Key:
    """The key whose scale holds most of the chords' tones; the first and last chord count as likely tonics."""
    known = [chord for chord in chords if chord is not None]

    def fit(key: Key) -> float:
        inside = sum(tone in key.scale for chord in known for tone in chord.pitch_classes)
        ends = sum(2.0 if _is_tonic(chord, key) else 0.0 for chord in (*known[:1], *known[-1:]))
        dominant = sum(chord.root == (key.tonic + 7) % 12 and chord.quality in ("7", "maj", "9") for chord in known)
        return inside + 2 * ends + sum(_is_tonic(chord, key) for chord in known) + dominant

    keys = [Key(tonic, mode) for mode in ("major", "minor") for tonic in range(12)]
    return max(keys, key=fit)


def _is_tonic(chord: Chord, key: Key) -> bool:
    third = QUALITIES[chord.quality][1]
    return chord.root == key.tonic and third == (4 if key.mode == "major" else 3)


@lru_cache(maxsize=4096)
def scale(chord: Chord | None, key: Key, kind: str = "diatonic") -> tuple[int, ...]:
    """Pitch classes that a line may use over a chord: the key's, bent where the chord is chromatic.

    `kind` "pentatonic" drops the avoid notes, "blues" adds the flat third and fifth; chord tones are always in.
    """
    tones = set(key.scale)
    steps = [(tone - key.tonic) % 12 for tone in (chord.pitch_classes if chord else ())]
    for step in steps:
        if (key.tonic + step) % 12 not in key.scale:
            displaced = _DISPLACED[key.mode].get(step, step)
            tones.discard((key.tonic + displaced) % 12)
    if kind == "pentatonic":
        avoid = (5, 11) if key.mode == "major" else (2, 8)
        tones -= {(key.tonic + step) % 12 for step in avoid}
    if kind == "blues":
        tones |= {(key.tonic + step) % 12 for step in (3, 10)}
        tones -= {(key.tonic + step) % 12 for step in (11, 8)}
    return tuple(sorted(tones | set(chord.pitch_classes if chord else ())))


@lru_cache(maxsize=16384)
def voice(chord: Chord, previous: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """Close-position pitches, lowest first, within [low, high]: the inversion nearest to the previous voicing.

    Sevenths and ninths leave out the perfect fifth, which the bass implies.  Small intervals are kept out of the depths,
    where they are mud.
    """
    classes = chord.pitch_classes
    if len(classes) == 5 or chord.quality in ("min7", "7"):
        classes = classes[:2] + classes[3:]
    centre = (low + high) / 2
    best, best_cost = tuple[int, ...](), float("inf")
    for floor in range(low, low + 12):
        pitches = tuple(sorted(floor + (tone - floor) % 12 for tone in classes))
        if pitches[-1] > high + 2 or pitches in (best,):
            continue
        gaps = [b - a for a, b in pairwise(pitches)]
        mud = 12 * (pitches[0] < 55 and gaps[0] < 3) + 3 * (gaps[0] == 1) + 3 * (gaps[-1] == 1)
        moved = _movement(pitches, previous) if previous else 0.0
        cost = moved + 0.35 * abs(sum(pitches) / len(pitches) - centre) + mud
        if cost < best_cost:
            best, best_cost = pitches, cost
    return best


def _movement(pitches: tuple[int, ...], previous: tuple[int, ...]) -> float:
    return sum(min(abs(p - q) for q in previous) for p in pitches)


def barre(chord: Chord, low: int) -> tuple[int, ...]:
    """A guitar's spelling from `low` on: root, fifth, octave, and the tenth (or what stands for the third)."""
    steps = QUALITIES[chord.quality]
    root = low + (chord.root - low) % 12
    fifth = next((step for step in steps if step in (6, 7, 8)), 7)
    third = steps[1] if steps[1] != fifth else 12
    return (root, root + fifth, root + 12, root + 12 + third)
