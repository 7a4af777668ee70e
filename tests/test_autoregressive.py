"""The autoregressive paradigm against plain arithmetic, and a memory that changes nothing but the time it takes."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from counterpoint import config, rng
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms import autoregressive as ar
from counterpoint.systems.musicgen import MusicgenConfig, Sampling
from counterpoint.types import Canvas, Cond, Spec

SPEC = Spec(rate=25.0, dim=8, levels=4, bins=16)


@pytest.mark.parametrize("delays", [(0,), (0, 1, 2, 3), (0, 0, 1, 1), (2, 0, 5)])
def test_delay_is_undone_and_places_each_level_late(delays):
    tokens = torch.randint(9, (2, len(delays), 6))
    layout = ar.delay(tokens, delays, special=9)
    assert layout.shape[-1] == ar.steps(6, delays) and bool((layout[..., 0] == 9).all())
    assert torch.equal(ar.undelay(layout, delays), tokens)
    for level, late in enumerate(delays):
        assert [int(x) for x in layout[0, level]] == [9] * (1 + late) + tokens[0, level].tolist() + [9] * (max(delays) - late)
    assert torch.equal(ar.holds_token(torch.ones(2, 6, dtype=torch.bool), delays), layout != 9)


def test_the_known_layout_of_four_levels():
    """MusicGen's own pattern, for three frames: frame i of level q is said at step 1 + i + q."""
    tokens = torch.tensor([[[11, 12, 13], [21, 22, 23]]])
    assert ar.delay(tokens, (0, 1), 0).tolist() == [[[0, 11, 12, 13, 0], [0, 0, 21, 22, 23]]]


def test_cross_entropy_is_torchs_over_real_tokens():
    logits, layout = torch.randn(2, 3, 5, 7), torch.randint(7, (2, 3, 5))
    mask = torch.rand(2, 3, 5) > 0.4
    mask[..., 0] = True
    layout = layout.masked_fill(~mask, 7)  # special entries are outside the vocabulary
    for item, level in itertools.product(range(2), range(3)):
        chosen = mask[item, level]
        oracle = F.cross_entropy(logits[item, level][chosen], layout[item, level][chosen])
        torch.testing.assert_close(ar.cross_entropy(logits, layout, mask)[item, level], oracle)
    assert ar.cross_entropy(logits, layout, torch.zeros_like(mask)).eq(0).all()


def test_tokens_are_drawn_with_their_probabilities():
    logits = torch.tensor([[[2.0, 1.0, 0.0, -1.0]]])
    gens = rng.generators([0])
    drawn = torch.stack([ar.sample(logits, gens, 0.7) for _ in range(4000)]).flatten()
    shares = torch.bincount(drawn, minlength=4) / 4000
    torch.testing.assert_close(shares, (logits[0, 0] / 0.7).softmax(-1), atol=0.03, rtol=0)


def test_top_k_and_top_p_keep_what_they_should():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()[None, None]
    gens = rng.generators([1])

    def kept(**settings) -> set[int]:
        return {int(ar.sample(logits, gens, **settings)) for _ in range(300)}

    assert kept(top_k=2) == {0, 1} and kept(top_k=9) == {0, 1, 2, 3}
    assert kept(top_p=0.65) == {0, 1} and kept(top_p=0.75) == {0, 1, 2} and kept(top_p=0.01) == {0}
    assert kept(top_k=3, top_p=0.99) == {0, 1, 2}
    assert kept(temperature=0.0) == {0}


@pytest.mark.parametrize("settings", [{}, {"local": 4}, {"skips": True}, {"context": False}, {"positions": "sinusoidal"}])
def test_remembering_changes_nothing(settings):
    """Step by step, by parts, or at once: the same outputs."""
    torch.manual_seed(0)
    plain = {"width": 16, "depth": 4, "heads": 2, "causal": True, "time": "none"}
    network = TransformerConfig(**(plain | settings)).build().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, cond = torch.randn(2, 12, 16), Cond(context=torch.randn(2, 3, 16), mask=torch.tensor([[True] * 3, [True, False, False]]))
    whole = network(x, cond)
    for parts in ([1] * 12, [5, 1, 6], [12]):
        memory = network.remember(2, 12, 3)
        told = torch.cat([network(part, cond, memory=memory) for part in x.split(parts, dim=1)], dim=1)
        torch.testing.assert_close(told, whole, atol=1e-5, rtol=1e-4)
        assert memory.length == 12


def test_only_a_causal_backbone_remembers():
    with pytest.raises(ValueError, match="causal = true"):
        TransformerConfig(width=16, depth=1, heads=2).build().remember(1, 4, 0)


def test_greedy_generation_is_the_likeliest_token_of_the_whole_network():
    """What the memory makes step by step is what one pass over the result, without it, finds likeliest."""
    torch.manual_seed(0)
    system = MusicgenConfig.tiny().build(SPEC).eval()
    told = {"text": ["slow piano"], "score": [None]}
    greedy = Sampling(temperature=0.0, guidance={"all": 1.0})
    made = system.generate(Canvas.blank(1, 20, system.spec, "tokens"), told, [0], greedy)
    layout = ar.delay(made[:, :3], (0, 1, 2), SPEC.bins)
    with torch.no_grad():
        cond = system.conditioners(told, SPEC, 20, 1)
        logits = system._logits(layout[..., :-1], cond)
    real = layout[..., 1:] != SPEC.bins
    assert torch.equal(logits.argmax(-1)[real], layout[..., 1:][real])


def test_frames_are_told_one_step_ahead():
    """A change of the score in frame 7 moves the prediction of frame 7's first token, and of none before."""
    torch.manual_seed(0)
    system = MusicgenConfig.tiny().build(SPEC).eval()
    history = torch.randint(SPEC.bins, (1, 3, 20))
    frames = torch.randn(1, 20, 16)
    changed = frames.clone()
    changed[:, 7] += 1.0
    with torch.no_grad():
        first, second = (system._logits(history, Cond(frames=f)) for f in (frames, changed))
    moved = (first - second).abs().amax(dim=(0, 1, 3))
    assert moved[:7].max() == 0 and moved[7] > 0  # the logits after step 7 are those of layout step 8: frame 7 of level 0


def test_untrained_loss_is_that_of_chance():
    torch.manual_seed(0)
    system = MusicgenConfig.tiny().build(SPEC)
    from counterpoint.types import Batch

    frames = torch.randint(SPEC.bins, (4, SPEC.levels, 20))
    batch = Batch(seeds=[1, 2, 3, 4], frames=frames, mask=torch.ones(4, 20, dtype=torch.bool), values={"text": ["a"] * 4})
    objective = system.objectives(batch)[0]
    assert objective.loss.item() == pytest.approx(math.log(SPEC.bins), rel=0.03)
    assert objective.logs.keys() == {"nats_0", "nats_1", "nats_2"}


def test_noise_disturbs_a_share_of_the_history_alone():
    system = MusicgenConfig.tiny().model_copy(update={"noise": 0.6}).build(SPEC)
    layout = torch.zeros(200, 3, 30, dtype=torch.long)
    real = torch.ones_like(layout, dtype=torch.bool)
    real[..., :4] = False
    hit = (system._disturb(layout, real, rng.generators(range(200))) != 0).float()
    assert hit[..., :4].max() == 0
    assert hit[..., 4:].mean().item() == pytest.approx(0.3 * 15 / 16, abs=0.04)
    shorter = system._disturb(layout[..., :20], real[..., :20], rng.generators(range(200))) != 0
    assert torch.equal(shorter.float(), hit[..., :20])  # padding changes no draw


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"delays": (0, 1, 2, 3, 4)}, "1 to 4 levels"),
        ({"delays": ()}, "1 to 4 levels"),
        ({"backbone": {"causal": True, "time": "none", "context": False}}, "backbone.context is false"),
        ({"backbone": {"causal": True, "time": "adaln"}}, 'backbone.time is "adaln"'),
        ({"delays": (-1,)}, "delay >= 0"),
        ({"backbone": {"time": "none"}}, "backbone.causal is false"),
    ],
)
def test_impossible_settings_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        config.parse(MusicgenConfig, changes, "recipe").build(SPEC)


def test_a_codec_without_tokens_or_with_too_few_is_told_in_a_sentence():
    with pytest.raises(
        ValueError, match=r"^musicgen makes tokens, and the codec of these frames has none; choose another codec\.$"
    ):
        MusicgenConfig().build(Spec(rate=25.0, dim=8))
    with pytest.raises(ValueError, match=r"^delays \(0, 1, 2, 3\) .* 1 to 2 levels\.$"):
        MusicgenConfig().build(Spec(rate=25.0, dim=8, levels=2, bins=16))
