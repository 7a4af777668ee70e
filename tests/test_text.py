"""T5 as a condition: frozen, outside checkpoints, the same whatever stands beside a text, and clear when something lacks."""

import re
import sys

import pytest
import torch

from counterpoint import config
from counterpoint.conditioners import text as room
from counterpoint.conditioners.text import T5, Encoder, T5Config
from counterpoint.conditioners.words import WordsConfig
from counterpoint.nn.attention import Attention
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Spec

SPEC = Spec(rate=25.0, dim=4)
CPU = torch.device("cpu")


@pytest.fixture
def t5(tiny_t5) -> T5:
    torch.manual_seed(0)
    return T5Config(model=str(tiny_t5), dim=24).build(6)


def copy(folder, target, but: str):
    """The folder without the files whose names begin so."""
    target.mkdir()
    for path in folder.iterdir():
        if not path.name.startswith(but):
            (target / path.name).write_bytes(path.read_bytes())
    return target


def test_only_the_projection_is_trained_and_saved(t5):
    context = t5(["slow piano", None], SPEC, 5).context
    context.square().sum().backward()
    assert {name for name, _ in t5.named_parameters()} == set(t5.state_dict()) == {"out.weight", "out.bias"}
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in t5.parameters())


def test_a_text_says_the_same_in_training_in_inference_and_in_any_company(t5):
    """Bit for bit: a run that is killed and resumed has read other texts before."""
    alone = t5.encoder("slow piano", CPU).clone()
    other = Encoder(t5.config)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        T5.forward(t5.train(), ["fast", "slow piano a a a"], SPEC, 5)
        assert torch.equal(other("slow piano", CPU), alone)
    assert not other("slow piano", CPU).is_inference()  # or it could not be learnt from afterwards


def test_drawing_is_not_disturbed_by_opening_the_encoder(t5):
    torch.manual_seed(3)
    drawn = torch.rand(4)
    torch.manual_seed(3)
    t5(["slow"], SPEC, 5)
    assert torch.equal(torch.rand(4), drawn)


def test_each_text_is_read_once_while_it_is_remembered(t5, monkeypatch):
    read = []
    monkeypatch.setattr(Encoder, "_encode", lambda self, text, device: read.append(text) or torch.zeros(3, 24))
    monkeypatch.setattr(room, "REMEMBERED", 7)
    for text in ("a", "b", "a", "c", "a", "b"):
        t5.encoder(text, CPU)
    assert read == ["a", "b", "c", "b"]  # b was the one not used for longest when c came
    assert t5.encoder.tokens == sum(map(len, t5.encoder.said.values())) == 6


def test_long_texts_are_cut(tiny_t5):
    encoder = Encoder(T5Config(model=str(tiny_t5), dim=24, longest=5))
    assert len(encoder("slow " * 40, CPU)) == 5 and len(encoder("slow", CPU)) == 2


@pytest.mark.parametrize("compat", ["mask", "audiocraft"])
def test_no_text_gives_a_cross_attention_of_exactly_zero(tiny_t5, compat):
    torch.manual_seed(0)
    told = T5Config(model=str(tiny_t5), dim=24, compat=compat).build(8)([None, "slow piano", ""], SPEC, 5)
    attended = Attention(8, 2)(torch.randn(3, 7, 8), told.context, told.mask)
    assert not attended[0].any() and not attended[2].any() and attended[1].all()


def test_compat_decides_whether_the_longest_text_dilutes_the_others(tiny_t5):
    torch.manual_seed(0)
    attention, x = Attention(8, 2), torch.randn(1, 7, 8)

    def heard(compat: str, beside: str) -> torch.Tensor:
        torch.manual_seed(1)
        told = T5Config(model=str(tiny_t5), dim=24, compat=compat).build(8)(["slow piano", beside], SPEC, 5)
        return attention(x.expand(2, -1, -1), told.context, told.mask)[0]

    torch.testing.assert_close(heard("mask", "fast"), heard("mask", "fast fast fast fast"))
    assert not torch.allclose(heard("audiocraft", "fast"), heard("audiocraft", "fast fast fast fast"), atol=1e-3)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("tokenizer", "holds a model without its tokenizer; put its tokenizer.json or spiece.model there"),
        ("model", "holds a tokenizer without its T5; put the model's config.json and model.safetensors there"),
        ("config", "holds a tokenizer without its T5"),
        ("", "has 24 channels, not 32; set words.dim = 24"),
    ],
)
def test_what_lacks_is_told_in_a_sentence(tiny_t5, tmp_path, lacking, message):
    folder = copy(tiny_t5, tmp_path / "here", lacking or "nothing")
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Encoder(T5Config(model=str(folder), dim=24 if lacking else 32))("slow", CPU)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", b"broken", "is not a safetensors file"),
        ("config.json", b'{"model_type": "bert"}', "holds a 'bert', not a 't5'"),
        ("config.json", b"{", "is no valid JSON"),
        ("config.json", b'{"model_type": "t5", "d_model": 24, "num_heads": 3}', "does not fit its config.json"),
        ("tokenizer.json", b"{", "The tokenizer in "),
    ],
)
def test_what_is_broken_is_told_in_a_sentence(tiny_t5, tmp_path, file, content, message):
    folder = copy(tiny_t5, tmp_path / "here", "nothing")
    (folder / file).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Encoder(T5Config(model=str(folder), dim=24))("slow", CPU)
    assert "\n" not in str(error.value)


def test_an_encoder_that_was_never_fetched_is_not_fetched_now(monkeypatch):
    asked = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(ValueError, match=r"run: hf download nobody/t5 .*or set words\.model to a folder") as error:
        Encoder(T5Config(model="nobody/t5"))("slow", CPU)
    assert "\n" not in str(error.value) and asked == []


def test_without_transformers_the_command_that_installs_it_is_told(t5, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'counterpoint\[text\]'"):
        t5(["slow"], SPEC, 5)


@pytest.mark.parametrize("kind", [JascoConfig, MusicgenConfig])
def test_a_table_without_a_kind_is_words_as_before(kind):
    assert config.parse(kind, {"words": {"dim": 8}}).words == WordsConfig(dim=8)
    assert config.parse(kind, {"words": {"kind": "t5", "dim": 8}}).words == T5Config(dim=8)
    for content, message in (({"kind": "t6"}, 'is "words" or "t5"'), ({"kind": "t5", "longst": 1}, "did you mean 'longest'")):
        with pytest.raises(ValueError, match=message) as error:
            config.parse(kind, {"words": content}, "recipe")
        assert "\n" not in str(error.value)
