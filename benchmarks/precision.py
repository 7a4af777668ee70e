"""What do fewer bits cost while music is made?  Cross-entropy and first choices on held-out tokens, as runtime.py rounds.

    python benchmarks/precision.py musicgen-tiny --latents runs/latents [--batches 4]

`nats` is the loss of training on the split valid, a token, with the same draws for all; `change` its difference from fp32 in
per cent, with twice the standard error over batches; `agree` the share of tokens whose likeliest next one is that of fp32,
after the true history; `logits` the root-mean-square difference of logits over their deviation; `MB` what a step reads.
Measured without torch's compiler: so inputs of products have 16 bits, too, where with it they have 32 but for int4.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint import runtime
from counterpoint.benchmark import read_each_step
from counterpoint.hub import checkpoint
from counterpoint.systems.musicgen import Musicgen
from counterpoint.types import Batch
from storage import batches


@torch.inference_mode()
def figures(system: Musicgen, told: list[Batch]) -> tuple[np.ndarray, Tensor]:
    """The losses of batches, and the logits of the first."""
    losses = np.array([float(system.objectives(batch)[0].loss) for batch in told])
    first = told[0]
    assert first.frames is not None
    cond = system.conditioners(first.values, system.spec, first.frames.shape[-1], len(first))
    return losses, system._logits(first.frames[:, : len(system.config.delays)], cond)


def main() -> None:
    """Print a row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--batches", type=int, default=4, help="of 32 crops")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | dtype | MB | nats | change | agree | logits |\n|---|---|---|---|---|---|---|")
    for name in asked.models:
        told: list[Batch] = []
        plain = None
        for precision in ("fp32", "bf16", "int8", "int4"):
            system = checkpoint.load(name).system
            assert isinstance(system, Musicgen)
            told = told or batches(system, asked.latents, asked.batches)
            runtime.quicken(system, precision, torch.device("cpu"), compiled=False)
            losses, logits = figures(system, told)
            plain = plain or (losses, logits)
            change = 100 * (losses / plain[0] - 1)
            error = 200 * np.std(losses / plain[0], ddof=1) / len(losses) ** 0.5
            agree = (logits.argmax(-1) == plain[1].argmax(-1)).float().mean()
            apart = (logits - plain[1]).square().mean().sqrt() / plain[1].std()
            row = f"| {Path(name).name} | {precision} | {read_each_step(system) / 1e6:.1f} | {losses.mean():.4f}"
            print(f"{row} | {change.mean():+.3f} +- {error:.3f} % | {agree:.4f} | {apart:.4f} |", flush=True)


if __name__ == "__main__":
    main()
