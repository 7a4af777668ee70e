"""An ear: hears music and reads words as vectors of one space, and names style, instruments, key and tempo.

The two towers learn from pairs that belong together, against all others of a batch (CLIP, Radford et al. 2021, figure 3; for
audio CLAP, Wu et al. 2023, section 2.1), with a temperature that is learnt; the names are learnt beside, from the same trunk.
Music is heard in three ways side by side: convolutions over seconds (timbre, texture), spectra of onset curves over the whole
crop (tempo, metre), and how much each band stands out on the mean (key, register).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from counterpoint.conditioners.words import Words, WordsConfig
from counterpoint.config import Config
from counterpoint.nn.conv import ConvNeXtBlock
from counterpoint.nn.notes import NotesConfig
from counterpoint.systems.base import Trainable
from counterpoint.types import Batch, Objective, Spec

KEYS = 24
SLOWEST, FASTEST, TEMPI = 60.0, 200.0, 12
"""Tempo classes are equal steps of the logarithm between these, each 11 % faster than the one before."""
TAGS = ("style", "instruments", "key", "tempo")
_STRIDE = 8  # frames of bands in a frame of the blocks
_KERNEL = 7  # frames that a block mixes
_PULSES = (0.5, 8.0)  # Hz between which onset curves are looked at
_SPECTRUM = 1024  # frames that an onset curve is padded to


class EarConfig(Config):
    """Sizes, and what can be named (both lists, and the vocabulary, are empty until they are learnt from the clips)."""

    kind: Literal["ear"] = "ear"
    front: NotesConfig = NotesConfig()
    width: int = Field(default=192, ge=4)
    blocks: int = Field(default=4, ge=1)
    dim: int = Field(default=256, ge=1)
    """Channels of the space in which music and words meet."""
    curves: int = Field(default=8, ge=1)
    """Onset curves whose spectra are taken."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    tags_weight: float = Field(default=0.5, ge=0)
    """Weight of the names' losses, each of which counts the same, beside the pairs' loss."""
    words: WordsConfig = WordsConfig(dim=128)
    styles: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()

    @staticmethod
    def tiny() -> "EarConfig":
        """Small enough for tests."""
        front = NotesConfig(sample_rate=8000, size=512, hop=160, lowest=110.0, octaves=4)
        return EarConfig(front=front, width=16, blocks=2, dim=16, curves=2, words=WordsConfig(dim=16, longest=16))

    def build(self) -> "Ear":
        return Ear(self)


@dataclass(frozen=True)
class Names:
    """Logits of what is heard; instruments are named each by itself, of the others one is right."""

    style: Float[Tensor, "b v"]
    instruments: Float[Tensor, "b w"]
    key: Float[Tensor, "b 24"]
    tempo: Float[Tensor, "b 12"]


def tempo_class(tempo: float) -> int:
    """The class of so many beats a minute; what is slower or faster than all belongs to the first or the last."""
    place = math.log(tempo / SLOWEST) / math.log(FASTEST / SLOWEST) * TEMPI
    return min(max(math.floor(place), 0), TEMPI - 1)


class Ear(Trainable):
    """See the module's docstring.  `mean` and `std` are those of the bands it was trained on."""

    def __init__(self, config: EarConfig) -> None:
        super().__init__()
        self.config = config
        self.front = config.front.build()
        self.register_buffer("mean", torch.zeros(config.front.bands))
        self.register_buffer("std", torch.ones(config.front.bands))
        self.listener = Listener(config)
        self.reader = Reader(config)
        self.vector = nn.Linear(self.listener.out, config.dim)
        self.names = nn.ModuleDict(
            {
                "style": nn.Linear(self.listener.out, len(config.styles)),
                "instruments": nn.Linear(self.listener.out, len(config.instruments)),
                "key": nn.Linear(self.listener.out, KEYS),
                "tempo": nn.Linear(self.listener.out, TEMPI),
            }
        )
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # CLIP's start of its learnt temperature

    def normalise_by(self, mean: Float[Tensor, " m"], std: Float[Tensor, " m"]) -> None:
        """Take the statistics of the bands."""
        self.get_buffer("mean").copy_(mean)
        self.get_buffer("std").copy_(std)

    def hear(self, frames: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b h"]:
        """All that is heard of each clip; `mask` marks real frames."""
        mask = torch.ones(frames.shape[:2], dtype=torch.bool, device=frames.device) if mask is None else mask
        whitened = (frames - self.get_buffer("mean")) / self.get_buffer("std")
        return self.listener(whitened * mask[..., None], mask)

    def place(self, heard: Float[Tensor, "b h"]) -> Float[Tensor, "b v"]:
        """Unit vectors of what was heard, in the space of the words."""
        return F.normalize(self.vector(heard).float(), dim=-1)

    def read(self, texts: list[str | None]) -> Float[Tensor, "b v"]:
        """Unit vectors of texts."""
        return F.normalize(self.reader(texts).float(), dim=-1)

    def name(self, heard: Float[Tensor, "b h"]) -> Names:
        """What was heard, in logits."""
        return Names(*(self.names[tag](heard).float() for tag in TAGS))

    def objectives(self, batch: Batch) -> list[Objective]:
        if batch.frames is None:
            raise ValueError("An ear learns from frames of bands, and this batch has none; give it clips with captions.")
        heard = self.hear(batch.frames, batch.mask)
        pairs = self._pairs(heard, batch.values["text"])
        named = self._named(self.name(heard), batch.values)
        loss = pairs + self.config.tags_weight * sum(named.values(), torch.zeros_like(pairs))
        logs = {"pairs": pairs.item(), **{tag: part.item() for tag, part in named.items()}}
        return [Objective("main", loss, {**logs, "temperature": (-self.sharpness).exp().item()})]

    def _pairs(self, heard: Float[Tensor, "b h"], texts: list[str | None]) -> Float[Tensor, ""]:
        """Which text belongs to which sound, asked in both directions (CLIP); a text is no wrong answer to itself."""
        told = [i for i, text in enumerate(texts) if text is not None]
        if len(told) < 2:
            return heard.sum() * 0.0
        right = torch.eye(len(told), dtype=torch.bool, device=heard.device)
        same = torch.tensor([[texts[i] == texts[j] for j in told] for i in told], device=heard.device)
        cosines = self.place(heard[told]) @ self.read([texts[i] for i in told]).T
        logits = (self.sharpness.clamp(max=math.log(100.0)).exp() * cosines).masked_fill(same & ~right, -torch.inf)
        target = torch.arange(len(told), device=heard.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    def _named(self, names: Names, values: Any) -> dict[str, Float[Tensor, ""]]:
        """The loss of each tag, over the clips that have it."""
        config, device = self.config, names.key.device
        styles = {style: i for i, style in enumerate(config.styles)}
        classes = {
            "style": [styles.get(style) for style in values.get("style", [])],
            "key": values.get("key", []),
            "tempo": [None if tempo is None else tempo_class(tempo) for tempo in values.get("tempo", [])],
        }
        losses: dict[str, Tensor] = {}
        for tag, column in classes.items():
            told = [i for i, number in enumerate(column) if number is not None]
            if told:
                target = torch.tensor([column[i] for i in told], device=device)
                losses[tag] = F.cross_entropy(getattr(names, tag)[told], target)
        played = values.get("instruments", [])
        told = [i for i, instruments in enumerate(played) if instruments is not None]
        if told and config.instruments:
            target = torch.tensor([[float(name in played[i]) for name in config.instruments] for i in told], device=device)
            losses["instruments"] = _NAMES_AT_ONCE * F.binary_cross_entropy_with_logits(names.instruments[told], target)
        return losses


_NAMES_AT_ONCE = 10.0  # the mean over all instruments, most of which are absent, is so much smaller than the other losses


class Listener(nn.Module):
    """Whitened bands -> one vector for each clip."""

    def __init__(self, config: EarConfig) -> None:
        super().__init__()
        width, bands = config.width, config.front.bands
        self.config = config
        self.first = nn.Conv1d(bands, width, kernel_size=7, stride=_STRIDE // 2, padding=3)
        self.second = nn.Conv1d(width, width, kernel_size=5, stride=2, padding=2)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, _KERNEL, expansion=2) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        self.onsets = nn.Linear(bands, config.curves)
        self.pulses = _reshaper(
            config.curves * (_pulse_bins(config.front.rate).stop - _pulse_bins(config.front.rate).start), width
        )
        self.tones = _reshaper(bands, 2 * width)
        reach = 3 * config.front.per_semitone
        near = (torch.arange(bands) - torch.arange(bands)[:, None]).abs() <= reach
        self.register_buffer("near", near / near.sum(0, keepdim=True), persistent=False)  # m m
        self.out = 2 * width
        self.join = nn.Sequential(nn.Linear(5 * width, self.out), nn.GELU(), nn.Dropout(config.dropout))

    def forward(self, x: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h"]:
        return self.join(torch.cat((self._texture(x, mask), self._pulse(x, mask), self._tone(x, mask)), dim=-1))

    def _texture(self, x: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h2"]:
        """What the blocks hear: their frames' mean, and the largest value of each channel."""
        halfway, real = mask[:, :: _STRIDE // 2], mask[:, ::_STRIDE, None]
        y = F.gelu(self.first(x.transpose(1, 2))) * halfway[:, None]
        y = F.gelu(self.second(y)).transpose(1, 2) * real  # b t h
        for block in self.blocks:
            y = block(y) * real
        y = self.norm(y)
        mean = (y * real).sum(1) / real.sum(1).clamp_min(1)
        return torch.cat((mean, y.masked_fill(~real, -1e4).amax(1)), dim=-1)

    def _pulse(self, x: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h"]:
        """How strongly curves of onsets, sums of bands, recur at each rate: their spectra, whatever the phase."""
        between = mask[:, 1:, None] & mask[:, :-1, None]
        rising = F.relu(torch.diff(self.onsets(x).float(), dim=1)) * between  # b t c
        count = between.sum(1, keepdim=True).clamp_min(1)
        curves = (rising - rising.sum(1, keepdim=True) / count) * between
        spectrum = torch.fft.rfft(curves[:, :_SPECTRUM], n=_SPECTRUM, dim=1).abs() / count.sqrt()
        return self.pulses(spectrum[:, _pulse_bins(self.config.front.rate)].add(0.1).log().flatten(1))

    def _tone(self, x: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b h2"]:
        """How much each band stands out from its neighbours, on the mean."""
        out = F.relu(x - x @ self.get_buffer("near")) * mask[..., None]
        return self.tones(out.sum(1) / mask.sum(1, keepdim=True).clamp_min(1))


def _pulse_bins(rate: float) -> slice:
    """Bins of an onset curve's spectrum that are looked at."""
    low, high = (round(pulse * _SPECTRUM / rate) for pulse in _PULSES)
    return slice(low, high)


def _reshaper(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(inputs), nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))


class Reader(nn.Module):
    """Texts -> one vector each: words among their neighbours, their mean and the largest value of each channel."""

    def __init__(self, config: EarConfig) -> None:
        super().__init__()
        self.words = Words(config.words, config.width)
        self.join = nn.Linear(2 * config.width, config.width)
        self.out = nn.Linear(config.width, config.dim)

    def forward(self, texts: list[str | None]) -> Float[Tensor, "b v"]:
        told = self.words(texts, _NO_SPEC, 1)
        assert told.context is not None and told.mask is not None
        y, real = F.gelu(told.context), told.mask[..., None]
        mean = (y * real).sum(1) / real.sum(1)
        return self.out(F.gelu(self.join(torch.cat((mean, y.masked_fill(~real, -1e4).amax(1)), dim=-1))))


_NO_SPEC = Spec(rate=1.0, dim=1)  # words are the same for all frames
