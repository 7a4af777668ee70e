"""How weights move: parameter groups, learning-rate schedules, clipping, and their moving average."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import Parameter

from counterpoint.config import Config
from counterpoint.machine import multiplies_bf16


class OptimConfig(Config):
    """The optimiser, its schedule, clipping, and the moving average of the weights."""

    hidden: Literal["adamw", "muon"] = "adamw"
    """What moves the matrices of repeated layers; AdamW moves all else."""
    lr: float = Field(default=3e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.1, ge=0)
    warmup_steps: int = Field(default=200, ge=0)
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    min_lr_ratio: float = Field(default=0.1, ge=0, le=1)
    """Where a schedule that falls ends, as a part of `lr`."""
    decay_part: float = Field(default=0.2, gt=0, le=1)
    """wsd (warm-up, stable, decay) only: the last part of the run, in which the rate falls."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of a player's gradient."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)

    @model_validator(mode="after")
    def _refuse_what_the_schedule_ignores(self) -> Self:
        ignored = {"decay_part": self.schedule != "wsd", "min_lr_ratio": self.schedule == "constant"}
        for name, is_ignored in ignored.items():
            if is_ignored and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"the schedule {self.schedule!r} has no {name}; leave it out or choose another schedule.")
        return self

    def build(self, module: nn.Module, parameters: Sequence[Parameter]) -> dict[str, torch.optim.Optimizer]:
        """Optimisers, by name, over those of `module`'s parameters that are listed."""
        hidden = hidden_matrices(module, parameters) if self.hidden == "muon" else []
        chosen = {id(p) for p in hidden}
        groups = parameter_groups(module, self.weight_decay, [p for p in parameters if id(p) not in chosen])
        built: dict[str, torch.optim.Optimizer] = {}
        if groups:
            built["adamw"] = torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, fused=True)
        if hidden:  # scaled to AdamW's usual step, so that one learning rate serves both (Liu et al. 2025, eq. 4)
            scale = "match_rms_adamw"
            muon = torch.optim.Muon if multiplies_bf16(hidden[0].device) else Muon32
            built["muon"] = muon(hidden, lr=self.lr, weight_decay=self.weight_decay, adjust_lr_fn=scale)
        return built


class Muon32(torch.optim.Muon):
    """torch's Muon (Jordan et al. 2024), but in 32 bits: torch's takes most of a step where 16 have no instructions.

    Settings, state and their names are torch's, so that a run may go on with either; learning rates are adjusted as AdamW's.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One step; a closure, which torch's takes, is not for this one."""
        assert closure is None
        for group in self.param_groups:
            assert group["adjust_lr_fn"] == "match_rms_adamw"
            for matrix in (parameter for parameter in group["params"] if parameter.grad is not None):
                momentum = self.state[matrix].setdefault("momentum_buffer", torch.zeros_like(matrix.grad))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum
                turn = orthogonal(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(turn, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonal(matrix: Float[Tensor, "n k"], coefficients: Sequence[float], steps: int, eps: float) -> Float[Tensor, "n k"]:
    """The matrix with all its singular values near 1, by Newton and Schulz' iteration of fifth order."""
    first, third, fifth = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(eps)  # no singular value beyond 1
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first)
    return x.T if tall else x


_NO_DECAY = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._BatchNorm)


def hidden_matrices(module: nn.Module, among: Sequence[Parameter]) -> list[Parameter]:
    """The weights of linear layers in repeated blocks: neither the first nor the last layer of a network is there."""
    blocks = [block for part in module.modules() if isinstance(part, nn.ModuleList) for block in part]
    linear = [layer for block in blocks for layer in block.modules() if isinstance(layer, nn.Linear)]
    hidden = {id(layer.weight) for layer in linear} & {id(p) for p in among if p.requires_grad}
    return [p for p in among if id(p) in hidden]


def parameter_groups(module: nn.Module, weight_decay: float, among: Sequence[Parameter] | None = None) -> list[dict[str, Any]]:
    """Two groups: matrices and kernels decay; biases, gains, scalars, embeddings, norms do not.  Frozen ones are left out."""
    wanted = {id(p) for p in (module.parameters() if among is None else among)}
    decay: list[Parameter] = []
    rest: list[Parameter] = []
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if id(parameter) in wanted and parameter.requires_grad:
                wanted.remove(id(parameter))  # a tied weight has several homes; the first decides
                (rest if parameter.ndim < 2 or isinstance(part, _NO_DECAY) else decay).append(parameter)
    groups = [{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def schedule(config: OptimConfig, step: int, total: float) -> float:
    """The factor on the learning rate at `step` (from 0) of `total`: linear warm-up, then the chosen curve."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = min(1.0, (step - config.warmup_steps) / max(1.0, total - config.warmup_steps))
    match config.schedule:
        case "constant":
            return 1.0
        case "linear":
            high = 1 - done
        case "cosine":
            high = 0.5 * (1 + math.cos(math.pi * done))
        case "wsd":
            high = min(1.0, (1 - done) / config.decay_part)
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * high


def clip_gradients(parameters: Sequence[Parameter], largest: float) -> float:
    """Scale the gradients so that their joint norm is at most `largest`; the norm before, which may be inf or nan."""
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not grads:
        return 0.0
    norm = nn.utils.get_total_norm(grads, foreach=True)
    nn.utils.clip_grads_with_norm_(parameters, largest, norm, foreach=True)
    return float(norm)


class EMA:
    """An exponential moving average of a module's trained parameters.

    The decay grows as (1 + n) / (10 + n) up to `decay`, so that the first weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self._live = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        live: list[Tensor] = [p.detach() for p in self._live.values()]
        torch._foreach_lerp_(list(self.average.values()), live, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module computes with the averages while the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, parameter in self._live.items():
            parameter.data, self.average[name] = self.average[name], parameter.data

    def state_dict(self) -> dict[str, Any]:
        return {"updates": self.updates, "average": dict(self.average)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        assert state["average"].keys() == self.average.keys()
        self.updates = state["updates"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)
