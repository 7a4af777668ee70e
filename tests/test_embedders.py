"""What every ear promises, whatever is inside: the same numbers for the same sound, and a sentence where it cannot listen."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import tiny_ears
from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
from counterpoint.embedders import vggish, weights
from counterpoint.embedders.base import Ear, Embedder, Rater, Tagger, TextEmbedder
from counterpoint.embedders.frames import CodecFrames
from counterpoint.embedders.table import EMBEDDERS, open_embedder
from counterpoint.embedders.windows import consecutive, covering

MAKERS = {name: getattr(tiny_ears, name) for name in ("vggish", "clap", "panns", "audiobox", "hubert")}
NAMES = ("logmel", "codec", *MAKERS)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Ear]]:
    """Each ear by name, opened once."""
    opened: dict[str, Ear] = {}

    def get(name: str) -> Ear:
        if name not in opened:
            opened[name] = make(name)
        return opened[name]

    def make(name: str) -> Ear:
        if name == "codec":
            config = SpectralConfig.tiny()
            generator = torch.Generator().manual_seed(0)
            clips = [0.1 * torch.randn(1, 2 * config.sample_rate, generator=generator) for _ in range(2)]
            codec = fit_closed_form(config, clips, generator)
            digest = weights.digest_of_tensors(codec.frame_state())
            return CodecFrames(codec.encode, codec.spec, codec.sample_rate, codec.channels, "tiny 1", digest)
        if name not in MAKERS:
            return open_embedder(name)
        return open_embedder(name, MAKERS[name](tmp_path_factory.mktemp("ears") / name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vggish, "WIDTH", tiny_ears.VGGISH_WIDTH)
        yield get


def noise(samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def said(ear: Ear, audio: Tensor) -> list[np.ndarray]:
    """All that an ear says of a sound."""
    found = [ear.embed(audio)] if isinstance(ear, Embedder) else []
    found += [ear.embed_clip(audio)] if isinstance(ear, TextEmbedder) else []
    found += [ear.probabilities(audio)] if isinstance(ear, Tagger) else []
    return found + ([ear.ratings(audio)] if isinstance(ear, Rater) else [])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_sound_gets_the_same_numbers_whatever_came_before(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    clip = noise(int(2.3 * ear.sample_rate))
    first = said(ear, clip)
    said(ear, noise(ear.sample_rate, seed=1))
    np.random.seed(5)
    torch.manual_seed(5)
    for before, after in zip(first, said(ear, clip), strict=True):
        assert np.array_equal(before, after)
    for mine, other in zip(first, said(ear, noise(len(clip), seed=2)), strict=True):
        assert not np.allclose(mine, other, rtol=1e-6, atol=0), "another sound, another vector"


@pytest.mark.parametrize("name", NAMES)
def test_no_chance_is_drawn(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    said(ear, noise(int(10.7 * ear.sample_rate)))
    assert np.array_equal(states[0], np.random.get_state()[1]) and torch.equal(states[1], torch.get_rng_state())


@pytest.mark.parametrize("seconds", [1 / 32000, 0.05, 1.0, 10.0, 10.02, 21.7])
@pytest.mark.parametrize("name", NAMES)
def test_any_length_gives_frames_of_the_declared_shape(name: str, seconds: float, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    audio = noise(max(1, round(seconds * ear.sample_rate)))
    if isinstance(ear, Embedder):
        frames = ear.embed(audio)
        assert frames.dtype in (np.float32, np.float64) and np.isfinite(frames).all()
        assert frames.ndim == 2 and frames.shape[1] == ear.dim and len(frames) >= 1
    if isinstance(ear, Tagger):
        rows = ear.probabilities(audio)
        assert rows.shape[1] == len(ear.labels) and np.allclose(rows.sum(1), 1) and (rows >= 0).all()
    if isinstance(ear, Rater):
        assert ear.ratings(audio).shape == (len(ear.axes),) and np.isfinite(ear.ratings(audio)).all()


@pytest.mark.parametrize("name", NAMES)
def test_silence_and_doubles_are_heard(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    assert all(np.isfinite(found).all() for found in said(ear, torch.zeros(ear.sample_rate)))
    clip = noise(ear.sample_rate)
    for single, double in zip(said(ear, clip), said(ear, clip.double()), strict=True):
        assert np.array_equal(single, double)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_sound_is_refused(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    broken = noise(ear.sample_rate)
    broken[100] = float("nan")
    with pytest.raises(ValueError, match="not numbers"):
        said(ear, broken)
    with pytest.raises(ValueError, match="no samples"):
        said(ear, torch.zeros(0))
    with pytest.raises(ValueError, match="not numbers"):
        ear.hear(torch.full((2, 50), float("inf")), 48000)


@pytest.mark.parametrize("name", NAMES)
def test_any_rate_and_channels_are_brought_to_its_own(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    rate = 44100
    place = torch.arange(rate) / rate
    tone = 0.4 * torch.sin(2 * torch.pi * 440 * place)
    heard = ear.hear(torch.stack([tone, torch.zeros_like(tone)]), rate)
    assert len(heard) == ear.sample_rate
    expected = 0.2 * torch.sin(2 * torch.pi * 440 * torch.arange(ear.sample_rate) / ear.sample_rate)
    inner = slice(ear.sample_rate // 10, -ear.sample_rate // 10)
    assert (heard - expected)[inner].abs().max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_identity_pins_the_weights(name: str, ears: Callable[[str], Ear]) -> None:
    ear = ears(name)
    assert ear.identity.startswith(f"{name} 1") and (("sha256" in ear.identity) == (name != "logmel"))
    entry = EMBEDDERS[name]
    assert (entry.need == "nothing") == (ear.digest == "")
    if name != "codec":
        assert ear.sample_rate == entry.rate


def test_a_digest_of_one_file_is_what_sha256sum_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"counterpoint")
    assert weights.digest([tmp_path / "a"]) == "5f9ed909"
    (tmp_path / "b").write_bytes(b"!")
    assert weights.digest([tmp_path / "a", tmp_path / "b"]) != weights.digest([tmp_path / "a"])


def test_a_digest_of_tensors_knows_name_shape_and_value() -> None:
    digests = [{"a": torch.zeros(4)}, {"b": torch.zeros(4)}, {"a": torch.zeros(2, 2)}, {"a": torch.ones(4)}]
    assert len({weights.digest_of_tensors(tensors) for tensors in digests}) == 4
    both = {"a": torch.zeros(4), "b": torch.ones(2)}
    assert weights.digest_of_tensors(both) == weights.digest_of_tensors(dict(reversed(both.items())))


def test_every_ear_of_the_table_says_what_it_needs() -> None:
    for name, entry in EMBEDDERS.items():
        if entry.need == "weights":
            with pytest.raises(ValueError, match=f"name them, as {name}=PLACE; they are published at") as error:
                open_embedder(name)
            assert entry.published in str(error.value)
    with pytest.raises(ValueError, match="Did you mean 'vggish'"):
        open_embedder("vgish")
    with pytest.raises(ValueError, match="needs no weights"):
        open_embedder("logmel", Path("weights"))
    with pytest.raises(ValueError, match="no layer to choose"):
        open_embedder("logmel", layer=3)


@pytest.mark.parametrize("name", list(MAKERS))
def test_wrong_weights_are_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"There is no file or folder|has no config.json"):
        open_embedder(name, tmp_path / "nowhere")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"does not fit|holds no CNN14|has no config.json"):
        open_embedder(name, tmp_path)


def test_files_of_weights_are_read_and_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"a": torch.zeros(1), "b": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ValueError, match="nothing else in it is unpickled"):
        weights.read(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()
    (tmp_path / "cut.safetensors").write_bytes(b"12345")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        weights.read(tmp_path / "cut.safetensors")
    with pytest.raises(ValueError, match=r"holds cut\.safetensors, trap\.pth; name the file itself"):
        weights.file_of(tmp_path)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds no tensors"):
        weights.read(tmp_path / "list.pth")


def test_numbers_that_a_training_script_left_are_passed_over(tmp_path: Path) -> None:
    """As numpy 2 writes them, and as numpy 1 did, which named its parts otherwise."""
    numbers = {"indexes": np.arange(3), "mean": np.float32(2), "seeds": np.array([[1.5]])}
    file = tmp_path / "with_numpy.pth"
    torch.save({"model": {"a": torch.ones(2)}, "sampler": numbers}, file, _use_new_zipfile_serialization=False)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)
    assert list(weights.read(file)) == ["a"]
    written = file.read_bytes()
    assert b"numpy._core.multiarray\n" in written
    file.write_bytes(written.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"))
    assert list(weights.read(file)) == ["a"]


def test_parts_one_after_the_other() -> None:
    sound = torch.arange(25.0)
    assert [part.tolist() for part in consecutive(sound, 10, 5)] == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
    assert [len(part) for part in consecutive(sound, 10, 6)] == [10, 10]
    assert consecutive(sound[1:4], 10, 5)[0].tolist() == [1, 2, 3, 0, 0]


def test_parts_that_cover_a_sound() -> None:
    sound = torch.arange(25.0)
    assert [part.tolist() for part in covering(sound, 10)] == [[*range(10)], [*range(10, 20)], [*range(15, 25)]]
    assert [part.tolist() for part in covering(sound[:20], 10)] == [[*range(10)], [*range(10, 20)]]
    assert covering(sound[1:4], 10)[0].tolist() == [1, 2, 3, 1, 2, 3, 1, 2, 3, 0]
    assert covering(sound[:10], 10)[0].tolist() == [*range(10)]
