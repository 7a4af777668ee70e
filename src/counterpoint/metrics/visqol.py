"""ViSQOL in its audio mode (Chinen et al. 2020): a mean opinion score from 1 to about 4.73 of what a codec gives back.

The arithmetic is that of the package visqol-python, an extra.  It hears mono at 48 kHz, aligns small delays and levels out.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score

if TYPE_CHECKING:
    from visqol import VisqolApi  # pyright: ignore[reportMissingImports]

SAMPLE_RATE = 48000
SILENCE = 0.5
"""Seconds of silence put before and after both sounds, as its authors advise."""


def visqol(made: Float[Tensor, "c n"], real: Float[Tensor, "c m"], sample_rate: int, api: "VisqolApi | None" = None) -> float:
    """The opinion score of one clip; NaN where ViSQOL cannot tell, such as of silence.

    `api` (of `load`) may serve many clips.  Raises ValueError where the package is missing or values are not numbers.
    """
    if not (torch.isfinite(made).all() and torch.isfinite(real).all()):
        raise ValueError("A clip holds values that are not numbers; make it anew.")
    ears = load() if api is None else api
    if not made.any() or not real.any():
        return math.nan
    try:
        opinion = float(ears.measure_from_arrays(_heard(real, sample_rate), _heard(made, sample_rate), SAMPLE_RATE).moslqo)
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError):  # what it raises where it finds nothing to compare
        return math.nan
    return opinion if math.isfinite(opinion) else math.nan


def visqol_score(values: Sequence[float]) -> Score:
    """The mean opinion over clips; those that failed (NaN) are left out and told, never taken for 0."""
    score = intervals.mean("visqol", values, unit="MOS", better="higher")
    failed = sum(math.isnan(value) for value in values)
    return replace(score, notes=(f"ViSQOL failed for {failed / len(values):.0%} of the clips.",)) if failed else score


def load() -> "VisqolApi":
    """The package's ears for music.  Raises ValueError where it is not installed."""
    try:
        from visqol import VisqolApi  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError("ViSQOL needs an extra; install it: pip install 'counterpoint[visqol]'.") from error
    api = VisqolApi()
    api.create(mode="audio")
    return api


def _heard(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[ndarray, " m"]:
    """As ViSQOL wants to hear a sound, as an array."""
    mono = sound.resample(sound.mix(audio, 1), sample_rate, SAMPLE_RATE)[0]
    silence = torch.zeros(round(SILENCE * SAMPLE_RATE))
    return torch.cat([silence, mono, silence]).double().numpy()
