"""Train the ear's network on cached composed clips of both renderers.

    python benchmarks/listener_data.py FOLDER CACHE/builtin      (once for each corpus; see there)
    python benchmarks/train_listener.py CACHE/builtin-0,CACHE/builtin-1 CACHE/soundfont --out OUT

Resumable: killed and started again it goes on from its last state and ends in the same weights.  Each renderer is drawn
from by its share below.  What is written at the end, `OUT/listener.safetensors`, are 16-bit averages of the weights.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from counterpoint.analysis.listener import Guesses, Listener
from listener_data import UNTOLD, Cache, Crop, collate

SHARES = (0.65, 0.35)
"""How often each renderer is drawn from: the built-in synthesizer, the soundfont."""
CROP = 400
"""Frames of a training example: 8 s."""
BATCH = 16
PEAK_RATE, WARM_UP, DECAY, AVERAGE = 3e-3, 100, 0.02, 0.996


def losses(guesses: Guesses, told: Crop) -> dict[str, Tensor]:
    """One number a head; frames, and keys, that are UNTOLD count in none."""

    def classes(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets, ignore_index=UNTOLD, reduction="sum") / (targets != UNTOLD).sum().clamp(min=1)

    return {
        "pulse": 4 * F.binary_cross_entropy_with_logits(guesses.pulse, told.events[:, :2]),
        "drums": 3 * F.binary_cross_entropy_with_logits(guesses.drums, told.events[:, 2:]),
        "chords": classes(guesses.chords, told.chords),
        "melody": classes(guesses.melody, told.melody),
        "key": 0.3 * classes(guesses.key, told.key),
    }


def learning_rate(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine to nothing."""
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def examples(groups: list[list[Cache]], seed: int, step: int) -> Crop:
    """The batch of a step: what it holds follows from the seed and the step alone."""
    drawn = []
    for item in range(BATCH):
        rng = np.random.default_rng([seed, step, item])
        caches = groups[rng.choice(len(groups), p=SHARES)]
        drawn.append(caches[rng.integers(len(caches))].crop("train", CROP, rng))
    return collate(drawn)


def validate(model: Listener, groups: list[list[Cache]]) -> dict[str, float]:
    """Losses and frame accuracies of the held-out clips, whole, a renderer at a time."""
    model.eval()
    figures: dict[str, float] = {}
    with torch.inference_mode():
        for number, caches in enumerate(groups):
            whole = [cache.whole(place) for cache in caches for place in cache.places("valid")]
            rows = []
            for begin in range(0, len(whole), BATCH):
                told = collate(whole[begin : begin + BATCH])
                guesses = model(told.spectrum)
                row = {name: value.item() for name, value in losses(guesses, told).items()}
                for name, logits, targets in (
                    ("chords", guesses.chords, told.chords),
                    ("melody", guesses.melody, told.melody),
                    ("key", guesses.key, told.key),
                ):
                    counted = targets != UNTOLD
                    row[f"{name}_right"] = (logits.argmax(1) == targets)[counted].float().mean().item()
                rows.append(row)
            figures |= {f"{number}/{name}": round(float(np.mean([row[name] for row in rows])), 3) for name in rows[0]}
    model.train()
    return figures


def train(groups: list[list[Cache]], out: Path, steps: int, seed: int, every: int) -> None:
    """The loop: AdamW, a running average of the weights, a state every `every` steps."""
    torch.manual_seed(seed)
    model = Listener().to(memory_format=torch.channels_last)
    averaged = Listener()
    averaged.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=DECAY)
    out.mkdir(parents=True, exist_ok=True)
    begin, state = 0, out / "state.pt"
    if state.exists():
        kept = torch.load(state, weights_only=True)
        begin = kept["step"]
        model.load_state_dict(kept["model"])
        averaged.load_state_dict(kept["averaged"])
        optimizer.load_state_dict(kept["optimizer"])
    clock, sums = time.time(), {}
    for step in range(begin, steps):
        optimizer.param_groups[0]["lr"] = learning_rate(step, steps)
        told = examples(groups, seed, step)
        parts = losses(model(told.spectrum), told)
        optimizer.zero_grad()
        sum(parts.values(), torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        _average(averaged, model, min(AVERAGE, (step + 1) / (step + 20)))
        sums = {name: sums.get(name, 0.0) + part.item() for name, part in parts.items()}
        if (step + 1) % 50 == 0:
            means = {name: round(total / 50, 3) for name, total in sums.items()}
            print(f"{step + 1} {(time.time() - clock) / 50:.2f} s a step {means}", flush=True)
            clock, sums = time.time(), {}
        if (step + 1) % every == 0 or step + 1 == steps:
            print(json.dumps({"step": step + 1, **validate(averaged, groups)}), flush=True)
            whole = {"model": model.state_dict(), "averaged": averaged.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({"step": step + 1, **whole}, out / "state.tmp")
            (out / "state.tmp").rename(state)
            halves = {
                name: value.half() if value.is_floating_point() else value for name, value in averaged.state_dict().items()
            }
            save_file({name: value.contiguous() for name, value in halves.items()}, out / "listener.safetensors")


@torch.no_grad()
def _average(averaged: Listener, model: Listener, keep: float) -> None:
    """The running average of weights and of the normalisations' statistics."""
    for kept, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - keep)
        else:
            kept.copy_(new)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("caches", nargs=2, help="folders of one renderer's spectra, commas between")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=200)
    given = parser.parse_args()
    folders = [[Cache.open(Path(one)) for one in group.split(",")] for group in given.caches]
    train(folders, given.out, given.steps, given.seed, given.every)
