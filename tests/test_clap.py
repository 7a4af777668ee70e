"""CLAP: the same vector for the same sound or text, whatever lies beside it; what transformers itself gives for 10 s."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny_ears
from counterpoint.embedders import clap
from counterpoint.embedders.clap import Clap

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_ears.clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def ear(place: Path) -> Clap:
    return Clap(place)


def music(seconds: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(round(48000 * seconds)) / 48000
    return 0.3 * torch.sin(2 * torch.pi * 220 * place * (1 + place)) + 0.1 * torch.randn(len(place), generator=generator)


@pytest.mark.parametrize("seconds", [0.7, 4.0, 10.0])
def test_up_to_ten_seconds_it_is_what_transformers_gives(ear: Clap, place: Path, seconds: float) -> None:
    """Their extractor with its own padding, their loading of the folder; no crop is drawn at these lengths."""
    network = transformers.ClapModel.from_pretrained(place, local_files_only=True).eval()
    extractor = transformers.ClapFeatureExtractor(**tiny_ears.FRONT_END, truncation="rand_trunc")
    coarse = (music(seconds).numpy() * 32767).astype(np.int16) / np.float32(32767)
    seen = extractor(coarse, sampling_rate=48000, return_tensors="pt")["input_features"].float()
    with torch.no_grad():
        theirs = network(input_features=seen, input_ids=torch.tensor([[0, 4, 2]])).audio_embeds[0]
    assert np.abs(ear.embed(music(seconds))[0] - theirs.numpy()).max() < 1e-6
    assert np.abs(ear.embed_clip(music(seconds)) - theirs.numpy()).max() < 1e-6


def test_a_text_is_what_transformers_gives(ear: Clap, place: Path) -> None:
    network = transformers.ClapModel.from_pretrained(place, local_files_only=True).eval()
    ids = torch.tensor([[0, 4, 6, 3, 2]])  # <s> slow piano <unk> </s>
    with torch.no_grad():
        theirs = network(input_ids=ids, input_features=torch.zeros(1, 1, 1001, 64)).text_embeds[0]
    assert np.abs(ear.embed_texts(["slow piano sonata"])[0] - theirs.numpy()).max() < 1e-6


def test_what_is_longer_is_cut_and_the_last_part_ends_with_it(ear: Clap) -> None:
    sound = torch.cat([music(12.0), music(13.0, seed=1)])
    parts = [sound[:480000], sound[480000:960000], sound[-480000:]]
    rows = ear.embed(sound)
    assert np.array_equal(rows, np.concatenate([ear.embed(part) for part in parts]))
    mean = rows.mean(0) / np.linalg.norm(rows.mean(0))
    assert np.abs(ear.embed_clip(sound) - mean).max() < 1e-6
    assert not np.allclose(rows[0], rows[2], atol=1e-4)


def test_vectors_have_unit_length(ear: Clap) -> None:
    rows = np.concatenate([ear.embed(music(21.0)), ear.embed_clip(music(21.0))[None], ear.embed_texts(["a slow piano", ""])])
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-6


def test_texts_do_not_know_of_each_other(ear: Clap) -> None:
    texts = ["a slow piano", "fast guitar and a piano and a slow guitar", "piano"]
    together = ear.embed_texts(texts)
    assert np.array_equal(together, np.concatenate([ear.embed_texts([text]) for text in texts]))
    assert np.array_equal(together[::-1], ear.embed_texts(texts[::-1]))
    assert np.array_equal(ear.embed_texts([texts[0]] * 2)[0], ear.embed_texts([texts[0]] * 2)[1])
    assert len({row.tobytes() for row in together}) == 3


def test_only_the_first_tokens_are_read(ear: Clap) -> None:
    first = "piano " * 75
    assert np.array_equal(ear.embed_texts([first]), ear.embed_texts([first + "guitar guitar"]))
    assert not np.array_equal(ear.embed_texts([first]), ear.embed_texts([first[6:] + "guitar"]))


def test_sound_goes_through_16_bits(ear: Clap) -> None:
    place = torch.arange(480000) % 1000 / 2000
    coarse = (place * 32767).floor() / 32767
    assert np.array_equal(ear.embed(coarse + 0.8 / 32767), ear.embed(coarse + 0.2 / 32767)), "cut off, not rounded"


def test_results_of_transformers_4_and_5_are_both_understood() -> None:
    vector = torch.tensor([[3.0, 4.0]])
    for found in (vector, SimpleNamespace(pooler_output=vector)):
        assert torch.allclose(clap._unit(found), torch.tensor([[0.6, 0.8]]))


def test_a_fused_clap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with fusion, which crops at random"):
        Clap(tiny_ears.clap(tmp_path, fusion=True))


def test_the_front_end_may_lie_in_the_processors_file(place: Path, tmp_path: Path, ear: Clap) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).symlink_to(place / name)
    with pytest.raises(ValueError, match=r"has no preprocessor_config\.json"):
        Clap(tmp_path)
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": tiny_ears.FRONT_END}))
    assert np.array_equal(Clap(tmp_path).embed(music(1.0)), ear.embed(music(1.0)))
    (tmp_path / "processor_config.json").write_text(json.dumps({"sampling_rate": 48000}))
    with pytest.raises(ValueError, match="does not state feature_size"):
        Clap(tmp_path)


def test_its_identity_knows_weights_and_tokenizer(place: Path, tmp_path: Path, ear: Clap) -> None:
    for name in ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer_config.json"):
        (tmp_path / name).symlink_to(place / name)
    with pytest.raises(ValueError, match="has no tokenizer"):
        Clap(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((place / "tokenizer.json").read_bytes() + b"\n")
    assert Clap(tmp_path).identity != ear.identity


def test_without_the_library_it_says_how_to_install_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'counterpoint\[text\]'"):
        Clap(place)
