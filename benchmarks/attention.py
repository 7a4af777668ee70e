"""Fused attention against the formula written out, forward and backward, for the short sequences of a clip.

python benchmarks/attention.py [--threads 1] [--dtype float32]
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from counterpoint.nn.attention import written_out


def milliseconds(run, repeats: int = 15) -> float:
    """Median time of `run` after two warm-ups."""
    run(), run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Print one row per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    dtype = getattr(torch, asked.dtype)
    print(f"{'frames':>6} {'fused ms':>9} {'math ms':>9} {'plain ms':>9}")
    for frames in (125, 250, 500):
        shape = (32, 4, frames, 64)
        query, key, value = (torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))
        gradient = torch.ones(shape, dtype=dtype)

        def fused(q=query, k=key, v=value, g=gradient) -> None:
            F.scaled_dot_product_attention(q, k, v).backward(g)

        def math(q=query, k=key, v=value, g=gradient) -> None:
            with sdpa_kernel(SDPBackend.MATH):
                F.scaled_dot_product_attention(q, k, v).backward(g)

        def plain(q=query, k=key, v=value, g=gradient) -> None:
            written_out(q, k, v).backward(g)

        print(f"{frames:6d} {milliseconds(fused):9.1f} {milliseconds(math):9.1f} {milliseconds(plain):9.1f}")


if __name__ == "__main__":
    main()
