"""Does music drift when a model goes on and on?  Held-out clips, continued to a minute, and held against their start.

    python benchmarks/drift.py make jasco-tiny jasco-tiny-fast musicgen-tiny --corpus runs/corpus --clips 24
    python benchmarks/drift.py report --markdown benchmarks/results/drift.md --figure docs/drift.png

`make` gives each model the first clips of the split test, with their captions and the clips' places as seeds, told a plan
(`auto`: what is heard of the clip, and what is composed to go on) or words alone (`none`); it keeps the audio, and what is
heard of it (`metrics/drift.py`), under --out, and goes on where it was stopped.  Rows of the report are means and 95 %
bootstrap intervals over clips, ten seconds each; the first ten are the clip itself.
"""

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
import torch
from matplotlib import pyplot as plt

from counterpoint import generation, request
from counterpoint.analysis.chroma import chroma
from counterpoint.analysis.hearing import hear
from counterpoint.data.row import split_of
from counterpoint.files import write_text
from counterpoint.metrics import intervals
from counterpoint.metrics.drift import STRETCH, curve

FIGURES = {
    "key_kept": "key",
    "tempo_kept": "tempo",
    "loudness": "loudness, LU from the start",
    "harmony": "harmony, cosine",
    "timbre": "timbre, dB",
}
OUT = Path("runs/drift")


def make(arguments: argparse.Namespace) -> None:
    """Continue the clips with each model, and write down what is heard."""
    lines = [json.loads(line) for line in (arguments.corpus / "metadata.jsonl").read_text().splitlines()]
    clips = [line for line in lines if split_of(line["id"]) == "test"][: arguments.clips]
    for name in arguments.models:
        model = generation.load(name)
        for plan in arguments.plans:
            for seed, clip in enumerate(clips):
                kept = arguments.out / f"{Path(name).name}, plan {plan}" / f"{clip['id']}.json"
                if kept.is_file():
                    continue
                given = {"source": arguments.corpus / clip["file_name"], "plan": plan, "seed": seed}
                asked = request.read({"text": clip["text"], **given, "after": arguments.seconds - STRETCH})
                take = next(model.takes(asked))
                take.save(kept.with_suffix(".flac"))
                stretches = curve(take.audio, take.sample_rate, hear, chroma)
                rows = [{**asdict(stretch), "key": stretch.key and stretch.key.name} for stretch in stretches]
                write_text(kept, json.dumps({"seconds": sum(take.record["timings"].values()), "stretches": rows}) + "\n")
                print(f"{kept}: {sum(take.record['timings'].values()):.0f} s", flush=True)


def report(arguments: argparse.Namespace) -> None:
    """A table of means and intervals, and the curves."""
    cells = {folder.name: read(folder) for folder in sorted(arguments.out.iterdir()) if any(folder.glob("*.json"))}
    lines = [f"| model | clips | seconds | {' | '.join(FIGURES.values())} |", f"|---|---|---|{'---|' * len(FIGURES)}"]
    for name, clips in cells.items():
        for i in range(min(len(clip) for clip in clips)):
            row = [cell(clips, i, figure) for figure in FIGURES]
            lines.append(f"| {name} | {len(clips)} | {clips[0][i]['start']:g}-{clips[0][i]['end']:g} | {' | '.join(row)} |")
    print("\n".join(lines))
    if arguments.markdown:
        write_text(arguments.markdown, "\n".join(["# Drift", "", *__doc__.strip().splitlines()[2:4], "", *lines]) + "\n")
    if arguments.figure:
        draw(cells, arguments.figure)


def read(folder: Path) -> list[list[dict[str, Any]]]:
    """The stretches of each clip; loudness is told from the start."""
    clips = [json.loads(path.read_text())["stretches"] for path in sorted(folder.glob("*.json"))]
    for clip in clips:
        first = clip[0]["loudness"]
        for stretch in clip:
            stretch["loudness"] -= first
    return clips


def values(clips: list[list[dict[str, Any]]], place: int, figure: str) -> list[float]:
    """What could be told of a stretch, clip by clip."""
    told = (clip[place][figure] for clip in clips)
    return [value for value in told if value is not None and math.isfinite(value)]


def cell(clips: list[list[dict[str, Any]]], place: int, figure: str) -> str:
    """A mean and its interval."""
    told = values(clips, place, figure)
    if not told:
        return "-"
    low, high = spread(told)
    return f"{np.mean(told):.2f} ({low:.2f} to {high:.2f})"


def spread(told: list[float]) -> tuple[float, float]:
    """The 95 % bootstrap interval of a mean."""
    drawn = np.array(told)[intervals.resamples(len(told))].mean(1)
    return intervals.percentile(drawn)


def draw(cells: dict[str, list[list[dict[str, Any]]]], out: Path) -> None:
    """One panel a figure, one line a model, with its interval: full with a plan, dashed without."""
    figure, axes = plt.subplots(1, len(FIGURES), figsize=(3 * len(FIGURES), 3.3), layout="constrained")
    colours = {model: f"C{i}" for i, model in enumerate(dict.fromkeys(label.split(", ")[0] for label in cells))}
    for ax, (name, title) in zip(axes, FIGURES.items(), strict=True):
        for label, clips in cells.items():
            places = range(min(len(clip) for clip in clips))
            told = [values(clips, i, name) or [math.nan] for i in places]
            ends = [clips[0][i]["end"] for i in places]
            bounds = np.array([spread(v) for v in told])
            look = {"color": colours[label.split(", ")[0]], "linestyle": "--" if label.endswith("none") else "-"}
            ax.plot(ends, [np.mean(v) for v in told], marker=".", label=label, **look)
            ax.fill_between(ends, bounds[:, 0], bounds[:, 1], color=look["color"], alpha=0.1, linewidth=0)
        ax.set_title(title, fontsize=9, loc="left")
        ax.set_xlabel("seconds")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, loc="outside lower center", ncols=len(cells))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, metadata={"Software": "counterpoint"})
    plt.close(figure)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("models", nargs="+")
    making.add_argument("--corpus", type=Path, required=True)
    making.add_argument("--clips", type=int, default=24)
    making.add_argument("--seconds", type=float, default=60.0)
    making.add_argument("--plans", nargs="+", default=["auto", "none"], choices=["auto", "none"])
    making.set_defaults(run=make)
    reporting = commands.add_parser("report")
    reporting.add_argument("--markdown", type=Path)
    reporting.add_argument("--figure", type=Path)
    reporting.set_defaults(run=report)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
