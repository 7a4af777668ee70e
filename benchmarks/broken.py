"""Is a take broken, whatever was asked?  Six faults, each one measured figure beyond what music of the corpus ever reaches.

    python benchmarks/broken.py runs/corpus --clips 300     # quantiles of every figure, from which LIMITS were read

`buzz` is a tone below 4 kHz whose level hardly moves, `metallic tail` one above it that never ceases; `flicker` is loudness
that beats at the codec's 25 frames a second; `noise` and `silence` are what generation may collapse into; `drift` is a level
that runs away.  Clips are measured at one loudness (-16 LUFS), mono.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

from counterpoint import audio as sound
from counterpoint.data.folder import read_folder

Array = NDArray[np.float64]

LOUDNESS = -16.0
SIZE, HOP = 4096, 1024
"""Samples of a window and between windows, at 32 kHz."""
FAULTS = ("buzz", "metallic tail", "flicker", "noise", "silence", "drift")
LIMITS: dict[str, float] = {
    "buzz": -1.5,
    "metallic tail": -10.0,
    "flicker": 16.0,
    "noise": 0.35,
    "silence": 0.1,
    "drift": 8.0,
}
"""A take is broken where a figure is larger; each lies clearly beyond the farthest of 160 held-out clips of the corpus."""
_QUIET = -50.0  # dBFS of 50 ms below which nothing is heard beside music of -16 LUFS
_BLOCK = 0.05  # seconds


def levelled(audio: Array, rate: int) -> Array:
    """Mono samples at LOUDNESS, whatever their peaks; silence stays silence."""
    heard = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))[None]
    level = sound.loudness(heard, rate)
    return audio * 10 ** ((LOUDNESS - level) / 20) if np.isfinite(level) else audio


def faults(audio: Array, rate: int) -> dict[str, float]:
    """The figure of each fault, of mono samples at LOUDNESS.

    buzz: how little the level of the steadiest of the loud bins moves, less its standard deviation in dB; metallic tail: dB by
    which a bin lies above the mean level of all bins in all but a twentieth of the frames; flicker: dB by which loudness moves
    more at 25 Hz than near it; noise: the flattest second's spectral flatness, 0 to 1; silence: share of time; drift: dB
    between the first third and the last.
    """
    power = np.square(np.abs(signal.stft(audio, rate, nperseg=SIZE, noverlap=SIZE - HOP, boundary=None, padded=False)[2]))
    hertz = np.arange(power.shape[0]) * rate / SIZE
    thirds = np.array_split(np.square(audio), 3)
    return {
        "buzz": _steadiest(power[(hertz >= 30) & (hertz < 4000)], power.mean()),
        "metallic tail": float((_decibels(np.quantile(power[hertz >= 4000], 0.05, axis=1)) - _decibels(power.mean())).max()),
        "flicker": _beating(audio, rate, 25.0),
        "noise": _flattest(power[(hertz >= 100) & (hertz < 12000)], round(rate / HOP)),
        "silence": float(np.mean(_decibels(_blocks(audio, round(_BLOCK * rate))) < _QUIET)),
        "drift": float(abs(_decibels(thirds[0].mean()) - _decibels(thirds[2].mean()))),
    }


def broken(figures: Mapping[str, float]) -> list[str]:
    """The faults of a take, by their figures."""
    return [name for name in FAULTS if not figures[name] <= LIMITS[name]]


def _decibels(power: Array | float) -> Array:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _blocks(audio: Array, length: int) -> Array:
    """Mean power of blocks of so many samples."""
    return np.square(audio[: len(audio) // length * length]).reshape(-1, length).mean(1)


def _steadiest(power: Array, mean: float) -> float:
    """Less the smallest standard deviation in dB of the bins that are not 20 dB below the mean of all; -inf without sound."""
    loud = power[power.mean(1) > max(mean / 100, 1e-12)]
    return float(-_decibels(loud).std(1).min(initial=np.inf))


def _flattest(power: Array, frames: int) -> float:
    """The flatness of the mean spectrum of each second that sounds, the largest; 0 where none does."""
    seconds = power[:, : power.shape[1] // frames * frames].reshape(len(power), -1, frames).mean(2)
    heard = seconds[:, _decibels(seconds.sum(0)) > _QUIET]
    flatness = np.exp(np.log(heard + 1e-14).mean(0)) / (heard.mean(0) + 1e-14)
    return float(flatness.max(initial=0.0))


def _beating(audio: Array, rate: int, at: float) -> float:
    """How much more the loudness of 4 ms moves at a frequency than between 3 and 7 Hz to either side of it."""
    level = _decibels(_blocks(audio, round(0.004 * rate)) + 1e-6)
    frequencies, density = signal.welch(level - level.mean(), 1 / 0.004, nperseg=min(len(level), 512))
    away = np.abs(frequencies - at)
    return float(_decibels(density[away < 0.6].max()) - _decibels(density[(away > 3) & (away < 7)].mean()))


def main() -> None:
    """Print what the corpus reaches."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--clips", type=int, default=300)
    args = parser.parse_args()
    rows = [row for row in read_folder(args.corpus) if row.split != "train"][: args.clips]
    found = []
    for row in rows:
        audio, rate = sound.read(row.path)
        found.append(faults(levelled(audio.mean(0).double().numpy(), rate), rate))
    print(f"{len(rows)} held-out clips, {sum(bool(broken(one)) for one in found)} of them broken")
    for name in FAULTS:
        values = np.array([one[name] for one in found])
        quantiles = ", ".join(f"{q:g}: {np.quantile(values, q):.3g}" for q in (0.5, 0.9, 0.99, 1.0))
        print(f"{name:14} limit {LIMITS[name]:g}; {quantiles}; farthest {json.dumps(rows[int(values.argmax())].id)}")


if __name__ == "__main__":
    main()
