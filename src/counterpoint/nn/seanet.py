"""SEANet: the convolutional encoder and decoder of EnCodec (Defossez et al. 2022, section 3.1), channels first.

Each has three parts: what runs at the audio's rate and sees only a few frames around each sample, what remembers everything
before (the LSTM, at the frames' rate), and a convolution over frames.  All can work piece by piece: the first and the last
among their neighbours, the LSTM from the state in which it was left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

Pad = Literal["constant", "reflect"]


class Convolution(nn.Module):
    """A strided convolution that makes ceil(n / stride) of n samples; the ends are padded, on the left (causal) or both."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
        pad: Pad = "constant",
    ):
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation))
        self.stride = stride
        self.pad: Pad = pad
        missing = (kernel - 1) * dilation + 1 - stride
        self.left = missing if causal else missing - missing // 2
        self.right = missing - self.left

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b e t"]:
        ragged = -x.shape[-1] % self.stride
        return self.conv(_padded(x, self.left, self.right + ragged, self.pad))


def _padded(x: Tensor, left: int, right: int, pad: Pad) -> Tensor:
    """Padded at the ends; what is too short to be reflected is first made longer by silence."""
    if pad == "constant":
        return F.pad(x, (left, right))
    short = max(0, max(left, right) - x.shape[-1] + 1)
    padded = F.pad(F.pad(x, (0, short)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - short]


class Upsampling(nn.Module):
    """A transposed convolution that makes n * stride samples of n; its overhang is cut on the right (causal) or around."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, causal: bool = False):
        super().__init__()
        self.conv = weight_norm(nn.ConvTranspose1d(inputs, outputs, kernel, stride))
        overhang = kernel - stride
        self.right = overhang if causal else overhang // 2
        self.left = overhang - self.right

    def forward(self, x: Float[Tensor, "b c t"]) -> Float[Tensor, "b e n"]:
        y = self.conv(x)
        return y[..., self.left : y.shape[-1] - self.right]


class ResidualUnit(nn.Module):
    """Two convolutions through a narrow middle, added to the input, which goes round them as it is or by a 1 x 1."""

    def __init__(self, width: int, kernel: int, dilation: int, compress: int, shortcut: bool, causal: bool, pad: Pad):
        super().__init__()
        narrow = width // compress
        first = Convolution(width, narrow, kernel, dilation=dilation, causal=causal, pad=pad)
        second = Convolution(narrow, width, 1, causal=causal, pad=pad)
        self.block = nn.ModuleList([nn.ELU(), first, nn.ELU(), second])
        self.shortcut = Convolution(width, width, 1, causal=causal, pad=pad) if shortcut else nn.Identity()

    def forward(self, x: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        return self.shortcut(x) + _through(self.block, x)


State = tuple[Tensor, Tensor]
"""What an LSTM remembers: the hidden and the cell state, "layers b h" each."""


class Recurrence(nn.Module):
    """An LSTM over time, added to its input."""

    def __init__(self, width: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, x: Float[Tensor, "b c t"], state: State | None = None) -> tuple[Float[Tensor, "b c t"], State]:
        """`state` is that after what came before; with the output comes the one after `x`."""
        y, after = self.lstm(x.transpose(1, 2), state)
        return x + y.transpose(1, 2), after


def _through(layers: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _remember(layer: nn.Module, x: Tensor, state: State | None) -> tuple[Tensor, State | None]:
    return layer(x, state) if isinstance(layer, Recurrence) else (x, None)


class Encoder(nn.Module):
    """Audio "b c n" -> latents "b d t", t = ceil(n / product of the strides)."""

    def __init__(self, ratios: Sequence[int], channels: int, dim: int, filters: int, units: "Units"):
        """`ratios` are the decoder's, from frames to samples."""
        super().__init__()
        strides = list(reversed(ratios))
        widths = [filters * 2**i for i in range(len(strides) + 1)]
        layers: list[nn.Module] = [units.convolution(channels, filters, units.kernel)]
        for stride, (width, wider) in zip(strides, pairwise(widths), strict=True):
            layers += [*units.residual(width), nn.ELU(), units.convolution(width, wider, 2 * stride, stride)]
        self.turn = len(layers)
        layers += [*units.recurrence(widths[-1]), nn.ELU(), units.convolution(widths[-1], dim, units.last_kernel)]
        self.layers = nn.ModuleList(layers)
        self.reach = units.last_kernel - 1

    def forward(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b d t"]:
        """All three parts at once, as in training."""
        return self.last(self.remember(self.near(audio))[0])

    def near(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b h t"]:
        """The part at the audio's rate."""
        return _through(self.layers[: self.turn], audio)

    def remember(self, x: Float[Tensor, "b h t"], state: State | None = None) -> tuple[Float[Tensor, "b h t"], State | None]:
        """The LSTM, if there is one, and its state afterwards."""
        return _remember(self.layers[self.turn], x, state)

    def last(self, x: Float[Tensor, "b h t"]) -> Float[Tensor, "b d t"]:
        """The convolution over frames, which hears `reach` frames on either side at most."""
        return _through(self.layers[-2:], x)


class Decoder(nn.Module):
    """Latents "b d t" -> audio "b c n", n = t times the product of the strides."""

    def __init__(self, ratios: Sequence[int], channels: int, dim: int, filters: int, units: "Units"):
        super().__init__()
        widths = [filters * 2**i for i in range(len(ratios), -1, -1)]
        layers: list[nn.Module] = [units.convolution(dim, widths[0], units.kernel), *units.recurrence(widths[0])]
        self.turn = len(layers)
        self.reach = units.kernel - 1
        for stride, (width, narrower) in zip(ratios, pairwise(widths), strict=True):
            layers += [nn.ELU(), Upsampling(width, narrower, 2 * stride, stride, units.causal), *units.residual(narrower)]
        layers += [nn.ELU(), units.convolution(filters, channels, units.last_kernel)]
        self.layers = nn.ModuleList(layers)

    def forward(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b c n"]:
        """All three parts at once, as in training."""
        return self.near(self.remember(self.first(latents))[0])

    def first(self, latents: Float[Tensor, "b d t"]) -> Float[Tensor, "b h t"]:
        """The convolution over frames, which hears `reach` frames on either side at most."""
        return self.layers[0](latents)

    def remember(self, x: Float[Tensor, "b h t"], state: State | None = None) -> tuple[Float[Tensor, "b h t"], State | None]:
        """The LSTM, if there is one, and its state afterwards."""
        return _remember(self.layers[self.turn - 1], x, state)

    def near(self, x: Float[Tensor, "b h t"]) -> Float[Tensor, "b c n"]:
        """The part at the audio's rate."""
        return _through(self.layers[self.turn :], x)


@dataclass(frozen=True)
class Units:
    """The settings that all layers of an encoder and a decoder share, and the layers that follow from them."""

    kernel: int = 7
    last_kernel: int = 7
    residual_kernel: int = 3
    residuals: int = 1
    dilation: int = 2
    compress: int = 2
    shortcut: bool = False
    lstm: int = 2
    causal: bool = False
    pad: Pad = "constant"

    def reach(self, ratios: Sequence[int]) -> int:
        """Samples on either side, at most, that the near part of an encoder or decoder with these strides hears of."""
        residual = sum((self.residual_kernel - 1) * self.dilation**i for i in range(self.residuals))
        samples, stride = max(self.kernel, self.last_kernel), 1
        for ratio in reversed(ratios):
            samples += stride * (residual + 2 * ratio)
            stride *= ratio
        return samples

    def convolution(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> Convolution:
        """One layer of the shared padding."""
        return Convolution(inputs, outputs, kernel, stride, causal=self.causal, pad=self.pad)

    def residual(self, width: int) -> list[nn.Module]:
        """The residual units of one stage."""
        dilations = [self.dilation**i for i in range(self.residuals)]
        return [
            ResidualUnit(width, self.residual_kernel, dilation, self.compress, self.shortcut, self.causal, self.pad)
            for dilation in dilations
        ]

    def recurrence(self, width: int) -> list[nn.Module]:
        """The LSTM, if there is one."""
        return [Recurrence(width, self.lstm)] if self.lstm else []
