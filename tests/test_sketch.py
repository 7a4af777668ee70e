"""What is heard as a score: grids that cover the sound, notes that stay where they were heard, and files that read back."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from counterpoint import audio, cli, generation, midi
from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.analysis.hearing import hear
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.evaluation.hearing import of_score
from counterpoint.music import UNKNOWN_STYLE, Brief, Chord, ChordSpan, Key, Note, Score
from counterpoint.planning import summary
from counterpoint.sketch import FALLBACK_BPM, OTHER_KEY, STEADY, assumed, sketch

torch.set_num_threads(1)
TICK = 0.001


def lane(notes: list[tuple[float, float, int]], seconds: float) -> np.ndarray:
    line = np.zeros(math.ceil(seconds * MELODY_RATE), dtype=np.int16)
    for start, end, pitch in notes:
        line[round(start * MELODY_RATE) : round(end * MELODY_RATE)] = pitch
    return line


def heard(bpm: float = 100.0, bar: int = 4, first: float = 0.3, begins: int = 1, seconds: float = 10.0, **other) -> Heard:
    """A pulse whose beat `begins` begins a bar, A minor and F major, five notes, and a kick on each beat."""
    beats = tuple(first + i * 60 / bpm for i in range(int((seconds - first) * bpm / 60)))
    known = Heard(
        seconds=seconds,
        tempo=bpm,
        beats=beats,
        downbeats=beats[begins::bar],
        key=Key(9, "minor"),
        chords=(ChordSpan(0.0, 4.9, Chord(9, "min7")), ChordSpan(4.9, 9.0, Chord(5)), ChordSpan(9.0, seconds, None)),
        melody=lane([(0.5 + 0.6 * i, 1.0 + 0.6 * i, 69 + i) for i in range(5)], seconds),
        drums={"kick": beats, "snare": (), "hat": (), "any": beats},
    )
    return replace(known, **other)


def notes(score: Score, role: str) -> tuple[Note, ...]:
    track = score.track(role)
    return track.notes if track else ()


# The grid -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [(), (0, 1), (-1, -2, -3), (0, 5, 6, -1)], ids=["none", "first", "last", "some"])
def test_beats_cover_the_whole_sound_where_some_are_missed(lost: tuple[int, ...]) -> None:
    whole = heard()
    kept = tuple(beat for i, beat in enumerate(whole.beats) if i not in {place % len(whole.beats) for place in lost})
    score = sketch(replace(whole, beats=kept, downbeats=tuple(t for t in whole.downbeats if t in kept)))
    steps = np.arange(17) * 0.6 + 0.3  # all beats of 100 a minute before 10 s
    assert score.beats == pytest.approx(steps[steps < 10], abs=1e-6)
    assert score.downbeats == pytest.approx(steps[1::4][steps[1::4] < 10], abs=1e-6)
    assert score.bpm == 100 and score.metre.name == "4/4" and assumed(whole) == ()


def test_beats_before_the_first_that_was_heard() -> None:
    later = heard(first=4.2)
    beats = np.array(sketch(later).beats)
    assert 0 <= beats[0] < 0.6 and np.diff(beats) == pytest.approx(0.6)
    assert set(np.round(later.downbeats, 6)) <= set(np.round(sketch(later).downbeats, 6))


def test_the_ears_jitter_is_taken_off_and_rubato_is_kept() -> None:
    even = np.array(heard().beats)
    trembling = even + np.where(np.arange(len(even)) % 2, 0.01, -0.01)
    score = sketch(heard(beats=tuple(trembling)))
    assert score.beats[: len(even)] == pytest.approx(even, abs=0.003)
    slowing = even + 0.01 * np.arange(len(even)) ** 2 * 0.3
    assert np.abs(slowing - np.polyval(np.polyfit(np.arange(len(even)), slowing, 1), np.arange(len(even)))).max() > STEADY
    slowed = sketch(heard(beats=tuple(slowing), tempo=90.0))
    assert slowed.beats[: len(even)] == pytest.approx(slowing, abs=1e-9)


def test_a_beat_just_before_the_sound_is_at_its_start() -> None:
    score = sketch(heard(first=0.59))
    assert score.beats[:2] == pytest.approx((0.0, 0.59), abs=1e-6)


@pytest.mark.parametrize(("bar", "metre"), [(4, "4/4"), (3, "3/4"), (2, "6/8")])
def test_the_metre_is_that_of_most_bars(bar: int, metre: str) -> None:
    whole = heard(bar=bar)
    score = sketch(replace(whole, downbeats=(*whole.downbeats[:2], *whole.downbeats[3:])))
    assert score.metre.name == metre
    assert score.downbeats == pytest.approx(score.beats[1 % bar :: bar])


def test_two_beats_that_are_halved_are_half_a_bar_of_four() -> None:
    whole = heard(bar=2, begins=0)
    halves, thirds = (tuple(beat + 0.6 * share for beat in whole.beats for share in (0, at)) for at in (1 / 2, 2 / 3))
    kit = {"kick": (), "snare": (), "hat": ()}
    silent = np.zeros_like(whole.melody)
    duple = sketch(replace(whole, melody=silent, drums={**kit, "any": halves}))
    assert duple.metre.name == "4/4" and duple.downbeats == pytest.approx(duple.beats[::4])
    assert sketch(replace(whole, melody=silent, drums={**kit, "any": thirds})).metre.name == "6/8"


@pytest.mark.parametrize("style", sorted(STYLES))
def test_what_a_perfect_ear_hears_is_the_score_that_was_played(style: str) -> None:
    played = compose(Brief(style=style), 12.0, seed=3)
    score = sketch(of_score(played))
    assert (score.metre, score.key, score.chords) == (played.metre, played.key, played.chords)
    assert score.bpm == pytest.approx(played.bpm) and score.beats == pytest.approx(played.beats, abs=1e-3)
    assert score.downbeats == pytest.approx(played.downbeats, abs=1e-3)
    for keys in ((36,), (38, 40, 37, 39), (42, 44, 46)):
        ours, theirs = ([n.start for n in notes(s, "drums") if n.pitch in keys] for s in (score, played))
        apart = np.abs(np.subtract.outer(ours, theirs))  # two of a class that are struck at once are one hit
        assert len(ours) == len(theirs) == 0 or max(apart.min(0).max(), apart.min(1).max()) < 0.03


# The players ----------------------------------------------------------------------------------------------------------


def test_the_tune_stays_where_it_was_heard_less_slips() -> None:
    told = [(0.5, 1.0, 69), (1.0, 1.04, 75), (1.04, 2.0, 71), (9.8, 10.0, 60)]
    score = sketch(heard(melody=lane(told, 10.0)))
    found = [(note.start, note.end, note.pitch) for note in notes(score, "melody")]
    assert found == [told[0], told[2], told[3]]


def test_a_note_begins_with_what_was_struck_or_counted_there() -> None:
    """Beats are at 0.3, 0.9, 1.5 ...; a pitch is heard some frames late, or early, and the note before makes room."""
    told = [(0.5, 0.86, 69), (0.86, 1.3, 71), (1.54, 2.0, 72), (2.2, 2.6, 74), (3.28, 3.34, 76)]
    drums = {"kick": (), "snare": (), "hat": (), "any": (2.17,)}
    score = sketch(heard(melody=lane(told, 10.0), drums=drums))
    found = [(note.start, note.end, note.pitch) for note in notes(score, "melody")]
    wanted = [(0.5, 0.86, 69), (0.9, 1.3, 71), (1.5, 2.0, 72), (2.17, 2.6, 74), (3.28, 3.34, 76)]
    assert np.array(found) == pytest.approx(np.array(wanted), abs=1e-6)
    tied = sketch(heard(melody=lane([(0.5, 0.92, 69), (0.92, 1.3, 71)], 10.0)))
    assert [note.end for note in notes(tied, "melody")] == pytest.approx([0.9, 1.3])


def test_what_is_struck_is_a_class_or_the_other_key() -> None:
    drums = {"kick": (1.0, 3.0), "snare": (2.0,), "hat": (1.0, 1.5), "any": (1.01, 1.5, 2.02, 3.0, 4.0)}
    found = [(note.start, note.pitch) for note in notes(sketch(heard(drums=drums)), "drums")]
    assert sorted(found) == [(1.0, 36), (1.0, 42), (1.5, 42), (2.0, 38), (3.0, 36), (4.0, OTHER_KEY)]


def test_nothing_sounds_beyond_the_end() -> None:
    drums = {"kick": (9.93, 9.99), "snare": (), "hat": (), "any": (9.93, 10.2)}
    score = sketch(heard(seconds=9.99, melody=lane([(9.0, 10.0, 69)], 9.99), drums=drums))
    assert [(note.start, note.end) for note in notes(score, "drums")] == [(9.93, 9.99)]
    assert notes(score, "melody")[-1].end == 9.99 and max(score.beats) < 9.99


def test_the_accompaniment_is_made_of_the_chords() -> None:
    score = sketch(heard())
    assert score.chords == heard().chords
    struck = {0.0, 4.9, *(time for time in score.downbeats if time < 9)}
    for role in ("bass", "pad"):
        assert {round(note.start, 6) for note in notes(score, role)} == {round(time, 6) for time in struck}
    for span in score.chords:
        low, high = ([n.pitch % 12 for n in notes(score, role) if span.start <= n.start < span.end] for role in ("bass", "pad"))
        if span.chord is None:
            assert not low and not high
        else:
            assert set(low) == {span.chord.root} and set(high) <= set(span.chord.pitch_classes) and len(set(high)) >= 3
    assert {track.role for track in sketch(heard(), accompany=False).tracks} == {"melody", "drums"}
    slash = heard(chords=(ChordSpan(0.0, 10.0, Chord(0, "maj", 4)),))
    assert {note.pitch % 12 for note in notes(sketch(slash), "bass")} == {4}


def test_a_style_chooses_the_instruments() -> None:
    score = sketch(heard(), style="bossa nova")
    assert score.style == "bossa nova" and sketch(heard()).style == UNKNOWN_STYLE
    for role in ("melody", "bass", "pad"):
        assert score.track(role).program in STYLES["bossa nova"].instruments[role]
    with pytest.raises(ValueError, match="'zorb' is not known"):
        sketch(heard(), style="zorb")


# What was not heard ---------------------------------------------------------------------------------------------------


def test_without_a_pulse_there_is_a_plain_grid_and_that_is_said() -> None:
    free = heard(tempo=math.nan, beats=(), downbeats=())
    score = sketch(free)
    assert score.bpm == FALLBACK_BPM and score.metre.name == "4/4" and score.beats == pytest.approx(np.arange(20) * 0.5)
    assert score.downbeats == score.beats[::4] and notes(score, "melody") == notes(sketch(heard()), "melody")
    assert "no pulse" in assumed(free)[0] and "120" in assumed(free)[0]
    assert "no bars" in assumed(heard(downbeats=()))[0] and sketch(heard(downbeats=())).metre.name == "4/4"


def test_without_a_key_it_is_that_of_the_chords_or_of_the_tune_or_c() -> None:
    chords = tuple(ChordSpan(2.5 * i, 2.5 * i + 2.5, Chord.parse(label)) for i, label in enumerate(("G", "C", "D7", "G")))
    nothing = (ChordSpan(0.0, 10.0, None),)
    tune = lane([(i * 0.5, i * 0.5 + 0.5, 62 + step) for i, step in enumerate((0, 4, 7, 12, 11, 7, 5, 4, 2, 0))], 10.0)
    silent = np.zeros(500, dtype=np.int16)
    for known, key in (((chords, silent), Key(7)), ((nothing, tune), Key(2)), ((nothing, silent), Key(0))):
        found = heard(key=None, chords=known[0], melody=known[1])
        assert sketch(found).key == key and key.spelled in assumed(found)[0]


def test_silence_is_no_plan() -> None:
    silent = hear(torch.zeros(1, 32000), 32000)
    with pytest.raises(ValueError, match="no note to write; give a sound in which music is heard"):
        sketch(silent)
    chords = replace(silent, chords=(ChordSpan(0.0, 1.0, Chord(0)),))
    with pytest.raises(ValueError, match="let an accompaniment play the chords"):
        sketch(chords, accompany=False)
    assert {track.role for track in sketch(chords).tracks} == {"bass", "pad"}


# Files ----------------------------------------------------------------------------------------------------------------


def assert_same(found: Score, wanted: Score) -> None:
    for name in ("style", "mood", "metre", "key", "seconds", "sections"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert found.bpm == pytest.approx(wanted.bpm, abs=0.002), "times are whole ticks, and tempi rounded"
    assert found.beats == pytest.approx(wanted.beats, abs=TICK) and found.downbeats == pytest.approx(wanted.downbeats, abs=TICK)
    assert [span.chord for span in found.chords] == [span.chord for span in wanted.chords]
    assert [span.start for span in found.chords] == pytest.approx([span.start for span in wanted.chords], abs=TICK)
    assert [(track.role, track.program) for track in found.tracks] == [(track.role, track.program) for track in wanted.tracks]
    for ours, theirs in zip(found.tracks, wanted.tracks, strict=True):
        assert (ours.gain, ours.pan) == pytest.approx((theirs.gain, theirs.pan), abs=0.01)
        a, b = (np.array(sorted((n.pitch, n.start, n.end, n.velocity) for n in track.notes)) for track in (ours, theirs))
        np.testing.assert_allclose(a, b, atol=TICK)


@settings(max_examples=40, deadline=None)
@given(
    bpm=st.floats(49, 231),
    bar=st.sampled_from((2, 3, 4)),
    first=st.floats(0, 1.2),
    seconds=st.floats(3, 12),
    pulse=st.booleans(),
    accompany=st.booleans(),
)
def test_what_is_written_reads_back(tmp_path_factory, bpm, bar, first, seconds, pulse, accompany) -> None:
    known = heard(
        bpm, bar, first, 0, seconds, chords=(ChordSpan(0.0, 2.0, Chord(9, "min7")), ChordSpan(2.0, seconds, Chord(5)))
    )
    score = sketch(known if pulse else replace(known, tempo=math.nan, beats=(), downbeats=()), accompany=accompany)
    path = tmp_path_factory.mktemp("sketch") / "sketch.mid"
    midi.write(score, path)
    assert_same(midi.read(path), score)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    played = compose(Brief(style="pop"), 4.0, seed=770_001)
    sound = torch.from_numpy(synth.render(played, 32000, 1))
    return audio.write(tmp_path_factory.mktemp("sounds") / "pop.wav", sound, 32000)


def test_a_recording_becomes_a_plan(recording: Path, tiny_model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "new" / "sketch.mid"
    assert cli.run(["analyse", str(recording), "--midi", str(path), "--style", "pop"]) == 0
    assert f"written  {path}" in capsys.readouterr().out
    wanted = sketch(hear(*audio.read(recording)), style="pop")
    assert_same(midi.read(path), wanted)
    take = generation.load(tiny_model).generate("a slow piano piece", plan=path)
    assert take.record["summary"] == summary(midi.read(path)) and take.audio.shape[1] == 4 * take.sample_rate
    assert list(path.parent.iterdir()) == [path]


def test_several_recordings_fill_a_folder_and_those_without_music_are_told(recording: Path, tmp_path: Path, capsys) -> None:
    silent = audio.write(tmp_path / "silent.wav", torch.zeros(1, 16000), 32000)
    folder = tmp_path / "sketches"
    code = cli.run(["analyse", str(silent), str(recording), "--midi", str(folder), "--no-accompany"])
    assert code == 2 and f"{silent}: No tune" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["pop.mid"]
    assert {track.role for track in midi.read(folder / "pop.mid").tracks} <= {"melody", "drums"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--midi", "a.wav"], "a.wav cannot be a MIDI file; let its name end in .mid, .midi"),
        (["other.wav", "--midi", "a.mid"], "2 files do not fit into the MIDI file a.mid; name a folder"),
        (["--midi", "a.mid", "--style", "zorb"], "'zorb' is not known"),
        (["--style", "pop"], "name one with --midi"),
        (["--no-accompany"], "name one with --midi"),
    ],
)
def test_mistakes_are_one_sentence_and_write_nothing(options, sentence, recording: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run(["analyse", str(recording), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.iterdir())
