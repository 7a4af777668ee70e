"""How much does a distance depend on the number of clips?  Gaussians of 128 dimensions whose true distances are known.

    python benchmarks/metric_bias.py --markdown benchmarks/results/metric_bias.md

Made clips are of N(shift, I), the reference is N(0, I): the Frechet distance is 128 shift^2, the kernel distance follows from
the mean of a Gaussian kernel.  A clip is one frame.  Frechet distances are to the exact statistics of the reference, kernel
distances to 2000 clips of it; `replaced` extrapolates as `frechet_inf` does, but from bootstrap samples, as fadtk does.
"""

import argparse
import math
import time
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.files import write_text
from counterpoint.metrics import frechet, kernel
from counterpoint.metrics.gaussian import Gaussian, Sums, distances
from counterpoint.metrics.reference import Reference

DIM = 128
CLIPS = (150, 300, 600, 1200, 2500, 5000)
TRUTHS = (0.0, 1.6)
REAL = 2000  # clips of the reference, for the kernel
REPEATS = 3
Array = NDArray[np.float64]


def clips(seed: int, count: int, shift: float) -> Array:
    """Clips of one frame: "n 1 d"."""
    return np.random.default_rng(seed).normal(size=(count, 1, DIM)) + shift


def replaced(made: Array, exact: Gaussian, seed: int) -> float:
    """The intercept of distances of bootstrap samples on 1/n."""
    gen, total = np.random.default_rng(seed), len(made)
    sizes = np.linspace(total // 2, total, frechet.POINTS).round().astype(int)
    counts = np.stack([np.bincount(gen.integers(total, size=n), minlength=total).astype(np.float64) for n in sizes])
    apart = np.concatenate([distances(stack, exact) for stack in Sums(made).gaussians(counts)])
    return float(np.polyfit(1 / sizes, apart, 1)[1])


def kernel_truth(shift: float, width: float) -> float:
    """100 times the squared discrepancy of N(shift, I) and N(0, I)."""
    alike = (width**2 / (width**2 + 2)) ** (DIM / 2)
    return 200 * alike * (1 - math.exp(-DIM * shift**2 / (2 * (width**2 + 2))))


def row(count: int, truth: float) -> dict[str, Array]:
    """Each metric's figures over `REPEATS` draws of so many clips, and what KAD should say."""
    shift, figures = math.sqrt(truth / DIM), {"plain": [], "inf": [], "replaced": [], "kad": [], "true": []}
    exact = Reference(Gaussian(np.zeros(DIM), np.eye(DIM)), 10**9, 10**9, "", 0, 0.0, math.nan)
    for repeat in range(REPEATS):
        made, real = clips(repeat, count, shift), clips(1000 + repeat, REAL, 0.0)
        width = kernel.bandwidth(list(real))
        figures["plain"].append(frechet.frechet(list(made), exact, draws=2).value)
        figures["inf"].append(frechet.frechet_inf(list(made), exact, draws=2).value)
        figures["replaced"].append(replaced(made, exact.statistics, repeat))
        figures["kad"].append(kernel.kad(list(made), list(real), width=width, draws=2)[0].value)
        figures["true"].append(kernel_truth(shift, width))
    return {name: np.array(values) for name, values in figures.items()}


def cell(values: Array) -> str:
    """Mean and standard deviation over the draws."""
    return "too few" if np.isnan(values).any() else f"{values.mean():.2f} ± {values.std(ddof=1):.2f}"


def main() -> None:
    """Print the table, and write it where told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path)
    told, began = parser.parse_args(), time.perf_counter()
    lines = [
        "# How much does a distance depend on the number of clips?",
        "",
        f"`python benchmarks/metric_bias.py --markdown FILE`, {date.today()}. Gaussians of {DIM} dimensions, one frame a clip;",
        f"mean and standard deviation over {REPEATS} draws. Frechet distances to exact statistics, KAD to {REAL} clips of the",
        "reference. `replaced` extrapolates from bootstrap samples: the bias stays. What is too few has no figure.",
        "",
        "| true FD | clips | FD | FAD-inf | FAD-inf, replaced | true KAD | KAD |",
        "|---|---|---|---|---|---|---|",
    ]
    for truth in TRUTHS:
        for count in CLIPS:
            made = row(count, truth)
            shown = [cell(made[name]) for name in ("plain", "inf", "replaced")]
            figures = [f"{truth:g}", str(count), *shown, f"{made['true'].mean():.3f}", cell(made["kad"])]
            lines.append(f"| {' | '.join(figures)} |")
            print(lines[-1], f"({time.perf_counter() - began:.0f} s)", flush=True)
    if told.markdown:
        write_text(told.markdown, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
