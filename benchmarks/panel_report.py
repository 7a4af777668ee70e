"""What panel.py has judged, as tables beside the targets, and as sheets of spectrograms to look at."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import frechet
import spectra
from broken import FAULTS, LIMITS
from counterpoint import audio as sound
from counterpoint.files import renamed
from intervals import interval, table
from panel_judge import FIGURES, FRAMES

Array = NDArray[np.float64]
Judged = dict[str, Any]

TARGETS: dict[str, tuple[str, float]] = {
    "tempo Acc2": (">=", 0.85),
    "key": (">=", 0.6),
    "chords, majmin": (">=", 0.6),
    "style, top 3": (">=", 0.7),
    "Frechet ratio": ("<=", 2.0),
    "broken": ("<", 0.03),
}
"""Figure -> what the models are to reach (issue 9)."""
REAL = ("real", "coded a", "coded b")
DRAWS = 200
POOLED = 8
"""Bands of the distances of single styles, of which there are few clips: means of four neighbouring bands of the ear."""


def page(out: Path) -> str:
    """All tables.  Raises ValueError where nothing was judged."""
    judged = read(out)
    frames = {name: np.load(out / name / FRAMES) for name in judged}
    parts = [
        "## Beside the targets",
        targets(judged, frames),
        "## What is broken: shares of takes",
        table({name: _shares(clips) for name, clips in judged.items()}, f"n = {_count(judged)}"),
        "Limits: " + ", ".join(f"{fault} {LIMITS[fault]:g}" for fault in FAULTS) + ". The figures themselves, means:",
        table({name: _means(clips, "faults") for name, clips in judged.items()}, "", bounds=False),
        "## What is asked for, followed; and without a request",
        table({name: _means(clips, "follows") | _chances(clips) for name, clips in judged.items()}, ""),
        table({name: _means(clips, "alone") for name, clips in judged.items()}, ""),
        f"## Frechet distances of each style, {POOLED} bands, from `coded a`; as multiples of that of `coded b` in brackets",
        of_styles(judged, frames),
        "Distances are left out where there are too few clips. `real` and `coded a` are the same clips.",
    ]
    return "\n\n".join(parts)


def read(out: Path) -> dict[str, list[Judged]]:
    """The figures of every folder, real music first.  Raises ValueError where there are none."""
    files = {file.parent.name: file for file in out.glob(f"*/{FIGURES}")}
    if not files:
        raise ValueError(f"{out} has nothing that was judged; run panel.py real, make and judge.")
    ordered = [*(name for name in REAL if name in files), *sorted(set(files) - set(REAL))]
    return {name: json.loads(files[name].read_text(encoding="utf-8")) for name in ordered}


def targets(judged: Mapping[str, list[Judged]], frames: Mapping[str, Array]) -> str:
    """A row a folder: every target's figure with interval, count, chance, and whether it is met."""
    heads = [f"{name} {sign} {goal:g}" for name, (sign, goal) in TARGETS.items()]
    lines = [f"| | {' | '.join(heads)} |", f"|{'---|' * (len(TARGETS) + 1)}"]
    for name, clips in judged.items():
        figures = {
            **{part: _of(clips, "follows", part) for part in ("tempo Acc2", "key", "chords, majmin", "style, top 3")},
            "Frechet ratio": _ratio(frames.get(name), frames.get("coded a"), frames.get("coded b")),
            "broken": interval([float(bool(clip["broken"])) for clip in clips]),
        }
        cells = [_cell(figures[part], *TARGETS[part], _of(clips, "chance", part)) for part in TARGETS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figure: Mapping[str, float] | None, sign: str, goal: float, chance: Mapping[str, float]) -> str:
    if figure is None or not figure["n"]:
        return ""
    value = figure["mean"]
    met = {"<": value < goal, "<=": value <= goal, ">=": value >= goal}[sign]
    floor = f", chance {chance['mean']:.2f}" if chance["n"] else ""
    return f"{value:.2f} ({figure['low']:.2f} to {figure['high']:.2f}), n {figure['n']}{floor}: {'met' if met else 'not met'}"


def _of(clips: Sequence[Judged], part: str, figure: str) -> dict[str, float]:
    return interval([clip[part].get(figure, float("nan")) for clip in clips])


def _means(clips: Sequence[Judged], part: str) -> dict[str, dict[str, float]]:
    return {figure: _of(clips, part, figure) for figure in dict.fromkeys(name for clip in clips for name in clip[part])}


def _chances(clips: Sequence[Judged]) -> dict[str, dict[str, float]]:
    return {
        f"{figure}: chance": _of(clips, "chance", figure) for figure in ("tempo Acc2", "key", "chords, majmin", "style, top 3")
    }


def _shares(clips: Sequence[Judged]) -> dict[str, dict[str, float]]:
    told = {fault: interval([float(fault in clip["broken"]) for clip in clips]) for fault in FAULTS}
    return told | {"any": interval([float(bool(clip["broken"])) for clip in clips])}


def _count(judged: Mapping[str, list[Judged]]) -> str:
    return " or ".join(str(count) for count in sorted({len(clips) for clips in judged.values()}))


def _ratio(made: Array | None, real: Array | None, other: Array | None) -> dict[str, float] | None:
    """How many times as far from real music as other real music is; None where there are too few clips, or unequally many."""
    if made is None or real is None or other is None or not len(made) == len(real) == len(other):
        return None
    try:
        sums = [frechet.moments(clips) for clips in (made, real, other)]
    except ValueError:
        return None
    counts = frechet.resamples(len(made), DRAWS)
    theirs = sums[1].gaussians(counts)
    ours, floor = (frechet.distances(side, theirs, counts) for side in (sums[0], sums[2]))
    return frechet.ratio(ours, floor) | {"n": len(made)}


def of_styles(judged: Mapping[str, list[Judged]], frames: Mapping[str, Array]) -> str:
    """A row a style, a column a folder.  Empty where a style has too few clips for a distance."""
    if not {"coded a", "coded b"} <= set(judged):
        return "No real clips were judged: run panel.py real."
    styles = list(dict.fromkeys(clip["asked"]["style"] for clip in judged["coded a"]))
    names = [name for name in judged if name != "coded a"]
    lines = [f"| | {' | '.join(names)} |", f"|{'---|' * (len(names) + 1)}"]
    for style in styles:
        pooled = {name: _pooled(frames[name][[clip["asked"]["style"] == style for clip in judged[name]]]) for name in judged}
        apart = {name: _apart(pooled[name], pooled["coded a"]) for name in names}
        floor = apart["coded b"]
        cells = ["" if far is None or not floor else f"{far:.3f} ({far / floor:.1f})" for far in apart.values()]
        lines.append(f"| {style} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pooled(frames: Array) -> Array:
    means = frames[..., : frames.shape[-1] // 2]
    return means.reshape(*means.shape[:2], POOLED, -1).mean(-1)


def _apart(made: Array, real: Array) -> float | None:
    try:
        pair = [frechet.moments(clips).gaussians(np.ones((1, len(clips))))[0] for clips in (made, real)]
    except ValueError:
        return None
    return frechet.distance(*pair)


def sheets(out: Path, folder: Path, takes: int = 18, columns: int = 3) -> None:
    """For each folder a picture of its first takes: log-mel spectrograms, the words above, faults in red."""
    for name, clips in read(out).items():
        shown = clips[:takes]
        rows = -(-len(shown) // columns)
        figure = Figure(figsize=(5 * columns, 0.3 + 1.9 * rows), layout="constrained")
        for place, clip in enumerate(shown, 1):
            axes = figure.add_subplot(rows, columns, place)
            samples, rate = sound.read(out / name / clip["asked"]["file"])
            mel = spectra.log_mel(samples.mean(0).numpy(), rate)
            ends = (0, samples.shape[1] / rate, 0, 1)
            axes.imshow(mel, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=ends)
            words = textwrap.shorten(clip["asked"]["text"], 60, placeholder=" ...")
            colour = "red" if clip["broken"] else "black"
            axes.set_title(f"{words} {' '.join(clip['broken'])}", fontsize=7, color=colour, parse_math=False)
            axes.set_yticks([])
        figure.suptitle(name, fontsize=9)
        with renamed(folder / f"{name.replace(', ', '-').replace(' ', '-')}.png") as temporary:
            figure.savefig(temporary, dpi=70, format="png")
