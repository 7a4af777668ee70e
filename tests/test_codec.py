"""Every codec keeps the promises of a codec: lengths, independence, two views or one, pieces that are the whole, saving."""

import math

import numpy as np
import pytest
import torch

from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import Encodec, EncodecConfig
from counterpoint.codecs.spectral import Spectral, SpectralConfig, fit_closed_form
from counterpoint.codecs.stereo import Stereo, StereoConfig
from counterpoint.codecs.vae import Vae, VaeConfig
from counterpoint.hub import checkpoint

RATE = 8000
CONFIGS = {
    "spectral": SpectralConfig.tiny(),
    "encodec around": EncodecConfig.tiny(),
    "encodec reflected": EncodecConfig.tiny().model_copy(update={"pad": "reflect", "shortcut": True}),
    "encodec causal": EncodecConfig.tiny().model_copy(update={"causal": True, "residuals": 2}),
    "encodec far": EncodecConfig.tiny().model_copy(update={"ratios": (5, 8), "kernel": 31, "residuals": 4, "last_kernel": 21}),
    "encodec stereo": EncodecConfig.tiny().model_copy(update={"channels": 2, "lstm": 0}),
    "each channel alone": StereoConfig.tiny(),
    "vae": VaeConfig.tiny(),
    "vae compat": VaeConfig.tiny().model_copy(update={"compat": True}),
    "vae odd": VaeConfig.tiny().model_copy(update={"strides": (5, 3), "widths": (8, 16), "dim": 5}),
    "vae stereo": VaeConfig.tiny().model_copy(update={"channels": 2, "strides": (2, 4, 4, 2), "widths": (4, 4, 8, 8)}),
}
"""Each codec in the ways in which it can be built."""

ROUNDING = {"spectral": (2e-4, 0.0)}
"""Where pieces make more of a difference than arithmetic, how much: absolutely, and relative to the loudest."""


def notes(seed: int, samples: int, channels: int = 1) -> torch.Tensor:
    """Decaying harmonic notes, "c n"."""
    draw = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    audio = np.zeros((channels, samples))
    for start in np.arange(0, samples / RATE, 0.25):
        since = np.maximum(time - start, 0)
        for channel in audio:
            pitch = 110 * 2 ** (draw.integers(24) / 12)
            tone = sum(np.sin(2 * np.pi * pitch * h * since) / h for h in range(1, 8) if pitch * h < RATE / 2)
            channel += (time >= start) * np.exp(-4 * since) * tone
    return torch.from_numpy(0.1 * audio).float()


def built(name: str) -> Spectral | Encodec | Stereo | Vae:
    """No layer of a network is small enough to hide."""
    config = CONFIGS[name]
    gen = torch.Generator().manual_seed(0)
    if isinstance(config, SpectralConfig):
        return fit_closed_form(config, [notes(i, 2 * RATE) for i in range(12)], gen)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = config.build().eval()
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.normal_(std=0.3, generator=gen)
        own = codec.mono if isinstance(codec, Stereo) else codec
        if isinstance(own, Encodec):
            for codes in own.quantizer.buffers():
                codes.normal_(generator=gen)
        own.mean.fill_(0.3)
        own.std.fill_(2.0)
    return codec


@pytest.fixture(scope="module", params=CONFIGS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def codec(name: str) -> Codec:
    return built(name)


def heard(codec: Codec, samples: int, batch: int = 2) -> torch.Tensor:
    return torch.stack([notes(i, samples, codec.channels) for i in range(batch)])


def close(name: str, made: torch.Tensor, expected: torch.Tensor) -> None:
    """The same but for rounding."""
    absolute, relative = ROUNDING.get(name, (0.0, 1e-5))
    torch.testing.assert_close(made, expected, atol=absolute + relative * expected.abs().max().item(), rtol=0)


@pytest.mark.parametrize("short", [0.001, 0.99, 1.0, 1.01, 5.5, 31.2])
@torch.no_grad()
def test_any_length_comes_back(codec, short):
    samples = max(1, round(short * codec.hop))
    frames = codec.encode(heard(codec, samples))
    assert frames.shape == (2, math.ceil(samples / codec.hop), codec.spec.dim)
    made = codec.decode(frames, samples)
    assert made.shape == (2, codec.channels, samples) and made.isfinite().all()
    assert codec.decode(frames).shape == (2, codec.channels, frames.shape[1] * codec.hop)


@torch.no_grad()
def test_items_do_not_hear_each_other(codec, name):
    both = heard(codec, 20 * codec.hop)
    frames = codec.encode(both)
    torch.testing.assert_close(codec.encode(both[1:]), frames[1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(codec.decode(frames[1:]), codec.decode(frames)[1:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("chunk", "missing"), [(1, 0.0), (7, 0.0), (30, 0.003), (64, 0.7), (99, 0.99)])
@torch.no_grad()
def test_chunks_are_the_whole(codec, name, chunk, missing):
    """Sample by sample, at the seams too; nothing is cross-faded, so nothing can dip there."""
    frames = codec.encode(heard(codec, 100 * codec.hop))
    samples = 100 * codec.hop - int(missing * codec.hop)
    whole = codec.decode(frames, samples, chunk_frames=1000)
    chunks = codec.decode(frames, samples, chunk_frames=chunk)
    assert chunks.shape == whole.shape == (2, codec.channels, samples)
    close(name, chunks, whole)


@pytest.mark.parametrize("missing", [0.0, 0.6])
@pytest.mark.parametrize("parts", [1, 3, 7])
@torch.no_grad()
def test_streams_are_the_whole(codec, name, parts, missing):
    """Bit for bit the same whatever the parts, in whole frames or not, the end known or not; as in one call up to rounding."""
    samples = 60 * codec.hop - int(missing * codec.hop)
    audio = heard(codec, samples, batch=1)
    frames = codec.encode(audio)
    streamed = list(codec.encode_stream(audio.split(parts * codec.hop // 3, dim=-1), chunk_frames=5))
    assert len(streamed) > 1
    close(name, torch.cat(streamed, dim=1), frames)
    for known in (None, samples):
        made = list(codec.decode_stream(frames.split(parts, dim=1), known, chunk_frames=10))
        once = list(codec.decode_stream([frames], known, chunk_frames=10))
        assert len(made) == len(once) > 1 and all(map(torch.equal, made, once))
        close(name, torch.cat(made, dim=-1), codec.decode(frames, known))


@torch.no_grad()
def test_the_views_of_a_frame(codec):
    """Tokens are the frames of their codes; a codec without them says so."""
    frames = codec.encode(heard(codec, 20 * codec.hop))
    if not codec.spec.levels:
        assert codec.token_state() == {} and codec.spec.bins == 0
        for asked in (lambda: codec.to_tokens(frames), lambda: codec.from_tokens(torch.zeros(1, 1, 1, dtype=torch.long))):
            with pytest.raises(ValueError, match=r"^A VAE has no tokens; use a codec that has them, .* EnCodec\.$"):
                asked()
        return
    tokens = codec.to_tokens(frames)
    assert tokens.shape == (2, codec.spec.levels, 20) and tokens.min() >= 0 and tokens.max() < codec.spec.bins
    assert torch.equal(codec.to_tokens(frames, levels=2), tokens[:, :2])
    assert torch.equal(codec.to_tokens(codec.from_tokens(tokens[:, :1]), levels=1), tokens[:, :1])


@torch.no_grad()
def test_saved_and_loaded_is_identical(codec, tmp_path):
    assert isinstance(codec, Spectral | Encodec | Stereo | Vae)
    checkpoint.save(tmp_path, codec, checkpoint.codec_manifest(codec.config, codec))
    again = checkpoint.load_codec(tmp_path)
    frames = codec.encode(heard(codec, 10 * codec.hop))
    assert again.spec == codec.spec and torch.equal(again.encode(heard(codec, 10 * codec.hop)), frames)
    assert torch.equal(again.decode(frames), codec.decode(frames))


@torch.no_grad()
def test_what_frames_depend_on_is_told(codec):
    """Whatever tensor `encode` follows is in `frame_state`, and a decoder that learns on leaves it as it is."""
    with torch.random.fork_rng():
        frames = codec.encode(heard(codec, 10 * codec.hop))
        kept = {name: tensor.clone() for name, tensor in codec.frame_state().items()}
        decoder = {name: p for name, p in codec.named_parameters() if name.startswith("decoder.")}
        before = {name: p.clone() for name, p in decoder.items()}
        for p in decoder.values():
            p.add_(0.1)
        assert torch.equal(codec.encode(heard(codec, 10 * codec.hop)), frames)
        assert all(torch.equal(tensor, kept[name]) for name, tensor in codec.frame_state().items())
        for name, p in decoder.items():
            p.copy_(before[name])


@torch.no_grad()
def test_what_it_cannot_take_is_named(codec):
    with pytest.raises(ValueError, match=r"mix (its channels|to one channel)"):
        codec.encode(torch.zeros(1, 3, 80))
    with pytest.raises(ValueError, match="at least 1 frame"):
        codec.decode(torch.zeros(1, 4, codec.spec.dim), chunk_frames=0)
    with pytest.raises(ValueError, match=f"4 of 5 frames|hold {4 * codec.hop} samples"):
        codec.decode(torch.zeros(1, 4, codec.spec.dim), 5 * codec.hop)


@torch.no_grad()
def test_left_and_right_are_coded_as_a_codec_of_one_channel_codes_them():
    stereo = built("each channel alone")
    audio = torch.stack([notes(1, RATE), notes(2, RATE)], dim=1)  # 1 2 n
    frames = stereo.encode(audio)
    heard = stereo.decode(frames)
    far = torch.randn(1, 20, stereo.spec.dim, generator=torch.Generator().manual_seed(0))
    tokens = stereo.to_tokens(far)
    for side in (0, 1):
        alone = stereo.mono.encode(audio[:, side : side + 1])
        torch.testing.assert_close(frames.chunk(2, dim=-1)[side], alone)
        torch.testing.assert_close(heard[:, side : side + 1], stereo.mono.decode(alone))
        assert torch.equal(tokens[:, side::2], stereo.mono.to_tokens(far.chunk(2, dim=-1)[side]))
    assert not torch.equal(frames[..., :8], frames[..., 8:])
    assert not torch.equal(tokens[:, 0::2], tokens[:, 1::2])
    torch.testing.assert_close(stereo.from_tokens(tokens[:, :3])[..., :8], stereo.mono.from_tokens(tokens[:, [0, 2]]))
