"""JASCO as AudioCraft exports it: the same velocities as its equations, written out with torch's transformer layers.

Names and sizes are those of AudioCraft's sources; the oracle is torch.nn.TransformerDecoderLayer, whose parameters these are.
"""

import math
import re
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

from counterpoint import generation
from counterpoint.chordino import LABELS, label_of
from counterpoint.hub import checkpoint, jasco_layout, renaming
from counterpoint.hub.jasco_layout import CHORDS
from counterpoint.music import Chord

WIDTH, DEPTH, HEADS, DIM, FRAMES = 32, 4, 2, 16, 20
TOLD = "condition_provider.conditioners"

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")


def recipe(skips: bool, melody: bool) -> dict:
    """As the published configurations have it, but small."""
    told = {
        "self_wav": {"model": "drum_latents", "drum_latents": {"out_dim": 2, "blurring_factor": 3}},
        "description": {"model": "t5", "t5": {"name": "t5-base", "finetune": False}},
        "chords": {"model": "chords_emb", "chords_emb": {"card": 194, "out_dim": 16}},
    }
    told |= {"melody": {"model": "melody", "melody": {"card": 53, "out_dim": 16}}} if melody else {}
    return {
        "lm_model": "flow_matching",
        "compression_model_latent_std": 4.0102,
        "compression_model_latent_mean": -0.0074,
        "compression_model_latent_dim": DIM,
        "dataset": {"segment_duration": 10},
        "generate": {"lm": {"cfg_coef_all": 3.0, "cfg_coef_txt": 1.0}},
        "fuser": {"cross_attention_pos_emb": False, "sum": [], "prepend": [], "cross": ["description"], "ignore": [*told]},
        "conditioners": told,
        "transformer_lm": {
            **{
                "dim": WIDTH,
                "num_heads": HEADS,
                "num_layers": DEPTH,
                "hidden_scale": 4,
                "flow_dim": "${compression_model_latent_dim}",
            },
            **{"activation": "gelu", "norm_first": True, "bias_ff": False, "bias_attn": False, "bias_proj": False},
            **{"causal": False, "skip_connections": skips, "positional_embedding": "sin"},
        },
    }


def random_weights(skips: bool, melody: bool) -> dict[str, torch.Tensor]:
    """By AudioCraft's names."""
    shapes = {
        "emb.weight": (WIDTH, DIM + 16 + 2 + 16 * melody),
        "linear.weight": (DIM, WIDTH),
        "out_norm.weight": (WIDTH,),
        "out_norm.bias": (WIDTH,),
        **{"temb.dense.0.weight": (512, 128), "temb.dense.0.bias": (512,)},
        **{"temb.dense.1.weight": (512, 512), "temb.dense.1.bias": (512,)},
        **{"temb_proj.weight": (WIDTH, 512), "temb_proj.bias": (WIDTH,)},
        **{f"{TOLD}.description.output_proj.weight": (WIDTH, 24), f"{TOLD}.description.output_proj.bias": (WIDTH,)},
        f"{TOLD}.chords.emb.weight": (195, 16),
        **{f"{TOLD}.self_wav.output_proj.weight": (2, DIM), f"{TOLD}.self_wav.output_proj.bias": (2,)},
        f"{TOLD}.self_wav.compression_model.model.encoder.layers.0.conv.bias": (4,),
    }
    if melody:
        shapes |= {f"{TOLD}.melody.output_proj.weight": (16, 53), f"{TOLD}.melody.output_proj.bias": (16,)}
    for i in range(DEPTH):
        layer = f"transformer.layers.{i}."
        shapes |= {
            f"{layer}{norm}.{part}": (WIDTH,) for norm in ("norm1", "norm2", "norm_cross") for part in ("weight", "bias")
        }
        shapes |= {f"{layer}{kind}.in_proj_weight": (3 * WIDTH, WIDTH) for kind in ("self_attn", "cross_attention")}
        shapes |= {f"{layer}{kind}.out_proj.weight": (WIDTH, WIDTH) for kind in ("self_attn", "cross_attention")}
        shapes |= {f"{layer}linear1.weight": (4 * WIDTH, WIDTH), f"{layer}linear2.weight": (WIDTH, 4 * WIDTH)}
    for j in range(DEPTH // 2 if skips else 0):
        name = f"transformer.skip_projections.{j}."
        shapes |= {f"{name}weight": (WIDTH, 2 * WIDTH), f"{name}bias": (WIDTH,)}
    gen = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=gen) * (shape[-1] ** -0.5 if len(shape) > 1 else 0.5)
        for name, shape in shapes.items()
    }


def layer(weights: dict[str, torch.Tensor], i: int) -> nn.TransformerDecoderLayer:
    """torch's own, without the biases that it has and these models have not."""
    made = nn.TransformerDecoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    named = {"cross_attention": "multihead_attn", "norm2": "norm3", "norm_cross": "norm2"}
    own = {name: torch.zeros_like(tensor) for name, tensor in made.state_dict().items()}
    for name, tensor in weights.items():
        if name.startswith(prefix := f"transformer.layers.{i}."):
            first, rest = name.removeprefix(prefix).split(".", 1)
            own[f"{named.get(first, first)}.{rest}"] = tensor
    made.load_state_dict(own)
    return made


def oracle(weights, x, time, text, chords, drums, melody, skips):
    """Tal et al. 2024, section 3, and AudioCraft's order of channels: frames, chords, drums, tune; x is whitened."""
    told = [F.embedding(chords, weights[f"{TOLD}.chords.emb.weight"])]
    for name, rows in (("self_wav", drums), ("melody", melody)):
        if rows is not None:
            told.append(F.linear(rows, *(weights[f"{TOLD}.{name}.output_proj.{part}"] for part in ("weight", "bias"))))
    h = F.linear(torch.cat((x, *told), dim=-1), weights["emb.weight"])
    turns = torch.arange(x.shape[1])[:, None] / 10_000 ** (torch.arange(WIDTH // 2) / (WIDTH // 2 - 1))
    h = h + torch.cat((turns.cos(), turns.sin()), dim=-1)
    turns = time[:, None] * torch.exp(-math.log(10_000) / 63 * torch.arange(64))
    t = F.linear(torch.cat((turns.sin(), turns.cos()), dim=-1), weights["temb.dense.0.weight"], weights["temb.dense.0.bias"])
    t = F.linear(F.silu(t), weights["temb.dense.1.weight"], weights["temb.dense.1.bias"])
    context = text + F.linear(t, weights["temb_proj.weight"], weights["temb_proj.bias"])[:, None]
    kept = []
    for i in range(DEPTH):
        if skips and i >= DEPTH // 2:
            names = (f"transformer.skip_projections.{i % (DEPTH // 2)}.{part}" for part in ("weight", "bias"))
            h = F.linear(torch.cat((h, kept.pop()), dim=-1), *(weights[name] for name in names))
        h = layer(weights, i)(h, context)
        kept += [h] if i < DEPTH // 2 else []
    h = F.layer_norm(h, (WIDTH,), weights["out_norm.weight"], weights["out_norm.bias"])
    return F.linear(h, weights["linear.weight"])


@pytest.fixture
def folder(tiny_t5, tmp_path):
    """Where codec and text encoder lie beside the weights."""
    shape = {"sampling_rate": 800, "upsampling_ratios": [4, 4], "target_bandwidths": [1.2], "codebook_size": 64}
    sizes = {"num_filters": 4, "hidden_size": DIM, "codebook_dim": DIM}
    transformers.EncodecModel(transformers.EncodecConfig(**sizes, **shape)).save_pretrained(tmp_path / "encodec_32khz")
    shutil.copytree(tiny_t5, tmp_path / "t5-base")
    torch.save({"pretrained": "facebook/encodec_32khz", "exported": True}, tmp_path / "compression_state_dict.bin")
    return tmp_path


def export(folder, content: dict, tensors: dict[str, torch.Tensor]) -> None:
    package = {"best_state": tensors, "xp.cfg": yaml.safe_dump(content), "version": "1.4.0a2", "exported": True}
    torch.save(package, folder / "state_dict.bin")


@pytest.mark.parametrize(("skips", "melody"), [(True, True), (False, False)])
@torch.no_grad()
def test_velocities_are_those_of_the_published_equations(folder, skips, melody):
    weights = random_weights(skips, melody)
    export(folder, recipe(skips, melody), weights)
    system = checkpoint.load(folder).system
    rng = np.random.default_rng(0)
    lanes = {"chords": rng.integers(len(LABELS), size=FRAMES), "drums": rng.normal(size=(FRAMES, DIM)).astype(np.float32)}
    lanes["chords"][:3] = [label_of(Chord.parse(name)) for name in ("Am7b5/G", "Bb/F", "Cm/G")]
    lanes |= {"melody": rng.integers(54, size=FRAMES)} if melody else {}
    text = system.conditioners["text"]
    values = {"text": ["slow piano", None], **{name: [lane, None] for name, lane in lanes.items()}}
    cond = system.conditioners(values, system.spec, FRAMES, 2)
    x, time = torch.randn(2, FRAMES, DIM, generator=torch.Generator().manual_seed(1)), torch.tensor([0.1, 0.8])
    made = system.velocity(x, time, cond, x, torch.zeros(2, FRAMES, dtype=torch.bool))
    plain = [LABELS[i] if LABELS[i] in CHORDS else LABELS[i].split("/")[0] for i in lanes["chords"]]
    chords = torch.tensor([[CHORDS.index(name) for name in plain], [194] * FRAMES])
    assert [CHORDS[i] for i in chords[0, :3]] == ["Am7b5/G", "Bb/F", "Cm"]
    drums = torch.stack((torch.from_numpy(lanes["drums"]), torch.zeros(FRAMES, DIM)))
    tune = (
        torch.stack((F.one_hot(torch.from_numpy(lanes["melody"]), 54)[:, 1:].float(), torch.zeros(FRAMES, 53)))
        if melody
        else None
    )
    for item in (0, 1):  # alone, as texts of other lengths beside one are shown there as zeros
        words = text(values["text"][item : item + 1], system.spec, FRAMES).context
        tunes = None if tune is None else tune[item : item + 1]
        told = (words, chords[item : item + 1], drums[item : item + 1], tunes)
        expected = oracle(weights, x[item : item + 1], time[item : item + 1], *told, skips)
        alone = {name: column[item : item + 1] for name, column in values.items()}
        cond = system.conditioners(alone, system.spec, FRAMES, 1)
        given = torch.zeros(1, FRAMES, dtype=torch.bool)
        ours = system.velocity(x[item : item + 1], time[item : item + 1], cond, x[item : item + 1], given)
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)
    assert made.std() > 0.1 and torch.equal(system.mean, torch.full((DIM,), -0.0074))


def test_it_is_asked_like_any_other(folder):
    export(folder, recipe(False, True), random_weights(False, True))
    model = generation.load(folder)
    assert model.system.conditions == ("text", "chords", "melody", "drums")
    assert model.checkpoint.config.sampling.guidance == {"all": 3.0, "text": 1.0}
    take = model.generate("slow piano, 240 bpm", seconds=1, chords="| Am | F |", solver="euler", steps=2)
    assert take.audio.shape == (1, 800) and take.record["sampling"]["steps"] == 2


def test_names_lead_both_ways():
    names = list(random_weights(True, True))
    ours = renaming.to_ours(dict.fromkeys(names), jasco_layout.NAMES)
    assert list(renaming.to_theirs(ours, jasco_layout.NAMES)) == names


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("conditioners.melody.melody.card", 88, "conditioners.melody.melody.card = 88"),
        ("conditioners.beats", {"model": "beats"}, "is told beats, which is not built here"),
        ("transformer_lm.skip_connections", True, "does not fit its xp.cfg: 4 tensors are missing"),
        ("transformer_lm.flow_dim", 128, "makes frames of 128 channels, but its codec knows 16"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(folder, path, value, message):
    content = recipe(False, True)
    *parents, leaf = path.split(".")
    place = content
    for parent in parents:
        place = place[parent]
    place[leaf] = value
    export(folder, content, random_weights(False, True))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        checkpoint.load(folder)
    assert "\n" not in str(error.value)
