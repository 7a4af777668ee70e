"""What do fewer bits cost while music is made?  Cross-entropy and first choices on held-out tokens, as runtime.py rounds.

    python benchmarks/precision.py musicgen-tiny --latents runs/latents [--batches 4] [--corpus runs/corpus --takes 64]

`nats` is the loss of training on the split valid, a token, with the same draws for all; `change` its difference from fp32 in
per cent, with twice the standard error over batches; `agree` the share of tokens whose likeliest next one is that of fp32,
after the true history; `logits` the root-mean-square difference of logits over their deviation; `MB` what a step reads.
With `--takes`, pieces of ten seconds are made from captions of held-out clips and of their plans, the same for all, and
`Frechet` is their distance of log-mel features to the recordings.  All by the native step, as with `--compile`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint import runtime
from counterpoint.benchmark import read_each_step
from counterpoint.codecs.base import Codec
from counterpoint.conditioners.score import paint
from counterpoint.hub import checkpoint
from counterpoint.metrics.base import Score
from counterpoint.systems.musicgen import Musicgen
from counterpoint.types import Batch, Canvas
from plans import PART, SECONDS, frechet, planned, prompts
from storage import batches


@torch.inference_mode()
def figures(system: Musicgen, told: list[Batch]) -> tuple[np.ndarray, Tensor]:
    """The losses of batches, and the logits of the first."""
    losses = np.array([float(system.objectives(batch)[0].loss) for batch in told])
    first = told[0]
    assert first.frames is not None
    cond = system.conditioners(first.values, system.spec, first.frames.shape[-1], len(first))
    return losses, system._logits(first.frames[:, : len(system.config.delays)], cond)


def distance(system: Musicgen, codec: Codec, corpus: Path, takes: int, folder: Path) -> Score:
    """The Frechet distance of pieces made from captions, and of plans for them, to the recordings they describe."""
    asked = prompts(corpus, takes)
    frames = system.spec.frames(SECONDS)
    for first in range(0, takes, PART):
        part = asked[first : first + PART]
        plans = [planned(text, first + i, "rules") for i, (_, text) in enumerate(part)]
        values = {
            "text": [text for _, text in part],
            "score": [None if plan is None else paint(plan, system.spec.rate, frames) for plan in plans],
        }
        with torch.inference_mode():
            blank = Canvas.blank(len(part), frames, system.spec, system.view)
            filled = system.generate(blank, values, list(range(first, first + len(part))))
            made = codec.decode(codec.as_frames(filled, system.view), round(SECONDS * codec.sample_rate))
        for (name, _), audio in zip(part, made, strict=True):
            sound.write(folder / f"{name}.flac", sound.master(audio, codec.sample_rate), codec.sample_rate)
    return frechet(folder, corpus)


def main() -> None:
    """Print a row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--batches", type=int, default=4, help="of 32 crops")
    parser.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    parser.add_argument("--takes", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | dtype | MB | nats | change | agree | logits | Frechet |\n|---|---|---|---|---|---|---|---|")
    for name in asked.models:
        told: list[Batch] = []
        plain = None
        for precision in ("fp32", "bf16", "int8", "int4"):
            if precision == "bf16" and not runtime.multiplies_bf16(torch.device("cpu")):
                continue
            loaded = checkpoint.load(name)
            system = loaded.system
            assert isinstance(system, Musicgen)
            told = told or batches(system, asked.latents, asked.batches)
            runtime.quicken(system, precision, torch.device("cpu"), compiled=True)
            losses, logits = figures(system, told)
            plain = plain or (losses, logits)
            change = 100 * (losses / plain[0] - 1)
            error = 200 * np.std(losses / plain[0], ddof=1) / len(losses) ** 0.5
            agree = (logits.argmax(-1) == plain[1].argmax(-1)).float().mean()
            apart = (logits - plain[1]).square().mean().sqrt() / plain[1].std()
            row = f"| {Path(name).name} | {precision} | {read_each_step(system) / 1e6:.1f} | {losses.mean():.4f}"
            row += f" | {change.mean():+.3f} +- {error:.3f} % | {agree:.4f} | {apart:.4f} | "
            if asked.takes:
                with TemporaryDirectory() as folder:
                    far = distance(system, loaded.codec, asked.corpus, asked.takes, Path(folder))
                row += f"{far.value:.2f} ({far.low:.2f} to {far.high:.2f})"
            print(f"{row} |", flush=True)


if __name__ == "__main__":
    main()
