"""What the answers say: means with honest intervals, paired differences, agreement, and who was left out by which rule."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from counterpoint.files import write_text
from counterpoint.listening import statistics
from counterpoint.listening.answers import read_answers
from counterpoint.listening.screening import Session, rules, screen, sessions, tests_of
from counterpoint.listening.study import REPORT, Key, Study, load_key, load_study

FEW_RATERS, FEW_ITEMS = 10, 5
"""With fewer, a bootstrap interval may be narrower than it says (benchmarks/listening_coverage.py)."""


@dataclass(frozen=True)
class Judgment:
    """A mark; `against` is the other system of a pair, of which the item is judged in as many ways as there are others."""

    rater: str
    item: str
    system: str
    question: str
    value: float
    against: str = ""


@dataclass(frozen=True)
class Line:
    """One system under one question: the mean, its two-way 95 % interval, the median; `n` counts judgments."""

    system: str
    question: str
    mean: float
    low: float
    high: float
    median: float
    n: int
    raters: int
    items: int


@dataclass(frozen=True)
class Difference:
    """`first` minus `second` where one rater judged both of one item; `n` counts such pairs.

    `delta` is Cliff's, of all judgments; `p_holm` is corrected for all pairs under the same question.
    """

    question: str
    first: str
    second: str
    mean: float
    low: float
    high: float
    delta: float
    p: float
    p_holm: float
    n: int


@dataclass(frozen=True)
class Report:
    """All figures of a test.  `rules` are in words, `removed` counts the raters that each is true of."""

    study: str
    kind: str
    raters: int
    kept: int
    withdrawn: int
    rules: dict[str, str]
    removed: dict[str, int]
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    agreement: dict[str, float]
    notes: tuple[str, ...]


def analyse(folder: Path, draws: int = statistics.DRAWS, seed: int = 0) -> Report:
    """The report of a test's folder.  Raises ValueError where nobody has answered, or nobody stays after screening."""
    study, key = load_study(folder), load_key(folder)
    known = read_answers(folder, study)
    everyone = sessions(known)
    if not any(session.answers for session in everyone):
        raise ValueError(f"{folder} has no answers yet; run counterpoint listen serve {folder}, and let people listen.")
    kept, removed = screen(everyone, study, key)
    told = {name: words for name, (words, _) in rules(key).items()}
    if not kept:
        why = ", ".join(f"{told[name]}: {count}" for name, count in removed.items() if count)
        raise ValueError(f"None of {len(everyone)} raters passes the screening ({why}); let more people listen.")
    judgments = [judgment for session in kept for judgment in _judgments(session, study, key)]
    names = [question.name for question in study.questions]
    lines = [_line(judgments, system, name, draws, seed) for name in names for system in key.systems]
    lines = [line for line in lines if line.n]
    notes = list(key.notes)
    if known.torn:
        notes.append(f"{known.torn} lines of the answers could not be read and are left out.")
    items = {judgment.item for judgment in judgments}
    if len(kept) < FEW_RATERS or len(items) < FEW_ITEMS:
        notes.append(f"{len(kept)} raters and {len(items)} items are few: the intervals may be narrower than they say.")
    return Report(
        study=study.study,
        kind=study.kind,
        raters=len(everyone),
        kept=len(kept),
        withdrawn=len(known.withdrawn),
        rules=told,
        removed=removed,
        lines=tuple(lines),
        differences=tuple(row for name in names for row in _differences(judgments, key.systems, name, draws, seed)),
        agreement={name: _agreement(judgments, name) for name in names},
        notes=tuple(notes),
    )


def _judgments(session: Session, study: Study, key: Key) -> list[Judgment]:
    """Marks of a rater.  Preferences become 1 for the better, 0 for the worse, and a half for both where they are equal."""
    result = []
    scale = 0.5 if study.kind == "ab" else 1.0
    for answer in tests_of(session, key):
        for clip, marks in answer.marks.items():
            origin = key.clips[clip]
            others = [key.clips[other].system for other in answer.marks if other != clip]
            against = others[0] if study.kind == "ab" else ""
            result += [
                Judgment(session.rater, origin.item, origin.system, name, scale * mark, against) for name, mark in marks.items()
            ]
    return result


def grid(judgments: Sequence[Judgment], raters: Sequence[str], items: Sequence[str]) -> Float[ndarray, "raters items"]:
    """Judgments by rater and item, several of one cell as their mean; NaN where there is none."""
    total, count = np.zeros((len(raters), len(items))), np.zeros((len(raters), len(items)))
    row, column = {name: i for i, name in enumerate(raters)}, {name: i for i, name in enumerate(items)}
    for judgment in judgments:
        place = row[judgment.rater], column[judgment.item]
        total[place] += judgment.value
        count[place] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _sides(judgments: Sequence[Judgment]) -> tuple[list[str], list[str]]:
    return sorted({judgment.rater for judgment in judgments}), sorted({judgment.item for judgment in judgments})


def _line(judgments: Sequence[Judgment], system: str, question: str, draws: int, seed: int) -> Line:
    own = [judgment for judgment in judgments if judgment.system == system and judgment.question == question]
    if not own:
        return Line(system, question, math.nan, math.nan, math.nan, math.nan, 0, 0, 0)
    values = grid(own, *_sides(own))
    low, high = statistics.two_way(values, draws, seed)
    raters, items = values.shape
    median = float(np.median([judgment.value for judgment in own]))
    return Line(system, question, float(np.nanmean(values)), low, high, median, len(own), raters, items)


def _differences(
    judgments: Sequence[Judgment], systems: Sequence[str], question: str, draws: int, seed: int
) -> list[Difference]:
    asked = [judgment for judgment in judgments if judgment.question == question]
    rows = [_difference(asked, question, *pair, draws, seed) for pair in combinations(systems, 2)]
    rows = [row for row in rows if row.n]
    adjusted = statistics.holm(np.array([row.p for row in rows], dtype=np.float64))
    return [Difference(**{**asdict(row), "p_holm": float(p)}) for row, p in zip(rows, adjusted, strict=True)]


def _difference(asked: Sequence[Judgment], question: str, first: str, second: str, draws: int, seed: int) -> Difference:
    """Of a preference test, only what the two got against each other."""
    one = [judgment for judgment in asked if judgment.system == first and judgment.against in ("", second)]
    two = [judgment for judgment in asked if judgment.system == second and judgment.against in ("", first)]
    sides = _sides([*one, *two])
    apart = grid(one, *sides) - grid(two, *sides)
    n = int(np.count_nonzero(~np.isnan(apart)))
    if not n:
        return Difference(question, first, second, *(math.nan,) * 6, n=0)
    low, high = statistics.two_way(apart, draws, seed)
    delta = statistics.cliffs_delta(np.array([j.value for j in one]), np.array([j.value for j in two]))
    p = statistics.two_sided(apart, draws, seed)
    return Difference(question, first, second, float(np.nanmean(apart)), low, high, delta, p, math.nan, n)


def _agreement(judgments: Sequence[Judgment], question: str) -> float:
    """Krippendorff's alpha over everything that was judged: a system's version of an item (against another system's)."""
    asked = [judgment for judgment in judgments if judgment.question == question]
    raters, _ = _sides(asked)
    units = sorted({(judgment.item, judgment.system, judgment.against) for judgment in asked})
    row, column = {name: i for i, name in enumerate(raters)}, {unit: i for i, unit in enumerate(units)}
    values = np.full((len(raters), len(units)), np.nan)
    for judgment in asked:
        values[row[judgment.rater], column[judgment.item, judgment.system, judgment.against]] = judgment.value
    return statistics.krippendorff_alpha(values)


def save(report: Report, folder: Path) -> Path:
    """Write report.json into the test's folder; figures that cannot be told are null."""
    path = folder / REPORT
    write_text(path, json.dumps(_told(asdict(report)), indent=1) + "\n")
    return path


def _told(value: object) -> object:
    if isinstance(value, dict):
        return {name: _told(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_told(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
