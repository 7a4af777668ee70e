"""How long does an evaluation take?  Ten-second clips with log-mel embeddings, chroma, beats and all else that is heard.

    counterpoint compose runs/ear-corpus --hours 10 --seed 9001 --workers 2
    python benchmarks/evaluation_speed.py --corpus runs/ear-corpus --clips 1000 --workers 2

Features are taken anew (the cache is a temporary folder), then every figure is computed against as many other clips, whose
features are taken before the clock starts.
"""

import argparse
import os
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from counterpoint.evaluation import evaluation
from counterpoint.evaluation.extraction import Work, extract
from counterpoint.evaluation.features import Conditions
from counterpoint.evaluation.sets import ClipSet, gather
from counterpoint.files import write_text

METRICS = ("frechet", "frechet-inf", "kad", "chords", "key", "tempo", "beats", "drums", "melody")


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    found = gather(asked.corpus, most=2 * asked.clips)
    made = ClipSet(found.source, found.members[: asked.clips])
    others = found.members[asked.clips :]  # under the names of the first: what is compared does not matter here
    real = ClipSet(found.source, tuple(replace(theirs, id=ours.id) for ours, theirs in zip(made.members, others, strict=True)))
    with tempfile.TemporaryDirectory() as cache:
        settings = evaluation.Settings(METRICS, ("logmel",), workers=asked.workers, cache=Path(cache))
        work = Work(("logmel", "heard", "chroma"), Conditions(), Path(cache))
        extract(real.members, work, asked.workers)
        started = time.perf_counter()
        extract(made.members, work, asked.workers)
        heard = time.perf_counter()
        report = evaluation.evaluate(made, real, settings)
        ended = time.perf_counter()
    seconds = sum(member.seconds for member in made.members)
    lines = [
        "# Evaluating clips: how long it takes",
        "",
        f"`python benchmarks/evaluation_speed.py --corpus {asked.corpus} --clips {asked.clips} --workers {asked.workers}`, "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| | |",
        "|---|---|",
        f"| clips | {len(made)} of {seconds / len(made):.1f} s |",
        f"| features (logmel, chroma, beats and all else that is heard) | {heard - started:.0f} s, "
        f"{(heard - started) / len(made) * 1000:.0f} ms a clip |",
        f"| {len(report.scores)} figures with intervals and floors | {ended - heard:.0f} s |",
        f"| together | {(ended - started) / 60:.1f} minutes |",
    ]
    print("\n".join(lines))
    if asked.markdown:
        write_text(asked.markdown, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
