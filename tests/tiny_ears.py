"""Folders of weights that are as small as each ear allows, drawn by chance: what they are tested on without a download."""

import csv
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from counterpoint.nn.spectral import mel_filters


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Weights that neither explode nor vanish, by name."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes.items():
        fan = 1
        for size in shape[1:]:
            fan *= size
        found[name] = torch.randn(shape, generator=generator) * (fan**-0.5 if len(shape) > 1 else 0.1)
    return found


def shaken(network: nn.Module, seed: int) -> None:
    """Every parameter drawn anew, so that none is where initialisation left it: zeros and ones hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        fan = max(1, parameter[0].numel()) if parameter.ndim > 1 else 10
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5 + (parameter.ndim == 1) * 0.3)


VGGISH_WIDTH = 16


def vggish(folder: Path, width: int = VGGISH_WIDTH) -> Path:
    shapes: dict[str, tuple[int, ...]] = {}
    places = zip((0, 3, 6, 8, 11, 13), (1, 64, 128, 256, 256, 512), (64, 128, 256, 256, 512, 512), strict=True)
    for place, before, after in places:
        shapes |= {f"features.{place}.weight": (after, before, 3, 3), f"features.{place}.bias": (after,)}
    for place, before, after in zip((0, 2, 4), (12288, width, width), (width, width, 128), strict=True):
        shapes |= {f"embeddings.{place}.weight": (after, before), f"embeddings.{place}.bias": (after,)}
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(drawn(shapes, seed=1), folder / "vggish.pth")
    return folder


PANNS_WIDTHS, PANNS_LABELS = (4, 4, 8, 8, 16, 16), 11


def panns(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shapes: dict[str, tuple[int, ...]] = {}
    norms = {"bn0": 64}
    for number, (before, after) in enumerate(zip((1, *PANNS_WIDTHS[:-1]), PANNS_WIDTHS, strict=True), 1):
        shapes |= {f"conv_block{number}.conv1.weight": (after, before, 3, 3)}
        shapes |= {f"conv_block{number}.conv2.weight": (after, after, 3, 3)}
        norms |= {f"conv_block{number}.bn1": after, f"conv_block{number}.bn2": after}
    last = PANNS_WIDTHS[-1]
    shapes |= {"fc1.weight": (last, last), "fc1.bias": (last,)}
    shapes |= {"fc_audioset.weight": (PANNS_LABELS, last), "fc_audioset.bias": (PANNS_LABELS,)}
    shapes |= {f"{name}.{what}": (width,) for name, width in norms.items() for what in ("bias", "running_mean")}
    tensors = drawn(shapes, seed=2)
    for name, width in norms.items():
        tensors |= {f"{name}.weight": 1 + torch.arange(width) % 2.0, f"{name}.running_var": 1 + torch.arange(width) % 3.0}
    tensors["bn0.running_mean"] -= 40  # dB
    tensors["bn0.running_var"] *= 50
    tensors["logmel_extractor.melW"] = mel_filters(64, 1024, 32000).T.contiguous()
    torch.save({"iteration": 1, "model": tensors}, folder / "Cnn14.pth")
    with (folder / "class_labels_indices.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "mid", "display_name"])
        writer.writerows([number, f"/m/{number}", f"Sound, of kind {number}"] for number in range(PANNS_LABELS))
    return folder


FRONT_END = {
    "feature_size": 64,
    "sampling_rate": 48000,
    "hop_length": 480,
    "max_length_s": 10,
    "fft_window_size": 1024,
    "frequency_min": 50,
    "frequency_max": 14000,
}


def clap(folder: Path, fusion: bool = False) -> Path:
    import tokenizers
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    words = ["<s>", "<pad>", "</s>", "<unk>", "slow", "fast", "piano", "guitar", "a", "and"]
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    marks = [("<s>", 0), ("</s>", 2)]
    model.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A </s>", special_tokens=marks)
    named = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=model, **named).save_pretrained(folder)
    text: dict[str, Any] = {"vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"intermediate_size": 24, "max_position_embeddings": 90, "pad_token_id": 1}
    audio: dict[str, Any] = {"patch_embeds_hidden_size": 8, "depths": [1, 1, 1, 1], "num_attention_heads": [2, 2, 2, 2]}
    audio |= {"hidden_size": 64, "enable_fusion": fusion}
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=12)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.ClapModel(config)
    shaken(network, seed=4)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(FRONT_END))
    return folder


SPEECH = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8] * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}


def hubert(folder: Path, **changes: Any) -> Path:
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.HubertModel(transformers.HubertConfig(**{**SPEECH, **changes}))
    shaken(network, seed=5)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000, "do_normalize": True}))
    return folder


AUDIOBOX = {
    "proj_num_layer": 3,
    "proj_ln": True,
    "proj_act_fn": "gelu",
    "proj_dropout": 0.1,
    "nth_layer": 3,
    "use_weighted_layer_sum": True,
    "precision": "32",
    "normalize_embed": True,
    "output_dim": 1,
    "target_transform": {axis: {"mean": 5 + i, "std": 1 + i / 4} for i, axis in enumerate(("CE", "CU", "PC", "PQ"))},
}


def audiobox_shapes() -> dict[str, tuple[int, ...]]:
    """The published layout at two layers of 16 channels."""
    convolutions = [(8, 1, 10)] + [(8, 8, 3)] * 4 + [(8, 8, 2)] * 2
    shapes: dict[str, tuple[int, ...]] = {"mask_emb": (16,), "layer_norm.weight": (8,), "layer_norm.bias": (8,)}
    shapes |= {f"feature_extractor.conv_layers.{number}.0.weight": shape for number, shape in enumerate(convolutions)}
    shapes |= {f"feature_extractor.conv_layers.0.2.{what}": (8,) for what in ("weight", "bias")}
    shapes |= {"post_extract_proj.weight": (16, 8), "post_extract_proj.bias": (16,)}
    shapes |= {"encoder.pos_conv.0.bias": (16,), "encoder.pos_conv.0.weight_g": (1, 1, 8)}
    shapes |= {"encoder.pos_conv.0.weight_v": (16, 8, 8), "encoder.layer_norm.weight": (16,), "encoder.layer_norm.bias": (16,)}
    for layer in range(2):
        name = f"encoder.layers.{layer}"
        linear = {f"self_attn.{which}_proj": (16, 16) for which in "kvq"} | {"self_attn.out_proj": (16, 16)}
        linear |= {"self_attn.grep_linear": (8, 8), "fc1": (24, 16), "fc2": (16, 24)}
        for which, shape in linear.items():
            shapes |= {f"{name}.{which}.weight": shape, f"{name}.{which}.bias": shape[:1]}
        shapes |= {f"{name}.{norm}.{what}": (16,) for norm in _NORMS for what in ("weight", "bias")}
        shapes[f"{name}.self_attn.grep_a"] = (1, 2, 1, 1)
    shapes["encoder.layers.0.self_attn.relative_attention_bias.weight"] = (32, 2)
    shapes = {f"wavlm_model.{name}": shape for name, shape in shapes.items()}
    for axis in ("CE", "CU", "PC", "PQ"):
        shapes[f"layer_weights.{axis}"] = (3,)
        for place, shape in {0: (16, 16), 1: (16,), 4: (16, 16), 5: (16,), 8: (1, 16)}.items():
            shapes |= {f"proj_layer.{axis}.{place}.weight": shape, f"proj_layer.{axis}.{place}.bias": shape[:1]}
    return shapes


_NORMS = ("self_attn_layer_norm", "final_layer_norm")


def audiobox(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: waves(number, shape) for number, (name, shape) in enumerate(sorted(audiobox_shapes().items()))}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(AUDIOBOX))
    return folder


def waves(number: int, shape: tuple[int, ...]) -> Tensor:
    """Weights that no generator decides, around 1 where there is one a channel."""
    count, fan = 1, 1
    for size in shape:
        count *= size
    for size in shape[1:]:
        fan *= size
    place = torch.arange(count, dtype=torch.float64)
    scale = 0.3 if len(shape) == 1 else 1.5 * fan**-0.5
    return (scale * torch.sin(0.7 * number + 1.3 * place + 0.01 * place**1.5) + (len(shape) == 1) * 0.5).float().reshape(shape)
