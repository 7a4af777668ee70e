"""Autoregression over a codec's tokens with delayed levels, told words and a score.

After MusicGen (Copet et al. 2023) and the autoregressive half of "Auto-Regressive vs Flow-Matching" (sections 3.2, 4): levels
are delayed against each other, one network predicts them all, words are attended to.  What is known frame by frame is added one
step ahead, so that the network has heard of a frame when it makes that frame's first token (the paper's figure 2).  Trained
with `middle`, it also fills spans with given frames on both sides (paradigms/middle.py).

Reading order: `objectives` is training, `stream` is sampling; both go through `_logits`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from pydantic import Field, FiniteFloat, model_validator
from torch import Tensor, nn

from counterpoint import rng
from counterpoint.conditioners.base import DropConfig, drop
from counterpoint.conditioners.controls import ControlsConfig, conditioners, frame_channels
from counterpoint.conditioners.score import OptionalScore, ScoreConfig
from counterpoint.conditioners.text import TextConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.config import Config
from counterpoint.nn.transformer import Memory, TransformerConfig
from counterpoint.paradigms import autoregressive as ar
from counterpoint.paradigms import guidance, middle
from counterpoint.paradigms.middle import Order
from counterpoint.systems.base import System, has_biases, share, task_of
from counterpoint.types import Batch, Canvas, Cond, Objective, Progress, Spec, Values, View


class Sampling(Config):
    """How to draw from the model."""

    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    top_k: int = Field(default=250, ge=0)
    top_p: float = Field(default=0.0, ge=0, le=1)
    guidance: dict[str, FiniteFloat] = Field(default_factory=lambda: {"all": 3.0}, min_length=1)
    guidance_alone: dict[str, FiniteFloat] | None = Field(default=None, min_length=1)
    """How requests that no score is played for are guided, as words and controls tell less than a score; None: the same."""
    guidance_rescale: float = Field(default=0.0, ge=0, le=1)
    """How much of the deviation that guidance adds to the logits is taken back."""


class MusicgenConfig(DropConfig):
    """The paper's network is the default, and what needs no download; recipes state what differs."""

    kind: Literal["musicgen"] = "musicgen"
    backbone: TransformerConfig = TransformerConfig(causal=True, time="none", positions="sinusoidal")
    words: TextConfig = WordsConfig()
    score: OptionalScore = ScoreConfig()
    controls: ControlsConfig = ControlsConfig()
    """What else it is told, in forms that people give: chords, a tune, drums, tempo, key, length."""
    delays: tuple[int, ...] = (0, 1, 2, 3)
    """Steps by which each level lags; as many leading levels of the codec are made as there are delays."""
    prefix: bool = False
    """Whether words, and before them a tune's chroma, come before the frames instead of being attended to, as in MusicGen's
    melody models; texts of several lengths are then filled up with zeros that everything sees."""
    head_bias: bool = Field(default_factory=has_biases)
    """Whether the layers that predict tokens have biases: as a rule, not with MusicGen's positions, and otherwise they have."""
    noise: float = Field(default=0.0, ge=0, lt=1)
    """Largest share of the history's tokens that are replaced by chance ones in training, against exposure bias."""
    middle: float = Field(default=0.0, ge=0, le=1)
    """Chance that an item is said as <a> A <c> C <b> B in training; without it the model can go on but not fill gaps."""
    window_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """The longest canvas filled at once; longer pieces are made of overlapping windows."""
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _fits(self) -> "MusicgenConfig":
        if self.backbone.context == self.prefix:
            told = "is true, but prefix puts the words first" if self.prefix else "is false, but the words are attended to"
            raise ValueError(f"backbone.context {told}; set it to {str(not self.prefix).lower()}.")
        if self.controls.first and not self.prefix:
            raise ValueError('a tune of the form "chroma" comes before the frames; set prefix to true.')
        if self.prefix and self.middle:
            raise ValueError("middle has an order of its own, which knows no prefix; set middle to 0, or prefix to false.")
        if self.backbone.time != "none":
            raise ValueError(f'backbone.time is "{self.backbone.time}", but there is no flow time; set it to "none".')
        if not self.backbone.causal:
            raise ValueError("backbone.causal is false, but one frame is made after another; set it to true.")
        return self

    @staticmethod
    def tiny() -> "MusicgenConfig":
        """As small as still learns, for tests."""
        backbone = TransformerConfig(width=32, depth=2, heads=2, feedforward=2, causal=True, time="none", local=3)
        vocabulary = ("piano", "slow", "fast", "minor", "major", "a", "in")
        return MusicgenConfig(
            backbone=backbone,
            words=WordsConfig(dim=16, vocabulary=vocabulary),
            score=ScoreConfig(channels=16),
            delays=(0, 1, 2),
            noise=0.3,
            sampling=Sampling(top_k=8, guidance={"all": 1.5}),
        )

    def build(self, spec: Spec) -> "Musicgen":
        return Musicgen(self, spec)


class Musicgen(System):
    """Words, a score and a beginning in; tokens of the levels that it makes out."""

    view: View = "tokens"

    def __init__(self, config: MusicgenConfig, spec: Spec) -> None:
        super().__init__(spec)
        if not spec.levels:
            raise ValueError("musicgen makes tokens, and the codec of these frames has none; choose another codec.")
        if not 0 < len(config.delays) <= spec.levels or min(config.delays) < 0:
            raise ValueError(f"delays {config.delays} must name a delay >= 0 for each of 1 to {spec.levels} levels.")
        self.config = config
        self.tasks = ("generate", "continue", "inpaint") if config.middle > 0 else ("generate", "continue")
        self.spec = replace(spec, levels=len(config.delays))
        width, levels = config.backbone.width, len(config.delays)
        self.special = spec.bins
        self.conditioners = conditioners(config.words, config.score, config.controls, width, spec)
        self.conditions = tuple(self.conditioners)
        tables = [nn.Embedding(spec.bins + 1, width) for _ in range(levels)]
        self.embed = nn.ModuleList(tables)
        told = frame_channels(config.score, config.controls)
        self.told = nn.Linear(told, width) if told else None
        self.backbone = config.backbone.build()
        self.out = nn.Linear(width, levels * spec.bins, bias=config.head_bias)
        self.marks = nn.Embedding(3, width) if config.middle > 0 else None  # of <a>, <c>, <b>
        self._cross_entropy = ar.cross_entropy
        for table in tables:
            nn.init.normal_(table.weight, std=levels**-0.5)
        nn.init.normal_(self.out.weight, std=0.02)

    def compile_parts(self) -> None:
        super().compile_parts()
        self._cross_entropy = torch.compile(ar.cross_entropy)  # a tenth of a narrow network's step

    def objectives(self, batch: Batch) -> list[Objective]:
        if batch.frames is None or batch.mask is None or batch.frames.is_floating_point():
            raise ValueError("musicgen learns from tokens: encode the corpus with a codec that has them (counterpoint encode).")
        gens = rng.generators(batch.seeds)
        delays = self.config.delays
        told = drop(batch.values, self.conditions, gens, self.config)
        cond = self.conditioners(told, self.spec, batch.frames.shape[-1], len(batch))
        tokens = batch.frames[:, : len(delays)]
        order = None if self.marks is None else self._draw_order(batch.mask, gens)
        if order is None:
            layout, real = ar.delay(tokens, delays, self.special), ar.holds_token(batch.mask, delays)
        else:
            layout, real = order.lay(tokens, self.special), order.holds_token
        history = self._disturb(layout, real, gens).masked_fill(~real, self.special)
        padded = None if bool(batch.mask.all()) else batch.mask
        logits = self._logits(history[..., :-1], cond, mask=padded, order=order)
        losses = self._cross_entropy(logits, layout[..., 1:], real[..., 1:])
        logs = {f"nats_{level}": float(loss) for level, loss in enumerate(losses.detach().mean(0))}
        return [Objective("main", losses.mean(), logs)]

    @torch.inference_mode()
    def generate(
        self,
        canvas: Canvas,
        values: Values,
        seeds: list[int],
        sampling: Config | None = None,
        progress: Progress | None = None,
    ) -> Int[Tensor, "b k t"]:
        return torch.cat(list(self.stream(canvas, values, seeds, sampling, progress)), dim=-1)

    @torch.inference_mode()
    def stream(
        self,
        canvas: Canvas,
        values: Values,
        seeds: list[int],
        sampling: Config | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Int[Tensor, "b k _"]]:
        """The given beginning, then frame after frame: one is certain `max(delays)` steps after its first level.

        Where frames are given after a gap, all come at once.
        """
        sampling = sampling or self.config.sampling
        if not isinstance(sampling, Sampling):
            raise ValueError("musicgen is sampled by temperature, top_k, top_p and guidance.")
        self.check(canvas, values)
        guidance.check_told(sampling.guidance, values)
        if task_of(canvas) == "inpaint":
            yield self._fill_gaps(canvas, values, seeds, sampling, progress)
        else:
            yield from self._go_on(canvas, values, seeds, sampling, progress)

    def _go_on(
        self, canvas: Canvas, values: Values, seeds: list[int], sampling: Sampling, progress: Progress | None
    ) -> Iterator[Int[Tensor, "b k _"]]:
        """What `stream` does where nothing is given after a gap."""
        delays = self.config.delays
        everywhere = torch.ones_like(canvas.given)
        layout = ar.delay(canvas.frames, delays, self.special)
        kept = ar.holds_token(canvas.given, delays) | ~ar.holds_token(everywhere, delays)
        gens = rng.generators(seeds)
        first = certain = int(canvas.given.sum(-1).min())
        if first:
            yield canvas.frames[..., :first]
        for _ in range(first if sampling.temperature else 0):  # so that a step's draws are those of the item alone
            rng.rand((len(delays), self.spec.bins), gens)
        told = self.variants(sampling.guidance, values, *canvas.given.shape)
        for step in self._write(layout, kept, 1 + first, told, gens, sampling):
            if progress is not None:
                progress(step - first, layout.shape[-1] - 1 - first)
            if step - max(delays) > certain:
                yield ar.undelay(layout[..., certain : step + 1], delays)
                certain = step - max(delays)

    def _fill_gaps(
        self, canvas: Canvas, values: Values, seeds: list[int], sampling: Sampling, progress: Progress | None
    ) -> Int[Tensor, "b k t"]:
        """The whole canvas, with gaps anywhere; items with the same gaps are filled side by side."""
        made = canvas.frames.clone()
        kinds = canvas.given[~canvas.given.all(1)].unique(dim=0)
        for kind, given in enumerate(kinds):
            items = (canvas.given == given).all(1).nonzero()[:, 0]
            alike = Canvas(canvas.frames[items], canvas.given[items])
            own = {name: [column[i] for i in items.tolist()] for name, column in values.items()}
            theirs, part = [seeds[i] for i in items.tolist()], share(progress, kind, len(kinds), len(given))
            if task_of(alike) == "inpaint":
                made[items] = self._fill_alike(alike, given, own, theirs, sampling, part)
            else:
                made[items] = torch.cat(list(self._go_on(alike, own, theirs, sampling, part)), dim=-1)
        return made

    def _fill_alike(
        self,
        canvas: Canvas,
        given: Bool[Tensor, " t"],
        values: Values,
        seeds: list[int],
        sampling: Sampling,
        progress: Progress | None,
    ) -> Int[Tensor, "b k t"]:
        """Gap after gap from left to right: all before it, then what is given up to the next gap, then the gap itself."""
        delays, frames, known = self.config.delays, canvas.frames, given.clone()
        gens = rng.generators(seeds)
        told = self.variants(sampling.guidance, values, *canvas.given.shape)
        spans = middle.gaps(given)
        ends = [*(span.start for span in spans[1:]), len(given)]
        for i, (span, end) in enumerate(zip(spans, ends, strict=True)):
            order = middle.straight(end, delays) if span.stop == end else middle.around(span, end, delays)
            order = order.to(frames.device)
            layout = order.lay(frames, self.special)
            kept = ~order.holds_token | known[order.frames.clamp_min(0)]
            first = int((~kept[0]).any(0).int().argmax())
            part = share(progress, i, len(spans), len(given))
            for step in self._write(layout, kept, first, told, gens, sampling, order):
                if part is not None:
                    part(step + 1 - first, layout.shape[-1] - first)
            frames = order.unlay(layout, frames)
            known[span.start : span.stop] = True
        return frames

    def _write(
        self,
        layout: Int[Tensor, "b k s"],
        kept: Bool[Tensor, "b_or_1 k s"],
        first: int,
        told: tuple[Cond, list[float]],
        gens: list[torch.Generator],
        sampling: Sampling,
        order: Order | None = None,
    ) -> Iterator[int]:
        """Draw the layout's steps from `first` on, in place, but for what is kept; names each step when it is there.

        `told` is what the variants of guidance hear, and their weights.
        """
        cond, weights = told
        many = len(weights)
        context = 0 if cond.context is None else cond.context.shape[1]
        before = context if self.config.prefix else 0
        memory = self.backbone.remember(len(layout) * many, before + layout.shape[-1] - 1, context - before)
        done = 0
        for step in range(first, layout.shape[-1]):
            logits = self._logits(layout[..., done:step].repeat(many, 1, 1), cond, memory, order=order)[:, :, -1]  # b k v
            done = step
            logits = guidance.guided(logits.chunk(many), weights, sampling.guidance_rescale)
            drawn = ar.sample(logits, gens, sampling.temperature, sampling.top_k, sampling.top_p)
            layout[..., step] = torch.where(kept[..., step], layout[..., step], drawn)
            yield step

    def _logits(
        self,
        history: Int[Tensor, "b k s"],
        cond: Cond,
        memory: Memory | None = None,
        mask: Bool[Tensor, "b t"] | None = None,
        order: Order | None = None,
    ) -> Float[Tensor, "b k s v"]:
        """What may come after each step of `history`; with `memory`, those are the steps after the ones before.

        `mask` marks the real frames of items of several lengths, in training; `order` tells which frames the steps say, where
        these do not simply follow each other.
        """
        prefix = cond.context if self.config.prefix else None
        before = 0 if prefix is None else prefix.shape[1]
        begins = memory is None or memory.length == 0
        first = 0 if memory is None or begins else memory.length - before
        x = sum(table(history[:, level]) for level, table in enumerate(self.embed))
        if order is None:
            x, places = x + self._ahead(cond, first, history.shape[-1], mask), None
        else:
            here = order.part(first, first + history.shape[-1])
            x, places = x + self._ahead_in(here, cond), here.positions
        if prefix is None:
            y = self.backbone(x, Cond(context=cond.context, mask=cond.mask), memory=memory, positions=places)
        elif begins:
            y = self.backbone(torch.cat((prefix, torch.as_tensor(x)), dim=1), Cond(), memory=memory)[:, before:]
        else:
            y = self.backbone(x, Cond(), memory=memory)
        return rearrange(self.out(y), "b s (k v) -> b k s v", k=len(self.embed))

    def _ahead(self, cond: Cond, first: int, length: int, mask: Tensor | None) -> Float[Tensor, "b s h"] | float:
        """What is told of frame s, at step s, which makes that frame's first level; after the last frame nothing is told."""
        told: Tensor | float = 0.0 if cond.vector is None else cond.vector[:, None]
        if cond.frames is None or self.told is None:
            return told
        frames = self.told(cond.frames[:, first : first + length])
        frames = frames if mask is None else frames * mask[..., None]
        return told + nn.functional.pad(frames, (0, 0, 0, length - frames.shape[1]))

    def _ahead_in(self, order: Order, cond: Cond) -> Float[Tensor, "_ s h"]:
        """The same in an order of its own, with the marks of segments."""
        assert self.marks is not None
        told = _where(order.marks, self.marks(order.marks.clamp_min(0)))
        if cond.vector is not None:
            told = told + cond.vector[:, None]
        if cond.frames is None or self.told is None:
            return told
        items = torch.arange(len(cond.frames), device=cond.frames.device)[:, None]
        return told + _where(order.ahead, self.told(cond.frames[items, order.ahead.clamp_min(0)]))

    def _draw_order(self, mask: Bool[Tensor, "b t"], gens: list[torch.Generator]) -> Order:
        """Straight on, or with a span at the end; every layout is as long as the longest can be."""
        delays, lengths = self.config.delays, mask.sum(1).tolist()
        spans = middle.draw_spans(lengths, self.config.middle, gens)
        orders = [
            middle.straight(length, delays) if span is None else middle.around(span, length, delays)
            for length, span in zip(lengths, spans, strict=True)
        ]
        return middle.beside(orders, middle.longest(mask.shape[1], delays)).to(mask.device)

    def _disturb(
        self, layout: Int[Tensor, "b k s"], real: Bool[Tensor, "b k s"], gens: list[torch.Generator]
    ) -> Int[Tensor, "b k s"]:
        """The layout with a share of each item's tokens, drawn between 0 and `noise`, replaced by chance ones."""
        if self.config.noise == 0:
            return layout
        share = self.config.noise * rng.rand((1, 1), gens)
        # Drawn step by step, so that an item's draws do not depend on how far the batch is padded.
        hit, which = rearrange(rng.rand((layout.shape[-1], layout.shape[1], 2), gens), "b s k two -> two b k s")
        chance = (which * self.spec.bins).long()
        return torch.where((hit < share).to(real.device) & real, chance.to(layout), layout)


def _where(index: Int[Tensor, "b s"], told: Float[Tensor, "any s h"]) -> Float[Tensor, "any s h"]:
    """What is told, where there is something to be told of."""
    return told * (index != middle.NONE)[..., None]
