"""EnCodec's training keeps its promises: it learns, each player moves by its own loss, it resumes exactly, it ships alone."""

import copy
import json
from pathlib import Path

import pytest
import torch

from counterpoint import config as settings
from counterpoint import rng
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.data.base import Item
from counterpoint.hub import checkpoint
from counterpoint.optim import OptimConfig
from counterpoint.recipe.base import CodecRecipe
from counterpoint.systems.codecgan import CodecganConfig, CodecganTraining
from counterpoint.training import TrainConfig, train
from counterpoint.types import Batch

OPTIM = OptimConfig(lr=3e-3, betas=(0.5, 0.9), weight_decay=0.0, warmup_steps=0, schedule="constant", clip=1e9, ema_decay=0.9)
RECIPES = Path(__file__).parent.parent / "recipes"


class Tones:
    """A few notes, the same at each asking but for their level."""

    def __len__(self) -> int:
        return 4

    def item(self, index: int, seed: int) -> Item:
        time = torch.arange(2000) / 8000
        level = 0.2 + 0.1 * torch.rand((), generator=rng.generators([seed])[0])
        return Item(audio=level * torch.sin(2 * torch.pi * 200 * (index + 1) * time)[None])


def built(**changes) -> CodecganTraining:
    torch.manual_seed(0)
    sizes = {"windows": (128, 64), "width": 4, **changes}
    return CodecganTraining(EncodecConfig.tiny().build(), CodecganConfig(**sizes))


def batch(first: int = 0) -> Batch:
    items = [Tones().item(i, first + i).audio for i in range(2)]
    return Batch(seeds=[first, first + 1], audio=torch.stack([item for item in items if item is not None]))


def run(out: Path, steps: int, **changes) -> CodecganTraining:
    system = built(**changes)
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


def moved(objective: str) -> set[str]:
    """The parts of the system that have a gradient after that objective's backward pass, as the loop makes it."""
    system = built().train()
    chosen = next(o for o in system.objectives(batch()) if o.name == objective)
    torch.autograd.backward(chosen.loss, inputs=system.players()[objective])
    return {name.split(".")[0] for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}


def test_each_player_is_moved_by_its_own_objective_alone():
    assert moved("codec") == {"codec"} and moved("discriminator") == {"discriminator"}
    system = built()
    players = system.players()
    assert players.keys() == {"codec", "discriminator"}
    assert {id(p) for player in players.values() for p in player} == {id(p) for p in system.parameters()}


def test_the_codec_hears_the_balanced_gradient():
    """What the decoder's last bias gets is the balanced gradient over all samples, as a mean over items; its norm is near 1."""
    system = built(commitment=0.0).train()
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


def test_a_batch_of_equal_items_moves_the_codec_as_one_of_them():
    """So processes, which average their gradients, move it as one process with all of the items."""
    system = built().train()
    system.objectives(batch())  # the codebooks begin
    system.eval()  # and stay
    system.balancer.mass.zero_()
    system.balancer.total.zero_()
    one = batch()
    assert one.audio is not None
    alone, twice = Batch([0], audio=one.audio[:1]), Batch([0, 0], audio=one.audio[:1].repeat(2, 1, 1))
    found = [gradients(copy.deepcopy(system), items) for items in (alone, twice)]
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(double, single, atol=1e-6, rtol=1e-4)
    assert max(single.abs().max() for single in found[0]) > 1e-3


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


def test_resumed_is_never_interrupted(tmp_path):
    changes = {"alone": 2, "unheard": 2, "drop_levels": True}
    for steps in (2, 5, 9):
        run(tmp_path / "broken", steps, **changes)
    run(tmp_path / "straight", 9, **changes)
    one, other = (torch.load(tmp_path / name / "state.pt", weights_only=True) for name in ("broken", "straight"))
    assert same(one, other)
    assert any(name.startswith("discriminator.") for name in one["system"]) and one["system"]["balancer.mass"].min() > 3


def test_codebooks_start_at_the_first_batch_and_are_used():
    system = built().train()
    assert not system.codec.quantizer.books[0].codes.any()
    logs = system.objectives(batch())[0].logs
    assert system.codec.quantizer.books[0].codes.any() and logs["perplexity"] > 8
    assert system.codec.std > 0 and system.codec.std != 1
    before = system.codec.quantizer.books[0].codes.clone()
    system.eval()
    with torch.no_grad():
        objectives = system.objectives(batch(1))
    assert [o.name for o in objectives] == ["codec", "discriminator"]
    assert torch.equal(system.codec.quantizer.books[0].codes, before) and system.batches == 1


def test_the_codec_ships_without_its_opponent(tmp_path):
    system = run(tmp_path / "train", 3)
    checkpoint.save(tmp_path, system.codec, checkpoint.codec_manifest(system.codec.config, system.codec))
    loaded = checkpoint.load_codec(tmp_path)
    assert not any("discriminator" in name for name in loaded.state_dict())
    frames = loaded.encode(batch().audio)
    assert loaded.mean != 0 and loaded.std != 1
    assert loaded.decode(loaded.from_tokens(loaded.to_tokens(frames)), 2000).shape == (2, 1, 2000)


def test_what_it_cannot_learn_from_is_named():
    with pytest.raises(ValueError, match="cached frames"):
        built().objectives(Batch(seeds=[0], frames=torch.zeros(1, 3, 8)))
    with pytest.raises(ValueError, match=r"900 samples are shorter .* 1024; raise data\.crop_seconds"):
        built().objectives(Batch(seeds=[0], audio=torch.zeros(1, 1, 900)))


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
    return {**numbers, "codes": sum(codes.numel() for codes in system.codec.quantizer.buffers())}


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
    recipe = settings.parse(CodecRecipe, settings.read(RECIPES / f"encodec-{rate}.toml"))
    ratios, encoder, decoder = SIZES[rate]
    expected = {"encoder": encoder, "decoder": decoder, "discriminator": 472_490, "codes": 1_048_576}
    assert counted(recipe) == by_hand(ratios) == expected
    assert isinstance(recipe.codec, EncodecConfig)
    with torch.device("meta"):
        spec = recipe.codec.build().spec
    assert (spec.rate, spec.dim, spec.levels, spec.bins) == (rate, 128, 4, 2048)
    assert recipe.train.steps * recipe.train.batch_size == 400_000 * 64 and recipe.data.crop_seconds == 1.0
