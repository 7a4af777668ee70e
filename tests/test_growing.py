"""A wav file that is played while it grows: at every moment a file that can be read, at the end the whole stream."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import counterpoint
from counterpoint import audio


def chunks(sizes=(100, 1, 250)):
    draw = torch.Generator().manual_seed(0)
    return [0.5 * torch.rand(2, size, generator=draw) - 0.25 for size in sizes]


def test_it_can_be_read_at_every_moment_and_says_how_long_it_will_be(tmp_path: Path) -> None:
    parts, path, heard = chunks(), tmp_path / "a.wav", []

    def growing():
        for part in parts:
            yield part
            heard.append(soundfile.read(path, always_2d=True)[0].T)
            assert int.from_bytes(path.read_bytes()[40:44], "little") == 2 * 2 * 351

    audio.write_growing(path, growing(), 8000, 351)
    assert [now.shape[1] for now in heard] == [100, 101, 351]
    whole = torch.cat(parts, dim=1).numpy()
    assert np.abs(heard[-1] - whole).max() < 2 / 32766 and np.array_equal(heard[0], heard[-1][:, :100])


def test_what_ends_early_is_a_whole_file_of_less(tmp_path: Path) -> None:
    def stopping():
        yield from chunks((50, 60))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audio.write_growing(tmp_path / "a.wav", stopping(), 8000, 351, {"title": "x"})
    assert soundfile.info(tmp_path / "a.wav").frames == 110
    assert int.from_bytes((tmp_path / "a.wav").read_bytes()[40:44], "little") == 2 * 2 * 110


def test_nothing_made_leaves_nothing(tmp_path: Path) -> None:
    def failing():
        raise ValueError("no")
        yield

    with pytest.raises(ValueError):
        audio.write_growing(tmp_path / "a.wav", failing(), 8000, 10)
    assert not list(tmp_path.iterdir())


def test_a_stream_that_is_saved_is_the_stream_with_its_tags(tiny_model: Path, tmp_path: Path) -> None:
    model = counterpoint.load(tiny_model)
    heard = torch.cat(list(model.stream("slow piano", seconds=1, seed=2)), dim=1)
    path = model.stream("slow piano", seconds=1, seed=2).save(tmp_path / "a.wav")
    read, _ = audio.read(path)
    assert read.shape == heard.shape and (read - heard).abs().max() < 3 / 32766
    assert audio.read_tags(path)["title"] == "slow piano"
