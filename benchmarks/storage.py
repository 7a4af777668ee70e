"""What do 16 and 8 bits cost?  The same model from 32-, 16- and 8-bit weights, on the same held-out crops with the same draws.

    python benchmarks/storage.py runs/jasco-tiny runs/musicgen-tiny --latents runs/latents

The 8-bit weights are made from the 16-bit ones, as those that ship were.  `loss` is that of training (nats a token where
tokens are learnt), `change` its mean difference from the 16-bit weights' over batches, with twice its standard error.  `made`
compares what the model makes with what the 16-bit weights make: of frames, the norm of the difference / the norm, from the same
seeds, plan and words (at 16 bits, as a yardstick, from another seed); of tokens, the share of equal first choices (arg max),
each after the true history.  Then the root-mean-square error of the 8-bit matrices / their root mean square, with the scales
that are stored and with those that a search over 43 scales for each row finds best.
"""

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from counterpoint.data.latents import LatentDataset
from counterpoint.data.loader import Loader
from counterpoint.hub import checkpoint, storage
from counterpoint.paradigms import autoregressive as ar
from counterpoint.systems.base import System
from counterpoint.systems.musicgen import Musicgen
from counterpoint.types import Batch, Canvas

SECONDS, ITEMS = 5.0, 16  # of a crop; made from frames in each batch that is used for it


@dataclass(frozen=True)
class Figures:
    """A model's losses "batches", and what it makes: frames, or the tokens it holds most likely at real places."""

    losses: np.ndarray
    made: Tensor


def main() -> None:
    """Read the command line, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="folders of runs, or shipped names")
    parser.add_argument("--latents", type=Path, default=Path("runs/latents"))
    parser.add_argument("--batches", type=int, default=8, help="of 32 crops of the split valid")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | bits | MB | loss | change | made |\n|---|---|---|---|---|---|")
    found: dict[str, tuple[float, float]] = {}
    for name in options.models:
        system = checkpoint.load(name).system
        found[Path(name).name] = errors(system)
        for line in rows(Path(name).name, system, batches(system, options.latents, options.batches)):
            print(line, flush=True)
    print("\n| model | matrices' error | with the best scales |\n|---|---|---|")
    for name, (stored, best) in found.items():
        print(f"| {name} | {stored:.5f} | {best:.5f} |")


def batches(system: System, folder: Path, count: int) -> list[Batch]:
    """The first batches of the split valid, as training's validation sees them."""
    data = LatentDataset(folder, "valid", system.spec.frames(SECONDS), system.view)
    loader = Loader(data, 32, seed=0)
    return [loader.batch(i) for i in range(count)]


def rows(name: str, system: System, told: list[Batch]) -> list[str]:
    """The lines of one model; it is left with its 8-bit weights."""
    sizes: dict[int, float] = {}
    found: dict[int, Figures] = {}
    yardstick = ""
    for bits in (32, 16, 8):
        sizes[bits] = repack(system, bits)
        found[bits] = measure(system, told)
        if bits == 16 and not isinstance(system, Musicgen):
            yardstick = f"{compared(frames(system, told[0], 1000), found[16].made)}, from another seed"
    base = found[16]
    lines = []
    for bits, one in found.items():
        change, made = "", yardstick
        if one is not base:
            differences = (one.losses - base.losses) / base.losses.mean()
            error = 2 * differences.std(ddof=1) / math.sqrt(len(differences))
            change, made = f"{100 * differences.mean():+.3f} ± {100 * error:.3f} %", compared(one.made, base.made)
        lines.append(f"| {name} | {bits} | {sizes[bits]:.1f} | {one.losses.mean():.4f} | {change} | {made} |")
    return lines


def repack(system: System, bits: storage.Bits) -> float:
    """Give the system the weights that come back from so many bits, and tell their megabytes."""
    exact = {name for name, _ in system.named_buffers()}
    packed = storage.pack(system.state_dict(), bits, exact)
    system.load_state_dict(storage.unpack(packed))
    return sum(tensor.numel() * tensor.element_size() for tensor in packed.values()) / 1e6


@torch.no_grad()
def measure(system: System, told: list[Batch]) -> Figures:
    """Losses of the batches, and what is made of them."""
    if not isinstance(system, Musicgen):
        return Figures(np.array([system.objectives(batch)[0].loss.item() for batch in told]), frames(system, told[0], 0))
    losses, choices = [], []
    heads: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        heads.append(output)

    hook = system.out.register_forward_hook(keep)
    for batch in told:
        losses.append(system.objectives(batch)[0].loss.item())
        assert batch.mask is not None
        real = ar.holds_token(batch.mask, system.config.delays)[..., 1:]
        logits = rearrange(heads.pop(), "b s (k v) -> b k s v", k=real.shape[1])
        choices.append(logits.argmax(-1)[real])
    hook.remove()
    return Figures(np.array(losses), torch.cat(choices))


def frames(system: System, batch: Batch, seed: int) -> Tensor:
    """What the model makes for the first items of a batch, told words and score, with its own sampling."""
    assert batch.mask is not None
    values = {name: column[:ITEMS] for name, column in batch.values.items()}
    canvas = Canvas.blank(ITEMS, batch.mask.shape[1], system.spec, system.view)
    return system.generate(canvas, values, list(range(seed, seed + ITEMS)))


def compared(made: Tensor, base: Tensor) -> str:
    """How far what is made differs."""
    if made.is_floating_point():
        return f"{(made - base).norm() / base.norm():.4f} of the norm"
    return f"{100 * (made == base).float().mean():.2f} % equal tokens"


def errors(system: System) -> tuple[float, float]:
    """Relative errors of the matrices at 8 bits: with the scales that are stored, and with the best for each row."""
    exact = {name for name, _ in system.named_buffers()}
    packed = storage.pack(system.state_dict(), 8, exact)
    sums = np.zeros(3)
    for name in [name.removesuffix(storage.INT8) for name in packed if name.endswith(storage.INT8)]:
        matrix = system.state_dict()[name].flatten(1)
        scale = packed[name + storage.SCALE].flatten(1)
        tried = torch.stack([_lost(matrix, scale * factor) for factor in (1.0, *np.linspace(0.6, 1.02, 43).tolist())])
        sums += [tried[0].sum().item(), tried.amin(0).sum().item(), matrix.square().sum().item()]
    return math.sqrt(sums[0] / sums[2]), math.sqrt(sums[1] / sums[2])


def _lost(matrix: Tensor, scale: Tensor) -> Tensor:
    """Squared error of each row."""
    return ((matrix / scale).round().clamp(-127, 127) * scale - matrix).square().sum(1)


if __name__ == "__main__":
    main()
