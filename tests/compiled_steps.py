"""Compiled steps beside plain ones, for tests/test_runtime.py: logits alike, and one compilation for all blocks and lengths."""

import sys

import torch

from counterpoint import runtime
from counterpoint.nn import swift
from counterpoint.systems.musicgen import Musicgen, MusicgenConfig
from counterpoint.types import Spec

SPEC = Spec(rate=25.0, dim=8, levels=3, bins=64)


def built() -> Musicgen:
    torch.manual_seed(3)
    return MusicgenConfig.tiny().build(SPEC).eval()


@torch.inference_mode()
def logits(system: Musicgen, words: str) -> torch.Tensor:
    """Of one history, one step after another."""
    history = torch.randint(SPEC.bins, (2, 3, 12), generator=torch.Generator().manual_seed(0))
    cond = system.conditioners({"text": [words, "fast"]}, system.spec, 12, 2)
    assert cond.context is not None
    memory = system.backbone.remember(2, 12, cond.context.shape[1])
    return torch.cat([system._logits(history[..., i : i + 1], cond, memory) for i in range(12)], dim=2)


compilations: list[int] = []
compiled = torch.compile
step = swift.step


def counted(x, weights, past, rotary, heads):
    if torch.compiler.is_compiling():
        compilations.append(1)
    return step(x, weights, past, rotary, heads)


swift.step = counted
plain, fast = built(), built()
runtime.quicken(fast, "fp32", torch.device("cpu"), compiled=True)
same = [
    torch.allclose(logits(fast, words), logits(plain, words), atol=1e-4) for words in ("slow piano", "a slow piano in minor")
]
sys.stdout.write(f"{len(compilations)} compiled" + "\n")
sys.stdout.write("fp32 the same\n" if all(same) else "fp32 differs\n")
eight = built()
runtime.quicken(eight, "int8", torch.device("cpu"), compiled=True)
apart = (logits(eight, "slow piano") - logits(plain, "slow piano")).std() / logits(plain, "slow piano").std()
sys.stdout.write("int8 near\n" if 0 < apart < 0.03 else f"int8 is {apart:.3f} away\n")
