"""The backbone: causality by gradient, masks, the three ways in, and our attention against torch's."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from counterpoint import config as settings
from counterpoint.nn import attention
from counterpoint.nn.transformer import Transformer, TransformerConfig
from counterpoint.types import Cond

VARIANTS = {
    "musicgen": TransformerConfig(width=16, depth=2, heads=2, causal=True, time="none"),
    "musicgen-sinusoidal": TransformerConfig(width=16, depth=2, heads=2, causal=True, time="none", positions="sinusoidal"),
    "musicgen-local": TransformerConfig(width=16, depth=2, heads=2, causal=True, time="none", local=4),
    "jasco": TransformerConfig(width=16, depth=4, heads=2, time="context", skips=True),
    "adaln": TransformerConfig(width=16, depth=3, heads=2, time="adaln", skips=True, local=5),
    "no context": TransformerConfig(width=16, depth=2, heads=2, time="adaln", context=False),
}


def make(config: TransformerConfig) -> tuple[Transformer, Cond, torch.Tensor | None]:
    torch.manual_seed(0)
    network = config.build()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    cond = Cond(context=torch.randn(2, 3, 16), mask=torch.tensor([[True, True, True], [True, False, False]]))
    if config.time != "none":
        cond = Cond(cond.context, cond.mask, vector=torch.randn(2, 16))
    return network, cond, None if config.time == "none" else torch.tensor([0.2, 0.9])


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient_shows_what_each_frame_sees(name):
    config = VARIANTS[name]
    network, cond, time = make(config)
    x = torch.randn(2, 10, 16, requires_grad=True)
    network(x, cond, time)[:, 4].sum().backward()
    assert x.grad is not None
    seen = x.grad.abs().sum((0, 2)) > 0
    assert bool(seen[:5].all())
    assert bool(seen[5:].any()) == (not config.causal)


@pytest.mark.parametrize("name", VARIANTS)
def test_masked_frames_are_never_attended_to(name):
    network, cond, time = make(VARIANTS[name])
    mask = torch.ones(2, 10, dtype=torch.bool)
    mask[:, 7:] = False
    x = torch.randn(2, 10, 16)
    other = torch.where(mask[..., None], x, 100.0)
    first, second = network(x, cond, time, mask), network(other, cond, time, mask)
    torch.testing.assert_close(first[:, :7], second[:, :7])


@pytest.mark.parametrize("name", [name for name, config in VARIANTS.items() if config.context])
def test_masked_words_are_never_attended_to(name):
    network, cond, time = make(VARIANTS[name])
    assert cond.context is not None and cond.mask is not None
    x = torch.randn(2, 6, 16)
    noisy = Cond(torch.where(cond.mask[..., None], cond.context, 50.0), cond.mask, vector=cond.vector)
    torch.testing.assert_close(network(x, cond, time), network(x, noisy, time))
    assert not torch.allclose(network(x, cond, time), network(x, Cond(cond.context + 1, cond.mask, vector=cond.vector), time))


@pytest.mark.parametrize("name", [name for name, config in VARIANTS.items() if config.time != "none"])
def test_time_and_vector_are_heard_even_without_words(name):
    network, cond, time = make(VARIANTS[name])
    assert time is not None and cond.vector is not None
    x = torch.randn(2, 6, 16)
    wordless = Cond(vector=cond.vector)
    base = network(x, wordless, time)
    assert not torch.allclose(base, network(x, wordless, time / 2), atol=1e-4)
    assert not torch.allclose(base, network(x, Cond(vector=-cond.vector), time), atol=1e-4)


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 8])
def test_u_skips_pair_first_with_last(depth):
    """Block i >= L/2 hears block i - 1 and block L - 1 - i side by side through a layer of its own; the middle one of an odd
    depth, and all before, hear block i - 1 alone."""
    network, cond, time = make(TransformerConfig(width=16, depth=depth, heads=2, time="context", skips=True))
    came: list[torch.Tensor] = []
    went: list[torch.Tensor] = []
    for block in network.blocks:
        block.register_forward_pre_hook(lambda _, args: came.append(args[0]))
        block.register_forward_hook(lambda _, args, out: went.append(out))
    network(torch.randn(2, 6, 16), cond, time)
    layers = list(network.skips)
    for i in range(1, depth):
        if 2 * i < depth or i == depth - 1 - i:
            assert torch.equal(came[i], went[i - 1])
        else:
            layer = layers.pop(0)
            both = torch.cat((went[i - 1], went[depth - 1 - i]), dim=-1)
            torch.testing.assert_close(came[i], F.linear(both, layer.weight, layer.bias))
    assert not layers


def heard(network: Transformer, cond: Cond, time: torch.Tensor) -> torch.Tensor:
    """What the cross-attention of the first block is given."""
    seen: list[torch.Tensor] = []
    hook = network.blocks[0].cross.register_forward_pre_hook(lambda _, args: seen.append(args[1]))
    network(torch.randn(2, 6, 16), cond, time)
    hook.remove()
    return seen[0]


def test_time_is_added_to_every_token_as_jasco_does():
    """128 sinusoids of the plain time, sines first, 512, SiLU, 512, width; by numpy.  Without words it is a token by itself."""
    network, cond, time = make(VARIANTS["jasco"])
    assert time is not None and cond.context is not None
    weights = {name: tensor.double().numpy() for name, tensor in network.time.state_dict().items()}
    angles = time.double().numpy()[:, None] * np.array([10_000 ** (-i / 63) for i in range(64)])
    x = np.concatenate([np.sin(angles), np.cos(angles)], axis=1) @ weights["first.weight"].T + weights["first.bias"]
    x = (x / (1 + np.exp(-x))) @ weights["second.weight"].T + weights["second.bias"]
    oracle = torch.tensor(x @ weights["out.weight"].T + weights["out.bias"])[:, None].float()
    assert weights["first.weight"].shape == (512, 128) and weights["second.weight"].shape == (512, 512)
    told = Cond(cond.context, cond.mask)
    torch.testing.assert_close(heard(network, told, time), cond.context + oracle, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(heard(network, Cond(), time), oracle, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("attend", [attention.attend, attention.written_out])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_torchs(attend, causal, masked):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 9, 8)
    allowed = None
    if masked:
        allowed = torch.rand(2, 1, 9, 9) > 0.3
        allowed = allowed | torch.eye(9, dtype=torch.bool)
        allowed = allowed & torch.ones(9, 9, dtype=torch.bool).tril() if causal else allowed
    oracle = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, is_causal=causal and not masked)
    torch.testing.assert_close(attend(query, key, value, allowed, causal and not masked), oracle)


def test_rotary_scores_depend_on_distance_alone():
    cos, sin = attention.rotary_angles(torch.arange(12), 8)
    query, key = torch.randn(2, 1, 1, 1, 8)
    queries, keys = (attention.rotate(x.expand(1, 1, 12, 8), cos, sin) for x in (query, key))
    scores = (queries @ keys.transpose(-1, -2))[0, 0]
    for distance in (0, 3, 7):
        line = scores.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-5, rtol=1e-4)


def test_added_positions_are_cosines_then_sines_from_one_to_a_ten_thousandth():
    """By the definition, position by position; and those of a later part are those of the whole."""
    made = attention.sinusoids(torch.arange(9), 12)
    for position in range(9):
        angles = [position / 10_000 ** (i / 5) for i in range(6)]
        oracle = torch.tensor([math.cos(a) for a in angles] + [math.sin(a) for a in angles])
        torch.testing.assert_close(made[position], oracle)
    assert torch.equal(attention.sinusoids(torch.arange(4, 9), 12), made[4:])


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_order_is_heard_by_either_kind_of_position(positions):
    config = TransformerConfig(width=16, depth=1, heads=2, time="none", context=False, positions=positions)
    network, _, _ = make(config)
    x = torch.randn(1, 6, 16)
    assert not torch.allclose(network(x, Cond()).flip(1), network(x.flip(1), Cond()), atol=1e-4)


def test_heads_must_divide_width():
    with pytest.raises(ValueError, match="multiple"):
        attention.Attention(10, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"width": 0}, "width: must be at least 2"),
        ({"depth": 0}, "depth: "),
        ({"heads": -1}, "heads: "),
        ({"width": 10, "heads": 3}, "width 10 must be an even multiple of heads 3"),
        ({"width": 6, "heads": 2}, "even multiple"),
        ({"width": 2, "heads": 1, "positions": "sinusoidal"}, "take a width of 4 or more, not 2"),
        ({"feedforward": math.nan}, "feedforward: "),
        ({"feedforward": math.inf}, "feedforward: "),
        ({"feedforward": 1e-4, "width": 32}, "feedforward 0.0001"),
        ({"local": -1}, "local: "),
        ({"depth": 1, "skips": True}, "skips join two halves"),
        ({"context": False}, 'time is "context", but context is false'),
    ],
)
def test_impossible_settings_are_named(content: dict[str, object], message: str):
    with pytest.raises(ValueError, match=f"^recipe: .*{message}") as error:
        settings.parse(TransformerConfig, content, "recipe")
    assert "\n" not in str(error.value) and "Value error" not in str(error.value)
