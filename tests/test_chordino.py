"""The 193 chord labels, against mir_eval's reading of Harte's syntax, counts from the paper, and counted tones."""

import mir_eval
import numpy as np
import pytest

from counterpoint.chordino import LABELS, NEAREST, chord_of, label_of
from counterpoint.hub.jasco_layout import CHORDS
from counterpoint.music import QUALITIES, Chord, harte_label

ALL = [Chord(root, quality, bass) for root in range(12) for quality in QUALITIES for bass in (None, *range(12))]
ENHARMONIC = {"F#/Bb": "F#/A#", "C#/F": "C#/E#", "Db/F": "C#/E#", "Gb/Bb": "F#/A#", "G7/Cb": "G7/B", "A#/C": "Bb/C"}


def test_there_are_193_of_them_as_the_paper_counts() -> None:
    assert len(LABELS) == len(set(LABELS)) == 193 and LABELS[0] == "N"
    assert sum("/" in label for label in LABELS) == 72
    roots = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
    suffixes = ("", "m", "m6", "m7", "m7b5", "7", "maj7", "6", "dim", "aug")
    assert {root + suffix for root in roots for suffix in suffixes} == {label for label in LABELS[1:] if "/" not in label}
    assert set(LABELS) == set(CHORDS) - {"UNK"}, "the published list"


@pytest.mark.parametrize("label", LABELS)
def test_every_label_is_a_chord_that_mir_eval_knows(label: str) -> None:
    number = LABELS.index(label)
    chord = Chord.parse(label)
    assert chord == chord_of(number) and label_of(chord) == number
    mir_eval.chord.validate_chord_label(harte_label(chord))
    root, tones, bass = mir_eval.chord.encode(harte_label(chord))
    if chord is None:
        assert root == -1 and not tones.any()
        return
    assert root == chord.root and (root + bass) % 12 == (root if chord.bass is None else chord.bass)
    assert {(root + step) % 12 for step in np.flatnonzero(tones)} == {*chord.pitch_classes, (root + bass) % 12}


@pytest.mark.parametrize(("written", "label"), ENHARMONIC.items())
def test_basses_have_many_names(written: str, label: str) -> None:
    assert LABELS[label_of(Chord.parse(written))] == label


def test_every_chord_has_a_label_on_its_root_and_a_bass_only_where_there_is_one() -> None:
    names = {chord.name for chord in map(chord_of, range(193)) if chord}
    for chord in ALL:
        near = chord_of(label_of(chord))
        assert near is not None and near.root == chord.root
        assert near.bass in (None, chord.bass)
        if near.bass is None and chord.bass is not None:
            assert Chord(near.root, near.quality, chord.bass).name not in names


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_nearest_quality_shares_most_tones(quality: str) -> None:
    """And has fewest foreign ones among those that share as many."""

    def nearness(other: str) -> tuple[int, int]:
        tones, theirs = set(QUALITIES[quality]), set(QUALITIES[other])
        return len(tones & theirs), -len(theirs - tones)

    kept = [q for q in QUALITIES if q not in NEAREST]
    assert len(kept) == 10
    assert nearness(NEAREST.get(quality, quality)) == max(nearness(other) for other in kept)


@pytest.mark.parametrize(
    ("chord", "label"),
    [("G9/B", "G7/B"), ("Cmaj9", "Cmaj7"), ("Am9", "Am7"), ("Bdim7", "Bdim"), ("DmM7", "Dm"), ("Esus4", "E"), ("C/D", "C/D"),
     ("C/C", "C"), ("Am7/G", "Am7"), ("F5", "F"), ("N.C.", "N"), ("C#m/G#", "C#m")],
)  # fmt: skip
def test_what_is_no_label_is_taken_for_the_nearest(chord: str, label: str) -> None:
    assert LABELS[label_of(Chord.parse(chord))] == label


@pytest.mark.parametrize("number", [-1, 193])
def test_other_numbers_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"0 to 192"):
        chord_of(number)
