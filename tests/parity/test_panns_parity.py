"""CNN14 against panns-inference's own network, of narrower layers, with the same random weights."""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterpoint.embedders.panns import Panns

NAME = "panns_inference"
WIDTHS = (2, 4, 4, 8, 16, 32)


@pytest.fixture(scope="module")
def theirs() -> Any:
    """Their network's module, without the package's `__init__`, which would fetch a list of labels."""
    found = importlib.util.find_spec(NAME)
    if found is None:
        pytest.skip("needs panns-inference")
    shell = ModuleType(NAME)
    shell.__path__ = list(found.submodule_search_locations or [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, NAME, shell)
        models = importlib.import_module(f"{NAME}.models")
        for name in ("xavier_uniform_", "kaiming_uniform_"):
            patch.setattr(nn.init, name, lambda tensor, **_: tensor)  # 80 million numbers that are thrown away
        yield build(models)


def build(models: Any) -> nn.Module:
    network = models.Cnn14(32000, 1024, 320, 64, 50, 14000, 7)
    for number, (before, after) in enumerate(zip((1, *WIDTHS[:-1]), WIDTHS, strict=True), 1):
        setattr(network, f"conv_block{number}", models.ConvBlock(before, after))
    network.fc1, network.fc_audioset = nn.Linear(32, 32), nn.Linear(32, 7)
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.startswith(("spectrogram_extractor", "logmel_extractor")):
            continue
        if name.endswith(("running_var", "bn0.weight", "bn1.weight", "bn2.weight")):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.is_floating_point():
            fan = max(1, tensor[0].numel()) if tensor.ndim > 1 else 10
            tensor.copy_(2 * torch.randn(tensor.shape, generator=generator) * fan**-0.5)
    network.fc_audioset.weight.data *= 0.01
    network.bn0.running_mean -= 30
    network.bn0.running_var *= 100
    return network.eval()


def music(seconds: float) -> Tensor:
    place = torch.arange(round(32000 * seconds)) / 32000
    noise = torch.randn(len(place), generator=torch.Generator().manual_seed(1))
    return 0.2 * torch.sin(2 * torch.pi * 330 * place * (1 + 0.1 * place)) + 0.05 * noise * torch.exp(-place)


@pytest.fixture(scope="module")
def ours(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Panns:
    place = tmp_path_factory.mktemp("panns")
    torch.save({"iteration": 3, "model": theirs.state_dict()}, place / "Cnn14.pth")
    return Panns(place)


def heard(network: nn.Module, part: Tensor) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        found = network(part[None], None)
    return found["embedding"][0].numpy(), found["clipwise_output"][0].double().numpy()


@pytest.mark.parametrize("seconds", [1.0, 3.217, 10.0])
def test_vectors_and_outputs_are_theirs(theirs: nn.Module, ours: Panns, seconds: float) -> None:
    vector, sigmoid = heard(theirs, music(seconds))
    made = ours.embed(music(seconds))[0]
    assert (vector > 0).sum() > 5 and np.abs(made - vector).max() < 1e-4 * np.abs(vector).max()
    logits = np.log(sigmoid / (1 - sigmoid))
    expected = np.exp(logits) / np.exp(logits).sum()
    assert expected.max() < 0.99
    assert np.abs(ours.probabilities(music(seconds))[0] - expected).max() < 1e-4


def test_parts_of_ten_seconds_are_heard_alone(theirs: nn.Module, ours: Panns) -> None:
    sound = music(13.0)
    made = ours.embed(sound)
    for row, part in zip(made, (sound[:320000], sound[320000:]), strict=True):
        vector, _ = heard(theirs, part)
        assert np.abs(row - vector).max() < 1e-4 * np.abs(vector).max()
    assert len(ours.embed(sound[: 320000 + 4800])) == 1, "0.15 s behind the last part are left out"
    assert len(ours.embed(sound[: 320000 + 4801])) == 2


def test_labels_are_numbered_where_their_list_is_missing(ours: Panns) -> None:
    assert ours.labels[:2] == ("label 0", "label 1") and len(ours.labels) == 7
