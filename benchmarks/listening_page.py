"""Writes docs/listening.md: what the shipped models make of a few requests, seen, and what is heard in it.

    python benchmarks/listening_page.py                     # docs/listening.md and docs/listening/*.png
    python benchmarks/listening_page.py --models jasco-tiny musicgen-tiny -o elsewhere/listening.md

Every picture has a column for each model: the spectrogram above, below what counterpoint's own analysers hear, as a piano-roll
(chords, tune, drums, down-beats).  The pictures have PALETTE colours, so that all of them together stay small.
"""

import argparse
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

import counterpoint
import spectra
from counterpoint import adherence
from counterpoint.adherence import Judged
from counterpoint.analysis.heard import Heard
from counterpoint.analysis.melody import notes_of
from counterpoint.files import renamed, write_text
from counterpoint.generation import Model, Take
from counterpoint.music import chord_name
from counterpoint.request import Request

MODELS = ("jasco-tiny", "musicgen-tiny", "jasco-tiny-fast")
SECONDS, SEED = 10.0, 1
PALETTE = 24
DRUMS = ("kick", "snare", "hat")


@dataclass(frozen=True)
class Example:
    """One request of the page, under the name of its picture."""

    name: str
    text: str
    plan: str = "auto"
    controls: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> Request:
        return Request(text=self.text, seconds=SECONDS, seed=SEED, plan=self.plan, **self.controls)

    def command(self, model: str) -> str:
        """What makes the same music on the command line."""
        flags = [part for name, value in self.controls.items() for part in (f"--{name}", str(value))]
        plan = [] if self.plan == "auto" else ["--plan", self.plan]
        words = ["counterpoint", "generate", self.text, "--model", model, "--seconds", f"{SECONDS:g}", "--seed", str(SEED)]
        return shlex.join([*words, *plan, *flags])


EXAMPLES = (
    Example("bossa", "a bossa nova with flute and nylon-string guitar, 120 bpm, in G major"),
    Example("techno", "dark techno, 132 bpm, A minor"),
    Example("piano", "a calm classical piano piece in D major, 80 bpm"),
    Example("folk", "a folk song for flute and guitar", controls={"chords": "C G Am F", "tempo": 104}),
    Example("words", "an energetic rock song, 120 bpm, E minor", plan="none"),
)


def picture(takes: Mapping[str, tuple[Take, Judged]]) -> bytes:
    """A PNG with a column for each model."""
    figure = Figure(figsize=(4 * len(takes), 3.4), layout="constrained")
    grid = figure.subplots(2, len(takes), squeeze=False, sharex=True)
    for (above, below), (model, (take, judged)) in zip(grid.T, takes.items(), strict=True):
        mel = spectra.log_mel(take.audio.mean(0).numpy(), take.sample_rate)
        seconds = take.audio.shape[-1] / take.sample_rate
        above.imshow(mel, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=(0, seconds, 0, 1))
        above.set_title(model, fontsize=9, loc="left")
        above.set_yticks([])
        _roll(below, judged.heard, seconds)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(PALETTE, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _roll(axes: Axes, heard: Heard, seconds: float) -> None:
    """The tune as bars, drums as ticks under it, chords' names over it, down-beats as lines."""
    notes = notes_of(heard.melody)
    low, high = min([pitch for *_, pitch in notes] or [60]) - 2, max([pitch for *_, pitch in notes] or [72]) + 4
    for time in heard.downbeats:
        axes.axvline(time, color="#bbbbbb", linewidth=0.8, zorder=0)
    for start, end, pitch in notes:
        axes.plot([start, end], [pitch, pitch], color="#1b7f5c", linewidth=3, solid_capstyle="butt")
    for lane, name in enumerate(DRUMS):
        axes.plot(heard.drums[name], [low - 2 - 2 * lane] * len(heard.drums[name]), "|", color="#33415c", markersize=5)
    before = None
    for span in heard.chords:
        if span.chord != before:
            axes.text(span.start, high, chord_name(span.chord, heard.key), fontsize=7, va="top", clip_on=True)
        before = span.chord
    lanes = [low - 2 - 2 * lane for lane in range(len(DRUMS))]
    octaves = [pitch for pitch in range(low, high) if pitch % 12 == 0]
    axes.set_yticks([*lanes, *octaves], [*DRUMS, *(f"C{pitch // 12 - 1}" for pitch in octaves)], fontsize=6)
    axes.set_ylim(lanes[-1] - 1, high)
    axes.set_xlim(0, seconds)
    axes.tick_params(axis="x", labelsize=6)


def write(page: Path, models: Sequence[Model], examples: Sequence[Example] = EXAMPLES) -> int:
    """Make all takes, write the pictures and last the page; the bytes of all pictures."""
    size, sections = 0, [_head([model.checkpoint.name for model in models], [model.checkpoint.version for model in models])]
    for example in examples:
        takes: dict[str, tuple[Take, Judged]] = {}
        for model in models:
            take = next(model.takes(example.request()))
            takes[model.checkpoint.name] = (take, adherence.judge(take))
        drawn = picture(takes)
        size += len(drawn)
        with renamed(page.parent / page.stem / f"{example.name}.png") as temporary:
            temporary.write_bytes(drawn)
        sections.append(_section(page.stem, example, takes))
        print(f"{example.name}: {len(drawn) / 1000:.0f} kB", flush=True)
    write_text(page, "\n\n".join(sections) + "\n")
    return size


def _head(names: Sequence[str], versions: Sequence[str]) -> str:
    chosen = "" if tuple(names) == MODELS else f" --models {' '.join(names)}"
    weights = ", ".join(f"`{name}` {version}" for name, version in zip(names, versions, strict=True))
    return f"""# What it sounds like, to look at

`python benchmarks/listening_page.py{chosen}` makes this page anew: {SECONDS:g} s of each request by each model, seed {SEED},
here by {weights}. A column is a model: its spectrogram, and below what counterpoint's own analysers hear (chords, tune, drums,
down-beats as lines). The sentences compare that with what was asked: of a plan, with all of its score."""


def _section(folder: str, example: Example, takes: Mapping[str, tuple[Take, Judged]]) -> str:
    heard = "\n".join(f"- `{model}`: {judged.report.sentence}." for model, (_, judged) in takes.items())
    title = example.text[0].upper() + example.text[1:]
    told = ", ".join(f"{name} {value}" for name, value in example.controls.items())
    aside = " (the words alone, without a plan)" if example.plan == "none" else f" ({told})" if told else ""
    return f"""## {title}{aside}

![{title}: spectrograms and what is heard]({folder}/{example.name}.png)

{heard}

```sh
{example.command(next(iter(takes)))}
```"""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("-o", "--out", type=Path, default=Path("docs/listening.md"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    size = write(args.out, [counterpoint.load(name) for name in args.models])
    print(f"{args.out}: pictures of {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
