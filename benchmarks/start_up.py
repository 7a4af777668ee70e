"""How long a newcomer waits: for --help, for a plan, and for 10 s of music, each in a process of its own.

    python benchmarks/start_up.py [--model NAME|FOLDER] [--runs 5]

Prints the median and the slowest of the runs in wall-clock seconds.  The promises: help under 0.3 s, music under 10 s on two
cores, start-up included.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

PROMPT = "a bossa nova with flute and nylon guitar, 120 bpm"


def measure(arguments: list[str], runs: int, folder: str) -> list[float]:
    """Seconds of each run of `counterpoint ARGUMENTS`, after one to warm the disk cache."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "counterpoint", *arguments], check=True, capture_output=True, cwd=folder)
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="jasco-tiny")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    model = os.path.abspath(asked.model) if os.path.isdir(asked.model) else asked.model
    commands = {
        "--help": ["--help"],
        "plan, 10 s": ["plan", PROMPT, "-o", "plan.mid"],
        "generate, 10 s": ["generate", PROMPT, "--model", model, "-o", "music.wav"],
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in commands.items():
            seconds = measure(arguments, asked.runs, folder)
            print(f"{name:<16} median {statistics.median(seconds):6.2f} s   slowest {max(seconds):6.2f} s")


if __name__ == "__main__":
    main()
