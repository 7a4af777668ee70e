"""What every codec is: audio in, frames out, and back; tokens are a second view of the frames."""

import abc
import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from counterpoint.types import Spec, View


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

    def checked(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b c n"]:
        """`audio` as it is.  Raises ValueError where its shape is not what the codec takes."""
        if audio.ndim != 3 or audio.shape[1] != self.channels or audio.shape[2] == 0:
            raise ValueError(f"The codec wants (batch, {self.channels}, samples), not {tuple(audio.shape)}; mix its channels.")
        return audio

    @abc.abstractmethod
    def encode(self, audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b t d"]:
        """Continuous frames of roughly zero mean and unit variance per channel."""

    @abc.abstractmethod
    def decode(self, frames: Float[Tensor, "b t d"], samples: int | None = None) -> Float[Tensor, "b c n"]:
        """Audio of `samples` (all that the frames cover, by default), in memory that does not grow with their number."""

    def encode_stream(
        self, parts: Iterable[Float[Tensor, "b c _"]], chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b _ d"]]:
        """`encode` of audio that is still on its way: frames, up to `chunk_frames` at a time, as soon as they are certain.

        The same whatever parts the audio comes in.  A codec that cannot work piece by piece waits for all of it.
        """
        yield self.encode(torch.cat(list(parts), dim=-1))

    def decode_stream(
        self, parts: Iterable[Float[Tensor, "b _ d"]], samples: int | None = None, chunk_frames: int = 25
    ) -> Iterator[Float[Tensor, "b c _"]]:
        """`decode` of frames that are still on their way: audio, up to `chunk_frames` at a time, as soon as it is certain.

        The same whatever parts the frames come in; no more of them are asked for than `samples` need, and the end is known
        in time.  Where fewer come, ValueError.  A codec that cannot work piece by piece waits for all of them.
        """
        yield self.decode(torch.cat(list(parts), dim=1), samples)

    @abc.abstractmethod
    def to_tokens(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        """Frames as tokens of the first `levels` codebooks (all, by default).  ValueError where the codec has none."""

    @abc.abstractmethod
    def from_tokens(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """Frames from the tokens of any number of leading codebooks.  ValueError where the codec has none."""

    def as_frames(self, made: Tensor, view: View) -> Float[Tensor, "b t d"]:
        """Frames of what a system has made, in whichever view."""
        return made if view == "continuous" else self.from_tokens(made)

    @abc.abstractmethod
    def frame_state(self) -> dict[str, Tensor]:
        """The tensors that `encode` depends on: frames cached once stay valid as long as these stay as they are."""

    @abc.abstractmethod
    def token_state(self) -> dict[str, Tensor]:
        """The tensors that tokens depend on beside those of the frames."""


def samples_to_decode(samples: int | None, total: int) -> int:
    """`samples`, or `total` where None.  Raises ValueError when there are not that many."""
    if samples is not None and not 0 < samples <= total:
        raise ValueError(f"The frames hold {total} samples, so {samples} cannot be decoded; ask for 1 to {total}.")
    return total if samples is None else samples
