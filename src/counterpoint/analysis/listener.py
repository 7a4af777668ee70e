"""A small network that hears beats, drums, chords, key and tune in a spectrum; decoders make music of its guesses.

What hears pitch is built so that music a semitone higher gives the same answers a semitone higher: convolutions along
the scale, with the harmonics of each pitch laid beside it (harmonic stacking: Bittner et al. 2022, "A lightweight
instrument-agnostic model for polyphonic note transcription"), then a fold of the octaves into pitch classes and
convolutions round their circle.  What hears rhythm is a temporal convolutional network with dilations (Davies and Böck
2019, "Temporal convolutional networks for musical audio beat tracking").
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load
from torch import Tensor, nn

from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.analysis.spectrum import BANDS, DIVISIONS, LOWEST_PITCH, PITCHES

QUALITIES = ("maj", "min", "maj7", "min7", "7", "maj6", "hdim7", "dim7")
"""Chord qualities that are told apart; a chord's class is root * len(QUALITIES) + quality."""
NO_CHORD = 12 * len(QUALITIES)
CHORD_CLASSES = NO_CHORD + 1
DRUMS = ("kick", "snare", "hat", "any")
TUNE = HIGHEST - LOWEST + 2
"""Melody classes: 0 for none, then the pitches from LOWEST."""
MELODY_STEP, CHORD_STEP = 2, 4
"""Spectrum frames for one frame of the melody's, and of the chords', guesses."""
HARMONICS = (-12, 0, 12, 19, 24, 28, 31, 36)
"""Semitones from a pitch to the places that tell whether it sounds: an octave below, and its partials."""
OCTAVES = PITCHES // 12


@dataclass(frozen=True)
class Guesses:
    """Logits for a batch.  `pulse` is (beat, down-beat), `drums` as DRUMS; chords, melody and key are classes.

    `key` is tonic * 2 + (1 for minor), told of the whole.
    """

    pulse: Float[Tensor, "b 2 t"]
    drums: Float[Tensor, "b 4 t"]
    chords: Float[Tensor, "b 97 t4"]
    melody: Float[Tensor, "b 54 t2"]
    key: Float[Tensor, "b 24"]


@lru_cache
def load_listener() -> "Listener":
    """The network with the weights in the package (`shipped/listener`), ready to be asked."""
    packed = (resources.files("counterpoint") / "shipped" / "listener" / "model.safetensors").read_bytes()
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in load(packed).items()}
    listener = Listener()
    listener.load_state_dict(tensors)
    return listener.eval().requires_grad_(False)


class Listener(nn.Module):
    """Spectra in, guesses out."""

    def __init__(self, tones: int = 16, classes: int = 32, width: int = 56) -> None:
        super().__init__()
        stacked = DIVISIONS * len(HARMONICS)
        self.tones = nn.ModuleList(
            [_plane(stacked, tones, 1), _plane(tones, tones, 1), _plane(tones, tones, 2), _plane(tones, tones, 4)]
        )
        self.fold = nn.Sequential(nn.Conv2d(tones * OCTAVES, classes, 1, bias=False), nn.BatchNorm2d(classes), nn.ReLU())
        self.circles = nn.ModuleList([_Circle(classes), _Circle(classes)])
        self.quality = nn.Conv2d(classes, len(QUALITIES), 1)
        self.no_chord = nn.Linear(classes, 1)
        self.key = nn.Sequential(_Circle(2 * classes + len(QUALITIES), 48), nn.Conv2d(48, 2, 1))
        self.salience = nn.Conv2d(tones, 1, 1)
        self.summary = nn.Conv2d(tones, 4, 1)
        self.register = nn.Sequential(nn.Conv1d(4 * PITCHES, 64, 5, padding=2), nn.ReLU(), nn.Conv1d(64, TUNE, 1))
        self.struck = nn.Sequential(nn.Conv1d(2 * BANDS, 48, 5, padding=2), nn.BatchNorm1d(48), nn.ReLU())
        self.plucked = nn.Sequential(nn.Conv1d(PITCHES, 24, 3, padding=1), nn.BatchNorm1d(24), nn.ReLU())
        self.joined = nn.Conv1d(48 + 24 + classes, width, 1)
        self.times = nn.ModuleList([_Dilated(width, 2**power) for power in range(8)])
        self.drums = nn.Conv1d(width, len(DRUMS), 1)
        self.pulse = nn.Conv1d(width, 2, 1)

    def forward(self, spectrum: Float[Tensor, "b 288 t"]) -> Guesses:
        """Guesses for spectra of at least one frame; rates are those of the spectrum over MELODY_STEP and CHORD_STEP."""
        length = spectrum.shape[-1]
        padded = F.pad(spectrum, (0, -length % CHORD_STEP))
        scale, bands = padded[:, : PITCHES * DIVISIONS], padded[:, PITCHES * DIVISIONS :]
        tones = self._tones(scale)
        chords, colours = self._chords(tones)
        pulse, drums = self._rhythm(scale, bands, colours)
        melody = self._melody(tones)[..., : -(-length // MELODY_STEP)]
        return Guesses(pulse[..., :length], drums[..., :length], chords, melody, self._key(chords, colours))

    def _tones(self, scale: Float[Tensor, "b p t"]) -> Float[Tensor, "b k 84 t2"]:
        slower = F.avg_pool1d(scale, MELODY_STEP).unflatten(1, (PITCHES, DIVISIONS)).transpose(1, 2)  # b 3 p t2
        x = torch.cat([_shifted(slower, step) for step in HARMONICS], dim=1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.tones[0](x)
        for layer in list(self.tones)[1:]:
            x = x + layer(x)
        return x

    def _chords(self, tones: Float[Tensor, "b k p t2"]) -> tuple[Tensor, Tensor]:
        """Chord logits "b v t4", and what is heard of each pitch class "b k 12 t4"."""
        slower = 0.5 * (tones[..., ::2] + tones[..., 1::2])  # pooling would copy into another layout
        colours = self.fold(slower.unflatten(2, (OCTAVES, 12)).flatten(1, 2))
        for circle in self.circles:
            colours = colours + circle(colours)
        qualities = self.quality(colours).transpose(1, 2).flatten(1, 2)  # b 12 q t4 -> b v t4
        nothing = self.no_chord(colours.mean(2).transpose(1, 2)).transpose(1, 2)
        return torch.cat([qualities, nothing], dim=1), colours

    def _key(self, chords: Float[Tensor, "b v t4"], colours: Float[Tensor, "b k 12 t4"]) -> Float[Tensor, "b 24"]:
        shares = chords.softmax(1)[:, :NO_CHORD].mean(2).unflatten(1, (12, len(QUALITIES))).transpose(1, 2)
        told = torch.cat([colours.mean(3), colours.amax(3), shares], dim=1)
        return self.key(told[..., None])[..., 0].transpose(1, 2).flatten(1)

    def _melody(self, tones: Float[Tensor, "b k p t2"]) -> Float[Tensor, "b 54 t2"]:
        low = LOWEST - LOWEST_PITCH
        salience = self.salience(tones)[:, 0, low : low + TUNE - 1]
        return F.pad(salience, (0, 0, 1, 0)) + self.register(self.summary(tones).flatten(1, 2))

    def _rhythm(self, scale: Tensor, bands: Tensor, colours: Tensor) -> tuple[Tensor, Tensor]:
        """Logits "b 2 t" of beat and down-beat, "b 4 t" of drums."""
        struck = self.struck(torch.cat([bands, _rise(bands)], dim=1))
        plucked = self.plucked(F.max_pool1d(_rise(scale).transpose(1, 2), DIVISIONS).transpose(1, 2))
        around = F.pad(colours, (1, 1, 0, 0), mode="replicate")
        change = (around[..., 2:] - around[..., :-2]).abs().mean(2).repeat_interleave(CHORD_STEP, dim=2)
        x = self.joined(torch.cat([struck, plucked, change], dim=1))
        for layer in list(self.times)[:3]:
            x = layer(x)
        drums = self.drums(x)
        for layer in list(self.times)[3:]:
            x = layer(x)
        return self.pulse(x), drums


class _Circle(nn.Module):
    """Convolution round the twelve pitch classes, then along time: "b k 12 t" to "b l 12 t"."""

    def __init__(self, channels: int, out: int | None = None) -> None:
        super().__init__()
        out = channels if out is None else out
        self.round = nn.Conv2d(channels, out, (12, 1), bias=False)
        self.normed = nn.BatchNorm2d(out)
        self.along = nn.Sequential(nn.Conv2d(out, out, (1, 7), padding=(0, 3), bias=False), nn.BatchNorm2d(out), nn.ReLU())

    def forward(self, x: Float[Tensor, "b k 12 t"]) -> Float[Tensor, "b l 12 t"]:
        circled = torch.cat([x, x[:, :, :11]], dim=2)
        return self.along(F.relu(self.normed(self.round(circled))))


class _Dilated(nn.Module):
    """One residual layer of the temporal network."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 5, padding=2 * dilation, dilation=dilation, bias=False)
        self.normed = nn.BatchNorm1d(width)

    def forward(self, x: Float[Tensor, "b h t"]) -> Float[Tensor, "b h t"]:
        return x + F.relu(self.normed(self.conv(x)))


def _plane(channels: int, out: int, dilation: int) -> nn.Module:
    conv = nn.Conv2d(channels, out, 3, padding=(1, dilation), dilation=(1, dilation), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU())


def _shifted(x: Float[Tensor, "b c p t"], semitones: int) -> Float[Tensor, "b c p t"]:
    """What lies `semitones` above each pitch; nothing beyond the ends of the scale."""
    if semitones >= 0:
        return F.pad(x[:, :, semitones:], (0, 0, 0, semitones))
    return F.pad(x[:, :, :semitones], (0, 0, -semitones, 0))


def _rise(x: Float[Tensor, "b c t"]) -> Float[Tensor, "b c t"]:
    """How much louder each bin is than one frame ago; nothing in the first frame."""
    return F.pad((x[..., 1:] - x[..., :-1]).clamp(min=0), (1, 0))
