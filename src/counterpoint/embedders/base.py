"""What every ear is: mono audio at its own rate in, numbers out, and a name that pins those numbers down.

Three things can come out: frames of vectors (`Embedder`), probabilities of labels (`Tagger`), ratings (`Rater`).
"""

import abc
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound


class Ear(abc.ABC):
    """What listens.  `identity` names it so that two reports with one identity compare: "vggish 1 (sha256 0f3a91c2)"."""

    name: str
    version: str
    """Raised whenever the same sound would get other numbers."""
    digest: str
    """The start of the SHA-256 of the weights; "" where there are none."""
    sample_rate: int

    @property
    def identity(self) -> str:
        weights = f" (sha256 {self.digest})" if self.digest else ""
        return f"{self.name} {self.version}{weights}"

    def hear(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Float32[Tensor, " m"]:
        """A sound of any channels and rate as this ear takes it: the mean of its channels, at its own rate.

        Raises ValueError as `checked` does.
        """
        return self.at_own_rate(checked(audio.mean(0)), sample_rate)

    def at_own_rate(self, audio: Float32[Tensor, " n"], sample_rate: int) -> Float32[Tensor, " m"]:
        """A mono sound at this ear's rate; soxr's high quality, unless a recipe asks for its own filter."""
        return sound.resample(audio[None], sample_rate, self.sample_rate)[0]


class Embedder(Ear):
    """An ear that turns a sound into vectors."""

    dim: int

    @abc.abstractmethod
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        """Frames of a mono sound at `sample_rate`; the same whatever was embedded before.  At least one frame.

        Raises ValueError as `checked` does.
        """


class TextEmbedder(Embedder):
    """An ear that also reads: cosine of a text's and a sound's vector says how well they match."""

    @abc.abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Float[ndarray, "b {self.dim}"]:
        """One vector of unit length a text, whatever texts are beside it."""

    @abc.abstractmethod
    def embed_clip(self, audio: Float[Tensor, " n"]) -> Float[ndarray, " {self.dim}"]:
        """One vector of unit length for a whole sound of any length: the mean over windows, normalised again."""


class Tagger(Ear):
    """An ear that names what it hears: one distribution over `labels` for each window of a sound."""

    labels: tuple[str, ...]

    @abc.abstractmethod
    def probabilities(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t v"]:
        """Rows that each sum to 1 (softmax), one a window."""


class Rater(Ear):
    """An ear that judges: one figure an axis for a whole sound."""

    axes: tuple[str, ...]

    @abc.abstractmethod
    def ratings(self, audio: Float[Tensor, " n"]) -> Float[ndarray, " v"]:
        """The figures of a mono sound at `sample_rate`, in the order of `axes`."""


def checked(audio: Float[Tensor, " n"]) -> Float32[Tensor, " n"]:
    """The sound in 32 bits on the CPU.  Raises ValueError where it is empty or holds values that are not numbers."""
    if not len(audio):
        raise ValueError("The sound has no samples; leave it out or give one that is longer than nothing.")
    if not bool(torch.isfinite(audio).all()):
        raise ValueError("The sound holds values that are not numbers; make it anew or leave it out.")
    return audio.detach().to("cpu", torch.float32)
