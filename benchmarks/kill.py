"""Kill a run at random moments (SIGKILL), go on, and compare it bit for bit with a run that was never killed.

python benchmarks/kill.py RECIPE -o FOLDER [--kills 10] [--seed 0] [CHANGES...]

Every other kill comes after a random time, the rest in the midst of saving: at a random one of the moments in which a file that
is written takes its name.  A run that ends before enough kills is compared and begun again.  One CPU thread; no GPU.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from counterpoint import cli


def train(recipe: str, changes: list[str], out: Path) -> int:
    """The command line's exit code."""
    return cli.run(["train", recipe, *changes, "train.threads=1", "-o", str(out), "--device", "cpu"])


def live(recipe: str, changes: list[str], out: Path, replacements: int | None, seconds: float | None) -> bool:
    """Go on in a process of its own, which dies at its n-th replacement of a file or after so long; whether it ended before."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if replacements is not None:
            _die_at(replacements)
        os._exit(train(recipe, changes, out))
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), f"the run ended with {code}"
    return code == 0


def _die_at(replacements: int) -> None:
    replace, left = os.replace, [replacements]

    def counted(source: Path, target: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = counted


def content(out: Path) -> tuple:
    """All that must not depend on kills: the checkpoint's bytes, the state, and the log without what clocks say."""
    state = torch.load(out / "train" / "state.pt", weights_only=True)
    lines = [json.loads(line) for line in (out / "train" / "log.jsonl").read_text().splitlines()]
    clock = {"wall", "items_per_second", "frames_per_second"}
    log = [{name: value for name, value in line.items() if name not in clock} for line in lines]
    files = {path.name: path.read_bytes() for path in (out / "model.safetensors", out / "config.json")}
    return files, {name: part for name, part in state.items() if name != "seconds"}, log


def same(one: object, other: object) -> bool:
    """Equal to the bit, whatever is nested in what."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def main() -> int:
    """Print where it was killed; exit with 1 where a run differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("changes", nargs="*")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_intermixed_args()
    started = time.monotonic()
    assert train(asked.recipe, asked.changes, asked.output / "straight") == 0  # and everything is imported once
    whole = time.monotonic() - started
    straight, draw, kills, run = content(asked.output / "straight"), np.random.default_rng(asked.seed), 0, 0
    ended, seconds_at_most, replacements_at_most = False, 0.25 * whole, 16
    while kills < asked.kills or not ended:
        out = asked.output / f"killed-{run}"
        in_saving = seconds = None
        if kills < asked.kills and kills % 2 == 0:
            in_saving = int(draw.integers(replacements_at_most)) + 1
        elif kills < asked.kills:
            seconds = draw.uniform(0, seconds_at_most)
        ended = live(asked.recipe, asked.changes, out, in_saving, seconds)
        if not ended:
            kills += 1
            state = out / "train" / "state.pt"
            step = torch.load(state, weights_only=True)["step"] if state.is_file() else 0
            print(f"kill {kills}: {'in saving' if in_saving else 'at a random time'}, step {step} is saved")
        elif not same(content(out), straight):
            print(f"{out} differs from the run that was never killed")
            return 1
        else:
            run += 1  # if too early, kill sooner
            seconds_at_most, replacements_at_most = seconds_at_most / 2, max(1, replacements_at_most // 2)
            assert run < 30, "the run ends before it can be killed: give it more steps and saves"
    print(f"{kills} kills, {run} whole run(s): weights, optimiser, averages, checkpoint and log equal to the bit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
