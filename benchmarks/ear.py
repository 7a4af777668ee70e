"""Can the ear that ships judge?  Held-out clips of both renderers, and music that the shipped generators made of captions.

python benchmarks/ear.py --corpora runs/ear-corpus runs/ear-soundfont --made runs/ear-made -o benchmarks/results/ear-tiny.md

Every figure is over test clips (the seeds 9001 and 9002, which no generator is trained on), with the 95 % bootstrap interval
over clips and, beside it, what chance scores: the same figure against another clip's caption or tags.
"""

import argparse
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint import audio as sound
from counterpoint import generation
from counterpoint.data.folder import read_folder
from counterpoint.data.row import Row
from counterpoint.data.tagged import tags
from counterpoint.evaluation.ear import EarEmbedder, EarTagger
from counterpoint.files import write_text
from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.systems.ear import tempo_class

GENERATORS = ("jasco-tiny", "musicgen-tiny")
FULL = 2
"""Which of a corpus clip's captions says most in one sentence: style, mood, key, tempo, instruments."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ears:
    """The ear as what places sounds and as what names each tag."""

    place: EarEmbedder
    style: EarTagger
    key: EarTagger
    tempo: EarTagger

    @staticmethod
    def load(source: str) -> "Ears":
        return Ears(EarEmbedder(source), *(EarTagger(source, tag) for tag in ("style", "key", "tempo")))


@dataclass(frozen=True)
class Clip:
    """What is true of a sound, and what the ear said of it: its vector, the likeliest of each tag, chances of instruments."""

    captions: tuple[str, ...]
    tags: dict[str, Any]
    vector: Array
    named: dict[str, int]
    played: Array


def judge(row: Row, ears: Ears) -> Clip:
    """A test clip, heard."""
    audio = heard(row.path, ears.place.sample_rate)
    taggers = {"style": ears.style, "key": ears.key, "tempo": ears.tempo}
    named = {tag: int(tagger.probabilities(audio).mean(0).argmax()) for tag, tagger in taggers.items()}
    return Clip(row.captions, tags(row), ears.place.embed_clip(audio), named, ears.style.instruments(audio).mean(0))


def heard(path: Path, rate: int) -> torch.Tensor:
    """A file's audio, mono at `rate`."""
    samples, own_rate = sound.read(path)
    return sound.resample(sound.mix(samples, 1), own_rate, rate)[0]


# Words ----------------------------------------------------------------------------------------------------------------


def matching(cosines: Array) -> list[Score]:
    """Right pairs lie on the diagonal; texts are the columns, and a text searches the sounds."""
    count = len(cosines)
    own = cosines.diagonal()
    others = (cosines.sum(0) - own) / (count - 1)
    rank = (cosines >= own[None]).sum(0)  # 1 where the right sound comes first
    return [
        intervals.mean("cosine", list(own), better="higher", floor=float(others.mean())),
        intervals.mean("right above shuffled", list((own > np.roll(cosines, 1, 0).diagonal()).astype(float)), floor=0.5),
        intervals.mean("R@1", list((rank <= 1).astype(float)), better="higher", floor=1 / count),
        intervals.mean("R@10", list((rank <= 10).astype(float)), better="higher", floor=min(1.0, 10 / count)),
        Score("median rank", float(np.median(rank)), n=count, better="lower", floor=(count + 1) / 2),
    ]


def noticing(clips: Sequence[Clip], ears: Ears) -> list[Score]:
    """How often a plain sentence scores higher than the same one with another clip's style, key or tempo (5 % away or more)."""
    told = [(clip.tags["style"], ears.key.labels[clip.tags["key"]], clip.tags["tempo"]) for clip in clips]
    scores = []
    for place, name in enumerate(("style", "key", "tempo")):
        noticed = []
        for i, (clip, facts) in enumerate(zip(clips, told, strict=True)):
            others = (other for other in [*told[i + 1 :], *told[:i]] if differs(other[place], facts[place]))
            wrong = [*facts]
            wrong[place] = next(others)[place]
            texts = [f"a {style} piece in {key} at {tempo:.0f} bpm" for style, key, tempo in (facts, wrong)]
            right, other = ears.place.embed_texts(texts) @ clip.vector
            noticed.append(float(right > other))
        scores.append(intervals.mean(f"a wrong {name} is noticed", noticed, better="higher", floor=0.5))
    return scores


def differs(one: str | float, other: str | float) -> bool:
    """Whether two styles or keys are two, and two tempi more than 5 % apart."""
    if isinstance(one, str) or isinstance(other, str):
        return one != other
    return abs(one / other - 1) > 0.05


# Tags -----------------------------------------------------------------------------------------------------------------


def key_score(named: int, right: int) -> float:
    """MIREX's weights: the key itself 1, a fifth from it 0.5, its relative 0.3, its parallel 0.2."""
    if named == right:
        return 1.0
    interval, same_mode = (named % 12 - right % 12) % 12, named // 12 == right // 12
    if same_mode:
        return 0.5 if interval in (5, 7) else 0.0
    relative = 9 if right < 12 else 3
    return {relative: 0.3, 0: 0.2}.get(interval, 0.0)


def average_precision(chances: Array, right: Array) -> float:
    """Mean precision at each instrument that plays, instruments ranked by their chance."""
    order = np.argsort(-chances, kind="stable")
    hits = right[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / max(1.0, hits.sum()))


def f1(chances: Array, right: Array) -> float:
    """Of the instruments that are named (a chance of one half or more) and those that play."""
    named = chances >= 0.5
    return float(2 * (named * right).sum() / max(1.0, named.sum() + right.sum()))


def naming(clips: Sequence[Clip], ears: Ears) -> list[Score]:
    """How often the tags are right, and how often they would be another clip's."""
    chosen = {tag: [clip.named[tag] for clip in clips] for tag in ("style", "key", "tempo")}
    played = [clip.played for clip in clips]
    styles, instruments = ears.style.labels, ears.style.ear.config.instruments
    truth = {
        "style": [styles.index(clip.tags["style"]) for clip in clips],
        "key": [clip.tags["key"] for clip in clips],
        "tempo": [tempo_class(clip.tags["tempo"]) for clip in clips],
    }
    right = [np.array([float(name in clip.tags["instruments"]) for name in instruments]) for clip in clips]

    def against(name: str, said: Sequence[Any], true: Sequence[Any], judge: Callable[[Any, Any], float]) -> Score:
        own = [judge(one, other) for one, other in zip(said, true, strict=True)]
        shuffled = [judge(one, other) for one, other in zip(said, [*true[1:], *true[:1]], strict=True)]
        return intervals.mean(name, own, better="higher", floor=float(np.mean(shuffled)))

    def same(one: int, other: int) -> float:
        return float(one == other)

    return [
        against("style accuracy", chosen["style"], truth["style"], same),
        against("key accuracy", chosen["key"], truth["key"], same),
        against("key, weighted", chosen["key"], truth["key"], key_score),
        against("tempo class accuracy", chosen["tempo"], truth["tempo"], same),
        against("tempo class, one off allowed", chosen["tempo"], truth["tempo"], lambda a, b: float(abs(a - b) <= 1)),
        against("instruments, average precision", played, right, average_precision),
        against("instruments, F1", played, right, f1),
    ]


# Made music -----------------------------------------------------------------------------------------------------------


def make(folder: Path, prompts: Sequence[str]) -> None:
    """What each generator makes of each prompt, 10 s, seed i; files that are there stay."""
    for name in GENERATORS:
        paths = [folder / name / f"{i:03d}.wav" for i in range(len(prompts))]
        if not all(path.is_file() for path in paths):
            model = generation.load(name)
            for i, (path, prompt) in enumerate(zip(paths, prompts, strict=True)):
                if not path.is_file():
                    model.generate(prompt, seconds=10.0, seed=i).save(path)
                    print(path, flush=True)


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ear", default="ear-tiny", help="shipped name or folder")
    parser.add_argument("--corpora", type=Path, nargs="+", required=True, help="corpora whose test clips the ear has not heard")
    parser.add_argument("--made", type=Path, required=True, help="where generated clips are kept")
    parser.add_argument("--prompts", type=int, default=32, help="captions that are given to the generators")
    parser.add_argument("--only-make", action="store_true", help="generate, and judge another time")
    parser.add_argument("-o", "--out", type=Path, help="the table as markdown")
    args = parser.parse_args()
    torch.set_num_threads(1)

    tests = {folder: [row for row in read_folder(folder) if row.split == "test"] for folder in args.corpora}
    prompts = [row.captions[FULL] for rows in tests.values() for row in rows][: args.prompts]
    make(args.made, prompts)
    if args.only_make:
        return
    ears = Ears.load(args.ear)
    ear = ears.place
    corpora = {folder.name: [judge(row, ears) for row in rows] for folder, rows in tests.items()}
    lines = table("both", [clip for clips in corpora.values() for clip in clips], ears) if len(corpora) > 1 else []
    for name, clips in corpora.items():
        lines += table(name, clips, ears)
    texts = ear.embed_texts(prompts)
    for name in GENERATORS:
        made = [ear.embed_clip(heard(args.made / name / f"{i:03d}.wav", ear.sample_rate)) for i in range(len(prompts))]
        lines += [line(f"made by {name}", score) for score in matching(np.stack(made) @ texts.T)]
    head = ["| clips | figure | value | 95 % interval | n | chance |", "|---|---|---|---|---|---|"]
    text = "\n".join([*head, *lines])
    print(text)
    if args.out:
        told = f"`python benchmarks/ear.py` on {ear.identity}, {datetime.date.today()}; definitions in the script."
        write_text(args.out, f"# {ear.name}\n\n{told}\n\n{text}\n")


def table(name: str, clips: Sequence[Clip], ears: Ears) -> list[str]:
    """All figures of some clips, as lines of the table."""
    sounds = np.stack([clip.vector for clip in clips])
    whole = ears.place.embed_texts([clip.captions[FULL] for clip in clips])
    mixed = ears.place.embed_texts([clip.captions[i % len(clip.captions)] for i, clip in enumerate(clips)])
    lines = [line(f"{name}, full captions", score) for score in matching(sounds @ whole.T)]
    lines += [line(f"{name}, any captions", score) for score in matching(sounds @ mixed.T)]
    return lines + [line(name, score) for score in [*noticing(clips, ears), *naming(clips, ears)]]


def line(clips: str, score: Score) -> str:
    """One figure as a line of the table."""
    interval = "" if np.isnan(score.low) else f"{score.low:.2f} to {score.high:.2f}"
    return f"| {clips} | {score.name} | {score.value:.3f} | {interval} | {score.n} | {score.floor:.3f} |"


if __name__ == "__main__":
    main()
