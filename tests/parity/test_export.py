"""What is exported, transformers loads, and makes the same tokens and sound of."""

import json

import pytest
import torch

from counterpoint import cli
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.hub import checkpoint, encodec_layout, export, musicgen_layout, renaming
from counterpoint.systems.musicgen import MusicgenConfig, Sampling
from counterpoint.types import Canvas
from tiny_musicgens import BINS, tokenized

transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")


@pytest.mark.parametrize(("levels", "width", "channels"), [(4, 32, 1), (4, 32, 2), (4, 24, 1)])
def test_an_exported_model_makes_the_same_tokens(whole, levels, width, channels, tmp_path, monkeypatch, capsys):
    """A model that was saved here, from its own folder: so both directions are gone through."""
    theirs, ours = whole(levels, width, channels)[0], tmp_path / "ours"
    loaded = checkpoint.load(theirs)
    checkpoint.save(ours / "codec", loaded.codec, checkpoint.codec_manifest(loaded.codec.config, loaded.codec))
    checkpoint.save(ours, loaded.system, checkpoint.system_manifest(loaded.config, loaded.system, loaded.codec))
    assert cli.run(["export", str(ours), "--to", "transformers", "-o", str(tmp_path / "out")]) == 0
    assert "config.json" in capsys.readouterr().out
    model, problems = transformers.MusicgenForConditionalGeneration.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(problems.values())
    seen, decode = [], model.audio_encoder.decode
    monkeypatch.setattr(model.audio_encoder, "decode", lambda codes, **told: seen.append(codes) or decode(codes, **told))
    greedy = {"do_sample": False, "guidance_scale": 3.0, "max_new_tokens": 50 + levels // channels - 1}
    heard = model.eval().generate(**tokenized(tmp_path / "out", ["slow piano"]), **greedy, top_k=None)
    canvas = Canvas.blank(1, 50, loaded.system.spec, "tokens")
    tokens = loaded.system.generate(canvas, {"text": ["slow piano"]}, [0], Sampling(temperature=0, guidance={"all": 3.0}))
    made = seen[0][0] if channels == 1 else torch.stack((seen[0][0], seen[1][0]), dim=2).flatten(1, 2)
    assert torch.equal(tokens, made) and len(tokens.unique()) > 5
    with torch.no_grad():
        torch.testing.assert_close(loaded.codec.decode(loaded.codec.from_tokens(tokens)), heard, atol=1e-4, rtol=1e-4)


def test_an_exported_codec_is_the_same_codec(tmp_path):
    config = EncodecConfig.tiny()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = config.build().eval()
        for codes in codec.quantizer.buffers():
            codes.normal_()
    checkpoint.save(tmp_path / "ours", codec, checkpoint.codec_manifest(config, codec))
    export.export(tmp_path / "ours", tmp_path / "out")
    model = transformers.EncodecModel.from_pretrained(tmp_path / "out").eval()
    audio = torch.randn(1, 1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tokens = model.encode(audio, bandwidth=model.config.target_bandwidths[0]).audio_codes[0]
        assert torch.equal(tokens, codec.to_tokens(codec.encode(audio)))
        heard = model.decode(tokens[None], [None])[0]
        torch.testing.assert_close(codec.decode(codec.from_tokens(tokens)), heard, atol=1e-5, rtol=0)
    again = checkpoint.load_codec(tmp_path / "out")
    assert again.config == config and all(torch.equal(t, codec.state_dict()[n]) for n, t in again.state_dict().items())


def test_the_tables_of_names_lead_both_ways(whole):
    _, model = whole(4, 32)
    names = [name for name in model.state_dict() if name.startswith(("decoder.", "enc_to"))]
    for table, theirs in ((musicgen_layout.NAMES, names), (encodec_layout.CODES, list(model.audio_encoder.state_dict()))):
        there = renaming.to_ours(dict.fromkeys(theirs), table)
        assert list(renaming.to_theirs(there, table)) == theirs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "reads words by a table of its own"),
        ({"words": {"kind": "t5", "model": "t5", "dim": 24}}, "has another codec than EnCodec"),
    ],
)
def test_what_transformers_does_not_know_is_refused_and_nothing_is_written(tiny_family, tmp_path, changes, message, capsys):
    codec = checkpoint.load_codec(tiny_family["tiny"])
    config = MusicgenConfig.model_validate(MusicgenConfig.tiny().model_dump() | changes)
    system = config.build(codec.spec)
    checkpoint.save(tmp_path / "ours", system, checkpoint.system_manifest(config, system, codec))
    (tmp_path / "ours" / "codec").symlink_to(tiny_family["tiny"] / "codec")
    assert cli.run(["export", str(tmp_path / "ours"), "--to", "transformers", "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert cli.run(["export", str(tiny_family["tiny"]), "--to", "transformers", "-o", str(tmp_path / "out")]) == 2
    assert "is a jasco" in capsys.readouterr().err


def test_a_folder_that_is_in_use_is_left_alone(whole, tmp_path):
    (tmp_path / "there.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        export.export(whole(4, 32)[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there.txt"]


def test_settings_that_have_no_network_there_are_named(whole):
    config = checkpoint.load(whole(4, 32)[0]).config
    for change, reason in ({"delays": (0, 1, 3, 2)}, "has other delays"), ({"middle": 0.5}, "fills gaps"):
        with pytest.raises(ValueError, match=f"m {reason}, for which transformers has no network"):
            musicgen_layout.settings_back(config.model_copy(update=change), BINS, 1, "m")
    assert json.dumps(musicgen_layout.settings_back(config, BINS, 1, "m"))
