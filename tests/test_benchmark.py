"""Figures of speed: every part has its own, a table and a picture are made of them, and scripts run at small size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from counterpoint import benchmark, runtime
from counterpoint.benchmark import Cell
from counterpoint.commands import bench, roofline

ROOT = Path(__file__).parent.parent
FOUND = {
    "machine": "a machine",
    "cores": 2,
    "torch": "2",
    "date": "2026-01-01",
    "load": 0.0,
    "cells": [
        {"part": "machine", "read": 30.0, "fp32": 100.0, "bf16": 200.0},
        {"part": "words", "seconds": 0.01},
        {"part": "codec", "speed": 5.0},
        {"part": "step", "model": "m", "dtype": "int8", "batch": 1, "median": 50.0, "read": 3e8, "rate": 50.0, "memory": 5e8},
        {"part": "peer", "model": "m", "dtype": "fp32", "batch": 1, "median": 5.0, "rate": 50.0, "memory": 2e9},
    ],
}


def test_the_table_has_steps_real_time_and_the_share_of_the_limit() -> None:
    lines = bench.table(FOUND).splitlines()
    ours = next(line for line in lines if line.startswith("m "))
    assert ours.split() == ["m", "int8", "1", "50.0", "1.00", "50", "%", "0.50"]
    theirs = next(line for line in lines if line.startswith("transformers"))
    assert theirs.split() == ["transformers", "fp32", "1", "5.0", "0.10", "2.00"]


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert roofline.draw(FOUND, tmp_path / "roof.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_a_step_has_its_figures(dtype: str, tiny_model: Path) -> None:
    found = benchmark.step(Cell("step", str(tiny_model), dtype, seconds=1.0))
    assert found["seconds"] > 0 and found["memory"] > 1e7


def test_a_cell_is_measured_in_a_process_of_its_own_and_fails_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"^step of nowhere as fp32 could not be measured \(.*no model 'nowhere'"):
        benchmark.measure(Cell("step", "nowhere", "fp32"))


def test_the_grid_runs_at_small_size() -> None:
    pytest.importorskip("transformers", reason="needs the extra 'text'")
    words = [sys.executable, str(ROOT / "benchmarks" / "grid.py"), "--device", "cpu", "--small", "--versus", "transformers"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["network"] for row in rows] == ["ar", "flow", "transformers"] and all(row["took"] > 0 for row in rows)


def test_what_the_processor_lacks_is_left_out_or_refused_before_anything_is_measured(monkeypatch) -> None:
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda place: False)
    cells = bench._cells("musicgen-small", None, "1", 1.0, "transformers", False, 0, "wall")
    assert [(cell.part, cell.dtype) for cell in cells if cell.part in ("step", "peer")] == [
        ("step", "fp32"), ("step", "int8"), ("step", "int4"), ("peer", "fp32"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no instructions for bf16"):
        bench._cells("musicgen-small", "bf16", "1", 1.0, None, False, 0, "wall")
