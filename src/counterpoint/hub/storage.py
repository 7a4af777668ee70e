"""How many bits a checkpoint's numbers take on disk: 32, 16, or 8 for the matrices and 16 for the rest.

A matrix `name` of 8 bits is two tensors: `name.int8`, whole numbers from -127 to 127, and `name.scale`, one 32-bit float for
each of its rows (its first axis: outputs, or entries of a table); their product is the matrix.  The scale is the row's largest
magnitude / 127: the one of least squared error makes that error hardly smaller (`benchmarks/results/storage.md`).
"""

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor

Bits = Literal[32, 16, 8]
INT8, SCALE = ".int8", ".scale"
LARGE, LONG = 4096, 16
"""Numbers of a matrix, and of its rows, below which 8 bits save nothing that matters."""


def pack(tensors: Mapping[str, Tensor], bits: Bits, exact: Collection[str] = ()) -> dict[str, Tensor]:
    """Copies on the CPU, as they are stored; whole numbers, and with 32 bits all, stay as they are.

    `exact` names those that never take 8 bits: statistics and codebooks.  Raises ValueError where a number cannot be stored.
    """
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        if bits == 32 or not kept.is_floating_point():
            packed[name] = kept
        elif bits == 16 or name in exact or not _is_matrix(kept):
            packed[name] = _stored(name, kept, kept.half())
        else:
            packed[name + SCALE] = scale = _stored(name, kept, _scale(kept.float()))
            packed[name + INT8] = (kept.float() / scale).round().to(torch.int8)
    return packed


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `pack` was given, but for rounding.  Halves without their other half stay, for their reader to complain of."""
    unpacked = dict(tensors)
    for name in [name.removesuffix(INT8) for name in tensors if name.endswith(INT8)]:
        whole, scale = tensors[name + INT8], tensors.get(name + SCALE)
        if scale is not None and whole.dtype == torch.int8 and scale.shape == _column(whole):
            unpacked[name] = whole.float() * scale
            del unpacked[name + INT8], unpacked[name + SCALE]
    return unpacked


def _is_matrix(tensor: Tensor) -> bool:
    return tensor.ndim >= 2 and tensor.numel() >= LARGE and tensor[0].numel() >= LONG


def _column(tensor: Tensor) -> tuple[int, ...]:
    """The shape of one number a row: "rows 1", "rows 1 1", ..."""
    return (*tensor.shape[:1], *(1 for _ in tensor.shape[1:]))


def _scale(matrix: Tensor) -> Tensor:
    largest = matrix.abs().flatten(1).amax(1).reshape(_column(matrix))
    return torch.where(largest == 0, 1.0, largest / 127)


def _stored(name: str, tensor: Tensor, stored: Tensor) -> Tensor:
    if not bool(torch.isfinite(stored).all()):
        raise ValueError(
            f"{name} holds {tensor.abs().max().item():g}, which 16-bit floats cannot; store 32 bits, or train anew."
        )
    return stored
