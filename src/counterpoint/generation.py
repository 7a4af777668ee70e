"""A request becomes music: words -> plan -> canvas, filled window by window -> audio, with a record of how it was made."""

import logging
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import torch
from jaxtyping import Float
from torch import Tensor

import counterpoint
from counterpoint import amendment, editing, planning, request, runtime, sampler, tries, windows
from counterpoint import audio as sound
from counterpoint.chart import print_chart
from counterpoint.config import Config
from counterpoint.controls.given import digest as file_digest
from counterpoint.controls.held import Held
from counterpoint.controls.told import laid_out, unheard, values_of, windowed
from counterpoint.editing import Task
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import SYSTEMS, Checkpoint, Manifest
from counterpoint.music import Controls, Score
from counterpoint.nn.folding import fold
from counterpoint.paradigms import guidance
from counterpoint.pieces import Piece
from counterpoint.planning import Plan
from counterpoint.request import Given, Request, Wishes
from counterpoint.rng import mix
from counterpoint.source import digest, pack_score
from counterpoint.takes import Stream, Take
from counterpoint.types import Canvas, Progress, time_axis

CHUNK = 1.0
"""Seconds of a stream that are decoded at a time."""
LOUDNESS, CEILING, GAIN = -16.0, -1.0, 12.0
"""Of a stream: LUFS of its first chunk, dBTP of its peaks, and the most dB by which it is turned up or down."""


def load(
    name: str | Path = "jasco-tiny", device: str = "cpu", dtype: runtime.Choice = "fp32", compile: bool = False
) -> "Model":
    """A model by shipped name, folder or Hub id ("owner/name"), its weights as `dtype` (see runtime).  Raises ValueError.

    With `compile`, autoregression on a CPU is several times faster, once its step is built, which the first time takes seconds;
    for flows and on a GPU the first request waits for torch's compiler.
    """
    watch = runtime.watch(dtype, runtime.place(device), compile)
    runtime.check_memory(checkpoint.locate(name), dtype)
    return Model(checkpoint.load(name, watch), device, dtype, compile)


class Model:
    """A system and its codec, ready for requests."""

    def __init__(self, loaded: Checkpoint, device: str = "cpu", dtype: runtime.Choice = "fp32", compile: bool = False):
        self.checkpoint = loaded
        self.device = runtime.place(device)
        self.system = loaded.system.to(self.device)
        self.codec = fold(loaded.codec.to(self.device))
        self.speed = runtime.quicken(self.system, dtype, self.device, compile)

    def generate(
        self,
        text: str,
        seconds: float | None = None,
        seed: int = 0,
        plan: str | Path = "auto",
        *,
        progress: Progress | None = None,
        **wishes: Unpack[Wishes],
    ) -> Take:
        """One piece of music; the settings are those of Request.  Raises ValueError for what cannot be done."""
        return next(self.takes(request.ask(text, seconds, seed, plan, wishes), progress))

    def go_on(
        self,
        source: object,
        text: str,
        seconds: float = 10.0,
        before: float = 0.0,
        seed: int = 0,
        plan: str | Path = "auto",
        tries: int = 1,
        *,
        progress: Progress | None = None,
        **wishes: Unpack[Wishes],
    ) -> Take:
        """A file of audio, or a take, with so many `seconds` after it and `before` it; `tries` as in `inpaint`."""
        given: Given = {"source": _source(source), "before": before, "after": seconds, "tries": tries}
        return next(self.takes(request.ask(text, None, seed, plan, wishes, given), progress))

    def inpaint(
        self,
        source: object,
        spans: object,
        text: str,
        seed: int = 0,
        plan: str | Path = "auto",
        tries: int = 1,
        *,
        progress: Progress | None = None,
        **wishes: Unpack[Wishes],
    ) -> Take:
        """A file of audio, or a take, with `spans` (pairs of seconds) made anew: the best of so many `tries` (tries.py).

        With a `strength`, it is made after what is there.  Raises ValueError.
        """
        given: Given = {"source": _source(source), "spans": spans, "tries": tries}
        return next(self.takes(request.ask(text, None, seed, plan, wishes, given), progress))

    def stream(
        self,
        text: str,
        seconds: float | None = None,
        seed: int = 0,
        plan: str | Path = "auto",
        *,
        progress: Progress | None = None,
        **wishes: Unpack[Wishes],
    ) -> Stream:
        """The music of `generate` while it is made; nothing is done ahead of the listener.  Raises ValueError as that does.

        A model that makes one frame after another is heard after a second or two of its frames; one that fills windows,
        after the first window.
        """
        return self.streamed(request.ask(text, seconds, seed, plan, wishes), progress)

    def streamed(self, asked: Request, progress: Progress | None = None) -> Stream:
        """`stream` of the first piece of a request."""
        self.warn(asked)
        job = self.job(asked, asked.seed)
        job.record.update({"streamed": True, "timings": {"plan": round(job.planned, 3)}})
        return Stream(self._chunks(job, progress), self.codec.sample_rate, job.seed, job.record, job.score)

    def takes(self, asked: Request, progress: Progress | None = None) -> Iterator[Take]:
        """The pieces of a request, one after the other, each as soon as it is there: item i has the seed `seed + i`.

        `progress` hears of the steps of all pieces together.
        """
        self.warn(asked)
        for i in range(asked.count):
            yield self._take(asked, asked.seed + i, share(progress, i, asked.count))

    def check(self, asked: Request) -> tuple[Score | None, Controls]:
        """What the first piece is played from, and holds on to.  Raises ValueError for what cannot be done."""
        job = self.job(asked, asked.seed)
        return job.score, job.controls

    def warn(self, asked: Request) -> None:
        """Log what is done, though it may not be what was meant."""
        if caution := sampler.caution(self.checkpoint.name, self.checkpoint.config, asked):
            logging.getLogger(__name__).warning("%s.", caution)

    def _check_plan(self, asked: Request) -> None:
        if asked.planner != planning.RULES and "score" not in self.system.conditions:
            raise ValueError(f"{self.checkpoint.name} plays no plans, so that {asked.planner} has nothing to do; leave it out.")
        if asked.plan not in ("auto", "none") and "score" not in self.system.conditions:
            able = ", ".join(name for name, its in _shipped().items() if "score" in its.capability.conditions)
            raise ValueError(f"{self.checkpoint.name} cannot follow a plan; ask with plan none, or one of: {able}.")

    def _check_task(self, task: Task, method: str | None) -> None:
        """Raises ValueError for given audio that the model cannot hear, or cannot add to there, or not by that method."""
        name, channels = self.checkpoint.name, task.source.audio.shape[0]
        if channels != self.codec.channels:
            many = {1: "mono", 2: "stereo"}
            theirs, ours = (many.get(count, f"{count} channels") for count in (channels, self.codec.channels))
            raise ValueError(f"{task.source.name} is {theirs}, and {name} makes {ours}; mix it to {ours} and give that file.")
        if task.kind not in self.system.tasks:
            wanted = {"continue": "go on with", "inpaint": "fill gaps before"}.get(task.kind, "vary")
            able = [other for other, its in _shipped().items() if its.kind in SYSTEMS and task.kind in its.capability.tasks]
            raise ValueError(f"{name} cannot {wanted} audio that is given; ask one of: {', '.join(able)}.")
        if method == "fill-in-middle" and method in sampler.methods(self.checkpoint.config) and task.kind == "continue":
            raise ValueError(f"Nothing comes after what {name} is to make, so that it is no middle; leave the method out.")

    def _check_length(self, seconds: float, source: str) -> None:
        """`source` says where the length comes from; a plan brings its own, so that this follows the reading of the plan."""
        name, config = self.checkpoint.name, self.checkpoint.config
        longest = self.checkpoint.capability.max_seconds if "continue" in self.system.tasks else config.window_seconds
        if seconds > longest:
            raise ValueError(
                f"{name} makes at most {longest:g} seconds, not the {seconds:g} of {source}; ask for fewer seconds."
            )
        if seconds < request.MIN_SECONDS:
            raise ValueError(
                f"{name} makes at least {request.MIN_SECONDS:g} seconds, not the {seconds:g} of {source}; ask for more seconds."
            )

    @torch.inference_mode()
    def _take(self, asked: Request, seed: int, progress: Progress | None) -> Take:
        return self.play(self.job(asked, seed), progress)

    @torch.inference_mode()
    def play(self, job: "Job", progress: Progress | None = None) -> Take:
        """What there is to do, done; the take has the job's record."""
        started = perf_counter()
        if job.task is None:
            filled = torch.cat(list(self._parts(job, progress)), dim=time_axis(self.system.view))
        else:
            filled = self._filled(job, job.task, progress)
        return self.finish(job, filled, perf_counter() - started)

    def finish(self, job: "Job", filled: Tensor, spent: float, beside: int = 0) -> Take:
        """What was filled, in so many seconds, as a take; `beside` others, which may change its last bits."""
        started = perf_counter()
        frames, rate, encoding = self.codec.as_frames(filled, self.system.view), self.codec.sample_rate, None
        if job.task is None:
            audio = self._heard(self.codec.decode(frames, job.samples))
            audio = sound.master(sound.fade(audio, rate), rate)
        else:
            audio, rate, encoding = editing.joined(job.task, frames, self.codec), job.task.rate, job.task.source.encoding
            self._heard(audio[None])
        timings = {"plan": job.planned, "generate": spent, "decode": perf_counter() - started}
        job.record["timings"] = {name: round(value, 3) for name, value in timings.items()}
        job.record.update({"sha256": digest(audio, rate), "made_on": runtime.made_on(self.device, beside) | self.speed})
        return Take(audio, rate, job.seed, job.record, job.score, job.controls, encoding)

    def _filled(self, job: "Job", task: Task, progress: Progress | None) -> Tensor:
        """The canvas of given audio, filled window by window, wherever its gaps are."""
        blank = editing.canvas(task, self.codec, self.system.view, self.system.spec.levels)
        canvas = Canvas(blank.frames.to(self.device), blank.given.to(self.device))
        longest, told = self.system.spec.frames(self.checkpoint.config.window_seconds), (job.sampling, job.tries)
        done, chosen = tries.fill(self.system, self.codec, canvas, job.values, job.seed, *told, longest, job.score, progress)
        job.record.update({"chosen": [one.record for one in chosen]} if job.tries > 1 else {})
        return done

    def _chunks(self, job: "Job", progress: Progress | None) -> Generator[Float[Tensor, "c _"]]:
        """The audio of a stream."""
        yield from sound.limit_stream(self._levelled(job, progress), self.codec.sample_rate, CEILING)

    def _levelled(self, job: "Job", progress: Progress | None) -> Iterator[Piece]:
        """Audio as it is decoded, faded in and out, at the gain that suits the first of it (which the job's record tells)."""
        rate, done, gain = self.codec.sample_rate, 0, 0.0
        frames = (self.codec.as_frames(part, self.system.view) for part in self._parts(job, progress))
        for decoded in self.codec.decode_stream(frames, job.samples, self.system.spec.frames(CHUNK)):
            audio = sound.fade(self._heard(decoded), rate, first=done, total=job.samples)
            if done == 0 and (level := sound.loudness(audio, rate)) > -math.inf:
                gain = round(min(max(LOUDNESS - level, -GAIN), GAIN), 2)
            job.record["gain"] = gain
            done += audio.shape[-1]
            yield Piece.alone(audio * 10 ** (gain / 20), -1, last=done == job.samples)

    def _heard(self, decoded: Float[Tensor, "1 c n"]) -> Float[Tensor, "c n"]:
        """Raises ValueError for numbers that are no sound."""
        if not torch.isfinite(decoded).all():
            raise ValueError(
                f"{self.checkpoint.name} made numbers that are no sound; lower the guidance, or check the checkpoint."
            )
        return decoded[0].float().cpu()

    def job(self, asked: Request, seed: int) -> "Job":
        """What there is to do, before any of it is done.  Raises ValueError for what cannot be."""
        self._check_plan(asked)
        started = perf_counter()
        held = Held.of(asked)
        self._check_controls(asked, held)
        task = None if asked.source is None else Task.of(asked)
        if task is not None:
            self._check_task(task, asked.method)
        plan = self._plan(asked, seed, held, task)
        length = planning.DEFAULT_SECONDS if plan is None else plan.score.seconds
        seconds = asked.seconds or length if task is None else task.seconds
        self._check_length(
            seconds, f"the plan {asked.plan}" if asked.seconds is None and task is None and plan is not None else "the request"
        )
        score = None if plan is None else planning.trim(plan.score, seconds) if seconds != length else plan.score
        name, config = self.checkpoint.name, self.checkpoint.config
        sampling = sampler.settle(name, config, asked, score is not None)
        samples = round(seconds * self.codec.sample_rate)
        controls = laid_out(held, asked.text, score, seconds)
        known, frames = self.system.conditions, self.codec.num_frames(samples)
        values = values_of(asked.text, score, controls, known, self.codec, frames, config.controls.drums)
        told = {name: [value] for name, value in values.items()}
        guidance.check_told(sampling.guidance, told)
        notes = [
            guidance.unweighed(sampling.guidance, {name: column for name, column in told.items() if name != "seconds"}),
            *([held.note] if plan is None else [plan.note, *planning.disagreement(length, seconds, plan.overridden)]),
            sampler.caution(name, config, asked),
        ]
        record = {
            "prompt": asked.text,
            "seed": seed,
            **({} if asked.plan_seed is None or score is None else {"plan_seed": asked.plan_seed}),
            **({} if asked.planner == planning.RULES or score is None else {"planner": asked.planner}),
            "model": name,
            "weights": self.checkpoint.version,
            "version": counterpoint.__version__,
            "seconds": seconds,
            **asked.given(),
            **({"controls": asked.controls()} if asked.controls() else {}),
            **({"files": {name: file_digest(path) for name, path in files.items()}} if (files := asked.files()) else {}),
            "plan": "none" if score is None else print_chart(score),
            "summary": "none" if score is None else planning.summary(score),
            **({} if task is None else {"made": [list(span) for span in task.spans]}),
            "note": "; ".join(note for note in notes if note),
            "unknown": list(unheard(asked.text, config.words) if plan is None else plan.unknown),
            **({} if asked.method is None else {"method": asked.method}),
            **({} if asked.tries == 1 else {"tries": asked.tries}),
            "sampling": sampling.model_dump(mode="json", exclude_none=True),
            **({} if score is None else {"score": pack_score(score)}),
        }
        return Job(values, score, controls, samples, seed, sampling, record, perf_counter() - started, task, asked.tries)

    def _check_controls(self, asked: Request, held: Held) -> None:
        """Raises ValueError for a control that neither the model understands nor a plan can honour."""
        followed = asked.plan != "none" and "score" in self.system.conditions
        for name in () if followed else held.names:
            if name not in self.system.conditions:
                able = ", ".join(other for other, its in _shipped().items() if name in its.capability.conditions)
                plan = "let a plan have it (--plan auto)" if "score" in self.system.conditions else "leave it out"
                raise ValueError(
                    f"{self.checkpoint.name} was not trained with {name}; {plan}{able and f', or ask one of: {able}'}."
                )

    def _plan(self, asked: Request, seed: int, held: Held, task: Task | None) -> Plan | None:
        if asked.plan == "none" or "score" not in self.system.conditions:
            return None
        if asked.score is not None:
            return planning.given(asked.text, asked.score)
        own_length = Path(asked.plan).suffix.lower() in (".mid", ".midi")
        composed = seed if asked.plan_seed is None else asked.plan_seed
        if task is not None:
            if asked.plan == "auto":
                return amendment.make(asked.text, task, composed, asked.planner, anew=asked.plan_seed is not None)
            return planning.make(asked.text, None if own_length else task.seconds, composed, asked.plan, planner=asked.planner)
        return planning.make(asked.text, None if own_length else asked.seconds, composed, asked.plan, held, asked.planner)

    def _parts(self, job: "Job", progress: Progress | None) -> Iterator[Tensor]:
        """The canvas, part after part along time.

        It is filled in windows; each is given the end of the one before, and its own part of the painted score.
        """
        spec, axis, frames = self.system.spec, time_axis(self.system.view), self.codec.num_frames(job.samples)
        blank = Canvas.blank(1, frames, spec, self.system.view)
        done, given = blank.frames.to(self.device), blank.given.to(self.device)
        places = windows.evenly(frames, spec.frames(self.checkpoint.config.window_seconds))
        told = 0
        for i, here in enumerate(places):
            values = windowed(job.values, here)
            canvas = Canvas(done.narrow(axis, here.start, here.stop - here.start).clone(), given[:, here].clone())
            own = job.seed if i == 0 else mix(job.seed, i)
            place = here.start
            for part in self.system.stream(canvas, values, [own], job.sampling, share(progress, i, len(places))):
                size = part.shape[axis]
                done.narrow(axis, place, size).copy_(part)
                place += size
                if place > told:
                    yield done.narrow(axis, told, place - told).clone()
                    told = place
            given[:, here] = True


@dataclass(frozen=True)
class Job:
    """A checked request, planned but not begun."""

    values: Mapping[str, Any]
    """What the model is told, by the name of the condition."""
    score: Score | None
    controls: Controls
    samples: int
    seed: int
    sampling: Config
    record: dict[str, Any]
    """That of a Take, without timings."""
    planned: float
    """Seconds that the planning took."""
    task: Task | None = None
    """What is given, and where something is to be made."""
    tries: int = 1
    """Fillings of what is given that the best is kept of."""

    def again(self, seed: int) -> "Job":
        """The same, played from the same plan, with another seed."""
        return replace(self, seed=seed, record={**self.record, "seed": seed})


def _source(given: object) -> object:
    return given.as_source() if isinstance(given, Take) else given


def share(progress: Progress | None, i: int, count: int) -> Progress | None:
    """The progress of part `i` of `count` equal parts, told as progress of the whole."""
    if progress is None:
        return None
    whole: Callable[[int, int], None] = progress
    return lambda done, steps: whole(i * steps + done, count * steps)


def _shipped() -> dict[str, Manifest]:
    return {name: checkpoint.read_manifest(checkpoint.locate(name, download=False)) for name in checkpoint.shipped()}
