"""What a run survives: batches that break it, kills at any moment, several processes, full disks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import bad_batch, parallel, rng
from counterpoint.bad_batch import load_bad_batch
from counterpoint.conditioners.score import FRAME_CHANNELS, VECTOR_CHANNELS
from counterpoint.data.base import Item
from counterpoint.data.loader import Loader
from counterpoint.parallel import Place
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.training import TrainConfig, train
from counterpoint.types import Batch, Roll, Spec
from test_training import CONFIG, OPTIM, log, same, state

SPEC = Spec(rate=25, dim=16, levels=3, bins=16)


class Clips:
    """Encoded clips of several lengths with words and a painted score, crops and words drawn from the item's seed."""

    def __init__(self, view: str = "continuous", count: int = 13, broken: int | None = None):
        self.view, self.count, self.broken = view, count, broken

    def __len__(self) -> int:
        return self.count

    def item(self, index: int, seed: int) -> Item:
        draw = np.random.default_rng(rng.mix(index, seed))
        length = 6 + index % 5
        frames = torch.from_numpy(draw.standard_normal((length, SPEC.dim), dtype=np.float32))
        if index == self.broken:
            frames[2, 1] = 3e38
        tokens = torch.from_numpy(draw.integers(SPEC.bins, size=(SPEC.levels, length)))
        values: dict = {"text": (None, "slow piano", "fast")[draw.integers(3)]}
        if index % 4:
            painted = draw.integers(1, 256, size=(length, FRAME_CHANNELS), dtype=np.uint8)
            values["score"] = Roll(painted, draw.standard_normal(VECTOR_CHANNELS, dtype=np.float32))
        return Item(frames=frames if self.view == "continuous" else tokens, values=values)


def build(kind: str = "jasco") -> System:
    torch.manual_seed(0)
    system = (JascoConfig if kind == "jasco" else MusicgenConfig).tiny().build(SPEC)
    torch.nn.init.normal_(system.out.weight, std=0.1)  # else nothing but the last layer learns at first
    return system


TINY = CONFIG.model_copy(update={"accumulate": 2, "save_every": 3})


def test_a_loss_that_is_not_finite_stops_and_its_batch_can_be_looked_at(tmp_path):
    data = Clips(count=40, broken=7)
    with pytest.raises(
        ValueError, match=r"^The loss 'main' of step \d is (inf|nan): its batch .* are kept in \S+ .*; mend .*\.$"
    ) as caught:
        train(build(), data, None, OPTIM, TINY, tmp_path)
    [path] = tmp_path.glob("bad-batch-*")
    assert str(path) in str(caught.value)
    bad = load_bad_batch(path)
    assert path.name == f"bad-batch-{bad.step:07d}.safetensors" and bad.step >= 3  # a step was saved before
    assert state(tmp_path)["step"] == bad.step // 3 * 3 and all(map(finite, state(tmp_path)["system"].values()))
    passes = [Loader(data, TINY.batch_size, TINY.seed).batch(2 * bad.step + turn) for turn in range(2)]
    [whole] = [batch for batch in passes if not finite(batch.frames * 2)]
    assert bad.batch.seeds == whole.seeds and bad.batch.values["text"] == whole.values["text"]
    assert torch.equal(bad.batch.frames, whole.frames) and torch.equal(bad.batch.mask, whole.mask)
    fresh = build()
    fresh.load_state_dict(bad.weights)
    [objective] = bad.objectives(fresh)
    assert {"main": str(objective.loss.item())} == bad.losses
    mended = bad_batch.BadBatch(
        **{**vars(bad), "batch": Batch(whole.seeds, None, whole.frames.clamp(-9, 9), whole.mask, whole.values)}
    )
    assert finite(mended.objectives(fresh)[0].loss)
    with pytest.raises(
        ValueError, match=f"step {bad.step} is (inf|nan)"
    ):  # going on meets it again, from the state that was kept
        train(build(), data, None, OPTIM, TINY, tmp_path)


def finite(tensor: torch.Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def test_a_full_disk_in_one_process_leaves_no_other_waiting(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(parallel, "any_of", lambda flag, place: asked.append(flag) or True)
    (tmp_path / "out").write_text("in the way")
    suspect = bad_batch.Suspect(Batch([1]), {"main": torch.tensor(float("nan"))}, draws=7)
    with pytest.raises(ValueError, match="cannot be written"):
        bad_batch.refuse([suspect], build(), 4, "fp32", tmp_path / "out", Place(0, 2))
    assert asked == [True]


def test_a_kept_batch_holds_scores_and_says_what_it_left_out(tmp_path):
    roll = Roll(np.arange(12, dtype=np.uint8).reshape(4, 3), np.ones(2, dtype=np.float32))
    values = {"score": [roll, None], "text": ["a", None], "odd": [object(), 1.5], "own": [np.eye(2), torch.ones(3)]}
    batch = Batch([1, 2], audio=torch.ones(2, 1, 5), values=values)
    suspect = bad_batch.Suspect(batch, {"main": torch.tensor(float("nan"))}, draws=7)
    with pytest.raises(ValueError, match="'main' of step 4 is nan"):
        bad_batch.refuse([suspect], build(), 4, "bf16", tmp_path, Place())
    bad = load_bad_batch(tmp_path / "bad-batch-0000004.safetensors")
    kept = bad.batch.values
    assert np.array_equal(kept["score"][0].frames, roll.frames) and np.array_equal(kept["score"][0].vector, roll.vector)
    assert kept["text"] == ["a", None] and kept["odd"] == [None, 1.5] and bad.left_out == ["odd.0"]
    assert np.array_equal(kept["own"][0], np.eye(2)) and torch.equal(kept["own"][1], torch.ones(3))
    assert (bad.step, bad.draws, bad.precision, bad.batch.seeds) == (4, 7, "bf16", [1, 2]) and bad.batch.frames is None
    assert same(bad.weights, dict(build().state_dict()))
    (tmp_path / "cut").write_bytes((tmp_path / "bad-batch-0000004.safetensors").read_bytes()[:200])
    for path in (tmp_path / "cut", tmp_path / "absent"):
        with pytest.raises(ValueError, match="no batch that training kept, or is cut short"):
            load_bad_batch(path)


KINDS = ("jasco", "musicgen")
STEADY = OPTIM.model_copy(update={"clip": 1e9})
BATCH_12 = CONFIG.model_copy(update={"steps": 4, "batch_size": 12, "accumulate": 1, "save_every": 100, "valid_every": 2})
SAME = 1e-4
"""Weights after the same updates, whose sums ran in another order; an update moves a weight by up to lr, which is 1e-2."""


def trained(out: Path, kind: str, config: TrainConfig, place: Place | None = None) -> None:
    """Four updates on clips of several lengths, with all the chance that training has: order, crops, words, conditions that are
    left out, noise, canvases."""
    clips = [Clips("continuous" if kind == "jasco" else "tokens", count) for count in (13, 5)]
    system = build(kind)
    system.out.weight.data += 0 if place is None else place.rank  # all start from the first process' weights
    train(system, *clips, STEADY, config, out, place)


def distance(one: Path, other: Path) -> float:
    """The largest difference of a weight."""
    a, b = (state(folder)["system"] for folder in (one, other))
    return max((a[name] - b[name]).abs().max().item() for name in a)


@pytest.fixture(scope="module")
def whole_of_both(tmp_path_factory) -> dict[str, Path]:
    """Each kind of system, trained by batches of 12 in one pass of one process."""
    torch.set_num_threads(1)
    folders = {kind: tmp_path_factory.mktemp("whole") / kind for kind in KINDS}
    for kind, out in folders.items():
        trained(out, kind, BATCH_12)
    return folders


@pytest.mark.parametrize("kind", KINDS)
def test_accumulation_of_four_is_a_batch_four_times_as_large(kind, whole_of_both, tmp_path):
    out = whole_of_both[kind]
    trained(tmp_path / "four", kind, BATCH_12.model_copy(update={"batch_size": 3, "accumulate": 4}))
    assert distance(out, tmp_path / "four") < SAME
    trained(tmp_path / "other", kind, BATCH_12.model_copy(update={"seed": 4}))
    assert distance(out, tmp_path / "other") > 20 * SAME


def test_two_processes_under_torchrun_are_one_with_their_batches_side_by_side(whole_of_both, tmp_path):
    """The same script that torchrun starts twice: each kind of system, then a batch that is broken in one process only."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__, str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for kind, out in whole_of_both.items():
        assert distance(out, tmp_path / kind) < SAME
        for a, b in zip(log(out), log(tmp_path / kind), strict=True):
            name = "loss" if "loss" in a else "valid_loss"
            assert a["step"] == b["step"] and a[name] == pytest.approx(b[name], rel=1e-4)
    for rank, said in ((0, "The loss of step 2 is not finite in another process"), (1, "The loss 'main' of step 2 is nan")):
        assert (tmp_path / f"said-{rank}").read_text().startswith(said)
    [path] = (tmp_path / "broken").glob("bad-batch-*")
    assert path.name == "bad-batch-0000002-process-1.safetensors" and load_bad_batch(path).step == 2


def main(out: Path) -> None:
    """What each of two processes does."""
    torch.set_num_threads(1)
    place = parallel.place("cpu")
    with parallel.together(place):
        for kind in KINDS:
            trained(out / kind, kind, BATCH_12.model_copy(update={"batch_size": 6}), place)
        try:
            train(build(), Clips(count=40, broken=23), None, OPTIM, TINY, out / "broken", place)
        except ValueError as error:
            (out / f"said-{place.rank}").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
