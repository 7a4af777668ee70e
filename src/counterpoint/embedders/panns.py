"""CNN14 of the PANNs (Kong et al. 2020, arXiv 1912.10211, table II): names 527 sounds of AudioSet, or embeds.

A sound is heard 10 s at a time, as AudioCraft's KL does: a last part of 0.15 s or less is left out.  Probabilities are the
softmax of the outputs, though the network was trained with a sigmoid for each: a KL needs rows that sum to 1.
"""

import csv
from pathlib import Path

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.embedders import weights
from counterpoint.embedders.base import Embedder, Tagger, checked
from counterpoint.embedders.windows import consecutive

RATE, WINDOW, HOP, BANDS = 32000, 1024, 320, 64
LABELS = "class_labels_indices.csv"
"""AudioSet's own list; where it lies beside the weights, labels have names."""
_SHORTEST = 0.15
_LEAST = RATE
"""Samples that a part is filled up to: the network halves 32 frames of 10 ms to one."""
_FLOOR = 1e-10


class Block(nn.Module):
    """Two convolutions, each normalised and rectified."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, x: Float[Tensor, "b c t m"]) -> Float[Tensor, "b e t m"]:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Network(nn.Module):
    """Sound -> vector and outputs; the names are those of the published file, whose mel filters are used too."""

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.register_buffer("mel", torch.zeros(WINDOW // 2 + 1, BANDS))
        self.bn0 = nn.BatchNorm2d(BANDS)
        self.blocks = nn.ModuleList(Block(before, after) for before, after in zip((1, *widths[:-1]), widths, strict=True))
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        self.fc_audioset = nn.Linear(widths[-1], classes)

    def forward(self, audio: Float[Tensor, "b n"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b v"]]:
        x = self.bn0(self.spectrum(audio).transpose(1, 3)).transpose(1, 3)
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number < len(self.blocks):
                x = F.avg_pool2d(x, 2)
        over_bands = x.mean(3)  # b c t
        vector = F.relu(self.fc1(over_bands.amax(2) + over_bands.mean(2)))
        return vector, self.fc_audioset(vector)

    def spectrum(self, audio: Float[Tensor, "b n"]) -> Float[Tensor, "b 1 t m"]:
        """Mel powers in dB, frames centred, the sound mirrored at its ends."""
        window = torch.hann_window(WINDOW)
        found = torch.stft(audio, WINDOW, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
        power = found.real.square() + found.imag.square()  # b f t
        bands = power.transpose(1, 2) @ self.get_buffer("mel")
        return 10 * bands.clamp_min(_FLOOR).log10()[:, None]


class Panns(Embedder, Tagger):
    """Both at once: 2048 numbers, and a distribution over the labels, for each 10 s."""

    name = "panns"
    version = "1"
    sample_rate = RATE

    def __init__(self, place: Path) -> None:
        file = weights.file_of(place)
        tensors = _ours(weights.read(file))
        convolutions = [
            tensors[name] for name in sorted(tensors) if name.startswith("blocks.") and name.endswith("conv2.weight")
        ]
        output = tensors.get("fc_audioset.weight")
        if output is None or not convolutions:
            raise ValueError(f"{file} holds no CNN14; give the published Cnn14_mAP=0.431.pth.")
        with torch.device("meta"):
            network = Network(tuple(len(weight) for weight in convolutions), len(output))
        self.network = network.to_empty(device="cpu")
        weights.fill(self.network, tensors, file)
        self.dim = output.shape[1]
        self.labels = _labels(file.parent / LABELS, len(output))
        self.digest = weights.digest([file])

    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        return torch.cat([vector for vector, _ in self._heard(audio)]).numpy()

    def probabilities(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t v"]:
        return torch.cat([output for _, output in self._heard(audio)]).double().softmax(1).numpy()

    @torch.inference_mode()
    def _heard(self, audio: Tensor) -> list[tuple[Tensor, Tensor]]:
        parts = consecutive(checked(audio), 10 * RATE, round(_SHORTEST * RATE) + 1)
        return [self.network(F.pad(part, (0, max(0, _LEAST - len(part))))[None]) for part in parts]


def _ours(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published names as ours; the file's own Fourier matrices are not needed."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("spectrogram_extractor.")}
    parts = {"logmel_extractor.melW": "mel", **{f"conv_block{number}.": f"blocks.{number - 1}." for number in range(1, 10)}}
    return {weights.renamed(name, parts): tensor for name, tensor in kept.items()}


def _labels(file: Path, count: int) -> tuple[str, ...]:
    if not file.is_file():
        return tuple(f"label {number}" for number in range(count))
    with file.open(encoding="utf-8", newline="") as content:
        names = tuple(row["display_name"] for row in csv.DictReader(content) if row.get("display_name"))
    if len(names) != count:
        raise ValueError(f"{file} names {len(names)} labels, but the network has {count}; give the list that belongs to it.")
    return names
