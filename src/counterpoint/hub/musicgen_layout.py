"""MusicGen as the transformers library writes it, alone or with text encoder and codec: its settings and names, and ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint.conditioners.text import T5Config
from counterpoint.config import parse
from counterpoint.hub import encodec_layout
from counterpoint.systems.musicgen import MusicgenConfig

WHOLE, DECODER = "musicgen", "musicgen_decoder"
"""Their names for the model with its text encoder and codec, and for the network that predicts tokens."""

SETTINGS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim", "vocab_size", "num_codebooks")
"""What the network's settings have to state."""

NAMES = {
    "model.decoder.embed_tokens": "embed",
    "model.decoder.layers": "backbone.blocks",
    "model.decoder.layer_norm": "backbone.norm",
    "self_attn_layer_norm": "attention_norm",
    "encoder_attn_layer_norm": "cross_norm",
    "final_layer_norm": "feedforward_norm",
    "self_attn": "attention",
    "encoder_attn": "cross",
    "q_proj": "query",
    "out_proj": "out",
    "fc1": "expand",
    "fc2": "contract",
    "enc_to_dec_proj": "conditioners.text.out",
}
"""Parts of their tensors' names that are ours under another name, replaced in this order."""


def written_by_transformers(file: Path) -> dict[str, Any] | None:
    """The content of a config.json if it is that of a transformers' MusicGen, whole or the decoder alone, else None."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("model_type") in (WHOLE, DECODER) else None


def settings(decoder: Mapping[str, Any], words: T5Config) -> MusicgenConfig:
    """Our settings from the decoder's.  Raises ValueError for what is not built here, and for what is missing."""
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
    return parse(MusicgenConfig, content, "this MusicGen")


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's tensors by our names, out of either file; keys and values, and the heads of all levels, become one."""
    named: dict[str, Tensor] = {}
    for theirs, tensor in tensors.items():
        name = theirs.removeprefix("decoder.")
        if name.startswith(("text_encoder.", "audio_encoder.", "model.decoder.embed_positions.")):
            continue
        for part, ours in NAMES.items():
            name = name.replace(part, ours)
        named[name] = tensor
    heads = [named.pop(f"lm_heads.{level}.weight") for level in range(sum(name.startswith("lm_heads.") for name in named))]
    for key in [name for name in named if "k_proj" in name]:
        value = key.replace("k_proj", "v_proj")
        if value in named:
            named[key.replace("k_proj", "key_value")] = torch.cat((named.pop(key), named.pop(value)))
    if heads:
        width = heads[0].shape[1]
        named["out.weight"] = torch.cat(heads)
        named.setdefault("conditioners.text.out.weight", torch.eye(width))  # a text encoder of that width needs no projection
        named.setdefault("conditioners.text.out.bias", torch.zeros(width))
    return named


def rename_codec(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The codec's tensors of a whole model, by our names."""
    prefix = "audio_encoder."
    return encodec_layout.rename({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
