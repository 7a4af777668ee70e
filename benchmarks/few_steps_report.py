"""What few_steps.py has judged, as a page of tables and as a figure: quality over network evaluations."""

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

import frechet
from counterpoint.files import write_text

Result = dict[str, Any]

REFERENCE = "jasco-tiny-{}-uniform-euler-200-g1.5"
MODEL, GUIDANCE = "jasco-tiny", 1.5
CONDITIONS = ("plan", "words")
SPACES = {"frames": "codec frames", "mel": "log-mel, dB²"}
MARGINS = (1.05, 1.15)
COLOURS = {
    "euler": "#1f77b4",
    "midpoint": "#d62728",
    "heun": "#ff7f0e",
    "rk4": "#9467bd",
    "dopri5": "#8c564b",
    "own": "#444444",
}
STYLES = {"uniform": ("-", "o"), "shifted": ("--", "s"), "log-snr": (":", "^"), "sway": ("-.", "D")}
BOLD = ("#000000", "#2ca02c", "#17becf", "#e377c2", "#bcbd22")


def read(folder: Path, n: int) -> dict[str, Result]:
    """Everything judged on n clips, by name.  Raises ValueError where there is nothing."""
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob(f"*-n{n}.json"))]
    if not results:
        raise ValueError(f"{folder} has nothing judged on {n} clips; run few_steps.py judge --clips {n}.")
    return {result["name"]: result for result in results}


def sizes(folder: Path) -> list[int]:
    """Numbers of clips on which anything was judged."""
    return sorted({int(file.stem.rpartition("-n")[2]) for file in folder.glob("*-n*.json")})


def distance(result: Result, space: str) -> dict[str, float]:
    """A result's Frechet distance with its interval."""
    return frechet.interval(np.array(result["frechet"][space]))


def ratio(result: Result, results: dict[str, Result], space: str) -> dict[str, float] | None:
    """The distance as a multiple of the reference's on the same clips; None where there is no reference, or no model."""
    reference = results.get(REFERENCE.format(result["cell"]["conditions"]))
    if reference is None or result["evaluations"] is None:
        return None
    return frechet.ratio(np.array(result["frechet"][space]), np.array(reference["frechet"][space]))


def against(result: Result, results: dict[str, Result], space: str) -> dict[str, float]:
    """The distance with the interval of what sets it apart from the reference: which compositions were drawn is common to all.

    Where there is no reference, the distance's own.
    """
    told, paired = distance(result, space), ratio(result, results, space)
    return told if paired is None else {name: told["mean"] * bound / paired["mean"] for name, bound in paired.items()}


def within(result: Result, results: dict[str, Result]) -> str:
    """The least margin under which the upper bounds of both ratios stay."""
    ratios = [ratio(result, results, space) for space in SPACES]
    kept = [margin for margin in MARGINS if all(one is not None and one["high"] <= margin for one in ratios)]
    return f"{min(kept) - 1:.0%}" if kept else ""


# Tables ---------------------------------------------------------------------------------------------------------------


def way(cell: dict[str, Any]) -> str:
    """How a cell was sampled, in few_steps.py's notation."""
    if cell["solver"] == "own":
        return "own"
    effort = cell["steps"] if cell["tolerance"] is None else f"{cell['tolerance']:g}"
    parts = [cell["schedule"], cell["solver"], str(effort), f"g{cell['guidance']:g}"]
    if cell["interval"] != [0.0, 1.0]:
        parts.append("i{:g},{:g}".format(*cell["interval"]))
    if cell["rescale"]:
        parts.append(f"r{cell['rescale']:g}")
    return ":".join(parts)


def table(results: dict[str, Result], conditions: str) -> str:
    """One row a cell, by evaluations; first the floors."""
    heads = [
        "",
        "evaluations",
        "s a clip",
        "frames",
        "x 200 steps",
        "log-mel",
        "x 200 steps",
        "within",
        "dB",
        "dispersion",
        "flux",
    ]
    rows = [result for result in results.values() if result["cell"]["conditions"] in ("", conditions)]
    rows.sort(key=lambda result: (result["evaluations"] or 0, distance(result, "frames")["mean"]))
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join(lines + [f"| {' | '.join(_row(result, results))} |" for result in rows])


def _row(result: Result, results: dict[str, Result]) -> list[str]:
    name = Path(result["cell"]["model"]).name
    cells = [f"{name} {way(result['cell'])}" if result["cell"]["conditions"] else name]
    cells += [_number(result["evaluations"], "{:.4g}"), _number(result["seconds"], "{:.2f}")]
    for space in SPACES:
        cells += [_bounds(distance(result, space)), _bounds(ratio(result, results, space), 2)]
    figures = result["figures"]
    means = [figures[name]["mean"] if name in figures else None for name in ("log_mel", "dispersion", "flux")]
    return [*cells, within(result, results), *(_number(mean, "{:.2f}") for mean in means)]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)


def _bounds(figure: dict[str, float] | None, digits: int | None = None) -> str:
    if figure is None:
        return ""
    if figure["mean"] < 1e-6:
        return "0"
    if digits is None:  # three figures of what is told
        digits = max(0, 2 - int(np.floor(np.log10(figure["mean"]))))
    return "{mean:.{d}f} ({low:.{d}f} to {high:.{d}f})".format(**figure, d=digits)


def page(folder: Path, machine: str, figure: Path | None, markdown: Path) -> str:
    """All tables, with what made them."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    ).stdout.strip()
    lines = ["# Quality over network evaluations", "", f"{date.today()}, {machine}, one thread, commit {commit}."]
    lines += ["", "`python benchmarks/few_steps.py` with `make`, `judge` and `report`; its docstring has the commands.", ""]
    if figure is not None:
        lines += [f"![Frechet distance over network evaluations]({os.path.relpath(figure, markdown.parent)})", ""]
    lines += [_READING]
    for n in reversed(sizes(folder)):
        results = read(folder, n)
        for conditions in CONDITIONS:
            told = "caption and score" if conditions == "plan" else "caption"
            lines += ["", f"## {n} clips, told {told}", "", table(results, conditions)]
    return "\n".join(lines) + "\n"


_READING = f"""\
A row is MODEL SCHEDULE:SOLVER:STEPS:gGUIDANCE, with :iFROM,TO where only these flow times are guided, and a tolerance for
dopri5's steps. `evaluations` are those of the network for one clip, all variants of guidance included; an autoregressive
model's are of one step each, not of a whole clip. `frames` and `log-mel` are Frechet distances to the real renderings of the
same compositions, per channel or band, with 95 % bootstrap intervals over clips; only rows of one table compare.
`x 200 steps` is the ratio to `{MODEL} uniform:euler:200:g{GUIDANCE}` on paired resamples, and `within` the margin under which
the upper bounds of both ratios stay. `dB` is the mean difference of the log-mel spectra to the real rendering; `dispersion`
and `flux` should be those of `real`: a Frechet distance does not hear flicker. Seconds are of processor time, in
batches of 32."""


# The figure -----------------------------------------------------------------------------------------------------------


def draw(results: dict[str, Result], out: Path) -> None:
    """A column for each kind of conditions, a row for each space of the Frechet distance."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 10), layout="constrained", sharex=True)
    for column, conditions in enumerate(CONDITIONS):
        for row, (space, title) in enumerate(SPACES.items()):
            ax = axes[row, column]
            _panel(ax, results, conditions, space)
            ax.set_title(f"{'caption and score' if conditions == 'plan' else 'caption'}: {title}", fontsize=10, loc="left")
            ax.set_ylabel("Fréchet distance per channel" if space == "frames" else "Fréchet distance per band")
        axes[-1, column].set_xlabel("network evaluations per clip, guidance included")
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize=8, frameon=False)
    count = next(iter(results.values()))["n"]
    figure.suptitle(
        f"Quality over network evaluations, {count} clips; bars: 95 % intervals of the ratio to 200 steps", fontsize=11
    )
    _save(figure, out)


def _panel(ax: Axes, results: dict[str, Result], conditions: str, space: str) -> None:
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    rows = [result for result in results.values() if result["cell"]["conditions"] == conditions]
    lines: dict[tuple[str, str, str, str], list[Result]] = {}
    for result in rows:
        lines.setdefault(_line(result), []).append(result)
    others = sorted({Path(result["cell"]["model"]).name for result in rows if result["view"] == "continuous"} - {MODEL})
    for key in sorted(lines):
        if lines[key][0]["view"] == "tokens":
            _autoregression(ax, lines[key][0], space)
        else:
            _curve(ax, key, sorted(lines[key], key=lambda result: result["evaluations"]), space, others, results)
    reference = results.get(REFERENCE.format(conditions))
    if reference is not None:
        told = distance(reference, space)["mean"]
        ax.axhspan(told, MARGINS[0] * told, color="#2ca02c", alpha=0.30, lw=0, label="200 Euler steps, + 5 %")
        ax.axhspan(MARGINS[0] * told, MARGINS[1] * told, color="#2ca02c", alpha=0.13, lw=0, label="+ 15 %")
    if space == "mel" and "codec" in results:
        ax.axhline(distance(results["codec"], space)["mean"], color="#999999", lw=0.8, ls=":", label="codec alone")
    ax.grid(which="major", color="#e6e6e6", lw=0.6)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_locator(LogLocator(base=2, numticks=20))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _line(result: Result) -> tuple[str, str, str, str]:
    """What the points of one line have in common: all but the effort."""
    cell, special = result["cell"], ""
    if Path(cell["model"]).name == MODEL:
        special = "guidance 1" if cell["guidance"] == 1 else "" if cell["guidance"] == GUIDANCE else f"g{cell['guidance']:g}"
        special = special or ("" if cell["interval"] == [0.0, 1.0] else "guided within an interval")
        special = special or (f"rescaled by {cell['rescale']:g}" if cell["rescale"] else "")
    return Path(cell["model"]).name, cell["solver"], cell["schedule"], special


def _curve(
    ax: Axes,
    key: tuple[str, str, str, str],
    points: Sequence[Result],
    space: str,
    others: Sequence[str],
    results: dict[str, Result],
) -> None:
    """A line with bars; points alone where guidance is not the usual one."""
    model, solver, schedule, special = key
    figures = [against(point, results, space) for point in points]
    x, means = [point["evaluations"] for point in points], [figure["mean"] for figure in figures]
    if special:
        marker = "o" if special == "guidance 1" else "x"
        face = "none" if marker == "o" else COLOURS[solver]
        ax.scatter(x, means, s=28, marker=marker, lw=1.0, color=COLOURS[solver], facecolors=face, label=f"{solver}, {special}")
        return
    style, marker = STYLES[schedule]
    own = model == MODEL
    bars = [[one["mean"] - one["low"] for one in figures], [one["high"] - one["mean"] for one in figures]]
    ax.errorbar(
        x, means, yerr=np.clip(bars, 0, None), ls=style, marker=marker, elinewidth=0.8,
        color=COLOURS[solver] if own else BOLD[others.index(model) % len(BOLD)], zorder=2 if own else 3,
        ms=4 if own else 6, lw=1.2 if own else 3.0, label=f"{solver}, {schedule}" if own else f"{model}, {schedule}",
    )  # fmt: skip


def _autoregression(ax: Axes, result: Result, space: str) -> None:
    model, told = Path(result["cell"]["model"]).name, distance(result, space)["mean"]
    ax.axhline(told, color="#7f7f7f", lw=1.5, ls="--", label=f"{model}: {result['evaluations']:.0f} short evaluations")


def _save(figure: Figure, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, metadata={"Software": "counterpoint"})
    plt.close(figure)


def write(folder: Path, n: int, machine: str, markdown: Path | None, figure: Path | None) -> None:
    """Print the tables of n clips; write the page and the figure where asked."""
    results = read(folder, n)
    for conditions in CONDITIONS:
        print(f"\n{n} clips, {conditions}\n\n{table(results, conditions)}")
    if figure is not None:
        draw(results, figure)
    if markdown is not None:
        write_text(markdown, page(folder, machine, figure, markdown))
