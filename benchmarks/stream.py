"""How soon a stream is heard: time to first audio, and speed, streamed and whole.

    python benchmarks/stream.py [--models jasco-tiny runs/musicgen-tiny] [--seconds 10] [--runs 3] [--threads 1]

For each model the medians of the runs, each with a seed of its own, after one to warm up: seconds until the first chunk of
`Model.stream` (from the request, with the plan; the model is loaded) and how long that chunk is; seconds of music per second
of work, streamed and by `Model.generate`; and the least music that was ahead of a listener who started with the first chunk
(below 0: there were gaps).  `whole` is `Model.generate`: plan, frames, decoding and mastering, in seconds.
"""

import argparse
import os
import platform
import statistics
import time

import torch

import counterpoint
from counterpoint.generation import Model

PROMPT = "a bossa nova with flute and nylon guitar, 120 bpm"


def stream(model: Model, seconds: float, seed: int) -> tuple[float, float, float, float]:
    """Seconds to the first chunk, the chunk's length, seconds in all, and the least that was ahead of the listener."""
    made, first, ahead = 0.0, 0.0, []
    music = model.stream(PROMPT, seconds=seconds, seed=seed)
    for chunk in music:
        made += chunk.shape[-1] / music.sample_rate
        if not ahead:
            first = made
        timings = music.record["timings"]
        ahead.append(made - chunk.shape[-1] / music.sample_rate - (timings["total"] - timings["first"]))
    timings = music.record["timings"]
    return timings["first"], first, timings["total"], min(ahead)


def whole(model: Model, seconds: float, seed: int) -> float:
    """Seconds of `generate`."""
    start = time.perf_counter()
    model.generate(PROMPT, seconds=seconds, seed=seed)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["jasco-tiny"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {asked.threads} thread(s), torch {torch.__version__}, load {load:.1f}"
    )
    for name in asked.models:
        model = counterpoint.load(name)
        whole(model, 2.0, 0)
        streams = [stream(model, asked.seconds, seed) for seed in range(asked.runs)]
        first, chunk, total, ahead = (statistics.median(column) for column in zip(*streams, strict=True))
        once = statistics.median(whole(model, asked.seconds, seed) for seed in range(asked.runs))
        print(
            f"{os.path.basename(name):<16} first audio {first:6.2f} s ({chunk:.2f} s long)   "
            f"stream {asked.seconds / total:5.2f} x real time, least ahead {ahead:+.2f} s   "
            f"whole {once:5.2f} s ({asked.seconds / once:.2f} x)"
        )


if __name__ == "__main__":
    main()
