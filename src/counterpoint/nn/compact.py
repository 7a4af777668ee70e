"""Matrices in few bits, and their product with a few vectors.

What makes one frame after another is bound by how fast its weights are read, so that half the bits are twice the speed.
Weights take 32 or 16 bits as floats, 8 with one scale for each row, or 4 with a scale and an offset for every 32 of a row; what
they are multiplied with is never rounded to fewer than 16 bits.
"""

from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Precision = Literal["fp32", "bf16", "int8", "int4"]
FLOATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
GROUP = 32
"""Weights of a row that share a scale where they have 4 bits."""
FEW = 4
"""Vectors up to which a product is bound by reading the matrix."""


class Matrix(NamedTuple):
    """Weights "n k" and what they are multiplied with: nothing, a scale for each row (8 bits), or scales and offsets "g n 2"
    for each group (4 bits, packed two to a byte)."""

    weight: Tensor
    scale: Tensor | None


def compact(weight: Float[Tensor, "n k"], precision: Precision) -> Matrix:
    """A matrix in so many bits.  One whose shape the kernel of 4 bits does not take has 8."""
    if precision in FLOATS:
        return Matrix(weight.to(FLOATS[precision]).contiguous(), None)
    if precision == "int4" and weight.shape[0] % 64 == 0 and weight.shape[1] % GROUP == 0:
        return _four_bits(weight.float())
    scale = weight.float().abs().amax(1).clamp_min(1e-12) / 127
    return Matrix((weight.float() / scale[:, None]).round().to(torch.int8), scale)


def _four_bits(weight: Float[Tensor, "n k"]) -> Matrix:
    groups = weight.unflatten(1, (-1, GROUP))  # n g 32
    low, high = groups.amin(-1, keepdim=True), groups.amax(-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-12).bfloat16().float()
    middle = (low + 8 * scale).bfloat16().float()  # what the kernel adds: a weight is (whole - 8) * scale + middle
    whole = ((groups - middle) / scale + 8).round().clamp(0, 15).flatten(1).int()
    told = torch.stack((scale[..., 0].T, middle[..., 0].T), dim=-1)  # g n 2
    return Matrix(torch.ops.aten._convert_weight_to_int4pack_for_cpu(whole, 1), told.bfloat16().contiguous())


def multiply(x: Float[Tensor, "r k"], matrix: Matrix) -> Float[Tensor, "r n"]:
    """x W^T as 32-bit floats."""
    weight, scale = matrix
    if weight.dtype == torch.uint8:
        return torch.ops.aten._weight_int4pack_mm_for_cpu(x.bfloat16(), weight, GROUP, scale).float()
    if len(x) <= FEW and torch.compiler.is_compiling():
        product = _row_by_row(x, weight)
    elif weight.dtype == torch.int8:
        product = F.linear(x.bfloat16(), weight.bfloat16()).float()
    else:
        product = F.linear(x.to(weight.dtype), weight).float()
    return product if scale is None else product * scale


def _row_by_row(x: Float[Tensor, "r k"], weight: Float[Tensor, "n k"]) -> Float[Tensor, "r n"]:
    """The product as sums that torch's compiler fuses into one loop over the matrix, which is read once for all of x.

    Libraries' products of two rows reach a quarter to a half of the memory's speed, these sums nearly all of it
    (benchmarks/products.py).  Two halves of the matrix side by side keep more sums in flight.
    """
    x = x.float().as_strided(x.shape, (x.shape[1], 1))  # stored: else what makes x is computed anew for every row of the matrix
    halves = weight.chunk(2) if len(weight) % 2 == 0 else (weight,)
    return torch.stack([torch.cat([(half.float() * row).sum(-1) for half in halves]) for row in x.unbind()])


class Compact(nn.Module):
    """A linear layer with a matrix in few bits; x and what comes out are 32-bit floats."""

    def __init__(self, linear: nn.Linear, precision: Precision, compiled: bool = False) -> None:
        """`compiled`: the product with a few vectors is compiled by itself."""
        super().__init__()
        matrix = compact(linear.weight.detach(), precision)
        self.register_buffer("weight", matrix.weight, persistent=False)
        self.register_buffer("scale", matrix.scale, persistent=False)
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().float(), requires_grad=False)
        self._multiply = torch.compile(multiply, dynamic=False, options=COMPILING) if compiled else multiply

    @property
    def matrix(self) -> Matrix:
        return Matrix(self.get_buffer("weight"), self._buffers["scale"])

    def forward(self, x: Float[Tensor, "*b k"]) -> Float[Tensor, "*b n"]:
        rows = x.reshape(-1, x.shape[-1])
        product = (self._multiply if len(rows) <= FEW else multiply)(rows, self.matrix)
        product = product.reshape(*x.shape[:-1], -1)
        return product if self.bias is None else product + self.bias


COMPILING: dict[str, Any] = {"cpp.enable_floating_point_contract_flag": "fast", "size_asserts": False}
"""For torch's compiler: products are added to sums in one operation, and shapes, which are guarded, not checked again."""
