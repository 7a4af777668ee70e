"""Files as AudioCraft exports them, with its sources' names: the same logits, tokens and audio as transformers'."""

import re
import shutil

import pytest
import torch
import yaml

from counterpoint import generation, runtime
from counterpoint.hub import anatomy, audiocraft_layout, checkpoint, renaming
from counterpoint.systems.musicgen import Sampling
from counterpoint.types import Canvas
from tiny_musicgens import BINS, tokenized

TEXTS = ["slow piano in a minor", "fast"]

LM = {
    "model.decoder.embed_tokens.": "emb.",
    "model.decoder.layers.": "transformer.layers.",
    "model.decoder.layer_norm": "out_norm",
    "self_attn_layer_norm": "norm1",
    "encoder_attn_layer_norm": "norm_cross",
    "final_layer_norm": "norm2",
    "encoder_attn": "cross_attention",
    "fc1": "linear1",
    "fc2": "linear2",
    "lm_heads": "linears",
}
"""transformers' conversion script, read backwards."""


def language_model(model, width: int) -> dict[str, torch.Tensor]:
    """The decoder's tensors by AudioCraft's names, queries, keys and values in one matrix."""
    made: dict[str, torch.Tensor] = {}
    for name, tensor in model.decoder.state_dict().items():
        if "embed_positions" in name:
            continue
        for theirs, other in LM.items():
            name = name.replace(theirs, other)
        made[name] = tensor
    for name in [name for name in made if "q_proj" in name]:
        parts = [made.pop(name.replace("q_proj", part)) for part in ("q_proj", "k_proj", "v_proj")]
        made[name.replace("q_proj.weight", "in_proj_weight")] = torch.cat(parts)
    for part in ("weight", "bias"):
        made[f"condition_provider.conditioners.description.output_proj.{part}"] = getattr(model.enc_to_dec_proj, part)
    return {name: tensor.detach().clone() for name, tensor in made.items()}


def codec(model) -> dict[str, torch.Tensor]:
    """The codec's tensors by AudioCraft's names."""
    made = {}
    for name, tensor in model.audio_encoder.state_dict().items():
        name = name.replace("parametrizations.weight.original0", "weight_g")
        name = name.replace("parametrizations.weight.original1", "weight_v")
        name = re.sub(r"^(encoder|decoder)\.layers\.", r"\1.model.", name)
        upsampling = name.startswith("decoder.") and re.search(r"^decoder\.model\.(3|6)\.conv\.", name)
        name = name.replace(".conv.", ".convtr.convtr." if upsampling else ".conv.conv.")
        made[re.sub(r"^quantizer\.layers\.(\d+)\.codebook\.", r"quantizer.vq.layers.\1._codebook.", name)] = tensor
    return made


def recipe(model, **changes) -> dict:
    """What a recipe states, with pointers as OmegaConf writes them."""
    decoder, channels = model.config.decoder, model.config.decoder.audio_channels
    levels = decoder.num_codebooks
    content = {
        "sample_rate": 800,
        "channels": channels,
        "lm_model": "transformer_lm",
        "dataset": {"segment_duration": 30},
        "interleave_stereo_codebooks": {"use": channels == 2, "per_timestep": False},
        "classifier_free_guidance": {"training_dropout": 0.3, "inference_coef": 2.5},
        "codebooks_pattern": {
            "modeling": "delay",
            "delay": {"delays": [level // channels for level in range(levels)], "flatten_first": 0, "empty_initial": 0},
        },
        "fuser": {
            "cross_attention_pos_emb": False,
            "sum": [],
            "prepend": [],
            "cross": ["description"],
            "input_interpolate": [],
        },
        "conditioners": {"description": {"model": "t5", "t5": {"name": "t5-base", "finetune": False, "word_dropout": 0.3}}},
        "transformer_lm": {
            **{"dim": decoder.hidden_size, "num_heads": 4, "num_layers": 3, "hidden_scale": 3, "n_q": levels, "card": BINS},
            **{"activation": "gelu", "norm_first": True, "bias_ff": False, "bias_attn": False, "bias_proj": False},
            **{"causal": True, "positional_embedding": "sin", "norm": "layer_norm", "layer_scale": None},
        },
    }
    return content | changes


CODEC = {
    "sample_rate": 800,
    "channels": 1,
    "compression_model": "encodec",
    "encodec": {
        **{"autoencoder": "seanet", "quantizer": "rvq", "sample_rate": "${sample_rate}", "channels": "${channels}"},
        **{"causal": False, "renormalize": False},
    },
    "seanet": {
        **{"dimension": 16, "channels": "${channels}", "causal": "${encodec.causal}", "n_filters": 4, "ratios": [4, 4]},
        **{"n_residual_layers": 1, "activation": "ELU", "activation_params": {"alpha": 1.0}, "norm": "weight_norm"},
        **{"kernel_size": 7, "residual_kernel_size": 3, "last_kernel_size": 7, "dilation_base": 2, "pad_mode": "reflect"},
        **{"true_skip": False, "compress": 2, "lstm": 2, "disable_norm_outer_blocks": 0},
        **{"decoder": {"trim_right_ratio": 1.0, "final_activation": None}, "encoder": {}},
    },
    "rvq": {"n_q": 4, "bins": BINS},
}


def export(path, tensors, content) -> None:
    package = {"best_state": tensors, "xp.cfg": yaml.safe_dump(content), "version": "1.4.0a2", "exported": True}
    torch.save(package, path)


@pytest.fixture(scope="session")
def exported(whole, tiny_t5, tmp_path_factory):
    """The folder that AudioCraft would export of a model, with a text encoder in a folder of its own."""
    made = {}

    def build(levels: int = 4, width: int = 32, channels: int = 1):
        if (levels, channels) not in made:
            _, model = whole(levels, width, channels)
            folder = tmp_path_factory.mktemp("audiocraft")
            export(folder / "state_dict.bin", language_model(model, width), recipe(model))
            content = CODEC | {"rvq": {"n_q": levels // channels, "bins": BINS}}
            export(folder / "compression_state_dict.bin", codec(model), content)
            shutil.copytree(tiny_t5, folder / "t5-base")
            model.text_encoder.save_pretrained(folder / "t5-base")
            made[levels, channels] = folder, model
        return made[levels, channels]

    return build


@pytest.mark.parametrize(("levels", "channels"), [(4, 1), (4, 2)])
@torch.no_grad()
def test_logits_tokens_and_audio_are_transformers(exported, whole, levels, channels):
    """But for what is behind a shorter text, which is shown as zeros instead of hidden."""
    folder, model = exported(levels, 32, channels)
    loaded, other = checkpoint.load(folder), checkpoint.load(whole(levels, 32, channels)[0])
    system, words = loaded.system, tokenized(whole(levels, 32, channels)[0], TEXTS)
    history = torch.randint(BINS + 1, (2, levels, 30), generator=torch.Generator().manual_seed(1))
    states = model.enc_to_dec_proj(model.text_encoder(**words).last_hidden_state) * words.attention_mask[..., None]
    oracle = model.decoder(history.flatten(0, 1), encoder_hidden_states=states).logits
    ours = system._logits(history, system.conditioners({"text": TEXTS}, system.spec, 30, 2))
    torch.testing.assert_close(ours, oracle.unflatten(0, (2, levels)), atol=1e-4, rtol=0)
    canvas, greedy = Canvas.blank(1, 60, system.spec, "tokens"), Sampling(temperature=0, guidance={"all": 3.0})
    tokens = [each.system.generate(canvas, {"text": TEXTS[:1]}, [0], greedy) for each in (loaded, other)]
    assert torch.equal(*tokens)
    heard = [each.codec.decode(each.codec.from_tokens(tokens[0])) for each in (loaded, other)]
    assert heard[0].shape == (1, channels, 960) and torch.equal(*heard)
    assert torch.equal(checkpoint.load_codec(folder).decode(loaded.codec.from_tokens(tokens[0])), heard[0])


@pytest.mark.parametrize("choice", ["int8", "int4"])
def test_what_is_read_in_few_bits_is_what_is_made_of_the_whole(exported, whole, choice):
    """Of AudioCraft's files, and of transformers'."""
    cpu = torch.device("cpu")
    for folder in (exported()[0], whole(4, 32, 1)[0]):
        lean = checkpoint.load(folder, runtime.watch(choice, cpu, compiled=False)).system
        assert not [part for part in lean.get_submodule("backbone").modules() if isinstance(part, torch.nn.Linear)]
        full = checkpoint.load(folder).system
        canvas, tokens = Canvas.blank(1, 40, full.spec, "tokens"), []
        for system in (lean, full):
            runtime.quicken(system, choice, cpu, compiled=False)
            tokens.append(system.generate(canvas, {"text": TEXTS[:1]}, [0]))
        assert torch.equal(*tokens)


def test_it_is_asked_and_described_like_any_other(exported):
    folder, _ = exported()
    model = generation.load(folder)
    assert model.generate("slow piano", seconds=1).audio.shape == (1, 800)
    assert model.checkpoint.config.sampling.guidance == {"all": 2.5} and model.checkpoint.config.window_seconds == 30
    assert model.checkpoint.config.words.compat == "audiocraft"
    assert "that of its own card" in anatomy.describe(folder)


def test_the_tables_of_names_lead_both_ways(exported):
    _, model = exported()
    names = dict.fromkeys(language_model(model, 32))
    ours = renaming.to_ours(names, audiocraft_layout.MUSICGEN)
    assert not any(name in ours for name in names) and list(renaming.to_theirs(ours, audiocraft_layout.MUSICGEN)) == list(names)


def test_a_codec_that_is_only_named_is_read_from_a_folder_beside_or_asked_for(exported, whole, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = shutil.copytree(exported()[0], tmp_path / "here")
    named = {"pretrained": "facebook/encodec_tiny", "exported": True, "version": "1.4.0a2"}
    torch.save(named, folder / "compression_state_dict.bin")
    with pytest.raises(
        ValueError, match=r"'facebook/encodec_tiny'.* is not fetched unasked; run: hf download facebook/encodec_"
    ):
        checkpoint.load(folder)
    whole(4, 32)[1].audio_encoder.save_pretrained(folder / "encodec_tiny")
    ours = checkpoint.load(folder).codec.state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in checkpoint.load(exported()[0]).codec.state_dict().items())


def changed(content: dict, path: str, value) -> dict:
    first, _, rest = path.partition(".")
    return content | {first: changed(content.get(first, {}), rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("transformer_lm.norm_first", False, "has transformer_lm.norm_first = False, which is not built here"),
        ("transformer_lm.positional_embedding", "rope", "transformer_lm.positional_embedding = 'rope'"),
        ("transformer_lm", {"dim": 32}, "does not state transformer_lm.n_q"),
        ("codebooks_pattern.modeling", "parallel", "codebooks_pattern.modeling = 'parallel'"),
        ("transformer_lm.num_layers", 2, "does not fit its xp.cfg"),
        ("transformer_lm.card", 32, "makes 4 of 32 tokens a frame, but its codec knows 4 of 64"),
        ("lm_model", "transformer_lm_magnet", "lm_model = 'transformer_lm_magnet'"),
        ("fuser.prepend", ["self_wav", "style"], "is told something else than words"),
        ("dataset.segment_duration", "${nowhere.at.all}", "does not state dataset.segment_duration"),
    ],
)
def test_what_is_not_built_or_missing_is_told_in_a_sentence(exported, tmp_path, path, value, message):
    folder, model = exported()
    there = shutil.copytree(folder, tmp_path / "here")
    export(there / "state_dict.bin", language_model(model, 32), changed(recipe(model), path, value))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        checkpoint.load(there)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value"), [("encodec.renormalize", True), ("seanet.norm", "none"), ("encodec.quantizer", "no_quant")]
)
def test_codecs_that_are_not_built_are_told(exported, tmp_path, path, value):
    there = shutil.copytree(exported()[0], tmp_path / "here")
    export(there / "compression_state_dict.bin", codec(exported()[1]), changed(CODEC, path, value))
    with pytest.raises(ValueError, match=re.escape(f"has {path} = {value!r}, which is not built here")):
        checkpoint.load_codec(there)
