"""A batch whose loss was not finite, kept as one file that can be looked at again.

    bad = load_bad_batch(Path("runs/mine/train/bad-batch-0000120.safetensors"))
    system.load_state_dict(bad.weights)
    bad.objectives(system)  # the loss that was not finite, again

The file is of safetensors: the batch's tensors, the weights that met it, and, as JSON in its header, all that is plain.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from counterpoint import parallel
from counterpoint.files import renamed
from counterpoint.parallel import Place
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective, Roll

_WEIGHTS = "weights."


@dataclass(frozen=True)
class BadBatch:
    """What a step was about to learn from, and the weights that it had (buffers as that forward pass left them)."""

    batch: Batch
    weights: dict[str, Tensor]
    step: int
    draws: int
    """Seed of torch's global generator, from which dropout draws."""
    losses: dict[str, str]
    """By objective: "nan", "inf", "-inf" or a number."""
    precision: str
    left_out: list[str]
    """Values that could not be kept, such as "text.3"; None stands in their places."""

    def objectives(self, system: Trainable) -> list[Objective]:
        """The losses of this batch on the CPU, under the weights of `system`, with the draws that it had."""
        torch.manual_seed(self.draws)
        system.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            return system.objectives(self.batch)


@dataclass(frozen=True)
class Suspect:
    """One forward pass of a step, until its losses are known to be finite."""

    batch: Batch
    losses: dict[str, Tensor]
    draws: int

    def is_bad(self) -> bool:
        return not all(bool(torch.isfinite(loss).all()) for loss in self.losses.values())


def refuse(suspects: list[Suspect], system: Trainable, step: int, precision: str, out: Path, place: Place) -> None:
    """Raises ValueError, in every process, where a loss of any process is not finite; its batch is kept in `out` before."""
    bad = next((suspect for suspect in suspects if suspect.is_bad()), None)
    rank = f"-process-{place.rank}" if place.world > 1 else ""
    path = out / f"bad-batch-{step:07d}{rank}.safetensors"
    if not parallel.any_of(bad is not None, place):  # asked before saving, which a full disk may end: the others wait here
        return
    todo = "mend the data or begin anew with a lower optim.lr; the last saved state is as it was."
    if bad is None:
        raise ValueError(f"The loss of step {step} is not finite in another process, which keeps its batch in {out}: {todo}")
    _save(path, bad, system, step, precision)
    name, loss = next((name, loss) for name, loss in bad.losses.items() if not torch.isfinite(loss).all())
    raise ValueError(
        f"The loss {name!r} of step {step} is {loss.item()}: its batch and the weights are kept in {path} "
        f"(counterpoint.bad_batch.load_bad_batch reads it); {todo}"
    )


def _save(path: Path, bad: Suspect, system: Trainable, step: int, precision: str) -> None:
    tensors = {_WEIGHTS + name: tensor for name, tensor in system.state_dict().items()}
    parts = {"audio": bad.batch.audio, "frames": bad.batch.frames, "mask": bad.batch.mask}
    tensors |= {name: tensor for name, tensor in parts.items() if tensor is not None}
    left_out: list[str] = []
    values = {name: _plain(name, column, tensors, left_out) for name, column in bad.batch.values.items()}
    losses = {name: str(loss.item()) for name, loss in bad.losses.items()}
    story = {"step": step, "draws": bad.draws, "losses": losses, "precision": precision, "left_out": left_out}
    header = {"bad-batch": json.dumps({**story, "seeds": bad.batch.seeds, "values": values})}
    whole = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    with renamed(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(whole, header))


def _plain(name: str, column: list[Any], tensors: dict[str, Tensor], left_out: list[str]) -> list[Any]:
    """Values as JSON knows them; arrays and painted scores go into `tensors`, and what is neither into `left_out`."""
    kept: list[Any] = []
    for i, value in enumerate(column):
        key = f"values.{name}.{i}"
        if isinstance(value, Roll):
            tensors |= {f"{key}.frames": torch.from_numpy(value.frames), f"{key}.vector": torch.from_numpy(value.vector)}
            kept.append({"roll": key})
        elif isinstance(value, Tensor | np.ndarray):
            tensors[key] = torch.as_tensor(value)
            kept.append({"array" if isinstance(value, np.ndarray) else "tensor": key})
        elif value is None or isinstance(value, str | bool | int | float):
            kept.append(value)
        else:
            left_out.append(f"{name}.{i}")
            kept.append(None)
    return kept


def load_bad_batch(path: Path) -> BadBatch:
    """What training kept when a loss was not finite.  Raises ValueError where the file is no such thing."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            story = json.loads((file.metadata() or {})["bad-batch"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path} is no batch that training kept, or is cut short; give the file that its error named."
        ) from error
    values = {name: [_value(part, tensors) for part in column] for name, column in story.pop("values").items()}
    parts = {name: tensors.get(name) for name in ("audio", "frames", "mask")}
    weights = {name.removeprefix(_WEIGHTS): tensor for name, tensor in tensors.items() if name.startswith(_WEIGHTS)}
    return BadBatch(Batch(story.pop("seeds"), **parts, values=values), weights, **story)


def _value(kept: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(kept, dict):
        return kept
    [(kind, key)] = kept.items()
    if kind == "roll":
        return Roll(tensors[f"{key}.frames"].numpy(), tensors[f"{key}.vector"].numpy())
    return tensors[key].numpy() if kind == "array" else tensors[key]
