"""The one training loop, for every objective, on one CPU or many GPUs.

    step -> batch -> objectives -> backward -> clip -> optimiser -> moving average

Killed and resumed is never killed, bit for bit: a step's batch, and every draw in its loss, follow from the seed and the step
alone, and all that moves (weights, optimisers, average, counters) is in `state.pt`, which is replaced in one instant.
"""

import contextlib
import math
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from pydantic import Field
from rich.console import Console
from torch import Tensor
from torch.nn import Parameter

from counterpoint import bad_batch, parallel, rng
from counterpoint.bad_batch import Suspect
from counterpoint.config import Config
from counterpoint.data.base import Dataset
from counterpoint.data.loader import Loader
from counterpoint.files import renamed, writing
from counterpoint.journal import Journal, bar
from counterpoint.machine import multiplies_bf16
from counterpoint.optim import EMA, OptimConfig, clip_gradients, schedule
from counterpoint.parallel import Place
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective

Samples = Callable[[Trainable, int, Path], None]
"""Called with (system under its averaged weights, step, folder): writes what the system makes, from fixed seeds."""

Export = Callable[[Trainable], None]
"""Called with the system under its averaged weights, each time that the state is saved."""


class TrainConfig(Config):
    """How long, how large, how often."""

    steps: int = Field(default=1000, ge=1)
    batch_size: int = Field(default=8, ge=1)
    """Items of one process in one backward pass."""
    accumulate: int = Field(default=1, ge=1)
    """Backward passes to one optimiser step."""
    precision: Literal["bf16", "fp32"] = "fp32"
    """bf16 is mixed precision; a processor without instructions for it trains in fp32 instead, and says so."""
    compile: bool = False
    seed: int = 0
    log_every: int = Field(default=10, ge=1)
    valid_every: int = Field(default=500, ge=1)
    valid_batches: int = Field(default=4, ge=1)
    save_every: int = Field(default=500, ge=1)
    sample_every: int = Field(default=2000, ge=1)
    minutes: float | None = Field(default=None, gt=0)
    """Stop after so many minutes of training in all.  The schedule then ends with whichever limit comes first, measured by
    the clock, so that such runs are not repeatable to the bit."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; None leaves them as they are."""


PATIENCE = 20
"""Steps in a row with gradients that are not finite, after which training stops."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: after `step` steps and so many minutes of training in all; `done` is False when interrupted."""

    step: int
    minutes: float
    done: bool


class Run:
    """All that moves in a training run.  `state_dict` holds only tensors and plain numbers."""

    def __init__(self, system: Trainable, optim: OptimConfig):
        self.system = system
        self.optim = optim
        self.players = system.players()
        self.optimisers = {
            f"{name}.{kind}": optimiser
            for name, player in self.players.items()
            for kind, optimiser in optim.build(system, player).items()
        }
        self.ema = EMA(system, optim.ema_decay)
        self.step = 0
        self.seconds = 0.0
        self.refused = 0
        """Steps in a row, up to now, whose gradients were not finite."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "system": self.system.state_dict(),
            "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
            "ema": self.ema.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "refused": self.refused,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.system.load_state_dict(state["system"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        self.ema.load_state_dict(state["ema"])
        self.step, self.seconds, self.refused = state["step"], state["seconds"], state["refused"]

    def player(self, objective: str) -> list[Parameter]:
        """The weights that an objective moves; a single player answers to every name."""
        return next(iter(self.players.values())) if len(self.players) == 1 else self.players[objective]

    def accepts(self, norms: Iterable[float]) -> bool:
        """Whether the gradients are finite.  Raises ValueError when they were not for too many steps in a row."""
        if all(math.isfinite(norm) for norm in norms):
            self.refused = 0
            return True
        self.refused += 1
        if self.refused >= PATIENCE:
            raise ValueError(
                f"The gradients were not finite in {PATIENCE} steps in a row (the last is step {self.step}): lower optim.lr "
                'or set train.precision = "fp32"; the last saved state is kept.'
            )
        return False


def train(
    system: Trainable,
    train_data: Dataset,
    valid_data: Dataset | None,
    optim: OptimConfig,
    config: TrainConfig,
    out: Path,
    place: Place | None = None,
    samples: Samples | None = None,
    export: Export | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train until `config.steps` or `config.minutes`, going on from `out/state.pt` if there is one.

    Writes into `out`: state.pt, log.jsonl, what `samples` writes under samples/, and, unless `export` puts them elsewhere, the
    averaged weights as model.safetensors.  Ctrl-C ends the step, saves and returns.  Raises ValueError when the state that is
    there belongs to another model, when a loss is not finite (its batch is kept), when gradients stay
    broken, and when nothing can be written; the last saved state stays.
    """
    place = place or Place()
    config = _as_the_machine_can(config, place, console)
    export = export or partial(export_weights, out)
    run = _begin(system, optim, config, out, place)
    loader = Loader(train_data, config.batch_size, config.seed, place.rank, place.world)
    valid = _valid_batches(valid_data, config, place)
    journal = Journal(out if place.first else None, run.step)
    batches = loader.batches(run.step * config.accumulate)
    over = _over(run, config, place)
    shown = bar(console if place.first and not over else None, run.step, _total(run, config))
    with contextlib.closing(batches), parallel.asked_to_stop() as stop, shown as show:
        clock = time.monotonic() - run.seconds
        while not over:
            record = _step(run, batches, config, out, place)
            run.seconds = time.monotonic() - clock
            over = _over(run, config, place)
            interrupted = parallel.any_of(stop.is_set(), place)
            leaving = over or interrupted
            if leaving or run.step % config.log_every == 0:
                numbers = _numbers(run, record, config, place)
                show(run.step, _total(run, config), numbers["loss"])
                journal.write(run.step, numbers)
            if valid and (over or run.step % config.valid_every == 0):
                journal.write(run.step, validate(run, valid, config, place))
            if leaving or run.step % config.save_every == 0:
                run.seconds = time.monotonic() - clock
                parallel.only_rank0(place, partial(save, run, out, export))
            if samples is not None and (over or run.step % config.sample_every == 0):
                parallel.only_rank0(place, partial(_sample, run, samples, out))
            if interrupted:
                break
    return Outcome(run.step, run.seconds / 60, done=over)


def _as_the_machine_can(config: TrainConfig, place: Place, console: Console | None) -> TrainConfig:
    """Without instructions for bf16 its products take five times as long as those of fp32."""
    if config.precision == "fp32" or multiplies_bf16(place.device):
        return config
    if console is not None and place.first:
        console.print("This processor has no instructions for bf16: training is in fp32.", soft_wrap=True)
    return config.model_copy(update={"precision": "fp32"})


def _begin(system: Trainable, optim: OptimConfig, config: TrainConfig, out: Path, place: Place) -> Run:
    """The run as it was left, or at its start."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    system.to(place.device)
    parallel.from_first([*system.parameters(), *system.buffers()])
    if config.compile:
        system.compile_parts()
    run = Run(system, optim)
    if (out / "state.pt").is_file():
        restore(run, out / "state.pt", place)
    return run


def _step(run: Run, batches: Iterator[Batch], config: TrainConfig, out: Path, place: Place) -> "Record":
    """One optimiser step over `config.accumulate` batches.  Raises ValueError where a loss is not finite: see `bad_batch`."""
    run.system.train()
    record = Record()
    suspects: list[Suspect] = []
    for turn in range(config.accumulate):
        # Dropout and the like draw from the global generator; this makes them, too, a function of the seed and the step.
        draws = rng.mix(config.seed, run.step * config.accumulate + turn, place.rank)
        torch.manual_seed(draws)
        batch = to(next(batches), place.device)
        objectives = _objectives(run.system, batch, config, place)
        for objective in objectives:
            torch.autograd.backward(
                objective.loss / config.accumulate,
                inputs=run.player(objective.name),
                retain_graph=objective is not objectives[-1],
            )
        record.add(batch, objectives)
        suspects.append(Suspect(batch, {objective.name: objective.loss.detach() for objective in objectives}, draws))
    bad_batch.refuse(suspects, run.system, run.step, config.precision, out, place)
    factor = schedule(run.optim, run.step, _total(run, config))
    parallel.average_gradients([p for player in run.players.values() for p in player], place)
    record.norms = {name: clip_gradients(player, run.optim.clip) for name, player in run.players.items()}
    record.lr = run.optim.lr * factor
    if run.accepts(record.norms.values()):
        for optimiser in run.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = record.lr
            optimiser.step()
        run.ema.update()
    for optimiser in run.optimisers.values():
        optimiser.zero_grad(set_to_none=True)
    run.step += 1
    return record


def _objectives(system: Trainable, batch: Batch, config: TrainConfig, place: Place) -> list[Objective]:
    with torch.autocast(place.device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        return system.objectives(batch)


def to(batch: Batch, device: torch.device) -> Batch:
    """The batch's tensors on a device; values stay where they are, for conditioners to place."""
    if device.type == "cpu":
        return batch
    moved = {
        name: None if tensor is None else tensor.to(device, non_blocking=True)
        for name, tensor in (("audio", batch.audio), ("frames", batch.frames), ("mask", batch.mask))
    }
    return replace(batch, **moved)


@dataclass
class Record:
    """What a step was like.  Losses are summed up when they are logged; the step has waited for them (`bad_batch`)."""

    started: float = field(default_factory=time.monotonic)
    items: int = 0
    frames: int = 0
    losses: list[tuple[str, Tensor]] = field(default_factory=list)
    logs: dict[str, float] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    lr: float = 0.0

    def speed(self, place: Place) -> dict[str, float]:
        """Items and frames a second, of all processes, over this step."""
        seconds = time.monotonic() - self.started
        return {
            "items_per_second": self.items * place.world / seconds,
            "frames_per_second": self.frames * place.world / seconds,
        }

    def add(self, batch: Batch, objectives: list[Objective]) -> None:
        self.items += len(batch)
        self.frames += 0 if batch.mask is None else batch.mask.numel()
        self.losses += [(objective.name, objective.loss.detach()) for objective in objectives]
        for objective in objectives:
            self.logs.update(objective.logs)


def _total(run: Run, config: TrainConfig) -> float:
    """The steps of the whole run: as configured, or fewer when the minutes will be over before."""
    if config.minutes is None or run.seconds == 0:
        return config.steps
    return min(config.steps, run.step * config.minutes * 60 / run.seconds)


def _over(run: Run, config: TrainConfig, place: Place) -> bool:
    late = config.minutes is not None and run.seconds >= config.minutes * 60
    return run.step >= config.steps or parallel.any_of(late, place)


def _valid_batches(data: Dataset | None, config: TrainConfig, place: Place) -> list[Batch]:
    """The same batches at every validation, of every run whatever its seed."""
    if data is None:
        return []
    loader = Loader(data, config.batch_size, seed=0, rank=place.rank, world=place.world)
    return [loader.batch(i) for i in range(config.valid_batches)]


@torch.no_grad()
def validate(run: Run, batches: list[Batch], config: TrainConfig, place: Place) -> dict[str, float]:
    """Mean losses of the averaged weights, by `valid_<objective>`, and their sum, `valid_loss`."""
    run.system.eval()
    sums: dict[str, float] = {}
    with run.ema.applied():
        for batch in batches:
            torch.manual_seed(0)
            for objective in _objectives(run.system, to(batch, place.device), config, place):
                name = f"valid_{objective.name}"
                sums[name] = sums.get(name, 0.0) + objective.loss.item() / len(batches)
    means = {name: parallel.mean(value, place) for name, value in sums.items()}
    return {"valid_loss": sum(means.values()), **means}


@torch.no_grad()
def _sample(run: Run, samples: Samples, out: Path) -> None:
    folder = out / "samples" / f"{run.step:07d}"
    run.system.eval()
    with run.ema.applied(), writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        samples(run.system, run.step, folder)


def export_weights(out: Path, system: Trainable) -> None:
    """Write a system's weights as model.safetensors."""
    weights = {name: tensor.detach().cpu().clone() for name, tensor in system.state_dict().items()}
    with renamed(out / "model.safetensors") as path:
        path.write_bytes(safetensors.torch.save(weights))


def save(run: Run, out: Path, export: Export) -> None:
    """Write `state.pt` in one instant, and hand out the averaged weights."""
    with run.ema.applied(), writing(out):
        export(run.system)
    with renamed(out / "state.pt") as path, path.open("wb") as file:
        try:
            torch.save(run.state_dict(), file)
        except RuntimeError as error:  # torch's writer buries the system's word
            raise error.__context__ if isinstance(error.__context__, OSError) else error from None


_UNFIT = (RuntimeError, LookupError, ValueError, TypeError, AttributeError)  # torch's words for what it cannot use


def restore(run: Run, path: Path, place: Place) -> None:
    """Go on from a saved state.  Raises ValueError when it cannot be read or belongs to another model."""
    try:
        state = torch.load(path, map_location=place.device, weights_only=True)
    except (*_UNFIT, OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is damaged or unreadable; bring back a copy of it, or delete it to start anew.") from error
    try:
        run.load_state_dict(state)
    except (*_UNFIT, AssertionError) as error:
        raise ValueError(f"{path} belongs to another model; train into another folder, or delete it to start anew.") from error


def _numbers(run: Run, record: Record, config: TrainConfig, place: Place) -> dict[str, float]:
    """A step as numbers for the log."""
    losses: dict[str, float] = {}
    for name, loss in record.losses:
        losses[name] = losses.get(name, 0.0) + loss.item() / config.accumulate
    losses = {name: parallel.mean(value, place) for name, value in losses.items()}
    norms = {("grad_norm" if len(record.norms) == 1 else f"grad_norm_{name}"): norm for name, norm in record.norms.items()}
    named = {f"loss_{name}": value for name, value in losses.items()} if len(losses) > 1 else {}
    return {
        "loss": sum(losses.values()),
        **named,
        **record.logs,
        "lr": record.lr,
        **norms,
        **record.speed(place),
        "wall": run.seconds,
    }
