"""Is the corpus dull?  How much its scores say again, by style, from its annotations alone: nothing is heard.

    python benchmarks/composition.py runs/corpus --clips 2700

`tune a second` notes; `range` semitones; `same rhythm`, `same shape`, `same bar`: the share of a clip's bars of the tune whose
onsets (in sixteenths of a bar), onsets and directions from note to note, or onsets and pitches were there before in the clip;
`comp`, `bass` and `drums` the share of bars that are played exactly again.  `progressions`: how many different ones, in a
hundred clips of the style.  Means over clips.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from itertools import islice, pairwise
from pathlib import Path

from counterpoint.annotation import from_dict
from counterpoint.music import Note, Score
from intervals import summarise, table


def figures(score: Score) -> dict[str, float]:
    """What one score says again; NaN for what it has not."""
    tune = score.track("melody")
    notes = tune.notes if tune else ()
    bars = _bars(notes, score)
    rhythms = [tuple(place for place, _ in bar) for bar in bars]
    shapes = [(tuple(place for place, _ in bar), _directions([pitch for _, pitch in bar])) for bar in bars]
    pitches = [note.pitch for note in notes]
    found = {
        "tune a second": len(notes) / score.seconds if notes else float("nan"),
        "range": float(max(pitches) - min(pitches)) if pitches else float("nan"),
        "same rhythm": again(rhythms),
        "same shape": again(shapes),
        "same bar": again(bars),
    }
    for role in ("comp", "bass", "drums"):
        track = score.track(role)
        found[role] = again(_bars(track.notes, score)) if track else float("nan")
    return found


def _directions(pitches: Sequence[int]) -> tuple[int, ...]:
    """Up, down or neither, note by note: a motif keeps them when it moves within its key."""
    return tuple((after > before) - (after < before) for before, after in pairwise(pitches))


def again(bars: Sequence[Hashable]) -> float:
    """The share of bars that were there before; NaN for fewer than three bars."""
    return 1 - len(set(bars)) / len(bars) if len(bars) >= 3 else float("nan")


def _bars(notes: Sequence[Note], score: Score) -> list[tuple[tuple[int, int], ...]]:
    """The notes of each whole bar as sixteenths of it and pitches; a little early is in the next bar."""
    return [
        tuple(
            sorted(
                (round((note.start - start) / (end - start) * 16), note.pitch)
                for note in notes
                if start - 0.02 <= note.start < end - 0.02
            )
        )
        for start, end in pairwise(score.downbeats)
    ]


def _progression(score: Score) -> tuple[Hashable, ...]:
    """Its chords as steps from the tonic and qualities, whatever the tempo."""
    chords = [span.chord for span in score.chords]
    return tuple(None if chord is None else ((chord.root - score.key.tonic) % 12, chord.quality) for chord in chords)


def main() -> None:
    """Print a row a style."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clips", type=int, default=2700)
    args = parser.parse_args()
    rows, chords = defaultdict(list), defaultdict(list)
    for file in islice(sorted(args.corpus.glob("clips/*/*.json")), args.clips):
        score = from_dict(json.loads(file.read_text(encoding="utf-8")))
        for name in ("all", score.style):
            rows[name].append(figures(score))
        chords[score.style].append(_progression(score))
    told = {name: summarise(found) for name, found in sorted(rows.items())}
    for name, progressions in chords.items():
        share = 100 * len(set(progressions)) / len(progressions)
        told[name]["progressions"] = {"mean": share, "low": share, "high": share, "n": len(progressions)}
    print(table(told, f"{args.clips} clips", bounds=False))


if __name__ == "__main__":
    main()
