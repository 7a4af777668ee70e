"""VGGish against torchvggish's own network and front end with the same random weights; the resampler against its formula."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import tiny_ears
from counterpoint.embedders import vggish
from counterpoint.embedders.vggish import VGGish

NAME = "torchvggish"


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The package's parts, without its `__init__`, which wants a resampler that is not needed here."""
    found = importlib.util.find_spec(NAME)
    if found is None:
        pytest.skip("needs torchvggish")
    shell = ModuleType(NAME)
    shell.__path__ = list(found.submodule_search_locations or [])
    monkeypatch.setitem(sys.modules, NAME, shell)
    parts = {}
    for part in ("torchvggish", "mel_features", "vggish_params"):
        monkeypatch.delitem(sys.modules, f"{NAME}.{part}", raising=False)
        parts[part] = importlib.import_module(f"{NAME}.{part}")
    return parts


def music(seconds: float) -> np.ndarray:
    """A chord that swells and a noise that fades, at 16 kHz, as a 16-bit file would give it."""
    place = np.arange(round(16000 * seconds)) / 16000
    noise = np.random.default_rng(0).standard_normal(len(place))
    wave = sum(np.sin(2 * np.pi * pitch * place) for pitch in (220, 277.2, 329.6, 3000)) * 0.1 * (1 - np.cos(place))
    return np.round((wave + 0.05 * noise * np.exp(-place)) * 32768) / 32768


def their_patches(parts: dict[str, ModuleType], wave: np.ndarray) -> np.ndarray:
    p = parts["vggish_params"]
    spectrum = parts["mel_features"].log_mel_spectrogram(
        wave,
        audio_sample_rate=p.SAMPLE_RATE,
        log_offset=p.LOG_OFFSET,
        window_length_secs=p.STFT_WINDOW_LENGTH_SECONDS,
        hop_length_secs=p.STFT_HOP_LENGTH_SECONDS,
        num_mel_bins=p.NUM_MEL_BINS,
        lower_edge_hertz=p.MEL_MIN_HZ,
        upper_edge_hertz=p.MEL_MAX_HZ,
    )
    return parts["mel_features"].frame(spectrum, p.NUM_FRAMES, p.NUM_FRAMES)


def test_vectors_are_theirs_without_the_last_rectifier(
    theirs: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, width = tiny_ears.vggish(tmp_path), tiny_ears.VGGISH_WIDTH
    monkeypatch.setattr(vggish, "WIDTH", width)
    wave = music(2.5)
    with torch.device("meta"):
        network = theirs["torchvggish"]._vgg(False)
        for number, sizes in {0: (12288, width), 2: (width, width), 4: (width, 128)}.items():
            network.embeddings[number] = torch.nn.Linear(*sizes)
    network.load_state_dict(torch.load(place / "vggish.pth", weights_only=True), assign=True)
    network.eval()
    seen = torch.from_numpy(their_patches(theirs, wave)).float()[:, None]
    with torch.no_grad():
        rectified = network(seen).numpy()
        network.embeddings = network.embeddings[:-1]
        raw = network(seen).numpy()
    made = VGGish(place).embed(torch.from_numpy(wave).float())
    assert made.shape == raw.shape == (2, 128)
    assert np.abs(made - raw).max() < 1e-4 * np.abs(raw).max()
    assert (made < 0).any() and np.abs(np.maximum(made, 0) - rectified).max() < 1e-4 * np.abs(raw).max()


@pytest.mark.parametrize("seconds, patches", [(1.0, 1), (1.97, 2), (10.0, 10)])
def test_patches_are_theirs(theirs: dict[str, ModuleType], seconds: float, patches: int) -> None:
    wave = music(seconds)
    ours = vggish.patches(torch.from_numpy(wave)).numpy()
    assert len(ours) == patches and np.abs(ours - their_patches(theirs, wave)).max() < 1e-9


def test_a_short_sound_is_filled_up_to_one_second() -> None:
    wave = torch.from_numpy(music(0.3))
    filled = torch.cat([wave, torch.zeros(16000 - len(wave), dtype=wave.dtype)])
    assert torch.equal(vggish.patches(wave), vggish.patches(filled))


def test_sound_goes_through_16_bits() -> None:
    wave = torch.from_numpy(music(1.0))
    assert torch.equal(vggish.patches(wave), vggish.patches(wave + 0.3 / 32768))
    assert not torch.equal(vggish.patches(wave), vggish.patches(wave + 1 / 32768))


@pytest.mark.parametrize("rate", [44100, 32000, 8000])
def test_the_resampler_is_its_formula(rate: int) -> None:
    """Kaiser-windowed sinc of the recipe, summed sample by sample (fadtk: 64 zeros, roll-off 0.9476, beta 14.77)."""
    wave = np.random.default_rng(1).standard_normal(300) * np.hanning(300)
    cutoff = 0.9475937167399596 * min(rate, 16000)
    expected = np.zeros(int(np.ceil(len(wave) * 16000 / rate)))
    for k in range(len(expected)):
        crossings = cutoff * (k / 16000 - np.arange(len(wave)) / rate)
        inside = np.abs(crossings) < 64
        kaiser = np.i0(14.769656459379492 * np.sqrt(1 - (crossings[inside] / 64) ** 2)) / np.i0(14.769656459379492)
        expected[k] = np.sum(wave[inside] * np.sinc(crossings[inside]) * kaiser) * cutoff / rate
    made = vggish.resample(torch.from_numpy(wave).float(), rate, 16000).numpy()
    assert made.shape == expected.shape and np.abs(made - expected).max() < 2e-6


def test_the_resampler_lets_through_what_fits_and_nothing_else() -> None:
    place = torch.arange(44100, dtype=torch.float64) / 44100
    for pitch, gain in ((1000, 1.0), (7000, 1.0), (8500, 0.0), (15000, 0.0)):
        tone = vggish.resample(torch.sin(2 * torch.pi * pitch * place).float(), 44100, 16000)[2000:-2000]
        assert abs(float(tone.square().mean().sqrt()) * 2**0.5 - gain) < 1e-3
