"""The VAE against diffusers' own, with random weights: the same Gaussians and audio."""

import json
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch

from counterpoint.hub import oobleck_layout
from counterpoint.hub.checkpoint import load_codec
from counterpoint.nn.oobleck import divergence

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of a library that other versions of others have moved on from
    diffusers = pytest.importorskip("diffusers", reason="needs the extra 'test'")

SMALL = {"encoder_hidden_size": 12, "decoder_channels": 12, "decoder_input_channels": 6, "sampling_rate": 8000}


def theirs(strides: list[int], channels: int = 1) -> torch.nn.Module:
    multiples = [1, 2, 4, 4][: len(strides)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's, of the older normalised weights
        model = diffusers.AutoencoderOobleck(
            **SMALL, downsampling_ratios=strides, channel_multiples=multiples, audio_channels=channels
        )
    gen = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # so that no layer is small enough to hide
            parameter.normal_(std=0.3, generator=gen)
    return model.eval()


@pytest.mark.parametrize(("strides", "channels"), [([2, 4], 2), ([2, 4, 4, 8], 1), ([2, 4, 4, 5], 1), ([5, 3], 2)])
@torch.no_grad()
def test_the_vae_is_diffusers(strides, channels, tmp_path):
    oracle = theirs(strides, channels)
    oracle.save_pretrained(tmp_path)
    ours = load_codec(tmp_path)
    audio = 0.3 * torch.randn(2, channels, 40 * ours.hop, generator=torch.Generator().manual_seed(1))
    expected = oracle.encode(audio).latent_dist
    mean, deviation = ours.posterior(audio)
    torch.testing.assert_close(mean.mT, expected.mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation.mT, expected.std, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.encode(audio), mean)
    torch.testing.assert_close(divergence(mean.mT, deviation.mT), expected.kl())
    heard = oracle.decode(expected.mean).sample
    made = ours.decode(mean)
    short = made.shape[-1] - heard.shape[-1]
    assert (short > 0) == any(stride % 2 for stride in strides)
    torch.testing.assert_close(made[..., : heard.shape[-1]], heard, atol=1e-5, rtol=0)
    assert not made[..., heard.shape[-1] :].any()
    assert heard.abs().max() > 0.05 and mean.std() > 0.05


@torch.no_grad()
def test_torchs_newer_names_are_read_as_well(tmp_path):
    theirs([2, 4]).save_pretrained(tmp_path)
    path = tmp_path / oobleck_layout.WEIGHTS
    older = load_codec(tmp_path).state_dict()
    tensors = safetensors.torch.load(path.read_bytes())
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    newer = {f"{name.rpartition('.')[0]}.{names.get(last := name.rpartition('.')[2], last)}": t for name, t in tensors.items()}
    assert newer.keys() != tensors.keys()
    path.write_bytes(safetensors.torch.save(newer))
    again = load_codec(tmp_path).state_dict()
    assert again.keys() == older.keys() and all(torch.equal(again[name], older[name]) for name in older)


def test_stable_audios_size_and_rate():
    """78.0 and 78.1 million, 21.53 frames a second (the released 44.1 kHz stereo VAE)."""
    with torch.device("meta"):
        codec = oobleck_layout.settings({**diffusers_defaults(), "audio_channels": 2}).build()
    sizes = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (codec.encoder, codec.decoder)]
    assert sizes == pytest.approx([78.0, 78.1], abs=0.05)
    assert codec.spec.rate == pytest.approx(21.53, abs=0.01) and codec.hop == 2048 and codec.spec.dim == 64


def diffusers_defaults() -> dict:
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore", FutureWarning)
        return dict(diffusers.AutoencoderOobleck().config)


def test_what_is_not_built_or_damaged_is_named(tmp_path):
    theirs([2, 4]).save_pretrained(tmp_path)
    content = json.loads(Path(tmp_path, "config.json").read_text())
    with pytest.raises(ValueError, match=r"not as wide as each other"):
        oobleck_layout.settings(content | {"decoder_channels": 16})
    with pytest.raises(ValueError, match="does not state sampling_rate"):
        oobleck_layout.settings({name: value for name, value in content.items() if name != "sampling_rate"})
    (tmp_path / oobleck_layout.WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"has no diffusion_pytorch_model\.safetensors"):
        load_codec(tmp_path)
