"""A picture of what `counterpoint bench` has measured: speed over the bytes that a step reads, under the memory's own line."""

from pathlib import Path
from typing import Any


def draw(found: dict[str, Any], path: Path) -> Path:
    """Steps a second of every cell over the gigabytes that its step reads; returns the path.  Raises ValueError."""
    from counterpoint.analysis.picture import require_matplotlib

    require_matplotlib()
    from matplotlib.figure import Figure

    read = next(row["read"] for row in found["cells"] if row["part"] == "machine")
    steps = [row for row in found["cells"] if row["part"] == "step" and "median" in row]
    if not steps:
        raise ValueError("There are no steps of autoregression to draw; measure such a model, or leave --picture out.")
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    sizes = [row["read"] / 1e9 for row in steps]
    ends = [0.8 * min(sizes), 1.25 * max(sizes)]
    axes.loglog(ends, [read / size for size in ends], color="0.5", label=f"the memory's {read:.0f} GB/s")
    for batch in sorted({row["batch"] for row in steps}):
        own = [row for row in steps if row["batch"] == batch]
        axes.loglog([row["read"] / 1e9 for row in own], [row["median"] for row in own], "o", label=f"batch {batch}")
    for row, size in zip(steps, sizes, strict=True):
        axes.annotate(row["dtype"], (size, row["median"]), xytext=(4, 4), textcoords="offset points")
    axes.axhline(steps[0]["rate"], color="0.8", linestyle="--", label="real time")
    axes.set_xlabel("GB that a step reads")
    axes.set_ylabel("steps a second")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
