"""How runs learn, side by side: training and validation losses over steps, from the runs' own logs.

    python benchmarks/curves.py runs/musicgen-tiny runs/jasco-tiny -o docs/pair.png

Losses of different paradigms have different units (nats a token, squared error of a velocity), so each run's are divided by
its own first validation loss: what shows is how fast each one learns and where it levels off, not which one is better.
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

Array = NDArray[np.float64]
SMOOTH = 0.9  # share that the running mean of the training loss keeps from one line of the log to the next


def read(run: Path) -> tuple[Array, Array]:
    """(step, loss) of training, (step, loss) of validation.  Raises ValueError where there is no validation yet.

    A run that was killed has said some steps twice; the last word counts.
    """
    lines = [json.loads(line) for line in (run / "train" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    curves = [{line["step"]: line[name] for line in lines if name in line} for name in ("loss", "valid_loss")]
    if not curves[1]:
        raise ValueError(f"{run} has no validation loss yet; let it train on.")
    train, valid = (np.array(sorted(curve.items()), dtype=np.float64) for curve in curves)
    return train, valid


def smooth(losses: Array) -> Array:
    """A running mean, without the bias of its start."""
    total = mass = 0.0
    means = []
    for loss in losses:
        total, mass = SMOOTH * total + loss, SMOOTH * mass + 1
        means.append(total / mass)
    return np.array(means)


def draw(runs: list[Path], out: Path) -> None:
    """One colour a run: thin its training, thick its validation."""
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for i, run in enumerate(runs):
        train, valid = read(run)
        unit, colour = valid[0, 1], f"C{i}"
        ax.plot(train[:, 0], smooth(train[:, 1]) / unit, color=colour, lw=0.8, label=f"{run.name}, training")
        last = f"{valid[0, 1]:.3g} to {valid[-1, 1]:.3g}"
        ax.plot(
            valid[:, 0], valid[:, 1] / unit, color=colour, lw=2.5, marker="o", ms=4, label=f"{run.name}, validation ({last})"
        )
    ax.set_yscale("log")
    ax.set_yticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0], minor=False)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set_ylim(top=2.0)
    ax.set_xlabel("steps")
    ax.set_ylabel("loss / its first validation loss")
    ax.grid(color="#e6e6e6", lw=0.6)
    ax.legend(fontsize=8, frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110, metadata={"Software": "counterpoint"})
    plt.close(figure)


def main() -> None:
    """Draw the runs' curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    draw(args.runs, args.out)


if __name__ == "__main__":
    main()
