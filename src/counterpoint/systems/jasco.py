"""Flow matching over a codec's continuous frames, told words and a score.

After JASCO (Tal et al. 2024) and the flow half of "Auto-Regressive vs Flow-Matching" (sections 3.3 and 4): conditions that run
along time are concatenated to the noisy frames on channels and projected; words are attended to.  The config's defaults are the
paper's, but for a whole score where JASCO has chords, melody and drums; what else there is (time by adaptive layer norm,
preconditioning, a canvas) is a choice in the config.  Given frames are heard as in training, or, by any model, zero-shot.

Reading order: `objectives` is training, `generate` is sampling; both go through `velocity`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, FiniteFloat, model_validator
from torch import Generator, Tensor, nn

from counterpoint import rng
from counterpoint.conditioners.base import DropConfig, drop
from counterpoint.conditioners.controls import ControlsConfig, conditioners, frame_channels
from counterpoint.conditioners.score import OptionalScore, ScoreConfig
from counterpoint.conditioners.text import TextConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.config import Config
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms import flow, guidance, repair
from counterpoint.paradigms.solvers import SCHEDULES, SOLVERS, ScheduleName, SolverName, dopri5, leaps
from counterpoint.systems.base import System, has_biases, share
from counterpoint.types import Batch, Canvas, Cond, Objective, Progress, Spec, Values

Method = Literal["supervised", "zero-shot"]
REPAIR = ("strategy", *repair.NUMBERS)
"""Settings of the method zero-shot."""


class Sampling(Config):
    """How to draw from the model."""

    steps: int = Field(default=50, ge=1, le=1000)
    solver: SolverName = "euler"
    schedule: ScheduleName = "uniform"
    tolerance: float = Field(default=1e-3, ge=1e-8, le=1)
    """Of dopri5, which takes the steps that it needs: `steps` and `schedule` are not its."""
    guidance: dict[str, FiniteFloat] = Field(default_factory=lambda: {"all": 3.0}, min_length=1)
    guidance_alone: dict[str, FiniteFloat] | None = Field(default=None, min_length=1)
    """How requests that no score is played for are guided, as words and controls tell less than a score; None: the same."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Flow times between which guidance acts; elsewhere the conditions are followed as learnt, for one evaluation."""
    guidance_rescale: float = Field(default=0.0, ge=0, le=1)
    """How much of the deviation that guidance adds is taken back."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Below 1 the canvas' own frames, noised to the flow time 1 - strength, are where the flow begins (SDEdit, Meng et al.
    2022, algorithm 1): what is not given is like what was there."""
    method: Method | None = None
    """How given frames are heard: as in training, or zero-shot, by a network that knows nothing of them and is led (repair.py);
    None: as in training, where there was such."""
    strategy: repair.StrategyName | None = None
    """How it is led, and the numbers of that (repair.How); None: repair.DEFAULT, or replacement
    with another solver than Euler's, and How()."""
    churn: float | None = Field(default=None, ge=0, le=1)
    repeats: int | None = Field(default=None, ge=2, le=20)
    reach: float | None = Field(default=None, gt=0, le=1000, allow_inf_nan=False)

    @property
    def times(self) -> Float[Tensor, " steps_and_one"]:
        """The schedule, from where the flow begins."""
        times = SCHEDULES[self.schedule](self.steps)
        return times if self.strength == 1 else 1 - self.strength * (1 - times)

    @property
    def repair(self) -> tuple[repair.StrategyName, repair.How]:
        """The strategy of the method zero-shot, and its numbers."""
        numbers = self.model_dump(include=set(repair.NUMBERS), exclude_none=True)
        usual = repair.DEFAULT if self.solver == "euler" else "replacement"
        return self.strategy or usual, replace(repair.How(), **numbers)

    @model_validator(mode="after")
    def _repairs(self) -> "Sampling":
        strategy, _ = self.repair
        for name in self.model_dump(include=set(REPAIR), exclude_none=True):
            if self.method != "zero-shot":
                raise ValueError(f"{name} is a setting of the method zero-shot; ask for that, or leave {name} out.")
            if name != "strategy" and name not in repair.SETTINGS[strategy]:
                raise ValueError(f"{name} is no setting of the strategy {strategy}; leave it out.")
        if strategy != "replacement" and self.strategy is not None and self.solver != "euler":
            raise ValueError(
                f"The strategy {strategy} takes Euler's steps, not those of {self.solver}; take the solver euler, or the "
                "strategy replacement."
            )
        return self

    @model_validator(mode="after")
    def _fits(self) -> "Sampling":
        low, high = self.guidance_interval
        if not 0 <= low <= high <= 1:
            raise ValueError(f"guidance_interval {low:g} to {high:g} must rise within 0 and 1; 0 is noise, 1 is music.")
        if self.solver != "dopri5" and self.tolerance != type(self).model_fields["tolerance"].default:
            raise ValueError(f"tolerance is that of dopri5, and the solver is {self.solver}; leave it out.")
        if self.guidance == {"all": 1.0} and (self.guidance_interval != (0.0, 1.0) or self.guidance_rescale):
            raise ValueError("guidance_interval and guidance_rescale do nothing where guidance is 1; leave them out.")
        return self


class Distilled(Config):
    """What is part of a network of average velocities: its teacher's guidance, and the spans of flow time that it knows."""

    guidance: dict[str, FiniteFloat] = Field(min_length=1)
    shortest: float = Field(default=0.0, ge=0, le=1)
    longest: float = Field(default=1.0, gt=0, le=1)


class JascoConfig(DropConfig):
    """The paper's model is the default; recipes state what differs."""

    kind: Literal["jasco"] = "jasco"
    backbone: TransformerConfig = TransformerConfig(time="context", positions="sinusoidal", skips=True)
    words: TextConfig = WordsConfig()
    score: OptionalScore = ScoreConfig()
    controls: ControlsConfig = ControlsConfig()
    """What else it is told, in forms that people give: chords, a tune, drums, tempo, key, length."""
    frame_bias: bool = Field(default_factory=has_biases)
    """Whether the layers between frames and backbone have biases: as a rule, not with MusicGen's positions."""
    sigma_min: float = Field(default=1e-5, ge=0, lt=1)
    time_distribution: flow.TimeDistribution = "uniform"
    time_weight: flow.TimeWeight = "increasing"
    precondition: bool = False
    distilled: Distilled | None = None
    """What a network of average velocities has learnt, which makes music in few steps (systems/meanflow.py); None for a network
    of velocities."""
    canvas: float = Field(default=0.0, ge=0, le=1)
    """Chance that a part of an item is given in training; without it what is given can be heard zero-shot only."""
    window_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """The longest canvas filled at once; longer pieces are made of overlapping windows."""
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _fits(self) -> "JascoConfig":
        if not self.backbone.context:
            raise ValueError("backbone.context is false, but the words are attended to; set it to true.")
        if self.backbone.time == "none":
            raise ValueError('backbone.time is "none", but flow runs along time; set it to "adaln" or "context".')
        if self.backbone.causal:
            raise ValueError("backbone.causal is true, but flow fills all frames at once; set it to false.")
        if self.backbone.spans != (self.distilled is not None):
            raise ValueError("backbone.spans and distilled belong together: a network of average velocities has both.")
        if self.distilled is not None and self.sampling.solver != "euler":
            raise ValueError(
                f"a distilled model takes its own steps, so sampling.solver = {self.sampling.solver!r} is not for it."
            )
        return self

    @staticmethod
    def tiny() -> "JascoConfig":
        """As small as still learns, for tests."""
        backbone = TransformerConfig(width=32, depth=2, heads=2, feedforward=2, time="adaln", skips=True, local=3)
        vocabulary = ("piano", "slow", "fast", "minor", "major", "a", "in")
        return JascoConfig(
            backbone=backbone,
            words=WordsConfig(dim=16, vocabulary=vocabulary),
            score=ScoreConfig(channels=16),
            precondition=True,
            canvas=0.3,
            sampling=Sampling(steps=4, guidance={"all": 1.5}),
        )

    def build(self, spec: Spec) -> "Jasco":
        return Jasco(self, spec)


@dataclass(frozen=True)
class Lesson:
    """A batch made ready to learn from: whitened frames, which of them are real, which are given, and what is told."""

    data: Float[Tensor, "b t d"]
    mask: Bool[Tensor, "b t"]
    given: Bool[Tensor, "b t"]
    values: Values

    @property
    def asked(self) -> Bool[Tensor, "b t"]:
        """The frames that are to be learnt."""
        return self.mask & ~self.given

    @property
    def padded(self) -> Bool[Tensor, "b t"] | None:
        """The mask, where some item is shorter than the batch."""
        return None if bool(self.mask.all()) else self.mask


class Jasco(System):
    """Words, a score and a canvas in; frames out."""

    def __init__(self, config: JascoConfig, spec: Spec) -> None:
        super().__init__(spec)
        self.config = config
        fills = config.canvas > 0 or config.distilled is None
        self.tasks = ("generate", "continue", "inpaint") if fills else ("generate",)
        width = config.backbone.width
        self.conditioners = conditioners(config.words, config.score, config.controls, width, spec)
        self.conditions = tuple(self.conditioners)
        given = spec.dim + 1 if config.canvas > 0 else 0  # the frames that are given, and which they are
        told = frame_channels(config.score, config.controls)
        self.embed = nn.Linear(spec.dim + given + told, width, config.frame_bias)
        self.backbone = config.backbone.build()
        self.out = nn.Linear(width, spec.dim, config.frame_bias)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("mean", torch.zeros(spec.dim))
        self.register_buffer("std", torch.ones(spec.dim))
        self.register_buffer("weight", torch.ones(spec.dim))

    def normalise_by(self, mean: Float[Tensor, " d"], std: Float[Tensor, " d"], weight: Float[Tensor, " d"]) -> None:
        """Set the frames' statistics, and how much each channel counts in the loss (made to average one)."""
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("std").copy_(std)
        self.get_buffer("weight").copy_(weight / weight.mean())

    def objectives(self, batch: Batch) -> list[Objective]:
        gens = rng.generators(batch.seeds)
        lesson = self.lesson(batch, gens)
        time = flow.draw_time(self.config.time_distribution, gens).to(lesson.data)
        cond = self.conditioners(lesson.values, self.spec, lesson.data.shape[1], len(batch))
        noise = rng.randn(lesson.data.shape[1:], gens).to(lesson.data)
        point, velocity = flow.path(noise, lesson.data, time, self.config.sigma_min)
        predicted = self.velocity(point, time, cond, lesson.data, lesson.given, lesson.padded)
        weight = self.get_buffer("weight")
        losses = flow.loss_per_item(predicted, velocity, time, lesson.asked, weight, self.config.time_weight)
        return [Objective("main", losses.mean())]

    def lesson(self, batch: Batch, gens: list[Generator]) -> "Lesson":
        """What there is to learn from a batch."""
        if batch.frames is None or batch.mask is None or not batch.frames.is_floating_point():
            raise ValueError("jasco learns from continuous frames: encode the corpus first (counterpoint encode).")
        data = self._normalise(batch.frames).masked_fill(~batch.mask[..., None], 0.0)
        told = drop(batch.values, self.conditions, gens, self.config)
        given = self._draw_given(batch.mask.cpu(), gens).to(data.device)
        return Lesson(data, batch.mask, given, told)

    @torch.inference_mode()
    def generate(
        self,
        canvas: Canvas,
        values: Values,
        seeds: list[int],
        sampling: Config | None = None,
        progress: Progress | None = None,
    ) -> Float[Tensor, "b t d"]:
        sampling = sampling or self.config.sampling
        if not isinstance(sampling, Sampling):
            raise ValueError("jasco is sampled by steps, solver and guidance.")
        some = canvas.given.any(1)
        zero_shot = self.hears_zero_shot(sampling) and bool(some.any())
        if zero_shot and not bool(some.all()):
            return self._apart(some, canvas, values, seeds, sampling, progress)
        gens = rng.generators(seeds)
        noise = rng.randn(canvas.frames.shape[1:], gens).to(canvas.frames)
        given, start = canvas.given, noise
        data = self._normalise(canvas.frames)
        if sampling.strength < 1:
            start, _ = flow.path(noise, data, noise.new_full((len(noise),), 1 - sampling.strength), self.config.sigma_min)
        data = torch.where(given[..., None], data, 0.0)
        field = self._field(canvas, values, sampling, data, torch.zeros_like(given) if zero_shot else given)
        known, (strategy, how) = repair.Known(data, given, noise, gens, self.config.sigma_min), sampling.repair
        if zero_shot and strategy != "replacement":
            made = repair.STRATEGIES[strategy](field, start, sampling.times.to(noise), known, how, progress).x
        else:  # which any solver can follow
            made = self._solve(repair.straightened(field, known), start, sampling, progress)
        made = made * self.get_buffer("std") + self.get_buffer("mean")
        return torch.where(given[..., None], canvas.frames, made)

    def hears_zero_shot(self, sampling: Sampling) -> bool:
        """Whether what is given is heard zero-shot.  Raises ValueError for a way to hear it that this model does not have."""
        learnt, distilled = self.config.canvas > 0, self.config.distilled is not None
        method = sampling.method or ("supervised" if learnt or distilled else "zero-shot")
        if sampling.method == "supervised" and not learnt:
            raise ValueError("This model has not learnt to be given frames; take the method zero-shot.")
        if method == "zero-shot" and distilled:
            raise ValueError("This model is distilled and leaps where zero-shot takes small steps; take the method supervised.")
        return method == "zero-shot"

    def _apart(
        self,
        some: Bool[Tensor, " b"],
        canvas: Canvas,
        values: Values,
        seeds: list[int],
        sampling: Sampling,
        progress: Progress | None,
    ) -> Float[Tensor, "b t d"]:
        """Items of which nothing is given are made by themselves, as always; so an item is what it is alone."""
        made = canvas.frames.clone()
        for part, chosen in enumerate((some, ~some)):
            items = chosen.nonzero()[:, 0].tolist()
            told = {name: [column[i] for i in items] for name, column in values.items()}
            own, heard = [seeds[i] for i in items], share(progress, part, 2, sampling.steps)
            made[chosen] = self.generate(Canvas(canvas.frames[chosen], canvas.given[chosen]), told, own, sampling, heard)
        return made

    def _field(
        self, canvas: Canvas, values: Values, sampling: Sampling, data: Float[Tensor, "b t d"], shown: Bool[Tensor, "b t"]
    ) -> Callable[..., Tensor]:
        """The guided velocities, or with `until` average velocities, of a network that sees the `shown` frames of `data`."""
        inside = self.guided(sampling.guidance, canvas, values)
        outside = inside if sampling.guidance_interval == (0.0, 1.0) else self.guided({"all": 1.0}, canvas, values)

        def field(x: Tensor, time: Tensor, until: Tensor | None = None) -> Tensor:
            def heard(told: tuple[Cond, list[float]]) -> Tensor:
                return self.guided_velocity(x, time, told, data, shown, until=until, rescale=sampling.guidance_rescale)

            acts = guidance.acts(time, sampling.guidance_interval)
            everywhere, nowhere = bool(acts.all()), not bool(acts.any())
            made = heard(inside) if everywhere else heard(outside)
            if not everywhere and not nowhere:  # items of an adaptive solver are at times of their own
                made = torch.where(acts[:, None, None], heard(inside), made)
            return made

        return field

    def _solve(
        self, field: Callable[..., Tensor], noise: Float[Tensor, "b t d"], sampling: Sampling, progress: Progress | None
    ) -> Float[Tensor, "b t d"]:
        times = sampling.times.to(noise)
        if self.config.distilled is not None:
            return leaps(field, noise, times, progress).x
        if sampling.solver == "dopri5":
            return dopri5(field, noise, times, progress, sampling.tolerance).x
        return SOLVERS[sampling.solver](field, noise, times, progress).x

    def guided_velocity(
        self,
        x: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        heard: tuple[Cond, list[float]],
        data: Float[Tensor, "b t d"],
        given: Bool[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        until: Float[Tensor, " b"] | None = None,
        rescale: float = 0.0,
    ) -> Float[Tensor, "b t d"]:
        """The variants of guidance (see `guided`) side by side through the network, and their weighted sum."""
        cond, weights = heard
        many = len(weights)
        x, data = x.repeat(many, 1, 1), data.repeat(many, 1, 1)
        time, given = time.repeat(many), given.repeat(many, 1)
        mask, until = None if mask is None else mask.repeat(many, 1), None if until is None else until.repeat(many)
        return guidance.guided(self.velocity(x, time, cond, data, given, mask, until).chunk(many), weights, rescale)

    def velocity(
        self,
        point: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        cond: Cond,
        data: Float[Tensor, "b t d"],
        given: Bool[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        until: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """The network as a velocity field; of `data` it sees the given frames only.

        A distilled one gives the average velocity from `time` to `until`, by default that of the instant.
        """
        ahead = None if self.config.distilled is None else (time if until is None else until) - time

        def network(x: Tensor, now: Tensor) -> Tensor:
            parts = [x, *self._canvas_channels(data, given), cond.frames]
            y = self.embed(torch.cat([part for part in parts if part is not None], dim=-1))
            return self.out(self.backbone(y, cond, now, mask, ahead=ahead))

        return flow.precondition(network, point, time) if self.config.precondition else network(point, time)

    def _canvas_channels(self, data: Tensor, given: Tensor) -> list[Tensor]:
        if self.config.canvas == 0:
            return []
        shown = given[..., None].to(data)
        return [torch.where(given[..., None], data, 0.0), shown]

    def _normalise(self, frames: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        return (frames - self.get_buffer("mean")) / self.get_buffer("std")

    def _draw_given(self, mask: Bool[Tensor, "b t"], gens: list[Generator]) -> Bool[Tensor, "b t"]:
        """Which of each item's real frames are given: none, a leading part, or all but a span in the middle."""
        chance, kind, size, place = rng.rand((4,), gens).unbind(-1)
        now = torch.arange(mask.shape[1])[None]  # 1 t
        frames = mask.sum(1)
        leading = (0.1 + 0.6 * size) * frames
        length = (0.2 + 0.4 * size) * frames
        start = place * (frames - length)
        span = (now < start[:, None]) | (now >= (start + length)[:, None])
        given = torch.where(kind[:, None] < 0.5, now < leading[:, None], span)
        return given & mask & (chance[:, None] < self.config.canvas)
