"""What exhibits share: music, codecs, networks and cells, each named once, so that each is made once."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from counterpoint.study import part
from counterpoint.study.damaged import Damaged
from counterpoint.study.design import Asked, Column
from counterpoint.study.material import Coder, Frames, Music, Network
from counterpoint.study.part import Part
from counterpoint.study.taken import Ears, Held, Taken

from .sizes import SIZES, Size

Cell = TypeVar("Cell", bound=Part)

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MODELS = ("AR", "FM (EnC)", "FM (VAE)")
CONTROLS = ("chords", "drums", "melody")
LANES = tuple(f"system.controls.{name}={{channels=32}}" for name in CONTROLS)
QUALITY = (
    Column("fad", "FAD", "lower"),
    Column("clap", "CLAP", "higher"),
    *(Column(axis, axis.upper(), "higher") for axis in ("pq", "pc", "ce")),
)


@dataclass(frozen=True)
class Things:
    """What exhibits share, by what is asked: each is named once, so that each is made once."""

    asked: Asked

    @cached_property
    def size(self) -> Size:
        return SIZES[self.asked.scale]

    @property
    def seeds(self) -> range:
        return range(self.size.seeds if self.asked.seeds is None else self.asked.seeds)

    @cached_property
    def ears(self) -> Ears:
        return Ears(self.asked.fad, self.asked.clap, self.asked.aesthetics)

    @cached_property
    def known(self) -> dict[str, Any]:
        """The cells so far, by their keys."""
        return {}

    def once(self, cell: Cell) -> Cell:
        """The cell, or that of another exhibit which differs from it by name alone."""
        return self.known.setdefault(part.key(cell), cell)

    @cached_property
    def music(self) -> Music:
        if self.asked.data is not None:
            return Music("music", self.size.clip_seconds, folder=self.asked.data)
        if not self.size.hours:
            raise ValueError(
                "The scale paper trains on your music, 20000 hours of it in the paper; name its folder with --data."
            )
        return Music("music", self.size.clip_seconds, self.size.hours, seed=101)

    @cached_property
    def held_out(self) -> Music:
        if self.asked.data is not None:
            return self.music
        return Music("held-out", self.size.clip_seconds, self.size.clips * self.size.clip_seconds / 3600, seed=202)

    def coder(self, rate: int, kind: str = "EnC") -> Coder:
        file, *changes = (self.size.continuous if kind == "VAE" else self.size.quantised)[rate]
        pace = self.size.pace[kind == "VAE"]
        return Coder(f"codec-{kind.lower()}-{rate}", RECIPES / file, self.music, tuple(changes), pace)

    def frames(self, rate: int, kind: str = "EnC", held: Music | None = None) -> Frames:
        """Training frames, or those of held-out music; at 50 frames a second with controls."""
        music = held or self.music
        name = f"frames-{kind.lower()}-{rate}" + (f"-{held.name}" if held and held != self.music else "")
        labelled = (rate, kind) == (50, "EnC") and not isinstance(music, Damaged)
        return Frames(name, self.coder(rate, kind), music, labelled)

    def held(self, rate: int, kind: str = "EnC", seconds: float | None = None, music: Music | None = None) -> Held:
        splits = ("valid", "test") if self.asked.data is not None and music is None else ("train", "valid", "test")
        frames = self.frames(rate, kind, music or self.held_out)
        return Held(frames, self.size.clips, seconds or self.size.seconds, splits)

    def network(self, model: str, rate: int, seed: int = 0, name: str = "", changes: tuple[str, ...] = ()) -> Network:
        """A model of table 2, or, with a name of its own, one that is trained otherwise."""
        size, kind = self.size, "VAE" if "VAE" in model else "EnC"
        file = size.ar if model == "AR" else size.vae if kind == "VAE" else size.fm
        plain = () if model == "AR" or self.asked.scale == "paper" else ("system.canvas=0",)
        short = {"AR": "ar", "FM (EnC)": "fm", "FM (VAE)": "fm-vae"}[model]
        changes = (*plain, *size.changes, *changes)
        return Network(f"{short}-{rate}{name}-s{seed}", RECIPES / file, self.frames(rate, kind), changes, seed)

    def taken(
        self,
        name: str,
        network: Network,
        held: Held,
        sampling: tuple[str, ...] = (),
        told: tuple[str, ...] = ("text",),
        metrics: tuple[str, ...] = ("frechet", "text"),
    ) -> Taken:
        """A cell by an exhibit's name; flow takes the scale's steps, unless others are asked for."""
        own = () if network.autoregressive else (f"steps={self.size.steps}",)
        return self.once(Taken(f"{name}-{network.name}", network, held, self.ears, told, sampling or own, metrics))


def controlled(things: Things, model: str, seed: int) -> Network:
    """A model of 50 frames a second that also learns chords, tune and drums, each left out by chance."""
    return things.network(model, 50, seed, "-controls", (*LANES, "system.drop_music=any"))
