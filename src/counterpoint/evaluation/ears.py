"""Ears and other features by the names that users type: "logmel", "ear-tiny", "codec=MODEL", "vggish=FILE", "mert=FOLDER@7".

This is the one place that knows where ears come from; metrics are handed arrays.
"""

import re
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.codecs.base import Codec
from counterpoint.embedders.base import Ear, Embedder, Rater, Tagger, TextEmbedder
from counterpoint.embedders.frames import CodecFrames
from counterpoint.embedders.table import EMBEDDERS, open_embedder
from counterpoint.embedders.weights import digest_of_tensors
from counterpoint.evaluation.ear import EarEmbedder, EarTagger
from counterpoint.evaluation.features import Arrays, Feature, Presence
from counterpoint.evaluation.hearing import Chroma, Hearing
from counterpoint.hub import checkpoint

USUAL = ("logmel", "ear-tiny")
"""Ears that need no download."""


class Listening(Feature):
    """An ear as a feature: frames where it embeds, a vector for the clip where it reads, and what it tags or rates."""

    def __init__(self, ear: Ear):
        self.ear, self.identity = ear, ear.identity

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        sound = self.ear.hear(audio, sample_rate)
        arrays = {}
        if isinstance(self.ear, Embedder):
            arrays["frames"] = self.ear.embed(sound).astype(np.float32)
        if isinstance(self.ear, TextEmbedder):
            arrays["clip"] = self.ear.embed_clip(sound)
        if isinstance(self.ear, Tagger):
            arrays["tags"] = self.ear.probabilities(sound)
        if isinstance(self.ear, Rater):
            arrays["ratings"] = self.ear.ratings(sound)
        return arrays


class Coding(Listening):
    """A codec as a feature: its frames, and its tokens "k t" with their bins and frames a second, where it has them."""

    def __init__(self, ear: CodecFrames, codec: Codec):
        super().__init__(ear)
        self.codec = codec

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        arrays = dict(super().__call__(audio, sample_rate))
        if self.codec.spec.levels:
            tokens = self.codec.to_tokens(torch.from_numpy(arrays["frames"])[None])[0]
            arrays |= {"tokens": tokens.numpy(), "bins": np.array(self.codec.spec.bins), "rate": np.array(self.codec.spec.rate)}
        return arrays


def open_features(name: str) -> list[Feature]:
    """What is taken of a clip under a name: "heard", "chroma", or what an ear hears.  Raises ValueError."""
    if name == "heard":
        return [Hearing()]
    if name == "presence":
        return [Presence()]
    if name == "chroma":
        return [Chroma()]
    if name.startswith("codec="):
        return [Coding(*_codec(name.removeprefix("codec=")))]
    return [Listening(ear) for ear in open_ears(name)]


def open_ears(name: str) -> list[Ear]:
    """The ear that a user names, or what it is made of: one that ships both embeds and tags.

    The name may be followed by "=" and where its weights are (a file, a folder, or a Hub id, which is then fetched), and for
    those with layers to choose by "@" and a layer.  Raises ValueError for what is not to be had.
    """
    kind, _, rest = name.partition("=")
    place, _, layer = rest.partition("@")
    if layer and not layer.isdigit():
        raise ValueError(f"{name!r}: the layer behind @ is a whole number, such as mert=FOLDER@7.")
    if kind == "ear" or (not rest and _is_shipped_ear(kind)):
        source = place or kind
        return [EarEmbedder(source), EarTagger(source)]
    if kind == "codec":
        return [_codec(place)[0]]
    if kind not in EMBEDDERS:
        raise ValueError(f"There is no embedder {kind!r}; known are {', '.join(dict.fromkeys([*USUAL, *EMBEDDERS, 'ear']))}.")
    return [open_embedder(kind, _located(place) if place else None, int(layer) if layer else None)]


def _is_shipped_ear(name: str) -> bool:
    return name in checkpoint.shipped() and checkpoint.read_manifest(checkpoint.locate(name)).kind in checkpoint.EARS


def _codec(place: str) -> tuple[CodecFrames, Codec]:
    if not place:
        raise ValueError("The embedder codec needs a codec; name one, such as codec=encodec-tiny.")
    folder = checkpoint.locate(place)
    codec = checkpoint.load_codec(place)
    digest = digest_of_tensors({**codec.frame_state(), **codec.token_state()})

    def encode(audio: Float[Tensor, "b c n"]) -> Float[Tensor, "b t d"]:
        return codec.encode(audio)

    return CodecFrames(encode, codec.spec, codec.sample_rate, codec.channels, codec=folder.name, digest=digest), codec


def _located(place: str) -> Path:
    """A path as it is; a Hub id, which the user has typed, as the folder that it is fetched into."""
    path = Path(place).expanduser()
    if path.exists() or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", place):
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(place, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.bin"]))
    except Exception as error:  # the Hub client raises many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"{place!r} is no folder here and could not be had from the Hub ({reason}); check the name."
        ) from error
