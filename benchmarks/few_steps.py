"""How good is flow matching in few network evaluations?  Every solver and schedule on held-out compositions.

    counterpoint compose runs/few --hours 1.5 --seed 77 --renderer soundfont --channels 1 --seconds 5
    counterpoint encode runs/few --codec spectral-tiny -o runs/few-latents
    python benchmarks/few_steps.py make --grid free --clips 256
    python benchmarks/few_steps.py make --cell plan:uniform:euler:200:g1.5 --clips 1024
    python benchmarks/few_steps.py make --model runs/jasco-tiny-fast --cell plan:uniform:euler:8:g1 --clips 1024
    python benchmarks/few_steps.py make --model musicgen-tiny --cell plan:own --clips 1024
    python benchmarks/few_steps.py judge --clips 1024
    python benchmarks/few_steps.py report --markdown benchmarks/results/few-steps.md --figure docs/few-steps.png

A *cell* is CONDITIONS:SCHEDULE:SOLVER:STEPS:gGUIDANCE, and where it differs from the usual :iFROM,TO (flow times with
guidance), :rRESCALE; dopri5 has a tolerance for STEPS; CONDITIONS:own is the checkpoint's own sampling.  CONDITIONS are `plan`
(caption and true score) or `words` (caption).  `make` and `judge` go on where they were stopped.  A cell's clips are the first
2.56 s of the first n compositions, with the clip's number as seed, by batches of 32 under bfloat16 on one thread.

Measured against the real renderings of the same compositions (frechet.py): the Frechet distance of the codec's continuous
frames; that of log-mel frames, decoded, in dB of one reference for all (a clip's own loudest would make a dull clip, which has
lower peaks, look brighter); both with bootstrap intervals, and their ratio to 200 Euler steps with guidance, on
paired resamples.  Because that distance is blind to order in time, also: `log_mel`, the mean difference in dB (with a plan);
`dispersion`, how much bands move (dB); `flux`, how much they change from one spectrum to the next (dB; too high: flicker).
Rows `real`, `codec` and `tokens` are the renderings themselves, encoded and decoded, and quantised to four levels and decoded.
Evaluations are counted at the network: an item that is told two variants of guidance costs two.  Seconds are of processor time,
so that other work on the machine does not count.
"""

import argparse
import json
import os
import platform
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import few_steps_report as report
import frechet
import spectra
from counterpoint import generation
from counterpoint.config import Config
from counterpoint.hub.checkpoint import load_codec
from counterpoint.paradigms import solvers
from counterpoint.systems import jasco
from counterpoint.systems.base import System
from counterpoint.types import Canvas
from few_steps_cells import FRAMES, GRIDS, Cell, Held, grid
from intervals import interval, write_json

LEVELS = 4  # of the tokens: as many as musicgen-tiny makes
PART = 4  # clips decoded side by side: what they need stays in the cache
EVERY = 4  # of the log-mel frames, which overlap, one in so many is kept
FLOORS = ("real", "codec", "tokens")
Clips = NDArray[np.floating]


# Making ---------------------------------------------------------------------------------------------------------------


class Evaluations:
    """Counts rows that go through a system's last layer, which is once for every network evaluation of an item.

    Items of a batch that the adaptive solver has brought home wait for the others: those rows do not count, as the solver
    knows.
    """

    def __init__(self, system: System):
        self.start()
        system.get_submodule("out").register_forward_pre_hook(self._count)
        jasco.dopri5 = self._dopri5

    def start(self) -> None:
        """Count from nothing."""
        self._rows, self._going = 0, 1.0

    def each(self, items: int) -> float:
        """Evaluations of one item, in the mean over so many."""
        return self._rows * self._going / items

    def _count(self, layer: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._rows += len(inputs[0])

    def _dopri5(self, *told: Any) -> solvers.Solution:
        solution = solvers.dopri5(*told)
        self._going = float(solution.evaluations.double().mean() / solution.evaluations.max())
        return solution


class Maker:
    """A model with a compiled network that makes the clips of its cells."""

    def __init__(self, name: str, held: Held, folder: Path):
        self.model, self.held, self.folder = generation.load(name), held, folder
        self.count = Evaluations(self.model.system)
        self.model.system.compile_parts()

    def make(self, cell: Cell, n: int) -> None:
        """All batches of a cell that are not there yet: frames, and beside them what they cost."""
        folder = self.folder / cell.name
        self._sign(folder, cell)
        for ids in self.held.batches(n):
            target = folder / f"{ids[0]:05d}.npy"
            if not target.exists():
                frames, cost = self._batch(cell, ids)
                save(target, frames.astype(np.float16))
                write_json(target.with_suffix(".json"), cost)
                told = f"{cost['evaluations']:g} evaluations, {cost['cpu_seconds']:.2f} s a clip"
                print(f"{cell.name} {ids[-1] + 1}/{n}: {told}", flush=True)
        if not any(folder.glob("[0-9]*.json")):  # made by others: what it costs is counted on one clip
            write_json(folder / "00000.json", {**self._batch(cell, [0])[1], "cpu_seconds": None})

    @torch.inference_mode()
    def _batch(self, cell: Cell, ids: list[int]) -> tuple[Clips, dict[str, float]]:
        """The frames "b t d", and evaluations and seconds of processor time a clip."""
        system = self.model.system
        canvas = Canvas.blank(len(ids), FRAMES, system.spec, system.view)
        settings = sampling(cell, self.model.checkpoint.config.sampling)
        self.count.start()
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            made = system.generate(canvas, self.held.values(ids, cell.conditions), ids, settings)
        seconds = time.process_time() - started
        frames = self.model.codec.as_frames(made, system.view).float().numpy()
        return frames, {"evaluations": self.count.each(len(ids)), "cpu_seconds": seconds / len(ids)}

    def _sign(self, folder: Path, cell: Cell) -> None:
        """Note what made the clips.  Raises ValueError where they were made by other weights."""
        version, note = self.model.checkpoint.version, folder / "cell.json"
        if note.exists() and (before := json.loads(note.read_text(encoding="utf-8"))["version"]) != version:
            raise ValueError(f"{folder} was made by the weights {before}, not {version}; remove it, or name another --made.")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, {"cell": asdict(cell), "version": version, "view": self.model.system.view})


def sampling(cell: Cell, own: Config) -> Config:
    """The settings of a cell, for a system whose own are these."""
    if cell.solver == "own":
        return own
    told = {
        "solver": cell.solver,
        "schedule": cell.schedule,
        "guidance": {"all": cell.guidance},
        "guidance_interval": cell.interval,
        "guidance_rescale": cell.rescale,
        **({"steps": cell.steps} if cell.tolerance is None else {"tolerance": cell.tolerance}),
    }
    return type(own).model_validate(told)


def save(path: Path, array: np.ndarray) -> None:
    """Write an array all or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part.npy")
    np.save(part, array)
    os.replace(part, path)


# Judging --------------------------------------------------------------------------------------------------------------


class Judge:
    """Listens to what was made; what it heard of a batch is kept beside it."""

    def __init__(self, held: Held, folder: Path, codec: str, draws: int):
        self.held, self.folder, self.codec, self.draws = held, folder, load_codec(codec), draws
        self._real: dict[tuple[str, int], list[frechet.Gaussian]] = {}

    def judge(self, cell: Cell, n: int) -> dict[str, Any]:
        """Everything about the first n clips of a cell."""
        frames, heard = zip(*(self._batch(cell, ids) for ids in self.held.batches(n)), strict=True)
        counts = frechet.resamples(n, self.draws)
        spaces = {"frames": np.concatenate(frames), "mel": np.concatenate([one["mel"] for one in heard])}
        drawn = {}
        for space, clips in spaces.items():
            distances = frechet.distances(frechet.moments(clips), self._reals(space, n, counts), counts)
            drawn[space] = [float(f"{value:.6g}") for value in distances]
        names = [name for name in heard[0] if name != "mel" and (name != "log_mel" or cell.conditions != "words")]
        figures = {name: interval(np.concatenate([one[name] for one in heard]).tolist()) for name in names}
        return {"cell": asdict(cell), "name": cell.name, "n": n, "figures": figures, "frechet": drawn, **self.cost(cell)}

    def _batch(self, cell: Cell, ids: list[int]) -> tuple[Clips, dict[str, np.ndarray]]:
        frames = self._frames(cell, ids)
        kept = self.folder / cell.name / "heard" / f"{ids[0]:05d}.npz"
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_name(f".{kept.name}")
            np.savez(part.with_suffix(".part.npz"), **self._listen(cell, ids, frames))
            os.replace(part.with_suffix(".part.npz"), kept)
        with np.load(kept) as heard:
            return frames, dict(heard)

    def _frames(self, cell: Cell, ids: list[int]) -> Clips:
        """What was made, or stands for a floor, "b t d"."""
        if cell.model not in FLOORS:
            return np.load(self.folder / cell.name / f"{ids[0]:05d}.npy").astype(np.float32)
        if cell.model != "tokens":
            return self.held.frames(ids)
        tokens = torch.from_numpy(self.held.array("tokens")[ids, :LEVELS, :FRAMES].astype(np.int64))
        with torch.inference_mode():
            return self.codec.from_tokens(tokens).numpy()

    @torch.inference_mode()
    def _listen(self, cell: Cell, ids: list[int], frames: Clips) -> dict[str, np.ndarray]:
        real, rate = self.held.audio(ids, self.codec), self.codec.sample_rate
        parts = torch.from_numpy(frames).split(PART)
        made = real if cell.model == "real" else [one[0].numpy() for part in parts for one in self.codec.decode(part)]
        mels = np.stack([spectra.log_mel(one, rate) for one in made])  # b m t
        levels = np.stack([spectra.level_mel(one, rate) for one in made])
        return {
            "mel": levels.transpose(0, 2, 1)[:, ::EVERY].astype(np.float16),
            "log_mel": np.array([spectra.log_mel_db(ours, theirs, rate) for ours, theirs in zip(made, real, strict=True)]),
            "dispersion": np.array([spectra.dispersion(mel) for mel in mels]),
            "flux": np.abs(np.diff(mels, axis=2)).mean((1, 2)),
        }

    def _reals(self, space: str, n: int, counts: frechet.Array) -> list[frechet.Gaussian]:
        """The real renderings' Gaussian in each resample, made once for all cells."""
        if (space, n) not in self._real:
            batches = [self._batch(Cell("real", ""), ids) for ids in self.held.batches(n)]
            clips = np.concatenate([frames if space == "frames" else heard["mel"] for frames, heard in batches])
            self._real = {key: value for key, value in self._real.items() if key[1] == n}
            self._real[space, n] = frechet.moments(clips).gaussians(counts)
        return self._real[space, n]

    def cost(self, cell: Cell) -> dict[str, Any]:
        """Evaluations a clip, seconds (the median batch's: the first one also compiles), and what made the clips."""
        if cell.model in FLOORS:
            return {"evaluations": None, "seconds": None, "version": None, "view": None}
        folder = self.folder / cell.name
        note = json.loads((folder / "cell.json").read_text(encoding="utf-8"))
        notes = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("[0-9]*.json"))]
        seconds = [note["cpu_seconds"] for note in notes if note.get("cpu_seconds") is not None]
        return {
            "evaluations": float(np.mean([note["evaluations"] for note in notes])) if notes else None,
            "seconds": float(np.median(seconds)) if seconds else None,
            "version": note["version"],
            "view": note["view"],
        }


def made_cells(folder: Path, held: Held, n: int) -> list[Cell]:
    """The floors, and the cells of which n clips are there."""
    files = [f"{ids[0]:05d}.npy" for ids in held.batches(n)]
    cells = [Cell(name, "") for name in FLOORS]
    for note in sorted(folder.glob("*/cell.json")):
        if all((note.parent / file).exists() for file in files):
            cell = json.loads(note.read_text(encoding="utf-8"))["cell"]
            cells.append(Cell(**{**cell, "interval": tuple(cell["interval"])}))
    return cells


def judged(target: Path, cost: dict[str, Any]) -> bool:
    """Whether the result is there, and is that of these weights."""
    return target.exists() and json.loads(target.read_text(encoding="utf-8")).get("version") == cost["version"]


def judge_all(args: argparse.Namespace, held: Held) -> None:
    """Judge the cells that are there and not judged yet: those that are asked for, or all."""
    judge, names = Judge(held, args.made, args.codec, args.draws), {cell.name for cell in asked(args)}
    for cell in made_cells(args.made, held, args.clips):
        target = args.out / f"{cell.name}-n{args.clips}.json"
        if (not names or cell.name in names) and not judged(target, judge.cost(cell)):
            started = time.perf_counter()
            write_json(target, judge.judge(cell, args.clips))
            print(f"{cell.name}, {args.clips} clips: judged in {time.perf_counter() - started:.0f} s", flush=True)


def asked(args: argparse.Namespace) -> list[Cell]:
    """The cells that are named, by themselves or by their grid."""
    texts = [*args.cell, *(text for name in args.grid for text in grid(name))]
    return [Cell.read(args.model, text) for text in texts]


def make_all(args: argparse.Namespace, held: Held) -> None:
    """Make the cells that are asked for."""
    maker = Maker(args.model, held, args.made)
    for cell in asked(args):
        maker.make(cell, args.clips)


def machine() -> str:
    """The processor's name as the system has it, and the number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    cores = os.cpu_count() or 1
    return f"{name}, {cores} core{'s' * (cores > 1)}"


def main() -> None:
    """Make, judge or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("make", "judge", "report"))
    parser.add_argument("--model", default="jasco-tiny", help="shipped name or folder; its last part names the cells")
    parser.add_argument("--cell", nargs="+", default=[])
    parser.add_argument("--grid", nargs="+", default=[], choices=tuple(GRIDS))
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--corpus", type=Path, default=Path("runs/few"))
    parser.add_argument("--latents", type=Path, default=Path("runs/few-latents"))
    parser.add_argument("--codec", default="spectral-tiny")
    parser.add_argument("--made", type=Path, default=Path("runs/few-made"))
    parser.add_argument("--out", type=Path, default=Path("runs/few-results"))
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--markdown", type=Path, help="the tables as a page")
    parser.add_argument("--figure", type=Path, help="quality over evaluations, of --clips clips")
    parser.add_argument("--machine", default=machine(), help="as the page names it; by default, what the system says")
    args = parser.parse_args()
    torch.set_num_threads(1)
    held = Held(args.corpus, args.latents)
    try:
        if args.command == "make":
            make_all(args, held)
        elif args.command == "judge":
            judge_all(args, held)
        else:
            report.write(args.out, args.clips, args.machine, args.markdown, args.figure)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
