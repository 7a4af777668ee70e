"""What an evaluation ends in: scores and the protocol under which they hold, as report.json and as a table."""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

import counterpoint
from counterpoint.files import write_text
from counterpoint.metrics.base import Score

ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}


@dataclass(frozen=True)
class Report:
    """All that an evaluation says.  `protocol` is what two reports must share for their numbers to compare."""

    made: Mapping[str, Any]
    reference: Mapping[str, Any] | None
    protocol: Mapping[str, Any]
    scores: tuple[Score, ...]
    warnings: tuple[str, ...] = ()

    @property
    def protocol_id(self) -> str:
        """The start of SHA-256 of the protocol."""
        return hashlib.sha256(json.dumps(self.protocol, sort_keys=True).encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a number that is none is null."""
        return {
            "counterpoint": counterpoint.__version__,
            "protocol_id": self.protocol_id,
            "protocol": dict(self.protocol),
            "made": dict(self.made),
            "reference": None if self.reference is None else dict(self.reference),
            "scores": [
                {name: _plain(value) for name, value in asdict(score).items() if name not in ("items", "drawn")}
                for score in self.scores
            ],
            "warnings": list(self.warnings),
        }

    def save(self, path: Path) -> Path:
        """Write report.json, whole or not at all."""
        write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        return path

    def table(self) -> Group:
        """The scores as a Rich table, and below it what must be known to read them."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        table.add_column("metric", no_wrap=True)
        for name in ("value", "95 % interval", "chance", "reference", "n"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("notes", style="dim")
        notes: list[str] = []
        for score in self.scores:
            name = f"{score.name} {ARROWS[score.better]} {score.unit}".rstrip()
            interval = f"{_number(score.low)} … {_number(score.high)}" if math.isfinite(score.low) else "-"
            numbers = (_number(score.value), interval, _number(score.floor), _number(score.ceiling), str(score.n or "-"))
            table.add_row(name, *numbers, ",".join(_mark(note, notes) for note in score.notes))
        lines = [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return Group(table, *(Text(line) for line in [*lines, f"protocol {self.protocol_id}"]))


def _mark(note: str, notes: list[str]) -> str:
    if note not in notes:
        notes.append(note)
    return str(notes.index(note) + 1)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return list(value) if isinstance(value, tuple) else value


def _number(value: float) -> str:
    """Three digits after the leading ones."""
    if not math.isfinite(value):
        return "-"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:.{digits}f}"


def render(report: Report, width: int | None = None) -> str:
    """The table as text."""
    table = report.table()
    console = Console(width=width or 500, record=True, file=io.StringIO())
    if width is None:  # no column is ever left out: a narrow terminal breaks lines
        natural = console.measure(table.renderables[0]).maximum
        console.width = max(min(natural, 200), min(get_terminal_size().columns, 120))
    console.print(table)
    return console.export_text()


def read(path: Path) -> dict[str, Any]:
    """A report that `save` wrote.  Raises ValueError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} cannot be read as a report ({error}); give a report.json that evaluate has written."
        ) from error
