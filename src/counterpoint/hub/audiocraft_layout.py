"""MusicGen and EnCodec as AudioCraft writes them: their settings and names, and ours.

From AudioCraft's sources (models/lm.py, modules/transformer.py, modules/seanet.py, config/, MIT); no released file was at hand.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.conditioners.text import T5Config
from counterpoint.config import parse
from counterpoint.hub.audiocraft import Package
from counterpoint.hub.encodec_layout import LEARNING
from counterpoint.hub.musicgen_layout import together
from counterpoint.hub.renaming import Table, to_ours
from counterpoint.systems.musicgen import MusicgenConfig

_LAYER, _BLOCK = "transformer.layers.*", "backbone.blocks.*"
WORDS = "condition_provider.conditioners.description.output_proj"
TUNE = "condition_provider.conditioners.self_wav.output_proj"

TRANSFORMER: Table = (
    (f"{_LAYER}.norm1.**", f"{_BLOCK}.attention_norm.**"),
    (f"{_LAYER}.self_attn.in_proj_weight", f"{_BLOCK}.attention.query_key_value.weight"),
    (f"{_LAYER}.self_attn.out_proj.weight", f"{_BLOCK}.attention.out.weight"),
    (f"{_LAYER}.norm_cross.**", f"{_BLOCK}.cross_norm.**"),
    (f"{_LAYER}.cross_attention.in_proj_weight", f"{_BLOCK}.cross.query_key_value.weight"),
    (f"{_LAYER}.cross_attention.out_proj.weight", f"{_BLOCK}.cross.out.weight"),
    (f"{_LAYER}.norm2.**", f"{_BLOCK}.feedforward_norm.**"),
    (f"{_LAYER}.linear1.weight", f"{_BLOCK}.expand.weight"),
    (f"{_LAYER}.linear2.weight", f"{_BLOCK}.contract.weight"),
    ("out_norm.**", "backbone.norm.**"),
    (f"{WORDS}.**", "conditioners.text.out.**"),
)
"""What autoregression and flow share; queries, keys and values are one matrix (see `thirds`)."""

MUSICGEN: Table = (
    *TRANSFORMER,
    ("emb.*.weight", "embed.*.weight"),
    ("linears.*.weight", "heads.*.weight"),
    (f"{TUNE}.**", "conditioners.melody.project.**"),
)

ENCODEC: Table = (
    ("**.conv.conv.weight_g", "**.conv.parametrizations.weight.original0"),
    ("**.conv.conv.weight_v", "**.conv.parametrizations.weight.original1"),
    ("**.conv.conv.**", "**.conv.**"),
    ("**.convtr.convtr.weight_g", "**.conv.parametrizations.weight.original0"),
    ("**.convtr.convtr.weight_v", "**.conv.parametrizations.weight.original1"),
    ("**.convtr.convtr.**", "**.conv.**"),
    ("quantizer.vq.layers.*._codebook.embed", "quantizer.books.*.codes"),
)
"""Endings of names; the layers' numbers are the same, under `model` there and `layers` here."""

_NETWORK = {
    "activation": "gelu", "norm_first": True, "bias_ff": False, "bias_attn": False, "bias_proj": False,
    "positional_embedding": "sin", "norm": "layer_norm", "layer_scale": None, "kv_repeat": 1, "past_context": None,
    "qk_layer_norm": False, "qk_layer_norm_cross": False, "xpos": False, "rope": False,
}  # fmt: skip
"""Of `transformer_lm`, what is built here; where a recipe leaves one out, AudioCraft takes the same."""

_STATED = ("activation", "norm_first", "bias_ff", "bias_attn", "bias_proj")
"""Those that a recipe has to state, as AudioCraft would take another value."""


def backbone(package: Package) -> dict[str, Any]:
    """Settings of the network that autoregression and flow share.  Raises ValueError for what is not built here."""
    for name in _STATED:
        package.stated(f"transformer_lm.{name}")
    package.demand({f"transformer_lm.{name}": value for name, value in _NETWORK.items()})
    package.demand({"fuser.cross_attention_pos_emb": False, "fuser.sum": [], "fuser.input_interpolate": []})
    return {
        "width": package.stated("transformer_lm.dim"),
        "depth": package.stated("transformer_lm.num_layers"),
        "heads": package.stated("transformer_lm.num_heads"),
        "feedforward": package.stated("transformer_lm.hidden_scale"),
        "positions": "sinusoidal",
    }


def words(package: Package) -> T5Config:
    """The text encoder, which lies elsewhere; what is behind a shorter text is shown as zeros, as these models were trained."""
    wanted = {"model": "t5", "t5.finetune": False, "t5.normalize_text": False}
    package.demand({f"conditioners.description.{name}": value for name, value in wanted.items()})
    if (projection := package.tensors.get(f"{WORDS}.weight")) is None:
        raise ValueError(f"{package.path} has no {WORDS}.weight; export it again with AudioCraft.")
    model = package.stated("conditioners.description.t5.name")
    return T5Config(model=model, dim=projection.shape[1], compat="audiocraft")


def musicgen(package: Package) -> MusicgenConfig:
    """Our settings from a recipe's.  Raises ValueError for what is not built here."""
    package.demand({"lm_model": "transformer_lm", "transformer_lm.causal": True})
    first = package.get("fuser.prepend", [])
    package.demand({"codebooks_pattern.delay.flatten_first": 0, "codebooks_pattern.delay.empty_initial": 0})
    package.demand({"codebooks_pattern.modeling": "delay", "interleave_stereo_codebooks.per_timestep": False})
    levels = package.stated("transformer_lm.n_q")
    content = {
        "backbone": backbone(package) | {"causal": True, "time": "none"},
        "words": words(package),
        "score": None,
        "delays": package.stated("codebooks_pattern.delay.delays"),
        "window_seconds": package.stated("dataset.segment_duration"),
        "sampling": {"guidance": {"all": package.stated("classifier_free_guidance.inference_coef")}},
    }
    if first == ["self_wav", "description"] and package.get("fuser.cross", []) == []:
        content |= {"prefix": True, "controls": {"melody": _chroma(package)}}
        content["backbone"] |= {"context": False}
    elif first != [] or package.get("fuser.cross") != ["description"]:
        raise ValueError(f"{package.path} is told something else than words, or words and a tune, which is not built here.")
    config = parse(MusicgenConfig, content, str(package.path))
    if len(config.delays) != levels:
        raise ValueError(f"{package.path} has {len(config.delays)} delays for {levels} levels; export it again.")
    return config


def _chroma(package: Package) -> dict[str, Any]:
    """How a melody model hears a tune: the spectrum's window is centred, so that the first moment and the last are the ends."""
    how = "conditioners.self_wav.chroma_stem"
    package.demand({"conditioners.self_wav.model": "chroma_stem", f"{how}.n_chroma": 12, f"{how}.argmax": True})
    hop = 2 ** package.stated(f"{how}.radix2_exp") // 4
    rate, seconds = package.stated(f"{how}.sample_rate"), package.stated("dataset.segment_duration")
    return {"form": "chroma", "moments": 1 + int(rate * seconds) // hop, "every": hop / rate}


def encodec(package: Package) -> EncodecConfig:
    """Our settings from a recipe's.  Raises ValueError for what is not built here."""
    package.demand({"compression_model": "encodec", "encodec.autoencoder": "seanet", "encodec.quantizer": "rvq"})
    package.demand({"encodec.renormalize": False, "seanet.encoder": {}, "seanet.decoder.final_activation": None})
    package.demand({"seanet.norm": "weight_norm", "seanet.disable_norm_outer_blocks": 0})
    package.demand({"seanet.activation": "ELU", "seanet.activation_params": {"alpha": 1.0}})
    if package.stated("encodec.causal"):
        package.demand({"seanet.decoder.trim_right_ratio": 1.0})
    named = {
        "dim": "dimension", "filters": "n_filters", "ratios": "ratios", "kernel": "kernel_size",
        "last_kernel": "last_kernel_size", "residual_kernel": "residual_kernel_size", "residuals": "n_residual_layers",
        "dilation": "dilation_base", "compress": "compress", "lstm": "lstm", "causal": "causal", "pad": "pad_mode",
    }  # fmt: skip
    content = {ours: package.stated(f"seanet.{theirs}") for ours, theirs in named.items()}
    content |= {name: package.stated(f"encodec.{name}") for name in ("sample_rate", "channels")}
    content |= {"levels": package.stated("rvq.n_q"), "bins": package.stated("rvq.bins")}
    return parse(EncodecConfig, content | {"shortcut": not package.stated("seanet.true_skip")}, str(package.path))


_JOINT = "query_key_value.weight"


def rename_encodec(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names; what only their training needs is left out."""
    kept = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] not in LEARNING}
    moved = to_ours(kept, (("encoder.model.**", "encoder.layers.**"), ("decoder.model.**", "decoder.layers.**")))
    return {"mean": torch.zeros(()), "std": torch.ones(())} | to_ours(moved, ENCODEC)


def rename_musicgen(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names; the window of a spectrum is computed."""
    kept = {name: tensor for name, tensor in tensors.items() if ".chroma." not in name}
    return together(thirds(to_ours(kept, MUSICGEN)))


def thirds(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values in one matrix: the first third asks, the others are ours as one."""
    split: dict[str, Tensor] = {}
    for name, tensor in named.items():
        if name.endswith(_JOINT):
            third = len(tensor) // 3
            split[name.removesuffix(_JOINT) + "query.weight"] = tensor[:third]
            split[name.removesuffix(_JOINT) + "key_value.weight"] = tensor[third:]
        else:
            split[name] = tensor
    return split
