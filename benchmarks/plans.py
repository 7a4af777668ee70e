"""Plan, then play: words alone, plans by rule, learnt plans, whole or coarse, played by autoregression and by flow.

    python benchmarks/plans.py make jasco-tiny --corpus runs/corpus --clips 48
    python benchmarks/plans.py make musicgen-tiny --corpus runs/corpus --clips 48
    python benchmarks/plans.py report --corpus runs/corpus --markdown benchmarks/results/plans.md

The prompts are captions of held-out clips.  A *coarse* plan keeps the grid, the chords, the tune and the drums, and leaves bass
and accompaniment to the model.  Heard by the analysers, means and 95 % bootstrap intervals over clips: whether the tempo (half
or double allowed) and the key that the words say come out; how far the chords, tune, drums and down-beats of the plan do (the
whole plan, coarse or not); how alike bars are (the cosine of each bar's chroma with the most similar earlier bar); and the
Frechet distance of log-mel features to the recordings that the captions describe.  `make` goes on where it was stopped.
"""

import argparse
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from counterpoint import audio as sound
from counterpoint import planning, runtime
from counterpoint.analysis.chroma import chroma
from counterpoint.analysis.hearing import hear
from counterpoint.conditioners.score import paint
from counterpoint.data.corpus.reading import read
from counterpoint.data.index import index
from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.sets import ClipSet, gather
from counterpoint.files import write_text
from counterpoint.hub import checkpoint
from counterpoint.metrics.base import Score as Figure
from counterpoint.metrics.take import asked_of_brief, asked_of_score, take_report
from counterpoint.music import Score
from counterpoint.systems.musicgen import Musicgen
from counterpoint.types import Canvas
from intervals import interval, table, write_json

CELLS = {
    "words": ("none", False),
    "rules": ("rules", False),
    "rules, coarse": ("rules", True),
    "score-tiny": ("score-tiny", False),
    "score-tiny, coarse": ("score-tiny", True),
}
"""Who plans, and whether bass and accompaniment are left out."""
SECONDS, PART = 10.0, 6
PLANNED = {"chords": "chords", "tune": "tune", "drums": "drums", "down-beats": "down-beats"}


def prompts(corpus: Path, clips: int) -> list[tuple[str, str]]:
    """Ids and first captions of held-out clips, those of test first."""
    rows = index(corpus).rows
    held = [row for split in ("test", "valid") for row in rows if row.split == split]
    return [(row.id, row.captions[0]) for row in held[:clips]]


def planned(text: str, seed: int, planner: str) -> Score | None:
    """The whole plan of a prompt."""
    return None if planner == "none" else planning.make(text, SECONDS, seed, planner=planner).score


def coarse(score: Score) -> Score:
    """The plan without bass and accompaniment."""
    return replace(score, tracks=tuple(track for track in score.tracks if track.role in ("melody", "drums")))


def make(arguments: argparse.Namespace) -> None:
    """Clips, and what is heard of each."""
    loaded = checkpoint.load(arguments.model)
    system, codec = loaded.system.eval(), loaded.codec
    runtime.quicken(system, "fp32", torch.device("cpu"), compiled=isinstance(system, Musicgen))
    asked = prompts(arguments.corpus, arguments.clips)
    frames = system.spec.frames(SECONDS)
    for cell, (planner, sparse) in CELLS.items():
        folder = arguments.out / Path(arguments.model).name / cell.replace(", ", "-")
        for first in range(0, len(asked), PART):
            part = asked[first : first + PART]
            if all((folder / f"{name}.json").is_file() for name, _ in part):
                continue
            plans = [planned(text, first + i, planner) for i, (_, text) in enumerate(part)]
            told = [
                None if plan is None else paint(coarse(plan) if sparse else plan, system.spec.rate, frames) for plan in plans
            ]
            values = {"text": [text for _, text in part]} | ({} if planner == "none" else {"score": told})
            seeds = list(range(first, first + len(part)))
            with torch.inference_mode():
                filled = system.generate(Canvas.blank(len(part), frames, system.spec, system.view), values, seeds)
                made = codec.decode(codec.as_frames(filled, system.view), round(SECONDS * codec.sample_rate))
            for (name, text), plan, audio in zip(part, plans, made, strict=True):
                folder.mkdir(parents=True, exist_ok=True)
                whole = sound.master(audio, codec.sample_rate)
                sound.write(folder / f"{name}.flac", whole, codec.sample_rate)
                write_json(folder / f"{name}.json", figures(text, plan, whole, codec.sample_rate))
        print(folder, flush=True)


def figures(text: str, plan: Score | None, audio: torch.Tensor, rate: int) -> dict[str, float]:
    """What is heard of one clip; what was not asked is left out."""
    heard = hear(audio, rate)
    said = {f"{a.name} as said": a.score for a in take_report(asked_of_brief(read(text).brief), heard).aspects}
    if "tempo as said" in said:  # 1 where exact, 0.5 an octave off: both are right here
        said["tempo as said"] = float(said["tempo as said"] >= 0.5)
    if plan is not None:
        aspects = {aspect.name: aspect.score for aspect in take_report(asked_of_score(plan), heard).aspects}
        said |= {shown: aspects[name] for name, shown in PLANNED.items() if name in aspects}
    bars = plan.downbeats if plan is not None else heard.downbeats
    return said | {"bars alike": alike(chroma(audio.mean(0, keepdim=True), rate).numpy(), bars)}


def alike(pitches: np.ndarray, bars: tuple[float, ...]) -> float:
    """The mean over bars of the cosine with the most similar earlier bar; NaN for fewer than two bars."""
    edges = [round(time / SECONDS * pitches.shape[1]) for time in (*bars, SECONDS)]
    means = [pitches[:, a:b].mean(1) for a, b in pairwise(edges) if b - a > 2]
    units = [mean / max(1e-9, float(np.linalg.norm(mean))) for mean in means]
    return float(np.mean([max(float(unit @ other) for other in units[:i]) for i, unit in enumerate(units) if i] or [np.nan]))


def frechet(folder: Path, corpus: Path) -> Figure:
    """The distance of log-mel features of the clips in a folder to the held-out recordings of the same names."""
    made, splits = gather(folder), [gather(corpus, split) for split in ("test", "valid")]
    names = {member.path.stem for member in made.members}
    partners = tuple(member for clips in splits for member in clips.members if member.id in names)
    return evaluate(made, ClipSet(corpus, partners), Settings(metrics=("frechet",), ears=("logmel",))).scores[0]


def report(arguments: argparse.Namespace) -> None:
    """One table a model."""
    text = ""
    for model in sorted(folder for folder in arguments.out.iterdir() if folder.is_dir()):
        rows = {}
        for cell in CELLS:
            folder = model / cell.replace(", ", "-")
            clips = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
            names = list(dict.fromkeys(name for clip in clips for name in clip))
            rows[cell] = {name: interval([clip.get(name, float("nan")) for clip in clips]) for name in names}
            far = frechet(folder, arguments.corpus)
            rows[cell]["Frechet, log-mel"] = {"mean": far.value, "low": far.low, "high": far.high, "n": far.n}
        text += f"## {model.name}\n\nn = {len(clips)} clips.\n\n{table(rows, 'plan')}\n\n"
    print(text)
    if arguments.markdown:
        head = (__doc__ or "").split("\n\n")
        write_text(
            arguments.markdown,
            f"# Plan, then play\n\n{head[0]}\n\n{head[2].strip()}\n\nCommands: `benchmarks/plans.py`.\n\n{text}",
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=Path("runs/plans"))
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("model")
    making.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    making.add_argument("--clips", type=int, default=48)
    making.set_defaults(run=make)
    telling = commands.add_parser("report")
    telling.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    telling.add_argument("--markdown", type=Path)
    telling.set_defaults(run=report)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
