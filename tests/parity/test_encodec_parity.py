"""EnCodec against transformers' own, with random weights: the same latents, tokens and audio."""

import pytest
import torch

from counterpoint.hub import encodec_layout
from counterpoint.hub.checkpoint import load_codec

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")

MUSIC = {"sampling_rate": 32000, "upsampling_ratios": [8, 5, 4, 4], "target_bandwidths": [2.2], "codebook_size": 2048}
SMALL = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16}


def theirs(**settings) -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.EncodecConfig(**(MUSIC | SMALL | {"normalize": False} | settings))
    model = transformers.EncodecModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # so that no layer is small enough to hide
            parameter.normal_(std=0.3)
        for layer in model.quantizer.layers:
            layer.codebook.embed.normal_()
    return model


@pytest.mark.parametrize("samples", [1000, 6400, 12345])
@pytest.mark.parametrize(
    "settings",
    [
        {"use_causal_conv": False, "pad_mode": "constant", "use_conv_shortcut": False},
        {"use_causal_conv": False, "pad_mode": "reflect", "use_conv_shortcut": True},
        {"use_causal_conv": True, "pad_mode": "reflect", "use_conv_shortcut": True, "num_residual_layers": 2},
        {"use_causal_conv": True, "pad_mode": "constant", "audio_channels": 2, "num_lstm_layers": 1},
    ],
)
def test_encodec_is_transformers(settings, samples, tmp_path):
    oracle = theirs(**settings)
    oracle.save_pretrained(tmp_path)
    ours = load_codec(tmp_path)
    audio = torch.randn(2, ours.channels, samples) * 0.3
    with torch.no_grad():
        latents = oracle.encoder(audio)
        frames = ours.encode(audio)
        tokens = oracle.quantizer.encode(latents, 2.2).transpose(0, 1)
        heard = oracle.decode(tokens[None], [None])[0]
        scale = latents.abs().max()
        torch.testing.assert_close(frames.transpose(1, 2) / scale, latents / scale, atol=1e-5, rtol=0)
        assert ours.spec.levels == tokens.shape[1] == 4
        assert torch.equal(ours.to_tokens(frames), tokens)
        torch.testing.assert_close(ours.decode(ours.from_tokens(tokens)), heard, atol=1e-4, rtol=0)


def test_a_damaged_folder_is_told_in_a_sentence(tmp_path):
    theirs(use_causal_conv=False, pad_mode="constant").save_pretrained(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="not a safetensors file"):
        load_codec(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has no model\.safetensors"):
        load_codec(tmp_path)


def test_the_music_codec_has_the_published_size():
    """28.4 M for the encoder, as many for the decoder (facts of the 32 kHz release)."""
    from counterpoint.codecs.encodec import EncodecConfig

    with torch.device("meta"):
        codec = EncodecConfig().build()
    sizes = [sum(p.numel() for p in part.parameters()) / 1e6 for part in (codec.encoder, codec.decoder)]
    assert sizes == pytest.approx([28.4, 28.4], abs=0.1)
    assert codec.spec.rate == 50 and codec.hop == 640


def test_what_is_not_built_is_refused():
    content = transformers.EncodecConfig(**MUSIC).to_dict()
    with pytest.raises(ValueError, match="loudness apart"):
        encodec_layout.settings(content | {"normalize": True})
    with pytest.raises(ValueError, match="does not state pad_mode"):
        encodec_layout.settings({name: value for name, value in content.items() if name != "pad_mode"})
