"""A small language model over scores: from words to a piece, bar by bar; it also goes on with a score, and fills its gaps.

A score is a line of symbols (`data/events`): told as in REMI (Huang and Yang 2020), with parts that recur told as such.  A
causal transformer attends to the words; besides each symbol it is told the last of several kinds before it (who plays, where
in the bar, on which chord), which a reader of a score sees at a glance.  Gaps are filled as in fill-in-the-middle (Bavarian
et al. 2022): what comes before, what comes after, then the middle.

A grammar allows only symbols that continue a piece, and what a brief states is forced: the network never contradicts it.
What it invents is everything else.  Reading order: `objectives` is training, `_write` is sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn

from counterpoint import rng
from counterpoint.conditioners.words import Words, WordsConfig
from counterpoint.config import Config
from counterpoint.data.events import line
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.grammar import Grammar
from counterpoint.data.events.grid import Grid
from counterpoint.data.events.reading import read
from counterpoint.data.events.script import Script, write
from counterpoint.data.events.splice import splice
from counterpoint.data.events.terms import Terms
from counterpoint.music import Brief, Score
from counterpoint.nn.transformer import Memory, TransformerConfig
from counterpoint.paradigms import autoregressive as ar
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Cond, Objective, Spec

_NO_SPEC = Spec(rate=1.0, dim=1)  # words are the same for all frames
_GLANCES = (("style",), ("role", "bar"), ("position", "role", "bar"), ("chord", "bar"), ("loud", "role"), ("length", "role"))
"""Kinds of symbols of which the last one so far is told beside each symbol; "role" and "bar" make what was before stale."""
_ABREAST = 2
"""Lines that go through the network at once in training."""
_ROOM = 64
"""Symbols of the window that have to be free when a bar begins."""


class Sampling(Config):
    """How to draw from the model."""

    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    top_p: float = Field(default=0.95, ge=0, le=1)


class PlannerConfig(Config):
    """Sizes, the words (an empty vocabulary until it is learnt from captions), and how it is sampled."""

    kind: Literal["score"] = "score"
    symbols: int = v.SIZE
    """Size of the vocabulary of scores that the weights belong to."""
    backbone: TransformerConfig = TransformerConfig(
        width=160, depth=5, heads=4, feedforward=3, causal=True, time="none", local=4
    )
    words: WordsConfig = WordsConfig(dim=96)
    drop: float = Field(default=0.1, ge=0, le=1)
    """Chance that an item is told no words in training."""
    window: int = Field(default=512, ge=256)
    """Symbols that are seen at once; of longer pieces, the latest bars are remembered."""
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _fits(self) -> "PlannerConfig":
        if self.symbols != v.SIZE:
            raise ValueError(f"symbols is {self.symbols}, and scores are spelled with {v.SIZE} here; train the planner anew.")
        if not self.backbone.causal or not self.backbone.context or self.backbone.time != "none":
            raise ValueError('a planner\'s backbone has causal = true, context = true and time = "none"; leave these out.')
        return self

    @staticmethod
    def tiny() -> "PlannerConfig":
        """As small as still learns, for tests."""
        backbone = TransformerConfig(width=32, depth=2, heads=2, feedforward=2, causal=True, time="none", local=4)
        return PlannerConfig(backbone=backbone, words=WordsConfig(dim=16, longest=16), window=256)

    def build(self) -> "Planner":
        return Planner(self)


class Planner(Trainable):
    """See the module's docstring."""

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.backbone.width
        self.words = Words(config.words, width)
        self.embed = nn.Embedding(v.SIZE, width)
        self.glance = nn.Embedding(v.SIZE, width)
        self.backbone = config.backbone.build()
        self.out = nn.Linear(width, v.SIZE)
        kinds = torch.from_numpy(v.KIND.astype(np.int64))
        glances = [torch.isin(kinds, torch.tensor([v.KINDS.index(kind) for kind in group])) for group in _GLANCES]
        self.register_buffer("glances", torch.stack(glances), persistent=False)
        for table, std in ((self.embed, 0.7), (self.glance, 0.3)):
            nn.init.normal_(table.weight, std=std)
        nn.init.normal_(self.out.weight, std=0.02)

    def objectives(self, batch: Batch) -> list[Objective]:
        if batch.frames is None or batch.mask is None or batch.frames.is_floating_point():
            raise ValueError("A planner learns from scores as lines of symbols, and this batch has none.")
        tokens, lengths = batch.frames[:, 0], batch.mask.sum(1)
        lost = rng.rand((), rng.generators(batch.seeds)) < self.config.drop
        texts = batch.values.get("text", [None] * len(batch))
        total: Tensor | float = 0.0
        for items in lengths.argsort().split(_ABREAST):  # lines of about one length side by side: little is padded
            cond = self.words([None if lost[i] else texts[i] for i in items.tolist()], _NO_SPEC, 1)
            told = tokens[items, : int(lengths[items].max())]
            logits = self._logits(told[:, :-1], cond)
            wanted = told[:, 1:].masked_fill(torch.arange(1, told.shape[1], device=told.device) >= lengths[items, None], -1)
            total = total + F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten(), ignore_index=-1, reduction="sum")
        assert isinstance(total, Tensor)
        count = float((lengths - 1).sum())
        return [Objective("main", total / count, {"symbols": count})]

    def _logits(self, tokens: Int[Tensor, "b t"], cond: Cond, memory: Memory | None = None) -> Float[Tensor, "b s v"]:
        """What may come after each symbol; with `memory`, after those that it does not hold yet."""
        first = 0 if memory is None else memory.length
        x = self.embed(tokens[:, first:]) + self._glance(tokens, first)
        return self.out(self.backbone(x, Cond(context=cond.context, mask=cond.mask), memory=memory))

    def _glance(self, tokens: Int[Tensor, "b t"], first: int = 0) -> Float[Tensor, "b s h"]:
        """The last symbol of each group of kinds, up to each place from `first` on; `v.NOTHING` before there is one."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        told: Tensor | float = 0.0
        for group in self.get_buffer("glances"):
            last = torch.where(group[tokens], places, -1).cummax(1).values[:, first:]
            told = told + self.glance(torch.where(last < 0, v.NOTHING, tokens.gather(1, last.clamp_min(0))))
        assert isinstance(told, Tensor)
        return told

    @torch.inference_mode()
    def generate(
        self,
        texts: Sequence[str | None],
        briefs: Sequence[Brief],
        seconds: float,
        seeds: Sequence[int],
        sampling: Sampling | None = None,
    ) -> list[Score]:
        """Pieces of `seconds`, one to each text; what its brief states holds, and item i depends on seed i alone."""
        return [
            self._compose(text, brief, seconds, seed, sampling or self.config.sampling)
            for text, brief, seed in zip(texts, briefs, seeds, strict=True)
        ]

    def _compose(self, text: str | None, brief: Brief, seconds: float, seed: int, sampling: Sampling) -> Score:
        terms = Terms.of(brief)
        work = _Work(Grammar(seconds, terms), [v.NOTHING])
        self._write(work, text, seed, sampling)
        return read(work.grammar.script(), seconds, terms.tempo)

    @torch.inference_mode()
    def go_on(
        self, score: Score, seconds: float, seed: int, text: str | None = None, sampling: Sampling | None = None
    ) -> Score:
        """A longer piece that begins with the whole bars of `score`, note for note.  Raises ValueError where it has none, or
        where `seconds` add nothing to them."""
        grid = Grid.of(score)
        kept = grid.bars(score.seconds)
        if float(grid.ticks(np.array([score.seconds], np.float64))[0]) < kept * grid.bar - 1:
            kept -= 1  # the last bar is cut short: it is written anew
        if kept < 1:
            raise ValueError("The score has not one whole bar to go on from; give a longer one.")
        if grid.bars(seconds) <= kept:
            raise ValueError(f"The score has {kept} whole bars, and {seconds:g} seconds hold no more; ask for a longer piece.")
        return self._fill(score, range(kept, grid.bars(seconds)), seconds, text, seed, sampling)

    @torch.inference_mode()
    def inpaint(self, score: Score, bars: range, seed: int, text: str | None = None, sampling: Sampling | None = None) -> Score:
        """`score` with the `bars` (from 0) written anew, all others note for note as they are.  Raises ValueError."""
        count = Grid.of(score).bars(score.seconds)
        if bars.step != 1 or not 0 <= bars.start < bars.stop <= count:
            raise ValueError(
                f"The bars {bars.start} to {bars.stop - 1} are not all there; the score has bars 0 to {count - 1}."
            )
        if len(bars) == count:
            raise ValueError("Every bar is to be written anew, so nothing is given; plan a new piece instead.")
        return self._fill(score, bars, score.seconds, text, seed, sampling)

    def _fill(
        self, score: Score, wanted: range, seconds: float, text: str | None, seed: int, sampling: Sampling | None
    ) -> Score:
        """The wanted bars, up to the end or in a gap, in a score whose other bars stay."""
        script, grid = write(score), Grid.of(score)
        count = grid.bars(seconds)
        bars = {index: bar for index, bar in enumerate(script.bars[:count]) if index not in wanted}
        grammar = Grammar.go_on(script.head, bars, wanted, grid, seconds)
        work = _Work(grammar, [], gap=wanted if wanted.stop < count else None)
        work.retell(wanted.start, self.config.window * 2 // 3)
        self._write(work, text, seed, sampling or self.config.sampling)
        whole = Script(script.head, tuple(grammar.bars[index] for index in range(count)))
        return splice(score, read(whole, seconds, score.bpm, grid), set(bars), grid)

    def _write(self, work: "_Work", text: str | None, seed: int, sampling: Sampling) -> None:
        """Draw symbol after symbol until the line ends; where only one is allowed, nothing is drawn."""
        gens = rng.generators([seed])
        cond = self.words([text], _NO_SPEC, 1)
        memory = self._memory(cond)
        while not work.grammar.done:
            allowed = work.grammar.mask()
            token = int(allowed.argmax())
            if allowed.sum() > 1:
                logits = self._logits(torch.tensor([work.line]), cond, memory)[:, -1:]
                token = _draw(logits, torch.from_numpy(allowed), gens, sampling)
            work.grammar.push(token)
            work.line.append(token)
            if v.kind_of(token) == "bar" and len(work.line) > self.config.window - _ROOM:
                work.retell(work.grammar.index, self.config.window // 2)
                work.line.append(token)
                memory = self._memory(cond)

    def _memory(self, cond: Cond) -> Memory:
        assert cond.context is not None
        return self.backbone.remember(1, 3 * self.config.window, cond.context.shape[1])


@dataclass
class _Work:
    """A line that is being written, the grammar that reads it, and the gap that it fills, if it fills one."""

    grammar: Grammar
    line: list[int] = field(default_factory=list)
    gap: range | None = None

    def retell(self, bar: int, most: int) -> None:
        """Begin the line anew with what is told before `bar` is written: as much as `most` symbols hold."""
        head, bars, count = self.grammar.head, self.grammar.bars, self.grammar.count
        if self.gap is None:
            told = line.recent(head, bars, bar, count, most)
            self.line = [v.NOTHING, *head, *line.spell(bars, told, count)]
            self.grammar.told = set(told)
            return
        before, after = line.near(head, bars, self.gap, count, most)
        written = line.recent((), bars, bar, count, most // 2) if bar > self.gap.start else range(bar, bar)
        written = range(max(written.start, self.gap.start), bar)
        opened = line.opened(head, bars, before, after, count)
        self.line = [v.NOTHING, *opened, *line.spell(bars, written, count, [*before, *after])]
        self.grammar.told = {*before, *after, *written}


def _draw(logits: Float[Tensor, "1 1 v"], allowed: Bool[Tensor, " v"], gens: list[Generator], sampling: Sampling) -> int:
    masked = logits.masked_fill(~allowed, -torch.inf)
    return int(ar.sample(masked, gens, sampling.temperature, top_p=sampling.top_p))
