"""What is wrong with what the models make?  Sixty requests that no model has seen, measured, counted and drawn.

    python benchmarks/panel.py make jasco-tiny musicgen-tiny jasco-tiny-fast --takes 60
    python benchmarks/panel.py real --corpus runs/corpus --takes 60
    python benchmarks/panel.py judge
    python benchmarks/panel.py report --markdown benchmarks/results/panel.md --sheets runs/panel/sheets

Take t is of request t mod 60 (panel_prompts.py), with seed and plan of its own from the second round on.  A cell is `plan`
(what ships: a score is composed, controls are obeyed by it) or `words` (no plan; controls only where the model was trained
with them).  `real` chooses as many clips of the corpus, of the same styles, twice: `real` as they are, asked for what their
scores say; `coded a` are the same through the codec, `coded b` others.  All steps go on where they were stopped; other weights
of the same name make another folder.

Ears are librosa and mir_eval (analysers.py), not counterpoint's own; styles are named by ear-tiny, from which no model learns.
Frechet distances are those of the log-mel ear from `coded a`, as multiples of that of `coded b`, with paired resamples.  What
counts as broken is broken.py's.  Intervals are 95 %, over takes; `chance` is the same figure with the requests dealt out anew.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

import counterpoint
import panel_prompts
from counterpoint import audio as sound
from counterpoint.annotation import from_dict
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.folder import read_folder
from counterpoint.data.row import Row
from counterpoint.files import write_text
from counterpoint.generation import Model
from counterpoint.hub.checkpoint import load_codec
from counterpoint.music import ChordSpan, harte_label
from counterpoint.types import Canvas
from panel_judge import judge_folder
from panel_report import page, sheets

MODELS = ("jasco-tiny", "musicgen-tiny", "jasco-tiny-fast")
CELLS = {"plan": "auto", "words": "none"}
OUT = Path("runs/panel")
PART = 6
"""Takes that are made side by side; each is as if made alone."""
TABLE = "asked.jsonl"


def make(arguments: argparse.Namespace) -> None:
    """The takes of every model and cell."""
    for name in arguments.models:
        model = counterpoint.load(name)
        for cell in arguments.cells:
            folder = arguments.out / f"{model.checkpoint.name} {model.checkpoint.version}, {cell}"
            started, cpu = time.monotonic(), time.process_time()
            rows = [row for part in _parts(range(arguments.takes)) for row in _make_part(model, cell, folder, part)]
            write_text(folder / TABLE, "".join(json.dumps(row) + "\n" for row in rows))
            spent = f"{time.monotonic() - started:.0f} s, {(time.process_time() - cpu) / 60:.1f} minutes of a core"
            print(f"{folder}: {len(rows)} takes, {spent}", flush=True)


def _parts(takes: Sequence[int]) -> Iterator[Sequence[int]]:
    return (takes[first : first + PART] for first in range(0, len(takes), PART))


@torch.inference_mode()
def _make_part(model: Model, cell: str, folder: Path, takes: Sequence[int]) -> list[dict[str, Any]]:
    """Some takes, side by side, each as `Model.generate` makes it; what is asked of them, as rows of the table."""
    system, codec, panel = model.system, model.codec, panel_prompts.cases()
    jobs, rows = [], []
    for take in takes:
        case = panel[take % len(panel)]
        request = case.request(take // len(panel), CELLS[cell], system.conditions)
        jobs.append(model.job(request, request.seed))
        held = request.controls()
        unsaid = case.kind == "all as controls" and "tempo" not in held
        rows.append(
            {
                "file": f"{take:04d}.flac",
                "text": request.text,
                "style": case.style,
                "bpm": None if unsaid else case.bpm,
                "key": None if unsaid or case.key is None else case.key.name,
                "chords": _labels(jobs[-1].controls.chords) if "chords" in held else None,
            }
        )
    if all((folder / row["file"]).is_file() for row in rows):
        return rows
    samples, names = jobs[0].samples, sorted({name for job in jobs for name in job.values})
    canvas = Canvas.blank(len(takes), codec.num_frames(samples), system.spec, system.view)
    told = {name: [job.values.get(name) for job in jobs] for name in names}
    filled = system.generate(canvas, told, [job.seed for job in jobs], jobs[0].sampling)
    made = codec.decode(codec.as_frames(filled, system.view), samples)
    for row, audio in zip(rows, made, strict=True):
        finished = sound.master(sound.fade(audio, codec.sample_rate), codec.sample_rate)
        sound.write(folder / row["file"], finished, codec.sample_rate)
    return rows


def _labels(spans: Sequence[ChordSpan] | None) -> list[tuple[float, float, str]] | None:
    return None if spans is None else [(span.start, span.end, harte_label(span.chord)) for span in spans]


@torch.inference_mode()
def real(arguments: argparse.Namespace) -> None:
    """Clips of the corpus as they are, the same through the codec, and others through it."""
    clips = list(_spread(read_folder(arguments.corpus), 2 * arguments.takes))
    codec = load_codec(arguments.codec).eval()
    first, second = clips[: arguments.takes], clips[arguments.takes :]
    for name, rows in (("real", first), ("coded a", first), ("coded b", second)):
        folder, table = arguments.out / name, []
        for number, row in enumerate(rows):
            score = from_dict(json.loads(Path(row.values["annotation"]).read_text(encoding="utf-8")))
            file = folder / f"{number:04d}-{row.id}.flac"
            if not file.is_file():
                audio, rate = sound.read(row.path)
                audio = sound.resample(sound.mix(audio, 1), rate, codec.sample_rate)
                coded = audio if name == "real" else codec.decode(codec.encode(audio[None]), audio.shape[-1])[0]
                sound.write(file, sound.master(coded, codec.sample_rate), codec.sample_rate)
            asked = {"style": score.style, "bpm": score.bpm, "key": score.key.name, "chords": _labels(score.chords)}
            table.append({"file": file.name, "text": row.captions[0], **asked})
        write_text(folder / TABLE, "".join(json.dumps(row) + "\n" for row in table))
        print(f"{folder}: {len(table)} clips", flush=True)


def _spread(rows: Sequence[Row], count: int) -> Iterator[Row]:
    """Clips of the styles of the panel's takes, in their order and twice over, held-out ones first.  Raises ValueError."""
    panel = panel_prompts.cases()
    ordered = sorted(rows, key=lambda row: ("test", "valid", "train").index(row.split))
    queues = {style: iter([row for row in ordered if row.values["style"] == style]) for style in STYLES}
    for place in range(count):
        style = panel[place % (count // 2) % len(panel)].style
        row = next(queues[style], None)
        if row is None:
            raise ValueError(
                f"The corpus has too few clips of the style {style}; compose a larger one, or ask for fewer takes."
            )
        yield row


def judge(arguments: argparse.Namespace) -> None:
    """The figures of every folder that has been made."""
    with ProcessPoolExecutor(arguments.workers) as pool:
        for table in sorted(arguments.out.glob(f"*/{TABLE}")):
            started = time.monotonic()
            rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
            judged = judge_folder(table.parent, rows, pool)
            print(f"{table.parent}: {judged} clips judged anew, {time.monotonic() - started:.0f} s", flush=True)


def report(arguments: argparse.Namespace) -> None:
    """The tables, and a sheet of spectrograms a folder."""
    text = page(arguments.out)
    print(text)
    if arguments.markdown:
        write_text(arguments.markdown, f"# The panel\n\n{text}\n")
    if arguments.sheets:
        sheets(arguments.out, arguments.sheets)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("models", nargs="*", default=list(MODELS))
    making.add_argument("--takes", type=int, default=panel_prompts.COUNT)
    making.add_argument("--cells", nargs="+", choices=tuple(CELLS), default=list(CELLS))
    making.set_defaults(run=make)
    taking = commands.add_parser("real")
    taking.add_argument("--corpus", type=Path, default=Path("runs/corpus"))
    taking.add_argument("--codec", default="spectral-tiny")
    taking.add_argument("--takes", type=int, default=panel_prompts.COUNT)
    taking.set_defaults(run=real)
    judging = commands.add_parser("judge")
    judging.add_argument("--workers", type=int, default=1)
    judging.set_defaults(run=judge)
    telling = commands.add_parser("report")
    telling.add_argument("--markdown", type=Path)
    telling.add_argument("--sheets", type=Path, help="a folder for pictures")
    telling.set_defaults(run=report)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.run(arguments)


if __name__ == "__main__":
    main()
