"""The same request of several models, side by side: to listen to, and as one picture to look at.

comparison.compare(["musicgen-tiny", "jasco-tiny"], "a slow waltz for piano", seconds=10).save("waltz/")
"""

import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import destination, generation, request, sampler
from counterpoint.files import writing
from counterpoint.generation import Model, Take, share
from counterpoint.nn import spectral
from counterpoint.request import Request, Wishes
from counterpoint.takes import shortened
from counterpoint.types import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BANDS, WINDOW, HOP = 128, 2048, 512
"""Of the picture's mel spectra: bands, and samples of a window and between windows at 32 kHz, scaled for other rates."""
RANGE = 70.0
"""Decibels below the loudest that are drawn."""


@dataclass(frozen=True)
class Entry:
    """What one model made of the request."""

    name: str
    take: Take
    sampled: str
    """How it was sampled, in words."""
    refused: tuple[str, ...]
    """Why it did not take settings that other models took, a clause each."""

    @property
    def elapsed(self) -> float:
        """Seconds of work: planning, making and decoding, but not the loading of the model."""
        return sum(self.take.record["timings"].values())


@dataclass(frozen=True)
class Comparison:
    """A request, and what each of the models made of it."""

    asked: Request
    entries: tuple[Entry, ...]

    def save(self, folder: str | Path | None = None, format: str | None = None) -> list[Path]:
        """Write a file of audio for each model, and last a picture; they take their names when all of them are written.

        The names tell prompt, seed and model, and go round what is there.  Raises ValueError where nothing can be written.
        """
        output = None if folder is None else os.fspath(folder)
        names = [entry.name for entry in self.entries]
        targets = destination.comparison_files(self.asked.text, output, format, self.asked.seed, names)
        into = targets[0].parent
        with writing(into):
            into.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".comparison-", dir=into) as beside:
                parts = [Path(beside) / target.name for target in targets]
                for entry, part in zip(self.entries, parts[:-1], strict=True):
                    entry.take.save(part)
                with warnings.catch_warnings(action="ignore", category=UserWarning):  # signs that the font lacks are boxes
                    self.draw().savefig(parts[-1], dpi=110)
                for part, target in zip(parts, targets, strict=True):
                    os.replace(part, target)
        return targets

    def draw(self) -> "Figure":
        """A row for each model: its name, how it was sampled and how long that took; waveform; mel spectrum."""
        from matplotlib.figure import Figure

        rows = len(self.entries)
        figure = Figure(figsize=(13, 0.9 + 2.2 * rows), layout="constrained")
        figure.suptitle(self._heading(), fontsize=11, parse_math=False)
        peak = max(entry.take.audio.abs().max().item() for entry in self.entries)
        highest = max(entry.take.sample_rate for entry in self.entries) / 2
        grid = figure.subplots(rows, 2, squeeze=False)
        for (wave, spectrum), entry in zip(grid, self.entries, strict=True):
            _draw_wave(wave, entry.take, peak)
            _draw_mel(spectrum, entry.take, highest)
            wave.set_title(entry.name, loc="left", fontsize=11, fontweight="bold", parse_math=False)
            spectrum.set_title(_caption(entry), loc="left", fontsize=9)
        for axes in grid[-1]:
            axes.set_xlabel("seconds")
        return figure

    def _heading(self) -> str:
        records = [entry.take.record for entry in self.entries]
        plan = next((record["summary"] for record in records if record["summary"] != "none"), "none")
        words = shortened(self.asked.text, 90)
        return f"{words}\n{records[0]['seconds']:g} s, seed {self.asked.seed}, plan: {plan}"


def compare(
    models: Sequence[str | Path],
    text: str,
    seconds: float | None = None,
    seed: int = 0,
    plan: str | Path = "auto",
    *,
    planner: str = "rules",
    device: str = "cpu",
    progress: Progress | None = None,
    **wishes: Unpack[Wishes],
) -> Comparison:
    """The music of `Model.generate` by each of the models: the same words, plan and seed.

    A setting of the sampler goes to the models that can take it, and the entries of the others say why they did not; raises
    ValueError for one that none can take, as for whatever a model cannot do, before anything is made.
    """
    if isinstance(models, str):
        raise ValueError(f"The models to compare are a list, such as ['musicgen-tiny', 'jasco-tiny'], not {models!r}.")
    if find_spec("matplotlib") is None:
        raise ValueError(
            "A comparison is drawn with matplotlib, which is not there: python -m pip install 'counterpoint[eval]'."
        )
    names = destination.model_names(models)
    asked = request.ask(text, seconds, seed, plan, wishes, planner=planner)
    loaded = [generation.load(model, device) for model in models]
    refused = _refused(names, loaded, asked)
    orders = [asked.model_copy(update=dict.fromkeys(reasons)) for reasons in refused]
    for model, order in zip(loaded, orders, strict=True):
        model.check(order)
    entries: list[Entry] = []
    for i, (name, model, order, reasons) in enumerate(zip(names, loaded, orders, refused, strict=True)):
        take = next(model.takes(order, share(progress, i, len(names))))
        config = model.checkpoint.config
        sampled = sampler.describe(config, sampler.settle(name, config, order, take.score is not None))
        entries.append(Entry(name, take, sampled, tuple(reasons.values())))
    return Comparison(asked, tuple(entries))


def _refused(names: Sequence[str], models: Sequence[Model], asked: Request) -> list[dict[str, str]]:
    """What each model cannot take, with the reasons.  Raises ValueError for what none of them can."""
    refused = [sampler.refusals(name, model.checkpoint.config, asked) for name, model in zip(names, models, strict=True)]
    for setting in asked.sampling():
        reasons = [reasons[setting] for reasons in refused if setting in reasons]
        if len(reasons) == len(models):
            raise ValueError(f"None of the models can take {setting}: {', and '.join(reasons)}.")
    return refused


def _caption(entry: Entry) -> str:
    alone = ", from the words alone" if entry.take.score is None else ""
    return f"{entry.elapsed:.1f} s of work: {entry.sampled}{alone}"


def _draw_wave(axes: "Axes", take: Take, peak: float) -> None:
    """The lowest and the highest sample of each of a thousand stretches."""
    heard = take.audio.mean(0)
    size = max(1, heard.shape[-1] // 1000)
    stretches = heard[: heard.shape[-1] // size * size].view(-1, size)
    times = (torch.arange(len(stretches)) + 0.5) * (size / take.sample_rate)
    axes.fill_between(times.numpy(), stretches.amin(1).numpy(), stretches.amax(1).numpy(), color="#1f4e79", linewidth=0.3)
    axes.set_xlim(0, heard.shape[-1] / take.sample_rate)
    axes.set_ylim(-peak, peak)
    axes.set_yticks([])


def _draw_mel(axes: "Axes", take: Take, highest: float) -> None:
    mel, top = log_mel(take.audio.mean(0), take.sample_rate), take.sample_rate / 2
    length = take.audio.shape[-1] / take.sample_rate
    ends = (0, length, 0, _mel(top))
    axes.imshow(mel.T.numpy(), origin="lower", aspect="auto", cmap="magma", extent=ends, vmin=-RANGE, vmax=0)
    ticks = [tick for tick in (300, 1000, 3000, 8000, 16000) if tick <= highest]
    axes.set_yticks(
        [_mel(tick) for tick in ticks], [f"{tick / 1000:g} kHz" if tick >= 1000 else f"{tick} Hz" for tick in ticks]
    )
    axes.set_ylim(0, _mel(highest))
    axes.set_facecolor("black")


def log_mel(heard: Float[Tensor, " n"], sample_rate: int) -> Float[Tensor, "t m"]:
    """Mel magnitudes in dB, the loudest at 0."""
    scale = sample_rate / 32000
    size, hop = 2 * math.ceil(WINDOW * scale / 2), math.ceil(HOP * scale)
    magnitudes = spectral.stft(heard[None], size, hop)[0].abs()
    mel = magnitudes @ spectral.mel_filters(BANDS, size, sample_rate).T
    return 20 * (mel / mel.max().clamp_min(1e-7)).clamp_min(1e-7).log10()


def _mel(hertz: float) -> float:
    return spectral.hertz_to_mel(torch.tensor(float(hertz))).item()
