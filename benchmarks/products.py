"""Which product of a matrix with a few vectors reads the matrix fastest?

    python benchmarks/products.py [--rows 1 2 4] [--threads 1] [--clock cpu]

Thousand million weights a second, the best of ten passes over 24 matrices of 4096 x 1024 (none of which stays in a cache):
torch's linear layer in fp32 and bf16, its packed products with weights of 8 and 4 bits, and those of `nn/step.cpp`.
`read` is a plain sum over memory, in GB a second.  `--clock cpu` counts the processor's seconds of one thread.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from counterpoint.nn import native
from counterpoint.nn.compact import GROUP, Precision, compact

OUTPUTS, INPUTS, MATRICES, PASSES = 4096, 1024, 24, 10


def kinds(x: Tensor) -> dict[str, tuple[Callable[[], object], Callable[[object], Tensor]]]:
    """How a matrix is made, and how x is multiplied with it."""
    short = x.bfloat16()
    ones, pairs = torch.ones(OUTPUTS).bfloat16(), torch.rand(INPUTS // GROUP, OUTPUTS, 2).bfloat16()

    def ours(precision: Precision) -> tuple:
        return lambda: native.pack(*compact(torch.randn(OUTPUTS, INPUTS), precision)), lambda matrix: native.product(x, matrix)

    return {
        "linear fp32": (lambda: torch.randn(OUTPUTS, INPUTS), lambda w: F.linear(x, w)),  # pyright: ignore
        "linear bf16": (lambda: torch.randn(OUTPUTS, INPUTS).bfloat16(), lambda w: F.linear(short, w)),  # pyright: ignore
        "packed int8": (
            lambda: torch.randint(-127, 127, (OUTPUTS, INPUTS), dtype=torch.int8),
            lambda w: torch._weight_int8pack_mm(short, w, ones),  # pyright: ignore
        ),
        "packed int4": (
            lambda: torch._convert_weight_to_int4pack_for_cpu(torch.randint(15, (OUTPUTS, INPUTS), dtype=torch.int32), 1),
            lambda w: torch._weight_int4pack_mm_for_cpu(short, w, GROUP, pairs),  # pyright: ignore
        ),
        "native fp32": ours("fp32"),
        "native bf16": ours("bf16"),
        "native int8": ours("int8"),
        "native int4": ours("int4"),
    }


def best(work: Callable[[], object], now: Callable[[], float]) -> float:
    """Seconds of the fastest pass."""
    work(), work()
    times = []
    for _ in range(PASSES):
        started = now()
        work()
        times.append(now() - started)
    return min(times)


def main() -> None:
    """Print a row for each kind and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    now = time.perf_counter if asked.clock == "wall" else time.process_time
    block = torch.zeros(2**26)
    print(
        f"read {4 * block.numel() / best(block.sum, now) / 1e9:.1f} GB/s, {asked.threads} thread(s), {asked.clock}", flush=True
    )
    with torch.inference_mode():
        for rows in asked.rows:
            for name, (make, product) in kinds(torch.randn(rows, INPUTS)).items():
                matrices = [make() for _ in range(MATRICES)]
                took = best(lambda: [product(matrix) for matrix in matrices], now)  # noqa: B023
                print(f"{rows} rows   {name:<12} {OUTPUTS * INPUTS * MATRICES / took / 1e9:5.1f}", flush=True)


if __name__ == "__main__":
    main()
