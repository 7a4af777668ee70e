"""A model of ours as the transformers library reads it: MusicGen with its text encoder and codec, or an EnCodec alone."""

import json
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from torch import Tensor

from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import Encodec
from counterpoint.codecs.stereo import Stereo
from counterpoint.conditioners import text
from counterpoint.conditioners.text import T5Config
from counterpoint.files import write_together
from counterpoint.hub import checkpoint, encodec_layout, musicgen_layout
from counterpoint.hub.checkpoint import CARD, CONFIG, WEIGHTS, Checkpoint
from counterpoint.systems.musicgen import MusicgenConfig

Library = Literal["transformers"]

TOKENIZER = (*text.TOKENIZERS, "tokenizer_config.json", "special_tokens_map.json")


def export(source: str | Path, target: Path) -> list[str]:
    """Write `source` into a new folder, whole or not at all; the names of the files.

    Raises ValueError in one sentence for what transformers has no network for, and where the folder is not new.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists already; name a folder that is new or empty.")
    folder = checkpoint.locate(source)
    if checkpoint.is_codec(folder):
        content = _codec(str(source), checkpoint.load_codec(source))
    else:
        content = _musicgen(checkpoint.load(source))
    write_together(target, content)
    return list(content)


def _musicgen(loaded: Checkpoint) -> dict[str, bytes]:
    config = loaded.config
    if not isinstance(config, MusicgenConfig):
        raise ValueError(f"{loaded.name} is a {config.kind}, which transformers does not know; export a musicgen.")
    if not isinstance(config.words, T5Config):
        raise ValueError(f"{loaded.name} reads words by a table of its own, and transformers by a T5; it cannot be exported.")
    stereo = isinstance(loaded.codec, Stereo)
    codec = loaded.codec.mono if isinstance(loaded.codec, Stereo) else loaded.codec
    if not isinstance(codec, Encodec):
        raise ValueError(f"{loaded.name} has another codec than EnCodec, which transformers does not know; it stays here.")
    settings = musicgen_layout.settings_back(config, loaded.system.spec.bins, 2 if stereo else 1, loaded.name)
    folder, words, encoder = text.stored(config.words.model)
    whole = {
        "model_type": musicgen_layout.WHOLE,
        "architectures": ["MusicgenForConditionalGeneration"],
        "is_encoder_decoder": True,
        "text_encoder": words,
        "audio_encoder": encodec_layout.settings_back(codec.config),
        "decoder": settings,
    }
    tensors = _network(loaded, words["d_model"])
    tensors |= {f"text_encoder.{name}": tensor for name, tensor in encoder.items() if name != "encoder.embed_tokens.weight"}
    own = encodec_layout.names_back(codec.state_dict())
    tensors |= {f"audio_encoder.{name}": tensor for name, tensor in own.items()}
    return {
        CONFIG: _json(whole),
        WEIGHTS: _stored(tensors),
        "generation_config.json": _json(_generation(config, settings, loaded.codec)),
        "preprocessor_config.json": _json(_hearing(loaded.codec)),
        **{name: (folder / name).read_bytes() for name in TOKENIZER if (folder / name).is_file()},
        CARD: _card(loaded.name, loaded.capability.licence),
    }


def _network(loaded: Checkpoint, told: int) -> dict[str, Tensor]:
    """The tensors of the network; where the texts have its width, transformers does not project them."""
    ours = dict(loaded.system.state_dict())
    if told == loaded.config.backbone.width:
        weight, bias = ours.pop("conditioners.text.out.weight"), ours.pop("conditioners.text.out.bias")
        if bias.any() or not torch.equal(weight, torch.eye(told)):
            raise ValueError(f"{loaded.name} projects texts of its own width, which transformers does not; it stays here.")
    return musicgen_layout.names_back(ours)


def _generation(config: MusicgenConfig, decoder: dict[str, Any], codec: Codec) -> dict[str, Any]:
    sampling, special = config.sampling, decoder["pad_token_id"]
    if sampling.guidance.keys() != {"all"}:
        raise ValueError("Guidance by several weights is not known to transformers; set sampling.guidance to one number.")
    drawing = {"temperature": sampling.temperature, "top_k": sampling.top_k} if sampling.temperature else {}
    return {
        "do_sample": sampling.temperature > 0,
        "guidance_scale": sampling.guidance["all"],
        "max_length": round(config.window_seconds * codec.spec.rate),
        **drawing,
        **({"top_p": sampling.top_p} if sampling.top_p and sampling.temperature else {}),
        **dict.fromkeys(("pad_token_id", "bos_token_id", "decoder_start_token_id"), special),
    }


def _codec(name: str, codec: Codec) -> dict[str, bytes]:
    if not isinstance(codec, Encodec):
        raise ValueError(f"{name} is another codec than EnCodec, which transformers does not know; it stays here.")
    return {
        CONFIG: _json(encodec_layout.settings_back(codec.config)),
        WEIGHTS: _stored(encodec_layout.names_back(codec.state_dict())),
        "preprocessor_config.json": _json(_hearing(codec)),
    }


def _hearing(codec: Codec) -> dict[str, Any]:
    return {
        "feature_extractor_type": "EncodecFeatureExtractor",
        "feature_size": codec.channels,
        "sampling_rate": codec.sample_rate,
        "padding_side": "left",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def _card(name: str, licence: str) -> bytes:
    known = "" if " " in licence else f"license: {licence.lower()}\n"
    head = f"---\n{known}library_name: transformers\npipeline_tag: text-to-audio\n---\n\n"
    return f"{head}# {name}\n\nWritten by counterpoint for transformers. Licence of the weights: {licence}.\n".encode()


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _stored(tensors: dict[str, Tensor]) -> bytes:
    kept = {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    return safetensors.torch.save(kept, metadata={"format": "pt"})
