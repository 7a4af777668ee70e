"""VGGish as the toolkit fadtk hears it, which most Frechet distances of papers were measured with.

Hershey et al. 2017 (arXiv 1609.09430) on log-mel patches of 0.96 s; of the two published ways to end, the raw one: neither
the PCA and 8 bits of AudioSet's release, nor the rectifier behind the last layer (Gui et al. 2023, arXiv 2311.01616).
The recipe was defined on 16-bit files at 16 kHz, so sound goes through 16 bits here.  fadtk then keeps its vectors as 16-bit
floats; ours stay as they are, which moves a distance in its third decimal.
"""

import math
from functools import lru_cache
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, Float32, Float64
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.embedders import weights
from counterpoint.embedders.base import Embedder, checked
from counterpoint.embedders.windows import through_16_bits

RATE, WINDOW, FFT, HOP = 16000, 400, 512, 160
BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0
PATCH = 96
"""Spectral frames that the network sees at once; patches do not overlap, and what fills none is left out."""
WIDTH = 4096
"""Of the layers between the last map and the vector."""
_FLOOR = 0.01
_BATCH = 16
"""Patches that go through the network together: memory does not grow with a sound's length."""


class Network(nn.Module):
    """Log-mel patches -> vectors; the names are those of the published file (torchvggish, Apache-2.0)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for block in ((64,), (128,), (256, 256), (512, 512)):
            for channels in block:
                layers += [nn.Conv2d(before, channels, 3, padding=1), nn.ReLU()]
                before = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        flat = before * (PATCH // 16) * (BANDS // 16)
        hidden = [nn.Linear(flat, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU()]
        self.embeddings = nn.Sequential(*hidden, nn.Linear(WIDTH, 128))

    def forward(self, patches: Float[Tensor, "b t m"]) -> Float[Tensor, "b d"]:
        maps = self.features(patches[:, None])
        return self.embeddings(rearrange(maps, "b c t m -> b (t m c)"))


class VGGish(Embedder):
    """128 numbers for each 0.96 s; a sound under 1 s is filled up with silence."""

    name = "vggish"
    version = "1"
    sample_rate = RATE
    dim = 128

    def __init__(self, place: Path) -> None:
        file = weights.file_of(place)
        tensors = {name: tensor for name, tensor in weights.read(file).items() if not name.startswith("pproc.")}
        with torch.device("meta"):
            self.network = Network()
        self.network.to_empty(device="cpu")
        weights.fill(self.network, tensors, file)
        self.digest = weights.digest([file])

    def at_own_rate(self, audio: Float32[Tensor, " n"], sample_rate: int) -> Float32[Tensor, " m"]:
        return resample(audio, sample_rate, RATE)

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        found = [self.network(part) for part in patches(checked(audio)).float().split(_BATCH)]
        return torch.cat(found).numpy()


def patches(audio: Float[Tensor, " n"]) -> Float64[Tensor, "b t m"]:
    """What the network sees of a sound at 16 kHz: a 10 s clip makes ten patches."""
    coarse = through_16_bits(audio.double(), 32768, rounded=True)
    filled = F.pad(coarse, (0, max(0, RATE - len(coarse))))
    window = torch.hann_window(WINDOW, dtype=torch.float64)
    magnitudes = torch.fft.rfft(filled.unfold(0, WINDOW, HOP) * window, FFT).abs()  # t f
    bands = (magnitudes @ mel_weights().T + _FLOOR).log()  # t m
    whole = len(bands) // PATCH
    return bands[: whole * PATCH].view(whole, PATCH, BANDS)


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def mel_weights() -> Float64[Tensor, "m f"]:
    """Triangles of height 1 that are straight on the mel scale and not in Hz."""
    low, high = (1127 * math.log1p(hertz / 700) for hertz in (LOWEST, HIGHEST))
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    position = 1127 * torch.log1p(torch.arange(FFT // 2 + 1, dtype=torch.float64) * (RATE / FFT / 700))
    rising = (position - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - position) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0)


def resample(audio: Float32[Tensor, " n"], from_rate: int, to_rate: int) -> Float32[Tensor, " m"]:
    """The recipe's own filter: a sinc that is cut off at 0.9476 of the lower half rate, under a Kaiser window of 64 zeros.

    Output sample k is the sum over n of x[n] h(k / to_rate - n / from_rate) with h(t) = c / from_rate sinc(c t)
    I0(b sqrt(1 - (c t / 64)^2)) / I0(b), where c is the cut-off as a rate and the sound is zero outside.
    """
    if from_rate == to_rate:
        return audio
    shared = math.gcd(from_rate, to_rate)
    old, new = from_rate // shared, to_rate // shared
    reach = math.ceil(_ZEROS * old / (min(old, new) * _ROLLOFF))
    kernels = _kernels(old, new, reach).to(audio)
    padded = F.pad(audio, (reach, reach + old))
    found = F.conv1d(padded[None, None], kernels[:, None], stride=old)[0]  # phase, step
    return found.T.flatten()[: math.ceil(len(audio) * new / old)].contiguous()


_ZEROS, _ROLLOFF, _BETA = 64, 0.9475937167399596, 14.769656459379492


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _kernels(old: int, new: int, reach: int) -> Float64[Tensor, "p w"]:
    """One filter for each of the `new` positions that an output can have between `old` inputs."""
    cutoff = min(old, new) * _ROLLOFF
    inputs = torch.arange(-reach, reach + old, dtype=torch.float64) / old
    outputs = torch.arange(new, dtype=torch.float64) / new
    crossings = ((inputs - outputs[:, None]) * cutoff).clamp(-_ZEROS, _ZEROS)
    inside = (1 - (crossings / _ZEROS).square()).sqrt()
    window = torch.special.i0(_BETA * inside) / torch.special.i0(torch.tensor(_BETA, dtype=torch.float64))
    return torch.sinc(crossings) * window * (cutoff / old)
