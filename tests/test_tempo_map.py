"""Tempo maps against mido's playback, and MIDI files whose tempo map, length or end is broken."""

from pathlib import Path

import mido
import pytest

from counterpoint import midi
from counterpoint.tempo_map import FASTEST, SLOWEST, TempoMap


def file_of(path: Path, tempi: list[tuple[int, int]], notes: int = 4, delay: int = 0, ticks: int = 480) -> Path:
    """Quarter notes after `delay` ticks, with (tick, microseconds a quarter) in the first track."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    conductor, player, last = mido.MidiTrack(), mido.MidiTrack(), 0
    for tick, tempo in tempi:
        conductor.append(mido.MetaMessage("set_tempo", tempo=tempo, time=tick - last))
        last = tick
    for i in range(notes):
        player.append(mido.Message("note_on", note=60 + i, velocity=80, time=0 if i else delay))
        player.append(mido.Message("note_off", note=60 + i, time=ticks))
    file.tracks += [conductor, player]
    file.save(path)
    return path


@pytest.mark.parametrize("tempi", [[], [(0, 600_000)], [(7, 250_000), (500, 1_000_000), (500, 300_000), (1300, SLOWEST)]])
def test_times_are_those_that_mido_plays(tempi: list[tuple[int, int]], tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.mid", tempi)
    now, starts = 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        starts += [now] if message.type == "note_on" else []
    assert [note.start for note in midi.read(path).tracks[0].notes] == pytest.approx(starts, abs=1e-5)
    assert [TempoMap.of(tempi, 480).at(480 * i) for i in range(4)] == pytest.approx(starts, abs=1e-5)


@pytest.mark.parametrize(
    ("tempi", "told"),
    [
        ([(0, 0)], r"tick 0 it asks for a tempo of 0, .*; set a tempo"),
        ([(0, 500_000), (960, 0)], r"tick 960 .* of 0"),
        ([(0, 500_000), (10_000, 0)], r"tick 10000 .* of 0"),  # after the last note, but in the map
        ([(0, 1)], r"asks for 6e\+07 beats a minute; set a tempo"),
        ([(0, FASTEST - 1)], "beats a minute"),
        ([(0, SLOWEST + 1)], r"asks for 4 beats a minute"),
        ([(0, 2**24 - 1)], r"asks for 3\.58 beats a minute"),
    ],
)
def test_tempi_that_nobody_can_follow_are_refused(tempi: list[tuple[int, int]], told: str, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.mid", tempi)
    with pytest.raises(ValueError, match=told) as error:
        midi.read(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_extreme_but_honest_tempi_are_followed(tmp_path: Path) -> None:
    for tempo in (FASTEST, SLOWEST):
        score = midi.read(file_of(tmp_path / "a.mid", [(0, tempo)]))
        assert score.tracks[0].notes[1].start == pytest.approx(tempo / 1e6)


@pytest.mark.parametrize(
    ("delay", "tempo", "told"),
    [(2**27, 500_000, "longer than 4 hours; cut"), (480 * 1000, SLOWEST, "longer than 4 hours"), (2**41, 20_000, "no end")],
)
def test_endless_files_are_refused(delay: int, tempo: int, told: str, tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.mid", [(0, tempo)], delay=delay)
    with pytest.raises(ValueError, match=told):
        midi.read(path)


def test_an_end_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path / "a.mid", [], delay=2**2000)
    with pytest.raises(ValueError, match="no end"):
        midi.read(path)


def test_files_without_notes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no notes; give"):
        midi.read(file_of(tmp_path / "a.mid", [(0, 500_000)], notes=0))


def test_a_file_that_was_cut_is_refused_wherever_it_was_cut(tmp_path: Path) -> None:
    content = file_of(tmp_path / "a.mid", [(0, 500_000)]).read_bytes()
    for length in range(len(content)):
        (tmp_path / "b.mid").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"is cut short: .*; export or copy it again"):
            midi.read(tmp_path / "b.mid")


def test_a_track_that_does_not_say_where_it_ends_is_read(tmp_path: Path) -> None:
    """Its last note ends where it is let go; one that is never let go ends with the track."""
    path = file_of(tmp_path / "a.mid", [])
    wanted = midi.read(path)
    content, end = path.read_bytes(), b"\x00\xff\x2f\x00"
    head, player = content[: content.rindex(b"MTrk")], content[content.rindex(b"MTrk") + 8 :]
    assert player.endswith(end)
    player = player.removesuffix(end)
    path.write_bytes(head + b"MTrk" + len(player).to_bytes(4, "big") + player)
    assert midi.read(path) == wanted
