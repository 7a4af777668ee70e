"""What is taken from each clip once: an embedding, tags, chroma, what is heard; kept by content, so that nothing is done twice.

A feature is a function from a sound to named arrays, with an identity that changes whenever its numbers would.  Arrays are
stored under SHA-256 of clip, identity and the conditions of listening, in a cache of the user's, never beside the data.
"""

import abc
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.evaluation.sets import Member
from counterpoint.files import renamed

Arrays = Mapping[str, ndarray]

SILENT = -60.0
"""dBFS: a clip whose highest peak is below is not evaluated."""


class Feature(abc.ABC):
    """A sound's named arrays."""

    identity: str
    sample_rate: int = 0
    """What it wants to hear, or 0 for a file's own."""

    @abc.abstractmethod
    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        """The same arrays for the same sound, whatever was heard before."""


@dataclass(frozen=True)
class Conditions:
    """How clips are listened to; the same for both sets, and a part of the protocol.

    `loudness` is a target in LUFS, None leaves clips as they are.  `seconds` is the length to which clips are cut; shorter ones
    are refused.
    """

    loudness: float | None = None
    seconds: float | None = None


class Presence(Feature):
    """That a clip can be heard at all: what metrics want that read the sounds themselves."""

    identity = "presence 1"

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        return {"peak": np.array(float(audio.abs().max()))}


def default_cache() -> Path:
    """Where features are kept: XDG_CACHE_HOME or ~/.cache, and counterpoint/features in it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterpoint" / "features"


class Cache:
    """Arrays by clip, feature and conditions."""

    def __init__(self, folder: Path, conditions: Conditions):
        self.folder, self.conditions = folder, conditions

    def path(self, digest: str, identity: str) -> Path:
        told = json.dumps([digest, identity, asdict(self.conditions)])
        name = hashlib.sha256(told.encode()).hexdigest()
        return self.folder / name[:2] / f"{name}.npz"

    def get(self, digest: str, identity: str) -> Arrays | None:
        """What is kept, or None; a damaged file counts as none."""
        path = self.path(digest, identity)
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, BadZipFile, KeyError):
            return None

    def put(self, digest: str, identity: str, arrays: Arrays) -> None:
        with renamed(self.path(digest, identity)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))


def listen(member: Member, conditions: Conditions) -> tuple[Float[Tensor, "c n"], int]:
    """A clip's audio under the conditions, and its sample rate.  Raises ValueError for what cannot be evaluated."""
    wanted = member.seconds if conditions.seconds is None else conditions.seconds
    audio, rate = sound.read(member.path, min(wanted, member.seconds), member.offset)
    if conditions.seconds is not None and audio.shape[-1] < conditions.seconds * rate - 1:
        raise ValueError(f"it lasts {audio.shape[-1] / rate:.2f} s, less than the {conditions.seconds:g} s that are compared")
    if not torch.isfinite(audio).all():
        raise ValueError("it holds values that are not numbers; make it again")
    if audio.abs().max() < 10 ** (SILENT / 20):
        raise ValueError("it is silent")
    return (audio if conditions.loudness is None else sound.normalise(audio, rate, conditions.loudness)), rate


def take(feature: Feature, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
    """A feature of a sound at any rate."""
    rate = feature.sample_rate or sample_rate
    return feature(sound.resample(audio, sample_rate, rate), rate)
