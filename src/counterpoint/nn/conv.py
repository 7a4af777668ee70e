"""Convolutional networks over frames, `b t h` in and out."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then an MLP on each frame, added to the input (Liu et al. 2022, in 1-D)."""

    def __init__(self, width: int, kernel: int, expansion: int):
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, width * expansion)
        self.down = nn.Linear(width * expansion, width)

    def forward(self, x: Float[Tensor, "b t h"]) -> Float[Tensor, "b t h"]:
        mixed = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm(mixed))))


class ConvNeXt(nn.Module):
    """A stack of blocks between two projections; the last one starts at zero, so that a new network answers zero."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int, kernel: int = 7, expansion: int = 2):
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, kernel, expansion) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t e"]:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        return self.leave(self.norm(x))
