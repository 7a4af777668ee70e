"""A cell of a codec: what it gives back of held-out music, from its continuous frames (the paper's appendix B)."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.recoding import recode
from counterpoint.evaluation.sets import gather
from counterpoint.study import result
from counterpoint.study.material import Coder, Music
from counterpoint.study.part import Part, Workshop, claim
from counterpoint.study.result import Result, figure


@dataclass(frozen=True)
class Recoded(Part):
    """The first clips of some music through a codec and back, without its quantiser."""

    coder: Coder
    music: Music
    clips: int
    metrics: tuple[str, ...] = ("reconstruction",)

    def needs(self) -> tuple[Part, ...]:
        return (self.coder, self.music)

    def recipe(self) -> Mapping[str, Any]:
        return {"clips": self.clips, "metrics": list(self.metrics)}

    def done(self, shop: Workshop) -> bool:
        return result.load(self, shop) is not None

    def make(self, shop: Workshop) -> None:
        started = perf_counter()
        folder = claim(self, shop) / "made"
        real = gather(self.music.source(shop), most=self.clips, clip_seconds=self.music.clip_seconds)
        made = gather(recode(str(shop.place(self.coder)), real.members, folder, tokens=False))
        report = evaluate(made, real, Settings(self.metrics, (), cache=shop.cache))
        figures = {score.name: figure(score) for score in report.scores}
        ids, where = tuple(member.id for member in made.members), str(folder.relative_to(shop.folder))
        done = Result(self.name, figures, ids, made=where, notes=report.warnings, protocol=report.protocol)
        result.save(self, done, shop, perf_counter() - started)

    def seconds(self, flops: float) -> float:
        return 10 + self.clips * self.music.clip_seconds / 10
