"""Do models follow the chords, tunes and drums that they are told?  Held-out clips, asked for in several ways, and judged.

    python benchmarks/adherence.py make runs/musicgen-tiny-controls --latents runs/control-latents
    python benchmarks/adherence.py make runs/musicgen-tiny-controls --latents runs/control-latents --guidance 3 --cells chords
    python benchmarks/adherence.py judge --corpus runs/corpus
    python benchmarks/adherence.py report --markdown benchmarks/results/adherence.md

A *cell* is what a model is told of a clip beside its caption (CELLS); `make` draws ten seconds of each of the first clips of
the splits test and valid that way, with the model's own sampling and the clip's place as seed.  `judge` compares with the exact
scores of the clips, and by Frechet distance with their recordings; it keeps a JSON file a cell.  All three go on where they
were stopped.  Rows are means and 95 % bootstrap intervals over clips; `chance` is the same figure with clips dealt out anew.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from counterpoint import audio as sound
from counterpoint import request, runtime, sampler
from counterpoint.data.latents import LatentDataset
from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.sets import ClipSet, gather
from counterpoint.files import write_text
from counterpoint.hub import checkpoint
from counterpoint.systems.musicgen import Musicgen
from counterpoint.types import Canvas

CONTROLS = ("chords", "melody", "drums", "tempo", "key")
CELLS: dict[str, tuple[str, ...]] = {
    "words": (),
    "chords": ("chords",),
    "melody": ("melody",),
    "drums": ("drums",),
    "all controls": CONTROLS,
    "plan": ("score",),
    "plan and all": ("score", *CONTROLS),
}
FIGURES = {
    "chord_iou_majmin": "chords IoU",
    "beat_f1": "beats F1",
    "drum_onset_f1": "drum onsets F1",
    "melody_argmax": "melody similarity",
    "melody_pitch_accuracy": "melody pitches",
    "key": "key",
    "tempo_acc2": "tempo Acc2",
    "frechet (logmel)": "Frechet, log-mel",
}
SECONDS, PART = 10.0, 6
OUT = Path("runs/adherence")


def held_out(latents: Path) -> Iterator[tuple[LatentDataset, int]]:
    """Clips that no model has learnt from, those of test first."""
    for split in ("test", "valid"):
        clips = LatentDataset(latents, split, round(SECONDS * 25))
        yield from ((clips, i) for i in range(len(clips)))


def make(arguments: argparse.Namespace) -> None:
    """The clips of every cell that the model can be asked for."""
    loaded = checkpoint.load(arguments.model)
    system, codec = loaded.system.eval(), loaded.codec
    runtime.quicken(system, "fp32", torch.device("cpu"), compiled=isinstance(system, Musicgen))
    told = {} if arguments.guidance is None else {"guidance": parse_guidance(arguments.guidance)}
    suffix = f", guidance {arguments.guidance}" if told else ""
    chosen = list(held_out(arguments.latents))[: arguments.clips]
    for cell in arguments.cells or CELLS:
        if not set(CELLS[cell]) <= set(system.conditions):
            continue
        folder = arguments.out / f"{Path(arguments.model).name}{suffix}" / cell.replace(" ", "-")
        sampling = sampler.usual(loaded.config, "score" in CELLS[cell]).model_copy(update=told)
        started, rows = time.monotonic(), []
        for first in range(0, len(chosen), PART):
            part = [(clips.rows[i][1]["id"], clips.item(i, 0).values) for clips, i in chosen[first : first + PART]]
            names = [name for name, _ in part]
            rows += [{"file_name": f"{name}.flac", "id": name, "text": told["text"]} for name, told in part]
            if all((folder / f"{name}.flac").is_file() for name in names):
                continue
            values = {name: [told.get(name) for _, told in part] for name in ("text", *CELLS[cell])}
            frames = next(iter(clips for clips, _ in chosen)).spec.frames(SECONDS)
            with torch.inference_mode():
                filled = system.generate(
                    Canvas.blank(len(part), frames, system.spec, system.view),
                    values,
                    list(range(first, first + len(part))),
                    sampling,
                )
                made = codec.decode(codec.as_frames(filled, system.view), round(SECONDS * codec.sample_rate))
            for name, audio in zip(names, made, strict=True):
                folder.mkdir(parents=True, exist_ok=True)
                sound.write(folder / f"{name}.flac", sound.master(audio, codec.sample_rate), codec.sample_rate)
        write_text(folder / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        print(f"{folder}: {len(rows)} clips, {time.monotonic() - started:.0f} s", flush=True)


def parse_guidance(text: str) -> dict[str, float]:
    """The weights that `text` names, as a request reads them."""
    return request.read({"text": "music", "guidance": text}).guidance or {}


def judge(arguments: argparse.Namespace) -> None:
    """The figures of every cell that has been made, and of the recordings themselves."""
    splits = [gather(arguments.corpus, split) for split in ("test", "valid")]
    real = ClipSet(arguments.corpus, tuple(member for clips in splits for member in clips.members))
    settings = Settings(
        metrics=("chords", "beats", "drums", "melody", "key", "tempo", "frechet"), ears=("logmel",), workers=arguments.workers
    )
    for table in sorted(arguments.out.glob("*/*/metadata.jsonl")):
        target = table.parent.with_suffix(".json")
        if target.is_file():
            continue
        made = gather(table.parent)
        wanted = {member.id for member in made.members}
        partners = ClipSet(real.source, tuple(member for member in real.members if member.id in wanted))
        evaluate(made, partners, settings).save(target)
        print(target, flush=True)


def report(arguments: argparse.Namespace) -> None:
    """One table a model: a row for each cell."""
    lines: list[str] = []
    for model in sorted(folder for folder in arguments.out.iterdir() if folder.is_dir()):
        lines += [
            f"## {model.name}",
            "",
            "| told | n | " + " | ".join(FIGURES.values()) + " |",
            "|---" * (len(FIGURES) + 2) + "|",
        ]
        for cell in CELLS:
            path = model / f"{cell.replace(' ', '-')}.json"
            if path.is_file():
                scores = {score["name"]: score for score in json.loads(path.read_text(encoding="utf-8"))["scores"]}
                entries = [_entry(scores.get(name)) for name in FIGURES]
                number = next(iter(scores.values()))["n"]
                lines.append(f"| {cell} | {number} | " + " | ".join(entries) + " |")
        lines.append("")
    text = "\n".join(lines)
    print(text)
    if arguments.markdown:
        head = (__doc__ or "").split("\n\n", 1)[0]
        write_text(
            arguments.markdown, f"# Adherence\n\n{head}\n\nCommands and definitions: `benchmarks/adherence.py`.\n\n{text}"
        )


def _entry(score: dict | None) -> str:
    if score is None or score["value"] is None:
        return ""
    low, high = score["low"], score["high"]
    interval = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
    chance = "" if score["floor"] is None else f", chance {score['floor']:.2f}"
    return f"{score['value']:.2f}{interval}{chance}"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=OUT)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("model")
    making.add_argument("--latents", type=Path, default=Path("runs/control-latents"))
    making.add_argument("--clips", type=int, default=120)
    making.add_argument("--guidance", help="as `counterpoint generate` takes it; by default the model's own")
    making.add_argument("--cells", nargs="+", choices=tuple(CELLS))
    making.set_defaults(run=make)
    judging = commands.add_parser("judge")
    judging.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    judging.add_argument("--workers", type=int, default=1)
    judging.set_defaults(run=judge)
    telling = commands.add_parser("report")
    telling.add_argument("--markdown", type=Path)
    telling.set_defaults(run=report)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
