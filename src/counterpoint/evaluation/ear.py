"""The ear that ships as an embedder and as a tagger: a text score, labels for KL and inception score, without a download.

Its numbers compare only with its own (see its card).  A sound is heard in windows of 10 s, one after the other; the last one
ends with the sound, and a shorter sound is one window.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint.embedders.base import Tagger, TextEmbedder
from counterpoint.hub import checkpoint
from counterpoint.music import Key
from counterpoint.systems.ear import FASTEST, KEYS, SLOWEST, TEMPI, Ear, Names

SHIPPED = "ear-tiny"
WINDOW_SECONDS = 10.0
WINDOWING = 2
"""Raised whenever windows are cut in another way: a part of the identity."""

Tag = Literal["style", "key", "tempo"]


class EarEmbedder(TextEmbedder):
    """An ear as what places sounds and texts in one space; `embed` gives a unit vector for each window."""

    def __init__(self, source: str | Path = SHIPPED) -> None:
        """Raises ValueError where `source` is no ear: a shipped name, a folder, or a Hub id that was typed."""
        self.ear, manifest = checkpoint.load_ear(source)
        self.name, self.version, self.digest = Path(source).name, f"{manifest.version}.{WINDOWING}", manifest.weights[:8]
        self.sample_rate, self.dim = manifest.capability.sample_rate, self.ear.config.dim

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        return self.ear.place(_heard(self.ear, audio)).numpy().astype(np.float64)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[ndarray, "b {self.dim}"]:
        return torch.cat([self.ear.read([text]) for text in texts]).numpy().astype(np.float64)

    def embed_clip(self, audio: Float[Tensor, " n"]) -> Float[ndarray, " {self.dim}"]:
        mean = self.embed(audio).mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)


class EarTagger(Tagger):
    """An ear as what names styles (by default), keys or classes of tempo; instruments are named each by itself."""

    def __init__(self, source: str | Path = SHIPPED, tag: Tag = "style") -> None:
        """Raises ValueError where `source` is no ear, or one that has learnt no styles."""
        self.ear, manifest = checkpoint.load_ear(source)
        self.name, self.digest = f"{Path(source).name} {tag}", manifest.weights[:8]
        self.version = f"{manifest.version}.{WINDOWING}"
        self.sample_rate, self.tag = manifest.capability.sample_rate, tag
        self.labels = labels(self.ear, tag)
        if not self.labels:
            raise ValueError(f"{str(source)!r} has learnt no {tag}; train it on clips that state one, or ask for another tag.")

    @torch.inference_mode()
    def probabilities(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t v"]:
        names = self._names(audio)
        logits = {"style": names.style, "key": names.key, "tempo": names.tempo}[self.tag]
        return logits.double().softmax(-1).numpy()

    @torch.inference_mode()
    def instruments(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t w"]:
        """The chance of each of `ear.config.instruments` to play in each window."""
        return self._names(audio).instruments.double().sigmoid().numpy()

    def _names(self, audio: Float[Tensor, " n"]) -> Names:
        return self.ear.name(_heard(self.ear, audio))


def labels(ear: Ear, tag: Tag) -> tuple[str, ...]:
    """What the columns of a tag stand for: styles, keys ("A minor"), or the slowest tempo of each class ("120 bpm")."""
    if tag == "style":
        return ear.config.styles
    if tag == "key":
        return tuple(Key(number % 12, "minor" if number >= 12 else "major").name for number in range(KEYS))
    return tuple(f"{SLOWEST * (FASTEST / SLOWEST) ** (number / TEMPI):.0f} bpm" for number in range(TEMPI))


def windows(audio: Float[Tensor, " n"], length: int) -> list[Float[Tensor, " _"]]:
    """Parts of `length` samples, one after the other, the last one at the end; a shorter sound as it is.

    What is longer by a hundredth is heard without its last moments: mp3 files last a little longer than they should.
    """
    last = max(0, len(audio) - length)
    if last <= 0.01 * length:
        return [audio[:length]]
    return [audio[start : start + length] for start in [*range(0, last, length), last]]


def _heard(ear: Ear, audio: Float[Tensor, " n"]) -> Float[Tensor, "t h"]:
    """What the ear hears of each window, each by itself.  Raises ValueError for what is no sound."""
    if not len(audio):
        raise ValueError("There is no sound to judge: it has no samples; give a file that is longer than nothing.")
    if not bool(torch.isfinite(audio).all()):
        raise ValueError("The sound holds values that are not numbers; make it anew.")
    length = round(WINDOW_SECONDS * ear.config.front.sample_rate)
    return torch.cat([ear.hear(ear.front(part[None])) for part in windows(audio, length)])
