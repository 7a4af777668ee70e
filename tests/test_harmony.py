"""Chord and key agreement against mir_eval, a 1 ms grid, and hand-made sequences."""

import itertools
import math

import mir_eval
import numpy as np
import pytest

from counterpoint.metrics.harmony import DETAILS, chord_agreement, chord_figures, key_score, read_changes
from counterpoint.music import QUALITIES, Chord, ChordSpan, Key

MIR_EVAL = {"7sus4": "sus4(b7)", "5": "(1,5)"}
"""Qualities that mir_eval spells otherwise."""
NINTHS = {"9": "7", "maj9": "maj7", "min9": "min7"}
"""mir_eval does not hear the ninth; to us these are other chords than the sevenths."""
COMPARED = {"root": mir_eval.chord.root, "majmin": mir_eval.chord.majmin, "full": mir_eval.chord.tetrads_inv}


def spans(*changes: tuple[float, str], end: float = 8.0) -> tuple[ChordSpan, ...]:
    return read_changes(changes, end)


def drawn(seed: int, seconds: float = 6.0, qualities: tuple[str, ...] = ("maj", "min", "7", "dim", "sus4", "maj6")):
    """Random chords of few roots, so that two such sequences often agree."""
    rng = np.random.default_rng(seed)
    times = [0.0, *np.sort(rng.choice(np.arange(1, round(1000 * seconds)), 9, replace=False)) / 1000]
    chords = []
    for _ in times:
        root, quality = int(rng.integers(3)) * 5 % 12, str(rng.choice(qualities))
        bass = [None, root, (root + QUALITIES[quality][1]) % 12][rng.integers(3)]
        chords.append(None if rng.random() < 0.15 else Chord(root, quality, bass))
    ends = [*times[1:], seconds]
    return tuple(ChordSpan(float(s), float(e), chord) for s, e, chord in zip(times, ends, chords, strict=True))


def harte(chord: Chord | None) -> str:
    if chord is None:
        return "N"
    name, _, bass = chord.harte.partition("/")
    root, quality = name.split(":")
    return f"{root}:{MIR_EVAL.get(quality, quality)}" + (f"/{bass}" if bass else "")


def by_mir_eval(made, real, detail: str) -> float:
    rows = [(np.array([[s.start, s.end] for s in line]), [harte(s.chord) for s in line]) for line in (made, real)]
    intervals, theirs, ours = mir_eval.util.merge_labeled_intervals(*rows[1], *rows[0])
    durations = mir_eval.util.intervals_to_durations(intervals)
    return mir_eval.chord.weighted_accuracy(COMPARED[detail](theirs, ours), durations)


@pytest.mark.parametrize("detail", DETAILS)
def test_overlap_is_mir_evals(detail):
    qualities = ("maj", "min", "7", "min7", "dim", "sus4", "9" if detail != "full" else "maj7", "maj6")
    for seed in range(40):
        made, real = drawn(2 * seed, qualities=qualities), drawn(2 * seed + 1, qualities=qualities)
        assert chord_agreement(made, real, detail).overlap == pytest.approx(by_mir_eval(made, real, detail), abs=1e-9)


def test_every_pair_of_qualities_is_compared_as_by_mir_eval():
    for made, real in itertools.product(QUALITIES, QUALITIES):
        pair = [(ChordSpan(0.0, 1.0, Chord(2, quality)),) for quality in (made, real)]
        for detail in DETAILS:
            expected = COMPARED[detail]([harte(pair[1][0].chord)], [harte(pair[0][0].chord)])[0]
            if detail == "full" and made != real and NINTHS.get(made, made) == NINTHS.get(real, real):
                expected = 0
            ours = chord_agreement(*pair, detail).overlap
            assert math.isnan(ours) if expected < 0 else ours == expected, (made, real, detail)


def on_a_grid(made, real, seconds: float, silence: bool = True) -> tuple[float, float]:
    """Overlap and IoU of exact labels by counting milliseconds as two sets of (time, label)."""

    def at(line, time):
        inside = [s.chord for s in line if s.start <= time < s.end]
        return inside[0] if inside else line[0].chord if time < line[0].start else line[-1].chord

    times = np.arange(round(1000 * seconds)) / 1000 + 0.0005
    named = [[(t, harte(at(line, t)).removesuffix("/1")) for t in times] for line in (made, real)]
    counted = [i for i in range(len(times)) if silence or not named[0][i][1] == named[1][i][1] == "N"]
    ours, theirs = ({line[i] for i in counted} for line in named)
    return len(ours & theirs) / len(counted), len(ours & theirs) / len(ours | theirs)


@pytest.mark.parametrize("silence", [True, False])
def test_overlap_and_iou_are_those_of_a_millisecond_grid(silence):
    for seed in range(12):
        made, real = drawn(seed, 2.0), drawn(seed + 100, 3.0)
        made = made[1:]  # the first label reaches back to 0, and the longer clip is cut
        agreement = chord_agreement(made, real, silence=silence)
        overlap, iou = on_a_grid(made, real, 2.0, silence)
        assert agreement.overlap == pytest.approx(overlap, abs=1e-9)
        assert agreement.iou == pytest.approx(iou, abs=1e-9)


def test_the_published_example():
    """Section 3.7 of the specification: O / D of 0.6875 is an IoU of 0.5238."""
    real = spans((0.0, "C"), (2.0, "Am"), (4.0, "F"), (6.0, "G"))
    made = spans((0.0, "C"), (2.5, "Am"), (4.0, "F"), (6.0, "Em"))
    agreement = chord_agreement(made, real)
    assert agreement.overlap == pytest.approx(0.6875) and agreement.iou == pytest.approx(0.5238, abs=5e-5)
    assert chord_figures(real, real) == {f"chord {name} {detail}": 1.0 for name in ("overlap", "iou") for detail in DETAILS}
    other = spans((0.0, "Db"), end=8.0)
    assert chord_agreement(other, real).iou == 0


def test_the_last_label_lasts_as_long_as_the_clip_and_gaps_have_no_chord():
    real = (ChordSpan(0.0, 4.0, Chord(0)),)
    assert chord_agreement((ChordSpan(1.0, 2.0, Chord(0)),), real, seconds=4.0).overlap == 1
    gap = (ChordSpan(0.0, 1.0, Chord(0)), ChordSpan(3.0, 4.0, Chord(0)))
    assert chord_agreement(gap, real).overlap == pytest.approx(0.5)
    assert chord_agreement(gap, real, seconds=2.0).overlap == pytest.approx(0.5)


def test_what_cannot_be_told_is_not_a_number_and_what_is_missing_counts():
    real = spans((0.0, "C"))
    assert math.isnan(chord_agreement(real, ()).overlap) and math.isnan(chord_agreement((), ()).iou)
    assert chord_agreement((), real).overlap == 0
    suspended = spans((0.0, "Csus4"))
    assert math.isnan(chord_agreement(real, suspended, "majmin").overlap)
    nothing = spans((0.0, "N"))
    assert chord_agreement(nothing, nothing).overlap == 1
    assert math.isnan(chord_agreement(nothing, nothing, silence=False).overlap)
    with pytest.raises(ValueError, match="finite times"):
        chord_agreement((ChordSpan(0.0, math.nan, None),), real)
    with pytest.raises(ValueError, match="the end not before the start"):
        chord_agreement(real, (ChordSpan(2.0, 1.0, None),))


def test_chordinos_labels_are_read():
    """The 193 labels of JASCO's map: 12 roots of 10 kinds, slash chords with any spelling of the bass, and none."""
    roots = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    kinds = {"": "maj", "m": "min", "m6": "min6", "m7": "min7", "m7b5": "hdim7", "7": "7", "maj7": "maj7", "6": "maj6"}
    kinds |= {"dim": "dim", "aug": "aug"}
    for (tonic, root), (kind, quality) in itertools.product(enumerate(roots), kinds.items()):
        assert Chord.parse(root + kind) == Chord(tonic, quality)
    line = read_changes([(0.372, "N"), (1.0, "F#/A#"), (2.0, "C#/E#"), (3.0, "Bm7b5/A"), (9.0, "G7/B")], 4.0)
    assert [(s.start, s.end) for s in line] == [(0.372, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.0)]
    assert [s.chord for s in line] == [None, Chord(6, "maj", 10), Chord(1, "maj", 5), Chord(11, "hdim7", 9)]
    mir_eval.chord.validate_chord_label(harte(line[3].chord))
    enharmonic = (ChordSpan(0.372, 4.0, Chord.parse("Gb/Bb")),)
    assert chord_agreement(enharmonic, line[1:2]).overlap == 1


def test_key_score_is_mir_evals():
    keys = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]
    for made, real in itertools.product(keys, keys):
        assert key_score(made, real) == mir_eval.key.weighted_score(real.name, made.name)
    assert key_score(None, keys[0]) == 0 and math.isnan(key_score(keys[0], None))
