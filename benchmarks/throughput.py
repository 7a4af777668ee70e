"""Tokens a second of the training loop, beside a plain PyTorch loop over the same network; and the share of the matmul peak.

python benchmarks/throughput.py [--widths 256 512 1024] [--threads 1] [--rounds 5] [--clock wall] [--kind musicgen]

ours    training's own step: its loader, bf16 autocast, backbone and loss compiled, fused AdamW, clipping, the moving average
eager   the same without compiling
plain   what one writes by hand: DataLoader, bf16 autocast, torch.optim.AdamW as it comes, clip_grad_norm_, loss.item();
        no moving average, so that it has less to do
fp32    the plain loop without autocast

All learn from the same random clips.  Rounds are interleaved and medians shown.  The peak is that of the fastest bf16 product
among the network's own shapes and a square one, measured before every round; the share counts the products of one step, forward
and backward (torch.utils.flop_counter: matmuls, attention, convolutions; element-wise work counts as nothing).  `--clock cpu`
counts CPU seconds instead, for machines where others work; only with one thread.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from counterpoint import training
from counterpoint.conditioners.score import FRAME_CHANNELS, VECTOR_CHANNELS, ScoreConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.data.base import Item
from counterpoint.data.loader import Loader, collate
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.optim import OptimConfig
from counterpoint.parallel import Place
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.training import TrainConfig
from counterpoint.types import Batch, Roll, Spec

SPEC = Spec(rate=50.0, dim=64, levels=4, bins=1024)
DEPTH = {256: 4, 512: 4, 1024: 2}
VOCABULARY = tuple(f"word{i}" for i in range(500))


class Clips:
    """Random clips of `frames` frames with a sentence and a painted score each."""

    def __init__(self, kind: str, frames: int) -> None:
        self.kind, self.frames = kind, frames

    def __len__(self) -> int:
        return 512

    def __getitem__(self, index: int) -> tuple[Item, int]:
        return self.item(index, index), index

    def item(self, index: int, seed: int) -> Item:
        draw = np.random.default_rng([index, seed])
        tokens = torch.from_numpy(draw.integers(SPEC.bins, size=(SPEC.levels, self.frames)))
        continuous = torch.from_numpy(draw.standard_normal((self.frames, SPEC.dim), dtype=np.float32))
        painted = draw.integers(256, size=(self.frames, FRAME_CHANNELS), dtype=np.uint8)
        roll = Roll(painted, draw.standard_normal(VECTOR_CHANNELS, dtype=np.float32))
        text = " ".join(draw.choice(VOCABULARY, 8))
        return Item(frames=tokens if self.kind == "musicgen" else continuous, values={"text": text, "score": roll})


def build(kind: str, width: int) -> System:
    """The network, the same whoever trains it."""
    torch.manual_seed(0)
    causal = kind == "musicgen"
    time_way = "none" if causal else "adaln"
    backbone = TransformerConfig(width=width, depth=DEPTH.get(width, 2), heads=width // 64, causal=causal, time=time_way)
    config = (MusicgenConfig if causal else JascoConfig)(
        backbone=backbone, words=WordsConfig(vocabulary=VOCABULARY), score=ScoreConfig()
    )
    return config.build(SPEC)


def ours(kind: str, width: int, batch: int, frames: int, compiled: bool) -> Callable[[], object]:
    """One step of the training loop."""
    config, system, place = TrainConfig(batch_size=batch, precision="bf16", compile=compiled), build(kind, width), Place()
    out = Path(tempfile.mkdtemp())
    run = training._begin(system, OptimConfig(), config, out, place)
    batches = Loader(Clips(kind, frames), batch, seed=0).batches(0)
    return lambda: training._step(run, batches, config, out, place)


def plain(kind: str, width: int, batch: int, frames: int, autocast: bool) -> Callable[[], object]:
    """One step of a loop as it is written by hand."""
    system = build(kind, width)
    optimiser = torch.optim.AdamW(system.parameters(), lr=3e-4)
    loader = DataLoader(Clips(kind, frames), batch, shuffle=True, collate_fn=_collate)  # pyright: ignore

    def forever() -> Iterator[Batch]:
        while True:
            yield from loader

    batches = forever()

    def step() -> float:
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = system.objectives(next(batches))[0].loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(system.parameters(), 1.0)
        optimiser.step()
        return loss.item()

    return step


def _collate(pairs: list[tuple[Item, int]]) -> Batch:
    return collate([item for item, _ in pairs], [seed for _, seed in pairs])


def products(kind: str, width: int, batch: int, frames: int) -> int:
    """Floating-point operations of all products of one step, forward and backward."""
    system, clips = build(kind, width), Clips(kind, frames)
    with FlopCounterMode(display=False) as counter:
        system.objectives(_collate([clips[i] for i in range(batch)]))[0].loss.backward()
    return counter.get_total_flops()


def peak(width: int, rows: int, clock: Callable[[], float]) -> float:
    """Operations a second of the fastest bf16 product x W^T."""
    best = 0.0
    for m, k, n in ((rows, width, 4 * width), (rows, 4 * width, width), (rows, width, width), (2048, 2048, 2048)):
        x, weight = torch.randn(m, k, dtype=torch.bfloat16), torch.randn(n, k, dtype=torch.bfloat16)
        F.linear(x, weight)
        for _ in range(3):
            started = clock()
            F.linear(x, weight)
            best = max(best, 2 * m * k * n / (clock() - started))
    return best


def main() -> None:
    """Print one row for each width and loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--kind", choices=["musicgen", "jasco"], default="musicgen")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--loops", nargs="+", default=["ours", "eager", "plain", "fp32"])
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    clock = time.perf_counter if asked.clock == "wall" else time.process_time
    per_frame = SPEC.levels if asked.kind == "musicgen" else 1
    print(f"{asked.kind}, batch {asked.batch} x {asked.frames} frames of {per_frame} tokens, {asked.threads} thread(s)")
    print(f"{'width':>5} {'depth':>5} {'loop':>6} {'ms/step':>8} {'tokens/s':>9} {'x plain':>7} {'Gflop':>6} {'of peak':>7}")
    for width in asked.widths:
        size = (asked.kind, width, asked.batch, asked.frames)
        flops = products(*size)
        makers = {
            "ours": lambda: ours(*size, True),  # noqa: B023
            "eager": lambda: ours(*size, False),  # noqa: B023
            "plain": lambda: plain(*size, True),  # noqa: B023
            "fp32": lambda: plain(*size, False),  # noqa: B023
        }
        loops = {name: makers[name]() for name in asked.loops}
        for step in loops.values():
            step(), step()
        seconds: dict[str, list[float]] = {name: [] for name in loops}
        peaks = []
        for _ in range(asked.rounds):
            peaks.append(peak(width, asked.batch * asked.frames, clock))
            for name, step in loops.items():
                started = clock()
                step(), step()
                seconds[name].append((clock() - started) / 2)
        median = {name: statistics.median(found) for name, found in seconds.items()}
        for name, each in median.items():
            tokens, share = asked.batch * asked.frames * per_frame / each, flops / each / statistics.median(peaks)
            faster = median["plain"] / each if "plain" in median else float("nan")
            row = f"{width:5d} {DEPTH.get(width, 2):5d} {name:>6} {1000 * each:8.0f} {tokens:9.0f} {faster:7.2f}"
            print(f"{row} {flops / 1e9:6.0f} {100 * share:6.0f}%", flush=True)
        print(f"{width:5d} peak {statistics.median(peaks) / 1e9:.0f} Gflop/s", flush=True)


if __name__ == "__main__":
    main()
