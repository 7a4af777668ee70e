"""Scores as Standard MIDI Files: what we write reads back as the same score, what others wrote is completed by guessing.

Beside the notes a file of ours holds, as text that any sequencer shows and keeps: style, mood and length, a marker for
every chord ("chord: A:min7") and section ("section: verse"), the counted beats, and each player's role as its track's name.
The pitches are there as a digest, too: where they have been transposed since, key and chords move with them, and where they
have been changed otherwise, key and chords are believed as far as the notes bear them out.
"""

import bisect
import hashlib
import re
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mido
import numpy as np

from counterpoint import guess
from counterpoint.files import renamed
from counterpoint.instruments import instrument
from counterpoint.music import ROLES, UNKNOWN_STYLE, Chord, ChordSpan, Key, Metre, Note, Score, Section, Track, harte_label
from counterpoint.tempo_map import LAST_TICK, TempoMap

TICKS = 960
"""Ticks in a quarter note of the files we write."""

_DRUM_CHANNEL = 9
_VOLUME, _PAN = 7, 10  # MIDI controllers
_LONGEST_SECONDS = 4 * 3600
_TEMPO_TOLERANCE = 2  # microseconds in a quarter note: rounding, not rubato

Timed = tuple[int, Any]
"""A tick and the mido message that happens there (Any, since mido makes its attributes up at run time)."""


def write(score: Score, path: Path) -> None:
    """Write `score` as a type-1 file.  Raises ValueError for more than 15 pitched players, or where nothing can be written."""
    if sum(track.role != "drums" for track in score.tracks) > 15:
        raise ValueError("A MIDI file has channels for 15 pitched players; leave some tracks out.")
    grid = _Grid.of(score)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS, charset="utf-8")
    file.tracks.append(_track(_conductor_events(score, grid), end=grid.tick(score.seconds)))
    channels = (channel for channel in range(16) if channel != _DRUM_CHANNEL)
    for track in score.tracks:
        channel = _DRUM_CHANNEL if track.role == "drums" else next(channels)
        file.tracks.append(_track(_player_events(track, channel, grid), end=grid.tick(score.seconds)))
    with renamed(path) as temporary:
        file.save(str(temporary))


@dataclass(frozen=True)
class _Grid:
    """Beat times against ticks, both rising; times between and beyond them follow the straight line."""

    seconds: np.ndarray
    ticks: np.ndarray
    felt: int

    @staticmethod
    def of(score: Score) -> "_Grid":
        felt = _felt_ticks(score.metre, TICKS)
        beat = 60 / score.bpm
        beats = list(score.beats) or [0.0]
        first = round(beats[0] / beat * felt)
        seconds = ([0.0] if first > 0 else []) + [*beats, beats[-1] + beat]
        ticks = ([0] if first > 0 else []) + [first + i * felt for i in range(len(beats) + 1)]
        return _Grid(np.array(seconds), np.array(ticks), felt)

    def tick(self, seconds: float) -> int:
        i = min(max(1, bisect.bisect_right(self.seconds, seconds)), len(self.seconds) - 1)
        slope = (self.ticks[i] - self.ticks[i - 1]) / (self.seconds[i] - self.seconds[i - 1])
        return max(0, round(self.ticks[i] + (seconds - self.seconds[i]) * slope))

    def tempi(self) -> Iterable[tuple[int, int]]:
        """(tick, microseconds in a quarter note) wherever the tempo changes."""
        last = -1
        for tick, span, ticks in zip(self.ticks, np.diff(self.seconds), np.diff(self.ticks), strict=False):
            tempo = round(span * 1e6 * TICKS / ticks)
            if last < 0 or abs(tempo - last) > _TEMPO_TOLERANCE:
                yield int(tick), tempo
                last = tempo


def _felt_ticks(metre: Metre, ticks_per_quarter: int) -> int:
    return ticks_per_quarter * 3 // 2 if metre.denominator == 8 else ticks_per_quarter


def _conductor_events(score: Score, grid: _Grid) -> list[Timed]:
    def text(kind: str, seconds: float, content: str) -> Timed:
        return grid.tick(seconds), mido.MetaMessage(kind, text=content)

    tonic = score.key.name.split()[0] + ("m" if score.key.mode == "minor" else "")
    events: list[Timed] = [
        (0, mido.MetaMessage("track_name", name="score")),
        (0, mido.MetaMessage("time_signature", numerator=score.metre.numerator, denominator=score.metre.denominator)),
        (0, mido.MetaMessage("key_signature", key=tonic)),
        *((tick, mido.MetaMessage("set_tempo", tempo=tempo)) for tick, tempo in grid.tempi()),
        text("text", 0, f"style: {score.style}"),
        text("text", 0, f"seconds: {score.seconds!r}"),
        text("text", 0, f"notes: {_fingerprint(_pitched(score, grid))}"),
    ]
    if score.mood is not None:
        events.append(text("text", 0, f"mood: {score.mood}"))
    for name, times in (("beats", score.beats), ("downbeats", score.downbeats)):
        if times:
            events.append(text("text", times[0], f"{name}: {len(times)}"))
    events += [text("marker", s.start, f"section: {s.name}") for s in score.sections]
    end = 0.0
    for span in (*score.chords, ChordSpan(score.seconds, score.seconds, None)):
        if span.start > end + 1e-3:
            events.append(text("marker", end, f"chord: {harte_label(None)}"))
        if span.start < score.seconds:
            events.append(text("marker", span.start, f"chord: {harte_label(span.chord)}"))
        end = span.end
    return events


def _pitched(score: Score, grid: _Grid) -> list[tuple[int, int]]:
    return [(grid.tick(note.start), note.pitch) for track in score.tracks if track.role != "drums" for note in track.notes]


def _fingerprint(notes: Iterable[tuple[int, int]]) -> str:
    """The lowest pitch of (tick, pitch) pairs, and a digest of the others above it, which transposing leaves as it is."""
    pitches = [pitch for _, pitch in sorted(notes)]
    lowest = min(pitches, default=0)
    return f"{lowest} {hashlib.sha256(bytes(pitch - lowest for pitch in pitches)).hexdigest()[:16]}"


def _player_events(track: Track, channel: int, grid: _Grid) -> list[Timed]:
    volume = round(127 * min(1.0, max(0.0, track.gain)) ** 0.5)  # General MIDI: level grows with the square
    events: list[Timed] = [
        (0, mido.MetaMessage("track_name", name=track.role)),
        (0, mido.MetaMessage("instrument_name", name=instrument(track.role, track.program))),
        (0, mido.Message("program_change", channel=channel, program=track.program)),
        (0, mido.Message("control_change", channel=channel, control=_VOLUME, value=volume)),
        (0, mido.Message("control_change", channel=channel, control=_PAN, value=round(64 + 63 * track.pan))),
    ]
    for note in track.notes:
        on = grid.tick(note.start)
        off = max(on + 1, grid.tick(note.end))
        events.append((on, mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)))
        events.append((off, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    return events


def _track(events: list[Timed], end: int) -> mido.MidiTrack:
    """Events with the times between them, note-offs before what starts at the same tick."""
    order = sorted(events, key=lambda event: (event[0], event[1].type not in ("note_off", "track_name")))
    track = mido.MidiTrack()
    last = 0
    for tick, message in order:
        message.time = tick - last
        track.append(message)
        last = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - last)))
    return track


def read(path: Path) -> Score:
    """The score in a MIDI file, ours or another's.  What a foreign file does not say is guessed (`guess.py`); its style is
    UNKNOWN_STYLE.

    Raises ValueError if it cannot be read or is cut short, holds no notes, or has a tempo map that cannot be followed.
    """
    file = _open(path)
    if file.type == 2 or file.ticks_per_beat <= 0 or file.ticks_per_beat >= 0x8000:
        raise ValueError(f"{path} keeps time without beats (type 2 or SMPTE); export it as a type 1 MIDI file.")
    contents = _collect(file)
    if not contents.players:
        raise ValueError(f"{path} holds no notes; give a MIDI file with at least one note.")
    if max(sum(message.time for message in track) for track in file.tracks) > LAST_TICK:
        raise ValueError(f"{path} has no end that can be reached; export it again.")
    try:
        time = TempoMap.of(contents.tempi, file.ticks_per_beat)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if max(time.at(note[1]) for player in contents.players for note in player.notes) > _LONGEST_SECONDS:
        raise ValueError(f"{path} lasts longer than 4 hours; cut it into pieces.")
    return _score(contents, time, file.ticks_per_beat)


def _open(path: Path) -> mido.MidiFile:
    if not path.is_file():
        raise ValueError(f"There is no file {path}; give the path of a MIDI file.")
    try:
        return mido.MidiFile(str(path), clip=True, charset="latin1")
    except EOFError as error:
        raise ValueError(f"{path} is cut short: its music ends before the file says; export or copy it again.") from error
    except (OSError, ValueError, LookupError, TypeError, OverflowError, mido.KeySignatureError) as error:
        raise ValueError(f"{path} is not a MIDI file that can be read, or it is damaged; export it again.") from error


@dataclass
class _Player:
    name: str
    channel: int
    program: int
    gain: float
    pan: float
    notes: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Start tick, end tick, pitch, velocity."""


@dataclass
class _Contents:
    players: list[_Player]
    tempi: list[tuple[int, int]]
    metre: Metre
    key: Key | None
    texts: list[tuple[int, str, str]]
    """Tick, name and content of every text or marker of the form "name: content"."""


def _collect(file: mido.MidiFile) -> _Contents:
    contents = _Contents([], [], Metre(), None, [])
    programs: dict[int, int] = {}
    controls: dict[tuple[int, int], int] = {}
    signature = None
    for track in file.tracks:
        name, players, sounding = "", {}, defaultdict(deque)
        tick = 0
        for message in track:
            tick += message.time
            match message.type:
                case "track_name":
                    name = name or _decode(message.name)
                case "set_tempo":
                    contents.tempi.append((tick, message.tempo))
                case "time_signature":
                    signature = signature or (message.numerator, message.denominator)
                case "key_signature":
                    contents.key = contents.key or Key.parse(message.key)
                case "text" | "marker":
                    title, colon, content = _decode(message.text).partition(": ")
                    contents.texts += [(tick, title, content)] if colon else []
                case "program_change":
                    programs.setdefault(message.channel, message.program)
                case "control_change":
                    controls.setdefault((message.channel, message.control), message.value)
                case "note_on" | "note_off":
                    player = players.setdefault(message.channel, _Player("", message.channel, 0, 1.0, 0.0))
                    _press(message, tick, sounding[message.channel, message.note], player)
        for (channel, pitch), waiting in sounding.items():  # keys held at the end of the track
            players[channel].notes += [(start, max(start + 1, tick), pitch, velocity) for start, velocity in waiting]
        for player in players.values():
            player.name = name
        contents.players += [player for player in players.values() if player.notes]
    for player in contents.players:
        player.program = programs.get(player.channel, 0)
        player.gain = round((controls.get((player.channel, _VOLUME), 127) / 127) ** 2, 3)
        player.pan = round(max(-1.0, (controls.get((player.channel, _PAN), 64) - 64) / 63), 3)
    contents.metre = _metre(signature or (4, 4))
    return contents


def _decode(text: str) -> str:
    return text.encode("latin1", errors="replace").decode("utf-8", errors="replace").strip()


def _press(message: Any, tick: int, waiting: deque[tuple[int, int]], player: _Player) -> None:
    """A key goes down, or comes up and ends the note that has sounded longest."""
    if message.type == "note_on" and message.velocity > 0:
        waiting.append((tick, message.velocity))
    elif waiting:
        start, velocity = waiting.popleft()
        player.notes.append((start, max(start + 1, tick), message.note, velocity))


def _metre(signature: tuple[int, int]) -> Metre:
    """The nearest of the three metres that the house knows."""
    numerator, denominator = signature
    if denominator >= 8 and numerator % 3 == 0:
        return Metre(6, 8)
    return Metre(3, 4) if numerator == 3 else Metre(4, 4)


def _score(contents: _Contents, time: TempoMap, ticks_per_quarter: int) -> Score:
    felt = _felt_ticks(contents.metre, ticks_per_quarter)
    said = {name: content for _, name, content in reversed(contents.texts)}
    tracks = _tracks(contents.players, time)
    ends = [note.end for track in tracks for note in track.notes]
    seconds = _positive(said.get("seconds")) or max(ends)
    beats = _counted(contents.texts, "beats", felt, time, seconds)
    downbeats = _counted(contents.texts, "downbeats", felt * contents.metre.beats, time, seconds)
    intervals = np.diff([time.at(i * felt) for i in range(len(beats) + 1)])
    pitched = [note for track in tracks if track.role != "drums" for note in track.notes]
    key, chords = _harmony(contents, time, pitched, beats, seconds)
    sections = _spans(contents.texts, "section", time, seconds)
    return Score(
        seconds=seconds,
        style=said.get("style", UNKNOWN_STYLE),
        bpm=round(60 / statistics.median(intervals), 3),
        metre=contents.metre,
        key=key,
        beats=beats,
        downbeats=downbeats,
        chords=chords,
        tracks=tracks,
        sections=tuple(Section(start, end, name) for start, end, name in sections),
        mood=said.get("mood"),
    )


def _harmony(
    contents: _Contents, time: TempoMap, notes: list[Note], beats: tuple[float, ...], seconds: float
) -> tuple[Key, tuple[ChordSpan, ...]]:
    """Key and chords as the file says them, moved with the notes, or else as far as the notes bear them out; or guessed."""
    moved = _moved(contents)
    key = contents.key and contents.key.transpose(moved or 0)
    said = _chords(contents.texts, time, seconds)
    chords = [replace(span, chord=span.chord and span.chord.transpose(moved or 0)) for span in said]
    if moved != 0:
        key = key and guess.borne_out_key(key, notes)
        chords = chords and guess.borne_out_chords(chords, notes, beats, seconds)
    return key or guess.key(notes), tuple(chords) or guess.chords(notes, beats, seconds)


def _moved(contents: _Contents) -> int | None:
    """Semitones by which the notes have been transposed since the file was written; None where they are others, or foreign."""
    said = next((content for _, title, content in contents.texts if title == "notes"), "")
    then, _, written = said.partition(" ")
    notes = [(note[0], note[2]) for player in contents.players if player.channel != _DRUM_CHANNEL for note in player.notes]
    now, _, found = _fingerprint(notes).partition(" ")
    return int(now) - int(then) if found == written and re.fullmatch(r"\d{1,3}", then) else None


def _positive(text: str | None) -> float | None:
    try:
        value = float(text or 0)
    except ValueError:
        return None
    return value if 0 < value <= _LONGEST_SECONDS else None


def _counted(texts: list[tuple[int, str, str]], name: str, step: int, time: TempoMap, seconds: float) -> tuple[float, ...]:
    """Times of a file's own counted beats, or else of every step from the start to the end."""
    for tick, title, content in texts:
        if title == name and content.isdecimal() and int(content) <= 100_000:
            return tuple(time.at(tick + i * step) for i in range(int(content)))
    times, tick = [0.0], step
    while time.at(tick) < seconds:
        times.append(time.at(tick))
        tick += step
    return tuple(times)


def _spans(texts: list[tuple[int, str, str]], name: str, time: TempoMap, seconds: float) -> list[tuple[float, float, str]]:
    marks = sorted((time.at(tick), content) for tick, title, content in texts if title == name)
    ends = [start for start, _ in marks[1:]] + [seconds]
    return [(start, end, content) for (start, content), end in zip(marks, ends, strict=False) if end > start]


def _chords(texts: list[tuple[int, str, str]], time: TempoMap, seconds: float) -> tuple[ChordSpan, ...]:
    """The chords that the markers name; a label that cannot be read counts as no chord."""
    spans = []
    for start, end, label in _spans(texts, "chord", time, seconds):
        try:
            spans.append(ChordSpan(start, end, Chord.parse(label)))
        except ValueError:
            spans.append(ChordSpan(start, end, None))
    return tuple(spans)


def _tracks(players: list[_Player], time: TempoMap) -> tuple[Track, ...]:
    tracks = []
    for player in players:
        notes = sorted((Note(time.at(a), time.at(b), pitch, velocity) for a, b, pitch, velocity in player.notes), key=_order)
        role = "drums" if player.channel == _DRUM_CHANNEL else player.name if player.name in ROLES else ""
        tracks.append(Track(role, player.program, tuple(notes), player.pan, player.gain))
    return guess.roles(tracks, [player.name for player in players])


def _order(note: Note) -> tuple[float, int]:
    return note.start, note.pitch
