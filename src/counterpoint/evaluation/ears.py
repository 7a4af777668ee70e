"""Features by name: "heard", "chroma", or an ear such as "logmel", "ear-tiny", "codec=encodec-tiny", "vggish=FOLDER".

This is the one place that knows where ears come from; metrics are handed arrays.
"""

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.embedders.base import Embedder, Tagger, TextEmbedder
from counterpoint.evaluation.features import Arrays, Feature

Ear = Embedder | Tagger


class Listening(Feature):
    """An ear as a feature: frames where it embeds, a vector for the clip where it reads, distributions where it tags."""

    def __init__(self, ear: Ear):
        self.ear = ear
        self.identity, self.sample_rate = ear.identity, ear.sample_rate

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        mono = sound.mix(audio, 1)[0]
        arrays = {}
        if isinstance(self.ear, Embedder):
            arrays["frames"] = self.ear.embed(mono).astype(np.float32)
        if isinstance(self.ear, TextEmbedder):
            arrays["clip"] = self.ear.embed_clip(mono)
        if isinstance(self.ear, Tagger):
            arrays["tags"] = self.ear.probabilities(mono)
        return arrays


def open_feature(name: str) -> Feature:
    """A feature by name.  Raises ValueError for one that is not to be had."""
    raise ValueError(f"There is no feature {name!r}.")
