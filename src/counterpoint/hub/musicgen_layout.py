"""MusicGen as the transformers library writes it, alone or with text encoder and codec: its settings and names, and ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint.conditioners.text import T5Config
from counterpoint.config import parse
from counterpoint.hub.renaming import to_ours, to_theirs
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.systems.musicgen import MusicgenConfig

WHOLE, DECODER = "musicgen", "musicgen_decoder"
"""Their names for the model with its text encoder and codec, and for the network that predicts tokens."""

MELODY = "musicgen_melody"
"""Their name for the model that hears a tune's chroma and words before the frames."""

SETTINGS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "vocab_size", "num_codebooks")
"""What the network's settings have to state."""

_LAYER, _BLOCK = "decoder.model.decoder.layers.*", "backbone.blocks.*"

NAMES = (
    ("decoder.model.decoder.embed_tokens.*.weight", "embed.*.weight"),
    (f"{_LAYER}.self_attn_layer_norm.**", f"{_BLOCK}.attention_norm.**"),
    (f"{_LAYER}.self_attn.q_proj.weight", f"{_BLOCK}.attention.query.weight"),
    (f"{_LAYER}.self_attn.k_proj.weight", f"{_BLOCK}.attention.key.weight"),
    (f"{_LAYER}.self_attn.v_proj.weight", f"{_BLOCK}.attention.value.weight"),
    (f"{_LAYER}.self_attn.out_proj.weight", f"{_BLOCK}.attention.out.weight"),
    (f"{_LAYER}.encoder_attn_layer_norm.**", f"{_BLOCK}.cross_norm.**"),
    (f"{_LAYER}.encoder_attn.q_proj.weight", f"{_BLOCK}.cross.query.weight"),
    (f"{_LAYER}.encoder_attn.k_proj.weight", f"{_BLOCK}.cross.key.weight"),
    (f"{_LAYER}.encoder_attn.v_proj.weight", f"{_BLOCK}.cross.value.weight"),
    (f"{_LAYER}.encoder_attn.out_proj.weight", f"{_BLOCK}.cross.out.weight"),
    (f"{_LAYER}.final_layer_norm.**", f"{_BLOCK}.feedforward_norm.**"),
    (f"{_LAYER}.fc1.weight", f"{_BLOCK}.expand.weight"),
    (f"{_LAYER}.fc2.weight", f"{_BLOCK}.contract.weight"),
    ("decoder.model.decoder.layer_norm.**", "backbone.norm.**"),
    ("decoder.lm_heads.*.weight", "heads.*.weight"),
    ("enc_to_dec_proj.**", "conditioners.text.out.**"),
    ("audio_enc_to_dec_proj.**", "conditioners.melody.project.**"),
)
"""Their names in a whole model, and ours, where keys and values, and the heads of all levels, are apart (see `apart`)."""

FOREIGN = ("text_encoder.", "audio_encoder.", "decoder.model.decoder.embed_positions.")
"""Parts of a whole model that are read elsewhere, or computed."""


def written_by_transformers(file: Path) -> dict[str, Any] | None:
    """The content of a config.json if it is that of a transformers' MusicGen, whole or the decoder alone, else None."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and str(content.get("model_type")).startswith(WHOLE) else None


def settings(
    decoder: Mapping[str, Any],
    words: T5Config,
    sampling: Mapping[str, Any] | None = None,
    chroma: Mapping[str, Any] | None = None,
) -> MusicgenConfig:
    """Our settings from the decoder's, and `sampling` from what generation is told by default; `chroma` is a melody model's.

    Raises ValueError for what is not built here, and for what is missing.
    """
    missing = [name for name in SETTINGS if name not in decoder]
    if missing:
        raise ValueError(f"This MusicGen does not state {missing[0]}; save it again with a newer transformers.")
    if decoder.get("activation_function", "gelu") != "gelu" or decoder.get("scale_embedding"):
        raise ValueError("This MusicGen has another activation than gelu, or scales its embeddings, which is not built here.")
    width = decoder["hidden_size"]
    backbone = {
        "width": width,
        "depth": decoder["num_hidden_layers"],
        "heads": decoder["num_attention_heads"],
        "feedforward": decoder["ffn_dim"] / width,
        "causal": True,
        "time": "none",
        "positions": "sinusoidal",
    }
    channels = decoder.get("audio_channels", 1)  # older releases know no stereo, in which left and right go together
    delays = [level // channels for level in range(decoder["num_codebooks"])]
    content = {"backbone": backbone, "words": words, "score": None, "delays": delays, "window_seconds": 30.0}
    if chroma is not None:
        content |= {
            "prefix": True,
            "controls": {"melody": {"form": "chroma", **chroma}},
            "backbone": backbone | {"context": False},
        }
    return parse(MusicgenConfig, {**content, "sampling": dict(sampling or {})}, "this MusicGen")


def settings_back(config: MusicgenConfig, bins: int, channels: int, name: str) -> dict[str, Any]:
    """The decoder's settings from ours.  Raises ValueError for what transformers has no network for."""
    backbone = config.backbone
    plain = TransformerConfig(
        width=backbone.width,
        depth=backbone.depth,
        heads=backbone.heads,
        feedforward=backbone.feedforward,
        causal=True,
        context=not config.prefix,
        time="none",
        positions="sinusoidal",
    )
    stays = {
        "is told a score": config.score is not None,
        "is told controls": config.controls.names != config.controls.first,
        "is told words alone, before the frames": config.prefix and not config.controls.first,
        "fills gaps": config.middle > 0,
        "has a backbone of its own": backbone != plain or config.head_bias,
        "has other delays": config.delays != tuple(level // channels for level in range(len(config.delays))),
    }
    for reason in (reason for reason, so in stays.items() if so):
        raise ValueError(f"{name} {reason}, for which transformers has no network; it cannot be exported.")
    return {
        "model_type": f"{MELODY}_decoder" if config.prefix else DECODER,
        "vocab_size": bins,
        "hidden_size": backbone.width,
        "num_hidden_layers": backbone.depth,
        "num_attention_heads": backbone.heads,
        "ffn_dim": int(backbone.feedforward * backbone.width),
        "num_codebooks": len(config.delays),
        "audio_channels": channels,
        "activation_function": "gelu",
        "scale_embedding": False,
        **dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0),
        **dict.fromkeys(("pad_token_id", "bos_token_id"), bins),
    }


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors by our names, out of either file."""
    alone = not any(name.startswith("decoder.") for name in tensors)
    whole = {f"decoder.{name}": tensor for name, tensor in tensors.items()} if alone else tensors
    own = {name: tensor for name, tensor in whole.items() if not name.startswith(FOREIGN)}
    return together(to_ours(own, NAMES))


def names_back(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors by their names in a whole model."""
    return to_theirs(apart(ours), NAMES)


def together(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Ours: keys and values, and the heads of all levels, become one."""
    named = dict(parts)
    heads = [named.pop(f"heads.{level}.weight") for level in range(sum(name.startswith("heads.") for name in named))]
    for key in [name for name in named if name.endswith(".key.weight")]:
        value = key.replace(".key.", ".value.")
        if value in named:
            named[key.replace(".key.", ".key_value.")] = torch.cat((named.pop(key), named.pop(value)))
    if heads:
        width = heads[0].shape[1]
        named["out.weight"] = torch.cat(heads)
        named.setdefault("conditioners.text.out.weight", torch.eye(width))  # a text encoder of that width needs no projection
        named.setdefault("conditioners.text.out.bias", torch.zeros(width))
    return named


def apart(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The other way; the number of heads is that of the embeddings."""
    named = dict(ours)
    for joint in [name for name in named if name.endswith(".key_value.weight")]:
        key, value = named.pop(joint).chunk(2)
        named[joint.replace("key_value", "key")], named[joint.replace("key_value", "value")] = key, value
    levels = sum(name.startswith("embed.") for name in named)
    return named | {f"heads.{level}.weight": head for level, head in enumerate(named.pop("out.weight").chunk(levels))}
