"""What every embedder is: mono audio at its own rate in, frames of vectors out, and a name that pins down its numbers."""

import abc
from collections.abc import Sequence

from jaxtyping import Float
from numpy import ndarray
from torch import Tensor


class Embedder(abc.ABC):
    """An ear.  `identity` names it so that two reports with one identity compare: "vggish 1 (sha256 0f3a91c2)"."""

    name: str
    version: str
    """Raised whenever the same sound would get other numbers."""
    digest: str
    """The start of the SHA-256 of the weights; "" where there are none."""
    sample_rate: int
    dim: int

    @property
    def identity(self) -> str:
        weights = f" (sha256 {self.digest})" if self.digest else ""
        return f"{self.name} {self.version}{weights}"

    @abc.abstractmethod
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        """Frames of a mono sound at `sample_rate`; the same whatever was embedded before.  At least one frame."""


class TextEmbedder(Embedder):
    """An ear that also reads: cosine of a text's and a sound's vector says how well they match."""

    @abc.abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Float[ndarray, "b {self.dim}"]:
        """One vector of unit length a text, whatever texts are beside it."""

    @abc.abstractmethod
    def embed_clip(self, audio: Float[Tensor, " n"]) -> Float[ndarray, " {self.dim}"]:
        """One vector of unit length for a whole sound of any length: the mean over windows, normalised again."""


class Tagger(abc.ABC):
    """An ear that names what it hears: one distribution over `labels` for each window of a sound."""

    name: str
    version: str
    digest: str
    sample_rate: int
    labels: tuple[str, ...]

    @property
    def identity(self) -> str:
        weights = f" (sha256 {self.digest})" if self.digest else ""
        return f"{self.name} {self.version}{weights}"

    @abc.abstractmethod
    def probabilities(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t v"]:
        """Rows that each sum to 1 (softmax), one a window."""
