"""Weights into the module that they belong to, or a sentence on why they do not."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from counterpoint.hub.location import CONFIG


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, settings: str = CONFIG) -> None:
    """Put all tensors, as 32-bit floats, into a module just built, and set it to evaluation.

    `path` is where they come from, and `settings` where the module's sizes do.

    Raises ValueError where one is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    shapes = [name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape]
    if missing or extra or shapes:
        first = (missing or extra or sorted(shapes))[0]
        raise ValueError(
            f"{path} does not fit its {settings}: {len(missing)} tensors are missing, {len(extra)} unknown, {len(shapes)} "
            f"of another shape (first: {first}); fetch or save the checkpoint again."
        )
    module.load_state_dict(tensors)  # 16-bit floats become the module's own
    module.eval()
