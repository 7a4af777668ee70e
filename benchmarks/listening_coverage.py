"""How often do 95 % intervals of a listening test hold the truth?  25 raters, 10 items, spreads as in published tests.

    python benchmarks/listening_coverage.py --runs 2000 -o benchmarks/results/listening_coverage.md

Each run draws raters (spread 0.8), items (0.6) and single judgments (0.9) around a known mean and asks three intervals whether
they hold it; and, of two systems that share raters and items but not how an item suits each (0.4), whether they hold the
difference.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from counterpoint.files import write_text
from counterpoint.listening.statistics import two_way

RATER, ITEM, REST, SUITS = 0.8, 0.6, 0.9, 0.4
TRUTH, APART = 6.0, 0.5
STUDENT = {9: 2.2622, 24: 2.0639, 249: 1.9695}
"""The 97.5 % point of Student's t by degrees of freedom."""

Interval = tuple[float, float]


def student(values: np.ndarray) -> Interval:
    """The t interval of values that are taken to be independent."""
    degrees = len(values) - 1
    point = STUDENT.get(degrees, 1.96 + 2.4 / degrees)
    half = point * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def intervals(draws: int) -> dict[str, Callable[[np.ndarray, int], Interval]]:
    """By name, of a grid of raters and items and a seed."""
    return {
        "pooled t": lambda grid, seed: student(grid.ravel()),
        "t of rater means": lambda grid, seed: student(grid.mean(1)),
        "two-way bootstrap": lambda grid, seed: two_way(grid, draws, seed),
    }


def simulate(generator: np.random.Generator, raters: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Two systems' judgments by the same raters of the same items."""
    rater, item = generator.normal(0, RATER, (raters, 1)), generator.normal(0, ITEM, (1, items))
    shared = TRUTH + rater + item
    first = shared + generator.normal(0, REST, (raters, items))
    second = shared + APART + generator.normal(0, SUITS, (1, items)) + generator.normal(0, REST, (raters, items))
    return first, second


def measure(runs: int, raters: int, items: int, draws: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Coverage and mean half-width of every interval, for a system's mean and for a difference."""
    generator = np.random.default_rng(0)
    found: dict[str, dict[str, list[tuple[bool, float]]]] = {}
    for seed in range(runs):
        first, second = simulate(generator, raters, items)
        for what, grid, truth in (("mean", first, TRUTH), ("difference", second - first, APART)):
            for name, interval in intervals(draws).items():
                low, high = interval(grid, seed)
                found.setdefault(what, {}).setdefault(name, []).append((low <= truth <= high, (high - low) / 2))
    return {
        what: {name: (float(np.mean([i for i, _ in rows])), float(np.mean([h for _, h in rows]))) for name, rows in by.items()}
        for what, by in found.items()
    }


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    lines = [
        "# Intervals of listening tests: how often they hold the truth",
        "",
        f"`python benchmarks/listening_coverage.py --runs {asked.runs} --draws {asked.draws}`; each figure is +-"
        f"{196 * np.sqrt(0.25 / asked.runs):.1f} points at most. Aim: 95 %.",
        "",
        "| raters x items | interval | of a mean: holds it | half-width | of a difference: holds it | half-width |",
        "|---|---|---|---|---|---|",
    ]
    for raters, items in ((25, 10), (10, 10), (10, 5), (50, 20)):
        told = measure(asked.runs, raters, items, asked.draws)
        for name in intervals(asked.draws):
            cells = [f"{100 * told[what][name][0]:.0f} % | {told[what][name][1]:.2f}" for what in ("mean", "difference")]
            lines.append(f"| {raters} x {items} | {name} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if asked.output:
        write_text(asked.output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
