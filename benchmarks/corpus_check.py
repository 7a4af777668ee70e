"""Does the corpus sound like what its scores say?  Asked of librosa and mir_eval, per style.

    python benchmarks/corpus_check.py --clips 500 --seed 1 [--renderer soundfont|builtin] [--style funk]
    python benchmarks/corpus_check.py --corpus FOLDER [--split test]

Wanted on 500 clips: tempo (octave allowed) >= 95 %, weighted key score >= .85, chord roots >= .75.
Columns: `tempo` within 5 %; `octave` also half or double; `accuracy2` also a third or threefold in 3/4 and 6/8; `key` by
mir_eval's weighted score; `root` and `majmin` share of the time on which the chord is right; `onsets`, `drums` F1 within
50 ms; `melody` share of notes whose pitch is the strongest within six semitones; `chroma` cosine with the planned chords.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from analysers import judge, listen
from counterpoint import audio
from counterpoint.annotation import from_dict
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.soundfont import SoundfontRenderer
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.folder import Row, read_folder
from counterpoint.files import write_text
from counterpoint.music import Brief, Score
from counterpoint.rng import mix
from intervals import summarise, table, write_json

RATE = 32000


@dataclass(frozen=True)
class Checked:
    """One clip and what was heard in it."""

    name: str
    style: str
    metre: str
    truth: str
    figures: dict[str, float]


def check_seed(seed: int, style: str | None, seconds: float, renderer: str) -> Checked:
    """Compose, render and judge one clip."""
    style = style or list(STYLES)[seed % len(STYLES)]
    score = compose(Brief(style=style), seconds, mix(seed, 0))
    return _check(f"seed {seed}", score, render(score, renderer), RATE)


def render(score: Score, renderer: str) -> np.ndarray:
    """The score as audio `c n` at 32 kHz."""
    if renderer == "soundfont":
        return SoundfontRenderer().render(score, RATE)
    return synth.render(score, RATE)


def check_row(row: Row) -> Checked:
    """Judge one clip of a corpus folder by its annotation."""
    samples, rate = audio.read(row.path)
    score = from_dict(json.loads(Path(row.values["annotation"]).read_text(encoding="utf-8")))
    return _check(row.id, score, samples.numpy(), rate)


def _check(name: str, score: Score, samples: np.ndarray, rate: int) -> Checked:
    truth = f"{score.bpm:.1f} bpm {score.key.name}"
    return Checked(name, score.style, score.metre.name, truth, judge(score, listen(samples, rate)))


def checked(args: argparse.Namespace) -> Iterator[Checked]:
    """All clips, by two processes."""
    with ProcessPoolExecutor(args.workers) as pool:
        if args.corpus:
            rows = [row for row in read_folder(args.corpus) if args.split in (None, row.split)]
            yield from pool.map(check_row, rows[: args.clips])
        else:
            work = partial(check_seed, style=args.style, seconds=args.seconds, renderer=args.renderer)
            yield from pool.map(work, range(args.seed * 1_000_000, args.seed * 1_000_000 + args.clips))


def main() -> None:
    """Print the tables; write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="a corpus folder, instead of composing")
    parser.add_argument("--split")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--style")
    parser.add_argument("--renderer", choices=("soundfont", "builtin"), default="soundfont")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()

    clips = list(checked(args))
    styles = sorted({clip.style for clip in clips})
    total = {f"all ({len(clips)})": summarise([clip.figures for clip in clips])}
    parts = {}
    for style in styles:
        own = [clip.figures for clip in clips if clip.style == style]
        parts[f"{style} ({len(own)})"] = summarise(own)
    text = table(total, "clips") + "\n\n" + table(parts, "style", bounds=False)
    print(text)
    if args.markdown:
        write_text(args.markdown, text + "\n")
    if args.json:
        write_json(args.json, {"all": total, "styles": parts, "clips": [vars(clip) for clip in clips]})


if __name__ == "__main__":
    main()
