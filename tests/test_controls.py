"""What musicians give as controls becomes values: against truths made by hand, mir_eval's readers, and mido's files."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mido
import mir_eval
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint import audio, midi
from counterpoint.chart import print_chart
from counterpoint.controls.chords import read_chords, read_progression
from counterpoint.controls.drums import read_drums
from counterpoint.controls.melody import one_at_a_time, read_melody
from counterpoint.controls.scalars import agree, read_key, read_tempo
from counterpoint.data.corpus.compose import compose
from counterpoint.metrics.melody import lane
from counterpoint.music import DRUM_CLASSES, QUALITIES, Brief, Chord, ChordSpan, Key, Metre, Note, harte_label

torch.set_num_threads(1)
WALTZ = Metre(3, 4)


def spans(*told: tuple[float, float, str]) -> tuple[ChordSpan, ...]:
    return tuple(ChordSpan(start, end, Chord.parse(label)) for start, end, label in told)


def assert_same(found: tuple[ChordSpan, ...], wanted: tuple[ChordSpan, ...]) -> None:
    assert [span.chord for span in found] == [span.chord for span in wanted]
    times = [(span.start, span.end) for span in wanted]
    np.testing.assert_allclose([(span.start, span.end) for span in found], times, atol=1e-9)


LOOP = spans((0, 2, "C"), (2, 3, "Am7"), (3, 4, "D7/F#"), (4, 6, "G"), (6, 8, "C"), (8, 9, "Am7"), (9, 9.5, "D7/F#"))
AT_TIMES = (*LOOP[:3], *spans((4, 9.5, "G")))
CHORDPRO = """{title: A song}
# {tempo: 30} is said by a comment alone
{key: C}
{tempo: 120}
{start_of_chorus: Chorus}
[C]Words and [Am7 D7/F#]more words
{eoc}
{start_of_tab}
e|--[3]--|
{end_of_tab}
[*Coda][G]
"""
FORMS = {
    "bars": "| C | Am7 D7/F# | G |",
    "bars at ease": "C | Am7 D7/F# | G",
    "held": "|C / |Am7 D7/F#|G / / /|",
    "chordpro": CHORDPRO,
    "signs": "C | Am7 D7/F♯ | G",
    "pairs": [("C", 0.0), ("Am7", 2.0), ("D7/F#", 3), ("G", 4)],
    "pairs turned": [(0, "C"), (2, "A:min7"), (3, "D:7/3"), (4, Chord(7))],
}
FILES = {
    "a.txt": "key: C\ntempo: 120\n\n# bars\n| C | Am7 D7/F# |\n| G |\n",
    "a.cho": CHORDPRO,
    "a.crd": "[C] [Am7 D7/F#] [G]",
    "a.lab": "# start end label\n0.0 2.0 C:maj\n2.000\t3.0\tA:min7\n3.0004 4.0 D:7/3\n4.0 9.5 G\n",
    "a.csv": 'time,label\n0.0,C\n2,"Am7"\n3.0, D7/F#\n4.0,G\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_chords_in_any_form_are_the_same(form: str) -> None:
    found = read_chords(FORMS[form], 9.5, bpm=120.0)
    assert_same(found, AT_TIMES if "pairs" in form else LOOP)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_chords_in_any_file_are_the_same(name: str, ending: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name].replace("\n", ending), encoding="utf-8-sig", newline="")
    wanted = LOOP if name in ("a.txt", "a.cho", "a.crd") else AT_TIMES
    assert_same(read_chords(tmp_path / name, 9.5, bpm=120.0), wanted)
    assert_same(read_chords(str(tmp_path / name), 9.5, bpm=120.0), wanted)


def test_one_chord_a_bar_lasts_as_long_as_the_metre_says() -> None:
    assert_same(read_chords("C G", 4.0, 120.0, WALTZ), spans((0, 1.5, "C"), (1.5, 3, "G"), (3, 4, "C")))
    assert_same(read_chords("C G", 4.0, 60.0, Metre(6, 8)), spans((0, 2, "C"), (2, 4, "G")))
    assert_same(read_chords("C, G - N.C. % → F", 9.0, 120.0), spans((0, 2, "C"), (2, 4, "G"), (4, 8, "N"), (8, 9, "F")))
    assert_same(read_chords("metre: 3/4\ntempo: 90\n| C G D | A |", 4.0), spans((0, 2 / 3, "C"), (2 / 3, 4 / 3, "G"),
        (4 / 3, 2, "D"), (2, 4, "A")))  # fmt: skip


def test_bars_do_not_drift() -> None:
    found = read_chords("| C G D | A E B F# C# Ab Eb |", 600.0, 97.0)
    bars = [span.start for span in found if span.chord == Chord(0)]
    np.testing.assert_allclose(bars, np.arange(len(bars)) * 2 * 4 * 60 / 97, atol=1e-6)


def test_before_the_first_chord_and_after_an_annotation_there_is_none(tmp_path: Path) -> None:
    assert_same(read_chords([("C", 1.0), ("G", 2.0)], 4.0), spans((0, 1, "N"), (1, 2, "C"), (2, 4, "G")))
    (tmp_path / "a.lab").write_text("0.5 1 C\n2 3 G:min\n3 3 D\n9 10 X\n")
    assert_same(
        read_chords(tmp_path / "a.lab", 4.0), spans((0, 0.5, "N"), (0.5, 1, "C"), (1, 2, "N"), (2, 3, "Gm"), (3, 4, "N"))
    )


def test_annotations_are_read_as_mir_eval_reads_them(tmp_path: Path) -> None:
    labels = ["C:maj/3", "N", "F#:hdim7", "Bb:min7/b7", "D:sus4", "Ab:maj9", "E:minmaj7/5", "Cb", "G:maj/#4", "A:maj/9", "E#:7"]
    rows = [f"{0.7 * i:.3f} {0.7 * (i + 1):.3f} {label}" for i, label in enumerate(labels)]
    (tmp_path / "a.lab").write_text("\n".join(rows))
    found = read_chords(tmp_path / "a.lab", 0.7 * len(labels))
    intervals, theirs = mir_eval.io.load_labeled_intervals(str(tmp_path / "a.lab"))
    np.testing.assert_allclose([(span.start, span.end) for span in found], intervals, atol=1e-9)
    for span, label in zip(found, theirs, strict=True):
        for ours, other in zip(mir_eval.chord.encode(harte_label(span.chord)), mir_eval.chord.encode(label), strict=True):
            np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize(
    ("row", "harte"),
    [("CM7 CΔ C△7 Cma7 Cmaj7 Cj7 C(maj7)", "C:maj7"), ("Cø Cø7 Cm7b5 Cmin7b5 C-7b5 Cm7(b5) Cm7♭5 C–7b5", "C:hdim7"),
     ("Cm7 C-7 C−7 Cmin7 Cmi7", "C:min7"), ("Cdim C° Cº Co Cmb5", "C:dim"), ("Co7 C°7 Cdim7", "C:dim7"), ("C+ Caug", "C:aug"),
     ("C7 Cdom7", "C:7"), ("C6 Cmaj6 CM6 Cadd6", "C:maj6"), ("CmM7 Cm(maj7) C-Δ7 CmΔ", "C:minmaj7"),
     ("C7sus C7sus4", "C:sus4(b7)"),
     ("Csus Csus4", "C:sus4"), ("B♯maj9 CM9", "C:maj9"), ("D♭♭m9 C-9 D𝄫min9", "C:min9"), ("C CM Cmaj", "C"),
     ("Cm Cmin C-", "C:min")],
)  # fmt: skip
def test_spellings_mean_the_tones_that_mir_eval_gives_them(row: str, harte: str) -> None:
    root, tones, _ = mir_eval.chord.encode(harte, reduce_extended_chords=False)
    for label in row.split():
        chord = Chord.parse(label)
        assert chord is not None and chord.root == root, label
        assert {(step - root) % 12 for step in chord.pitch_classes} == set(np.flatnonzero(tones)) | _ninth(harte), label


def _ninth(harte: str) -> set[int]:
    """mir_eval leaves the ninth out of a chord's tones."""
    return {2} if harte.endswith("9") else set()


@pytest.mark.parametrize(
    "degree", ["1", "b2", "2", "#2", "b3", "3", "4", "#4", "b5", "5", "#5", "b6", "6", "b7", "7", "9", "b13"]
)
def test_basses_are_the_degrees_that_mir_eval_counts(degree: str) -> None:
    chord = Chord.parse(f"E:maj/{degree}")
    assert chord is not None and chord.bass == (4 + mir_eval.chord.scale_degree_to_semitone(degree)) % 12


CHORD = st.builds(Chord, st.integers(0, 11), st.sampled_from(sorted(QUALITIES)), st.none() | st.integers(0, 11))
BARS = st.lists(st.lists(st.none() | CHORD, min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(BARS, st.floats(30, 300), st.floats(0.5, 60))
def test_any_progression_covers_the_time_and_moves_as_a_whole(
    bars: list[list[Chord | None]], bpm: float, seconds: float
) -> None:
    written = " | ".join(" ".join("N.C." if chord is None else chord.name for chord in bar) for bar in bars)
    found = read_chords(f"| {written} |", seconds, bpm)
    assert found[0].start == 0 and found[-1].end == seconds
    assert all(a.end == b.start and a.start < a.end and a.chord != b.chord for a, b in pairwise(found))
    bar = 240 / bpm
    for time in np.linspace(0, seconds, 23, endpoint=False) + 1e-4:
        now = bars[int(time // bar) % len(bars)]
        place = time % bar / bar * len(now)
        if time < seconds and 1e-3 < place % 1 < 0.999:
            assert next(span for span in found if span.start <= time < span.end).chord == now[int(place)]
    assert read_chords(f"| {written} |", seconds, bpm, transpose=12) == found
    twice = tuple(
        replace(s, chord=s.chord and s.chord.transpose(7)) for s in read_chords(f"| {written} |", seconds, bpm, None, 5)
    )
    assert twice == found


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_transposed(form: str) -> None:
    names = [span.chord and span.chord.name for span in read_chords(FORMS[form], 5.0, 120.0, transpose=-2)]
    assert names == ["Bb", "Gm7", "C7/E", "F"]


def test_what_is_said_beside_the_chords_counts() -> None:
    song = read_progression("{key: Em}\n{capo: 3}\n{tempo: 90}\n{time: 3/4}\n[Em]la [N.C.]la", transpose=1)
    assert (song.key, song.bpm, song.metre) == (Key(8, "minor"), 90.0, WALTZ)
    assert_same(song.lasting(4.0), spans((0, 2, "G#m"), (2, 4, "N")))
    assert read_progression("{transpose: -2}\n{key: D}\n[D]").key == Key(0)
    assert read_progression("key: Bb\n| Bb | F |", transpose=2).key == Key(0)
    chart = read_progression(print_chart(compose(Brief(style="waltz", key=Key(7)), 6.0, 0)))
    assert (chart.key, chart.metre) == (Key(7), WALTZ)
    with pytest.raises(ValueError, match=r"written for 90 bpm, but the tempo is to be 120 bpm; leave"):
        song.lasting(4.0, bpm=120.0)
    with pytest.raises(ValueError, match=r"written in 3/4, but the metre is to be 4/4; leave"):
        song.lasting(4.0, metre=Metre())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("C Cmaj13", r"^'Cmaj13' is not known; the nearest are Cmaj9, Cmaj7; write one of these\.$"),
        ("| C | Gmn7/B |", r"'Gmn7/B' is not known; the nearest are .*Gm7"),
        ("C am", r"'am' is not a chord; write Am, "),
        ("C do", r"'do' is not a chord; write D"),
        ("C H7", r"'H7' is not a chord; write for example C"),
        ("C C6/9", r"the bass '9' is neither"),
        ("", "no chords; write"),
        ("# nothing", "no chords; write"),
        ("key: C", "no chords in the chart; write"),
        ("| C | |", "Line 1: A bar is empty; write"),
        ("% C", "% repeats the bar before, but there is none"),
        ("C\nG Xq", "Line 2: 'Xq' is not a chord"),
        ("[C]la\n[Xq]la", "Line 2: 'Xq' is not a chord"),
        ("[C]la [G", "Line 1: a bracket is not closed"),
        ("{title: mute}\nla la", "no chords; write them in brackets"),
        ("{tempo: 1000}\n[C]", "Line 1: The tempo '1000' is none; write"),
        ("{capo: 12}\n[C]", "no fret for a capo; write"),
        ("{transpose: up}\n[C]", "no number of semitones; write"),
        ("{key: H}\n[C]", "'H' is not a key; write"),
        ("{time: 5/4}\n[C]", "metre '5/4' is not known"),
        ("{chorus}\n[C]", r"\{chorus\} cannot be followed; write out"),
        ("{start_of_grid}\n[C]", r"\{start_of_grid\} cannot be followed"),
        ("[C]\n{key: G}", r"Line 2: \{key\} stands after the first chord"),
        ("{key: G}\n{key: C}\n[C]", r"\{key\} is given twice; leave"),
        ("{key G\n[C]", "is no directive; write"),
        ([], "no chords; give pairs"),
        ([("C", 2.0), ("G", 2.0)], "give the seconds from the beginning at which each"),
        ([("C", -1.0)], "0 or later"),
        ([("C", math.nan)], "0 or later"),
        ([("C", 9.0)], "first chord starts at 9 s, when all is over"),
        ([("C", "G")], "is no chord with its start in seconds; give"),
        (["C", "G"], "'C' is no chord with its start in seconds; give"),
        ([("Cmaj13", 0.0)], "nearest are Cmaj9, Cmaj7"),
        ("absent.cho", "no file absent.cho; give"),
    ],
)
def test_wrong_chords_are_told_in_one_sentence(wrong: object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        read_chords(wrong, 8.0, 120.0)  # type: ignore[arg-type]
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.lab", b"0 1 C\n0.5 2 G", "Line 2: 0.5 to 2 s overlaps"),
        ("a.lab", b"2 1 C", "runs backwards; mend"),
        ("a.lab", b"0 1", "Line 1, '0 1': write start, end and chord"),
        ("a.lab", b"0 1 A:min7(*5)", r"Line 1: 'A:min7\(\*5\)' is not known; the nearest is Am7b5; write that"),
        ("a.lab", b"", "no chords; write lines"),
        ("a.csv", b"0,C\nx,G", "Line 2, 'x,G': write time and chord"),
        ("a.csv", b"1,C\n0,G", "starts at 0 s, after one at 1 s"),
        ("a.txt", b"C \xff\xfe", "is not text; save it as UTF-8"),
        ("a.txt", b"C " * 60_000, "is too long"),
        ("a.pro", b"{foo: 1}\n[C]", r"Line 1: the directive \{foo\} cannot be followed"),
    ],
)
def test_wrong_files_of_chords_are_told_by_name(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=told) as error:
        read_chords(tmp_path / name, 8.0, 120.0)
    assert str(tmp_path / name) in str(error.value)


def test_bars_need_a_tempo_and_a_length() -> None:
    with pytest.raises(ValueError, match="need a tempo; give"):
        read_chords("C G", 8.0)
    with pytest.raises(ValueError, match="from 30 to 300"):
        read_chords("C G", 8.0, 0.0)
    for seconds in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="number of seconds"):
            read_chords("C G", seconds, 120.0)


def brute_force(notes: list[Note], seconds: float) -> list[int]:
    """The highest pitch at each millisecond's middle."""
    times = (np.arange(round(seconds * 1000)) + 0.5) / 1000
    return [max((n.pitch for n in notes if n.start <= time < n.end), default=0) for time in times]


def test_of_the_notes_that_sound_the_highest_is_the_tune() -> None:
    held, high = Note(0.0, 2.0, 60, 50), Note(0.5, 1.0, 64, 70)
    assert one_at_a_time([held, high]) == [Note(0.0, 0.5, 60, 50), Note(0.5, 1.0, 64, 70), Note(1.0, 2.0, 60, 50)]
    again = [Note(0.0, 1.0, 60, 50), Note(0.5, 2.0, 60, 60), Note(2.0, 3.0, 60, 70)]
    assert [(n.start, n.end) for n in one_at_a_time(again)] == [(0.0, 0.5), (0.5, 2.0), (2.0, 3.0)]
    rng = np.random.default_rng(0)
    for _ in range(5):
        starts = rng.integers(0, 2000, 12) / 1000
        notes = [Note(s, s + rng.integers(1, 800) / 1000, int(rng.integers(43, 96)), 80) for s in starts]
        line = one_at_a_time(notes)
        assert all(a.end <= b.start for a, b in pairwise(line))
        assert lane(line, 3.0, 1000.0).tolist() == brute_force(notes, 3.0)


def midi_file(path: Path, tracks: dict[tuple[str, int], list[tuple[float, float, int]]]) -> Path:
    """A file of another program: (name, channel) -> (start, end, pitch), in beats of half a second."""
    file = mido.MidiFile(ticks_per_beat=480)
    for (name, channel), notes in tracks.items():
        events = [(round(s * 480), "note_on", p) for s, _, p in notes] + [(round(e * 480), "note_off", p) for _, e, p in notes]
        track, last = mido.MidiTrack([mido.MetaMessage("track_name", name=name)]), 0
        for tick, kind, pitch in sorted(events, key=lambda event: (event[0], event[1] == "note_on")):
            track.append(mido.Message(kind, channel=channel, note=pitch, velocity=80, time=tick - last))
            last = tick
        file.tracks.append(track)
    file.save(path)
    return path


CHORDS = [(i, i + 1, 60 + tone) for i in range(4) for tone in (0, 4, 7)]
TUNE = [(0, 1, 72), (1, 2, 74), (2, 3, 76), (3, 4, 72)]
BASS = [(0, 4, 48)]
KIT = [(i / 2, i / 2 + 0.1, 42) for i in range(8)] + [(0, 0.1, 36), (1, 1.1, 38), (2, 2.1, 36), (3, 3.1, 38)]
BAND = {("A", 0): CHORDS, ("B", 1): TUNE, ("C", 2): BASS, ("D", 9): KIT}


def test_the_tune_of_a_midi_file_is_found(tmp_path: Path) -> None:
    pitches = [note.pitch for note in read_melody(midi_file(tmp_path / "a.mid", BAND), 10.0)]
    assert pitches == [72, 74, 76, 72]
    named = {**BAND, ("Lead vocal", 3): [(0, 2, 50), (2, 4, 52)]}
    assert [note.pitch for note in read_melody(str(midi_file(tmp_path / "b.mid", named)), 10.0)] == [50, 52]
    chords = midi_file(tmp_path / "c.MID", {("A", 0): CHORDS, ("B", 1): [(i, i + 1, p - 12) for i, _, p in CHORDS]})
    tune = read_melody(chords, 1.25)
    assert [(n.start, n.end, n.pitch) for n in tune] == [(0.0, 0.5, 67), (0.5, 1.0, 67), (1.0, 1.25, 67)]


@pytest.mark.parametrize("style", ["pop", "waltz", "swing"])
def test_the_tune_and_drums_of_our_own_files_are_theirs(style: str, tmp_path: Path) -> None:
    score = compose(Brief(style=style, instruments={"melody": 73, "drums": 0}), 9.0, 3)
    midi.write(score, tmp_path / "a.mid")
    tune, kit = score.track("melody"), score.track("drums")
    assert tune is not None and kit is not None
    wanted = lane(one_at_a_time(tune.notes), 9.0, 1000.0)
    found = lane(read_melody(tmp_path / "a.mid", 9.0), 9.0, 1000.0)
    assert (wanted > 0).sum() > 1000 and (wanted == found).mean() > 0.99
    hits = read_drums(tmp_path / "a.mid", 9.0)
    assert sorted(hit.pitch for hit in hits) == sorted(hit.pitch for hit in kit.notes)
    np.testing.assert_allclose([hit.start for hit in hits], sorted(hit.start for hit in kit.notes), atol=2e-3)


def test_notes_are_a_tune() -> None:
    assert read_melody([(0.0, 0.5, 60), (0.5, 1, 62)], 0.75) == (Note(0.0, 0.5, 60, 96), Note(0.5, 0.75, 62, 96))
    assert read_melody([Note(0.5, 1.0, 62, 30), Note(0.0, 0.5, 60, 20)], 2.0, transpose=12)[0] == Note(0.0, 0.5, 72, 20)
    assert [n.pitch for n in read_melody([(0, 1, 43), (1, 2, 95)], 2.0)] == [43, 95]


@pytest.mark.parametrize(
    ("notes", "told", "by"),
    [
        (
            [(0, 1, 42), (1, 2, 60)],
            r"F#2 \(MIDI 42\) lies outside .* G2 \(MIDI 43\) to B6 \(MIDI 95\); .* up 1 octave \(\+12",
            12,
        ),
        ([(0, 1, 20)], r"up 2 octaves \(\+24 semitones\)", 24),
        ([(0, 1, 96)], r"C7 \(MIDI 96\).* down 1 octave \(-12 semitones\)", -12),
        ([(0, 1, 42), (1, 2, 96)], "spans 54 semitones, and no octave fits it, so leave", None),
        ([(0, 1, 30), (1, 2, 83)], "no octave fits", None),
    ],
)
def test_a_tune_out_of_range_is_refused_and_the_way_in_is_told(notes: list, told: str, by: int | None) -> None:
    with pytest.raises(ValueError, match=told):
        read_melody(notes, 4.0)
    assert by is None or len(read_melody(notes, 4.0, transpose=by)) == len(notes)


@pytest.mark.parametrize("read", [read_melody, read_drums])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ([], "no notes; give"),
        ([(0, 1)], "is no note; give"),
        ([(0, 1, "C4")], "is no note; give"),
        ([(0, 1, 60.5)], "60.5 .* is no MIDI pitch; give"),
        ([(0, 1, 128)], "128 is no MIDI pitch; give"),
        ([(0, 1, 60, 128)], "128 is no MIDI velocity; give"),
        ([(0, 1, 60, 0.5)], "0.5 .* is no MIDI velocity; give"),
        ([Note(0, 1, 60, -1)], "-1 is no MIDI velocity; give"),
        ([(1, 1, 60)], "from 1 to 1 s; let it start"),
        ([(-1, 1, 60)], "from -1 to 1 s; let it start"),
        ([(0, math.inf, 60)], "to inf s; let it start"),
        ([(math.nan, 1, 60)], "let it start"),
        ([(5, 6, 60)], "in the first 4 s of the notes; give"),
        (7, "give a file that ends in"),
        ("absent.mid", "no file absent.mid; give"),
        ("absent.wav", "no audio file absent.wav; give"),
    ],
)
def test_wrong_notes_are_told_in_one_sentence(read, wrong: object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        read(wrong, 4.0)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_files_without_what_is_asked_for_say_so(tmp_path: Path) -> None:
    kit = midi_file(tmp_path / "kit.mid", {("Kit", 9): KIT})
    tune = midi_file(tmp_path / "tune.mid", {("Tune", 0): TUNE})
    none = midi_file(tmp_path / "none.mid", {("Tune", 0): []})
    audio.write(tmp_path / "silence.wav", torch.zeros(1, 16000), 16000)
    for read, path, told in [
        (read_melody, kit, "holds drums alone; give"),
        (read_drums, tune, "holds no drums; put"),
        (read_melody, none, "holds no notes; give"),
        (read_drums, none, "holds no notes; give"),
        (read_melody, tmp_path / "silence.wav", "no melody in the first 1 s of"),
        (read_drums, tmp_path / "silence.wav", "no drums in the first 1 s of"),
    ]:
        with pytest.raises(ValueError, match=told) as error:
            read(path, 1.0)
        assert str(path) in str(error.value)


def tone(pitch: int, seconds: float, rate: int) -> torch.Tensor:
    time = torch.arange(round(seconds * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    partials = [torch.sin(2 * math.pi * k * frequency * time) / k for k in range(1, 5)]
    return 0.1 * torch.stack(partials).sum(0) * torch.minimum(time / 0.005, (seconds - time) / 0.02).clamp(max=1)


def test_a_tune_is_heard_in_a_sound(tmp_path: Path) -> None:
    sung = [(0.0, 0.6, 67), (0.6, 1.2, 72), (1.2, 1.8, 69), (1.8, 2.4, 76)]
    sound = torch.cat([tone(pitch, end - start, 22050) for start, end, pitch in sung])
    audio.write(tmp_path / "a.flac", sound[None], 22050)
    found = read_melody(tmp_path / "a.flac", 2.0)
    assert all(a.end <= b.start for a, b in pairwise(found)) and found[-1].end <= 2.0
    wanted = lane([Note(start, end, pitch, 80) for start, end, pitch in sung], 2.0, 100.0)
    assert (lane(found, 2.0, 100.0) == wanted).mean() > 0.8


def test_drums_are_heard_in_a_sound(tmp_path: Path) -> None:
    from counterpoint.data.corpus import synth

    score = compose(Brief(style="rock", bpm=120.0, without=frozenset({"melody", "bass", "comp", "pad"})), 5.0, 1)
    audio.write(tmp_path / "a.wav", torch.from_numpy(synth.render(score, 32000, 1)), 32000)
    hits = read_drums(str(tmp_path / "a.wav"), 4.0)
    kit = score.track("drums")
    assert kit is not None and {hit.pitch for hit in hits} <= {36, 38, 42}
    found = {name: (np.array([hit.start for hit in hits if hit.pitch == key])) for name, key in (("kick", 36), ("snare", 38))}
    real = {n: np.unique([h.start for h in kit.notes if h.pitch in DRUM_CLASSES[n] and h.start < 4.0]) for n in found}
    assert mir_eval.onset.f_measure(real["kick"], found["kick"], window=0.05)[0] > 0.8
    assert mir_eval.onset.f_measure(real["snare"], found["snare"], window=0.05)[2] > 0.8  # none is missed


def test_drums_of_midi_files_are_read(tmp_path: Path) -> None:
    hits = read_drums(midi_file(tmp_path / "a.mid", BAND), 1.0)
    wanted = [(0.0, 36), (0.0, 42), (0.25, 42), (0.5, 38), (0.5, 42), (0.75, 42)]
    assert [(hit.start, hit.pitch) for hit in hits] == wanted


def test_steps_fill_a_bar_again_and_again() -> None:
    hits = read_drums("kick: x...x... snare: ....x... open hat: x.X.x.x.", 2.5, 120.0)
    kick, snare, hat = ([hit.start for hit in hits if hit.pitch == key] for key in (36, 38, 46))
    assert (kick, snare, hat) == ([0.0, 1.0, 2.0], [1.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    assert [hit.velocity for hit in hits if hit.pitch == 46][:2] == [96, 120]
    assert list(hits) == sorted(hits, key=lambda hit: (hit.start, hit.pitch)) and all(hit.end <= 2.5 for hit in hits)
    waltz = read_drums("bd = |x--|\nHi-Hat = -xx, tom: x..|...|", 5.0, 180.0, WALTZ)
    assert [hit.start for hit in waltz if hit.pitch == 36] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [hit.start for hit in waltz if hit.pitch == 47] == [0.0, 2.0, 4.0]
    assert [hit.start for hit in waltz if hit.pitch == 42][:3] == pytest.approx([1 / 3, 2 / 3, 4 / 3])


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("kick: x..z", r"cannot be read from 'z' on; write"),
        ("boom", "cannot be read from 'boom' on; write"),
        ("kik: x...", "drum 'kik' is not known; known are kick"),
        ("kick:", "kick has a bar without steps; write"),
        ("kick: x.||x.", "kick has a bar without steps; write"),
        ("kick: ....", "no drums in the first 2 s of the pattern"),
        (" ", "drums are empty; write"),
    ],
)
def test_wrong_steps_are_told_in_one_sentence(steps: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        read_drums(steps, 2.0, 120.0)
    assert str(error.value).endswith(".")


def test_steps_need_a_tempo_and_hits_a_drum() -> None:
    with pytest.raises(ValueError, match="need a tempo; give"):
        read_drums("kick: x...", 2.0)
    with pytest.raises(ValueError, match="from 30 to 300"):
        read_drums("kick: x...", 2.0, 0.0)
    with pytest.raises(ValueError, match="strike key 22, which is no General-MIDI drum"):
        read_drums([(0.0, 0.1, 22)], 2.0)


def test_tempo_and_key_are_read() -> None:
    assert [read_tempo(given) for given in (120, 97.5, "120", "88 bpm")] == [120.0, 97.5, 120.0, 88.0]
    for wrong in (0, -5.0, 1000, math.nan, math.inf, True, "fast", ""):
        with pytest.raises(ValueError, match="write beats per minute from 30 to 300"):
            read_tempo(wrong)
    assert [read_key(given) for given in ("A minor", "B♭", "F♯m", Key(3))] == [
        Key(9, "minor"),
        Key(10),
        Key(6, "minor"),
        Key(3),
    ]
    assert read_key("A minor", 5) == Key(2, "minor") and read_key("B", 12) == Key(11)
    with pytest.raises(ValueError, match="is not a key; write"):
        read_key("H major")


@pytest.mark.parametrize(
    ("prompt", "asked", "told"),
    [
        ("jazz at 90 bpm", {"tempo": 120.0}, r"says 90 bpm, but the tempo is to be 120 bpm; leave"),
        ("jazz at 113 bpm", {"tempo": 120.0}, "113 bpm"),
        ("jazz at 115 bpm in A minor, 4/4", {"tempo": 120.0, "key": Key(9, "minor"), "metre": Metre()}, None),
        ("slow jazz", {"tempo": 220.0}, None),
        ("jazz in A minor", {"key": Key(2, "minor")}, r"says A minor, but the key is to be D minor; leave"),
        ("jazz in A", {"key": Key(9, "minor")}, None),
        ("jazz in A", {"key": Key(10)}, r"says A, but the key is to be Bb major"),
        ("jazz in a minor key", {"key": Key(2, "minor")}, None),
        ("jazz in a minor key", {"key": Key(2)}, r"says minor key, but the key is to be D major"),
        ("a waltz in 3/4", {"metre": Metre()}, r"says 3/4, but the metre is to be 4/4"),
        ("pop in C major at 100 bpm", {}, None),
    ],
)
def test_a_prompt_that_says_otherwise_is_refused(prompt: str, asked: dict, told: str | None) -> None:
    if told is None:
        agree(prompt, **asked)
        return
    with pytest.raises(ValueError, match=told):
        agree(prompt, **asked)
