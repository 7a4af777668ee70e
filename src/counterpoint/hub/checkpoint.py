"""A checkpoint is a folder: `config.json`, `model.safetensors`, `README.md` (the model card) and, at times, `codec/`.

`config.json` is a Manifest: what to build, what it can do, and the digest of the weights that belong to it.
Nothing is ever unpickled.  A checkpoint is named by a shipped name, by a folder, or by a Hub id that the user typed.
"""

import contextlib
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from pydantic import Field
from safetensors import SafetensorError
from torch import Tensor, nn

from counterpoint import config as settings
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.conditioners.text import TOKENIZERS, T5Config
from counterpoint.config import Config
from counterpoint.files import renamed
from counterpoint.hub import encodec_layout, musicgen_layout, oobleck_layout, storage
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

CodecConfig = SpectralConfig | EncodecConfig | VaeConfig
CODECS: dict[str, type[CodecConfig]] = {"spectral": SpectralConfig, "encodec": EncodecConfig, "vae": VaeConfig}
"""Every kind of codec that a checkpoint can hold, with the config that builds it."""

EARS: dict[str, type[EarConfig]] = {"ear": EarConfig}
"""Every kind of ear that a checkpoint can hold: they judge music and make none."""

PLANNERS: dict[str, type[PlannerConfig]] = {"score": PlannerConfig}
"""Every kind of planner that a checkpoint can hold: they write scores, which systems play."""

Rename = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"


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
    weights = safetensors.torch.save(tensors)
    manifest = manifest.model_copy(update={"weights": hashlib.sha256(weights).hexdigest()})
    content = {CONFIG: settings.dump(manifest).encode(), WEIGHTS: weights}
    if card:
        content[CARD] = card.encode()
    with contextlib.ExitStack() as parts:  # files take their names in the reverse order, so config.json comes last
        for name, data in content.items():
            parts.enter_context(renamed(folder / name)).write_bytes(data)


def shipped() -> list[str]:
    """Names of the checkpoints inside the package."""
    folder = _shipped_folder()
    return sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))


def _shipped_folder() -> Path:
    return Path(str(resources.files("counterpoint"))) / "shipped"


def locate(source: str | Path, download: bool = True) -> Path:
    """The folder of a checkpoint: a shipped name, a folder, or (with `download`) a Hub id such as "owner/name".

    Raises ValueError where there is none; the Hub is asked only for a Hub id that is no folder here.
    """
    folder = Path(source).expanduser()
    if str(source) in shipped():
        return _shipped_folder() / str(source)
    if folder.is_dir():
        if not (folder / CONFIG).is_file():
            raise ValueError(
                f"The folder {folder} is no checkpoint: it has no {CONFIG}; give a folder that training has written."
            )
        return folder
    if download and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", str(source)):
        return _download(str(source))
    near = difflib.get_close_matches(str(source), shipped(), n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    names = ", ".join(shipped()) or "none"
    raise ValueError(
        f"There is no model {str(source)!r}. {hint}Shipped: {names}; or give a folder or a Hub id like owner/name."
    )


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    patterns = [
        CONFIG,
        WEIGHTS,
        oobleck_layout.WEIGHTS,
        CARD,
        f"codec/{CONFIG}",
        f"codec/{WEIGHTS}",
        "tokenizer_config.json",
        *TOKENIZERS,
    ]
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the Hub client raises many kinds: offline, no such repository, no permission, ...
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(
            f"{name!r} is no folder here and could not be had from the Hub ({reason}); check the name and the connection."
        ) from error


def read_manifest(folder: Path) -> Manifest:
    """The checked `config.json` of a checkpoint folder.  Raises ValueError."""
    try:
        content = settings.read(folder / CONFIG)
    except ValueError as error:
        raise ValueError(f"{str(error).rstrip('.')}; fetch or save the checkpoint again.") from error
    return settings.parse(Manifest, content, source=str(folder / CONFIG))


def load(source: str | Path) -> Checkpoint:
    """A system and its codec, in evaluation mode on the CPU; also a MusicGen that transformers wrote.

    Raises ValueError: what is wrong with which file, what to do.
    """
    folder = locate(source)
    if (content := musicgen_layout.written_by_transformers(folder / CONFIG)) is not None:
        return _load_theirs(folder, content)
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
    config = settings.parse(SYSTEMS[manifest.kind], manifest.config, source=str(folder / CONFIG))
    system = config.build(spec)
    _fill(system, folder, manifest.weights)
    return Checkpoint(system, config, codec, Path(folder).name, f"{manifest.version}+{manifest.weights[:8]}", manifest)


def _load_theirs(folder: Path, content: Mapping[str, Any]) -> Checkpoint:
    """A whole MusicGen of transformers, whose text encoder is read from the folder when it is first told a text."""
    if content["model_type"] == musicgen_layout.DECODER:
        raise ValueError(f"{folder} holds a MusicGen without its text encoder and codec; give the folder of the whole model.")
    try:
        parts = [content[name] for name in ("text_encoder", "audio_encoder", "decoder")]
        words = T5Config(model=str(folder), dim=parts[0]["d_model"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder / CONFIG} does not state {error}; save it again with a newer transformers.") from error
    config = musicgen_layout.settings(parts[2], words)
    codec = encodec_layout.settings(parts[1]).build()
    if parts[2]["vocab_size"] != codec.spec.bins or len(config.delays) > codec.spec.levels:
        made, known = f"{len(config.delays)} of {parts[2]['vocab_size']}", f"{codec.spec.levels} of {codec.spec.bins}"
        raise ValueError(f"{folder} makes {made} tokens a frame, but its codec knows {known}; save it with its own codec.")
    system = config.build(codec.spec)
    _fill(codec, folder, rename=musicgen_layout.rename_codec)
    digest = _fill(system, folder, rename=musicgen_layout.rename)
    manifest = system_manifest(config, system, codec)
    capability = manifest.capability.model_copy(update={"licence": "that of its own card"})
    manifest = manifest.model_copy(update={"weights": digest, "capability": capability})
    return Checkpoint(system, config, codec, folder.name, f"{manifest.version}+{digest[:8]}", manifest)


def load_codec(source: str | Path, download: bool = True) -> Codec:
    """A codec alone, in evaluation mode on the CPU; `source` as for `locate`.  A system's folder gives that system's codec,
    a folder that transformers wrote an EnCodec, and one that diffusers wrote a VAE.
    """
    folder = locate(source, download)
    if (content := encodec_layout.written_by_transformers(folder / CONFIG)) is not None:
        theirs = encodec_layout.settings(content).build()
        _fill(theirs, folder, rename=encodec_layout.rename)
        return theirs
    if (content := oobleck_layout.written_by_diffusers(folder / CONFIG)) is not None:
        vae = oobleck_layout.settings(content).build()
        _fill(vae, folder, rename=oobleck_layout.rename, file=oobleck_layout.WEIGHTS)
        return vae
    manifest = read_manifest(folder)
    if manifest.kind in SYSTEMS and manifest.codec is not None:
        return _codec_of(folder, manifest.codec)
    if manifest.kind not in CODECS:
        raise ValueError(f"{folder / CONFIG} holds a {manifest.kind!r}, which is no codec; known here: {_names(CODECS)}.")
    codec = settings.parse(CODECS[manifest.kind], manifest.config, source=str(folder / CONFIG)).build()
    _fill(codec, folder, manifest.weights)
    return codec


def load_ear(source: str | Path, download: bool = True) -> tuple[Ear, Manifest]:
    """An ear, in evaluation mode on the CPU, and its manifest; `source` as for `locate`.  Raises ValueError."""
    folder = locate(source, download)
    manifest = read_manifest(folder)
    if manifest.kind not in EARS:
        raise ValueError(f"{str(source)!r} is a {manifest.kind!r}, which does not judge music; name an ear such as ear-tiny.")
    ear = settings.parse(EARS[manifest.kind], manifest.config, source=str(folder / CONFIG)).build()
    _fill(ear, folder, manifest.weights)
    return ear, manifest


def load_planner(source: str | Path, download: bool = True) -> tuple[Planner, Manifest]:
    """A planner, in evaluation mode on the CPU, and its manifest; `source` as for `locate`.  Raises ValueError."""
    folder = locate(source, download)
    manifest = read_manifest(folder)
    if manifest.kind not in PLANNERS:
        raise ValueError(f"{str(source)!r} is a {manifest.kind!r}, which writes no scores; name a planner such as score-tiny.")
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


def _fill(module: nn.Module, folder: Path, digest: str = "", rename: Rename | None = None, file: str = WEIGHTS) -> str:
    """Put the folder's weights, as 32-bit floats, into a module just built, set it to evaluation, and give their SHA-256.

    `digest` is what that has to be, where it is known; `rename` turns another library's tensors into ours.
    """
    path = folder / file
    if not path.is_file():
        raise ValueError(f"{folder} has no {file}; the checkpoint is incomplete, so fetch or save it again.")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if digest and found != digest:
        raise ValueError(f"{path} is damaged or belongs to another {CONFIG}; fetch or save the checkpoint again.")
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); fetch or save the checkpoint again.") from error
    tensors = storage.unpack(tensors) if rename is None else rename(tensors)
    _check(tensors, module.state_dict(), path)
    module.load_state_dict(tensors)  # 16-bit floats become the module's own
    module.eval()
    return found


def _check(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    shapes = [name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape]
    if missing or extra or shapes:
        first = (missing or extra or sorted(shapes))[0]
        raise ValueError(
            f"{path} does not fit its {CONFIG}: {len(missing)} tensors are missing, {len(extra)} unknown, {len(shapes)} "
            f"of another shape (first: {first}); fetch or save the checkpoint again."
        )
