"""Flow matching over a codec's continuous frames, told words and a score.

After JASCO (Tal et al. 2024) and the flow half of "Auto-Regressive vs Flow-Matching" (sections 3.3 and 4): conditions that run
along time are concatenated to the noisy frames on channels and projected; words are attended to.  The config's defaults are the
paper's, but for a whole score where JASCO has chords, melody and drums; what else there is (time by adaptive layer norm,
preconditioning, a canvas) is a choice in the config.

Reading order: `objectives` is training, `generate` is sampling; both go through `_velocity`.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, FiniteFloat, model_validator
from torch import Generator, Tensor, nn

from counterpoint import rng
from counterpoint.conditioners.base import Conditioners, drop
from counterpoint.conditioners.score import OptionalScore, ScoreConfig
from counterpoint.conditioners.text import TextConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.config import Config
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms import flow, guidance
from counterpoint.paradigms.solvers import SOLVERS, SolverName, uniform_times
from counterpoint.systems.base import System, has_biases
from counterpoint.types import Batch, Canvas, Cond, Objective, Progress, Spec, Values


class Sampling(Config):
    """How to draw from the model."""

    steps: int = Field(default=50, ge=1, le=1000)
    solver: SolverName = "euler"
    guidance: dict[str, FiniteFloat] = Field(default_factory=lambda: {"all": 3.0}, min_length=1)


class JascoConfig(Config):
    """The paper's model is the default; recipes state what differs."""

    kind: Literal["jasco"] = "jasco"
    backbone: TransformerConfig = TransformerConfig(time="context", positions="sinusoidal", skips=True)
    words: TextConfig = WordsConfig()
    score: OptionalScore = ScoreConfig()
    frame_bias: bool = Field(default_factory=has_biases)
    """Whether the layers between frames and backbone have biases: as a rule, not with MusicGen's positions."""
    sigma_min: float = Field(default=1e-5, ge=0, lt=1)
    time_distribution: flow.TimeDistribution = "uniform"
    time_weight: flow.TimeWeight = "increasing"
    precondition: bool = False
    drop_all: float = Field(default=0.2, ge=0, le=1)
    """Chance that an item is told nothing in training."""
    drop_each: float = Field(default=0.1, ge=0, le=1)
    """Chance, for each condition by itself, that an item is not told it."""
    canvas: float = Field(default=0.0, ge=0, le=1)
    """Chance that a part of an item is given in training; without it the model can generate but not continue or repair."""
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


class Jasco(System):
    """Words, a score and a canvas in; frames out."""

    def __init__(self, config: JascoConfig, spec: Spec) -> None:
        super().__init__(spec)
        self.config = config
        self.tasks = ("generate", "continue", "inpaint") if config.canvas > 0 else ("generate",)
        width = config.backbone.width
        told = {"text": config.words, "score": config.score}
        self.conditioners = Conditioners({name: kind.build(width) for name, kind in told.items() if kind is not None})
        self.conditions = tuple(self.conditioners)
        given = spec.dim + 1 if config.canvas > 0 else 0  # the frames that are given, and which they are
        self.embed = nn.Linear(spec.dim + given + (config.score.channels if config.score else 0), width, config.frame_bias)
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
        if batch.frames is None or batch.mask is None:
            raise ValueError("jasco learns from continuous frames: encode the corpus first (counterpoint encode).")
        gens = rng.generators(batch.seeds)
        data = self._normalise(batch.frames).masked_fill(~batch.mask[..., None], 0.0)
        told = drop(batch.values, self.conditions, gens, self.config.drop_all, self.config.drop_each)
        cond = self.conditioners(told, self.spec, data.shape[1], len(batch))
        given = self._draw_given(batch.mask.cpu(), gens).to(data.device)
        time = flow.draw_time(self.config.time_distribution, gens).to(data)
        noise = rng.randn(data.shape[1:], gens).to(data)
        point, velocity = flow.path(noise, data, time, self.config.sigma_min)
        padded = None if bool(batch.mask.all()) else batch.mask
        predicted = self._velocity(point, time, cond, data, given, padded)
        asked = batch.mask & ~given
        weight = self.get_buffer("weight")
        losses = flow.loss_per_item(predicted, velocity, time, asked, weight, self.config.time_weight)
        return [Objective("main", losses.mean())]

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
        cond, weights = self.guided(sampling.guidance, canvas, values)
        noise = rng.randn(canvas.frames.shape[1:], rng.generators(seeds)).to(canvas.frames)
        data, given = self._normalise(canvas.frames), canvas.given
        known = data - (1 - self.config.sigma_min) * noise  # the velocity that leads to what is given

        def field(x: Tensor, time: Tensor) -> Tensor:
            many = len(weights)
            told = self._velocity(x.repeat(many, 1, 1), time.repeat(many), cond, data.repeat(many, 1, 1), given.repeat(many, 1))
            guided = guidance.combine(told.chunk(many), weights)
            return torch.where(given[..., None], known, guided)

        made = SOLVERS[sampling.solver](field, noise, uniform_times(sampling.steps).to(noise), progress)
        made = made * self.get_buffer("std") + self.get_buffer("mean")
        return torch.where(given[..., None], canvas.frames, made)

    def _velocity(
        self,
        point: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        cond: Cond,
        data: Float[Tensor, "b t d"],
        given: Bool[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """The network as a velocity field; of `data` it sees the given frames only."""

        def network(x: Tensor, now: Tensor) -> Tensor:
            parts = [x, *self._canvas_channels(data, given), cond.frames]
            y = self.embed(torch.cat([part for part in parts if part is not None], dim=-1))
            return self.out(self.backbone(y, cond, now, mask))

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
