"""A cell of a codec: what it gives back of held-out music, from its continuous frames (the paper's appendix B)."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.recoding import recode
from counterpoint.evaluation.sets import gather
from counterpoint.study import result
from counterpoint.study.material import Coder
from counterpoint.study.part import Part, Workshop, claim
from counterpoint.study.result import Result, figure
from counterpoint.study.taken import Held


@dataclass(frozen=True)
class Recoded(Part):
    """The first clips of some music through a codec and back, without its quantiser."""

    coder: Coder
    held: Held
    metrics: tuple[str, ...] = ("reconstruction",)

    def needs(self) -> tuple[Part, ...]:
        return (self.coder, self.held.music)

    def recipe(self) -> Mapping[str, Any]:
        return {"held": self.held.plain(), "metrics": list(self.metrics)}

    def done(self, shop: Workshop) -> bool:
        return result.load(self, shop) is not None

    def make(self, shop: Workshop) -> None:
        started = perf_counter()
        folder = claim(self, shop) / "made"
        real = self.held.real(shop)
        made = gather(recode(str(shop.place(self.coder)), real.members, folder, tokens=False))
        report = evaluate(made, real, Settings(self.metrics, (), cache=shop.cache))
        figures = {score.name: figure(score) for score in report.scores}
        ids, where = tuple(member.id for member in made.members), str(folder.relative_to(shop.folder))
        done = Result(self.name, figures, ids, made=where, notes=report.warnings, protocol=report.protocol)
        result.save(self, done, shop, perf_counter() - started)

    def seconds(self, flops: float) -> float:
        return 10 + self.held.clips * self.held.music.clip_seconds / 10
