"""Folders that other libraries have written: which they are, and what is in them as our modules.

Each layout has a file of its own (`*_layout.py`) for settings and names; here is what they have in common: files, parts, order.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from counterpoint import weights
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import Encodec, EncodecConfig
from counterpoint.codecs.stereo import StereoConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.conditioners.text import T5Config, TextConfig
from counterpoint.hub import (
    audiocraft,
    audiocraft_layout,
    encodec_layout,
    jasco_layout,
    musicgen_layout,
    oobleck_layout,
    stable_audio_layout,
)
from counterpoint.hub.audiocraft import Package
from counterpoint.hub.filling import Filled, Unset, fill
from counterpoint.hub.location import CONFIG, fetched
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Spec

GENERATION, HEARING = "generation_config.json", "preprocessor_config.json"


@dataclass(frozen=True)
class Opened:
    """A system that another library has written, with its codec and the digest of its weights."""

    config: MusicgenConfig | JascoConfig
    system: System
    codec: Codec
    digest: str


Watch = Callable[[System], Filled | None]
"""Called with a system that is about to be filled; what it gives is called with each layer that has been."""


def system(folder: Path, watch: Watch | None = None) -> Opened | None:
    """What generates in a folder that another library wrote; None where the folder is one of ours.  Raises ValueError."""
    if (content := musicgen_layout.written_by_transformers(folder / CONFIG)) is not None:
        return _musicgen(folder, content, watch)
    if (folder / audiocraft.SYSTEM).is_file():
        return _of_audiocraft(folder, audiocraft.opened(folder / audiocraft.SYSTEM), watch)
    if codec_alone(folder):
        raise ValueError(f"{str(folder)!r} is a codec, which does not generate; name a generator such as jasco-tiny.")
    return None


def codec(folder: Path) -> Codec | None:
    """The codec in a folder that another library wrote, or that of the system in it; None where the folder is one of ours."""
    if (content := musicgen_layout.written_by_transformers(folder / CONFIG)) is not None:
        return _codec_of_musicgen(folder, content)
    if (content := encodec_layout.written_by_transformers(folder / CONFIG)) is not None:
        parts = weights.files(folder)
        return _filled(encodec_layout.settings(content), encodec_layout.rename(weights.read(parts)), parts[0])
    if (content := oobleck_layout.written_by_diffusers(folder / CONFIG)) is not None:
        parts = weights.files(folder, [oobleck_layout.WEIGHTS])
        return _filled(oobleck_layout.settings(content), oobleck_layout.rename(weights.read(parts)), parts[0])
    if (content := stable_audio_layout.written_by_stable_audio_tools(folder)) is not None:
        parts = weights.files(folder, stable_audio_layout.WEIGHTS)
        tensors = stable_audio_layout.rename(weights.read(parts))
        return _filled(stable_audio_layout.settings(content), tensors, parts[0], stable_audio_layout.CONFIG)
    if (folder / audiocraft.CODEC).is_file():
        mono = _encodec_of_audiocraft(folder)
        return _each_channel(mono) if _is_stereo(folder) else mono
    return None


def _filled(config: EncodecConfig | VaeConfig, tensors: Mapping[str, Tensor], path: Path, said: str = CONFIG) -> Codec:
    with Unset():
        made = config.build()
    fill(made, [tensors], path, said)
    return made


def codec_alone(folder: Path) -> bool:
    """Whether another library wrote the folder, and it holds a codec without a system."""
    written = (encodec_layout.written_by_transformers, oobleck_layout.written_by_diffusers)
    if any(read(folder / CONFIG) is not None for read in written):
        return True
    lone = (folder / audiocraft.CODEC).is_file() and not system_there(folder)
    return lone or stable_audio_layout.written_by_stable_audio_tools(folder) is not None


def system_there(folder: Path) -> bool:
    """Whether another library wrote the folder, and it holds a system."""
    theirs = musicgen_layout.written_by_transformers(folder / CONFIG) is not None
    return theirs or (folder / audiocraft.SYSTEM).is_file()


def _musicgen(folder: Path, content: Mapping[str, Any], watch: Watch | None) -> Opened:
    """A whole MusicGen of transformers, whose text encoder is read from the folder when it is first told a text."""
    decoder = _part(folder, content, "decoder")
    words = T5Config(model=str(folder), dim=_stated(folder, _part(folder, content, "text_encoder"), "d_model"))
    chroma = _chroma(folder, content) if content["model_type"] == musicgen_layout.MELODY else None
    config = musicgen_layout.settings(decoder, words, _sampling(folder), chroma)
    parts = weights.files(folder)
    made = _codec_of_musicgen(folder, content)
    _check_tokens(folder, config, decoder["vocab_size"], made)
    layers = weights.by_layer(parts, lambda name: not name.startswith(musicgen_layout.FOREIGN))
    built = _system(config, made.spec, map(musicgen_layout.rename, layers), parts[0], CONFIG, watch)
    return Opened(config, built, made, weights.digest(parts))


def _system(
    config: MusicgenConfig | JascoConfig,
    spec: Spec,
    parts: Iterable[Mapping[str, Tensor]],
    path: Path,
    said: str,
    watch: Watch | None,
) -> System:
    with Unset():
        built = config.build(spec)
    fill(built, parts, path, said, watch(built) if watch else None)
    return built


def _codec_of_musicgen(folder: Path, content: Mapping[str, Any]) -> Codec:
    """Where the decoder makes two channels, the codec of one codes each."""
    config, prefix = encodec_layout.settings(_part(folder, content, "audio_encoder")), "audio_encoder."
    stereo = _part(folder, content, "decoder").get("audio_channels", 1) == 2
    parts = weights.files(folder)
    found = weights.read(parts, lambda name: name.startswith(prefix))
    own = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    made = _filled(config, encodec_layout.rename(own), parts[0])
    return _each_channel(made) if stereo else made


def _each_channel(mono: Codec) -> Codec:
    """A codec of one channel for two."""
    if not isinstance(mono, Encodec) or mono.channels != 1:
        raise ValueError("Left and right are coded apart by an EnCodec of one channel, and this codec is another.")
    with Unset():
        stereo = StereoConfig(mono=mono.config).build()
    stereo.mono.load_state_dict(mono.state_dict())
    return stereo.eval()


def _of_audiocraft(folder: Path, package: Package, watch: Watch | None) -> Opened:
    """A MusicGen or JASCO as AudioCraft exports it."""
    if package.get("lm_model") == jasco_layout.KIND:
        return _jasco(folder, package, watch)
    config = audiocraft_layout.musicgen(package)
    config = config.model_copy(update={"words": _beside(folder, config.words)})
    made = _encodec_of_audiocraft(folder)
    made = _each_channel(made) if package.get("interleave_stereo_codebooks.use", False) else made
    _check_tokens(folder, config, package.stated("transformer_lm.card"), made)
    tensors = audiocraft_layout.rename_musicgen(package.tensors)
    built = _system(config, made.spec, weights.layers(tensors).values(), package.path, "xp.cfg", watch)
    return Opened(config, built, made, weights.digest([package.path]))


def _jasco(folder: Path, package: Package, watch: Watch | None) -> Opened:
    config = jasco_layout.settings(package)
    config = config.model_copy(update={"words": _beside(folder, config.words)})
    made = _encodec_of_audiocraft(folder)
    if (dim := package.stated("transformer_lm.flow_dim")) != made.spec.dim:
        raise ValueError(f"{folder} makes frames of {dim} channels, but its codec knows {made.spec.dim}; use its own codec.")
    tensors = jasco_layout.rename(package, config, made.spec.dim)
    built = _system(config, made.spec, weights.layers(tensors).values(), package.path, "xp.cfg", watch)
    return Opened(config, built, made, weights.digest([package.path]))


def _beside(folder: Path, words: TextConfig) -> TextConfig:
    """The text encoder in a folder of its own in the model's, where there is one; else it is looked for when first needed."""
    if isinstance(words, T5Config) and (own := folder / words.model.rpartition("/")[2]).is_dir():
        return words.model_copy(update={"model": str(own)})
    return words


def _encodec_of_audiocraft(folder: Path) -> Codec:
    """The codec in the folder, or, where the file only names one, in a folder of that name in it, or fetched before."""
    if not (folder / audiocraft.CODEC).is_file():
        raise ValueError(f"{folder} has no {audiocraft.CODEC}, the codec of its model; fetch or export it, too.")
    package = audiocraft.opened(folder / audiocraft.CODEC)
    if package.pretrained is not None:
        own = folder / package.pretrained.rpartition("/")[2]
        named = own if own.is_dir() else fetched(package.pretrained)
        if (found := codec(named)) is None:
            raise ValueError(f"{named} holds no codec of another library, which {package.path} names; fetch it again.")
        return found
    tensors = audiocraft_layout.rename_encodec(package.tensors)
    return _filled(audiocraft_layout.encodec(package), tensors, package.path, "xp.cfg")


def _is_stereo(folder: Path) -> bool:
    """Whether AudioCraft's system in the folder, if there is one, takes its codec for each of two channels."""
    path = folder / audiocraft.SYSTEM
    return path.is_file() and bool(audiocraft.opened(path).get("interleave_stereo_codebooks.use", False))


def _check_tokens(folder: Path, config: MusicgenConfig, bins: int, made: Codec) -> None:
    if bins != made.spec.bins or len(config.delays) > made.spec.levels:
        asked, known = f"{len(config.delays)} of {bins}", f"{made.spec.levels} of {made.spec.bins}"
        raise ValueError(f"{folder} makes {asked} tokens a frame, but its codec knows {known}; save it with its own codec.")


def _part(folder: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The settings of a part of a whole model."""
    if content["model_type"].endswith("_decoder"):
        raise ValueError(f"{folder} holds a MusicGen without its text encoder and codec; give the folder of the whole model.")
    if not isinstance(part := content.get(name), Mapping):
        raise ValueError(f"{folder / CONFIG} does not state {name}; save it again with a newer transformers.")
    return part


def _stated(folder: Path, part: Mapping[str, Any], name: str) -> Any:
    if name not in part:
        raise ValueError(f"{folder / CONFIG} does not state {name}; save it again with a newer transformers.")
    return part[name]


def _chroma(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """How a melody model hears a tune.  Raises ValueError."""
    if (classes := _stated(folder, content, "num_chroma")) != 12:
        raise ValueError(f"{folder / CONFIG} has {classes} pitch classes, which is not built here, where there are 12.")
    hearing = _json(folder / HEARING)
    if any(not isinstance(hearing.get(name), int) or hearing[name] < 1 for name in ("hop_length", "sampling_rate")):
        raise ValueError(f"{folder / HEARING} does not state hop_length and sampling_rate of a chroma; fetch it, too.")
    every = hearing["hop_length"] / hearing["sampling_rate"]
    return {"moments": _stated(folder, content, "chroma_length"), "every": every}


def _json(path: Path) -> dict[str, Any]:
    """A table of settings; empty where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _sampling(folder: Path) -> dict[str, Any]:
    """What the folder says of drawing, of what we have, too; the rest stays as in the paper."""
    said = _json(folder / GENERATION)
    own = {name: said[name] for name in ("temperature", "top_k", "top_p") if isinstance(said.get(name), int | float)}
    guidance = said.get("guidance_scale")
    return own | ({"guidance": {"all": float(guidance)}} if isinstance(guidance, int | float) else {})
