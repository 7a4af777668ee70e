"""Text through T5 against transformers' own encoder: the same states, whatever stands beside a text."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from counterpoint.conditioners.text import Encoder, T5Config
from counterpoint.types import Spec

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")

SPEC = Spec(rate=25.0, dim=4)
TEXTS = ["slow piano in a minor", "fast", "a zorgly piano"]


def theirs(folder, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' states of a padded batch, and its mask."""
    model = transformers.T5EncoderModel.from_pretrained(folder).eval()
    batch = transformers.AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state, batch.attention_mask


def test_the_encoder_is_transformers(tiny_t5):
    states, mask = theirs(tiny_t5, TEXTS)
    encoder = Encoder(T5Config(model=str(tiny_t5), dim=24))
    for text, oracle, real in zip(TEXTS, states, mask.bool(), strict=True):
        torch.testing.assert_close(encoder(text, torch.device("cpu")), oracle[real], atol=1e-5, rtol=0)


@pytest.mark.parametrize("compat", ["mask", "audiocraft"])
def test_a_padded_batch_is_projected_transformers_and_null_where_nothing_is_told(tiny_t5, compat):
    torch.manual_seed(0)
    conditioner = T5Config(model=str(tiny_t5), dim=24, compat=compat).build(6)
    states, mask = theirs(tiny_t5, TEXTS)
    cond = conditioner([*TEXTS, None, " "], SPEC, 5)
    assert cond.context is not None and cond.mask is not None
    oracle = torch.nn.functional.linear(states, conditioner.out.weight, conditioner.out.bias) * mask[..., None]
    torch.testing.assert_close(cond.context[:3], oracle, atol=1e-5, rtol=0)
    assert not cond.context[3:].any()
    shown = torch.ones(5, 6) if compat == "audiocraft" else torch.cat((mask, torch.eye(6)[:1].expand(2, -1)))
    assert torch.equal(cond.mask, shown.bool())


@pytest.mark.parametrize("kind", ["whole T5", "either name of the shared table", "half precision"])
def test_other_files_of_the_same_encoder_are_read(tiny_t5, tmp_path, kind):
    states, mask = theirs(tiny_t5, TEXTS[:1])
    for path in tiny_t5.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_file(tiny_t5 / "model.safetensors")
    if kind == "whole T5":
        tensors |= {"decoder.final_layer_norm.weight": torch.ones(24), "lm_head.weight": torch.ones(10, 24)}
    elif kind == "half precision":
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    else:
        tensors["encoder.embed_tokens.weight"] = tensors.pop("shared.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    said = Encoder(T5Config(model=str(tmp_path), dim=24))(TEXTS[0], torch.device("cpu"))
    torch.testing.assert_close(said, states[0][mask[0].bool()], atol=1e-2 if kind == "half precision" else 1e-5, rtol=0)
