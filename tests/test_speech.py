"""HuBERT through transformers, the layer that is asked for; a MERT only where it is nothing but a HuBERT."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import tiny_ears
from counterpoint.embedders.speech import Speech
from counterpoint.embedders.table import open_embedder

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_ears.hubert(tmp_path_factory.mktemp("hubert"))


def music(seconds: float) -> Tensor:
    place = torch.arange(round(16000 * seconds)) / 16000
    return 0.3 + 0.2 * torch.sin(2 * torch.pi * 220 * place * (1 + place))


@pytest.mark.parametrize("stable", [False, True])
@pytest.mark.parametrize("layer", [0, 2, None])
def test_states_are_those_of_transformers(tmp_path: Path, layer: int | None, stable: bool) -> None:
    """Their front end, their loading of the folder, and the layer's output caught where it leaves the layer."""
    norm = "layer" if stable else "group"
    place = tiny_ears.hubert(tmp_path, do_stable_layer_norm=stable, feat_extract_norm=norm, conv_bias=stable)
    network = transformers.HubertModel.from_pretrained(place, local_files_only=True).eval()
    front_end = transformers.Wav2Vec2FeatureExtractor.from_pretrained(place, local_files_only=True)
    seen = front_end(music(1.3).numpy(), sampling_rate=16000, return_tensors="pt")["input_values"]
    caught: list[Tensor] = []
    for number, one in enumerate(network.encoder.layers):
        if number == 0:
            one.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        one.register_forward_hook(lambda _, given, made: caught.append(made if isinstance(made, Tensor) else made[0]))
    with torch.no_grad():
        last = network(seen).last_hidden_state
    expected = last if layer is None else caught[layer]
    made = Speech(place, layer).embed(music(1.3))
    assert made.shape == (64, 16) and np.abs(made - expected[0].numpy()).max() < 1e-4


def test_identity_tells_the_layer(place: Path) -> None:
    assert "layer 3" in Speech(place).identity and "layer 1" in Speech(place, 1).identity
    for layer in (-1, 4):
        with pytest.raises(ValueError, match="has the layers 0 to 3"):
            Speech(place, layer)


def test_parts_of_ten_seconds_are_heard_alone(place: Path) -> None:
    ear, sound = Speech(place), music(14.0)
    expected = np.concatenate([ear.embed(sound[:160000]), ear.embed(sound[160000:])])
    assert np.array_equal(ear.embed(sound), expected)
    assert len(ear.embed(sound[:160399])) == len(ear.embed(sound[:160000])), "less than a frame is left out"


def test_old_names_of_weights_are_understood(place: Path, tmp_path: Path) -> None:
    """Folders that were saved by transformers before 2023, or with a head behind the network."""
    tensors = load_file(place / "model.safetensors")
    old = {"original0": "weight_g", "original1": "weight_v"}
    renamed = {}
    for name, tensor in tensors.items():
        for now, then in old.items():
            name = name.replace(f"parametrizations.weight.{now}", then)
        renamed[f"hubert.{name}"] = tensor
    assert sum("weight_g" in name for name in renamed) == 1
    save_file({**renamed, "lm_head.weight": torch.zeros(2, 16), "lm_head.bias": torch.zeros(2)}, tmp_path / "model.safetensors")
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).symlink_to(place / name)
    assert np.array_equal(Speech(tmp_path).embed(music(1.0)), Speech(place).embed(music(1.0)))


def as_mert(place: Path, to: Path, **changes: object) -> Path:
    """The same network under the settings of a MERT."""
    content = json.loads((place / "config.json").read_text())
    settings = {"model_type": "mert_model", "feature_extractor_cqt": False, "deepnorm": False, "attention_relax": -1.0}
    (to / "config.json").write_text(json.dumps({**content, **settings, **changes}))
    (to / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 24000, "do_normalize": True}))
    (to / "model.safetensors").symlink_to(place / "model.safetensors")
    return to


def test_a_mert_that_is_a_hubert_opens(place: Path, tmp_path: Path) -> None:
    ear = open_embedder("mert", as_mert(place, tmp_path), layer=2)
    assert ear.name == "mert" and ear.sample_rate == 24000
    assert np.array_equal(ear.embed(music(1.0)), Speech(place, 2).embed(music(1.0)))
    with pytest.raises(ValueError, match="holds a mert, not a hubert"):
        open_embedder("hubert", tmp_path)


@pytest.mark.parametrize("part, value", [("feature_extractor_cqt", True), ("deepnorm", True), ("attention_relax", 32.0)])
def test_a_mert_with_parts_of_its_own_is_refused_by_name(place: Path, tmp_path: Path, part: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"a MERT with {part}, which only the code in its folder knows"):
        Speech(as_mert(place, tmp_path, **{part: value}))


def test_another_network_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds a 'wav2vec2'; give the folder of a HuBERT"):
        Speech(as_mert(place, tmp_path, model_type="wav2vec2"))
