"""The continuous frames of a codec as an ear: what is far apart for it is far apart for the generators that it serves."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint.embedders.base import Embedder, checked
from counterpoint.types import Spec


class CodecFrames(Embedder):
    """Frames "t d" of a codec, at its own rate; a sound is given to every channel of it.

    `encode` takes audio "b c n" and gives frames "b t d"; `codec` names it, and `digest` pins down the tensors that its
    frames depend on (`weights.digest_of_tensors(codec.frame_state())`).
    """

    name = "codec"

    def __init__(
        self,
        encode: Callable[[Tensor], Tensor],
        spec: Spec,
        sample_rate: int,
        channels: int = 1,
        codec: str = "unnamed",
        digest: str = "",
    ) -> None:
        self.encode = encode
        self.channels = channels
        self.version = f"1 of {codec}"
        self.digest = digest
        self.sample_rate = sample_rate
        self.dim = spec.dim

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        return self.encode(checked(audio).expand(1, self.channels, -1))[0].float().numpy()
