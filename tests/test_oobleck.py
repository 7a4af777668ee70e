"""Oobleck and the VAE beyond what every codec promises: Snake by hand, fields by gradient, draws, settings."""

import math

import pytest
import torch

from counterpoint import config
from counterpoint.codecs.vae import VaeConfig
from counterpoint.nn.oobleck import Decoder, Encoder, Snake, decoder_field, divergence, encoder_field, gaussian

PAPERS = {25: (2, 4, 4, 5, 8), 50: (2, 4, 4, 4, 5), 100: (2, 2, 4, 4, 5)}


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_snake_by_hand():
    snake = Snake(2)
    x = torch.randn(3, 2, 5, generator=gen())
    torch.testing.assert_close(snake(x), x + x.sin() ** 2)  # a = b = 1 at the start
    with torch.no_grad():
        snake.alpha.copy_(torch.tensor([0.7, -1.0]))
        snake.beta.copy_(torch.tensor([0.2, 0.4]))
    second = x[:, 1] + (math.exp(-1.0) * x[:, 1]).sin() ** 2 / math.exp(0.4)
    torch.testing.assert_close(snake(x)[:, 1], second)


@pytest.mark.parametrize("strides", [(2, 4), (3, 5), (5, 2, 3), (2, 4, 4, 5, 8)])
def test_fields_are_those_that_gradients_show(strides):
    """From one frame in the middle to all samples that it hears, and from its samples to all frames that they hear."""
    hop, frames, widths = math.prod(strides), 61, [2] * len(strides)
    torch.manual_seed(0)
    audio = torch.randn(1, 1, frames * hop, generator=gen()).requires_grad_()
    Encoder(strides, widths, 1, 4)(audio)[0, :, 30].sum().backward()
    assert audio.grad is not None
    heard = audio.grad[0, 0].nonzero()[:, 0]
    assert (30 * hop - heard[0].item(), heard[-1].item() - (31 * hop - 1)) == encoder_field(strides)
    latents = torch.randn(1, 3, frames, generator=gen()).requires_grad_()
    Decoder(strides, widths, 1, 3)(latents)[0, 0, 30 * hop : 31 * hop].square().sum().backward()
    assert latents.grad is not None
    heard = latents.grad[0].abs().sum(0).nonzero()[:, 0]
    assert (30 - heard[0].item(), heard[-1].item() - 30) == decoder_field(strides)


@pytest.mark.parametrize("compat", [False, True])
@torch.no_grad()
def test_chunks_hear_all_that_matters_to_the_last_digit(compat):
    """In 64 bits, where a neighbour too few shows however little of it is heard."""
    torch.manual_seed(0)
    codec = VaeConfig.tiny().model_copy(update={"compat": compat}).build().double().eval()
    for parameter in codec.parameters():
        parameter.normal_(std=0.3, generator=gen())
    audio = torch.randn(1, 1, 40 * codec.hop - 3, generator=gen(), dtype=torch.float64)
    frames = codec.encode(audio)
    torch.testing.assert_close(codec.encode(audio, chunk_frames=1), frames, atol=1e-13, rtol=0)
    torch.testing.assert_close(codec.decode(frames, chunk_frames=1), codec.decode(frames), atol=1e-13, rtol=0)


@pytest.mark.parametrize(("rate", "samples"), [(25, 21_162), (50, 16_074), (100, 8_158)])
def test_the_papers_encoders_hear_so_many_samples(rate, samples):
    assert sum(encoder_field(PAPERS[rate])) + math.prod(PAPERS[rate]) == samples


@pytest.mark.parametrize(("rate", "short"), [(25, 32), (50, 128), (100, 64)])
def test_odd_strides_end_where_even_ones_do_unless_compat(rate, short):
    strides, latents = PAPERS[rate], torch.zeros(1, 3, 7)
    exact, less = (Decoder(strides, [2] * 5, 1, 3, compat)(latents).shape[-1] for compat in (False, True))
    assert (exact, less) == (7 * math.prod(strides), 7 * math.prod(strides) - short)


def test_the_gaussian_and_its_divergence_are_torchs():
    mean, deviation = gaussian(torch.randn(3, 8, 5, generator=gen()))
    normal = torch.distributions.Normal(mean, deviation)
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, deviation), 2 * expected.sum(1).mean())
    assert gaussian(torch.full((1, 2, 1), -100.0))[1].item() == pytest.approx(1e-4)


@torch.no_grad()
def test_draws_follow_the_seeds_and_the_gaussian():
    codec = VaeConfig.tiny().build().eval()
    codec.mean.fill_(0.2)
    codec.std.fill_(0.5)
    audio = torch.randn(2, 1, 20_000, generator=gen())
    mean, deviation = codec.posterior(audio)
    torch.testing.assert_close(codec.encode(audio), (mean - 0.2) / 0.5)
    assert torch.equal(codec.encode(audio), codec.mode(audio))
    drawn = codec.sample(audio, [1, 2])
    assert torch.equal(drawn, codec.sample(audio, [1, 2])) and not torch.equal(drawn, codec.sample(audio, [1, 3]))
    torch.testing.assert_close(codec.sample(audio[1:], [2]), drawn[1:], atol=1e-4, rtol=1e-4)
    noise = (drawn * 0.5 + 0.2 - mean) / deviation
    assert abs(noise.mean().item()) < 0.05 and noise.std().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"strides": []}, "strides .* at least 1"),
        ({"strides": [2, 0, 4]}, "strides .* at least 1"),
        ({"widths": [4, 8]}, "widths .* one for each of strides"),
        ({"dim": 0}, "dim: "),
        ({"levels": 4}, "levels"),
    ],
)
def test_impossible_settings_are_named(content, message):
    with pytest.raises(ValueError, match=f"^recipe: .*{message}") as error:
        config.parse(VaeConfig, {**VaeConfig.tiny().model_dump(), **content}, "recipe")
    assert "\n" not in str(error.value)
