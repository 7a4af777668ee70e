"""What a codec gives back of the reference: appendix B of the study as one command."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.data.row import METADATA
from counterpoint.embedders.weights import digest_of_tensors
from counterpoint.evaluation.making import claim
from counterpoint.evaluation.sets import Member
from counterpoint.files import write_text
from counterpoint.hub.checkpoint import load_codec
from counterpoint.types import Progress


def recode(name: str, members: Sequence[Member], folder: Path, progress: Progress | None = None, tokens: bool = True) -> Path:
    """Each clip through a codec and back, under its own id, as tokens where it has them and they are wanted.

    A file's name tells the codec's weights and the clip's content, so that what is there is not made again.
    """
    codec = load_codec(name)
    claim(folder)
    tokens = tokens and codec.spec.levels > 0
    digest = f"{digest_of_tensors(codec.state_dict())}{'' if tokens or not codec.spec.levels else ' frames'}"
    rows = []
    for done, member in enumerate(members, start=1):
        target = folder / f"{hashlib.sha256(f'{digest} {member.digest}'.encode()).hexdigest()[:16]}.flac"
        if not target.is_file():
            audio, rate = sound.read(member.path, member.seconds, member.offset)
            given = sound.mix(sound.resample(audio, rate, codec.sample_rate), codec.channels)
            sound.write(target, _through(codec, given[None], tokens)[0], codec.sample_rate)
        rows.append({"file_name": target.name, "id": member.id})
        if progress:
            progress(done, len(members))
    write_text(folder / METADATA, "".join(json.dumps(row) + "\n" for row in rows))
    return folder


@torch.inference_mode()
def _through(codec: Codec, audio: torch.Tensor, tokens: bool) -> torch.Tensor:
    frames = codec.encode(audio)
    if tokens:
        frames = codec.from_tokens(codec.to_tokens(frames))
    return codec.decode(frames, audio.shape[-1])
