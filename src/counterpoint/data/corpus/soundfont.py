"""The soundfont renderer: a score played by FluidSynth, inside this process.

Every score gets a synthesiser of its own, because FluidSynth's reset leaves voices, reverb tails and chorus phases behind;
the soundfont itself is read once per process and lent to each of them.  Same score, same bytes.
"""

import contextlib
import functools
import io
from ctypes import c_int, c_void_p
from pathlib import Path
from types import ModuleType

import numpy as np

from counterpoint.data.corpus.soundfont_levels import evened
from counterpoint.music import Note, Score, Track

_PLACES = tuple(
    Path(folder) / name
    for folder in ("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts")
    for name in ("FluidR3_GM.sf2", "default-GM.sf2", "default.sf2", "TimGM6mb.sf2")
)
_BLOCK = 64  # FluidSynth renders blocks of 64 samples and hears events between them only: 2 ms at 32 kHz
_FADE_SECONDS = 0.01
_POLYPHONY = 512
_SETTINGS = {
    "synth.cpu-cores": 1,
    "synth.polyphony": _POLYPHONY,
    "synth.reverb.room-size": 0.4,
    "synth.reverb.damp": 0.3,
    "synth.reverb.width": 0.6,
    "synth.reverb.level": 0.6,
    "synth.chorus.level": 0.6,
}
_GAIN = 0.5
_VOLUME, _PAN, _REVERB, _CHORUS = 7, 10, 91, 93  # MIDI controllers
_REVERB_SEND, _CHORUS_SEND = 45, 10

Event = tuple[int, int, int, int, int]
"""Sample, 0 for off and 1 for on, channel, key, velocity: sorts as it is to be played."""


def find_soundfont() -> Path:
    """The soundfont that the system's packages install.  Raises ValueError with what to install."""
    found = next((path for path in _PLACES if path.is_file()), None)
    if found is None:
        raise ValueError("No soundfont was found; install Debian's fluid-soundfont-gm or give the path of a .sf2 file.")
    return found


class SoundfontRenderer:
    """Plays scores with the General-MIDI soundfont at `path` (None: the system's own).

    Raises ValueError if the soundfont, FluidSynth or pyfluidsynth is missing.
    """

    def __init__(self, path: Path | None = None):
        self.path = find_soundfont() if path is None else Path(path)
        self._fluidsynth = _library()
        self._holder, self._font = _load(self.path)

    def render(self, score: Score, sample_rate: int = 32000, channels: int = 2) -> np.ndarray:
        """`score` as float32 audio, `c n` with n = seconds times the rate; not normalised, and may exceed 1.

        What still sounds at the end is faded out within 10 ms.  Note times are right to 32 samples.
        """
        synth = self._fluidsynth.Synth(gain=_GAIN, samplerate=float(sample_rate), channels=_num_channels(score))
        for name, value in _SETTINGS.items():
            synth.setting(name, value)
        number = _bind_add_sfont()(synth.synth, self._font)
        try:
            for index, track in enumerate(score.tracks):
                _prepare(synth, number, _channel(index), track)
            audio = _play(synth, _events(score, sample_rate), round(score.seconds * sample_rate))
        finally:
            _bind_remove_sfont()(synth.synth, self._font)  # or else the font would die with its borrower
            synth.delete()
        fade = min(audio.shape[1], round(_FADE_SECONDS * sample_rate))
        audio[:, audio.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        return audio if channels == 2 else audio.mean(axis=0, keepdims=True)


def _channel(index: int) -> int:
    return index if index < 9 else index + 1  # channel 9 is a drum channel by itself; kits are selected by bank instead


def _num_channels(score: Score) -> int:
    return 16 * (1 + _channel(len(score.tracks)) // 16)


def _prepare(synth, font: int, channel: int, track: Track) -> None:
    bank, program = (128, 0) if track.role == "drums" else (0, track.program)
    synth.program_select(channel, font, bank, program)
    gain = min(1.0, max(0.0, track.gain)) * evened(track.role, track.program)
    synth.cc(channel, _VOLUME, round(127 * gain**0.5))  # GM: amplitude grows with the square
    synth.cc(channel, _PAN, round(64 + 63 * track.pan))
    synth.cc(channel, _REVERB, _REVERB_SEND)
    synth.cc(channel, _CHORUS, _CHORUS_SEND)


def _events(score: Score, sample_rate: int) -> list[Event]:
    """All key presses and releases in playing order; a key pressed again is released just before."""

    def sample(seconds: float) -> int:
        return _BLOCK * max(0, round(seconds * sample_rate / _BLOCK))

    events: list[Event] = []
    end = sample(score.seconds)
    for index, track in enumerate(score.tracks):
        following: dict[int, int] = {}
        for note in sorted(track.notes, key=_start, reverse=True):
            on = sample(note.start)
            off = min(max(sample(note.end), on + _BLOCK), following.get(note.pitch, end))
            following[note.pitch] = on
            if off > on:
                events.append((on, 1, _channel(index), note.pitch, note.velocity))
                events.append((off, 0, _channel(index), note.pitch, 0))
    return sorted(events)


def _start(note: Note) -> float:
    return note.start


def _play(synth, events: list[Event], num_samples: int) -> np.ndarray:
    blocks = -(-num_samples // _BLOCK)
    audio = np.zeros((2, blocks * _BLOCK), np.float32)
    write = _bind_write_float()
    left, right = audio[0].ctypes.data, audio[1].ctypes.data
    position = 0

    def advance(to: int) -> None:
        nonlocal position
        to = min(to, audio.shape[1])
        if to > position:
            write(synth.synth, to - position, left, position, 1, right, position, 1)
            position = to

    for sample, on, channel, key, velocity in events:
        advance(sample)
        if on:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    advance(audio.shape[1])
    return audio[:, :num_samples]


@functools.cache
def _library() -> ModuleType:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pyfluidsynth tells where it found the library
            import fluidsynth
    except (ImportError, OSError) as error:  # raised by pyfluidsynth, too, when the C library is absent or broken
        raise ValueError(
            "The soundfont renderer needs FluidSynth: python -m pip install pyfluidsynth and its library "
            "(Debian: apt install libfluidsynth3 fluid-soundfont-gm); or use the built-in renderer."
        ) from error
    silence = fluidsynth.cfunc(
        "fluid_set_log_function", c_void_p, ("level", c_int, 1), ("function", c_void_p, 1), ("data", c_void_p, 1)
    )
    assert silence is not None, "part of every FluidSynth since 1.0"
    for level in (1, 2):  # errors and warnings: lending a font and taking it back is none of the user's business
        silence(level, None, None)
    return fluidsynth


@functools.cache
def _load(path: Path) -> tuple[object, int]:
    """A synthesiser that owns the soundfont, and the soundfont's address."""
    if not path.is_file():
        raise ValueError(f"There is no soundfont {path}; give the path of a .sf2 file.")
    with path.open("rb") as file:
        header = file.read(12)
    fluidsynth = _library()
    holder = fluidsynth.Synth()
    number = holder.sfload(str(path)) if header[8:] == b"sfbk" else -1
    if number < 0:
        raise ValueError(f"{path} is not a soundfont that FluidSynth can read; give a General-MIDI .sf2 file.")
    return holder, fluidsynth.fluid_synth_get_sfont_by_id(holder.synth, number)


# What pyfluidsynth does not bind.


@functools.cache
def _bind_add_sfont():
    return _library().cfunc("fluid_synth_add_sfont", c_int, ("synth", c_void_p, 1), ("font", c_void_p, 1))


@functools.cache
def _bind_remove_sfont():
    return _library().cfunc("fluid_synth_remove_sfont", c_int, ("synth", c_void_p, 1), ("font", c_void_p, 1))


@functools.cache
def _bind_write_float():
    """Float samples: no 16-bit clipping, and none of the dither whose state would leak from score to score."""
    names = (("synth", c_void_p), ("len", c_int), ("left", c_void_p), ("left_offset", c_int), ("left_step", c_int))
    more = (("right", c_void_p), ("right_offset", c_int), ("right_step", c_int))
    return _library().cfunc("fluid_synth_write_float", c_int, *((name, kind, 1) for name, kind in names + more))
