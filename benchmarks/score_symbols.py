"""What do symbols lose of a score, and how many are there?  Composed scores written and read again.

    python benchmarks/score_symbols.py --scores 216 -o benchmarks/results/score-symbols.md

A note is found again where the score that was read has one of its role and pitch within 30 ms; each is found once.
"""

import argparse
import datetime
from pathlib import Path

import numpy as np

from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.events import line
from counterpoint.data.events.reading import read
from counterpoint.data.events.script import Script, write
from counterpoint.files import write_text
from counterpoint.music import Brief, Note, Score
from counterpoint.rng import mix

SECONDS, SEED = 10.0, 600600


def found_again(track: tuple[Note, ...], other: list[Note]) -> list[tuple[Note, Note]]:
    """The notes of a track, each with the one that it came back as."""
    pairs: list[tuple[Note, Note]] = []
    for note in track:
        near = [o for o in other if o.pitch == note.pitch and abs(o.start - note.start) < 0.03]
        if near:
            best = min(near, key=lambda o: abs(o.start - note.start))
            other.remove(best)
            pairs.append((note, best))
    return pairs


def spelled_out(script: Script) -> int:
    """Symbols of a script if nothing that recurs were told as such."""
    parts = sum(1 + len(part) for bar in script.bars for part in bar.parts.values())
    return len(script.head) + sum(1 + len(bar.front) for bar in script.bars) + parts + 1


def same_chords(one: Score, other: Score) -> bool:
    """Whether the chords are the same at the same times, to a tenth of a millisecond."""
    spans = [[(round(s.start, 4), round(s.end, 4), s.chord) for s in score.chords] for score in (one, other)]
    return spans[0] == spans[1]


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=int, default=216)
    parser.add_argument("-o", "--out", type=Path, help="the table as markdown")
    args = parser.parse_args()

    lengths, full, chords, pairs, notes, made = [], [], [], [], 0, 0
    for number in range(args.scores):
        score = compose(Brief(style=list(STYLES)[number % len(STYLES)]), SECONDS, mix(SEED, 9, number))
        script = write(score)
        back = read(script, SECONDS, score.bpm)
        lengths.append(len(line.whole(script)))
        full.append(spelled_out(script))
        chords.append(same_chords(score, back))
        made += sum(len(track.notes) for track in back.tracks)
        for track in score.tracks:
            other = back.track(track.role)
            notes += len(track.notes)
            pairs += found_again(track.notes, [] if other is None else list(other.notes))
    late = 1000 * np.abs([b.start - a.start for a, b in pairs])
    loud = np.abs([b.velocity - a.velocity for a, b in pairs])
    rows = {
        "notes": f"{notes}",
        "lost / invented": f"{notes - len(pairs)} / {made - len(pairs)}",
        "onset error, ms: mean, 95 %, largest": f"{late.mean():.1f}, {np.percentile(late, 95):.1f}, {late.max():.1f}",
        "velocity error: mean, 95 %": f"{loud.mean():.1f}, {np.percentile(loud, 95):.0f}",
        "scores whose chords are exact": f"{sum(chords)} of {args.scores}",
        "symbols: 5, 50, 95 %, most": ", ".join(f"{n:.0f}" for n in np.percentile(lengths, (5, 50, 95, 100))),
        "symbols with nothing repeated: 5, 50, 95 %, most": ", ".join(
            f"{n:.0f}" for n in np.percentile(full, (5, 50, 95, 100))
        ),
    }
    text = "\n".join(
        [f"| {args.scores} scores of {SECONDS:g} s | |", "|---|---|", *(f"| {k} | {w} |" for k, w in rows.items())]
    )
    print(text)
    if args.out:
        command = (
            f"`python benchmarks/score_symbols.py --scores {args.scores}`, {datetime.date.today()}; definitions in the script."
        )
        write_text(args.out, f"# Scores as symbols\n\n{command}\n\n{text}\n")


if __name__ == "__main__":
    main()
