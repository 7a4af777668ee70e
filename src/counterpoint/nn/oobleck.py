"""Oobleck: the convolutional encoder and decoder of Stable Audio's VAE (Evans et al. 2024, "Fast Timing-Conditioned Latent
Audio Diffusion"), channels first; and the Gaussian between them.

Layers hear a bounded stretch of the signal and nothing else, so that both halves can work piece by piece among neighbours.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

_DILATIONS = (1, 3, 9)  # of the residual units of a stage
_KERNEL = 7
_LAST_KERNEL = 3  # of the encoder


class Snake(nn.Module):
    """x + sin(a x)^2 / b, with a and b of each channel kept as logarithms (Ziyin et al. 2020; b as in BigVGAN's SnakeBeta)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b h t"]) -> Float[Tensor, "b h t"]:
        frequency, height = self.alpha.exp()[:, None], (self.beta.exp() + 1e-9).reciprocal()[:, None]
        return x + height * torch.sin(frequency * x).square()


class ResidualUnit(nn.Module):
    """A dilated convolution and one over a single position, each after a Snake, added to the input."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        around = (_KERNEL - 1) * dilation // 2
        wide = weight_norm(nn.Conv1d(width, width, _KERNEL, dilation=dilation, padding=around))
        self.block = nn.Sequential(Snake(width), wide, Snake(width), weight_norm(nn.Conv1d(width, width, 1)))

    def forward(self, x: Float[Tensor, "b h t"]) -> Float[Tensor, "b h t"]:
        return x + self.block(x)


def _residual(width: int) -> list[nn.Module]:
    return [ResidualUnit(width, dilation) for dilation in _DILATIONS]


def _overhang(stride: int) -> int:
    """Padding at either end of a strided layer, whose kernel is two strides long: half a stride, rounded up."""
    return -(-stride // 2)


class Encoder(nn.Module):
    """Audio "b c n" -> what "b e t" tells of frames, t = ceil(n / product of the strides)."""

    def __init__(self, strides: Sequence[int], widths: Sequence[int], channels: int, outputs: int):
        """`widths` are the channels after each stage; the first stage keeps those that it begins with."""
        super().__init__()
        self.hop = math.prod(strides)
        layers: list[nn.Module] = [_convolution(channels, widths[0], _KERNEL)]
        for stride, (width, wider) in zip(strides, pairwise([widths[0], *widths]), strict=True):
            down = weight_norm(nn.Conv1d(width, wider, 2 * stride, stride, _overhang(stride)))
            layers += [*_residual(width), Snake(width), down]
        layers += [Snake(widths[-1]), _convolution(widths[-1], outputs, _LAST_KERNEL)]
        self.layers = nn.Sequential(*layers)

    def forward(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b e t"]:
        return self.layers(F.pad(audio, (0, -audio.shape[-1] % self.hop)))

    @torch.no_grad()
    def begin_with(self, deviation: float) -> None:
        """Have the Gaussians' deviations, see `gaussian`, begin near this one."""
        last = self.layers[-1]
        assert isinstance(last, nn.Conv1d) and last.bias is not None
        last.bias.chunk(2)[1].fill_(math.log(math.expm1(deviation - 1e-4)))


class Decoder(nn.Module):
    """Latents "b d t" -> audio "b c n", n = t times the product of the strides, or, with `compat`, a little less.

    `strides` and `widths` are those of the encoder.
    """

    def __init__(self, strides: Sequence[int], widths: Sequence[int], channels: int, dim: int, compat: bool = False):
        """`compat` leaves out the sample that a layer with an odd stride is short of, as other implementations do."""
        super().__init__()
        layers: list[nn.Module] = [_convolution(dim, widths[-1], _KERNEL)]
        for stride, (width, narrower) in zip(reversed(strides), pairwise([*reversed(widths), widths[0]]), strict=True):
            more = 0 if compat else stride % 2
            up = weight_norm(nn.ConvTranspose1d(width, narrower, 2 * stride, stride, _overhang(stride), more))
            layers += [Snake(width), up, *_residual(narrower)]
        layers += [Snake(widths[0]), _convolution(widths[0], channels, _KERNEL, bias=False)]
        self.layers = nn.Sequential(*layers)

    def forward(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b c n"]:
        return self.layers(latents)


def _convolution(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Module:
    return weight_norm(nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=bias))


def encoder_field(strides: Sequence[int]) -> tuple[int, int]:
    """Samples that a frame hears: before its own first one, and after its own last one."""
    first, last = -(_LAST_KERNEL // 2), _LAST_KERNEL // 2
    for stride in reversed(strides):
        pad = _overhang(stride)
        first, last = first * stride - pad, last * stride - pad + 2 * stride - 1
        first, last = first - _residual_reach(), last + _residual_reach()
    around = _KERNEL // 2
    return around - first, last + around - (math.prod(strides) - 1)


def decoder_field(strides: Sequence[int]) -> tuple[int, int]:
    """Frames that a frame's own samples hear: before it, and after it."""
    around = _KERNEL // 2
    first, last = -around, math.prod(strides) - 1 + around
    for stride in strides:
        pad = _overhang(stride)
        first, last = first - _residual_reach(), last + _residual_reach()
        first, last = -((2 * stride - 1 - first - pad) // stride), (last + pad) // stride
    return around - first, last + around


def _residual_reach() -> int:
    return sum((_KERNEL - 1) * dilation // 2 for dilation in _DILATIONS)


def gaussian(told: Float[Tensor, "b e t"]) -> tuple[Float[Tensor, "b d t"], Float[Tensor, "b d t"]]:
    """Mean and deviation of the latents, from what the encoder tells of them (e = 2 d); a deviation is never below 1e-4."""
    mean, scale = told.chunk(2, dim=1)
    return mean, F.softplus(scale) + 1e-4


def divergence(mean: Float[Tensor, "b d t"], deviation: Float[Tensor, "b d t"]) -> Float[Tensor, ""]:
    """How far the latents' distribution is from the standard normal one: a sum over channels, a mean over items and frames.

    Twice the Kullback-Leibler divergence: the factor 1/2 is left out, as in Stable Audio, whose weights belong to that.
    """
    variance = deviation.square()
    return (mean.square() + variance - variance.log() - 1).sum(1).mean()
