"""The loop's promises: it learns, it resumes exactly after SIGKILL, it never keeps broken gradients, it stops on request."""

import io
import itertools
import json
import resource
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from rich.console import Console
from torch import nn
from torch.nn import Parameter

from counterpoint import parallel, rng, training
from counterpoint.data.base import Item
from counterpoint.data.loader import Loader, collate
from counterpoint.optim import OptimConfig
from counterpoint.systems.base import Trainable
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.training import TrainConfig, train
from counterpoint.types import Batch, Objective, Spec


class Noise:
    """Frames that are a function of the item's number and seed."""

    def __init__(self, length: int = 10):
        self.length = length

    def __len__(self) -> int:
        return self.length

    def item(self, index: int, seed: int) -> Item:
        gen = rng.generators([rng.mix(index, seed)])[0]
        return Item(frames=torch.randn(6, 4, generator=gen) + index % 3, values={"number": index})


class Toy(Trainable):
    """Predicts the sum of an item's channels; noise from the batch's seeds, and dropout from the global generator."""

    def __init__(self):
        super().__init__()
        gen = torch.Generator().manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=gen) * 0.3

    def objectives(self, batch: Batch) -> list[Objective]:
        assert batch.frames is not None
        noise = rng.randn(batch.frames.shape[1:], rng.generators(batch.seeds))
        made = self.backbone(batch.frames + 0.01 * noise)[..., 0]
        return [Objective("main", (made - batch.frames.sum(-1)).square().mean(), {"spread": 1.0})]


OPTIM = OptimConfig(lr=1e-2, warmup_steps=5, ema_decay=0.9)
CONFIG = TrainConfig(steps=60, batch_size=3, log_every=1, valid_every=20, save_every=7, sample_every=1000, seed=3, accumulate=2)


def go(out: Path, config: TrainConfig = CONFIG, system: Trainable | None = None, optim: OptimConfig = OPTIM):
    return train(system or Toy(), Noise(), Noise(4), optim, config, out)


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[tuple]:
    return [(line["step"], line.get("loss"), line.get("valid_loss"), line.get("grad_norm")) for line in log(out)]


def weights(out: Path) -> bytes:
    return (out / "model.safetensors").read_bytes()


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def state(out: Path):
    return torch.load(out / "state.pt", weights_only=True)


def test_it_learns_and_leaves_everything_behind(tmp_path):
    outcome = go(tmp_path)
    lines = log(tmp_path)
    assert outcome.done and outcome.step == 60
    train_losses = [line["loss"] for line in lines if "loss" in line]
    assert train_losses[-1] < 0.5 * train_losses[0]
    assert {"step", "loss", "lr", "grad_norm", "items_per_second", "frames_per_second", "wall", "spread"} <= lines[0].keys()
    assert [line["step"] for line in lines if "valid_loss" in line] == [20, 40, 60]
    exported = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert same(exported, state(tmp_path)["ema"]["average"])
    assert not list(tmp_path.glob("*.partial"))


class Hasty(Toy):
    """Presses Ctrl-C in the midst of its step 20."""

    calls = 0

    def objectives(self, batch: Batch) -> list[Objective]:
        self.calls += 1
        if self.calls == 20:
            signal.raise_signal(signal.SIGINT)
        return super().objectives(batch)


def test_ctrl_c_saves_the_running_step_and_ends_cleanly(tmp_path):
    config, before = CONFIG.model_copy(update={"accumulate": 1}), signal.getsignal(signal.SIGINT)
    outcome = go(tmp_path / "broken", config, Hasty())
    assert not outcome.done and outcome.step == state(tmp_path / "broken")["step"] == 20
    assert signal.getsignal(signal.SIGINT) is before
    go(tmp_path / "straight", config)
    assert go(tmp_path / "broken", config).done
    assert losses(tmp_path / "straight") == losses(tmp_path / "broken")
    assert same(state(tmp_path / "straight"), state(tmp_path / "broken"))


def test_who_starts_workers_is_ended_when_they_are_there():
    """A SIGTERM in between would leave some of them behind; Ctrl-C is the caller's to answer."""
    said = []

    def end(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(KeyboardInterrupt), parallel.without_interrupts():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            said.append("started")
        assert said == ["started"] and signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


class Broken(Toy):
    """Its loss is finite, but has no finite gradient, at the steps that are told."""

    def __init__(self, broken: range):
        super().__init__()
        self.broken, self.calls = broken, 0

    def objectives(self, batch: Batch) -> list[Objective]:
        [objective] = super().objectives(batch)
        self.calls += self.training
        steep = (0 * objective.loss).sqrt()  # 0, and so is what multiplies its infinite slope
        return [Objective("main", objective.loss + (steep if self.calls - 1 in self.broken else 0.0))]


def test_steps_with_broken_gradients_are_skipped(tmp_path):
    config = CONFIG.model_copy(update={"accumulate": 1, "steps": 10, "valid_every": 100})
    go(tmp_path, config, Broken(range(4, 6)))
    assert all(torch.isfinite(value).all() for value in state(tmp_path)["system"].values())
    lines = [line for line in log(tmp_path) if "loss" in line]
    assert [line["step"] for line in lines if line["grad_norm"] is None] == [5, 6]
    assert all(line["loss"] is not None for line in lines)


def test_broken_gradients_without_end_are_an_error_and_leave_the_state(tmp_path):
    config = CONFIG.model_copy(update={"accumulate": 1})
    with pytest.raises(ValueError, match="not finite in 20 steps in a row"):
        go(tmp_path, config, Broken(range(9, 1000)))
    assert state(tmp_path)["step"] <= 29
    assert all(torch.isfinite(value).all() for value in state(tmp_path)["system"].values())


class Duel(Trainable):
    """Two players on one shared number, with opposite wishes."""

    def __init__(self):
        super().__init__()
        self.maker, self.judge = Parameter(torch.tensor([1.0])), Parameter(torch.tensor([1.0]))

    def players(self) -> dict[str, list[Parameter]]:
        return {"maker": [self.maker], "judge": [self.judge]}

    def objectives(self, batch: Batch) -> list[Objective]:
        product = (self.maker * self.judge).sum()
        return [Objective("maker", product), Objective("judge", -product)]


def test_an_objective_moves_its_own_player_only(tmp_path):
    duel = Duel()
    config = CONFIG.model_copy(update={"steps": 1, "accumulate": 1})
    go(tmp_path, config, duel, OptimConfig(lr=0.1, warmup_steps=0, weight_decay=0, schedule="constant"))
    assert duel.maker.item() == pytest.approx(0.9, abs=1e-4)  # Adam's first step has the size of lr and the gradient's sign
    assert duel.judge.item() == pytest.approx(1.1, abs=1e-4)


def test_minutes_end_a_run_and_the_schedule_with_it(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 1000))  # a clock that nothing slows
    config = CONFIG.model_copy(update={"minutes": 0.3 / 60, "steps": 10**6})
    outcome = go(tmp_path, config, optim=OPTIM.model_copy(update={"min_lr_ratio": 0.0}))
    assert outcome.done and 0.3 <= outcome.minutes * 60 < 0.32
    rates = [line["lr"] for line in log(tmp_path) if "lr" in line]
    assert max(rates) > 0.9 * OPTIM.lr and rates[-1] < 0.01 * OPTIM.lr
    assert go(tmp_path, config).step == outcome.step  # the minutes are those of training in all


def test_another_model_does_not_go_on_from_this_state(tmp_path):
    go(tmp_path)
    with pytest.raises(ValueError, match="train into another folder"):
        go(tmp_path, system=Duel())
    (tmp_path / "state.pt").write_bytes(b"not a state")
    with pytest.raises(ValueError, match="damaged"):
        go(tmp_path)


def test_samples_see_the_averaged_weights(tmp_path):
    seen = []

    def samples(system, step, folder):
        seen.append((step, {name: p.clone() for name, p in system.named_parameters()}, system.training))
        (folder / "a.txt").write_text("x")

    train(Toy(), Noise(), None, OPTIM, CONFIG.model_copy(update={"steps": 30, "sample_every": 20}), tmp_path, samples=samples)
    assert [step for step, _, _ in seen] == [20, 30] and not any(training for _, _, training in seen)
    assert same(seen[-1][1], state(tmp_path)["ema"]["average"])
    assert (tmp_path / "samples" / "0000030" / "a.txt").exists()


def test_bf16_trains_and_keeps_full_weights(tmp_path):
    go(tmp_path, CONFIG.model_copy(update={"precision": "bf16"}))
    train_losses = [line["loss"] for line in log(tmp_path) if "loss" in line]
    assert train_losses[-1] < 0.5 * train_losses[0]
    assert all(value.dtype == torch.float32 for value in state(tmp_path)["system"].values())


def test_a_batch_is_a_function_of_seed_and_step():
    one, other = Loader(Noise(), 4, seed=1), Loader(Noise(), 4, seed=1)
    other.batch(5)
    again = other.batch(2)
    assert torch.equal(one.batch(2).frames, again.frames) and one.batch(2).seeds == again.seeds
    ahead = other.batches(2)
    assert torch.equal(next(ahead).frames, again.frames)
    assert next(ahead).values["number"] == one.batch(3).values["number"]
    ahead.close()
    assert not torch.equal(Loader(Noise(), 4, seed=2).batch(2).frames, again.frames)


def test_every_item_comes_once_an_epoch_whatever_the_number_of_processes():
    ranks = [Loader(Noise(12), 2, seed=7, rank=rank, world=3) for rank in range(3)]
    numbers = [n for step in range(2) for loader in ranks for n in loader.batch(step).values["number"]]
    assert sorted(numbers) == list(range(12))
    assert numbers == [n for step in range(2) for n in Loader(Noise(12), 6, seed=7).batch(step).values["number"]]


def test_collate_pads_and_masks():
    batch = collate([Item(frames=torch.ones(2, 3)), Item(frames=torch.ones(4, 3), values={"text": "a"})], [0, 1])
    assert batch.frames.shape == (2, 4, 3) and batch.frames[0, 2:].eq(0).all()
    assert batch.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.values == {"text": [None, "a"]}
    tokens = collate(
        [Item(frames=torch.ones(2, 3, dtype=torch.int64)), Item(frames=torch.ones(2, 5, dtype=torch.int64))], [0, 1]
    )
    assert tokens.frames.shape == (2, 2, 5) and tokens.mask.sum(1).tolist() == [3, 5]


def test_an_error_in_the_data_reaches_the_user(tmp_path):
    class Bad(Noise):
        def item(self, index: int, seed: int) -> Item:
            raise ValueError("clip 7 cannot be read")

    with pytest.raises(ValueError, match="clip 7"):
        train(Toy(), Bad(), None, OPTIM, CONFIG, tmp_path)
    with pytest.raises(ValueError, match="no items"):
        Loader(Noise(0), 1, seed=0)


class Heavy(Toy):
    """Its state does not fit where a log does."""

    def __init__(self):
        super().__init__()
        self.register_buffer("ballast", torch.zeros(100_000))


def no_room(system: Trainable, step: int, folder: Path) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("export", [None, lambda system: None])
def test_a_disk_that_fills_up_is_one_sentence_and_leaves_the_last_state(tmp_path, export):
    config, limits = CONFIG.model_copy(update={"steps": 7}), resource.getrlimit(resource.RLIMIT_FSIZE)
    train(Heavy(), Noise(), None, OPTIM, config, tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # a file may not grow beyond this
    try:
        with pytest.raises(ValueError, match=r"cannot be written .File too large.*make room there"):
            train(Heavy(), Noise(), None, OPTIM, CONFIG, tmp_path, export=export)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert state(tmp_path)["step"] == 7
    assert {path.name for path in tmp_path.iterdir()} <= {"state.pt", "model.safetensors", "log.jsonl", "tensorboard"}
    with pytest.raises(ValueError, match=r"0000014 cannot be written .No space left"):
        update = {"sample_every": 14}
        train(Heavy(), Noise(), None, OPTIM, CONFIG.model_copy(update=update), tmp_path, samples=no_room)


def test_a_place_where_nothing_can_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ValueError, match=r"cannot be written .*choose another folder"):
        go(tmp_path / "file" / "out")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_log_that_finds_no_room_is_one_sentence(tmp_path):
    journal = training.Journal(tmp_path, 0)
    (tmp_path / "log.jsonl").unlink()
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"log\.jsonl cannot be written .No space left"):
        journal.write(1, {"loss": 1.0})


def test_only_what_has_a_backbone_is_compiled(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    monkeypatch.setattr(torch, "compile", lambda function: partial(function))
    config, toy = CONFIG.model_copy(update={"compile": True, "steps": 1}), Toy()
    go(tmp_path / "toy", config, toy)
    assert compiled == [toy.backbone]
    system = MusicgenConfig.tiny().build(Spec(25.0, 6, 4, 16))
    plain = system._cross_entropy
    system.compile_parts()
    assert compiled[1:] == [system.backbone] and system._cross_entropy is not plain
    with pytest.raises(ValueError, match="no backbone to compile"):
        go(tmp_path / "duel", config, Duel())


def test_a_state_that_cannot_be_used_is_one_sentence_that_says_what_to_do(tmp_path):
    go(tmp_path, CONFIG.model_copy(update={"steps": 2}))
    whole = (tmp_path / "state.pt").read_bytes()
    wider = Toy()
    wider.backbone = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 1))
    with pytest.raises(ValueError, match=r"^\S+state\.pt belongs to another model; train into another folder, .*\.$"):
        go(tmp_path, system=wider)
    for damaged in (whole[: len(whole) // 2], whole[:-100], b"", b"not a state"):
        (tmp_path / "state.pt").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^\S+state\.pt is damaged or unreadable; bring back a copy of it, or .*\.$"):
            go(tmp_path)


def test_a_bar_is_shown_only_while_there_is_something_to_do(tmp_path):
    def shown(steps: int) -> str:
        console, config = Console(file=io.StringIO(), width=200), CONFIG.model_copy(update={"steps": steps})
        train(Toy(), Noise(), None, OPTIM, config, tmp_path, console=console)
        return console.file.getvalue()

    assert "2/2" in shown(2)
    assert shown(2) == ""


def test_a_processor_without_bf16_trains_in_fp32_and_says_so(tmp_path, monkeypatch):
    def told(precision: str) -> str:
        console, seen = Console(file=io.StringIO(), width=200), []
        config = CONFIG.model_copy(update={"steps": 1, "precision": precision})
        system = Toy()
        system.backbone.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
        train(system, Noise(), None, OPTIM, config, tmp_path / str(len(list(tmp_path.iterdir()))), console=console)
        assert set(seen) == {torch.float32}
        return console.file.getvalue()

    monkeypatch.setattr(training, "multiplies_bf16", lambda device: False)
    assert "training is in fp32" in told("bf16")
    assert "training is in fp32" not in told("fp32")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cpu:x", ""])
def test_a_device_that_is_not_there_is_one_sentence(device):
    with pytest.raises(ValueError, match=r"device .*; use .*cpu"):
        parallel.place(device)
