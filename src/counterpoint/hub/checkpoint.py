"""A checkpoint is a folder: `config.json`, `model.safetensors`, `README.md` (the model card) and, at times, `codec/`.

`config.json` is a Manifest: what to build, what it can do, and the digest of the weights that belong to it.
Nothing is ever unpickled.  A checkpoint is named by a shipped name, by a folder, or by a Hub id that the user typed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from pydantic import Field
from torch import nn

from counterpoint import config as settings
from counterpoint import weights
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.codecs.stereo import StereoConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.config import Config
from counterpoint.files import write_together
from counterpoint.hub import foreign, licences, storage
from counterpoint.hub.filling import Filled, Unset, fill
from counterpoint.hub.foreign import Opened, Watch
from counterpoint.hub.location import CARD, CONFIG, locate, name_of, shipped
from counterpoint.hub.storage import Bits
from counterpoint.systems.base import System
from counterpoint.systems.ear import Ear, EarConfig
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.systems.score import Planner, PlannerConfig
from counterpoint.types import Spec

SystemConfig = JascoConfig | MusicgenConfig
SYSTEMS: dict[str, type[SystemConfig]] = {"jasco": JascoConfig, "musicgen": MusicgenConfig}
"""Every kind of system that a checkpoint can hold, with the config that builds it."""

CodecConfig = SpectralConfig | EncodecConfig | StereoConfig | VaeConfig
CODECS: dict[str, type[CodecConfig]] = {
    "spectral": SpectralConfig,
    "encodec": EncodecConfig,
    "stereo": StereoConfig,
    "vae": VaeConfig,
}
"""Every kind of codec that a checkpoint can hold, with the config that builds it."""

EARS: dict[str, type[EarConfig]] = {"ear": EarConfig}
"""Every kind of ear that a checkpoint can hold: they judge music and make none."""

PLANNERS: dict[str, type[PlannerConfig]] = {"score": PlannerConfig}
"""Every kind of planner that a checkpoint can hold: they write scores, which systems play."""

WEIGHTS = weights.SAFE

__all__ = ["CARD", "CONFIG", "locate", "shipped"]  # beside what is defined here: they are asked for together


class Capability(Config):
    """What a checkpoint can be asked for."""

    conditions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    sample_rate: int = Field(default=32000, gt=0)
    channels: int = Field(default=1, ge=1)
    max_seconds: float = Field(default=600.0, gt=0)
    sampling: dict[str, Any] = Field(default_factory=dict)
    licence: str = "Apache-2.0"


class Manifest(Config):
    """The content of `config.json`.

    `kind` is a key of SYSTEMS, CODECS, EARS or PLANNERS, `config` the settings of that kind.  A system also states the `spec`
    of its frames and its `codec`: a shipped name, or "codec" for the subfolder.  `weights` is filled by `save`.
    """

    format: Literal[1] = settings.FORMAT
    kind: str
    config: dict[str, Any]
    spec: dict[str, Any] | None = None
    codec: str | None = None
    capability: Capability = Capability()
    version: str = "1"
    weights: str = ""
    """SHA-256 of `model.safetensors`: weights and settings of two different models are told apart."""


@dataclass(frozen=True)
class Checkpoint:
    """A system with its codec, ready to use; `version` is the checkpoint's own, with the start of its weights' digest."""

    system: System
    config: SystemConfig
    codec: Codec
    name: str
    version: str
    manifest: Manifest

    @property
    def capability(self) -> Capability:
        return self.manifest.capability


def identity(source: str | Path) -> str:
    """What tells one model from another without reading its weights: its name and version, as takes have them; of what another
    library wrote, its folder alone.  Raises ValueError."""
    folder = locate(source)
    if foreign.system_there(folder):
        return str(folder.resolve())
    manifest = read_manifest(folder)
    return f"{name_of(source, folder)} {_version(manifest)}"


def _version(manifest: Manifest) -> str:
    return f"{manifest.version}+{manifest.weights[:8]}"


def system_manifest(
    config: SystemConfig, system: System, codec: Codec, codec_name: str = "codec", version: str = "1"
) -> Manifest:
    """The manifest of a system; `codec_name` is a shipped name, or "codec" where the codec is saved in that subfolder."""
    capability = Capability(
        conditions=system.conditions,
        tasks=system.tasks,
        sample_rate=codec.sample_rate,
        channels=codec.channels,
        max_seconds=Capability().max_seconds if "continue" in system.tasks else config.window_seconds,
        sampling=config.sampling.model_dump(mode="json"),
    )
    return Manifest(
        kind=config.kind,
        config=config.model_dump(mode="json"),
        spec=asdict(system.spec),
        codec=codec_name,
        capability=capability,
        version=version,
    )


def codec_manifest(config: CodecConfig, codec: Codec, version: str = "1") -> Manifest:
    """The manifest of a codec."""
    capability = Capability(sample_rate=codec.sample_rate, channels=codec.channels)
    return Manifest(kind=config.kind, config=config.model_dump(mode="json"), capability=capability, version=version)


def ear_manifest(config: EarConfig, version: str = "1") -> Manifest:
    """The manifest of an ear."""
    capability = Capability(sample_rate=config.front.sample_rate)
    return Manifest(kind=config.kind, config=config.model_dump(mode="json"), capability=capability, version=version)


def planner_manifest(config: PlannerConfig, version: str = "1") -> Manifest:
    """The manifest of a planner."""
    capability = Capability(
        conditions=("text",), tasks=("generate", "continue", "inpaint"), sampling=config.sampling.model_dump(mode="json")
    )
    return Manifest(kind=config.kind, config=config.model_dump(mode="json"), capability=capability, version=version)


def save(folder: Path, module: nn.Module, manifest: Manifest, card: str = "", bits: Bits = 32) -> None:
    """Write `module` as a checkpoint; every file appears whole or not at all, and none before all are written.

    `bits` are those of a number on disk (`storage`); raises ValueError where they cannot hold one.
    """
    tensors = storage.pack(module.state_dict(), bits, exact={name for name, _ in module.named_buffers()})
    stored = safetensors.torch.save(tensors)
    manifest = manifest.model_copy(update={"weights": hashlib.sha256(stored).hexdigest()})
    content = {CONFIG: settings.dump(manifest).encode(), WEIGHTS: stored}
    if card:
        content[CARD] = card.encode()
    write_together(folder, content)


def read_manifest(folder: Path) -> Manifest:
    """The checked `config.json` of a checkpoint folder.  Raises ValueError."""
    try:
        content = settings.read(folder / CONFIG)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}; fetch or save the checkpoint again.") from error
    return settings.parse(Manifest, content, source=str(folder / CONFIG))


def load(source: str | Path, watch: Watch | None = None) -> Checkpoint:
    """A system and its codec, in evaluation mode on the CPU; also what other libraries wrote (`foreign`).

    `watch` is told of each layer of the system as it is filled (`runtime.watch`).

    Raises ValueError: what is wrong with which file, what to do.
    """
    folder = locate(source)
    if (opened := foreign.system(folder, watch)) is not None:
        return _of_others(source, folder, opened)
    manifest = read_manifest(folder)
    if manifest.kind in CODECS:
        raise ValueError(f"{str(source)!r} is a codec, which does not generate; name a generator such as jasco-tiny.")
    if manifest.kind in EARS:
        raise ValueError(f"{str(source)!r} is an ear, which does not generate; name a generator such as jasco-tiny.")
    if manifest.kind in PLANNERS:
        raise ValueError(f"{str(source)!r} writes scores, which it does not play; name a generator such as jasco-tiny.")
    if manifest.kind not in SYSTEMS:
        raise ValueError(f"{folder / CONFIG} holds a {manifest.kind!r}, which is unknown; known here: {_names(SYSTEMS)}.")
    if manifest.codec is None or manifest.spec is None:
        raise ValueError(f"{folder / CONFIG} does not name its codec and the spec of its frames; save the model again.")
    codec = _codec_of(folder, manifest.codec)
    spec = _spec(manifest.spec, folder)
    if spec.levels > codec.spec.levels or replace(spec, levels=codec.spec.levels) != codec.spec:  # it may leave levels out
        raise ValueError(
            f"{folder} was made for frames {spec}, but its codec {manifest.codec!r} makes {codec.spec}; use its own codec."
        )
    licences.tell(str(source), manifest.capability.licence)
    config = settings.parse(SYSTEMS[manifest.kind], manifest.config, source=str(folder / CONFIG))
    with Unset():
        system = config.build(spec)
    _fill(system, folder, manifest.weights, watch(system) if watch else None)
    return Checkpoint(system, config, codec, name_of(source, folder), _version(manifest), manifest)


def _of_others(source: str | Path, folder: Path, content: Opened) -> Checkpoint:
    """What another library has written, with a manifest as if it were ours."""
    licence = licences.of(source, folder)
    licences.tell(str(source), licence)
    manifest = system_manifest(content.config, content.system, content.codec)
    capability = manifest.capability.model_copy(update={"licence": licence})
    manifest = manifest.model_copy(update={"weights": content.digest, "capability": capability})
    return Checkpoint(content.system, content.config, content.codec, name_of(source, folder), _version(manifest), manifest)


def is_codec(folder: Path) -> bool:
    """Whether a checkpoint's folder holds a codec, whoever wrote it.  Raises ValueError where it holds nothing known."""
    if foreign.codec_alone(folder) or foreign.system_there(folder):
        return foreign.codec_alone(folder)
    return read_manifest(folder).kind in CODECS


def load_codec(source: str | Path, download: bool = True) -> Codec:
    """A codec alone, in evaluation mode on the CPU; `source` as for `locate`.  A system's folder gives that system's codec;
    also what other libraries wrote (`foreign`).
    """
    folder = locate(source, download)
    if (theirs := foreign.codec(folder)) is not None:
        licences.tell(str(source), licences.of(source, folder))
        return theirs
    manifest = read_manifest(folder)
    if manifest.kind in SYSTEMS and manifest.codec is not None:
        return _codec_of(folder, manifest.codec)
    if manifest.kind not in CODECS:
        raise ValueError(f"{folder / CONFIG} holds a {manifest.kind!r}, which is no codec; known here: {_names(CODECS)}.")
    with Unset():
        codec = settings.parse(CODECS[manifest.kind], manifest.config, source=str(folder / CONFIG)).build()
    _fill(codec, folder, manifest.weights)
    return codec


def load_ear(source: str | Path, download: bool = True) -> tuple[Ear, Manifest]:
    """An ear, in evaluation mode on the CPU, and its manifest; `source` as for `locate`.  Raises ValueError."""
    folder = locate(source, download)
    manifest = read_manifest(folder)
    if manifest.kind not in EARS:
        raise ValueError(f"{str(source)!r} is a {manifest.kind!r}, which does not judge music; name an ear such as ear-tiny.")
    with Unset():
        ear = settings.parse(EARS[manifest.kind], manifest.config, source=str(folder / CONFIG)).build()
    _fill(ear, folder, manifest.weights)
    return ear, manifest


def load_planner(source: str | Path, download: bool = True) -> tuple[Planner, Manifest]:
    """A planner, in evaluation mode on the CPU, and its manifest; `source` as for `locate`.  Raises ValueError."""
    folder = locate(source, download)
    manifest = read_manifest(folder)
    if manifest.kind not in PLANNERS:
        raise ValueError(f"{str(source)!r} is a {manifest.kind!r}, which writes no scores; name a planner such as score-tiny.")
    with Unset():
        planner = settings.parse(PLANNERS[manifest.kind], manifest.config, source=str(folder / CONFIG)).build()
    _fill(planner, folder, manifest.weights)
    return planner, manifest


def _codec_of(folder: Path, codec: str) -> Codec:
    """The codec that a system's manifest names: a shipped one, or the subfolder "codec"."""
    if codec != "codec":
        return load_codec(codec, download=False)
    if not (folder / "codec" / CONFIG).is_file():
        raise ValueError(f"{folder} lacks its folder codec/ (or its {CONFIG}); fetch or save the checkpoint again.")
    return load_codec(folder / "codec", download=False)


def _names(registry: Mapping[str, Any]) -> str:
    return ", ".join(sorted(registry))


def _spec(content: dict[str, Any], folder: Path) -> Spec:
    try:
        return Spec(**content)
    except TypeError as error:
        raise ValueError(f"{folder / CONFIG}: spec must hold rate, dim, levels and bins, not {json.dumps(content)}.") from error


def _fill(module: nn.Module, folder: Path, digest: str, filled: Filled | None = None) -> None:
    """Put the folder's weights into a module just built; `digest` is their SHA-256, where it is known."""
    path = folder / WEIGHTS
    parts = weights.files(folder, [WEIGHTS])
    if digest and weights.digest(parts) != digest:
        raise ValueError(f"{path} is damaged or belongs to another {CONFIG}; fetch or save the checkpoint again.")
    fill(module, map(storage.unpack, weights.by_layer(parts)), path, filled=filled)
