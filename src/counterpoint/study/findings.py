"""What a study has found so far: the results of each row, and the verdict on each claim, beside the paper's own numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoint.study import result
from counterpoint.study.design import Asked, Claim, Exhibit, Row, Statement, Study
from counterpoint.study.inference import Effect, Judgement, Region, Verdict, contrast, judge, together
from counterpoint.study.part import Workshop
from counterpoint.study.result import Result


@dataclass(frozen=True)
class Findings:
    """Results by "exhibit/row", one a seed; `files` are what their files say beside (commit, machine, seconds)."""

    study: Study
    asked: Asked
    exhibits: Sequence[Exhibit]
    results: Mapping[str, tuple[Result, ...]]
    files: Sequence[Mapping[str, Any]]
    judgements: Mapping[str, Judgement]
    """By "claim/number of its statement"."""

    def effect(self, exhibit: Exhibit, row: Row, figure: str) -> Effect | None:
        """A row's figure over its seeds, with its interval."""
        return contrast([(1.0, self.results.get(f"{exhibit.id}/{row.label}", ()))], figure)

    def paper(self, exhibit: str, label: str, figure: str) -> float:
        """The paper's own number; NaN where it has none."""
        told = self.study.paper.get(exhibit, {}).get("rows", {}).get(label, {}).get(figure)
        return math.nan if told is None else float(told)

    def paper_contrast(self, statement: Statement) -> float:
        """A statement's contrast of the paper's own numbers; NaN where one of them is missing."""
        rows = {f"{exhibit.id}/{row.label}": (exhibit.id, row.paper) for exhibit in self.exhibits for row in exhibit.rows}
        places = [(weight, rows.get(name, ("", ""))) for weight, name in statement.contrast]
        return sum(weight * self.paper(*place, statement.figure) for weight, place in places)

    def verdict(self, claim: Claim) -> Verdict:
        return together([self.judgements[f"{claim.id}/{i}"].verdict for i in range(len(claim.statements))])

    @property
    def claims(self) -> list[Claim]:
        """Those whose rows all belong to the exhibits that were asked for."""
        known = {f"{exhibit.id}/{row.label}" for exhibit in self.exhibits for row in exhibit.rows}
        return [claim for claim in self.study.claims if rows_of(claim) <= known]


def rows_of(claim: Claim) -> set[str]:
    """The rows that a claim speaks of, by "exhibit/label"."""
    return {name for statement in claim.statements for _, name in statement.contrast}


def gather(study: Study, asked: Asked, exhibits: Sequence[Exhibit], shop: Workshop) -> Findings:
    """All results that are there.  Raises ValueError where one was made by another recipe, or a claim names no row."""
    results: dict[str, tuple[Result, ...]] = {}
    files: dict[str, Mapping[str, Any]] = {}
    for exhibit in exhibits:
        for row in exhibit.rows:
            found = [told for cell in row.cells if (told := result.load(cell, shop)) is not None]
            results[f"{exhibit.id}/{row.label}"] = tuple(done for done, _ in found)
            files |= {done.name: content for done, content in found}
    findings = Findings(study, asked, exhibits, results, list(files.values()), {})
    statements = {f"{claim.id}/{i}": told for claim in findings.claims for i, told in enumerate(claim.statements)}
    effects: dict[str, tuple[Effect | None, Region, float]] = {
        name: (_effect(statement, results), statement.region, statement.margin) for name, statement in statements.items()
    }
    return Findings(study, asked, exhibits, results, list(files.values()), judge(effects))


def _effect(statement: Statement, results: Mapping[str, tuple[Result, ...]]) -> Effect | None:
    return contrast([(weight, results[name]) for weight, name in statement.contrast], statement.figure)
