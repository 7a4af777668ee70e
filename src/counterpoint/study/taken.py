"""A cell of clips: a network is asked for held-out music, whole or a gap in it, and what it makes is evaluated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint import config as settings
from counterpoint import rng, tries
from counterpoint.codecs.base import Codec
from counterpoint.config import Config
from counterpoint.data.index import index
from counterpoint.data.row import METADATA
from counterpoint.evaluation.evaluation import Settings, evaluate
from counterpoint.evaluation.report import Report
from counterpoint.evaluation.sets import ClipSet, gather
from counterpoint.files import write_text
from counterpoint.hub import checkpoint
from counterpoint.machine import autocast
from counterpoint.study import result
from counterpoint.study.held import HeldClip, canvas, gap, read_held
from counterpoint.study.material import Frames, Music, Network
from counterpoint.study.part import Part, Workshop, claim
from counterpoint.study.result import Figure, Result, figure
from counterpoint.systems.base import System

PART = 16
"""Clips that are made side by side."""
SLOW = 10
"""How much more an operation of autoregression takes than one of flow: all weights are read for every token."""
HEARD = 0.15
"""Seconds that it takes to decode, master and compare a second of a clip, roughly."""


@dataclass(frozen=True)
class Ears:
    """Which ear (as `counterpoint evaluate --embedder` names it) gives which of the paper's figures; "" gives none."""

    fad: str = "logmel"
    clap: str = "ear-tiny"
    aesthetics: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Each of them once."""
        return tuple(dict.fromkeys(name for name in (self.fad, self.clap, self.aesthetics) if name))

    def figures(self, report: Report) -> dict[str, Figure]:
        """The report's scores under the paper's names (fad and clap by their ears, pq, pc, ce), and all others as they are."""
        own = {f"frechet ({self.fad})": "fad", f"text_match ({self.clap})": "clap"}
        own |= {f"{axis} ({self.aesthetics})": axis.lower() for axis in ("PQ", "PC", "CE", "CU")}
        return {own.get(score.name, score.name): figure(score) for score in report.scores}


@dataclass(frozen=True)
class Held:
    """What is asked for: the first `clips` of some splits of `frames`, for so many seconds each, judged against `music`."""

    frames: Frames
    clips: int
    seconds: float
    splits: tuple[str, ...] = ("train", "valid", "test")

    @property
    def music(self) -> Music:
        return self.frames.music

    def plain(self) -> dict[str, Any]:
        """For a recipe."""
        return {"clips": self.clips, "seconds": self.seconds, "splits": list(self.splits)}

    def check(self) -> None:
        """Raises ValueError where somebody's folder holds too few clips to ask for, before anything is made of it."""
        folder = self.music.folder
        if folder is not None:
            rows = index(folder, self.music.clip_seconds).rows
            found = [row for row in rows if row.split in self.splits and row.captions and row.seconds >= self.seconds]
            if len(found) < self.clips:
                raise ValueError(
                    f"{folder} holds {len(found)} held-out clips with captions that last {self.seconds:g} s, and {self.clips} "
                    "are asked for; give more music, captions beside it, or a smaller scale."
                )

    def real(self, shop: Workshop, ids: Sequence[str] | None = None) -> ClipSet:
        """The recordings of some clips, or of the first by name."""
        found, wanted = gather(self.music.source(shop), clip_seconds=self.music.clip_seconds), set(ids or ())
        if ids is None:
            rows = index(self.music.source(shop), self.music.clip_seconds).rows
            wanted = set(sorted(row.id for row in rows if row.split in self.splits)[: self.clips])
        return replace(found, members=tuple(member for member in found.members if member.id in wanted), skipped=())


@dataclass(frozen=True)
class Taken(Part):
    """What a network makes of held-out clips.

    It is told `told`, and drawn from with its own sampling, changed as recipes are ("steps=10").  With `gap_seconds` a span so
    long is to be filled, `margin_seconds` from both ends at least; else all of a clip.  Of several `tries` each clip keeps the
    one that fits best (`counterpoint.tries`).
    """

    network: Network
    held: Held
    ears: Ears
    told: tuple[str, ...] = ("text",)
    sampling: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("frechet", "text")
    gap_seconds: float = 0.0
    margin_seconds: float = 0.0
    tries: int = 1

    def needs(self) -> tuple[Part, ...]:
        return (self.network, self.held.frames)

    def recipe(self) -> Mapping[str, Any]:
        names = ("told", "sampling", "metrics", "gap_seconds", "margin_seconds", "tries")
        asked = {name: getattr(self, name) for name in names}
        return json.loads(json.dumps({**asked, "held": self.held.plain(), "ears": vars(self.ears)}))

    def done(self, shop: Workshop) -> bool:
        return result.load(self, shop) is not None

    def make(self, shop: Workshop) -> None:
        started = perf_counter()
        folder = claim(self, shop) / "made"
        loaded = checkpoint.load(shop.place(self.network))
        system = loaded.system.to(shop.device)
        clips = read_held(self.held.frames.cache(shop), self.held.splits, self.held.seconds, self.held.clips, system.view)
        gaps = [self._gap(clip, loaded.codec) for clip in clips] if self.gap_seconds else None
        sampling = changed(loaded.config.sampling, self.sampling)
        self._make_clips(folder, clips, gaps, system, loaded.codec, sampling, shop.device)
        spans = {} if gaps is None else _seconds(clips, gaps, loaded.codec.spec.rate)
        _write_tables(folder, clips, spans)
        report = self._judged(folder, clips, spans, shop)
        notes = (f"made by {loaded.version}", *report.warnings)
        made = str(folder.relative_to(shop.folder))
        ids = tuple(member["id"] for member in _rows(folder) if member["id"] not in _refused(report))
        figures = self.ears.figures(report) | self._costs()
        done = Result(self.name, figures, ids, self.network.seed, made, {}, notes, report.protocol)
        result.save(self, done, shop, perf_counter() - started)

    def _gap(self, clip: HeldClip, codec: Codec) -> range:
        spec = codec.spec
        return gap(clip, spec.frames(self.held.seconds), spec.frames(self.gap_seconds), spec.frames(self.margin_seconds))

    def _make_clips(
        self,
        folder: Path,
        clips: Sequence[HeldClip],
        gaps: Sequence[range] | None,
        system: System,
        codec: Codec,
        sampling: Config,
        device: str,
    ) -> None:
        """Write those that are not there, PART by PART: each clip's draws are its own, whatever is made beside it."""
        codec = codec.to(device)
        samples = round(self.held.seconds * codec.sample_rate)
        for first in range(0, len(clips), PART):
            part = clips[first : first + PART]
            if all((folder / f"{clip.id}.flac").is_file() for clip in part):
                continue
            asked = canvas(part, system.spec.levels, None if gaps is None else gaps[first : first + PART])
            asked = replace(asked, frames=asked.frames.to(device), given=asked.given.to(device))
            values = {name: [clip.values.get(name) for clip in part] for name in self.told}
            seeds = [rng.mix(0, first + i) for i in range(len(part))]
            with torch.inference_mode(), autocast(device):
                filled, _ = tries.best(system, codec, asked, values, seeds, sampling, self.tries)
            with torch.inference_mode():
                frames = filled.float() if filled.is_floating_point() else filled
                heard = codec.decode(codec.as_frames(frames, system.view), samples).float().cpu()
            for clip, audio in zip(part, heard, strict=True):
                _write(folder / f"{clip.id}.flac", audio, codec.sample_rate, whole=gaps is None)

    def _judged(
        self, folder: Path, clips: Sequence[HeldClip], spans: Mapping[str, tuple[float, float]], shop: Workshop
    ) -> Report:
        made, real = gather(folder), self.held.real(shop, [clip.id for clip in clips])
        metrics = (*self.metrics, *(("aesthetics",) if self.ears.aesthetics else ()), *(("seams",) if spans else ()))
        how = Settings(metrics, self.ears.names, seconds=self.held.seconds, cache=shop.cache)
        return evaluate(made, real, how, spans or None)

    def _costs(self) -> dict[str, Figure]:
        """What does not depend on what was made: parameters, FLOPs of training, and FLOPs of making a clip."""
        costs = {"parameters": self.network.parameters(), "training_flops": self.network.flops()}
        costs["clip_flops"] = self.flops() / self.held.clips
        return {name: Figure(float(value)) for name, value in costs.items()}

    def flops(self) -> float:
        """One pass a token, or one for each evaluation; guidance asks twice."""
        network, seconds, clips = self.network, self.held.seconds, self.tries * self.held.clips
        if network.autoregressive:
            return 2 * clips * network.forward(seconds)
        steps = next((int(text.partition("=")[2]) for text in self.sampling if text.startswith("steps=")), 50)
        twice = 1 if "guidance={all=1}" in self.sampling else 2
        return twice * steps * clips * network.forward(seconds) * (2 if "strategy=inversion" in self.sampling else 1)

    def seconds(self, flops: float) -> float:
        slow = SLOW if self.network.autoregressive else 1
        heard = HEARD * (2 if len(self.metrics) > 2 else 1) * self.held.clips * self.held.seconds
        return 5 + slow * self.flops() / flops + heard


def changed(own: Config, changes: Sequence[str]) -> Config:
    """A model's sampling with changes such as "steps=10"; guidance takes the place of its own.  Raises ValueError."""
    content = own.model_dump()
    if any(change.startswith("guidance=") for change in changes):
        content.pop("guidance", None)
    return settings.parse(type(own), settings.override(content, changes), "sampling")


def _write(target: Path, audio: Tensor, rate: int, whole: bool) -> None:
    """Whole clips are handed out as takes are; what lies around a gap stays as loud as it was."""
    if not torch.isfinite(audio).all():
        raise ValueError(f"{target.stem} became numbers that are no sound; lower the guidance, or train for longer.")
    sound.write(target, sound.master(sound.fade(audio, rate), rate) if whole else audio, rate)


def _seconds(clips: Sequence[HeldClip], gaps: Sequence[range], rate: float) -> dict[str, tuple[float, float]]:
    return {clip.id: (span.start / rate, span.stop / rate) for clip, span in zip(clips, gaps, strict=True)}


def _write_tables(folder: Path, clips: Sequence[HeldClip], spans: Mapping[str, tuple[float, float]]) -> None:
    rows = [{"file_name": f"{clip.id}.flac", "id": clip.id, "text": clip.values["text"] or ""} for clip in clips]
    write_text(folder / METADATA, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    if spans:
        told = {name: {"mask_start": start, "mask_end": end} for name, (start, end) in spans.items()}
        write_text(folder.parent / "spans.json", json.dumps(told) + "\n")


def _rows(folder: Path) -> list[dict[str, Any]]:
    return sorted(map(json.loads, (folder / METADATA).read_text(encoding="utf-8").splitlines()), key=lambda row: row["id"])


def _refused(report: Report) -> set[str]:
    """Clips that turned out to be of no use, such as silent ones."""
    return {Path(thing["file"]).stem for thing in report.made["skipped"]}
