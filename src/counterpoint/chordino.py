"""Chordino's 193 labels, the vocabulary in which the paper (section 4.5) and JASCO tell chords.

"N" for no chord, and on each of 12 roots ten qualities and six slash chords.  Of the six patterns three are attested (maj/3 as
in F#/A#, 7/3 as in G7/B, m7b5/b7 as in Bm7b5/A); maj/5, m/b3 and m/5 are our choice of the others.
"""

from counterpoint.music import QUALITIES, Chord

_PLAIN = ("maj", "min", "min6", "min7", "hdim7", "7", "maj7", "maj6", "dim", "aug")
_SLASH = (("maj", 4), ("maj", 7), ("min", 3), ("min", 7), ("7", 4), ("hdim7", 10))
_PATTERNS: tuple[tuple[str, int | None], ...] = (*((quality, None) for quality in _PLAIN), *_SLASH)


def chord_of(label: int) -> Chord | None:
    """The chord of a label's number; 0 is no chord."""
    if label == 0:
        return None
    root, pattern = divmod(label - 1, len(_PATTERNS))
    quality, bass = _PATTERNS[pattern]
    return Chord(root, quality, None if bass is None else (root + bass) % 12)


_NUMBERS = {chord_of(label): label for label in range(1 + 12 * len(_PATTERNS))}
LABELS = tuple("N" if chord is None else chord.name for chord in _NUMBERS)
"""All labels as musicians write them."""


def label_of(chord: Chord | None) -> int:
    """The number of the label that is nearest to a chord: its own quality, or the one that shares most tones and adds fewest.

    The bass is kept where there is a label with it.
    """
    if chord is None:
        return 0
    quality = _nearest(chord.quality)
    bass = None if chord.bass == chord.root else chord.bass
    return _NUMBERS.get(Chord(chord.root, quality, bass)) or _NUMBERS[Chord(chord.root, quality)]


def _nearest(quality: str) -> str:
    if quality in _PLAIN:
        return quality
    tones = set(QUALITIES[quality])

    def likeness(plain: str) -> tuple[int, int, bool]:
        steps = set(QUALITIES[plain])
        return len(tones & steps), -len(steps - tones), 3 not in steps  # without a third: major

    return max(_PLAIN, key=likeness)
