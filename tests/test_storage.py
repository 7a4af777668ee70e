"""What comes back from 8 and 16 bits, and that checkpoints of 8 bits are checkpoints like others."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterpoint.codecs.spectral import Spectral
from counterpoint.conditioners.words import WordsConfig
from counterpoint.hub import checkpoint, storage
from counterpoint.systems.jasco import Jasco, JascoConfig


def rows(*shape: int, seed: int = 0) -> Tensor:
    """Chance numbers whose rows differ in size a million times."""
    draw = torch.Generator().manual_seed(seed)
    size = 10 ** torch.linspace(-5, 1, shape[0]).reshape(-1, *(1 for _ in shape[1:]))
    return size * torch.randn(shape, generator=draw)


@pytest.mark.parametrize("shape", [(64, 80), (32, 16, 9)])
def test_matrices_are_those_that_torch_quantises(shape: tuple[int, ...]) -> None:
    matrix = rows(*shape)
    largest = matrix.abs().flatten(1).max(1).values
    theirs = torch.fake_quantize_per_channel_affine(
        matrix, largest / 127, torch.zeros(len(matrix), dtype=torch.int32), 0, -127, 127
    )
    packed = storage.pack({"a.weight": matrix}, 8)
    assert {name: (tensor.dtype, tensor.shape[0]) for name, tensor in packed.items()} == {
        "a.weight.int8": (torch.int8, shape[0]),
        "a.weight.scale": (torch.float32, shape[0]),
    }
    ours = storage.unpack(packed)["a.weight"]
    step = (largest / 127).reshape(-1, *(1 for _ in shape[1:]))
    assert ((ours - matrix).abs() <= 0.501 * step).all(), "each row by its own scale"
    assert ((ours - theirs).abs() > 0.01 * step).float().mean() < 1e-3  # ties may fall either way


def test_what_is_no_large_matrix_takes_16_bits() -> None:
    told = {
        "bias": rows(5000),
        "small": rows(8, 100),
        "kernels": rows(1000, 1, 7),
        "codes": rows(64, 80),
        "count": torch.tensor([3, 100_000]),
        "flag": torch.tensor([True, False]),
    }
    for bits in (8, 16):
        packed = storage.pack(told, bits, exact={"codes"})
        assert packed.keys() == told.keys()
        for name, tensor in told.items():
            expected = tensor.half() if tensor.is_floating_point() else tensor
            assert packed[name].dtype == expected.dtype and torch.equal(packed[name], expected)
    assert all(torch.equal(tensor, told[name]) for name, tensor in storage.pack(told, 32).items())


def test_packing_again_changes_nothing() -> None:
    matrix = rows(64, 80)
    matrix[3] = 0.0
    once = storage.pack({"w": matrix, "b": rows(9)}, 8)
    assert (once["w.scale"] > 0).all(), "nothing is divided by zero"
    back = storage.unpack(once)
    again = storage.pack(back, 8)
    assert torch.equal(back["w"][3], torch.zeros(80)) and torch.equal(again["w.int8"], once["w.int8"])
    torch.testing.assert_close(again["w.scale"], once["w.scale"], rtol=1e-6, atol=0)
    assert torch.equal(again["b"], once["b"])


@pytest.mark.parametrize("worst", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused_and_large_rows_are_not(worst: float) -> None:
    matrix = rows(64, 80)
    matrix[0, 0] = 1e6  # more than 16-bit floats hold
    assert storage.unpack(storage.pack({"w": matrix}, 8))["w"][0, 0] == pytest.approx(1e6)
    matrix[1, 1] = worst
    with pytest.raises(ValueError, match=f"^w holds {worst:g}, which .*[.]$"):
        storage.pack({"w": matrix}, 8)
    with pytest.raises(ValueError, match=r"^b holds 100000, which 16-bit floats cannot"):
        storage.pack({"b": torch.full((3,), 1e5)}, 8)


@pytest.fixture
def wide(tiny_model: Path) -> Jasco:
    """A system with matrices that are large enough."""
    codec = checkpoint.load_codec(tiny_model)
    vocabulary = tuple(f"word{i}" for i in range(200))
    config = JascoConfig.tiny()
    wider = config.backbone.model_copy(update={"width": 128})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return config.model_copy(update={"backbone": wider, "words": WordsConfig(dim=32, vocabulary=vocabulary)}).build(
            codec.spec
        )


@pytest.fixture
def folder(wide: Jasco, tiny_model: Path, tmp_path: Path) -> Path:
    """Its checkpoint of 8 bits."""
    shutil.copytree(tiny_model / "codec", tmp_path / "eight" / "codec")
    manifest = checkpoint.system_manifest(wide.config, wide, checkpoint.load_codec(tiny_model))
    checkpoint.save(tmp_path / "eight", wide, manifest, bits=8)
    return tmp_path / "eight"


def test_a_checkpoint_of_8_bits_is_one(wide: Jasco, folder: Path) -> None:
    loaded = checkpoint.load(folder)
    weights = (folder / checkpoint.WEIGHTS).read_bytes()
    assert loaded.version == f"1+{hashlib.sha256(weights).hexdigest()[:8]}"
    assert len(weights) < 0.32 * sum(4 * tensor.numel() for tensor in wide.state_dict().values())
    theirs = wide.state_dict()
    for name, tensor in loaded.system.state_dict().items():
        assert tensor.dtype == torch.float32
        largest = theirs[name].abs().max().item()
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=largest / 250)
    assert torch.equal(loaded.system.get_buffer("std"), wide.get_buffer("std"))


def test_a_damaged_one_is_told_as_ever(folder: Path) -> None:
    path = folder / checkpoint.WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[:-100] + bytes(100))
    with pytest.raises(ValueError, match=r"is damaged or belongs to another config.json; fetch or save"):
        checkpoint.load(folder)
    path.write_bytes(whole)
    tensors = load_file(path)
    name = next(name for name in sorted(tensors) if name.endswith(storage.SCALE))
    for broken in (None, tensors[name][:-1].contiguous()):
        save_file({**{n: t for n, t in tensors.items() if n != name}, **({name: broken} if broken is not None else {})}, path)
        manifest = json.loads((folder / checkpoint.CONFIG).read_text())
        manifest["weights"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / checkpoint.CONFIG).write_text(json.dumps(manifest))
        with pytest.raises(ValueError, match=r"does not fit its config.json: 1 tensors are missing, [12] unknown"):
            checkpoint.load(folder)


def test_a_codecs_frames_and_tokens_are_the_same_from_8_bits_as_from_16(tiny_model: Path, tmp_path: Path) -> None:
    """Caches are known by the digest of both."""
    codec = checkpoint.load_codec(tiny_model)
    assert isinstance(codec, Spectral)
    for bits in (8, 16):
        checkpoint.save(tmp_path / str(bits), codec, checkpoint.codec_manifest(codec.config, codec), bits=bits)
    eight, sixteen = (checkpoint.load_codec(tmp_path / bits) for bits in ("8", "16"))
    for ours, other in ((eight.frame_state(), sixteen.frame_state()), (eight.token_state(), sixteen.token_state())):
        assert ours and all(torch.equal(ours[name], tensor) for name, tensor in other.items())
