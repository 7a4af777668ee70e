"""Which way to fill a gap is best?  Spans of held-out clips, filled in every way at equal budgets, and judged.

    python benchmarks/inpainting.py make jasco-tiny --latents runs/latents --clips 200
    python benchmarks/inpainting.py make runs/musicgen-tiny-controls --latents runs/latents --clips 200
    python benchmarks/inpainting.py make jasco-tiny-fast --latents runs/latents --clips 200
    python benchmarks/inpainting.py judge --latents runs/latents --corpus runs/corpus
    python benchmarks/inpainting.py report --markdown benchmarks/results/inpainting.md

Ten seconds of each of the first clips of the splits test and valid (--splits); ten clips that follow each other share a span of
two to five seconds, at least one second from either end, drawn by their number.  All ways are asked for the same spans and told
the same: the caption, with `--plan` the true score, too.  A way of a flow may ask the network `--budget` times a filling (each
costs two evaluations where guidance has two variants); autoregression and distilled models are sampled as they are.  `tries`
are fillings of which the best is kept by what a user has (src/counterpoint/tries.py).  The first `--repeated` clips are filled
with a second seed: `spread` is the standard deviation between seeds on the same span.  `inversion` does not see what was in the
gap, which in the paper's algorithm 1 is inverted with the rest.

`codec` is the recording itself, encoded and decoded; `chance` has the gap filled with what another clip has there.  All three
steps go on where they were stopped.  Figures and tables: `inpainting_report.py`.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import inpainting_report as reporting
from counterpoint import tries
from counterpoint.config import Config
from counterpoint.data.latents import LatentDataset
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import SystemConfig
from counterpoint.paradigms import repair
from counterpoint.rng import mix
from counterpoint.systems import jasco
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.types import Canvas, View
from intervals import write_json

SECONDS, PART = 10.0, 10
LONGEST, SHORTEST, MARGIN = 5.0, 2.0, 1.0
OUT = Path("runs/inpainting")
FLOORS = ("codec", "chance")


@dataclass(frozen=True)
class Way:
    """How gaps are filled: the sampler's settings, and of how many fillings the best is kept."""

    name: str
    sampling: Config
    tries: int = 1


def ways(config: SystemConfig, budget: int, count: int) -> list[Way]:
    """All that a model can do within a budget."""
    own = config.sampling
    if not isinstance(config, JascoConfig):
        return [Way("fill-in-middle", own)] if config.middle > 0 else []
    if config.distilled is not None:
        return [Way("supervised, distilled", own)] if config.canvas > 0 else []
    found: list[Way] = []
    if config.canvas > 0:
        plain = jasco.Sampling(steps=budget, guidance=own.guidance, method="supervised")
        found += [Way("supervised", plain), Way(f"supervised, {count} tries", plain, count)]
    for name in repair.STRATEGIES:
        steps = repair.steps_within(name, budget, repair.How())
        found.append(Way(name, jasco.Sampling(steps=steps, guidance=own.guidance, method="zero-shot", strategy=name)))
    free = jasco.Sampling(steps=budget, guidance=own.guidance, method="zero-shot")
    return [*found, Way(f"zero-shot, {count} tries", free, count)]


class Clips:
    """The held-out clips of a cache: of each its number, frames or tokens, and what is told of it."""

    def __init__(self, folder: Path, splits: Sequence[str], count: int, view: View = "continuous"):
        length = round(SECONDS * 25)
        sets = [LatentDataset(folder, split, length, view) for split in splits]
        self.spec = sets[0].spec
        self.all = [(one, i) for one in sets for i in range(len(one)) if one.rows[i][1]["frames"] >= length][:count]

    def parts(self) -> Iterator[tuple[int, list[int]]]:
        """Numbers of clips that share a span, with the number of the part."""
        for part, first in enumerate(range(0, len(self.all), PART)):
            yield part, list(range(first, min(first + PART, len(self.all))))

    def frames(self, numbers: Sequence[int], levels: int = 0) -> Tensor:
        """Side by side; of tokens so many levels."""
        items = [clips.item(i, 0).frames for clips, i in (self.all[number] for number in numbers)]
        return torch.stack([item[:levels] if levels else item for item in items])

    def values(self, numbers: Sequence[int], plan: bool) -> dict[str, list[Any]]:
        """Captions, and scores where a plan is told."""
        told = [clips.item(i, 0).values for clips, i in (self.all[number] for number in numbers)]
        return {name: [one.get(name) for one in told] for name in (("text", "score") if plan else ("text",))}

    def row(self, number: int) -> Mapping[str, Any]:
        """What the cache says of a clip."""
        clips, i = self.all[number]
        return clips.rows[i][1]

    def span(self, part: int) -> slice:
        """The frames of a part that are not given."""
        draw, frames, rate = np.random.default_rng((7, part)), round(SECONDS * self.spec.rate), self.spec.rate
        length = int(draw.integers(round(SHORTEST * rate), round(LONGEST * rate) + 1))
        start = int(draw.integers(round(MARGIN * rate), frames - round(MARGIN * rate) - length + 1))
        return slice(start, start + length)


def make(arguments: argparse.Namespace) -> None:
    """Fill the gaps of all clips in every way that the model has."""
    loaded = checkpoint.load(arguments.model)
    system, name = loaded.system.eval(), Path(arguments.model).name
    clips = Clips(arguments.latents, arguments.splits, arguments.clips, system.view)
    for way in ways(loaded.config, arguments.budget, arguments.tries):
        if arguments.ways and way.name not in arguments.ways:
            continue
        for seed in range(arguments.seeds):
            for part, numbers in clips.parts():
                if seed and numbers[0] >= arguments.repeated:
                    break
                target = arguments.out / told(arguments) / f"{name}, {way.name}" / f"{seed}-{part:04d}.npz"
                if not target.exists():
                    _fill(system, loaded, clips, part, numbers, way, seed, target, arguments.plan)
            print(f"{name}, {way.name}, seed {seed}", flush=True)


def told(arguments: argparse.Namespace) -> str:
    """What the models are told, in a word."""
    return "plan" if arguments.plan else "words"


@torch.inference_mode()
def _fill(
    system: System,
    loaded: checkpoint.Checkpoint,
    clips: Clips,
    part: int,
    numbers: list[int],
    way: Way,
    seed: int,
    target: Path,
    plan: bool,
) -> None:
    span, codec = clips.span(part), loaded.codec
    frames = clips.frames(numbers, system.spec.levels if system.view == "tokens" else 0)
    given = torch.ones(len(numbers), round(SECONDS * clips.spec.rate), dtype=torch.bool)
    given[:, span] = False
    values, seeds = clips.values(numbers, plan and "score" in system.conditions), [mix(seed, number) for number in numbers]
    started = time.process_time()
    made, choices = tries.best(system, codec, Canvas(frames, given), values, seeds, way.sampling, way.tries)
    spent = time.process_time() - started
    told = {
        "numbers": numbers,
        "span": [span.start, span.stop],
        "evaluations": choices[0].evaluations,
        "cpu_seconds": spent / len(numbers),
        "choices": [choice.record for choice in choices] if way.tries > 1 else None,
    }
    # Beside the gap, codes of a few levels are not the clip: what is given is heard as a user has it.
    whole = Clips.frames(clips, numbers) if system.view == "continuous" else codec.as_frames(frames, "tokens")
    heard = codec.as_frames(made, system.view)
    heard = torch.where(given[..., None], whole, heard)
    save(target, heard, told)


def save(target: Path, frames: Tensor, told: Mapping[str, Any]) -> None:
    """Frames, and beside them what is told of them; all or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target.with_suffix(".json"), told)
    part = target.with_name(f".{target.stem}.part.npz")
    np.savez(part, frames=frames.numpy().astype(np.float16))
    os.replace(part, target)


def floors(arguments: argparse.Namespace, clips: Clips) -> None:
    """What the recordings themselves score, and what chance does."""
    for part, numbers in clips.parts():
        span, frames = clips.span(part), clips.frames(numbers)
        other = frames.clone()
        other[:, span] = clips.frames([(number + 1) % len(clips.all) for number in numbers])[:, span]
        for name, made in zip(FLOORS, (frames, other), strict=True):
            target = arguments.out / told(arguments) / name / f"0-{part:04d}.npz"
            if not target.exists():
                note = {"numbers": numbers, "span": [span.start, span.stop], "evaluations": None, "choices": None}
                save(target, made, {**note, "cpu_seconds": None})


def judge(arguments: argparse.Namespace) -> None:
    """Listen to all that was made, and keep the figures beside it."""
    clips = Clips(arguments.latents, arguments.splits, arguments.clips)
    floors(arguments, clips)
    listener = reporting.Listener(arguments.corpus, checkpoint.load_codec(arguments.codec))
    for target in sorted((arguments.out / told(arguments)).glob("*/*.npz")):
        kept = target.with_suffix(".figures.json")
        if target.name.endswith("heard.npz") or kept.exists():
            continue
        note = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
        captions = clips.values(note["numbers"], False)["text"]
        with np.load(target) as made:
            frames = torch.from_numpy(made["frames"].astype(np.float32))
        span = [edge / clips.spec.rate for edge in note["span"]]
        figures = [
            listener.figures(frames[i], clips.row(number), captions[i] or "", (span[0], span[1]))
            for i, number in enumerate(note["numbers"])
        ]
        write_json(kept, figures)
        print(kept, flush=True)


def report(arguments: argparse.Namespace) -> None:
    """The tables, and a page of them."""
    reporting.write(arguments.out, arguments.markdown, __doc__ or "")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    commands = parser.add_subparsers(required=True)
    for name, run in (("make", make), ("judge", judge), ("report", report)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if name == "report":
            command.add_argument("--markdown", type=Path)
            continue
        command.add_argument("--latents", type=Path, default=Path("runs/latents"))
        command.add_argument("--splits", nargs="+", default=["test", "valid"])
        command.add_argument("--clips", type=int, default=200)
        command.add_argument("--plan", action="store_true", help="tell the true score, too")
        if name == "judge":
            command.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
            command.add_argument("--codec", default="spectral-tiny")
            continue
        command.add_argument("model", help="a shipped name or a folder; its last part names what it makes")
        command.add_argument("--ways", nargs="+", help="some of them, by name; by default all")
        command.add_argument("--budget", type=int, default=8)
        command.add_argument("--tries", type=int, default=4)
        command.add_argument("--seeds", type=int, default=2)
        command.add_argument("--repeated", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    try:
        arguments.run(arguments)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
