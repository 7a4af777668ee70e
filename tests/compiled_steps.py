"""Steps by torch's compiler, as on a GPU, beside plain ones, for tests/test_runtime.py: logits alike, and one compilation for
all blocks and lengths."""

import sys

import torch
from torch._dynamo.utils import counters

from counterpoint.nn.compact import Precision
from counterpoint.nn.swift import Swift
from counterpoint.systems.musicgen import Musicgen, MusicgenConfig
from counterpoint.types import Spec

SPEC = Spec(rate=25.0, dim=8, levels=3, bins=64)


def built() -> Musicgen:
    torch.manual_seed(3)
    return MusicgenConfig.tiny().build(SPEC).eval()


def compiled(precision: Precision) -> Musicgen:
    system = built()
    system.add_module("backbone", Swift(system.backbone, precision, "torch"))
    return system


@torch.inference_mode()
def logits(system: Musicgen, words: str) -> torch.Tensor:
    """Of one history, one step after another."""
    history = torch.randint(SPEC.bins, (2, 3, 12), generator=torch.Generator().manual_seed(0))
    cond = system.conditioners({"text": [words, "fast"]}, system.spec, 12, 2)
    assert cond.context is not None
    memory = system.backbone.remember(2, 12, cond.context.shape[1])
    return torch.cat([system._logits(history[..., i : i + 1], cond, memory) for i in range(12)], dim=2)


plain, fast = built(), compiled("fp32")
same = [
    torch.allclose(logits(fast, words), logits(plain, words), atol=1e-4) for words in ("slow piano", "a slow piano in minor")
]
sys.stdout.write(f"{counters['stats']['unique_graphs']} compiled\n")  # a block's step
sys.stdout.write("fp32 the same\n" if all(same) else "fp32 differs\n")
eight = compiled("int8")
apart = (logits(eight, "slow piano") - logits(plain, "slow piano")).std() / logits(plain, "slow piano").std()
sys.stdout.write("int8 near\n" if 0 < apart < 0.03 else f"int8 is {apart:.3f} away\n")
