"""How a study is written down: scales, exhibits of rows and columns, and claims over the same rows.

A study is a file `study.py` that defines STUDY, and beside it `paper.toml` with the paper's own numbers:

    [table-2]
    where = "Table 2, section 5.1"
    [table-2.rows]
    "25 AR" = { fad = 0.40, clap = 0.41 }
"""

import difflib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import counterpoint
from counterpoint import config as settings
from counterpoint.study.inference import Region
from counterpoint.study.part import Part


@dataclass(frozen=True)
class Row:
    """One row of a table: its label, a cell for each seed, and the row of the paper's table that it stands beside."""

    label: str
    cells: tuple[Part, ...]
    paper: str = ""


@dataclass(frozen=True)
class Column:
    """A figure of the cells, by its name and as a heading; "lower" or "higher" is better."""

    figure: str
    heading: str
    better: str = ""


@dataclass(frozen=True)
class Picture:
    """Lines over rows: each a label with its rows' labels, at the places `x`; without these, the curves of cells themselves."""

    title: str
    x_label: str
    y_label: str
    figure: str
    lines: Mapping[str, tuple[str, ...]]
    x: tuple[float, ...] = ()
    logarithmic: bool = False


@dataclass(frozen=True)
class Statement:
    """A contrast of rows' figures, claimed to lie `region` (see `inference.Region`) by `margin`.

    Rows are named by exhibit and label: ((1, "table-2/25 AR"), (-1, "table-2/25 FM")).
    """

    text: str
    contrast: tuple[tuple[float, str], ...]
    figure: str
    region: Region
    margin: float = 0.0


@dataclass(frozen=True)
class Claim:
    """A take-away of the paper: what it says, where, and the statements that it comes down to."""

    id: str
    text: str
    where: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper; `about` is what a reader must know."""

    id: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    pictures: tuple[Picture, ...] = ()
    about: str = ""
    players: int = 0
    """Clips of each row that the report lets hear."""
    also: tuple[str, ...] = ()
    """Other names of the same, such as that of a table with a figure's numbers."""

    def row(self, label: str) -> Row:
        """The row of that label."""
        return next(row for row in self.rows if row.label == label)

    @property
    def cells(self) -> list[Part]:
        return [cell for row in self.rows for cell in row.cells]


@dataclass(frozen=True)
class Asked:
    """What a study is asked for: how large, with how many seeds (None: the scale's own), on whose music, by which ears."""

    scale: str
    seeds: int | None = None
    data: Path | None = None
    fad: str = "logmel"
    clap: str = "ear-tiny"
    aesthetics: str = ""


@dataclass(frozen=True)
class Scale:
    """How large a study is: FLOP/s of one worker, workers, and what a reader should know."""

    flops: float
    workers: int
    about: str


@dataclass(frozen=True)
class Study:
    """A paper at every scale: `exhibits` writes them down for what is asked; `paper` are its own numbers (`read_paper`)."""

    name: str
    title: str
    source: str
    scales: Mapping[str, Scale]
    exhibits: Callable[[Asked], Sequence[Exhibit]]
    claims: tuple[Claim, ...] = ()
    paper: Mapping[str, Any] = field(default_factory=dict)

    def scale(self, name: str) -> Scale:
        """Raises ValueError for a scale that it does not have."""
        if name not in self.scales:
            raise ValueError(f"{self.name} has no scale {name!r}; known are {', '.join(self.scales)}.")
        return self.scales[name]


STUDY, PAPER, CLAIMS = "study.py", "paper.toml", "claims.toml"


def folders() -> list[Path]:
    """Where studies are: in the folder at hand, and in the repository that this code lies in."""
    return list(
        dict.fromkeys(place.resolve() for place in (Path("studies"), Path(counterpoint.__file__).parents[2] / "studies"))
    )


def find(name: str) -> Study:
    """A study by its name, or by its folder.  Its file is Python, which is run, and may import what lies beside it (`from .x`).

    Raises ValueError.
    """
    folder = next((place for place in (*(at / name for at in folders()), Path(name)) if (place / STUDY).is_file()), None)
    if folder is None:
        known = sorted({path.parent.name for at in folders() for path in at.glob(f"*/{STUDY}")})
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}; or give a folder with {STUDY}."
        raise ValueError(f"There is no study {name!r}; {hint}")
    name = f"study_{folder.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, folder / STUDY, submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that it may import what lies beside it
    spec.loader.exec_module(module)
    study = vars(module).get("STUDY")
    if not isinstance(study, Study):
        raise ValueError(f"{folder / STUDY} defines no STUDY; write STUDY = Study(...) in it.")
    return study


def read_paper(beside: str) -> dict[str, Any]:
    """The paper.toml beside a study's file.  Raises ValueError."""
    return settings.read(Path(beside).parent / PAPER)


def read_claims(beside: str) -> tuple[Claim, ...]:
    """The claims.toml beside a study's file: a table [[claim]] each, with "id", "text", "where", and [[claim.statement]]s.

    A statement has "text", "figure", "region", perhaps a "margin", and a table "contrast" of rows and their weights, such as
    "table-2/25 AR" = 1, which are divided by "over" where that is there.
    Raises ValueError.
    """
    place = Path(beside).parent / CLAIMS
    try:
        return tuple(_claim(told) for told in settings.read(place).get("claim", []))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{place}: a claim lacks or misspells {error}; see the other claims.") from error


def _claim(told: Mapping[str, Any]) -> Claim:
    statements = tuple(
        Statement(
            one["text"],
            tuple((weight / one.get("over", 1), row) for row, weight in one["contrast"].items()),
            one["figure"],
            one["region"],
            float(one.get("margin", 0.0)),
        )
        for one in told["statement"]
    )
    return Claim(told["id"], told["text"], told["where"], statements)


def choose(exhibits: Sequence[Exhibit], names: Sequence[str]) -> list[Exhibit]:
    """The exhibits of these names, all where none is named.  Raises ValueError."""
    known = {name: exhibit for exhibit in exhibits for name in (exhibit.id, *exhibit.also)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
            raise ValueError(f"There is no exhibit {name!r}; {hint}")
    return list({known[name].id: known[name] for name in names}.values()) or list(exhibits)
