"""EnCodec keeps the promises of a codec: lengths, independence, two views, chunks that are the whole, and saving."""

import pytest
import torch
from torch.nn.utils import parametrize

from counterpoint import config
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.nn.folding import Product, fold
from counterpoint.nn.seanet import Upsampling

VARIANTS = {
    "around": EncodecConfig.tiny(),
    "reflected": EncodecConfig.tiny().model_copy(update={"pad": "reflect", "shortcut": True}),
    "causal": EncodecConfig.tiny().model_copy(update={"causal": True, "residuals": 2}),
    "far": EncodecConfig.tiny().model_copy(update={"ratios": (5, 8), "kernel": 31, "residuals": 4, "last_kernel": 21}),
    "stereo": EncodecConfig.tiny().model_copy(update={"channels": 2, "lstm": 0}),
}


@pytest.fixture(params=VARIANTS)
def codec(request):
    torch.manual_seed(0)
    made = VARIANTS[request.param].build().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
        for codes in made.quantizer.buffers():
            codes.normal_()
        made.mean.fill_(0.3)
        made.std.fill_(2.0)
    return made


def audio(codec, samples: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, codec.channels, samples, generator=torch.Generator().manual_seed(samples)) * 0.2


@pytest.mark.parametrize("chunk", [1, 7, 64])
@torch.no_grad()
def test_chunks_are_the_whole(codec, chunk):
    heard = audio(codec, 40 * 50 + 13)
    frames = codec.encode(heard, chunk_frames=10_000)
    torch.testing.assert_close(codec.encode(heard, chunk_frames=chunk), frames, atol=1e-4, rtol=1e-4)
    whole = codec.decode(frames, chunk_frames=10_000)
    torch.testing.assert_close(codec.decode(frames, chunk_frames=chunk), whole, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_folded_it_is_the_same(codec):
    frames = codec.encode(audio(codec, 40 * 30 + 13))
    whole, layers = codec.decode(frames), [type(layer) for layer in codec.decoder.modules()]
    assert Upsampling in layers and Product not in layers
    fold(codec)
    layers = [type(layer) for layer in codec.decoder.modules()]
    assert Product in layers and not any(parametrize.is_parametrized(layer) for layer in codec.modules())
    close(codec.decode(frames), whole)
    close(torch.cat(list(codec.decode_stream(frames.split(3, dim=1), chunk_frames=4)), dim=-1), whole)
    close(codec.encode(audio(codec, 40 * 30 + 13)), frames)
    with pytest.raises(ValueError, match="cannot be saved; load it again"):
        codec.state_dict()


@pytest.mark.parametrize("parts", [1, 3, 7])
@torch.no_grad()
def test_streams_are_the_whole(codec, parts):
    """To 1e-5 of the largest, whatever the parts; audio in parts of no whole number of frames; the end known or not."""
    heard = audio(codec, 40 * 30 + 13)
    frames = codec.encode(heard)
    streamed = list(codec.encode_stream(heard.split(parts * 31, dim=-1), chunk_frames=4))
    assert max(part.shape[1] for part in streamed) <= 4 + codec.margin + codec.encoder.reach
    close(torch.cat(streamed, dim=1), frames)
    for samples in (None, heard.shape[-1]):
        whole = codec.decode(frames, samples)
        made = torch.cat(list(codec.decode_stream(frames.split(parts, dim=1), samples, chunk_frames=4)), dim=-1)
        close(made, whole)
        assert torch.equal(made, torch.cat(list(codec.decode_stream([frames], samples, chunk_frames=4)), dim=-1))


def close(made: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(made, expected, atol=1e-5 * expected.abs().max().item(), rtol=0)


@torch.no_grad()
def test_audio_comes_as_soon_as_its_neighbours_have(codec):
    """A causal codec waits for nothing, another for what its layers hear; nothing is hidden in the modules between streams."""
    samples = 40 * 60
    frames = codec.encode(audio(codec, samples))
    asked: list[int] = []
    watched = (asked.append(i) or part for i, part in enumerate(frames.split(1, dim=1)))
    stream = codec.decode_stream(watched, samples, chunk_frames=1)
    first = next(stream)
    waits = 0 if codec.config.causal else codec.margin + codec.decoder.reach
    assert len(asked) == 1 + waits and first.shape[-1] == codec.hop
    other = torch.cat(list(codec.decode_stream([frames], samples, chunk_frames=1)), dim=-1)  # while the first is half-way
    assert torch.equal(torch.cat([first, *stream], dim=-1), other)


@torch.no_grad()
def test_what_is_causal_does_not_hear_the_future():
    made = VARIANTS["causal"].build().eval()
    heard = audio(made, 800)
    other = heard.clone()
    other[..., 400:] += 1.0
    torch.testing.assert_close(made.encode(heard)[:, :10], made.encode(other)[:, :10])


@torch.no_grad()
def test_tokens_are_the_frames_of_their_codes(codec):
    frames = codec.encode(audio(codec, 8000))
    codec.quantizer.fit((frames * 2 + 0.3).flatten(0, 1), torch.Generator().manual_seed(0))
    frames = frames[:, :20]
    tokens = codec.to_tokens(frames)
    assert tokens.shape == (2, 3, 20) and tokens.min() >= 0 and tokens.max() < 16
    assert torch.equal(codec.to_tokens(frames, levels=2), tokens[:, :2])
    errors = [(codec.from_tokens(tokens[:, :k]) - frames).square().mean() for k in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]


def test_wrong_audio_and_impossible_settings_are_named(codec):
    with pytest.raises(ValueError, match="mix its channels"):
        codec.encode(torch.zeros(1, 3, 80))
    for content, message in (({"ratios": []}, "ratios"), ({"sample_rate": 8001}, "whole number"), ({"filters": 3}, "compress")):
        with pytest.raises(ValueError, match=message):
            config.parse(EncodecConfig, {**EncodecConfig.tiny().model_dump(), **content}, "recipe")
