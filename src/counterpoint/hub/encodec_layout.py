"""EnCodec as the transformers library writes it: its settings and names, and ours."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.config import parse

NAMES = {
    "sampling_rate": "sample_rate",
    "audio_channels": "channels",
    "hidden_size": "dim",
    "num_filters": "filters",
    "upsampling_ratios": "ratios",
    "kernel_size": "kernel",
    "last_kernel_size": "last_kernel",
    "residual_kernel_size": "residual_kernel",
    "num_residual_layers": "residuals",
    "dilation_growth_rate": "dilation",
    "compress": "compress",
    "use_conv_shortcut": "shortcut",
    "num_lstm_layers": "lstm",
    "use_causal_conv": "causal",
    "pad_mode": "pad",
    "codebook_size": "bins",
}
"""Their settings that are ours under another name."""


_SCALE, _DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"
"""What older releases call weight_g and weight_v."""


def written_by_transformers(file: Path) -> dict[str, Any] | None:
    """The content of a config.json if it is that of transformers' EncodecModel, else None."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("model_type") == "encodec" else None


def settings(content: Mapping[str, Any]) -> EncodecConfig:
    """Our settings from theirs.  Raises ValueError for what is not built here, and for what is missing: nothing is assumed."""
    missing = [name for name in (*NAMES, "target_bandwidths") if name not in content]
    if missing:
        raise ValueError(f"This EnCodec does not state {missing[0]}; save it again with a newer transformers.")
    if content.get("normalize") or content.get("chunk_length_s"):
        raise ValueError("This EnCodec codes loudness apart, or in chunks, which is not built here; use a music codec.")
    if content["use_causal_conv"] and content.get("trim_right_ratio", 1.0) != 1.0:
        raise ValueError(
            "This EnCodec cuts on the left of causal layers, which is not built here; use one with trim_right_ratio 1."
        )
    ours = {NAMES[name]: value for name, value in content.items() if name in NAMES}
    rate = math.ceil(content["sampling_rate"] / math.prod(content["upsampling_ratios"]))
    bits = math.ceil(math.log2(content["codebook_size"]))
    levels = int(1000 * content["target_bandwidths"][-1] // (rate * bits))
    return parse(EncodecConfig, {**ours, "levels": levels}, "this EnCodec")


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names; what only their training needs is left out."""
    ours = {"mean": torch.zeros(()), "std": torch.ones(())}  # measured by nobody yet
    for name, tensor in tensors.items():
        name = name.replace(".weight_g", _SCALE).replace(".weight_v", _DIRECTION)
        parts = name.split(".")
        if parts[0] != "quantizer":
            ours[name] = tensor
        elif parts[-1] == "embed":
            ours[f"quantizer.books.{parts[2]}.codes"] = tensor
    return ours
