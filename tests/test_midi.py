import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import mido
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from counterpoint import annotation, guess, midi
from counterpoint.chart import parse_chart, print_chart
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.instruments import GM_PROGRAMS, instrument
from counterpoint.music import Brief, Chord, ChordSpan, Key, Metre, Note, Score, Section, Track

COMMON = Metre(4, 4)
TICK = 0.001  # a tick of our files is shorter than this at all tempi used here


def make_score(metre: Metre = COMMON, bpm: float = 97.0, first: float = 0.0, num_beats: int = 12) -> Score:
    """A small score of every role on a regular grid whose first beat is at `first`."""
    beat = 60 / bpm
    beats = tuple(first + i * beat for i in range(num_beats))
    bars = beats[:: metre.beats]
    labels = ("A:min7", "N", "F:maj/3", "G:7")
    starts = (*bars, beats[-1] + beat)
    chords = tuple(ChordSpan(a, b, Chord.parse(labels[i % 4])) for i, (a, b) in enumerate(pairwise(starts)))
    tune = tuple(Note(t, t + 0.9 * beat, 69 + i % 5, 60 + i) for i, t in enumerate(beats))
    low = tuple(Note(t, t + 0.5 * beat, 36, 90) for t in beats)
    held = tuple(Note(span.start, span.end, pitch, 55) for span in chords for pitch in (57, 60, 64))
    strum = tuple(Note(t + beat / 3, t + beat / 2, pitch, 70) for t in beats for pitch in (60, 64, 67))
    kit = tuple(Note(t, t + 0.1, key, 100) for t in beats for key in (36, 42))
    return Score(
        seconds=round(starts[-1] + 0.3, 3),
        style="bossa nova",
        bpm=bpm,
        metre=metre,
        key=Key(9, "minor"),
        beats=beats,
        downbeats=bars,
        chords=(*chords[:-1], replace(chords[-1], end=round(starts[-1] + 0.3, 3))),
        tracks=(
            Track("melody", 73, tune, 0.25, 0.8),
            Track("bass", 33, low),
            Track("pad", 89, held, -0.5, 0.3),
            Track("comp", 24, strum, -1.0, 0.5),
            Track("comp", 0, strum, 1.0, 0.1),
            Track("drums", 0, kit, 0.0, 1.0),
        ),
        sections=(Section(0.0, bars[1], "intro"), Section(bars[1], round(starts[-1] + 0.3, 3), "verse")),
        mood="träumerisch",
    )


def assert_close(found: Score, wanted: Score) -> None:
    for name in ("seconds", "style", "mood", "bpm", "metre", "key"):
        assert getattr(found, name) == getattr(wanted, name), name
    assert found.beats == pytest.approx(wanted.beats, abs=TICK)
    assert found.downbeats == pytest.approx(wanted.downbeats, abs=TICK)
    assert [s.chord for s in found.chords] == [s.chord for s in wanted.chords]
    assert [s.name for s in found.sections] == [s.name for s in wanted.sections]
    for a, b in zip(found.chords + found.sections, wanted.chords + wanted.sections, strict=True):
        assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=TICK)
    for a, b in zip(found.tracks, wanted.tracks, strict=True):
        assert (a.role, a.program) == (b.role, b.program)
        assert (a.gain, a.pan) == pytest.approx((b.gain, b.pan), abs=0.01)
        notes, others = (np.array(sorted((n.pitch, n.start, n.end, n.velocity) for n in t.notes)) for t in (a, b))
        np.testing.assert_allclose(notes, others, atol=TICK)


@pytest.mark.parametrize("metre", [Metre(4, 4), Metre(3, 4), Metre(6, 8)], ids=lambda metre: metre.name)
@pytest.mark.parametrize("first", [0.0, 0.37])
@pytest.mark.parametrize("bpm", [51.0, 97.0, 174.5])
def test_what_is_written_reads_back(metre, first, bpm, tmp_path):
    score = make_score(metre, bpm, first)
    if first:  # before the first chord there is none
        score = replace(score, chords=(ChordSpan(0.0, first, None), *score.chords))
    midi.write(score, tmp_path / "a.mid")
    assert_close(midi.read(tmp_path / "a.mid"), score)


def test_a_live_tempo_keeps_every_beat(tmp_path):
    score = make_score()
    drift = np.random.default_rng(3).uniform(-0.05, 0.05, len(score.beats))
    beats = tuple(float(t) for t in np.array(score.beats) + drift - drift[0])
    score = replace(score, beats=beats, downbeats=beats[::4])
    midi.write(score, tmp_path / "a.mid")
    found = midi.read(tmp_path / "a.mid")
    assert found.beats == pytest.approx(beats, abs=TICK)
    assert [n.start for n in found.tracks[0].notes] == pytest.approx([n.start for n in score.tracks[0].notes], abs=TICK)


def test_other_software_hears_the_same_times_tempo_and_signatures(tmp_path):
    score = make_score(Metre(6, 8), bpm=60.0)
    midi.write(score, tmp_path / "a.mid")
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.ticks_per_beat >= 960
    now, starts = 0.0, []
    for message in file:  # mido's own playback, in seconds
        now += message.time
        if message.type == "note_on" and message.channel == 9:
            starts.append(now)
    assert starts == pytest.approx(sorted(n.start for n in score.tracks[-1].notes), abs=TICK)
    assert now == pytest.approx(score.seconds, abs=TICK)
    said = {message.type: message for message in file.tracks[0]}
    assert (said["time_signature"].numerator, said["time_signature"].denominator) == (6, 8)
    assert mido.tempo2bpm(said["set_tempo"].tempo) == pytest.approx(90)  # quarters, where 60 dotted ones are felt
    assert said["key_signature"].key == "Am"
    assert [track.name for track in file.tracks[1:]] == [track.role for track in score.tracks]
    assert "chord: A:min7" in [message.text for message in file.tracks[0] if message.type == "marker"]


def retouched(path: Path, change) -> Score:
    """The score of the file after `change(pitch, start)` has been made to every pitched note, as other software would."""
    file = mido.MidiFile(path)
    for track in file.tracks:
        tick, held = 0, {}
        for message in track:
            tick += message.time
            if message.type == "note_on" and message.channel != 9:
                held[message.note] = change(message.note, tick)
            if message.type in ("note_on", "note_off"):
                message.note = held.get(message.note, message.note)
    file.save(path)
    return midi.read(path)


@pytest.mark.parametrize("semitones", [-5, 2, 7, 12])
def test_key_and_chords_follow_notes_that_were_transposed(tmp_path, semitones):
    for seed, style in enumerate(STYLES):
        score = compose(Brief(style=style), 9.0, seed)
        midi.write(score, tmp_path / "a.mid")
        assert_close(retouched(tmp_path / "a.mid", lambda pitch, _: pitch + semitones), score.transpose(semitones))


def test_chords_are_believed_where_the_notes_bear_them_out(tmp_path):
    brief = Brief(style="pop", key=Key(7), bpm=120, metre=COMMON, chords=tuple(Chord.parse(c) for c in ("G", "C", "D7", "Em")))
    score = compose(brief, 8.0, 1)
    midi.write(score, tmp_path / "a.mid")
    bar = 4 * midi.TICKS
    changed = retouched(tmp_path / "a.mid", lambda pitch, tick: pitch + 6 if bar - 30 <= tick < 2 * bar - 30 else pitch)
    wanted = [span.chord for span in score.chords]
    assert [next(s.chord for s in changed.chords if s.start <= t < s.end) for t in (1.0, 5.0, 7.0)] == [wanted[0], *wanted[2:]]
    inside = [span.chord for span in changed.chords if 2.0 <= span.start < 4.0]
    assert wanted[1] not in inside and Chord(6) in inside
    assert (changed.key, changed.style) == (score.key, score.style)
    assert changed.chords[-1].end == pytest.approx(8.0) and all(a.end == b.start for a, b in pairwise(changed.chords))


@pytest.mark.parametrize(("said", "heard"), [("C", Key(0)), ("Am", Key(9, "minor")), ("D", Key(0)), ("Eb", Key(0))])
def test_a_key_signature_is_believed_where_the_notes_bear_it_out(tmp_path, said, heard):
    foreign_file(tmp_path / "a.mid", band())
    file = mido.MidiFile(tmp_path / "a.mid")
    file.tracks[0].insert(0, mido.MetaMessage("key_signature", key=said))
    file.save(tmp_path / "a.mid")
    assert midi.read(tmp_path / "a.mid").key == heard


def test_overlapping_notes_of_one_pitch_survive(tmp_path):
    notes = (Note(0.0, 1.0, 60, 80), Note(0.5, 2.0, 60, 90), Note(2.0, 2.5, 60, 70))
    score = replace(make_score(bpm=120.0), tracks=(Track("melody", 0, notes),))
    midi.write(score, tmp_path / "a.mid")
    assert_close(midi.read(tmp_path / "a.mid"), score)


def test_all_keys_can_be_written(tmp_path):
    for key in (Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")):
        midi.write(replace(make_score(), key=key), tmp_path / "a.mid")
        assert midi.read(tmp_path / "a.mid").key == key


def foreign_file(path: Path, players: dict[tuple[str, int, int], list[tuple[int, int, int]]], tempi=(), ticks=480) -> None:
    """A file as another program writes it: (name, channel, program) -> notes of (start tick, ticks, pitch)."""
    file = mido.MidiFile(ticks_per_beat=ticks)

    def add(events):
        track, last = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - last))
            last = tick
        file.tracks.append(track)

    add([(tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in tempi])
    for (name, channel, program), notes in players.items():
        events = [(0, mido.MetaMessage("track_name", name=name))]
        events.append((0, mido.Message("program_change", channel=channel, program=program)))
        for start, length, pitch in notes:
            events.append((start, mido.Message("note_on", channel=channel, note=pitch, velocity=80)))
            events.append((start + length - 1, mido.Message("note_on", channel=channel, note=pitch, velocity=0)))
        add(events)
    file.save(path)


BAR = 4 * 480
PROGRESSION = ((48, 0, 4, 7), (45, 9, 0, 4), (41, 5, 9, 0), (43, 7, 11, 2))  # C Am F G


def band() -> dict[tuple[str, int, int], list[tuple[int, int, int]]]:
    bars = list(enumerate(PROGRESSION * 2))
    tune = (72, 74, 76, 79)
    return {
        ("Spur 1", 0, 73): [(i * BAR + k * 480, 400, tune[(i + k) % 4]) for i, _ in bars for k in range(4)],
        ("Spur 2", 1, 32): [(i * BAR + k * 960, 900, chord[0] - 12) for i, chord in bars for k in range(2)],
        ("Spur 3", 2, 48): [(i * BAR, BAR, 60 + tone) for i, chord in bars for tone in chord[1:]],
        ("Spur 4", 3, 25): [(i * BAR + k * 480, 200, 60 + tone) for i, chord in bars for k in range(4) for tone in chord[1:]],
        ("Spur 5", 9, 0): [(i * BAR + k * 480, 60, (36, 38)[k % 2]) for i, _ in bars for k in range(4)],
    }


def test_a_foreign_file_gets_roles_chords_key_and_beats(tmp_path):
    foreign_file(tmp_path / "a.mid", band())
    score = midi.read(tmp_path / "a.mid")
    assert [track.role for track in score.tracks] == ["melody", "bass", "pad", "comp", "drums"]
    assert [track.program for track in score.tracks][:4] == [73, 32, 48, 25]
    assert score.key == Key(0, "major")
    assert [span.chord.name for span in score.chords if span.chord] == ["C", "Am", "F", "G"] * 2
    assert [span.start for span in score.chords] == pytest.approx([2.0 * i for i in range(8)])
    assert score.bpm == 120 and score.metre == Metre(4, 4)
    assert score.beats == pytest.approx([0.5 * i for i in range(32)])
    assert score.downbeats == pytest.approx([2.0 * i for i in range(8)])
    assert score.style == "unknown" and score.mood is None


@pytest.mark.parametrize(("tempo", "bpm"), [(500_000, 120), (150_000, None), (2_500_000, None)])
def test_the_chart_of_a_foreign_file_can_be_played(tmp_path, tempo, bpm):
    """It says nothing of the style, of a tempo that nobody plays, or of a second player of a role."""
    players = band() | {("Spur 6", 4, 26): band()["Spur 4", 3, 25]}
    foreign_file(tmp_path / "a.mid", players, [(0, tempo)])
    score = midi.read(tmp_path / "a.mid")
    brief = parse_chart(print_chart(score))
    assert (brief.style, brief.bpm, brief.key, brief.metre) == (None, bpm, score.key, score.metre)
    assert brief.instruments == {track.role: track.program for track in reversed(score.tracks)} and len(score.tracks) == 6
    played = compose(brief, 16.0, 0)
    assert [span.chord for span in played.chords][:4] == [span.chord for span in score.chords][:4]


def test_names_outweigh_the_register(tmp_path):
    notes = [(0, 480, 60), (480, 480, 62)]
    players = {("Lead Vocal", 0, 0): notes, ("flute", 1, 73): [(0, 480, 90)], ("Sub Bass", 2, 80): [(0, 480, 70)]}
    foreign_file(tmp_path / "a.mid", players)
    assert [track.role for track in midi.read(tmp_path / "a.mid").tracks][::2] == ["melody", "bass"]


def test_tempo_changes_are_honoured(tmp_path):
    tempi = [(0, 500_000), (1000, 250_000), (1700, 1_000_000), (4000, 400_000)]
    foreign_file(tmp_path / "a.mid", band(), tempi)
    now, starts = 0.0, []
    for message in mido.MidiFile(tmp_path / "a.mid"):
        now += message.time
        if message.type == "note_on" and message.velocity and message.channel == 1:
            starts.append(now)
    found = midi.read(tmp_path / "a.mid")
    assert [n.start for n in found.tracks[1].notes] == pytest.approx(starts, abs=1e-5)
    assert found.beats[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert found.beats[3] == pytest.approx(1000 / 960 + 440 / 1920, abs=1e-5)


@pytest.mark.parametrize("tonic", range(12))
@pytest.mark.parametrize("quality", ["maj", "min", "7", "maj7", "min7"])
def test_a_plain_chord_is_recognised(tonic, quality):
    chord = Chord(tonic, quality)
    notes = [Note(0.0, 2.0, 36 + tonic, 80), *(Note(0.0, 2.0, 60 + tone, 80) for tone in chord.pitch_classes)]
    assert [span.chord for span in guess.chords(notes, [0.0, 0.5, 1.0, 1.5], 2.0)] == [chord]


def test_silence_has_no_chord_and_some_key():
    assert guess.chords([], [0.0, 0.5], 1.0) == (ChordSpan(0.0, 1.0, None),)
    assert guess.key([]) == Key(0)


def test_bad_files_are_told_in_one_sentence(tmp_path):
    midi.write(make_score(), tmp_path / "good.mid")
    content = (tmp_path / "good.mid").read_bytes()
    empty = mido.MidiFile()
    empty.add_track("nothing")
    empty.save(tmp_path / "silent.mid")
    for name, damaged in (("cut", content[:100]), ("noise", b"MThd" + bytes(range(200))), ("void", b"")):
        (tmp_path / name).write_bytes(damaged)
    for name in ("cut", "noise", "void", "silent.mid", "absent", "."):
        with pytest.raises(ValueError, match=r"; (give|export)"):
            midi.read(tmp_path / name)
    with pytest.raises(ValueError, match="cannot be written"):
        midi.write(make_score(), tmp_path / "good.mid" / "a.mid")
    assert sorted(file.name for file in tmp_path.glob(".*")) == []


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, 10**6))
def test_no_damage_ends_in_a_traceback(tmp_path, changes, cut):
    source = tmp_path / "good.mid"
    if not source.exists():
        midi.write(replace(make_score(), tracks=make_score().tracks[:2]), source)
    content = bytearray(source.read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    (tmp_path / "bad.mid").write_bytes(content[: None if cut % 2 else cut % len(content)])
    try:
        score = midi.read(tmp_path / "bad.mid")
    except ValueError as error:
        assert str(tmp_path) in str(error)
    else:
        assert score.seconds > 0 and score.bpm > 0 and list(score.beats) == sorted(score.beats)


def test_annotations_are_exact_and_readable():
    score = make_score(first=1 / 3)
    content = annotation.to_dict(score)
    assert annotation.from_dict(json.loads(json.dumps(content))) == score
    assert content["chords"][0] == [score.chords[0].start, score.chords[0].end, "A:min7"]
    assert content["tracks"][1]["instrument"] == "fingered electric bass"
    assert (content["tempo"], content["metre"], content["key"]) == (97.0, "4/4", "A minor")


def test_strange_annotations_are_refused():
    content = annotation.to_dict(make_score())
    for strange in (
        {name: value for name, value in content.items() if name != "beats"},
        {**content, "key": "H flat"},
        {**content, "chords": [[0, 1, "Q:maj"]]},
        {**content, "tracks": [{"role": "melody"}]},
        {**content, "tracks": 3},
        {**content, "metre": None},
    ):
        with pytest.raises(ValueError):
            annotation.from_dict(strange)


def test_every_program_has_a_name_of_its_own():
    assert len(set(GM_PROGRAMS)) == 128
    assert all(name == name.lower() for name in GM_PROGRAMS)
    assert (GM_PROGRAMS[0], GM_PROGRAMS[40], GM_PROGRAMS[73]) == ("acoustic grand piano", "violin", "flute")
    assert instrument("drums", 5) == "drum kit" and instrument("bass", 35) == "fretless bass"
