"""Matrices in few bits, and their product with a few vectors.

What makes one frame after another is bound by how fast its weights are read, so that half the bits are twice the speed.
Weights take 32 or 16 bits as floats, 8 with one scale for each row, or 4 with a scale and a least value for every 32 of a row;
what they are multiplied with is never rounded to fewer than 16 bits.
"""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from counterpoint.machine import multiplies_bf16
from counterpoint.nn import native

Precision = Literal["fp32", "bf16", "int8", "int4"]
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
GROUP = native.BLOCK
"""Weights of a row that share a scale where they have 4 bits."""
ROWS = 128
"""Of a matrix that are made smaller at a time: copies of all of them would be what takes the most memory in loading."""
FEW = 8
"""Vectors up to which a product is bound by reading the matrix."""


class Matrix(NamedTuple):
    """Weights "n k" and what they are multiplied with: nothing, a scale for each row (8 bits), or scales and least
    values "n g 2" of groups (4 bits; byte j of a group holds weight j in its low half and weight j + 16 in its high one)."""

    weight: Tensor
    scale: Tensor | None


def compact(weight: Float[Tensor, "n k"], precision: Precision) -> Matrix:
    """A matrix in so many bits.  One whose rows are no whole groups has 8 where 4 are asked for."""
    if precision in FLOATS:
        return Matrix(weight.to(FLOATS[precision]).contiguous(), None)
    if precision == "int4" and weight.shape[1] % GROUP == 0:
        made = [_four_bits(rows.float()) for rows in weight.split(ROWS)]
    else:
        made = [_eight_bits(rows.float()) for rows in weight.split(ROWS)]
    weights, scales = zip(*made, strict=True)
    return Matrix(torch.cat(weights), torch.cat(scales))


def _eight_bits(weight: Float[Tensor, "n k"]) -> tuple[Tensor, Tensor]:
    scale = weight.abs().amax(1).clamp_min(1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


def _four_bits(weight: Float[Tensor, "n k"]) -> tuple[Tensor, Tensor]:
    groups = weight.unflatten(1, (-1, GROUP))  # n g 32
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-12).bfloat16().float()
    low = low.bfloat16().float()
    whole = ((groups - low) / scale).round().clamp(0, 15).to(torch.uint8)
    first, second = whole.chunk(2, dim=-1)
    return (first | second << 4).flatten(1), torch.cat((scale, low), dim=-1).bfloat16()


def restored(matrix: Matrix) -> Float[Tensor, "n k"]:
    """The weights as floats again, but for the scales of rows."""
    weight, scale = matrix
    if weight.dtype != torch.uint8 or scale is None:
        return weight.to(torch.bfloat16 if weight.dtype == torch.int8 and multiplies_bf16(weight.device) else torch.float32)
    bytes_ = weight.unflatten(1, (-1, GROUP // 2))
    whole = torch.cat((bytes_ & 15, bytes_ >> 4), dim=-1).float()  # n g 32
    return (whole * scale[..., :1].float() + scale[..., 1:].float()).flatten(1)


def multiply(x: Float[Tensor, "r k"], matrix: Matrix | native.Packed) -> Float[Tensor, "r n"]:
    """x W^T as 32-bit floats."""
    if isinstance(matrix, native.Packed):
        return native.product(x, matrix)
    weight, scale = matrix
    if len(x) <= FEW and torch.compiler.is_compiling() and weight.dtype != torch.uint8:
        product = _row_by_row(x, weight)
    elif weight.dtype in FLOATS.values():
        product = F.linear(x.to(weight.dtype), weight).float()
    else:
        whole = restored(matrix)
        product = F.linear(x.to(whole.dtype), whole).float()
    return product * scale if weight.dtype == torch.int8 and scale is not None else product


def _row_by_row(x: Float[Tensor, "r k"], weight: Float[Tensor, "n k"]) -> Float[Tensor, "r n"]:
    """The product as sums that torch's compiler fuses into one loop over the matrix, which is read once for all of x."""
    x = x.float().as_strided(x.shape, (x.shape[1], 1))  # stored: else what makes x is computed anew for every row of the matrix
    return torch.stack([(weight.float() * row).sum(-1) for row in x.unbind()])


class Compact(nn.Module):
    """A linear layer with a matrix in few bits; x and what comes out are 32-bit floats."""

    def __init__(self, linear: nn.Linear, precision: Precision, natively: bool = False) -> None:
        """`natively`: it is multiplied by `native`, on a CPU."""
        super().__init__()
        self.precision: Precision = precision
        self.natively = natively
        weight, scale = compact(linear.weight.detach(), precision)
        self._sizes = (linear.out_features, linear.in_features) if natively else None
        if natively:
            weight, scale, *_ = native.pack(weight, scale)
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scale", scale, persistent=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().float(), requires_grad=False)

    @property
    def matrix(self) -> Matrix | native.Packed:
        weight, scale = self.get_buffer("weight"), self._buffers["scale"]
        return Matrix(weight, scale) if self._sizes is None else native.Packed(weight, scale, *self._sizes)

    def forward(self, x: Float[Tensor, "*b k"]) -> Float[Tensor, "*b n"]:
        product = multiply(x.reshape(-1, x.shape[-1]), self.matrix).reshape(*x.shape[:-1], -1)
        return product if self.bias is None else product + self.bias


COMPILING: dict[str, Any] = {"size_asserts": False}
"""For torch's compiler: shapes, which are guarded, are not checked again."""
