"""The benchmark of phases: what it says of attacks that are smeared by construction, and that its ways find phases at all."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint.nn.spectral import spectral_convergence, stft

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("librosa", reason="benchmarks need the extra eval")
phases = pytest.importorskip("phases")

RATE, STROKE = 32000, 0.5


def _struck(ramp: float = 0.0, before: float = 0.0) -> np.ndarray:
    """A burst of noise at STROKE that grows for `ramp` seconds up to it, over steady noise of the amplitude `before`."""
    time, noise = np.arange(RATE) / RATE, np.random.default_rng(0).standard_normal(RATE)
    since = time - STROKE
    rising = np.clip(1 + since / ramp, 0, 1) if ramp else (since >= 0)
    return 0.1 * noise * (np.where(since < 0, rising, np.exp(-30 * np.maximum(since, 0))) + before + 1e-3)


def test_sharp_attacks_are_told_from_smeared_ones():
    at = phases.places(_struck(), [STROKE], RATE)
    assert abs(at[0] / RATE - STROKE) < 0.002
    sharp, smeared, hissing = (phases.attack(audio, at, RATE) for audio in (_struck(), _struck(ramp=0.02), _struck(before=0.1)))
    assert sharp["rise"] > smeared["rise"] + 6 and sharp["pre-echo"] < smeared["pre-echo"] - 6
    assert hissing["pre-echo"] == pytest.approx(20 * np.log10(0.1 / np.exp(-0.3)), abs=2)


def test_every_way_but_that_from_nothing_finds_phases():
    time = torch.arange(RATE // 2) / RATE
    audio = (0.3 * torch.sin(2 * torch.pi * 440 * time) * torch.exp(-3 * time))[None]
    spectrum = stft(audio, 512, 80)
    for name, way in phases.ways(512, 80, audio.shape[1]).items():
        if name.startswith("zero"):
            continue
        made = way(spectrum.abs(), spectrum)
        far = spectral_convergence(stft(made, 512, 80).abs(), spectrum.abs()).item()
        assert far < (1e-4 if name == "real phases" else 0.3), (name, far)
