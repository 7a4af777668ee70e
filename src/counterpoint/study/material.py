"""Parts that are made before anything is measured: music, codecs, their frames, and the networks that are trained on them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from counterpoint import audio as sound
from counterpoint import config as settings
from counterpoint import encoding
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.conditioners.score import paint
from counterpoint.data.corpus.corpus import compose_corpus
from counterpoint.data.index import index
from counterpoint.files import write_text
from counterpoint.hub import checkpoint
from counterpoint.labelling import label
from counterpoint.recipe.base import AnyRecipe, CodecRecipe, DistillRecipe, Recipe, read
from counterpoint.recipe.run import run_recipe
from counterpoint.study import cost
from counterpoint.study.part import Part, Workshop, claim
from counterpoint.types import Spec

_ELSEWHERE = ("name", "codec", "start", "weights", "samples")
"""Settings of a recipe that a study gives itself, or that change nothing; a codec's own table is none of them."""


@dataclass(frozen=True)
class Music(Part):
    """Music with captions: composed, `hours` of it, or in a folder of somebody's.

    Clips last `clip_seconds`.  Of a folder the train split is learnt from, and what is held out is asked for.
    """

    clip_seconds: float
    hours: float = 0.0
    seed: int = 0
    renderer: str = "builtin"
    folder: Path | None = None

    def needs(self) -> tuple[Part, ...]:
        return ()

    def recipe(self) -> Mapping[str, Any]:
        if self.folder is not None:
            return {"folder": self.folder.name, "clip_seconds": self.clip_seconds}
        return {"hours": self.hours, "seed": self.seed, "renderer": self.renderer, "clip_seconds": self.clip_seconds}

    def source(self, shop: Workshop) -> Path:
        """Where the audio is."""
        return self.folder or shop.place(self) / "corpus"

    def done(self, shop: Workshop) -> bool:
        return self.folder is not None or (self.source(shop) / "metadata.jsonl").is_file()

    def make(self, shop: Workshop) -> None:
        if self.folder is None:
            claim(self, shop)
            compose_corpus(
                self.source(shop), hours=self.hours, seed=self.seed, renderer=self.renderer, seconds=self.clip_seconds
            )

    def seconds(self, flops: float) -> float:
        return 0.0 if self.folder else self.hours * 3600 / (100 if self.renderer == "soundfont" else 150)


@cache
def recipe_of(recipe: Path, changes: tuple[str, ...]) -> AnyRecipe:
    """A recipe under changes, read once.  Raises ValueError."""
    return read(recipe, changes)


def content_of(recipe: Path, changes: tuple[str, ...]) -> dict[str, Any]:
    """The settings that decide what a run becomes."""
    content = json.loads(settings.dump(recipe_of(recipe, changes)))
    codec = content.get("codec")
    for name in _ELSEWHERE:
        content.pop(name, None)
    for name in ("folder", "folders"):
        content.get("data", {}).pop(name, None)
    return content | ({"codec": codec} if isinstance(codec, dict) else {})


@dataclass(frozen=True)
class Coder(Part):
    """A codec, trained by a recipe on some music."""

    file: Path
    music: Music
    changes: tuple[str, ...] = ()
    pace: float = 20.0
    """Seconds of audio that a worker learns from in a second, for a recipe of so small a codec that FLOPs say little."""

    def needs(self) -> tuple[Part, ...]:
        return (self.music,)

    def recipe(self) -> Mapping[str, Any]:
        return content_of(self.file, self.changes)

    @property
    def settings(self) -> CodecRecipe:
        found = recipe_of(self.file, self.changes)
        assert isinstance(found, CodecRecipe)
        return found

    @property
    def spec(self) -> Spec:
        return _spec(self)

    def done(self, shop: Workshop) -> bool:
        return _trained(shop.place(self))

    def make(self, shop: Workshop) -> None:
        source, folder = self.music.source(shop), claim(self, shop)
        changes = (*self.changes, f"data.folders={json.dumps([str(source)])}", "samples=0")
        _train(self.file, changes, folder, shop, lambda: _check(folder, index(source, self.music.clip_seconds).rows[0].path))

    def seconds(self, flops: float) -> float:
        found = self.settings
        return 30 + found.train.steps * found.train.batch_size * found.data.crop_seconds / self.pace


@cache
def _spec(coder: Coder) -> Spec:
    config = coder.settings.codec
    with torch.device("cpu" if config.kind == "spectral" else "meta"):  # that one computes its bands
        return config.build().spec


@dataclass(frozen=True)
class Frames(Part):
    """Music under a codec, with labels of chords, tune and drums where `controls`."""

    coder: Coder
    music: Music
    controls: bool = False

    def needs(self) -> tuple[Part, ...]:
        return (self.coder, self.music)

    def recipe(self) -> Mapping[str, Any]:
        return {"controls": self.controls, "clip_seconds": self.music.clip_seconds}

    def cache(self, shop: Workshop) -> Path:
        """The folder that `data.folder` of a recipe names."""
        return shop.place(self) / "frames"

    def done(self, shop: Workshop) -> bool:
        cache = self.cache(shop)
        return (cache / "info.json").is_file() and (not self.controls or (cache / "controls" / "info.json").is_file())

    def make(self, shop: Workshop) -> None:
        claim(self, shop)
        codec = checkpoint.load_codec(shop.place(self.coder))
        found = encoding.take_stock(self.music.source(shop), self.cache(shop), self.music.clip_seconds)
        encoding.encode(found, codec, self.cache(shop), paint)
        if self.controls:
            label(found, codec, self.cache(shop), DrumsConfig())

    def seconds(self, flops: float) -> float:
        return 10 + self.music.hours * 3600 / (40 if self.controls else 60)


@dataclass(frozen=True)
class Network(Part):
    """A generator, trained by a recipe on frames; where the recipe goes on from other weights or a teacher, from `start`."""

    file: Path
    frames: Frames
    changes: tuple[str, ...] = ()
    seed: int = 0
    start: "Network | None" = None

    def needs(self) -> tuple[Part, ...]:
        return (self.frames, *(() if self.start is None else (self.start,)))

    def recipe(self) -> Mapping[str, Any]:
        content = content_of(self.file, self.changes)
        content["train"] = {**content["train"], "seed": self.seed}
        return content

    @property
    def settings(self) -> Recipe | DistillRecipe:
        found = recipe_of(self.file, self.changes)
        assert isinstance(found, Recipe | DistillRecipe)
        return found

    def done(self, shop: Workshop) -> bool:
        return _trained(shop.place(self))

    def make(self, shop: Workshop) -> None:
        told = {"data.folder": self.frames.cache(shop), "train.seed": self.seed, "samples": 0}
        if isinstance(self.settings, Recipe):
            told["codec"] = shop.place(self.frames.coder)
        if self.start is not None:
            told["weights" if isinstance(self.settings, Recipe) else "start"] = shop.place(self.start)
        _train(self.file, (*self.changes, *(f"{name}={value}" for name, value in told.items())), claim(self, shop), shop)

    def parameters(self) -> int:
        """How many numbers are learnt, words' own table aside."""
        if self.config is None:
            assert self.start is not None, "a student has a teacher"
            return self.start.parameters()
        return cost.parameters(self.config, self.frames.coder.spec)

    def flops(self) -> float:
        found = self.settings
        items = found.train.steps * found.train.batch_size * found.train.accumulate
        return 3 * items * self.forward(found.data.crop_seconds) * (3 if self.config is None else 1)

    def forward(self, seconds: float) -> float:
        """FLOPs of one pass over so many seconds of one item."""
        if self.config is None:
            assert self.start is not None, "a student has a teacher"
            return self.start.forward(seconds)
        return cost.forward(self.config, self.frames.coder.spec, seconds)

    @property
    def config(self) -> checkpoint.SystemConfig | None:
        """The system's; None for a student, which is as its teacher is."""
        found = self.settings
        return found.system if isinstance(found, Recipe) else None

    @property
    def autoregressive(self) -> bool:
        """Whether it makes token after token."""
        return self.config is not None and self.config.kind == "musicgen"

    def seconds(self, flops: float) -> float:
        return 5 + self.flops() / flops


_MADE = "trained.json"
"""In a trained part's folder, written last."""


def _trained(folder: Path) -> bool:
    return (folder / _MADE).is_file()


@torch.inference_mode()
def _check(folder: Path, clip: Path) -> None:
    """Raises ValueError where a codec gives the same whatever it was given, as one does that has learnt nothing."""
    codec = checkpoint.load_codec(folder)
    heard, rate = sound.read(clip)
    audio = sound.resample(sound.mix(heard, codec.channels), rate, codec.sample_rate)[None, :, : 5 * codec.sample_rate]
    frames = codec.encode(audio)
    made, nothing = codec.decode(frames), codec.decode(torch.zeros_like(frames))
    if (made - nothing).square().mean() < 0.01 * made.square().mean():
        raise ValueError(f"{folder} sounds the same whatever it is given; train that codec for longer, or at a larger scale.")


def _train(
    file: Path, changes: tuple[str, ...], folder: Path, shop: Workshop, check: Callable[[], None] = lambda: None
) -> None:
    outcome = run_recipe(file, changes, folder, shop.device)
    if not outcome.done:
        raise KeyboardInterrupt  # it was asked to stop, and has saved its state
    check()
    told = {"steps": outcome.step, "minutes": round(outcome.minutes, 3)}
    write_text(folder / _MADE, json.dumps(told) + "\n")
