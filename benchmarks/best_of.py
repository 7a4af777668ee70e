"""How much better does the best of four takes follow a prompt than the first?  Ranks by counterpoint's own analyser.

    python benchmarks/best_of.py jasco-tiny musicgen-tiny --plan none auto --prompts 24 --markdown benchmarks/results/best-of.md

Every prompt asks for a tempo and a key (those of held_out.py).  Candidates are those of `adherence.best_of`: seeds that follow
each other, all of the plan of the first.  They are made side by side, which gives the music of `Model.generate` (an
item alone equals it in a batch), but neither mastered nor faded.

`rank` is `TakeReport.rank`: with a plan of all that the score asks for, without one of tempo and key alone, so the two do not
compare.  The choice and its judgement are by one analyser, which is wrong at times: the gain holds what it is fooled by.  So
`other ear` judges tempo and key of the first and the best by librosa (analysers.py; 0 to 1, their mean), which has not chosen.
Intervals are 95 %, over prompts; differences are paired.
"""

import argparse
import datetime
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import counterpoint
from analysers import key, key_score, listen, tempo, tempo_matches
from counterpoint import adherence, planning
from counterpoint.analysis import hearing
from counterpoint.files import write_text
from counterpoint.generation import Model
from counterpoint.metrics.take import best, take_report
from counterpoint.music import Score
from counterpoint.types import Canvas
from held_out import Asked, prompts
from intervals import summarise, table


@dataclass(frozen=True)
class Chosen:
    """What became of one prompt: the rank of each candidate, and the first and the best to another ear."""

    ranks: tuple[float, ...]
    best: int
    first_other: float
    best_other: float

    def figures(self) -> dict[str, float]:
        """By the names of the table's columns."""
        return {
            "first": self.ranks[0],
            "any": float(np.mean(self.ranks)),
            "best": self.ranks[self.best],
            "best - first": self.ranks[self.best] - self.ranks[0],
            "other ear: first": self.first_other,
            "other ear: best": self.best_other,
            "other ear: best - first": self.best_other - self.first_other,
        }


def main() -> None:
    """Read the command line, make and judge all cells, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--plan", nargs="+", choices=("none", "auto"), default=["none", "auto"])
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    asked = prompts(args.prompts, args.seed + 70_000)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for name in args.models:
        model = counterpoint.load(name)
        for plan in args.plan:
            started = time.process_time()
            chosen = cell(model, asked, plan, args)
            row = f"{model.checkpoint.name}, plan {plan}"
            rows[row] = summarise([one.figures() for one in chosen])
            print(f"{row}: {time.process_time() - started:.0f} s of processor time", flush=True)
            print(table(rows, "rank"), flush=True)
            if args.markdown is not None:
                write_text(args.markdown, page(rows, args))


def cell(model: Model, asked: Sequence[Asked], plan: str, args: argparse.Namespace) -> list[Chosen]:
    """What became of every prompt: prompt i has the seeds from `seed + i * candidates` on, and one plan."""
    chosen = []
    for i, one in enumerate(asked):
        first = args.seed + i * args.candidates
        score = planning.make(one.text, args.seconds, first).score if plan == "auto" else None
        sounds = play(model, one.text, score, list(range(first, first + args.candidates)), args.seconds)
        rate, wanted = model.codec.sample_rate, adherence.asked_of(one.text, score)
        reports = [take_report(wanted, hearing.hear(sound, rate)) for sound in sounds]
        at = best(reports)
        others = [other_ear(sounds[j], rate, one) for j in dict.fromkeys((0, at))]
        chosen.append(Chosen(tuple(report.rank for report in reports), at, others[0], others[-1]))
        print(f"{i + 1} of {len(asked)}: {one.text}: {[round(report.rank, 2) for report in reports]}", flush=True)
    return chosen


@torch.inference_mode()
def play(model: Model, text: str, score: Score | None, seeds: list[int], seconds: float) -> list[torch.Tensor]:
    """The audio "c n" of takes side by side, by the model's own sampling."""
    system, codec = model.system, model.codec
    samples = round(seconds * codec.sample_rate)
    canvas = Canvas.blank(len(seeds), codec.num_frames(samples), system.spec, system.view)
    values: dict = {"text": [text] * len(seeds)} | ({} if score is None else {"score": [score] * len(seeds)})
    frames = codec.as_frames(system.generate(canvas, values, seeds), system.view)
    return list(codec.decode(frames, samples))


def other_ear(sound: torch.Tensor, rate: int, asked: Asked) -> float:
    """Whether tempo and key are right to librosa: their mean, from 0 to 1."""
    heard = listen(sound.mean(0).numpy(), rate)
    right = float(tempo_matches(tempo(heard)[0], asked.bpm, octave=False)), key_score(key(heard), asked.key)
    return float(np.mean(right))


def page(rows: Mapping[str, Mapping[str, dict[str, float]]], args: argparse.Namespace) -> str:
    """The results file."""
    command = f"python benchmarks/best_of.py {' '.join(args.models)} --plan {' '.join(args.plan)} --prompts {args.prompts}"
    how = (
        f"{args.prompts} prompts that ask for a tempo and a key, takes of {args.seconds:g} s, {args.candidates} candidates each"
    )
    return f"""# The best of {args.candidates} takes against the first

`{command} --seconds {args.seconds:g}`, {datetime.date.today()}, {platform.machine()}, one thread.

{how}.
Means and 95 % bootstrap intervals over the prompts; differences are paired. `any` is the mean of all candidates.
`rank` (0 to 1): with a plan, of all that the score asks for (tempo, key, chords, down-beats, tune, drums); without one, of
tempo and key alone: rows with and without a plan do not compare. The best is chosen and judged by the same analyser, so
`best - first` is what `--best-of` promises by its own measure and cannot be negative. `other ear` is librosa's view of tempo
and key, which has not chosen.

{table(rows, "rank")}
"""


if __name__ == "__main__":
    main()
