"""Do the seam figures hear a bad seam, and leave music alone?  Untouched clips, hard cuts and wrong songs.

    python benchmarks/seams.py --corpus runs/corpus --clips 70

Of each clip of 10 s, 4 s to 6 s are replaced, hard: by themselves, by themselves 6 dB louder, by another clip's.  It is told
how often each figure is audible, with the untouched clip as reference, and with `--alone` without it too.  The limits were
chosen on the valid splits of a corpus of either renderer.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.analysis.chroma import chroma
from counterpoint.data.row import split_of
from counterpoint.metrics.seam import ONE, Seam, audible, seams

FILLED = (4.0, 6.0)


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=70)
    parser.add_argument("--split", default="test")
    parser.add_argument("--alone", action="store_true", help="also without the untouched clip")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips, rate = read(options.corpus, options.split, options.clips)
    print(f"{len(clips)} clips; share in which a figure is audible, and the median and 95th percentile of its worse seam.\n")
    print(f"| fill | reference | any | {' | '.join(ONE)} |")
    print(f"|---|---|---|{'---|' * len(ONE)}")
    for name, change in CHANGES.items():
        for known in (True, False) if options.alone else (True,):
            heard = []
            for i, clip in enumerate(clips):
                made = change(clip, clips[i - 1], rate)
                heard.append(seams(made, rate, FILLED, chroma, clip if known else None, seed=i))
            print(f"| {name} | {'the clip untouched' if known else 'none'} | {' | '.join(cells(heard))} |", flush=True)


def cells(heard: list[list[Seam]]) -> list[str]:
    """How often anything is audible, and each figure; and percentiles of its worse seam."""
    found = [audible(clip) for clip in heard]
    words = [f"{np.mean([bool(names) for names in found]):.2f}"]
    for name in ONE:
        worst = np.array([max(vars(seam)[name] for seam in clip) for clip in heard])
        shares = " ".join(f"{value:.1f}" for value in np.nanpercentile(worst, (50, 95)))
        words.append(f"{np.mean([name in names for names in found]):.2f} ({shares})")
    return words


def filled(clip: Tensor, fill: Tensor, rate: int) -> Tensor:
    """The clip with its middle from another sound, cut in hard."""
    first, last = (round(at * rate) for at in FILLED)
    return torch.cat([clip[:, :first], fill[:, first:last], clip[:, last:]], dim=1)


CHANGES: Mapping[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "itself": lambda clip, _other, rate: filled(clip, clip, rate),
    "itself, 6 dB louder": lambda clip, _other, rate: filled(clip, 2 * clip, rate),
    "another song": filled,
}


def read(corpus: Path, split: str, count: int) -> tuple[list[Tensor], int]:
    """The first clips of a split, and their rate."""
    lines = [json.loads(line) for line in (corpus / "metadata.jsonl").read_text().splitlines()]
    chosen = [line for line in lines if split_of(line["id"]) == split][:count]
    clips = [sound.read(corpus / line["file_name"]) for line in chosen]
    return [audio for audio, _ in clips], clips[0][1]


if __name__ == "__main__":
    main()
