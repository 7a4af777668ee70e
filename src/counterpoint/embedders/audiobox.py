"""Audiobox Aesthetics (Tjandra et al. 2025, arXiv 2502.05139): how much a listener would enjoy a sound, on four axes.

A WavLM (Chen et al. 2022) whose layers each axis weighs for itself, the mean over time, and a small head.  The encoder is
transformers' WavLMModel; the published file (CC-BY-4.0) has the layout of the authors' package, from which its names and all
sizes are translated here.  Everything is computed in 32 bits, while the authors' predictor says 16: trust two decimals.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoint.embedders import weights
from counterpoint.embedders.base import Rater, checked
from counterpoint.embedders.windows import consecutive

AXES = ("CE", "CU", "PC", "PQ")
"""Content enjoyment, content usefulness, production complexity, production quality; each from 1 to 10."""
RATE, SECONDS = 16000, 10
_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_FARTHEST = 800
"""Frames beyond which two are equally far apart for WavLM's attention."""
_NAMES = {
    "wavlm_model.layer_norm.": "encoder.feature_projection.layer_norm.",
    "wavlm_model.post_extract_proj.": "encoder.feature_projection.projection.",
    "wavlm_model.mask_emb": "encoder.masked_spec_embed",
    "wavlm_model.": "encoder.",
    "encoder.pos_conv.0.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.pos_conv.0.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    "encoder.pos_conv.0.bias": "encoder.pos_conv_embed.conv.bias",
    ".self_attn_layer_norm.": ".layer_norm.",
    ".self_attn.": ".attention.",
    ".grep_linear.": ".gru_rel_pos_linear.",
    ".grep_a": ".gru_rel_pos_const",
    ".relative_attention_bias.": ".rel_attn_embed.",
    ".fc1.": ".feed_forward.intermediate_dense.",
    ".fc2.": ".feed_forward.output_dense.",
    "feature_extractor.conv_layers.0.2.": "feature_extractor.conv_layers.0.layer_norm.",
    **{f"conv_layers.{number}.0.": f"conv_layers.{number}.conv." for number in range(len(_STRIDES))},
}
"""Parts of the package's names, and what transformers calls them."""


class Network(nn.Module):
    """Sound at 16 kHz, of which the first `samples` are real -> one figure an axis, not yet on the scale of 1 to 10."""

    def __init__(self, encoder: nn.Module, heads: Mapping[str, nn.Module], layers: int, unit_length: bool) -> None:
        super().__init__()
        self.encoder: Any = encoder
        self.layer_weights = nn.ParameterDict({axis: nn.Parameter(torch.zeros(layers)) for axis in heads})
        self.proj_layer = nn.ModuleDict(dict(heads))
        self.unit_length = unit_length

    def forward(self, audio: Float[Tensor, "1 n"], samples: int) -> Float[Tensor, "v"]:
        states = self._states(audio, samples)
        figures = []
        for axis, head in self.proj_layer.items():
            mean = (states.mean(1) * self.layer_weights[axis].softmax(0)[:, None]).sum(0)
            figures.append(head(F.normalize(mean, dim=0) if self.unit_length else mean)[0])
        return torch.stack(figures)

    def _states(self, audio: Float[Tensor, "1 n"], samples: int) -> Float[Tensor, "l t h"]:
        """What goes into the encoder's first layer and comes out of each, of the frames that hold any sound.

        The frames behind them are hidden from attention in the original; here they are gone before it, which is the same.
        """
        features = self.encoder.feature_extractor(audio).transpose(1, 2)
        told = min(features.shape[1], math.ceil(samples / (audio.shape[1] // features.shape[1])))
        hidden = self.encoder.feature_projection(features)[0]
        hidden[:, told:] = 0
        inner = self.encoder.encoder
        hidden = inner.layer_norm(hidden + inner.pos_conv_embed(hidden))[:, :told]
        states, bias = [hidden], None
        for layer in inner.layers[: len(next(iter(self.layer_weights.values()))) - 1]:
            hidden, bias = layer(hidden, position_bias=bias)[:2]
            states.append(hidden)
        return torch.cat(states)


class Audiobox(Rater):
    """Ratings of a whole sound: the mean over parts of 10 s, each weighed by how much of it is sound."""

    name = "audiobox"
    version = "1"
    sample_rate = RATE
    axes = AXES

    def __init__(self, place: Path) -> None:
        folder = place.expanduser()
        content = weights.settings(folder / weights.CONFIG)
        file = weights.file_of(folder)
        tensors = {_ours(name): tensor for name, tensor in weights.read(file).items()}
        try:
            scales = [content["target_transform"][axis] for axis in AXES]
            self.mean, self.std = (torch.tensor([float(scale[what]) for scale in scales]) for what in ("mean", "std"))
            self.network = _build(content, tensors)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{folder} is no Audiobox Aesthetics (it lacks {error}); fetch the whole folder again.") from error
        weights.fill(self.network, tensors, file)
        self.digest = weights.digest([file, folder / weights.CONFIG])

    @torch.inference_mode()
    def ratings(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "v"]:
        parts = consecutive(checked(audio), SECONDS * RATE, 1)
        figures = torch.stack([self._rate(part) for part in parts]).double().numpy()
        return np.average(figures, axis=0, weights=[len(part) for part in parts])

    def _rate(self, part: Tensor) -> Float[Tensor, "v"]:
        filled = F.pad(part, (0, SECONDS * RATE - len(part)))
        return self.network(filled[None], len(part)) * self.std + self.mean


def _ours(name: str) -> str:
    return weights.renamed(name, _NAMES)


def _build(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Network:
    """The network whose sizes the tensors tell; what they cannot tell is the same in WavLM's base model and in the file."""
    transformers = weights.transformers_for("audiobox")
    if not content.get("use_weighted_layer_sum", True) or content.get("output_dim", 1) != 1:
        raise ValueError(
            "This Audiobox Aesthetics does not weigh its layers as the published one does; give the published one."
        )
    inner = "encoder.encoder."
    convolutions = [tensors[f"encoder.feature_extractor.conv_layers.{number}.conv.weight"] for number in range(len(_STRIDES))]
    positions = tensors[f"{inner}pos_conv_embed.conv.parametrizations.weight.original1"]
    width = len(tensors[f"{inner}layer_norm.weight"])
    buckets, attention_heads = tensors[f"{inner}layers.0.attention.rel_attn_embed.weight"].shape
    layers = len({name.split(".")[3] for name in tensors if name.startswith(f"{inner}layers.")})
    config = transformers.WavLMConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=attention_heads,
        intermediate_size=len(tensors[f"{inner}layers.0.feed_forward.intermediate_dense.weight"]),
        conv_dim=[len(weight) for weight in convolutions],
        conv_kernel=[weight.shape[2] for weight in convolutions],
        conv_stride=list(_STRIDES),
        num_conv_pos_embeddings=positions.shape[2],
        num_conv_pos_embedding_groups=width // positions.shape[1],
        num_buckets=buckets,
        max_bucket_distance=_FARTHEST,
    )
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
        encoder = transformers.WavLMModel(config)
        heads = {axis: _head(content, width) for axis in AXES}
    return Network(encoder, heads, int(content.get("nth_layer", 13)), bool(content.get("normalize_embed", True)))


def _head(content: Mapping[str, Any], width: int) -> nn.Sequential:
    """Linear layers; between two of them a normalisation, an activation and the place of dropout, as configured."""
    parts: list[nn.Module] = []
    for _ in range(int(content.get("proj_num_layer", 1)) - 1):
        parts.append(nn.Linear(width, width))
        if content.get("proj_ln", False):
            parts.append(nn.LayerNorm(width))
        parts.append(nn.GELU())
        if content.get("proj_dropout", 0) != 0:
            parts.append(nn.Identity())
    return nn.Sequential(*parts, nn.Linear(width, 1))
