"""Does strict control make autoregression sure of itself, and does guidance by several sources undo it?  Entropy as it draws.

    python benchmarks/entropy.py runs/musicgen-tiny-controls --latents runs/control-latents \\
        --figure docs/entropy.png --markdown benchmarks/results/entropy.md

The paper (appendix I, figure 9) sees the entropy of the first codebook fall under temporal controls, and asks whether guidance
by several sources would mend the fidelity that is lost.  Here: held-out clips, drawn by the model with its own sampling; the
entropy (bits, of at most log2 of the codebook's size) of what the first level is drawn from, before temperature and top-p, at
each frame, mean over clips; and over frames, with bootstrap intervals over clips.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from adherence import CONTROLS, SECONDS, held_out
from counterpoint.files import renamed, write_text
from counterpoint.hub import checkpoint
from counterpoint.study.entropy import drawn
from counterpoint.systems.musicgen import Musicgen
from intervals import interval, table

CELLS: Mapping[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "nothing": ((), {"all": 1.0}),
    "words": (("text",), {"all": 1.0}),
    "words, guidance 3": (("text",), {"all": 3.0}),
    "chords": (("text", "chords"), {"all": 1.0}),
    "all controls": (("text", *CONTROLS), {"all": 1.0}),
    "all controls, guidance 1.5": (("text", *CONTROLS), {"all": 1.5}),
    "all controls, guidance 3": (("text", *CONTROLS), {"all": 3.0}),
    "all controls, all=1.5, text=1.5": (("text", *CONTROLS), {"all": 1.5, "text": 1.5}),
    "all controls, all=1, text=2": (("text", *CONTROLS), {"all": 1.0, "text": 2.0}),
}
"""What is told, and how it is weighed."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("model")
    parser.add_argument("--latents", type=Path, default=Path("runs/control-latents"))
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    system = checkpoint.load(arguments.model).system.eval()
    assert isinstance(system, Musicgen), "only autoregression draws tokens"
    chosen = [clips.item(i, 0).values for clips, i in list(held_out(arguments.latents))[: arguments.clips]]
    frames = system.spec.frames(SECONDS)
    curves: dict[str, np.ndarray] = {}
    for cell, (names, weights) in CELLS.items():
        told = {name: [values.get(name) for values in chosen] for name in names}
        sampling = system.config.sampling.model_copy(update={"guidance": weights})
        curves[cell] = drawn(system, told, sampling, list(range(len(chosen))), frames)
        print(f"{cell}: {curves[cell].mean():.2f} bits", flush=True)
    rows = {cell: {"bits": interval(curve.mean(1).tolist())} for cell, curve in curves.items()}
    text = table(rows, "told")
    if arguments.markdown:
        head = (__doc__ or "").split("\n\n")[2]
        write_text(
            arguments.markdown,
            f"# Entropy under control\n\n{head}\n\n{Path(arguments.model).name}, n = {len(chosen)}.\n\n{text}\n",
        )
    if arguments.figure:
        draw(curves, system.spec.rate, arguments.figure)


def draw(curves: Mapping[str, np.ndarray], rate: float, path: Path) -> None:
    """The means over clips, smoothed over a second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4), layout="constrained")
    window = round(rate)
    for cell, curve in curves.items():
        mean = np.convolve(curve.mean(0), np.ones(window) / window, "valid")
        axes.plot((np.arange(len(mean)) + window / 2) / rate, mean, label=cell)
    axes.set(xlabel="seconds", ylabel="bits", title="Entropy of the first codebook while it is drawn")
    axes.legend(fontsize=7, ncols=2)
    with renamed(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix.lstrip("."))


if __name__ == "__main__":
    main()
