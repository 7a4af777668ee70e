"""What every codec is: audio in, frames out, and back; tokens are a second view of the frames."""

import abc
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from counterpoint.types import Spec


class Codec(nn.Module, abc.ABC):
    """Audio "b c n" <-> continuous frames "b t d" <-> tokens "b k t".

    Any n samples make ceil(n / hop) frames with hop = sample_rate / spec.rate, and `decode(frames, samples=n)` gives n back.
    An item's frames do not depend on the items beside it.
    """

    spec: Spec
    sample_rate: int
    channels: int

    @property
    def hop(self) -> int:
        """Samples per frame."""
        return round(self.sample_rate / self.spec.rate)

    def num_frames(self, samples: int) -> int:
        """Frames that cover `samples`."""
        return math.ceil(samples / self.hop)

    @abc.abstractmethod
    def encode(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b t d"]:
        """Continuous frames of roughly zero mean and unit variance per channel."""

    @abc.abstractmethod
    def decode(self, frames: Float[Tensor, "b t d"], samples: int | None = None) -> Float[Tensor, "b c n"]:
        """Audio of `samples` (all that the frames cover, by default)."""

    @abc.abstractmethod
    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        """Frames as tokens of the first `levels` codebooks (all, by default)."""

    @abc.abstractmethod
    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """Frames from the tokens of any number of leading codebooks."""

    @abc.abstractmethod
    def frame_state(self) -> dict[str, Tensor]:
        """The tensors that `encode` depends on: frames cached once stay valid as long as these stay as they are."""

    @abc.abstractmethod
    def token_state(self) -> dict[str, Tensor]:
        """The tensors that tokens depend on beside those of the frames."""

    def chunked_decode(
        self, frames: Float[Tensor, "b t d"], chunk_frames: int = 500, overlap: int = 8, samples: int | None = None
    ) -> Float[Tensor, "b c n"]:
        """Audio decoded `chunk_frames` at a time; chunks share `overlap` frames and are cross-faded there."""
        if not 0 < overlap < chunk_frames:
            raise ValueError(f"The overlap of {overlap} frames must lie between 1 and the chunk of {chunk_frames} frames.")
        total = frames.shape[1] * self.hop
        audio = frames.new_zeros(len(frames), self.channels, total)
        fade = torch.linspace(0, 1, overlap * self.hop, device=frames.device)
        for start in range(0, max(1, frames.shape[1] - overlap), chunk_frames - overlap):
            part = self.decode(frames[:, start : start + chunk_frames])
            begin = start * self.hop
            if start > 0:
                tail = audio[..., begin : begin + len(fade)]
                part[..., : len(fade)] = tail * (1 - fade) + part[..., : len(fade)] * fade
            audio[..., begin : begin + part.shape[-1]] = part
        return audio[..., : samples_to_decode(samples, total)]


def samples_to_decode(samples: int | None, total: int) -> int:
    """`samples`, or `total` where None.  Raises ValueError when there are not that many."""
    if samples is not None and not 0 < samples <= total:
        raise ValueError(f"The frames hold {total} samples, so {samples} cannot be decoded; ask for 1 to {total}.")
    return total if samples is None else samples
