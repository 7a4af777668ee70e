"""What was heard, drawn under its waveform: beats, chords, the tune, drums.  Needs matplotlib (the extra `eval`)."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.analysis.heard import Heard
from counterpoint.analysis.melody import notes_of
from counterpoint.files import renamed
from counterpoint.music import PITCH_CLASSES, chord_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW = 20.0
"""Seconds in a row of the picture; what is longer goes on below."""
LANES = (2.0, 0.6, 2.4, 0.9)
"""Heights in inches: waveform, chords, tune, drums."""
SUFFIXES = (".png", ".pdf", ".svg")
INK, BEAT, TUNE = "#33415c", "#c9184a", "#1b7f5c"
HUES = (
    "#e9c46a",
    "#f4a261",
    "#e07a5f",
    "#d68fb0",
    "#b392c8",
    "#8f9bd4",
    "#7fb3d8",
    "#76c1c1",
    "#82c79b",
    "#a5c882",
    "#c9cf7a",
    "#e2d27a",
)
"""One for each pitch class, so that a chord that comes back is seen to."""
DRUM_ROWS = ("kick", "snare", "hat")


def require_matplotlib() -> None:
    """Raises ValueError where no picture can be drawn."""
    if find_spec("matplotlib") is None:
        raise ValueError("A picture is drawn with matplotlib, which is not there: python -m pip install 'counterpoint[eval]'.")


def draw(heard: Heard, audio: Float[Tensor, "c n"], sample_rate: int, path: str | Path, title: str = "") -> Path:
    """Draw a sound and what was heard of it into a file that matplotlib knows by its suffix.

    Down-beats are bold lines, other beats thin ones.  Returns the path.  Raises ValueError without matplotlib, and for
    other suffixes than SUFFIXES.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path.name!r} has no suffix of a picture; end it in {', '.join(SUFFIXES)}.")
    rows = max(1, int(np.ceil(heard.seconds / ROW - 1e-6)))
    figure = Figure(figsize=(14, rows * sum(LANES) + 1.0), layout="constrained")
    grid = figure.subplots(rows * len(LANES), 1, gridspec_kw={"height_ratios": LANES * rows}, squeeze=False)[:, 0]
    figure.suptitle(_headline(heard, title), fontsize=12, parse_math=False)
    wave = audio.mean(0).numpy()
    width = min(ROW, heard.seconds)
    for row in range(rows):
        axes = grid[row * len(LANES) : (row + 1) * len(LANES)]
        _wave(axes[0], wave, sample_rate, row * ROW, width)
        _chords(axes[1], heard)
        _tune(axes[2], heard)
        _drums(axes[3], heard)
        for lane in axes:
            _beats(lane, heard)
            lane.set_xlim(row * ROW, row * ROW + width)
            lane.tick_params(labelbottom=lane is axes[-1])
    grid[-1].set_xlabel("seconds")
    with renamed(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix[1:].lower())
    return path


def _headline(heard: Heard, title: str) -> str:
    tempo = "no pulse" if np.isnan(heard.tempo) else f"{heard.tempo:.1f} bpm"
    key = heard.key.spelled if heard.key else "no key"
    return ", ".join([*([title] if title else []), tempo, key])


def _wave(lane: "Axes", wave: Float[np.ndarray, " n"], sample_rate: int, start: float, width: float) -> None:
    """The lowest and the highest sample of every 1/1000 of the row."""
    begin, end = round(start * sample_rate), min(len(wave), round((start + width) * sample_rate))
    edges = np.unique(np.linspace(begin, end, 1001).astype(int))[:-1]
    if len(edges) > 1:
        low, high = np.minimum.reduceat(wave[:end], edges), np.maximum.reduceat(wave[:end], edges)
        lane.fill_between(edges / sample_rate, low, high, color=INK, linewidth=0, step="post")
    peak = max(1e-3, float(np.abs(wave).max(initial=0.0)))
    lane.set_ylim(-1.05 * peak, 1.05 * peak)
    lane.set_yticks([])
    lane.set_ylabel("sound")


def _chords(lane: "Axes", heard: Heard) -> None:
    for span in heard.chords:
        colour = "#eeeeee" if span.chord is None else HUES[span.chord.root * 7 % 12]  # neighbours in fifths look alike
        lane.axvspan(span.start, span.end, color=colour, linewidth=0)
        name = chord_name(span.chord, heard.key)
        lane.text((span.start + span.end) / 2, 0.5, name, ha="center", va="center", fontsize=10, clip_on=True)
    lane.set_ylim(0, 1)
    lane.set_yticks([])
    lane.set_ylabel("chords")


def _tune(lane: "Axes", heard: Heard) -> None:
    notes = notes_of(heard.melody)
    for start, end, pitch in notes:
        lane.plot([start, end], [pitch, pitch], color=TUNE, linewidth=4, solid_capstyle="butt")
    pitches = [pitch for _, _, pitch in notes] or [60]
    lane.set_ylim(min(pitches) - 3, max(pitches) + 3)
    naturals = [pitch for pitch in range(min(pitches) - 2, max(pitches) + 3) if len(PITCH_CLASSES[pitch % 12]) == 1]
    lane.set_yticks(naturals, [f"{PITCH_CLASSES[pitch % 12]}{pitch // 12 - 1}" for pitch in naturals], fontsize=7)
    lane.set_ylabel("tune")


def _drums(lane: "Axes", heard: Heard) -> None:
    for height, name in enumerate(DRUM_ROWS):
        times = heard.drums[name]
        lane.plot(times, [height] * len(times), "|", color=INK, markersize=9, markeredgewidth=1.8)
    lane.set_ylim(-0.6, len(DRUM_ROWS) - 0.4)
    lane.set_yticks(range(len(DRUM_ROWS)), DRUM_ROWS)
    lane.set_ylabel("drums")


def _beats(lane: "Axes", heard: Heard) -> None:
    bold = set(heard.downbeats)
    for time in heard.beats:
        lane.axvline(time, color=BEAT, linewidth=1.8 if time in bold else 0.5, alpha=0.8, zorder=0.5)
