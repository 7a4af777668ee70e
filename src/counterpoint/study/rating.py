"""A listening test of what cells have made, and, when people have answered, what they say of each (the paper's table 5)."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from counterpoint import audio as sound
from counterpoint.files import write_text
from counterpoint.listening.build import Wanted, build
from counterpoint.listening.report import analyse
from counterpoint.listening.study import ANSWERS, REFERENCE
from counterpoint.study import result
from counterpoint.study.part import Part, Workshop, claim
from counterpoint.study.result import Figure, Result
from counterpoint.study.taken import Held, Taken


@dataclass(frozen=True)
class ListeningTest(Part):
    """A test of the first `items` clips of some cells, by the names of their systems, and of the recordings."""

    systems: tuple[tuple[str, Taken], ...]
    held: Held
    items: int = 12

    def needs(self) -> tuple[Part, ...]:
        return (*(cell for _, cell in self.systems), self.held.frames)

    def recipe(self) -> Mapping[str, Any]:
        return {"systems": [name for name, _ in self.systems], "items": self.items, "held": self.held.plain()}

    def test(self, shop: Workshop) -> Path:
        """The folder that `counterpoint listen serve` serves."""
        return shop.place(self) / "test"

    def done(self, shop: Workshop) -> bool:
        return self.test(shop).is_dir()

    def make(self, shop: Workshop) -> None:
        folder, first = claim(self, shop), self.systems[0][1]
        found = result.load(first, shop)
        assert found is not None, "its cells are made before"
        ids = found[0].ids[: self.items]
        for name, cell in self.systems:
            for clip in ids:
                target = folder / "clips" / name / f"{clip}.flac"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(shop.place(cell) / "made" / f"{clip}.flac", target)
        for member in self.held.real(shop, ids).members:
            audio, rate = sound.read(member.path, self.held.seconds, member.offset)
            sound.write(folder / "clips" / REFERENCE / f"{member.id}.flac", audio, rate)
        spans = json.loads((shop.place(first) / "spans.json").read_text(encoding="utf-8"))
        write_text(folder / "spans.json", json.dumps({clip: spans[clip] for clip in ids}) + "\n")
        runs = [folder / "clips" / name for name, _ in self.systems]
        build(runs, self.test(shop), folder / "clips" / REFERENCE, folder / "spans.json", Wanted(title="Filled-in music"))

    def seconds(self, flops: float) -> float:
        return 10 + self.items * len(self.systems)

    def answers(self, shop: Workshop) -> str:
        """A digest of what people have answered; empty where nobody has."""
        file = self.test(shop) / ANSWERS
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


@dataclass(frozen=True)
class Rating(Part):
    """What people say of one system of a test: its mean marks.  Until they have answered there is nothing to make."""

    test: ListeningTest
    system: str

    def needs(self) -> tuple[Part, ...]:
        return (self.test,)

    def recipe(self) -> Mapping[str, Any]:
        return {"system": self.system}

    def done(self, shop: Workshop) -> bool:
        found, answers = result.load(self, shop), self.test.answers(shop)
        return self.test.done(shop) and (not answers or (found is not None and answers in found[0].notes))

    def make(self, shop: Workshop) -> None:
        started, answers = perf_counter(), self.test.answers(shop)
        if not answers:
            return
        report = analyse(self.test.test(shop))
        lines = [line for line in report.lines if line.system == self.system]
        figures = {line.question: Figure(line.mean, line.low, line.high, line.n, "higher") for line in lines}
        notes = (answers, f"{report.kept} of {report.raters} raters are counted", *report.notes)
        result.save(self, Result(self.name, figures, notes=notes), shop, perf_counter() - started)

    def seconds(self, flops: float) -> float:
        return 1.0
