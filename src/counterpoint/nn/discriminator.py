"""EnCodec's discriminator: small networks that look at complex spectra of several window sizes (Defossez et al. 2022, 3.4)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from counterpoint.nn.spectral import unit_window

_SLOPE = 0.3  # of the leaky ReLU
_DILATIONS = (1, 2, 4)  # in time, of the layers that halve the frequencies

Judgement = tuple[list[Tensor], list[list[Tensor]]]
"""Logits of each network, above 0 where the sound seems real, and what its layers saw on the way."""


class SpectrogramDiscriminator(nn.Module):
    """Convolutions over time and frequency; real and imaginary parts are the channels."""

    window: Tensor

    def __init__(self, size: int, channels: int = 1, width: int = 32):
        """Looks at windows of `size` samples that hop by a quarter, with `width` channels in every layer."""
        super().__init__()
        self.size = size
        self.register_buffer("window", unit_window(size), persistent=False)
        layers = [_convolution(2 * channels, width, (3, 9))]
        layers += [_convolution(width, width, (3, 9), (1, 2), (dilation, 1)) for dilation in _DILATIONS]
        layers += [_convolution(width, width, (3, 3))]
        self.layers = nn.ModuleList(layers)
        self.last = _convolution(width, 1, (3, 3))

    def forward(self, audio: Float[Tensor, "b c n"]) -> tuple[Float[Tensor, "b 1 t f"], list[Tensor]]:
        """Logits, and what each layer made."""
        x, features = self.spectrum(audio), []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), _SLOPE)
            features.append(x.float())
        return self.last(x).float(), features

    def spectrum(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b e t f"]:
        """The spectrum of windows that lie whole within the audio: the channels' real parts, then the imaginary ones."""
        with torch.autocast(audio.device.type, enabled=False):
            parts = torch.stft(
                audio.float().flatten(0, 1), self.size, self.size // 4,
                window=self.window, center=False, return_complex=True,
            )  # fmt: skip
        spectrum = parts.unflatten(0, audio.shape[:2]).transpose(2, 3)  # b c t f
        return torch.cat([spectrum.real, spectrum.imag], dim=1)


def _convolution(
    inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1), dilation: tuple[int, int] = (1, 1)
) -> nn.Module:
    """As many outputs as inputs, over the stride.

    Every layer's weight is normalised; the reference leaves that out of each network's first layer, by an oversight.
    """
    around = ((kernel[0] - 1) * dilation[0] // 2, (kernel[1] - 1) * dilation[1] // 2)
    return weight_norm(nn.Conv2d(inputs, outputs, kernel, stride, around, dilation))


class SpectrogramDiscriminators(nn.Module):
    """One discriminator for each window size."""

    def __init__(self, sizes: Sequence[int] = (1024, 2048, 512, 256, 128), channels: int = 1, width: int = 32):
        super().__init__()
        self.judges = nn.ModuleList(SpectrogramDiscriminator(size, channels, width) for size in sizes)

    def forward(self, audio: Float[Tensor, "b c n"]) -> Judgement:
        """What each of them thinks and sees; the audio is at least as long as the longest window."""
        logits, features = zip(*(judge(audio) for judge in self.judges), strict=True)
        return list(logits), list(features)
