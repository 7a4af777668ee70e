"""The controls as they are typed: the flags of what a musician holds on to."""

from typing import Annotated, TypedDict

from cyclopts import Parameter


class Holding(TypedDict, total=False):
    """The controls of request.Holds as they are typed."""

    chords: Annotated[
        str, Parameter(help='"C G Am F" (one a bar), "| Dm7 G7 | Cmaj7 |", ChordPro, or a file (.txt, .cho, .lab, .csv).')
    ]
    melody: Annotated[str, Parameter(help="A tune to play: a .mid file, or a sound in which it is heard.")]
    drums: Annotated[
        str, Parameter(help='Drums to play: a .mid file, a sound, or steps such as "kick: x...x... snare: ....x...".')
    ]
    tempo: Annotated[float, Parameter(help="Felt beats a minute.")]
    key: Annotated[str, Parameter(help='Such as "A minor".')]
    transpose: Annotated[int, Parameter(help="Semitones by which chords, melody and key are moved.")]
