"""`counterpoint bench`: how fast this machine makes music, and how fast it could."""

import json
import os
import platform
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from counterpoint.commands.terminal import progress, say

if TYPE_CHECKING:
    from counterpoint.benchmark import Cell


def bench(
    model: str = "musicgen-small",
    /,
    *,
    dtypes: str | None = None,
    batches: str = "1",
    seconds: float = 4.0,
    versus: Literal["transformers"] | None = None,
    compile: Annotated[bool, Parameter(negative="no-compile")] = True,
    threads: int = 0,
    clock: Literal["wall", "cpu"] = "wall",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    picture: Path | None = None,
) -> None:
    """Measure how fast a model makes music here, beside what the machine's memory and products allow.

    Parameters
    ----------
    model
        musicgen-small or jasco-small (the paper's sizes with random weights), a shipped model, or a folder.
    dtypes
        Of the weights, with commas between; by default fp32, bf16 where it is multiplied, int8 and int4.
    batches
        Items side by side, with commas between.
    seconds
        Length of the music.
    versus
        Measure transformers' network of the same size beside it, in fp32 and, where it is multiplied, bf16.
    compile
        Whether the step is compiled.
    threads
        0: as many as there are cores.
    clock
        cpu counts the seconds of one thread, for a machine where others work; take --threads 1.
    output
        A JSON file to write, too.
    picture
        A picture to draw: steps a second under the line of the memory's speed.
    """
    from counterpoint import benchmark
    from counterpoint.files import write_text

    if clock == "cpu" and threads != 1:
        raise ValueError("The processor's seconds are those of one thread; take --threads 1 with --clock cpu.")
    cells = _cells(model, dtypes, batches, seconds, versus, compile, threads, clock)
    rows: list[dict[str, Any]] = []
    with progress("measuring", True) as bar:
        for i, cell in enumerate(cells):
            rows.append({**vars(cell), "cell_seconds": cell.seconds, **benchmark.measure(cell)})
            if bar is not None:
                bar(i + 1, len(cells))
    found = {**_machine(), "cells": rows}
    say(table(found))
    if output is not None:
        write_text(output, json.dumps(found, indent=1) + "\n")
    if picture is not None:
        from counterpoint.commands.roofline import draw

        say(f"{draw(found, picture)}: steps a second under the memory's speed")


def _cells(
    model: str,
    dtypes: str | None,
    batches: str,
    seconds: float,
    versus: str | None,
    compile: bool,
    threads: int,
    clock: Literal["wall", "cpu"],
) -> "list[Cell]":
    """All cells, checked before any is measured."""
    from counterpoint import benchmark, runtime
    from counterpoint.nn.compact import FLOATS

    place = runtime.place("cpu")
    able = [name for name in ("fp32", "bf16", "int8", "int4") if name != "bf16" or runtime.multiplies_bf16(place)]
    names, sizes = able if dtypes is None else dtypes.split(","), batches.split(",")
    if not all(size.isdigit() and 0 < int(size) <= 256 for size in sizes):
        raise ValueError(f"Batches are whole numbers from 1 to 256 with commas between, not {batches!r}.")
    for name in names:
        runtime.check(name, place, compile)
    if versus is not None and model != "musicgen-small":
        raise ValueError(f"transformers has no network like {model}; measure musicgen-small, or leave --versus out.")
    base = benchmark.Cell("machine", model, "fp32", compile, 1, seconds, threads, clock=clock)
    counts = [int(size) for size in sizes]
    cells = [base, replace(base, part="words"), replace(base, part="codec")]
    cells += [replace(base, part="step", dtype=name, batch=count) for count in counts for name in names]
    if versus is not None:
        cells.append(replace(base, part="peer_codec"))
        cells += [replace(base, part="peer", dtype=name, batch=count) for count in counts for name in able if name in FLOATS]
    if clock == "wall":
        cells.append(replace(base, part="listen", dtype=names[-1]))
    return cells


def _machine() -> dict[str, Any]:
    import torch

    names = [line.split(":", 1)[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "machine": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "date": date.today().isoformat(),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def table(found: dict[str, Any]) -> str:
    """All rows as text.  The limit of a step is the memory's speed over the bytes that it reads."""
    parts = ("machine", "words", "codec", "step", "peer")
    rows = {part: [row for row in found["cells"] if row["part"] == part] for part in parts}
    speed = rows["machine"][0]
    lines = [
        f"{found['machine']}, {found['cores']} cores, torch {found['torch']}, {found['date']}, load {found['load']}",
        f"memory {speed['read']:.1f} GB/s, products {speed['fp32']:.0f} Gflop/s in fp32, {speed['bf16']:.0f} in bf16",
        f"words {1000 * rows['words'][0]['seconds']:.1f} ms   codec {rows['codec'][0]['speed']:.1f} x real time",
        f"{'network':<14} {'dtype':>5} {'batch':>5} {'steps/s':>8} {'x real time':>11} {'of limit':>8} {'peak GB':>8}",
    ]
    for row in [*rows["step"], *rows["peer"]]:
        name = row["model"] if row["part"] == "step" else "transformers"
        steps, share = row.get("median"), ""
        if "read" in row and steps:
            share = f"{100 * steps * row['read'] / (speed['read'] * 1e9):.0f} %"
        times = row["batch"] * (steps / row["rate"] if steps else row["cell_seconds"] / row["seconds"])
        shown = f"{steps:8.1f}" if steps else f"{'':>8}"
        lead = f"{name:<14} {row['dtype']:>5} {row['batch']:5d} {shown}"
        lines.append(f"{lead} {times:11.2f} {share:>8} {row['memory'] / 1e9:8.2f}")
    for row in [row for row in found["cells"] if row["part"] == "peer_codec"]:
        lines.append(f"transformers' codec {row['speed']:.1f} x real time")
    for row in [row for row in found["cells"] if row["part"] == "listen"]:
        whole = f"all of {row['cell_seconds']:g} s after {row['total']:.2f} s"
        lines.append(f"first audio after {row['first']:.2f} s as {row['dtype']}, {whole}")
    return "\n".join(lines)
