"""Stable Audio's VAE as stable-audio-tools writes it: diffusers' Gaussians and audio, by its conversion read backwards."""

import json
import re
import warnings

import pytest
import safetensors.torch
import torch

from counterpoint.hub import anatomy
from counterpoint.hub.checkpoint import load, load_codec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a library that other versions of others have moved on from
    diffusers = pytest.importorskip("diffusers", reason="needs the extra 'test'")

STRIDES, MULTIPLES = [2, 4, 5], [1, 2, 4]


def config() -> dict:
    """As stable_audio_2_0_vae.json, but small."""
    shared = {"channels": 12, "c_mults": MULTIPLES, "strides": STRIDES, "use_snake": True}
    model = {
        "encoder": {"type": "oobleck", "config": {"in_channels": 2, "latent_dim": 12, **shared}},
        "decoder": {"type": "oobleck", "config": {"out_channels": 2, "latent_dim": 6, "final_tanh": False, **shared}},
        "bottleneck": {"type": "vae"},
        "latent_dim": 6,
        "downsampling_ratio": 40,
        "io_channels": 2,
    }
    return {"model_type": "autoencoder", "sample_rate": 8000, "audio_channels": 2, "model": model}


@pytest.fixture(scope="module")
def oracle() -> torch.nn.Module:
    sizes = {"encoder_hidden_size": 12, "decoder_channels": 12, "decoder_input_channels": 6, "sampling_rate": 8000}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, of the older normalised weights
        model = diffusers.AutoencoderOobleck(
            **sizes, downsampling_ratios=STRIDES, channel_multiples=MULTIPLES, audio_channels=2
        )
    gen = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3, generator=gen)
    return model.eval()


def their_names(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """By the places of stable-audio-tools' layers, as diffusers' conversion pairs them."""
    unit = {"snake1": 0, "conv1": 1, "snake2": 2, "conv2": 3}
    parts = {
        "encoder": {"res_unit1": 0, "res_unit2": 1, "res_unit3": 2, "snake1": 3, "conv1": 4},
        "decoder": {"snake1": 0, "conv_t1": 1, "res_unit1": 2, "res_unit2": 3, "res_unit3": 4},
    }
    around = {"conv1": 0, "snake1": len(STRIDES) + 1, "conv2": len(STRIDES) + 2}
    made = {}
    for name, tensor in model.state_dict().items():
        half, rest = name.split(".", 1)
        if found := re.match(r"block\.(\d+)\.(res_unit\d)\.(\w+\d)\.", rest):
            place = f"layers.{int(found[1]) + 1}.layers.{parts[half][found[2]]}.layers.{unit[found[3]]}."
        elif found := re.match(r"block\.(\d+)\.(\w+)\.", rest):
            place = f"layers.{int(found[1]) + 1}.layers.{parts[half][found[2]]}."
        else:
            found = re.match(r"(\w+)\.", rest)
            place = f"layers.{around[found[1]]}."
        tail = re.sub(r"parametrizations\.weight\.original([01])", lambda m: "weight_" + "gv"[int(m[1])], rest[found.end() :])
        made[f"{half}.{place}{tail}"] = tensor.flatten().clone() if "snake" in name else tensor.clone()
    return made


def alone(folder, tensors) -> dict:
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    return config()


def pickled(folder, tensors) -> dict:
    torch.save({"state_dict": tensors}, folder / "model.ckpt")
    return config()


def inside(folder, tensors) -> dict:
    """A diffusion model with the VAE before it, as Stable Audio Open is published."""
    named = {f"pretransform.model.{name}": tensor for name, tensor in tensors.items()}
    safetensors.torch.save_file({**named, "model.model.to_cond_embed.0.weight": torch.ones(3)}, folder / "model.safetensors")
    own = config()
    before = {"type": "autoencoder", "iterate_batch": True, "config": own["model"]}
    return own | {"model_type": "diffusion_cond", "model": {"pretransform": before, "diffusion": {}}}


@pytest.mark.parametrize("written", [alone, pickled, inside])
@torch.no_grad()
def test_the_vae_is_diffusers(written, oracle, tmp_path):
    (tmp_path / "model_config.json").write_text(json.dumps(written(tmp_path, their_names(oracle))))
    ours = load_codec(tmp_path)
    audio = 0.3 * torch.randn(2, 2, 40 * ours.hop, generator=torch.Generator().manual_seed(1))
    expected = oracle.encode(audio).latent_dist
    mean, deviation = ours.posterior(audio)
    torch.testing.assert_close(mean.mT, expected.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation.mT, expected.std, atol=1e-5, rtol=0)
    heard = oracle.decode(expected.mean).sample
    torch.testing.assert_close(ours.decode(mean)[..., : heard.shape[-1]], heard, atol=1e-5, rtol=0)
    assert heard.abs().max() > 0.05 and "8000 Hz, 2 channels" in anatomy.describe(tmp_path)
    with pytest.raises(ValueError, match="is a codec, which does not generate"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("half", "change", "message"),
    [
        ("decoder", {"final_tanh": True}, "or a tanh at its end"),
        ("encoder", {"use_snake": False}, "other activations than Snakes"),
        ("decoder", {"use_nearest_upsample": True}, "decoder.use_nearest_upsample = True"),
        ("encoder", {"latent_dim": 6}, "does not tell twice its latents"),
        ("encoder", {"in_channels": 1}, "another number of channels"),
        ("decoder", {"strides": [2, 4, 4]}, "not as wide as each other"),
    ],
)
def test_what_is_not_built_is_told_in_a_sentence(half, change, message, tmp_path):
    content = config()
    content["model"][half]["config"] |= change
    (tmp_path / "model_config.json").write_text(json.dumps(content))
    safetensors.torch.save_file({"encoder.layers.0.bias": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message) as error:
        load_codec(tmp_path)
    assert "\n" not in str(error.value)


def test_a_missing_part_is_named(tmp_path):
    (tmp_path / "model_config.json").write_text('{"model_type": "autoencoder", "model": {}}')
    safetensors.torch.save_file({"encoder.layers.0.bias": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not state encoder of a VAE"):
        load_codec(tmp_path)
