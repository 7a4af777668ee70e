"""Means with bootstrap intervals, and tables of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterpoint.files import write_text

Figures = Mapping[str, float]
"""One clip's figures by name; NaN where a figure does not apply to the clip."""


def interval(values: Sequence[float], draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """Mean, bounds of its 95 % bootstrap interval, and the count of values that are not NaN."""
    told = np.asarray([v for v in values if not np.isnan(v)], dtype=np.float64)
    if not len(told):
        return {"mean": float("nan"), "low": float("nan"), "high": float("nan"), "n": 0}
    means = told[np.random.default_rng(seed).integers(len(told), size=(draws, len(told)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(told.mean()), "low": float(low), "high": float(high), "n": len(told)}


def summarise(clips: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Every figure's interval over the clips."""
    names = list(dict.fromkeys(name for clip in clips for name in clip))
    return {name: interval([clip.get(name, float("nan")) for clip in clips]) for name in names}


def table(rows: Mapping[str, Mapping[str, dict[str, float]]], first: str, bounds: bool = True) -> str:
    """A markdown table of summaries: one row each, one column a figure."""
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| {' | '.join([first, *columns])} |", f"|{'---|' * (len(columns) + 1)}"]
    for name, row in rows.items():
        lines.append(f"| {' | '.join([name, *(_cell(row.get(column), bounds) for column in columns)])} |")
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None, bounds: bool) -> str:
    if figure is None or not figure["n"]:
        return ""
    digits = 2 if abs(figure["mean"]) < 10 else 1
    text = f"{figure['mean']:.{digits}f}"
    return f"{text} ({figure['low']:.{digits}f} to {figure['high']:.{digits}f})" if bounds else text


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(content, indent=1) + "\n")
