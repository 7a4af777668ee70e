"""Folders and ids of others: what is damaged, foreign, gated or missing is one sentence; what is fetched, with what licence."""

import io
import json
import logging
import os
import pickle
import zipfile

import pytest
import torch

from counterpoint import cli, weights
from counterpoint.hub import checkpoint, licences, location
from counterpoint.hub.location import wanted


class Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("never",))


def saved(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


GOOD = saved({"best_state": {}, "xp.cfg": "a: 1"})

FILES = {
    "empty": (b"", "is no file of weights, or a damaged one"),
    "truncated": (GOOD[: len(GOOD) // 2], "is no file of weights, or a damaged one"),
    "a page": (b"<html>Not found</html>", "is no file of weights, or a damaged one"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "or a damaged one"),
    "code": (saved({"best_state": {}, "xp.cfg": "", "more": Code()}), "nothing that could be code is unpickled here"),
    "code of old": (pickle.dumps({"best_state": Code()}, 2), "nothing that could be code is unpickled here"),
    "a list": (saved([1, 2]), "is no file that AudioCraft has exported"),
    "tensors alone": (saved({"a": torch.zeros(2)}), "is no file that AudioCraft has exported"),
    "no tensors": (saved({"best_state": {"a": "b"}, "xp.cfg": ""}), "something else than tensors in its best_state"),
    "no recipe": (saved({"best_state": {}, "xp.cfg": "a: [1"}), "a recipe (xp.cfg) that is no YAML"),
    "a recipe of one word": (saved({"best_state": {}, "xp.cfg": "word"}), "a recipe (xp.cfg) that is no table"),
    "another recipe": (GOOD, "does not state"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_it_should_be_is_told_in_a_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    content, message = FILES[name]
    (tmp_path / "state_dict.bin").write_bytes(content)
    assert cli.run(["generate", "a waltz", "--model", str(tmp_path), "-o", str(tmp_path / "x.wav")]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state_dict.bin"]  # and nothing ran


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"weight_map": {"a": "../b.safetensors"}}', "is named by model.safetensors.index.json and is not there"),
        ('{"weight_map": 3}', "is no index of weights"),
        ("{", "is no index of weights"),
    ],
)
def test_an_index_names_files_beside_it(content, message, tmp_path):
    (tmp_path / "b.safetensors").write_bytes(b"")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        weights.files(tmp_path / "here")


def test_a_zip_of_something_else_is_no_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="is no file of weights"):
        weights.read(weights.files(tmp_path))


REPOSITORIES = {
    "musicgen-small": (
        "README.md config.json generation_config.json model.safetensors pytorch_model.bin state_dict.bin "
        "compression_state_dict.bin preprocessor_config.json tokenizer.json spiece.model tokenizer_config.json x.wav",
        {"model.safetensors"},
    ),
    "in parts": (
        "README.md config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json "
        "pytorch_model-00001-of-00002.bin pytorch_model.bin.index.json state_dict.bin",
        {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
    ),
    "jasco": ("README.md state_dict.bin compression_state_dict.bin", {"state_dict.bin", "compression_state_dict.bin"}),
    "ours": ("README.md config.json model.safetensors codec/config.json codec/model.safetensors train/state.pt", None),
    "stable-audio-open": ("README.md model_config.json model.safetensors model.ckpt", {"model.safetensors"}),
    "a vae": ("config.json diffusion_pytorch_model.safetensors", {"diffusion_pytorch_model.safetensors"}),
}


@pytest.mark.parametrize("name", REPOSITORIES)
def test_the_same_weights_are_fetched_once(name):
    files, heavy = REPOSITORIES[name]
    chosen = set(wanted(files.split()))
    assert {"README.md", "config.json", "model_config.json"} & set(files.split()) <= chosen
    assert "train/state.pt" not in chosen and "x.wav" not in chosen
    weighty = {file for file in chosen if file.endswith((".safetensors", ".bin", ".ckpt"))}
    assert weighty == (heavy or {"model.safetensors", "codec/model.safetensors"})
    assert {f for f in files.split() if f.endswith(("index.json", "spiece.model", "tokenizer.json"))} <= chosen


class Hub:
    """Stands for the Hub's client: what it was asked, and what it answers."""

    def __init__(self, monkeypatch, folder, problem=None, here=True):
        import huggingface_hub

        self.asked = []

        def listed(api, name, revision=None):
            self.asked.append((name, revision))
            if problem is not None:
                raise problem
            return ["config.json", "model.safetensors"]

        def snapshot(name, revision=None, local_files_only=False, allow_patterns=None):
            self.asked.append((name, revision, local_files_only))
            if local_files_only and not here:
                raise huggingface_hub.errors.LocalEntryNotFoundError("nothing")
            return str(folder)

        monkeypatch.setattr(huggingface_hub.HfApi, "list_repo_files", listed)
        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)


def test_a_revision_is_asked_for_and_an_id_is_called_by_its_name(tiny_model, tmp_path, monkeypatch):
    hub = Hub(monkeypatch, tiny_model)
    assert checkpoint.load("someone/great-model@v1.2").name == "great-model"
    assert hub.asked == [("someone/great-model", "v1.2"), ("someone/great-model", "v1.2", False)]


def test_what_was_fetched_before_is_found_without_the_hub(tiny_model, monkeypatch):
    hub = Hub(monkeypatch, tiny_model, ConnectionError("no network"))
    assert location.locate("someone/model") == tiny_model and hub.asked[-1] == ("someone/model", None, True)


def gated(kind: str):
    """An answer of the Hub as its client raises it."""
    from huggingface_hub import errors

    error = getattr(errors, kind).__new__(getattr(errors, kind))
    Exception.__init__(error, "403 Client Error.\n\nmore")
    return error


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("GatedRepoError", "accepted its conditions"),
        ("RepositoryNotFoundError", "the Hub shows no such model"),
        ("RevisionNotFoundError", "has no such revision on the Hub"),
        ("HfHubHTTPError", "could not be had from the Hub"),
        (None, "was not fetched before, and the Hub cannot be reached"),
    ],
)
def test_what_the_hub_does_not_give_is_told_in_a_sentence(problem, message, tmp_path, monkeypatch, capsys):
    Hub(monkeypatch, tmp_path, ConnectionError("no network") if problem is None else gated(problem), here=False)
    assert cli.run(["generate", "a waltz", "--model", "someone/model@main", "-o", str(tmp_path / "x.wav")]) == 2
    said = capsys.readouterr().err
    assert message in said and "'someone/model@main'" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_non_commercial_licence_is_told_once(tmp_path, caplog):
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\ntags: [music]\n---\n# A model\n")
    assert licences.of("somewhere", tmp_path) == "cc-by-nc-4.0"
    assert licences.of("facebook/jasco-chords-drums-400M@main", tmp_path / "nothing") == "cc-by-nc-4.0"
    assert licences.of("somewhere", tmp_path / "nothing") == licences.UNSAID
    licences.tell.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            licences.tell("a/b", "cc-by-nc-4.0")
            licences.tell("a/c", "Apache-2.0")
            licences.tell("a/d", licences.UNSAID)
    assert [record.message.split(":")[0] for record in caplog.records] == ["The weights of a/b are licensed cc-by-nc-4.0"]


@pytest.mark.parametrize("card", ["", "no front matter", "---\nlicense: [\n---\n", "---\n- a list\n---\n"])
def test_a_card_without_a_licence_says_nothing(card, tmp_path):
    (tmp_path / "README.md").write_text(card)
    assert licences.of("somewhere", tmp_path) == licences.UNSAID


def test_a_codec_of_others_is_no_generator(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "encodec"}))
    with pytest.raises(ValueError, match="is a codec, which does not generate"):
        checkpoint.load(tmp_path)
