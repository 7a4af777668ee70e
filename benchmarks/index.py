"""How fast are files found and opened, before anything is encoded?

    python benchmarks/index.py [--files 100000]

Makes as many wavs of a second at 8 kHz (small, so that what is measured is the work per file, not the disk), a caption beside
each, in folders of a thousand; indexes them anew, and again from the notes of the first time; and removes them.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from counterpoint.data.index import index


def make(folder: Path, files: int) -> None:
    """The files, all of one sound: indexing opens them, and does not listen."""
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    first = folder / "first.wav"
    soundfile.write(first, sound, 8000)
    data = first.read_bytes()
    first.unlink()
    for number in range(files):
        inner = folder / f"{number // 1000:03d}"
        inner.mkdir(exist_ok=True)
        (inner / f"{number:06d}.wav").write_bytes(data)
        (inner / f"{number:06d}.txt").write_text(f"tune number {number}\n")


def main() -> None:
    """Make, measure, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as place:
        folder, notes = Path(place, "songs"), Path(place, "notes.jsonl")
        folder.mkdir()
        make(folder, asked.files)
        for title in ("anew", "from the notes"):
            start, cpu = time.perf_counter(), time.process_time()
            found = index(folder, 10.0, notes)
            seconds, busy = time.perf_counter() - start, time.process_time() - cpu
            assert len(found.rows) == asked.files and not found.skipped
            rate = f"{asked.files / seconds:.0f} files/s"
            print(f"{title:<15} {asked.files} files in {seconds:.1f} s ({busy:.1f} s of one core): {rate}")


if __name__ == "__main__":
    main()
