"""Folders that other libraries have written: which they are, and what is in them as our modules.

Each layout has a file of its own (`*_layout.py`) for settings and names; here is what they have in common: files, parts, order.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from counterpoint import weights
from counterpoint.codecs.base import Codec
from counterpoint.codecs.stereo import StereoConfig
from counterpoint.conditioners.text import T5Config
from counterpoint.hub import encodec_layout, musicgen_layout, oobleck_layout
from counterpoint.hub.filling import fill
from counterpoint.hub.location import CONFIG
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig

GENERATION = "generation_config.json"


@dataclass(frozen=True)
class Opened:
    """A system that another library has written, with its codec and the digest of its weights."""

    config: MusicgenConfig | JascoConfig
    system: System
    codec: Codec
    digest: str


def system(folder: Path) -> Opened | None:
    """What generates in a folder that another library wrote; None where the folder is one of ours.  Raises ValueError."""
    if (content := musicgen_layout.written_by_transformers(folder / CONFIG)) is not None:
        return _musicgen(folder, content)
    if codec_alone(folder):
        raise ValueError(f"{str(folder)!r} is a codec, which does not generate; name a generator such as jasco-tiny.")
    return None


def codec(folder: Path) -> Codec | None:
    """The codec in a folder that another library wrote, or that of the system in it; None where the folder is one of ours."""
    if (content := musicgen_layout.written_by_transformers(folder / CONFIG)) is not None:
        return _codec_of_musicgen(folder, content, weights.read(weights.files(folder)))
    if (content := encodec_layout.written_by_transformers(folder / CONFIG)) is not None:
        parts = weights.files(folder)
        encodec = encodec_layout.settings(content).build()
        fill(encodec, encodec_layout.rename(weights.read(parts)), parts[0])
        return encodec
    if (content := oobleck_layout.written_by_diffusers(folder / CONFIG)) is not None:
        parts = weights.files(folder, [oobleck_layout.WEIGHTS])
        vae = oobleck_layout.settings(content).build()
        fill(vae, oobleck_layout.rename(weights.read(parts)), parts[0])
        return vae
    return None


def codec_alone(folder: Path) -> bool:
    """Whether another library wrote the folder, and it holds a codec without a system."""
    written = (encodec_layout.written_by_transformers, oobleck_layout.written_by_diffusers)
    return any(read(folder / CONFIG) is not None for read in written)


def system_there(folder: Path) -> bool:
    """Whether another library wrote the folder, and it holds a system."""
    return musicgen_layout.written_by_transformers(folder / CONFIG) is not None


def _musicgen(folder: Path, content: Mapping[str, Any]) -> Opened:
    """A whole MusicGen of transformers, whose text encoder is read from the folder when it is first told a text."""
    decoder = _part(folder, content, "decoder")
    words = T5Config(model=str(folder), dim=_stated(folder, _part(folder, content, "text_encoder"), "d_model"))
    config = musicgen_layout.settings(decoder, words, _sampling(folder))
    parts = weights.files(folder)
    tensors = weights.read(parts)
    made = _codec_of_musicgen(folder, content, tensors)
    if decoder["vocab_size"] != made.spec.bins or len(config.delays) > made.spec.levels:
        asked, known = f"{len(config.delays)} of {decoder['vocab_size']}", f"{made.spec.levels} of {made.spec.bins}"
        raise ValueError(f"{folder} makes {asked} tokens a frame, but its codec knows {known}; save it with its own codec.")
    built = config.build(made.spec)
    fill(built, musicgen_layout.rename(tensors), parts[0])
    return Opened(config, built, made, weights.digest(parts))


def _codec_of_musicgen(folder: Path, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Codec:
    """Where the decoder makes two channels, the codec of one codes each."""
    mono = encodec_layout.settings(_part(folder, content, "audio_encoder"))
    stereo = _part(folder, content, "decoder").get("audio_channels", 1) == 2
    made = (StereoConfig(mono=mono) if stereo else mono).build()
    prefix = "audio_encoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    named = encodec_layout.rename(own)
    fill(made, {f"mono.{name}": tensor for name, tensor in named.items()} if stereo else named, folder / weights.SAFE)
    return made


def _part(folder: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The settings of a part of a whole model."""
    if content["model_type"] == musicgen_layout.DECODER:
        raise ValueError(f"{folder} holds a MusicGen without its text encoder and codec; give the folder of the whole model.")
    if not isinstance(part := content.get(name), Mapping):
        raise ValueError(f"{folder / CONFIG} does not state {name}; save it again with a newer transformers.")
    return part


def _stated(folder: Path, part: Mapping[str, Any], name: str) -> Any:
    if name not in part:
        raise ValueError(f"{folder / CONFIG} does not state {name}; save it again with a newer transformers.")
    return part[name]


def _sampling(folder: Path) -> dict[str, Any]:
    """What the folder says of drawing, of what we have, too; the rest stays as in the paper."""
    try:
        said = json.loads((folder / GENERATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    own = {name: said[name] for name in ("temperature", "top_k", "top_p") if isinstance(said.get(name), int | float)}
    guidance = said.get("guidance_scale")
    return own | ({"guidance": {"all": float(guidance)}} if isinstance(guidance, int | float) else {})
