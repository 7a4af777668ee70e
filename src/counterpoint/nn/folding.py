"""A codec made fit for use alone, whose weights no longer change: what follows from them is computed once."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from counterpoint.nn.seanet import Upsampling

M = TypeVar("M", bound=nn.Module)


def fold(module: M) -> M:
    """The module, changed in place: norms of weights are multiplied into them, and Upsamplings become Products.

    What is not as it was has no state to save any more, and says so.
    """
    layers = list(module.modules())
    for layer in layers:
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight")
    for layer in layers:
        for name, child in list(layer.named_children()):
            if isinstance(child, Upsampling) and _two_strides(child.conv):
                layer.add_module(name, Product(child))
    if any(isinstance(layer, Product) for layer in module.modules()):
        module.register_state_dict_pre_hook(_refuse)
    return module


def _refuse(*_: object) -> None:
    raise ValueError("A codec that was made fit for use alone cannot be saved; load it again, and save that.")


def _two_strides(conv: nn.Module) -> bool:
    return isinstance(conv, nn.ConvTranspose1d) and conv.kernel_size[0] == 2 * conv.stride[0]


class Product(nn.Module):
    """What an Upsampling makes whose kernel is two strides, as one product of matrices, at which a CPU is faster: every sample
    is a weighted sum of the frame before it and the one after."""

    def __init__(self, plain: Upsampling):
        super().__init__()
        conv = plain.conv
        assert isinstance(conv, nn.ConvTranspose1d) and conv.bias is not None
        self.stride, self.left, self.right = conv.stride[0], plain.left, plain.right
        own, next_ = conv.weight.detach().split(self.stride, dim=2)  # i o s: for a frame's own samples, and the next frame's
        bias = conv.bias.detach().repeat_interleave(self.stride)
        self.register_buffer("matrix", rearrange([next_, own], "two i o s -> (o s) (two i)").contiguous(), persistent=False)
        self.register_buffer("bias", bias[:, None], persistent=False)

    def forward(self, x: Float[Tensor, "b c t"]) -> Float[Tensor, "b e n"]:
        pairs = torch.cat((F.pad(x, (1, 0)), F.pad(x, (0, 1))), dim=1)  # b (two c) t + 1
        matrix, bias = (self.get_buffer(name).expand(len(x), -1, -1) for name in ("matrix", "bias"))
        y = rearrange(torch.baddbmm(bias, matrix, pairs), "b (e s) t -> b e (t s)", s=self.stride)
        return y[..., self.left : y.shape[-1] - self.right]
