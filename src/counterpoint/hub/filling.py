"""Weights into the module that they belong to, or a sentence on why they do not."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from counterpoint.hub.location import CONFIG

Filled = Callable[[str], None]
"""Called with the name of a layer as soon as all its numbers are there, such as "backbone.blocks.3.expand"."""


class Unset(TorchFunctionMode):
    """A context in which modules are built whose random first weights are not drawn, as others are about to take their place.

    That takes no time, and no memory before they are written.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def fill(
    module: nn.Module,
    parts: Iterable[Mapping[str, Tensor]],
    path: Path,
    settings: str = CONFIG,
    filled: Filled | None = None,
) -> None:
    """Put all tensors, as the module's own kind of numbers, into a module just built, and set it to evaluation.

    They come in `parts` (`weights.by_layer`), of which one is there at a time.  `path` is where they come from, and `settings`
    where the module's sizes do.  Raises ValueError where one is missing, unknown or of another shape.
    """
    waiting, unknown, misshapen = dict(module.state_dict()), list[str](), list[str]()
    for tensors in parts:
        for name, tensor in tensors.items():
            if (own := waiting.pop(name, None)) is None:
                unknown.append(name)
            elif own.shape != tensor.shape:
                misshapen.append(name)
            else:
                own.copy_(tensor)
        layers = {name.rpartition(".")[0] for name in tensors}
        own, tensor, tensors = None, None, {}  # so that memory is free when a layer is told of, and when the next is read
        if filled is not None and not unknown and not misshapen:
            _tell(filled, layers, waiting)
    if waiting or unknown or misshapen:
        first = min(waiting or unknown or misshapen)
        raise ValueError(
            f"{path} does not fit its {settings}: {len(waiting)} tensors are missing, {len(unknown)} unknown, {len(misshapen)} "
            f"of another shape (first: {first}); fetch or save the checkpoint again."
        )
    module.eval()


def _tell(filled: Filled, layers: Iterable[str], waiting: Mapping[str, Tensor]) -> None:
    short = {name.rpartition(".")[0] for name in waiting}
    for layer in layers:
        if layer not in short:
            filled(layer)
