"""How long a newcomer waits: for --help, a plan and 10 s of music, in a process each; and a program that stays, by each model.

    python benchmarks/start_up.py [--models NAME|FOLDER ...] [--runs 5]

Prints the median and the slowest of the runs in wall-clock seconds; commands are those of the first model.  The promises, on
two cores: help under 0.3 s, a first piece under 10 s with start-up; a model loads in under 1 s, and then makes 10 s of music in
under 6 s by autoregression, under 2 s by the fast flow.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import counterpoint

PROMPT = "a bossa nova with flute and nylon guitar, 120 bpm"


def measure(arguments: list[str], runs: int, folder: str) -> list[float]:
    """Seconds of each run of `counterpoint ARGUMENTS`, after one to warm the disk cache."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "counterpoint", *arguments], check=True, capture_output=True, cwd=folder)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def stay(model: str, runs: int) -> dict[str, list[float]]:
    """Seconds to load a model where the package is imported, and to make 10 s of music with it, after one to warm up."""
    loads, pieces = [], []
    for _ in range(runs + 1):
        start = time.perf_counter()
        loaded = counterpoint.load(model)
        loads.append(time.perf_counter() - start)
    for seed in range(runs + 1):
        start = time.perf_counter()
        loaded.generate(PROMPT, seconds=10, seed=seed)
        pieces.append(time.perf_counter() - start)
    return {f"{model}: load": loads[1:], f"{model}: 10 s": pieces[1:]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["jasco-tiny", "jasco-tiny-fast", "musicgen-tiny"])
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    models = [os.path.abspath(model) if os.path.isdir(model) else model for model in asked.models]
    commands = {
        "--help": ["--help"],
        "plan, 10 s": ["plan", PROMPT, "-o", "plan.mid"],
        "generate, 10 s": ["generate", PROMPT, "--model", models[0], "-o", "music.wav"],
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in commands.items():
            tell(name, measure(arguments, asked.runs, folder))
    for model in models:
        for name, seconds in stay(model, asked.runs).items():
            tell(name, seconds)


def tell(name: str, seconds: list[float]) -> None:
    """A line."""
    print(f"{name:<24} median {statistics.median(seconds):6.2f} s   slowest {max(seconds):6.2f} s", flush=True)


if __name__ == "__main__":
    main()
