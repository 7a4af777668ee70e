"""Audio that is given to be continued, repaired or varied, with all that is known of it: its samples, how its file holds them,
and, where it is a take, the record and the plan that its tags tell.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile
import torch
from jaxtyping import Float
from pydantic import BaseModel, ValidationError
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.annotation import from_dict, to_dict
from counterpoint.music import Score

SHORTEST = 0.5
"""Seconds of given audio below which there is nothing to go on from."""
NO_FILE = "the take"
"""The name of a take that was given as it is, not as a file."""


@dataclass(frozen=True)
class Source:
    """Given audio.  `digest` is that of its samples and rate, so that other tags, or another name, are no other source."""

    audio: Float[Tensor, "c n"]
    """As the file has it: 32-bit floats, or 64-bit ones where its samples need them."""
    sample_rate: int
    name: str
    """The path as it was given, or what the audio is."""
    digest: str
    encoding: str = "FLOAT"
    """What keeps the samples to the bit (audio.EXACT)."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """That of a take, as its tags tell it."""
    score: Score | None = None
    """The plan of a take."""

    @property
    def seconds(self) -> float:
        return self.audio.shape[-1] / self.sample_rate

    def told(self) -> dict[str, Any]:
        """What a record says of it."""
        return {"file": self.name, "sha256": self.digest, "seconds": round(self.seconds, 6), "sample_rate": self.sample_rate}


class _Given(BaseModel):
    file: str
    sha256: str


class _Told(BaseModel):
    """What the record of every take holds, and of what else it may hold, what is relied on."""

    prompt: str
    seed: int
    model: str
    weights: str
    version: str
    seconds: float
    sampling: dict[str, Any]
    source: _Given = _Given(file="", sha256="")
    controls: dict[str, Any] = {}
    files: dict[str, str] = {}
    made_on: dict[str, Any] = {}


def read_source(path: str | Path) -> Source:
    """A wav, flac, ogg or mp3 file as a source.  Raises ValueError where it is none, or too short to go on from."""
    audio, rate, encoding = read_exactly(path)
    record = read_record(path)
    checked(audio, rate, str(path))
    return Source(audio, rate, str(path), digest(audio, rate), encoding, record, score_of(record))


def read_exactly(path: str | Path) -> tuple[Float[Tensor, "c n"], int, str]:
    """The samples of a file, none of them rounded, their rate, and what keeps them (audio.EXACT).  Raises ValueError."""
    audio, rate = sound.read(path)
    encoding = soundfile.info(str(path)).subtype
    if encoding in ("PCM_32", "DOUBLE"):  # 32-bit floats would round them
        audio = torch.from_numpy(soundfile.read(str(path), dtype="float64", always_2d=True)[0].T.copy())
    return audio, rate, encoding if encoding in sound.EXACT else "FLOAT"


def checked(audio: Float[Tensor, "c n"], sample_rate: int, name: str) -> None:
    """Raises ValueError for what is no sound, or too short."""
    if not bool(torch.isfinite(audio).all()):
        raise ValueError(f"{name} holds values that are not numbers; save it anew.")
    if audio.shape[-1] < SHORTEST * sample_rate:
        raise ValueError(
            f"{name} is {audio.shape[-1] / sample_rate:.2f} s long, too short to go on from; give at least {SHORTEST:g} s."
        )


def digest(audio: Float[Tensor, "c n"], sample_rate: int) -> str:
    """SHA-256 of samples and rate."""
    hashed = hashlib.sha256(f"{tuple(audio.shape)} at {sample_rate} Hz, {audio.dtype}\n".encode())
    hashed.update(audio.detach().cpu().contiguous().numpy().data)
    return hashed.hexdigest()


def read_record(path: str | Path) -> dict[str, Any]:
    """The record of a take from its file's tags; empty where there is none.  Raises ValueError where there is no audio."""
    texts = sound.read_tags(path)
    try:
        record = json.loads(texts.get("comment", ""))
        _Told.model_validate(record, strict=True)
    except (json.JSONDecodeError, ValidationError):
        return {}
    return record | ({"score": texts["score"]} if "score" in texts else {})


def pack_score(score: Score) -> str:
    """A score as a short text for tags: its annotation, compressed."""
    return base64.b64encode(zlib.compress(json.dumps(to_dict(score)).encode(), 9)).decode()


def score_of(record: Mapping[str, Any]) -> Score | None:
    """The score that a record holds, if it holds one that can be read."""
    try:
        return from_dict(json.loads(zlib.decompress(base64.b64decode(record["score"], validate=True))))
    except (KeyError, ValueError, TypeError, zlib.error):
        return None
