"""Teaches a flow model to make music in a few leaps: a copy of it learns the average velocities of its guided flow.

After MeanFlow (Geng et al. 2025), as MeanAudio (Li et al. 2025) fine-tunes a model of music, and progressive distillation; the
targets are those of paradigms/distill.py.  The teacher's velocities are guided, so that guidance costs the student nothing.
`student` is what ships: a Jasco like its teacher, with a span of flow time as one more thing to be told.
"""

import torch
from jaxtyping import Float
from pydantic import Field, FiniteFloat
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint import rng
from counterpoint.config import Config, parse
from counterpoint.paradigms import distill, flow, guidance
from counterpoint.systems.base import Trainable
from counterpoint.systems.jasco import Jasco, JascoConfig, Lesson, Sampling
from counterpoint.types import Batch, Objective


class MeanflowConfig(Config):
    """What the student shall match, and where."""

    target: distill.TargetName = "jvp"
    guidance: dict[str, FiniteFloat] = Field(default_factory=lambda: {"all": 3.0}, min_length=1)
    """The teacher's, which becomes part of every leap."""
    longest: float = Field(default=1.0, gt=0, le=1)
    """Longest span of flow time that is learnt."""
    halvings: int = Field(default=4, ge=0, le=6)
    """How often it is halved, at most: 4 teaches 1, 1/2, ... 1/16."""
    instants: float = Field(default=0.25, ge=0, le=1)
    """Share of items that learn the velocity itself."""
    power: float = Field(default=0.0, ge=0, le=1)
    """How far an item's error is divided by itself, so that no item rules (MeanFlow has 1)."""


def student_config(teacher: JascoConfig, config: MeanflowConfig, sampling: Sampling) -> JascoConfig:
    """The settings of a network like the teacher's that is told spans.  Raises ValueError where the teacher is one already."""
    if teacher.distilled is not None:
        raise ValueError("The model to start from is distilled already; start from the one that it was distilled from.")
    shortest = 0.0 if config.instants else config.longest / 2**config.halvings
    distilled = {"guidance": config.guidance, "shortest": shortest, "longest": config.longest}
    settings = {**teacher.model_dump(), "distilled": distilled, "sampling": sampling.model_dump()}
    settings["backbone"]["spans"] = True
    return parse(JascoConfig, settings, "the student")


class Meanflow(Trainable):
    """A teacher that stays as it is, and a student that begins as the teacher."""

    def __init__(self, teacher: Jasco, config: MeanflowConfig, sampling: Sampling):
        super().__init__()
        self.config = config
        guidance.variants(config.guidance, teacher.conditions)  # raises where it names what the teacher is not told
        self.teacher = teacher.requires_grad_(False)
        self.student = student_config(teacher.config, config, sampling).build(teacher.spec)
        missing, strange = self.student.load_state_dict(teacher.state_dict(), strict=False)
        assert not strange and all(name.startswith("backbone.ahead.") for name in missing)

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"main": [p for p in self.student.parameters() if p.requires_grad]}

    def compile_parts(self) -> None:
        if self.config.target == "jvp":
            raise ValueError(
                'The target "jvp" differentiates what is compiled; set train.compile to false, or the target to "fd".'
            )
        self.student.compile_parts()
        self.teacher.compile_parts()

    def objectives(self, batch: Batch) -> list[Objective]:
        gens = rng.generators(batch.seeds)
        lesson = self.student.lesson(batch, gens)
        point, known, time, until = self._place(lesson, gens)
        cond = self.student.conditioners(lesson.values, self.student.spec, point.shape[1], len(batch))

        def student(x: Tensor, now: Tensor, then: Tensor) -> Tensor:
            made = self.student.velocity(x, now, cond, lesson.data, lesson.given, lesson.padded, then)
            return torch.where(lesson.given[..., None], known, made)

        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be differentiated forwards
            target = distill.TARGETS[self.config.target](student, self._teacher(lesson, known), point, time, until)
        weight = self.student.get_buffer("weight")
        errors = flow.loss_per_item(student(point, time, until), target, time, lesson.asked, weight, "uniform")
        return [Objective("main", distill.adaptive(errors, self.config.power).mean(), {"error": errors.mean().item()})]

    def _place(self, lesson: Lesson, gens: list[Generator]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Points between noise and data, the velocity that leads to the data, and a span of flow time from each point on."""
        spans = distill.draw_span(gens, self.config.longest, self.config.halvings, self.config.instants)
        time, until = (moment.to(lesson.data) for moment in spans)
        noise = rng.randn(lesson.data.shape[1:], gens).to(lesson.data)
        point, known = flow.path(noise, lesson.data, time, self.student.config.sigma_min)
        return point, known, time, until

    def _teacher(self, lesson: Lesson, known: Float[Tensor, "b t d"]) -> flow.Field:
        """The teacher's guided velocities; what is given goes straight to where it belongs."""
        heard = self.teacher.variants(self.config.guidance, lesson.values, *lesson.given.shape)

        def field(x: Tensor, time: Tensor) -> Tensor:
            made = self.teacher.guided_velocity(x, time, heard, lesson.data, lesson.given, lesson.padded)
            return torch.where(lesson.given[..., None], known, made)

        return field
