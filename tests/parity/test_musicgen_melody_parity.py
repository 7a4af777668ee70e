"""MusicGen's melody model, told a chroma and words first, against transformers' own, and as AudioCraft exports it."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml

from counterpoint import generation
from counterpoint.conditioners.melody import Chroma
from counterpoint.hub import checkpoint, export
from counterpoint.systems.musicgen import MusicgenConfig, Sampling
from counterpoint.types import Canvas
from tiny_musicgens import BINS, scattered, tokenized

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")

TEXTS = ["slow piano in a minor", "fast"]
TUNE = [(0.0, 0.3, 61), (0.3, 0.6, 64), (0.6, 1.2, 68)]
MOMENTS, EVERY = 12, 0.1  # 5 frames at 50 a second


@pytest.fixture(scope="module")
def melody(tiny_t5, tmp_path_factory):
    """The folder of a whole model, and the model."""
    levels, width = 3, 32
    sizes = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": BINS}
    shape = {"sampling_rate": 800, "upsampling_ratios": [4, 4], "target_bandwidths": [0.9]}
    layers = {"num_hidden_layers": 3, "ffn_dim": 96, "num_attention_heads": 4, "hidden_size": width, "num_codebooks": levels}
    special = {"vocab_size": BINS, "pad_token_id": BINS, "bos_token_id": BINS}
    settings = transformers.MusicgenMelodyConfig(
        text_encoder=transformers.T5Config.from_pretrained(tiny_t5),
        audio_encoder=transformers.EncodecConfig(**sizes, **shape, normalize=False, use_causal_conv=False),
        decoder=transformers.MusicgenMelodyDecoderConfig(**layers, **special),
        chroma_length=MOMENTS,
    )
    model = scattered(transformers.MusicgenMelodyForConditionalGeneration(settings), seed=1)
    for layer in model.audio_encoder.quantizer.layers:
        layer.codebook.embed.normal_(generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("melody")
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_t5).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"hop_length": 80, "sampling_rate": 800}))
    return folder, model


def lane_and_rows(seconds: float) -> tuple[np.ndarray, torch.Tensor]:
    """A tune as a lane of frames, and as transformers' chroma: G2, then a semitone more at every moment."""
    frames = np.arange(round(50 * seconds))
    lane = 1 + frames // round(50 * EVERY)
    classes = [(7 + moment) % 12 for moment in range(round(seconds / EVERY))]  # G is the seventh above C
    return lane.astype(np.int16), torch.nn.functional.one_hot(torch.tensor(classes), 12).float()


@torch.no_grad()
def test_logits_are_transformers(melody):
    """A tune of half the length, which is said again, beside none; texts of two lengths."""
    folder, model = melody
    system = checkpoint.load(folder).system
    lane, rows = lane_and_rows(0.6)
    history = torch.randint(BINS + 1, (2, 3, 30), generator=torch.Generator().manual_seed(1))
    values = {"text": TEXTS, "melody": [lane, None]}
    ours = system._logits(history, system.conditioners(values, system.spec, len(lane), 2))
    nothing = torch.zeros(len(rows), 12).index_fill(1, torch.tensor(0), 1.0)
    words = tokenized(folder, TEXTS)
    states = model.enc_to_dec_proj(model.text_encoder(**words).last_hidden_state) * words.attention_mask[..., None]
    chroma = model.audio_enc_to_dec_proj(torch.stack((rows, nothing)).repeat(1, 2, 1))
    told = torch.cat((chroma, states), dim=1)
    oracle = model.decoder(history.flatten(0, 1), encoder_hidden_states=told).logits.unflatten(0, (2, 3))
    torch.testing.assert_close(ours, oracle[:, :, -30:], atol=1e-4, rtol=0)
    assert system.conditions == ("melody", "text") and oracle.std() > 0.3


@pytest.mark.parametrize("told", [True, False])
def test_greedy_guided_tokens_are_transformers(melody, told, monkeypatch):
    folder, model = melody
    lane, rows = lane_and_rows(1.2)
    seen, decode = [], model.audio_encoder.decode
    monkeypatch.setattr(model.audio_encoder, "decode", lambda codes, **rest: seen.append(codes) or decode(codes, **rest))
    greedy = {"do_sample": False, "guidance_scale": 3.0, "max_new_tokens": 60 + 2, "top_k": None}
    special = {"pad_token_id": BINS, "decoder_start_token_id": BINS}
    model.generate(**tokenized(folder, TEXTS[:1]), **({"input_features": rows[None]} if told else {}), **greedy, **special)
    system = checkpoint.load(folder).system
    values = {"text": TEXTS[:1], "melody": [lane if told else None]}
    sampling = Sampling(temperature=0, guidance={"all": 3.0})
    tokens = system.generate(Canvas.blank(1, 60, system.spec, "tokens"), values, [0], sampling)
    assert torch.equal(tokens, seen[0][0]) and len(tokens.unique()) > 5


def test_it_is_asked_for_a_tune_and_saved_like_any_other(melody, tmp_path):
    model = generation.load(melody[0])
    take, other = (model.generate("slow piano", seconds=1.2, seed=1, **told) for told in ({"melody": TUNE}, {}))
    assert not torch.equal(take.audio, other.audio)
    loaded = checkpoint.load(melody[0])
    checkpoint.save(tmp_path / "codec", loaded.codec, checkpoint.codec_manifest(loaded.codec.config, loaded.codec))
    checkpoint.save(tmp_path, loaded.system, checkpoint.system_manifest(loaded.config, loaded.system, loaded.codec))
    assert torch.equal(generation.load(tmp_path).generate("slow piano", seconds=1.2, seed=1).audio, other.audio)


def test_what_is_exported_is_what_transformers_wrote(melody, tmp_path):
    folder, model = melody
    export.export(folder, tmp_path / "out")
    made, problems = transformers.MusicgenMelodyForConditionalGeneration.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(problems.values()) and made.config.chroma_length == MOMENTS
    theirs = model.state_dict()
    learnt = {
        name: tensor for name, tensor in made.state_dict().items() if "cluster_size" not in name and "embed_avg" not in name
    }
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in learnt.items() if "inited" not in name)
    assert checkpoint.load(tmp_path / "out").config.controls == checkpoint.load(folder).config.controls


@torch.no_grad()
def test_as_audiocraft_exports_it(melody, tmp_path):
    """transformers' conversion read backwards: queries, keys and values in one matrix, and a window that is computed."""
    folder, model = melody
    names = {
        "model.decoder.embed_tokens.": "emb.",
        "model.decoder.layers.": "transformer.layers.",
        "model.decoder.layer_norm": "out_norm",
    }
    names |= {
        "self_attn_layer_norm": "norm1",
        "final_layer_norm": "norm2",
        "fc1": "linear1",
        "fc2": "linear2",
        "lm_heads": "linears",
    }
    made = {}
    for name, tensor in model.decoder.state_dict().items():
        for theirs, other in names.items():
            name = name.replace(theirs, other)
        made |= {} if "embed_positions" in name else {name: tensor}
    for name in [name for name in made if "q_proj" in name]:
        parts = [made.pop(name.replace("q_proj", part)) for part in ("q_proj", "k_proj", "v_proj")]
        made[name.replace("q_proj.weight", "in_proj_weight")] = torch.cat(parts)
    told = "condition_provider.conditioners"
    for name, layer in ((f"{told}.description", model.enc_to_dec_proj), (f"{told}.self_wav", model.audio_enc_to_dec_proj)):
        made |= {f"{name}.output_proj.{part}": tensor for part, tensor in layer.state_dict().items()}
    made[f"{told}.self_wav.chroma.spec.window"] = torch.ones(16)
    chroma = {"sample_rate": "${sample_rate}", "n_chroma": 12, "radix2_exp": 8, "argmax": True}
    recipe = {
        "sample_rate": 800,
        "lm_model": "transformer_lm",
        "dataset": {"segment_duration": 0.96},
        "classifier_free_guidance": {"inference_coef": 3.0},
        "codebooks_pattern": {"modeling": "delay", "delay": {"delays": [0, 1, 2]}},
        "fuser": {"sum": [], "prepend": ["self_wav", "description"], "cross": [], "input_interpolate": []},
        "conditioners": {
            "self_wav": {"model": "chroma_stem", "chroma_stem": chroma},
            "description": {"model": "t5", "t5": {"name": "t5-base", "finetune": False}},
        },
        "transformer_lm": {
            **{"dim": 32, "num_heads": 4, "num_layers": 3, "hidden_scale": 3, "n_q": 3, "card": BINS, "activation": "gelu"},
            **{"norm_first": True, "bias_ff": False, "bias_attn": False, "bias_proj": False},
        },
    }
    torch.save({"best_state": made, "xp.cfg": yaml.safe_dump(recipe), "exported": True}, tmp_path / "state_dict.bin")
    torch.save({"pretrained": "facebook/encodec_32khz"}, tmp_path / "compression_state_dict.bin")
    model.audio_encoder.save_pretrained(tmp_path / "encodec_32khz")
    shutil.copytree(folder, tmp_path / "t5-base")
    loaded = checkpoint.load(tmp_path)
    assert loaded.config.controls.melody.moments == MOMENTS + 1 and loaded.config.controls.melody.every == 0.08
    theirs = checkpoint.load(folder).system.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in loaded.system.state_dict().items())


def test_a_chroma_is_read_at_its_own_moments():
    """30 seconds at 50 frames a second have 235 moments 0.128 s apart, the last of which is the end."""
    chroma = Chroma(235, 0.128, 4)
    lane = np.arange(1500) // 100 + 1
    classes = chroma._classes(lane, 50.0)
    assert classes[:17].tolist() == [7] * 16 + [8] and len(classes) == 235
    assert chroma._classes(lane[:50], 50.0).tolist() == [7] * 235 and not chroma._classes(np.zeros(9, int), 50.0).any()


def test_what_does_not_go_together_is_told(melody, tmp_path):
    with pytest.raises(ValueError, match='form "chroma" comes before the frames; set prefix to true'):
        MusicgenConfig.model_validate({"controls": {"melody": {"form": "chroma"}}})
    with pytest.raises(ValueError, match=r"backbone\.context is true, but prefix puts the words first; set it to false"):
        MusicgenConfig(prefix=True)
    there = shutil.copytree(melody[0], tmp_path / "here")
    (there / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="does not state hop_length and sampling_rate of a chroma"):
        checkpoint.load(there)
