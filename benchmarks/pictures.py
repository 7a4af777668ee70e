"""Music as a picture: what is heard above, what was planned below.

    python benchmarks/pictures.py take.wav --score take.mid -o take.png [--title "..."]
    python benchmarks/pictures.py --sheet original.wav codec.wav generated.wav [--names real codec model] -o sheet.png

Spans that were made anew in given audio are marked, as the take's tags tell them (docs/editing.md):

    python benchmarks/pictures.py --sheet bossa.wav repaired.wav --names given "the span made anew" -o docs/editing.png

A score is a MIDI file or the annotation (.json) of a corpus clip; roles have one colour each, drums a lane of their own.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import librosa
import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from counterpoint import audio as sound
from counterpoint import midi
from counterpoint.annotation import from_dict
from counterpoint.music import DRUM_CLASSES, Score, Track, chord_name
from counterpoint.source import read_record

COLOURS = {"melody": "#d62728", "bass": "#1f77b4", "comp": "#2ca02c", "pad": "#9467bd", "drums": "#444444"}
LANES = ("kick", "snare", "hat", "cymbal", "tom", "percussion")
Array = NDArray[np.float64]


def read_score(path: Path) -> Score:
    """A score from a MIDI file or from the annotation of a corpus clip."""
    return from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.suffix == ".json" else midi.read(path)


def read_mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Audio as one channel, and its rate."""
    samples, rate = sound.read(path)
    return samples.mean(0).numpy(), rate


def draw_spectrogram(ax: Axes, samples: NDArray[np.float32], rate: int, lowest: float = 50.0) -> None:
    """Magnitudes on a logarithmic axis of frequency, in dB below the loudest."""
    decibels = librosa.amplitude_to_db(np.abs(librosa.stft(samples, n_fft=4096, hop_length=512)), ref=np.max, top_db=80)
    edges = np.geomspace(lowest, rate / 2, 301)
    bins = np.sqrt(edges[1:] * edges[:-1]) * 4096 / rate
    below = np.minimum(bins.astype(int), len(decibels) - 2)
    part = (bins - below)[:, None]
    shown = decibels[below] * (1 - part) + decibels[below + 1] * part
    times = np.arange(decibels.shape[1] + 1) * 512 / rate
    ax.pcolormesh(times, edges, shown, cmap="magma", vmin=-72, vmax=0, rasterized=True)
    ax.set_yscale("log")
    ticks = [t for t in (100, 200, 500, 1000, 2000, 5000, 10000) if t <= rate / 2]
    ax.set_yticks(ticks, [f"{t // 1000} kHz" if t >= 1000 else f"{t} Hz" for t in ticks])
    ax.minorticks_off()
    ax.set_ylim(lowest, rate / 2)
    ax.set_xlim(0, len(samples) / rate)


def draw_made(ax: Axes, file: Path) -> None:
    """What was made in given audio: between lines, under a bar."""
    for start, end in read_record(file).get("made", ()):
        ax.axvline(start, color="#ffd700", lw=1.2)
        ax.axvline(end, color="#ffd700", lw=1.2)
        ax.plot([start, end], [0.985, 0.985], color="#ffd700", lw=5, transform=ax.get_xaxis_transform(), solid_capstyle="butt")


def draw_roll(ax: Axes, score: Score) -> None:
    """Notes by pitch, coloured by role, with bar lines."""
    pitched = [track for track in score.tracks if track.role != "drums"]
    for track in sorted(pitched, key=lambda t: list(COLOURS)[::-1].index(t.role)):
        _draw_notes(ax, track)
    pitches = [note.pitch for track in pitched for note in track.notes] or [60]
    low, high = min(pitches) - 2, max(pitches) + 3
    _grid(ax, score)
    octaves = [p for p in range(low, high) if p % 12 == 0]
    ax.set_yticks(octaves, [f"C{p // 12 - 1}" for p in octaves])
    ax.set_ylim(low, high)
    ax.set_xlim(0, score.seconds)


def draw_legend(ax: Axes, score: Score) -> None:
    """The roles' colours, above the upper right corner."""
    used = [role for role in COLOURS if score.track(role) is not None]
    handles = [Line2D([], [], color=COLOURS[role], lw=5, label=role) for role in used]
    corner = (1.0, 0.99)
    ax.legend(
        handles=handles, loc="lower right", bbox_to_anchor=corner, ncols=len(used), fontsize=8, frameon=False, handlelength=1
    )


def _draw_notes(ax: Axes, track: Track) -> None:
    height = 1.0 if track.role == "pad" else 0.6  # so that a pad shows behind a comp on the same pitches
    for note in track.notes:
        ax.broken_barh(
            [(note.start, max(0.02, note.end - note.start - 0.01))],
            (note.pitch - height / 2, height),
            facecolors=COLOURS[track.role],
            alpha=0.35 + 0.6 * note.velocity / 127,
            linewidth=0,
        )


def draw_drums(ax: Axes, score: Score) -> None:
    """Hits by what they do in a groove; louder is larger."""
    lane = {key: i for i, name in enumerate(LANES) for key in DRUM_CLASSES[name]}
    notes = [note for track in score.tracks if track.role == "drums" for note in track.notes if note.pitch in lane]
    used = sorted({lane[note.pitch] for note in notes})
    place = {row: i for i, row in enumerate(used)}
    rows = [place[lane[note.pitch]] for note in notes]
    ax.scatter(
        [n.start for n in notes],
        rows,
        s=[(n.velocity / 127) ** 2 * 30 + 2 for n in notes],
        color=COLOURS["drums"],
        linewidths=0,
    )
    _grid(ax, score)
    ax.set_yticks(range(len(used)), [LANES[row] for row in used])
    ax.set_ylim(-0.7, len(used) - 0.3)
    ax.set_xlim(0, score.seconds)


def _grid(ax: Axes, score: Score) -> None:
    for beat in score.beats:
        ax.axvline(beat, color="#dddddd", lw=0.5, zorder=0)
    for bar in score.downbeats:
        ax.axvline(bar, color="#888888", lw=0.8, zorder=0)


def draw_chords(ax: Axes, score: Score) -> None:
    """Chord names where they begin, on the upper edge."""
    spans = [span for span in score.chords if span.start < score.seconds - 0.05]
    for before, span in zip([None, *spans], spans, strict=False):
        if before is None or before.chord != span.chord:
            ax.annotate(
                chord_name(span.chord),
                (span.start, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, 3),
                textcoords="offset points",
                fontsize=8,
            )


def picture(samples: NDArray[np.float32], rate: int, score: Score | None, title: str, out: Path) -> None:
    """Spectrogram, and below it the piano-roll and the drums of the score that it should follow."""
    drums = score is not None and any(track.role == "drums" for track in score.tracks)
    heights = [3.0] + [2.6] * (score is not None) + [1.0] * drums
    figure, axes = plt.subplots(
        len(heights), 1, figsize=(10, 1 + sum(heights)), height_ratios=heights, sharex=True, squeeze=False, layout="constrained"
    )
    draw_spectrogram(axes[0, 0], samples, rate)
    if score is not None:
        draw_legend(axes[0, 0], score)
        draw_roll(axes[1, 0], score)
        draw_chords(axes[1, 0], score)
        facts = f"{score.style}, {score.bpm:.0f} bpm, {score.key.name}, {score.metre.name}"
        title = f"{title}\n{facts}" if title else facts
    if drums and score is not None:
        draw_drums(axes[2, 0], score)
    axes[0, 0].set_title(title, fontsize=10, loc="left")
    axes[-1, 0].set_xlabel("seconds")
    _save(figure, out)


def sheet(files: Sequence[Path], names: Sequence[str], out: Path) -> None:
    """Spectrograms of several sounds, one below the other, on one scale of time."""
    figure, axes = plt.subplots(
        len(files), 1, figsize=(10, 0.6 + 2.2 * len(files)), sharex=True, squeeze=False, layout="constrained"
    )
    for ax, file, name in zip(axes[:, 0], files, names, strict=True):
        draw_spectrogram(ax, *read_mono(file))
        draw_made(ax, file)
        ax.set_title(name, fontsize=10, loc="left")
    axes[-1, 0].set_xlabel("seconds")
    _save(figure, out)


def _save(figure: Figure, out: Path) -> None:
    part = out.with_name(f".{out.stem}.part.png")
    figure.savefig(part, dpi=110, metadata={"Software": "counterpoint"})
    plt.close(figure)
    os.replace(part, out)


def main() -> None:
    """Draw one picture or one sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", nargs="+", type=Path)
    parser.add_argument("--score", type=Path)
    parser.add_argument("--sheet", action="store_true", help="compare several sounds")
    parser.add_argument("--names", nargs="+", help="one name for each sound of a sheet")
    parser.add_argument("--title", default="")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    if args.sheet:
        names = args.names or [file.stem for file in args.audio]
        if len(names) != len(args.audio):
            parser.error("--names needs one name for each sound")
        sheet(args.audio, names, args.out)
    elif len(args.audio) > 1:
        parser.error("several sounds need --sheet")
    else:
        samples, rate = read_mono(args.audio[0])
        picture(samples, rate, read_score(args.score) if args.score else None, args.title, args.out)


if __name__ == "__main__":
    main()
