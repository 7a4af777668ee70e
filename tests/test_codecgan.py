"""The training of EnCodec and the VAE: it learns, each player moves by its own loss, it resumes exactly, it ships alone."""

import copy
import json
from pathlib import Path

import pytest
import torch

from counterpoint import config as settings
from counterpoint import rng
from counterpoint.codecs.encodec import Encodec, EncodecConfig
from counterpoint.codecs.vae import VaeConfig
from counterpoint.data.base import Item
from counterpoint.hub import checkpoint
from counterpoint.nn.oobleck import divergence, gaussian
from counterpoint.optim import OptimConfig
from counterpoint.recipe.base import CodecRecipe, read
from counterpoint.systems.codecgan import CodecganConfig, CodecganTraining, VaeganConfig
from counterpoint.training import TrainConfig, train
from counterpoint.types import Batch

OPTIM = OptimConfig(lr=3e-3, betas=(0.5, 0.9), weight_decay=0.0, warmup_steps=0, schedule="constant", clip=1e9, ema_decay=0.9)
RECIPES = Path(__file__).parent.parent / "recipes"


class Tones:
    """A few notes, the same at each asking but for their level."""

    def __len__(self) -> int:
        return 4

    def item(self, index: int, seed: int) -> Item:
        time = torch.arange(2400) / 8000
        level = 0.2 + 0.1 * torch.rand((), generator=rng.generators([seed])[0])
        return Item(audio=level * torch.sin(2 * torch.pi * 200 * (index + 1) * time)[None])


def built(kind: str = "encodec", **changes) -> CodecganTraining:
    torch.manual_seed(0)
    sizes = {"windows": (128, 64), "width": 4, **changes}
    if kind == "vae":
        return CodecganTraining(VaeConfig.tiny().build(), VaeganConfig(**sizes))
    return CodecganTraining(EncodecConfig.tiny().build(), CodecganConfig(**sizes))


both = pytest.mark.parametrize("kind", ["encodec", "vae"])


def batch(first: int = 0) -> Batch:
    items = [Tones().item(i, first + i).audio for i in range(2)]
    return Batch(seeds=[first, first + 1], audio=torch.stack([item for item in items if item is not None]))


def run(out: Path, steps: int, kind: str = "encodec", **changes) -> CodecganTraining:
    system = built(kind, **changes)
    train(system, Tones(), Tones(), OPTIM, TrainConfig(steps=steps, batch_size=2, log_every=1, valid_every=5), out)
    return system


def numbers(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_both_players_learn(tmp_path):
    run(tmp_path, 80, alone=5, unheard=45, adversarial=0.1, features=0.1)
    lines = [line for line in numbers(tmp_path) if "mel" in line]
    assert [sum(name in line for line in lines) for name in ("mel", "loss_discriminator", "adversarial")] == [80, 75, 30]
    assert sum(line["mel"] for line in lines[45:50]) < 2 / 3 * sum(line["mel"] for line in lines[:5])
    against = [line["loss_discriminator"] for line in lines[5:50]]
    assert against[0] > 1.9 and against[-1] < 1.3  # from a guess to knowing better
    assert {"adversarial", "features", "grad_norm_discriminator", "revived"} <= lines[-1].keys()
    assert lines[-1]["features"] < 2 / 3 * lines[50]["features"]  # the codec listens


def test_the_vae_learns_with_its_opponent(tmp_path):
    run(tmp_path, 60, "vae", alone=5, unheard=25)
    lines = [line for line in numbers(tmp_path) if "stft" in line]
    counts = [sum(name in line for line in lines) for name in ("stft", "divergence", "loss_discriminator", "features", "mel")]
    assert counts == [60, 60, 55, 30, 0]
    assert sum(line["stft"] for line in lines[-5:]) < 2 / 3 * sum(line["stft"] for line in lines[:5])


def moved(objective: str, kind: str) -> set[str]:
    """The parts of the system that have a gradient after that objective's backward pass, as the loop makes it."""
    system = built(kind).train()
    chosen = next(o for o in system.objectives(batch()) if o.name == objective)
    torch.autograd.backward(chosen.loss, inputs=system.players()[objective])
    return {name.split(".")[0] for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}


@both
def test_each_player_is_moved_by_its_own_objective_alone(kind):
    assert moved("codec", kind) == {"codec"} and moved("discriminator", kind) == {"discriminator"}
    system = built(kind)
    players = system.players()
    assert players.keys() == {"codec", "discriminator"}
    assert {id(p) for player in players.values() for p in player} == {id(p) for p in system.parameters()}


def test_the_codec_hears_the_balanced_gradient():
    """What the decoder's last bias gets is the balanced gradient over all samples, as a mean over items; its norm is near 1."""
    system = built(commitment=0.0).train()
    assert system.balancer is not None
    caught = {}
    balanced = system.balancer.gradient
    system.balancer.gradient = lambda losses, made: caught.setdefault("g", balanced(losses, made))
    objective = system.objectives(batch())[0]
    objective.loss.backward(inputs=list(system.codec.parameters()))
    torch.testing.assert_close(system.codec.decoder.layers[-1].conv.bias.grad, caught["g"].sum()[None] / 2)
    assert 0.2 < caught["g"].flatten(1).norm(dim=1).mean() <= 1.001
    for parameter in system.codec.encoder.parameters():  # straight through the codebooks
        assert parameter.grad is not None and parameter.grad.isfinite().all()


def gradients(system: CodecganTraining, items: Batch) -> list[torch.Tensor]:
    system.zero_grad()
    system.objectives(items)[0].loss.backward(inputs=list(system.codec.parameters()))
    return [p.grad.clone() for p in system.codec.parameters() if p.grad is not None]


@both
def test_a_batch_of_equal_items_moves_the_codec_as_one_of_them(kind):
    """So processes, which average their gradients, move it as one process with all of the items."""
    system = built(kind).train()
    system.objectives(batch())  # the codebooks begin
    system.eval()  # and stay
    if system.balancer is not None:
        system.balancer.mass.zero_()
        system.balancer.total.zero_()
    one = batch()
    assert one.audio is not None
    alone, twice = Batch([0], audio=one.audio[:1]), Batch([0, 0], audio=one.audio[:1].repeat(2, 1, 1))
    found = [gradients(copy.deepcopy(system), items) for items in (alone, twice)]
    largest = max(float(single.abs().max()) for single in found[0])
    rounding = 1e-6 if kind == "encodec" else 3e-3 * largest  # logarithms of what is near to nothing are steep
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(double, single, atol=rounding, rtol=1e-4)
    assert max(single.abs().max() for single in found[0]) > 1e-3


def test_the_vae_hears_the_plain_sum():
    """Its gradient is torch's own of the weighted losses, through the draws that the seeds give."""
    system = built("vae", wave=0.3).train()
    one = batch()
    assert one.audio is not None
    objective = system.objectives(one)[0]
    found = torch.autograd.grad(objective.loss, list(system.codec.parameters()))
    mean, deviation = gaussian(system.codec.encoder(one.audio))
    noise = rng.randn(mean.shape[1:], rng.generators([rng.mix(seed, 1) for seed in one.seeds]))
    made = system.codec.decoder(mean + deviation * noise)[..., : one.audio.shape[-1]]
    fooled, _ = system._judge(made, one.audio)
    losses = {"wave": (made - one.audio).abs().mean(), "stft": system.distances["stft"](made, one.audio), **fooled}
    weights = {"wave": 0.3, "stft": 1.0, "adversarial": 0.1, "features": 5.0}
    total = sum(weights[name] * loss for name, loss in losses.items()) + 1e-3 * divergence(mean, deviation)
    torch.testing.assert_close(objective.loss, total)
    for ours, theirs in zip(found, torch.autograd.grad(total, list(system.codec.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_a_silent_batch_leaves_a_deviation_to_divide_by():
    system = built()
    system._measure(torch.full((2, 50, 8), 0.3))
    assert 0 < system.codec.std < 1e-3 and system.codec.mean == pytest.approx(0.3)


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    return all(map(same, a, b)) if isinstance(a, list | tuple) else a == b


@both
def test_resumed_is_never_interrupted(kind, tmp_path):
    changes = {"alone": 2, "unheard": 2, **({"drop_levels": True} if kind == "encodec" else {})}
    for steps in (2, 5, 9):
        run(tmp_path / "broken", steps, kind, **changes)
    run(tmp_path / "straight", 9, kind, **changes)
    one, other = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("broken", "straight"))
    assert same(one, other)
    assert any(name.startswith("discriminator.") for name in one["system"])
    assert kind == "vae" or one["system"]["balancer.mass"].min() > 3


def books(system: CodecganTraining):
    assert isinstance(system.codec, Encodec)
    return system.codec.quantizer


def test_codebooks_start_at_the_first_batch_and_are_used():
    system = built().train()
    assert not books(system).books[0].codes.any()
    logs = system.objectives(batch())[0].logs
    assert books(system).books[0].codes.any() and logs["perplexity"] > 8
    assert system.codec.std > 0 and system.codec.std != 1
    before = books(system).books[0].codes.clone()
    system.eval()
    with torch.no_grad():
        objectives = system.objectives(batch(1))
    assert [o.name for o in objectives] == ["codec", "discriminator"]
    assert torch.equal(books(system).books[0].codes, before) and system.batches == 1


@both
def test_the_codec_ships_without_its_opponent(kind, tmp_path):
    system = run(tmp_path / "train", 3, kind)
    checkpoint.save(tmp_path, system.codec, checkpoint.codec_manifest(system.codec.config, system.codec))
    loaded = checkpoint.load_codec(tmp_path)
    assert not any("discriminator" in name for name in loaded.state_dict())
    frames = loaded.encode(batch().audio)
    assert loaded.mean != 0 and loaded.std != 1
    heard = loaded.from_tokens(loaded.to_tokens(frames)) if kind == "encodec" else frames
    assert loaded.decode(heard, 2000).shape == (2, 1, 2000)


def test_an_items_draw_does_not_depend_on_its_neighbours():
    system, one = built("vae").train(), batch()
    assert one.audio is not None
    both = system._squeeze(system.codec.encoder(one.audio), one.seeds).latents
    alone = system._squeeze(system.codec.encoder(one.audio[1:]), one.seeds[1:]).latents
    torch.testing.assert_close(both[1:], alone)
    assert (both - system.eval()._squeeze(system.codec.encoder(one.audio), one.seeds).latents).abs().mean() > 0.1


def test_gaussians_begin_as_narrow_as_told():
    wide, narrow = (built("vae", deviation=deviation).objectives(batch())[0].logs["deviation"] for deviation in (None, 0.05))
    assert wide > 0.4 and 0.02 < narrow < 0.1


def test_losses_that_would_be_ignored_or_lack_are_named():
    with pytest.raises(ValueError, match="legacy belongs to stft"):
        settings.parse(CodecganConfig, {"legacy": True})
    with pytest.raises(ValueError, match="nothing compares"):
        settings.parse(VaeganConfig, {"stft": 0})


def test_what_it_cannot_learn_from_is_named():
    with pytest.raises(ValueError, match=r"are shorter .* 2048; raise data\.crop_seconds\.$"):
        built("vae").objectives(Batch(seeds=[0], audio=torch.zeros(1, 1, 900)))
    with pytest.raises(ValueError, match="cached frames"):
        built().objectives(Batch(seeds=[0], frames=torch.zeros(1, 3, 8)))
    with pytest.raises(ValueError, match=r"900 samples are shorter .* 1024; raise data\.crop_seconds\.$"):
        built().objectives(Batch(seeds=[0], audio=torch.zeros(1, 1, 900)))
    for kind in ("encodec", "vae"):
        with pytest.raises(ValueError, match=r"longest window of 4096; raise data\.crop_seconds, or leave that window out\.$"):
            built(kind, windows=(4096, 64)).objectives(Batch(seeds=[0], audio=torch.zeros(1, 1, 900)))


TOGETHER = """
import sys
sys.path.insert(0, {tests!r})
import torch
import test_codecgan as t
from counterpoint import parallel
torch.set_num_threads(1)
place = parallel.place("cpu")
with parallel.together(place):
    system = t.built(alone=2)
    t.train(system, t.Tones(), None, t.OPTIM, t.TrainConfig(steps=4, batch_size=1), t.Path(sys.argv[1]) / "run", place)
    torch.save(system.state_dict(), f"{{sys.argv[1]}}/{{place.rank}}.pt")
"""


def test_two_processes_keep_one_codec(run_as_two, tmp_path):
    run_as_two(TOGETHER.format(tests=str(Path(__file__).parent)), tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert same(one, other) and one["batches"] == 4
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    steps = {player: state["optimisers"][f"{player}.adamw"]["state"][0]["step"] for player in ("codec", "discriminator")}
    assert steps == {"codec": 4, "discriminator": 2}, "who rests does not move"


def counted(recipe: CodecRecipe) -> dict[str, int]:
    """Entries of each part, built where nothing is stored."""
    assert isinstance(recipe.codec, EncodecConfig) and isinstance(recipe.objective, CodecganConfig)
    with torch.device("meta"):
        system = CodecganTraining(recipe.codec.build(), recipe.objective)
    parts = {"encoder": system.codec.encoder, "decoder": system.codec.decoder, "discriminator": system.discriminator}
    numbers = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {**numbers, "codes": sum(codes.numel() for codes in books(system).buffers())}


def by_hand(ratios: list[int]) -> dict[str, int]:
    """The layer table: weights, a gain and a bias for each output channel (a transposed layer has a gain for each input)."""

    def layer(inputs: int, outputs: int, kernel: int, transposed: bool = False) -> int:
        return inputs * outputs * kernel + outputs + (inputs if transposed else outputs)

    lstm = 2 * (2 * 4 * 1024 * 1024 + 2 * 4 * 1024)
    stages = list(zip(reversed(ratios), (64, 128, 256, 512), strict=True))
    residual = sum(layer(c, c // 2, 3) + layer(c // 2, c, 1) for _, c in stages)
    down = sum(layer(c, 2 * c, 2 * r) for r, c in stages)
    up = sum(layer(2 * c, c, 2 * r, transposed=True) for r, c in stages)
    return {
        "encoder": layer(1, 64, 7) + residual + down + lstm + layer(1024, 128, 7),
        "decoder": layer(128, 1024, 7) + lstm + up + residual + layer(64, 1, 7),
        "discriminator": 5 * 94_498,
        "codes": 4 * 2048 * 128,
    }


SIZES = {
    25: ([8, 8, 5, 4], 29_293_952, 29_294_658),
    50: ([8, 5, 4, 4], 28_441_984, 28_442_690),  # 28.4 million each, as the released codec
    100: ([8, 5, 4, 2], 28_409_216, 28_409_922),
}


@pytest.mark.parametrize("rate", SIZES)
def test_the_papers_recipes_have_the_papers_sizes(rate):
    recipe = read(RECIPES / f"encodec-{rate}.toml", [])
    assert isinstance(recipe, CodecRecipe) and recipe.name == f"encodec-{rate}"
    ratios, encoder, decoder = SIZES[rate]
    expected = {"encoder": encoder, "decoder": decoder, "discriminator": 472_490, "codes": 1_048_576}
    assert counted(recipe) == by_hand(ratios) == expected
    assert isinstance(recipe.codec, EncodecConfig)
    with torch.device("meta"):
        spec = recipe.codec.build().spec
    assert (spec.rate, spec.dim, spec.levels, spec.bins) == (rate, 128, 4, 2048)
    assert recipe.train.steps * recipe.train.batch_size == 400_000 * 64 and recipe.data.crop_seconds == 1.0


@pytest.mark.parametrize(("rate", "encoder", "decoder"), [(25, 74.8, 75.0), (50, 61.2, 61.3), (100, 61.1, 61.2)])
def test_the_papers_vaes_have_the_published_sizes(rate, encoder, decoder):
    """Millions, as counted from the strides and channels of the paper's appendix E.3."""
    recipe = read(RECIPES / f"vae-{rate}.toml", [])
    assert isinstance(recipe, CodecRecipe) and recipe.name == f"vae-{rate}"
    assert isinstance(recipe.codec, VaeConfig) and isinstance(recipe.objective, VaeganConfig)
    with torch.device("meta"):
        system = CodecganTraining(recipe.codec.build(), recipe.objective)
    parts = (system.codec.encoder, system.codec.decoder)
    assert [round(sum(p.numel() for p in part.parameters()) / 1e6, 1) for part in parts] == [encoder, decoder]
    assert (system.codec.spec.rate, system.codec.spec.dim, system.codec.spec.levels) == (rate, 64, 0)
    assert system.config.weights() == {"stft": 1.0, "adversarial": 0.1, "features": 5.0}
    assert recipe.objective.divergence == 1e-3 and recipe.optim.lr == 3e-4
    assert recipe.train.steps * recipe.train.batch_size == 400_000 * 64 and recipe.data.crop_seconds == 1.0
