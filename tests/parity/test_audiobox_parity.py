"""Audiobox Aesthetics against the authors' own package with the same weights, and against what it gave for them before.

The package wants torchaudio, which is not installed here; where it is there all the same (pip install --no-deps), the first
test asks it anew.  The second always runs: the numbers in it came from the first one's package.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import tiny_ears
from counterpoint.embedders.audiobox import AXES, Audiobox

GIVEN = {
    0.05: [4.073369, 4.907453, 6.267252, 7.818138],
    0.31: [4.058598, 4.891667, 6.247572, 7.827064],
    4.0: [4.058467, 4.887597, 6.246471, 7.828286],
    10.0: [4.056699, 4.88686, 6.245658, 7.830073],
    23.7: [4.057955, 4.887239, 6.247595, 7.829932],
}
"""Ratings by the package (audiobox_aesthetics 0.0.4) of `music` of so many seconds, by the weights of `tiny_ears.audiobox`."""

SMALL = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 24,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8,10,5)] + [(8,3,2)] * 4 + [(8,2,2)] * 2",
    "conv_pos": 8,
    "conv_pos_groups": 2,
    "num_buckets": 32,
}


def music(seconds: float) -> Tensor:
    place = torch.arange(round(16000 * seconds), dtype=torch.float64) / 16000
    glide = torch.sin(2 * torch.pi * 220 * place * (1 + 0.03 * place))
    return (0.3 * glide + 0.1 * torch.sin(9000 * place) * torch.cos(3 * place)).float()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_ears.audiobox(tmp_path_factory.mktemp("audiobox"))


@pytest.fixture
def theirs(place: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Their predictor of small sizes; what it would read files with is an empty module."""
    pytest.importorskip("audiobox_aesthetics", reason="needs audiobox_aesthetics, installed without its dependencies")
    aes = importlib.import_module("audiobox_aesthetics.model.aes")
    wavlm = importlib.import_module("audiobox_aesthetics.model.wavlm")
    importlib.import_module("transformers")  # which would take the empty module for a broken torchaudio
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))
        infer = importlib.import_module("audiobox_aesthetics.infer")
    monkeypatch.setattr(aes, "DEFAULT_AUDIO_CFG", wavlm.WavLMConfig({**vars(aes.DEFAULT_AUDIO_CFG), **SMALL}))
    with torch.random.fork_rng():
        network = aes.AesMultiOutput.from_pretrained(str(place)).eval()
    return network, infer.make_inference_batch


def their_ratings(theirs: Any, sound: Tensor) -> np.ndarray:
    network, batches = theirs
    waves, masks, shares, _ = batches([sound[None]])
    with torch.inference_mode():
        found = network({"wav": torch.stack(waves), "mask": torch.stack(masks)})
    scales = tiny_ears.AUDIOBOX["target_transform"]
    rows = [found[axis].double().numpy() * scales[axis]["std"] + scales[axis]["mean"] for axis in AXES]
    return np.array([np.average(row, weights=shares) for row in rows])


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")
@pytest.mark.parametrize("seconds", [0.05, 0.31, 4.0, 10.0, 23.7])
def test_ratings_are_theirs(theirs: Any, place: Path, seconds: float) -> None:
    expected = their_ratings(theirs, music(seconds))
    assert np.abs(Audiobox(place).ratings(music(seconds)) - expected).max() < 2e-5
    assert len(set(expected.round(2))) == 4
    assert np.abs(expected - GIVEN[seconds]).max() < 2e-5


@pytest.mark.parametrize("seconds", GIVEN)
def test_ratings_are_what_the_package_gave(place: Path, seconds: float) -> None:
    assert np.abs(Audiobox(place).ratings(music(seconds)) - GIVEN[seconds]).max() < 2e-5


@pytest.mark.parametrize("lost", ["target_transform", "model.safetensors"])
def test_half_a_folder_is_refused(tmp_path: Path, lost: str) -> None:
    place = tiny_ears.audiobox(tmp_path)
    if lost == "target_transform":
        (place / "config.json").write_text("{}")
    else:
        (place / lost).unlink()
    with pytest.raises(ValueError, match=r"lacks 'target_transform'|should hold one file of weights"):
        Audiobox(place)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    place = tiny_ears.audiobox(tmp_path)
    save_file({"weight": torch.zeros(2)}, place / "model.safetensors")
    with pytest.raises(ValueError, match=r"is no Audiobox Aesthetics \(it lacks"):
        Audiobox(place)
