"""Which statistics of a log-mel spectrum tell sets of clips apart: what `embedders/logmel.py` was chosen by.

    python benchmarks/logmel_ear.py CORPUS OTHER_CORPUS [CLIPS]

For each number of bands, with and without deviations: the Frechet distance of two halves of CORPUS (no difference but chance),
and how much farther the second half is when it is damaged, or comes from OTHER_CORPUS: the mean over splits by its deviation.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint import audio
from counterpoint.embedders.logmel import FLOOR, FRAMES, HOP, RATE, SIZE
from counterpoint.nn.spectral import mel_filters, stft

Array = NDArray[np.float64]
BANDS = (8, 16, 24, 32, 64)
FILTERS = [mel_filters(bands, SIZE, RATE) for bands in BANDS]


def lower_rate(clip: Tensor) -> Tensor:
    """Without what 16 kHz cannot hold."""
    return audio.resample(audio.resample(clip, RATE, 16000), 16000, RATE)


def noisy(clip: Tensor) -> Tensor:
    """With white noise 30 dB below it."""
    noise = torch.randn(clip.shape, generator=torch.Generator().manual_seed(0))
    return clip + noise * clip.square().mean().sqrt() * 10 ** (-30 / 20)


def looped(clip: Tensor) -> Tensor:
    """Its first two seconds again and again."""
    return clip[:, : 2 * RATE].repeat(1, clip.shape[1] // (2 * RATE))


def sharp(clip: Tensor) -> Tensor:
    """Two semitones higher, and faster, the lost length wrapped around."""
    faster = audio.resample(clip, 35919, RATE)
    return torch.cat([faster, faster], dim=1)[:, : clip.shape[1]]


DAMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda clip: clip,
    "over 8 kHz cut": lower_rate,
    "noise at -30 dB": noisy,
    "first 2 s looped": looped,
    "2 semitones up": sharp,
    "1 dB louder": lambda clip: clip * 10 ** (1 / 20),
    "backwards": lambda clip: clip.flip(1),
}


def statistics(clip: Tensor) -> list[Array]:
    """For each number of bands the means and deviations of each second, "t 2m"."""
    power = stft(clip, SIZE, HOP)[0].abs().square()
    found = []
    for filters in FILTERS:
        seconds = (power @ filters.T + FLOOR).log10().double().unfold(0, FRAMES, FRAMES)  # second m frame
        found.append(torch.cat([seconds.mean(2), seconds.std(2, correction=0)], dim=1).numpy())
    return found


def frechet(one: Array, other: Array) -> float:
    """The squared Frechet distance of two sets of rows as Gaussians."""
    means, covariances = zip(*((rows.mean(0), np.cov(rows, rowvar=False)) for rows in (one, other)), strict=True)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * cross)


def clips_of(corpus: Path, count: int) -> list[Tensor]:
    """Every so many of its clips, mono at 32 kHz."""
    paths = sorted(corpus.glob("clips/*/*.flac"))
    chosen = paths[:: len(paths) // count][:count]
    return [audio.mix(audio.resample(*audio.read(path), RATE), 1) for path in chosen]


def heard(clips: list[Tensor], damage: Callable[[Tensor], Tensor]) -> list[list[Array]]:
    """By number of bands, then by clip."""
    return [list(of_bands) for of_bands in zip(*(statistics(damage(clip)) for clip in clips), strict=True)]


def seen(whole: list[Array], other: list[Array], columns: slice, splits: int = 12) -> tuple[float, float]:
    """The median distance of two halves, or how much farther the other set's second half is, in standard deviations."""
    chances, excesses = [], []
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(whole))
        first, second = order[: len(order) // 2], order[len(order) // 2 :]
        base = np.concatenate([whole[i] for i in first])[:, columns]
        chance = frechet(base, np.concatenate([whole[i] for i in second])[:, columns])
        chances.append(chance)
        excesses.append(frechet(base, np.concatenate([other[i] for i in second])[:, columns]) - chance)
    return float(np.median(chances)), float(np.mean(excesses) / max(np.std(excesses, ddof=1), 1e-12))


def main(corpus: Path, other: Path, count: int) -> None:
    """Print the table."""
    clips = clips_of(corpus, count)
    sets = {name: heard(clips, damage) for name, damage in DAMAGES.items()}
    sets["the other corpus"] = heard(clips_of(other, count), DAMAGES["nothing"])
    whole = sets.pop("nothing")
    print(f"{count} clips | dims | halves | " + " | ".join(sets))
    for number, bands in enumerate(BANDS):
        for name, columns in (("means", slice(0, bands)), ("means and deviations", slice(0, 2 * bands))):
            found = [seen(whole[number], rows[number], columns) for rows in sets.values()]
            figures = " | ".join(f"{excess:.1f}" for _, excess in found)
            print(f"{bands} bands, {name} | {columns.stop} | {found[0][0]:.3f} | {figures}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 200)
