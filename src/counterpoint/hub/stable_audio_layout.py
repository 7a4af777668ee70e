"""Stable Audio's VAE as stable-audio-tools writes it, alone or inside a diffusion model: its settings and names, and ours.

From its sources (models/autoencoders.py, bottleneck.py, pretrained.py, configs/, MIT); no released file was at hand.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint.codecs.vae import VaeConfig
from counterpoint.config import parse
from counterpoint.hub.encodec_layout import PARAMETRIZED
from counterpoint.hub.renaming import to_ours

CONFIG, WEIGHTS = "model_config.json", ("model.safetensors", "model.ckpt")
"""What the files are called; a .ckpt holds the tensors under `state_dict`."""

_PREFIXES = ("pretransform.model.", "autoencoder.", "")
"""Where the VAE's tensors lie: in a diffusion model, in a training run, by themselves."""

_SIZES = ("channels", "c_mults", "strides", "latent_dim")
"""What either half has to state."""

_STRIDED = 5
"""Layers of a stage: three residual units, a Snake and a strided convolution, in the decoder the other way round."""


def written_by_stable_audio_tools(folder: Path) -> dict[str, Any] | None:
    """The content of a model_config.json, else None."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "model_type" in content else None


def settings(content: Mapping[str, Any]) -> VaeConfig:
    """Our settings from theirs.  Raises ValueError for what is not built here, and for what is missing: nothing is assumed."""
    vae = _part(content, "model")
    if content["model_type"] != "autoencoder":  # a diffusion model, which has the VAE before it
        before = _part(vae, "pretransform")
        _demand(before, "pretransform", {"type": "autoencoder", "scale": 1.0})
        vae = _part(before, "config")
    halves = {name: _part(_part(vae, name), "config") for name in ("encoder", "decoder")}
    needed = {"encoder": (*_SIZES, "in_channels"), "decoder": (*_SIZES, "out_channels")}
    missing = [f"{name}.{key}" for name, keys in needed.items() for key in keys if key not in halves[name]]
    missing += [] if "sample_rate" in content else ["sample_rate"]
    if missing:
        raise ValueError(f"This model_config.json does not state {missing[0]} of a VAE; fetch it again.")
    for name, half in halves.items():
        _demand(_part(vae, name), name, {"type": "oobleck", "soft_clip": False})
        if half.get("use_snake") is not True or (name == "decoder" and half.get("final_tanh") is not False):
            raise ValueError(
                f"This VAE's {name} has other activations than Snakes, or a tanh at its end, which is not built here."
            )
        _demand(half, name, {"antialias_activation": False, "use_nearest_upsample": False})
    _demand(_part(vae, "bottleneck"), "bottleneck", {"type": "vae"})
    _demand(vae, "model", {"pretransform": None})
    encoder, decoder = halves["encoder"], halves["decoder"]
    shared = [(half["channels"], half["c_mults"], half["strides"]) for half in halves.values()]
    dim = decoder["latent_dim"]
    if shared[0] != shared[1] or encoder["latent_dim"] != 2 * dim or encoder["c_mults"][0] != 1:
        raise ValueError(
            "This VAE's halves are not as wide as each other, or its encoder does not tell twice its latents, or its c_mults "
            "do not begin with 1, which is not built here."
        )
    if encoder["in_channels"] != decoder["out_channels"]:
        raise ValueError("This VAE gives back another number of channels than it takes, which is not built here.")
    ours = {
        "sample_rate": content["sample_rate"],
        "channels": encoder["in_channels"],
        "dim": dim,
        "strides": encoder["strides"],
        "widths": [encoder["channels"] * multiple for multiple in encoder["c_mults"]],
        "compat": True,
    }
    return parse(VaeConfig, ours, "this VAE")


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(part := content.get(name), Mapping):
        raise ValueError(f"This model_config.json does not state {name} of a VAE; fetch it again.")
    return part


def _demand(content: Mapping[str, Any], where: str, wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if content.get(name, value) != value:
            raise ValueError(
                f"This VAE has {where}.{name} = {content[name]!r}, which is not built here, where it is {value!r}."
            )


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VAE's tensors by our names; what else a diffusion model holds is left out."""
    prefix = next(
        prefix for prefix in _PREFIXES if any(name.startswith(f"{prefix}encoder.layers.") for name in tensors) or not prefix
    )
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    own = {name: tensor for name, tensor in own.items() if name.startswith(("encoder.", "decoder."))}
    stages = 1 + max((int(name.split(".")[2]) for name in own if re.match(r"encoder\.layers\.\d+\.layers\.", name)), default=0)
    named = {_name(name, stages): tensor for name, tensor in to_ours(own, PARAMETRIZED).items()}
    return {"mean": torch.zeros(()), "std": torch.ones(()), **named}  # measured by nobody yet


def _name(name: str, stages: int) -> str:
    """Stages lie within each other there, and side by side here; `stages` are counted with what comes before them."""
    if unit := re.fullmatch(r"(\w+)\.layers\.(\d+)\.layers\.(\d)\.layers\.(\d)\.(.+)", name):
        half, stage, part, layer, rest = unit.groups()
        return f"{half}.layers.{_place(stage, part)}.block.{layer}.{rest}"
    if within := re.fullmatch(r"(\w+)\.layers\.(\d+)\.layers\.(\d)\.(.+)", name):
        half, stage, part, rest = within.groups()
        return f"{half}.layers.{_place(stage, part)}.{rest}"
    if (around := re.fullmatch(r"(\w+)\.layers\.(\d+)\.(.+)", name)) and int(around[2]) >= stages:
        return f"{around[1]}.layers.{1 + _STRIDED * (stages - 1) + int(around[2]) - stages}.{around[3]}"
    return name


def _place(stage: str, part: str) -> int:
    return 1 + _STRIDED * (int(stage) - 1) + int(part)
