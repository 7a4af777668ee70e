"""What a cell ends in: figures of so many clips, with what they were made by, as one JSON file."""

import json
import math
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import counterpoint
from counterpoint.files import write_text
from counterpoint.metrics.base import Score
from counterpoint.study.part import Part, Workshop, key, refuse_another


@dataclass(frozen=True)
class Figure:
    """A figure of a cell.  `items` are one value a clip where it is their mean, `drawn` the figure in resamples of the clips
    where it is none (`metrics.base.Score`)."""

    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 0
    better: str = "neither"
    items: tuple[float, ...] = ()
    drawn: tuple[float, ...] = ()
    reference: float = math.nan
    """What the reference itself scores."""


@dataclass(frozen=True)
class Result:
    """All that a cell says.  `ids` are the clips, in the order of a figure's items; `curves` are for pictures."""

    name: str
    figures: Mapping[str, Figure]
    ids: tuple[str, ...] = ()
    seed: int = 0
    made: str = ""
    """The folder of the clips, seen from the study's."""
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    protocol: Mapping[str, Any] = field(default_factory=dict)


def figure(score: Score) -> Figure:
    """A score as a figure."""
    told = (score.value, score.low, score.high, score.n, score.better, score.items, score.drawn)
    return Figure(*told, reference=score.ceiling)


def path(part: Part, shop: Workshop) -> Path:
    """Where a cell's result lies."""
    return shop.results / f"{part.name}.json"


def save(part: Part, result: Result, shop: Workshop, seconds: float) -> None:
    """Write a cell's result with what it depends on: key, recipe, commit, machine, and the seconds that it took."""
    about = {"key": key(part), "recipe": dict(part.recipe()), "counterpoint": counterpoint.__version__, "commit": commit()}
    about |= {"machine": machine(), "seconds": round(seconds, 2)}
    content = json.dumps({**_plain(asdict(result)), **about}, ensure_ascii=False)
    write_text(path(part, shop), content + "\n")


def load(part: Part, shop: Workshop) -> tuple[Result, dict[str, Any]] | None:
    """A cell's result, and all that its file says; None where it is not there.  Raises ValueError for another recipe's."""
    place = path(part, shop)
    if not place.is_file():
        return None
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        refuse_another(part, content, place)
        figures = {name: _figure(told) for name, told in content["figures"].items()}
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{place} is damaged ({error}); remove it, and call again.") from error
    curves = {name: tuple(curve) for name, curve in content["curves"].items()}
    parts = (content["name"], figures, tuple(content["ids"]), content["seed"], content["made"], curves)
    return Result(*parts, tuple(content["notes"]), content["protocol"]), content


def _figure(told: Mapping[str, Any]) -> Figure:
    def number(value: float | None) -> float:
        return math.nan if value is None else value

    lists = {name: tuple(number(value) for value in told[name]) for name in ("items", "drawn")}
    value, low, high, reference = (number(told[name]) for name in ("value", "low", "high", "reference"))
    return Figure(value, low, high, told["n"], told["better"], lists["items"], lists["drawn"], reference)


def _plain(value: Any) -> Any:
    """Plain values; numbers to six digits, and null for what is none."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value


@cache
def commit() -> str | None:
    """The commit of the code that runs, with a + where files have been changed since; None outside of a repository."""
    at = ["git", "-C", str(Path(__file__).parent)]
    try:
        told = [
            subprocess.run([*at, *asked], capture_output=True, text=True, check=True).stdout.strip()
            for asked in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    return told[0] + ("+" if told[1] else "")


@cache
def machine() -> str:
    """The processor's name as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
