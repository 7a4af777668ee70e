"""The 193 chord labels that the paper's chord control knows, and every chord as one of them.

The labels are those of Chordino as JASCO uses them (Tal et al. 2024; AudioCraft's assets/chord_to_index_mapping.pkl): none,
twelve roots in ten qualities, and 72 slash chords.  The numbers are ours; `hub/jasco_layout.py` holds those of the published
models.
"""

from counterpoint.music import PITCH_CLASSES, Chord

QUALITIES = ("maj", "min", "min6", "min7", "hdim7", "7", "maj7", "maj6", "dim", "aug")
"""The ten qualities in Harte's words."""

SLASHES = (("maj", 4), ("maj", 7), ("maj", 2), ("maj", 10), ("7", 4), ("hdim7", 10))
"""Qualities that have a bass of their own, and its semitones above the root."""

NEAREST = {
    "dim7": "dim", "minmaj7": "min", "9": "7", "maj9": "maj7", "min9": "min7", "7sus4": "7",
    "sus2": "maj", "sus4": "maj", "5": "maj",
}  # fmt: skip
"""What the other qualities are taken for: among the ten, that of most shared tones; of these the one with fewest foreign
tones; of these a major one."""

_CHORDS: tuple[Chord | None, ...] = (
    None,
    *(
        Chord(root, quality, None if above is None else (root + above) % 12)
        for root in range(12)
        for quality, above in [*((quality, None) for quality in QUALITIES), *SLASHES]
    ),
)
_NUMBERS = {chord: number for number, chord in enumerate(_CHORDS)}


def label_of(chord: Chord | None) -> int:
    """The number of the nearest label, 0 for none: any quality as NEAREST says, the bass only where such a label exists."""
    if chord is None:
        return 0
    quality = NEAREST.get(chord.quality, chord.quality)
    inverted = _NUMBERS.get(Chord(chord.root, quality, chord.bass))
    return _NUMBERS[Chord(chord.root, quality)] if inverted is None else inverted


def chord_of(label: int) -> Chord | None:
    """The chord of a label's number, None for 0.  Raises ValueError for what is no number of a label."""
    if not 0 <= label < len(_CHORDS):
        raise ValueError(f"There is no chord label {label}; they are counted from 0 to {len(_CHORDS) - 1}.")
    return _CHORDS[label]


def _written(chord: Chord | None) -> str:
    """As Chordino writes it: "N", "Am7", "C#/E#"; the bass has the letter of its step above the root's."""
    if chord is None or chord.bass is None:
        return "N" if chord is None else chord.name
    letters, natural = "CDEFGAB", (0, 2, 4, 5, 7, 9, 11)
    steps = {2: 1, 4: 2, 7: 4, 10: 6}[(chord.bass - chord.root) % 12]
    place = (letters.index(PITCH_CLASSES[chord.root][0]) + steps) % 7
    sharps = (chord.bass - natural[place] + 6) % 12 - 6
    return Chord(chord.root, chord.quality).name + f"/{letters[place]}{'#' * sharps}{'b' * -sharps}"


LABELS: tuple[str, ...] = tuple(_written(chord) for chord in _CHORDS)
"""The labels by number; that of no chord is the first."""
