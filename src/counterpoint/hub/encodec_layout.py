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
from counterpoint.hub.renaming import to_ours, to_theirs

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


PARAMETRIZED = (
    ("**.weight_g", "**.parametrizations.weight.original0"),
    ("**.weight_v", "**.parametrizations.weight.original1"),
)
"""What older releases call a normalised weight's scale and direction, and what torch calls them now."""

CODES = (("quantizer.layers.*.codebook.embed", "quantizer.books.*.codes"),)
"""Where codebooks lie; all other names are the same."""

LEARNING = ("inited", "cluster_size", "embed_avg")
"""What only the training of a codebook needs."""


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
    levels = round(1000 * content["target_bandwidths"][-1] / (rate * bits), 6) // 1  # 0.9 / 0.3 is less than 3
    return parse(EncodecConfig, {**ours, "levels": int(levels)}, "this EnCodec")


def rename(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names; what only their training needs is left out."""
    kept = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] not in LEARNING}
    measured_by_nobody_yet = {"mean": torch.zeros(()), "std": torch.ones(())}
    return measured_by_nobody_yet | to_ours(to_ours(kept, PARAMETRIZED), CODES)


def settings_back(config: EncodecConfig) -> dict[str, Any]:
    """Their settings from ours.  Raises ValueError where theirs cannot say the same: they count levels by bandwidth."""
    theirs = {name: getattr(config, ours) for name, ours in NAMES.items()}
    rate, bits = math.ceil(config.sample_rate / math.prod(config.ratios)), math.ceil(math.log2(config.bins))
    content = {
        "model_type": "encodec",
        "architectures": ["EncodecModel"],
        **theirs,
        "upsampling_ratios": list(config.ratios),
        "codebook_dim": config.dim,
        "target_bandwidths": [config.levels * rate * bits / 1000],
        "normalize": False,
        "chunk_length_s": None,
        "overlap": None,
        "norm_type": "weight_norm",
        "trim_right_ratio": 1.0,
    }
    if settings(content) != config:
        raise ValueError(
            f"{config.levels} levels of {config.bins} entries are no whole bandwidth, by which transformers counts."
        )
    return content


def names_back(ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors by their names, with what their training would need: codes that have each been met once."""
    kept = {name: tensor for name, tensor in ours.items() if name not in ("mean", "std")}
    theirs = to_theirs(kept, CODES)
    for name in [name for name in theirs if name.endswith(".codebook.embed")]:
        codes, book = theirs[name], name.removesuffix("embed")
        theirs[f"{book}embed_avg"], theirs[f"{book}cluster_size"] = codes.clone(), torch.ones(len(codes))
        theirs[f"{book}inited"] = torch.ones(1)
    return theirs
