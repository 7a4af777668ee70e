"""The symbols that a score is spelled with, in the manner of REMI (Huang and Yang 2020, section 3), as one table.

A line is a head (style, mood, key, metre, tempo, swing, who plays) and bars; a bar is how many bars are left, a section where
one begins, chords, and each player's part: positions, loudness and length where they change, pitches or hits.  Harmony is
spelled from the tonic, pitches from the chord's root, so that music is the same in every key and patterns on every chord.
"""

import numpy as np

from counterpoint.music import DRUM_CLASSES, QUALITIES, ROLES

TICKS = 12
"""Positions in a felt beat: sixteenths are 3 of them, triplets 4, the eighths of 6/8 are 4."""

STYLES = (
    "pop", "rock", "funk", "swing", "bossa nova", "blues", "reggae", "house", "techno", "ambient", "lo-fi", "hip-hop", "waltz",
    "classical piano", "cinematic strings", "folk", "metal", "latin", "unknown",
)  # fmt: skip
MOODS = (
    "happy", "sad", "calm", "relaxed", "energetic", "uplifting", "dark", "dreamy", "romantic", "melancholic", "epic", "tense",
    "aggressive", "mysterious", "nostalgic", "playful", "groovy", "warm", None,
)  # fmt: skip
METRES = ("4/4", "3/4", "6/8")
SLOWEST, FASTEST = 30, 300
"""Tempi are whole beats a minute between these; the exact tempo of a score is kept beside its line."""
SWINGS = (
    (1.0, 0.5), (1.0, 0.56), (1.0, 0.6), (1.0, 0.64), (1.0, 0.66),
    (0.5, 0.54), (0.5, 0.55), (0.5, 0.56), (0.5, 0.58), (0.5, 0.62), (0.5, 0.66),
)  # fmt: skip
"""The unit that swings, in beats, and where within it the off-beat falls; the first is straight."""
SECTIONS = ("intro", "verse", "chorus", "bridge", "outro", "part")
"""A section by any other name is spelled as the last."""
CHORDS = tuple(QUALITIES)
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 21, 24, 30, 36, 42, 48, 60, 72, 96, 144, 192)
"""How long notes last, in ticks."""
LOUD, LOUDEST = 16, 9
"""Velocities in a step of loudness, and the last step: off the beat, velocities are spelled as louder than they are."""
AGAIN = (1, 2, 4, 8)
"""How many bars back a part may be repeated from."""
REPEATED = 8
"""Of the different chords (two notes or more) of a part in a bar, those that can be struck again by a single symbol."""
MOST_LEFT = 16
"""Bars are counted down to the end from here."""
LOWEST_PITCH = -3
"""Pitches are spelled as if the chord's root lay between E1 and D#2: 8 semitones below and 3 above are possible."""
LOWEST_HIT, HITS = 35, 47
HIT_EDGES, HIT_LEVELS = (42, 62, 98), (34, 52, 82, 112)
"""Velocities between which hits are ghost notes, soft, plain and loud, and what each of them is read as."""

_SIZES = {
    "mark": 5, "style": len(STYLES), "mood": len(MOODS), "key": 24, "metre": len(METRES), "tempo": FASTEST - SLOWEST + 1,
    "swing": len(SWINGS), "role": len(ROLES), "program": 128, "bar": MOST_LEFT, "section": len(SECTIONS),
    "position": 4 * TICKS, "chord": 12 * len(CHORDS) + 1, "inversion": 12, "again": len(AGAIN), "loud": LOUDEST + 1,
    "length": len(LENGTHS), "same": REPEATED, "pitch": 139, "hit": HITS * len(HIT_LEVELS),
}  # fmt: skip
HEAD = ("style", "mood", "key", "metre", "tempo", "swing")
"""What a head tells, in order, before it names the players."""

FIRST: dict[str, int] = {}
"""The first symbol of each kind."""
for _kind, _size in _SIZES.items():
    FIRST[_kind] = sum(_SIZES[before] for before in FIRST)
SIZE = sum(_SIZES.values())
KINDS = tuple(_SIZES)
KIND = np.repeat(np.arange(len(KINDS)), list(_SIZES.values()))
"""The index in KINDS of every symbol."""

NOTHING, BEFORE, AFTER, MIDDLE, END = range(5)
"""Marks: padding; what comes before a gap, what comes after it, what fills it; the end of a line."""
NO_CHORD = 12 * len(CHORDS)
DRUMS = ROLES.index("drums")
PERCUSSION = frozenset(key for keys in DRUM_CLASSES.values() for key in keys)


def symbol(kind: str, number: int) -> int:
    """The symbol of a kind."""
    assert 0 <= number < _SIZES[kind], f"{kind} {number}"
    return FIRST[kind] + number


def kind_of(token: int) -> str:
    """What a symbol tells."""
    return KINDS[KIND[token]]


def number_of(token: int) -> int:
    """Which of its kind a symbol is."""
    return token - FIRST[kind_of(token)]


def span(kind: str) -> slice:
    """Where the symbols of a kind lie."""
    return slice(FIRST[kind], FIRST[kind] + _SIZES[kind])
