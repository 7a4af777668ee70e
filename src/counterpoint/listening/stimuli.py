"""From material to what is played: low anchors, one level for all, waveforms as 1000 columns."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.listening.material import Material
from counterpoint.listening.study import ANCHOR, REFERENCE

Anchor = Literal["auto", "step", "fill", "lowpass", "none"]
COLUMNS = 1000
CEILING = -1.0
"""dBTP that no clip goes beyond."""
STEP = -6.0
LOW_PASS = 3500
"""Hz: the low anchor of ITU-R BS.1534."""


@dataclass(frozen=True)
class Levels:
    """What every clip is at: `lufs`, and the gain in dB that brings each one there."""

    lufs: float
    gains: Mapping[tuple[str, str], float]
    notes: tuple[str, ...]


def choose_anchor(asked: Anchor, material: Material, kind: str) -> Anchor:
    """The low anchor that a test gets: with spans the wrong song, or a step where there is but one; else a low-pass.

    Raises ValueError where the one asked for cannot be made.
    """
    if REFERENCE not in material.systems:
        if asked not in ("auto", "none"):
            raise ValueError(f"A low anchor of the kind {asked} is made from a reference; give one with --reference.")
        return "none"
    if asked in ("step", "fill") and not material.spans:
        raise ValueError(f"A low anchor of the kind {asked} spoils the in-painted span; say where it is with --spans.")
    if asked == "fill" and len(material.items) < 2:
        raise ValueError("A low anchor of the kind fill takes another song; give two items or more, or --anchor step.")
    if asked != "auto":
        return asked
    if kind == "mushra" or not material.spans:
        return "lowpass"
    return "fill" if len(material.items) > 1 else "step"


def spoil(material: Material, item: str, how: Anchor) -> Float[Tensor, "c n"]:
    """The low anchor of an item, from its reference."""
    reference = material.read(REFERENCE, item)
    if how == "lowpass":
        return low_pass(reference, material.rate)
    begin, end = (round(second * material.rate) for second in material.spans[item])
    if how == "step":
        return step(reference, begin, end)
    other = material.items[(material.items.index(item) + 1) % len(material.items)]
    return fill(reference, material.read(REFERENCE, other), begin, end)


def low_pass(audio: Float[Tensor, "c n"], rate: int) -> Float[Tensor, "c n"]:
    """Nothing above 3.5 kHz: sampled at twice that and back."""
    return sound.resample(sound.resample(audio, rate, 2 * LOW_PASS), 2 * LOW_PASS, rate)[:, : audio.shape[-1]]


def step(audio: Float[Tensor, "c n"], begin: int, end: int) -> Float[Tensor, "c n"]:
    """The samples from `begin` to `end` 6 dB down, cut hard."""
    made = audio.clone()
    made[:, begin:end] *= 10 ** (STEP / 20)
    return made


def fill(audio: Float[Tensor, "c n"], other: Float[Tensor, "d m"], begin: int, end: int) -> Float[Tensor, "c n"]:
    """The samples from `begin` to `end` taken from another song at the same power, cut hard; a short one is repeated."""
    part = sound.mix(other, audio.shape[0])
    part = part.repeat(1, -(-end // part.shape[-1]))[:, begin:end]
    made = audio.clone()
    power = audio[:, begin:end].square().mean() / part.square().mean().clamp_min(1e-12)
    made[:, begin:end] = part * power.sqrt()
    return made


def clip_audio(material: Material, system: str, item: str, anchor: Anchor) -> Float[Tensor, "c n"]:
    """A system's clip, or the anchor's, before its gain; its ends fade in milliseconds, all clips alike."""
    made = spoil(material, item, anchor) if system == ANCHOR else material.read(system, item)
    return sound.fade(made, material.rate)


def levels(material: Material, systems: Iterable[str], anchor: Anchor, lufs: float) -> Levels:
    """One gain for each whole clip, so that all are equally loud and seams stay as they are.

    Where a clip's true peak would pass CEILING, all are turned down together, by as much as it takes.
    """
    asked: dict[tuple[str, str], float] = {}
    excess: dict[tuple[str, str], float] = {}
    for system in systems:
        for item in material.items:
            made = clip_audio(material, system, item, anchor)
            level = sound.loudness(made, material.rate)
            if level == -math.inf:
                raise ValueError(f"{material.files.get((system, item), item)} is silent; leave the item out of every folder.")
            asked[system, item] = lufs - level
            excess[system, item] = sound.true_peak(made, material.rate) + asked[system, item] - CEILING
    worst = max(excess, key=lambda pair: excess[pair])
    down = max(0.0, excess[worst])
    name = material.files.get(worst, worst[1])
    note = f"All clips are at {lufs - down:.1f} LUFS, {down:.1f} dB less than asked, because of the peaks of {name}."
    gains = {pair: gain - down for pair, gain in asked.items()}
    return Levels(lufs - down, gains, (note,) if down > 0.05 else ())


def peaks(audio: Float[Tensor, "c n"]) -> Int[ndarray, "2 columns"]:
    """The lowest and the highest sample of each of 1000 equal pieces, over all channels, as whole numbers in -127..127."""
    starts = np.arange(COLUMNS) * audio.shape[-1] // COLUMNS
    samples = audio.numpy()
    low, high = np.minimum.reduceat(samples.min(0), starts), np.maximum.reduceat(samples.max(0), starts)
    return np.round(np.stack([low, high]).clip(-1, 1) * 127).astype(np.int64)
