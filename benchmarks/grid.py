"""Figures 5 and 6 of "Auto-Regressive vs Flow-Matching" on a GPU: how long autoregression with a cache and flow matching take.

    python benchmarks/grid.py --device cuda [--small] [--versus transformers] > grid.jsonl

Made for a GPU, and not yet run on one; `--small` runs all of its parts at a size for a CPU (tests/test_benchmark.py).
Networks of the paper's width with random weights, by depth, batch and seconds of music; flow matching with 10, 25, 50 and 200
Euler steps.  All are told words and guided, so that two rows are computed for each item.  A line for each cell: its settings,
the seconds that a whole canvas took (the faster of two tries, after one that does not count), and music a second; `null` where
memory did not suffice.  One axis is varied at a time, around 24 layers, a batch of 8 and 10 s.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from counterpoint import benchmark, runtime
from counterpoint.benchmark import PROMPT, SIZES
from counterpoint.machine import multiplies_bf16
from counterpoint.systems.jasco import Sampling
from counterpoint.types import Canvas, Spec

SPEC = Spec(rate=50.0, dim=128, levels=4, bins=2048)
STEPS = (10, 25, 50, 200)
AXES = {"depth": (2, 4, 8, 12, 24), "batch": (1, 4, 16, 64, 256), "seconds": (5, 10, 30, 60)}
MIDDLE = {"depth": 24, "batch": 8, "seconds": 10}
SMALL = {"depth": 2, "batch": 1, "seconds": 0.5}


def cells(small: bool) -> Iterator[dict[str, Any]]:
    """The settings of all cells, each once."""
    if small:
        yield SMALL
        return
    seen = []
    for axis, values in AXES.items():
        for value in values:
            cell = {**MIDDLE, axis: value}
            if cell not in seen:
                seen.append(cell)
                yield cell


def ours(kind: str, depth: int, width: int, device: torch.device) -> torch.nn.Module:
    """Autoregression or flow of that size, with random weights in bf16 where the device multiplies them."""
    config = SIZES["musicgen-small" if kind == "ar" else "jasco-small"][0]
    sizes = {"depth": depth, "width": width, "heads": max(1, width // 64)}
    config = config.model_copy(update={"backbone": config.backbone.model_copy(update=sizes), "window_seconds": 60.0})
    with torch.device("meta"):
        system = config.build(SPEC)
    benchmark.scatter(system, str(device))
    runtime.quicken(system.eval(), "bf16" if multiplies_bf16(device) else "fp32", device, compiled=device.type == "cuda")
    return system


def seconds_of(work: Callable[[], object], device: torch.device) -> float | None:
    """Of the faster of two tries, after one that does not count; None where memory does not suffice."""
    times = []
    try:
        for _ in range(3):
            started = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
    except torch.OutOfMemoryError:
        return None
    return min(times[1:])


def work_of(system: Any, batch: int, seconds: float, steps: int | None, device: torch.device) -> Callable[[], object]:
    """A whole canvas."""
    blank = Canvas.blank(batch, SPEC.frames(seconds), system.spec, system.view)
    canvas = Canvas(blank.frames.to(device), blank.given.to(device))
    sampling = None if steps is None else Sampling(steps=steps)
    return lambda: system.generate(canvas, {"text": [PROMPT] * batch}, list(range(batch)), sampling)


def theirs(cell: dict[str, Any], width: int, device: torch.device) -> Callable[[], object]:
    """The network of transformers for as many steps, without guidance and sampling."""
    sizes = {"depth": cell["depth"], "width": width, "heads": max(1, width // 64)}
    network = benchmark.transformers_network(SIZES["musicgen-small"][0].backbone.model_copy(update=sizes)).eval()
    network.to(device, torch.bfloat16 if device.type == "cuda" else None)
    rows, count = 2 * cell["batch"], SPEC.frames(cell["seconds"]) + 3
    return lambda: benchmark.write_theirs(network, rows, count, time.perf_counter)


def main() -> None:
    """Print a line for each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--versus", choices=["transformers"])
    asked = parser.parse_args()
    device, width = torch.device(asked.device), 64 if asked.small else 1024

    def tell(network: str, cell: dict[str, Any], took: float | None, steps: int | None = None) -> None:
        speed = None if took is None else cell["batch"] * cell["seconds"] / took
        row = {"network": network, **cell, "steps": steps, "took": took, "music_per_second": speed}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()

    for cell in cells(asked.small):
        autoregressive = ours("ar", cell["depth"], width, device)
        tell("ar", cell, seconds_of(work_of(autoregressive, cell["batch"], cell["seconds"], None, device), device))
        del autoregressive
        flow = ours("flow", cell["depth"], width, device)
        for steps in STEPS[:1] if asked.small else STEPS:
            tell("flow", cell, seconds_of(work_of(flow, cell["batch"], cell["seconds"], steps, device), device), steps)
        del flow
        if asked.versus:
            tell("transformers", cell, seconds_of(theirs(cell, width, device), device))


if __name__ == "__main__":
    main()
