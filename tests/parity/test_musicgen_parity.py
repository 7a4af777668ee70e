"""MusicGen against transformers' own, with random weights: the same logits, greedy tokens and audio."""

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file

from counterpoint import generation
from counterpoint.conditioners.text import T5Config
from counterpoint.hub import anatomy, checkpoint, encodec_layout, musicgen_layout
from counterpoint.systems.musicgen import Musicgen, Sampling
from counterpoint.types import Canvas, Cond, Spec
from tiny_musicgens import BINS, decoder_settings, scattered, tokenized

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")

TEXTS = ["slow piano in a minor", "fast"]


@pytest.mark.parametrize("compat", ["mask", "audiocraft"])
@pytest.mark.parametrize("texts", [TEXTS, ["slow piano", "fast piano"]], ids=["padded", "of one length"])
@pytest.mark.parametrize(("levels", "width"), [(1, 16), (2, 48), (4, 32), (4, 24)])
def test_logits_are_transformers(whole, levels, width, texts, compat):
    """A width of 24 is that of the text encoder, which is then not projected."""
    folder, model = whole(levels, width)
    system = checkpoint.load(folder).system
    assert isinstance(system, Musicgen)
    system.conditioners["text"].config = system.conditioners["text"].config.model_copy(update={"compat": compat})
    history = torch.randint(BINS + 1, (2, levels, 30), generator=torch.Generator().manual_seed(1))
    words = tokenized(folder, texts)
    with torch.no_grad():
        if compat == "mask":
            told = {"input_ids": words.input_ids, "attention_mask": words.attention_mask}
            oracle = model(**told, decoder_input_ids=history.flatten(0, 1)).logits
        else:
            states = model.text_encoder(**words).last_hidden_state
            states = states if width == 24 else model.enc_to_dec_proj(states)
            shown = states * words.attention_mask[..., None]
            oracle = model.decoder(history.flatten(0, 1), encoder_hidden_states=shown).logits
        ours = system._logits(history, system.conditioners({"text": texts}, system.spec, 30, 2))
    torch.testing.assert_close(ours, oracle.unflatten(0, (2, levels)), atol=1e-4, rtol=0)
    assert oracle.std() > 0.3


@pytest.mark.parametrize(("levels", "channels"), [(1, 1), (2, 1), (4, 1), (4, 2)])
def test_the_decoder_alone_is_transformers(tmp_path, levels, channels):
    model = scattered(transformers.MusicgenForCausalLM(decoder_settings(levels, 32, audio_channels=channels)), seed=3)
    model.save_pretrained(tmp_path)
    content = musicgen_layout.written_by_transformers(tmp_path / "config.json")
    assert content is not None
    config = musicgen_layout.settings(content, T5Config(dim=32))
    assert config.delays == ((0, 0, 1, 1) if channels == 2 else tuple(range(levels)))
    system = config.build(Spec(50.0, 16, levels, BINS)).eval()
    system.load_state_dict(musicgen_layout.rename(load_file(tmp_path / "model.safetensors")))
    generator = torch.Generator().manual_seed(1)
    history, states = torch.randint(BINS + 1, (2, levels, 30), generator=generator), torch.randn(2, 5, 32, generator=generator)
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    with torch.no_grad():
        told = {"encoder_hidden_states": states, "encoder_attention_mask": mask.long()}
        oracle = model(history.flatten(0, 1), **told).logits.unflatten(0, (2, levels))
        torch.testing.assert_close(system._logits(history, Cond(context=states, mask=mask)), oracle, atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="without its text encoder and codec"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("levels", "width", "channels", "frames"), [(1, 16, 1, 100), (2, 48, 1, 100), (4, 32, 1, 500), (4, 32, 2, 100)]
)
def test_greedy_guided_tokens_and_their_sound_are_transformers(whole, levels, width, channels, frames, monkeypatch):
    """Two texts of different length at once, through delays, guidance, memory and codec, of one channel or two."""
    folder, model = whole(levels, width, channels)
    seen, decode = [], model.audio_encoder.decode
    monkeypatch.setattr(model.audio_encoder, "decode", lambda codes, **told: seen.append(codes) or decode(codes, **told))
    greedy = {"do_sample": False, "guidance_scale": 3.0, "max_new_tokens": frames + levels // channels - 1}
    heard = model.generate(**tokenized(folder, TEXTS), **greedy, pad_token_id=BINS, decoder_start_token_id=BINS)
    loaded = checkpoint.load(folder)
    sampling = Sampling(temperature=0, guidance={"all": 3.0})
    canvas = Canvas.blank(2, frames, loaded.system.spec, "tokens")
    tokens = loaded.system.generate(canvas, {"text": TEXTS}, [0, 1], sampling)
    theirs = seen[0][0] if channels == 1 else torch.stack((seen[0][0], seen[1][0]), dim=2).flatten(1, 2)
    assert torch.equal(tokens, theirs) and len(tokens.unique()) > 5 and not torch.equal(tokens[0], tokens[1])
    with torch.no_grad():
        torch.testing.assert_close(loaded.codec.decode(loaded.codec.from_tokens(tokens)), heard, atol=1e-4, rtol=1e-4)


def test_a_whole_model_is_loaded_described_and_asked_like_any_other(whole, tmp_path):
    folder, _ = whole(4, 32)
    model = generation.load(folder)
    take = model.generate("slow piano", seconds=1, seed=3)
    assert take.audio.shape == (1, 800) and take.record["plan"] == "none" and take.record["unknown"] == []
    assert "musicgen" in anatomy.describe(folder) and "that of its own card" in anatomy.describe(folder)
    loaded = checkpoint.load(folder)
    checkpoint.save(tmp_path / "codec", loaded.codec, checkpoint.codec_manifest(loaded.codec.config, loaded.codec))
    checkpoint.save(tmp_path, loaded.system, checkpoint.system_manifest(loaded.config, loaded.system, loaded.codec))
    assert torch.equal(generation.load(tmp_path).generate("slow piano", seconds=1, seed=3).audio, take.audio)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder": {"vocab_size": 32}}, "makes 4 of 32 tokens a frame, but its codec knows 4 of 64"),
        ({"decoder": {"num_codebooks": 8}}, "makes 8 of 64 tokens a frame, but its codec knows 4 of 64"),
        ({"decoder": {"activation_function": "relu"}}, "another activation than gelu"),
        ({"decoder": {"hidden_size": 40}}, "does not fit its config.json"),
        ({"decoder": {"num_attention_heads": 3}}, "width 32 must be an even multiple of heads 3"),
        ({"text_encoder": None}, "does not state"),
        ({"audio_encoder": {"normalize": True}}, "loudness apart"),
    ],
)
def test_parts_that_do_not_fit_are_told_in_a_sentence(whole, tmp_path, change, message):
    folder = shutil.copytree(whole(4, 32)[0], tmp_path / "here")
    content = json.loads((folder / "config.json").read_text())
    for name, part in change.items():
        content[name] = None if part is None else content[name] | part
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        checkpoint.load(folder)
    assert "\n" not in str(error.value)


def test_a_codec_of_an_older_release_is_read(whole):
    folder, _ = whole(4, 32)
    tensors = load_file(folder / "model.safetensors")
    older = {
        re.sub(r"parametrizations\.weight\.original([01])", lambda m: "weight_" + "gv"[int(m[1])], n): t
        for n, t in tensors.items()
    }
    now, then = (encodec_layout.rename(named) for named in (tensors, older))
    assert tensors.keys() != older.keys() and now.keys() == then.keys()


@pytest.mark.parametrize("form", ["parts", "older"])
def test_weights_in_parts_and_in_torchs_own_format_are_the_same(whole, tmp_path, form):
    """The larger released models lie in several files, and older ones in pytorch_model.bin."""
    folder, model = whole(4, 32)
    there = shutil.copytree(folder, tmp_path / "here")
    (there / "model.safetensors").unlink()
    if form == "parts":
        model.save_pretrained(there, max_shard_size="60KB")
        assert len(list(there.glob("model-*.safetensors"))) > 2
    else:
        torch.save(model.state_dict(), there / "pytorch_model.bin")
    ours, again = checkpoint.load(folder), checkpoint.load(there)
    for module, other in ((ours.system, again.system), (ours.codec, again.codec)):
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in module.state_dict().items())
    if form == "parts":
        take, other = (generation.load(place).generate("slow piano", seconds=1) for place in (folder, there))
        assert torch.equal(take.audio, other.audio)
        next(there.glob("model-*2-of*.safetensors")).unlink()
        with pytest.raises(ValueError, match=r"is named by model\.safetensors\.index\.json and is not there"):
            checkpoint.load(there)


def test_what_generation_is_told_by_default_is_read(whole, tmp_path):
    folder = shutil.copytree(whole(4, 32)[0], tmp_path / "here")
    (folder / "generation_config.json").write_text('{"guidance_scale": 2.5, "top_k": 50, "do_sample": true}')
    sampling = checkpoint.load(folder).config.sampling
    assert (sampling.guidance, sampling.top_k, sampling.temperature) == ({"all": 2.5}, 50, 1.0)
