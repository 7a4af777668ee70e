"""What is known of cached clips: scores exactly, other audio as it is heard, and a run that was killed goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from counterpoint import annotation, labelling
from counterpoint.chordino import label_of
from counterpoint.codecs.base import Codec
from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
from counterpoint.conditioners.chords import paint_chords
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.conditioners.melody import paint_melody
from counterpoint.conditioners.score import paint
from counterpoint.controls.lanes import drum_lane
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.synth import render
from counterpoint.data.index import Index, index
from counterpoint.data.latents import LatentDataset
from counterpoint.data.loader import Loader
from counterpoint.encoding import encode
from counterpoint.labelling import label
from counterpoint.music import Brief, Note, Score

SECONDS, BLUR = 4.0, DrumsConfig(blur=3)


def score(number: int) -> Score:
    return compose(Brief(style="pop", bpm=100.0 + 10 * number), SECONDS, 700 + number)


@pytest.fixture(scope="module")
def codec() -> Codec:
    settings = SpectralConfig.tiny()
    generator = torch.Generator().manual_seed(0)
    clips = [torch.from_numpy(render(score(number), settings.sample_rate, 1)) for number in range(2)]
    return fit_closed_form(settings, clips, generator)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, codec: Codec) -> Path:
    """Four clips; of the last, nobody has the score."""
    folder = tmp_path_factory.mktemp("labelled")
    lines = []
    for number in range(4):
        soundfile.write(folder / f"{number}.flac", render(score(number), codec.sample_rate, 1).T, codec.sample_rate)
        row = {
            "file_name": f"{number}.flac",
            "seconds": SECONDS,
            "captions": ["pop"],
            "split": "valid" if number == 2 else "train",
        }
        if number < 3:
            (folder / f"{number}.json").write_text(json.dumps(annotation.to_dict(score(number))))
            row["annotation"] = f"{number}.json"
        lines.append(json.dumps(row))
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def found(corpus: Path) -> Index:
    return index(corpus)


def cached(found: Index, codec: Codec, out: Path, how: DrumsConfig = BLUR, workers: int = 1) -> Path:
    encode(found, codec, out, paint)
    label(found, codec, out, how, workers)
    return out


@pytest.fixture(scope="module")
def cache(found: Index, codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cached(found, codec, tmp_path_factory.mktemp("cache") / "cache")


def lanes(cache: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in sorted((cache / "controls").glob("*.npy"))}


def test_clips_with_scores_are_labelled_exactly(cache: Path, codec: Codec) -> None:
    told, rate = lanes(cache), codec.spec.rate
    for number in range(3):
        true, frames = score(number), round(SECONDS * codec.spec.rate)
        assert (told["chords"][number, :frames] == paint_chords(true.chords, rate, frames)).all()
        tune = true.track("melody")
        assert (told["melody"][number, :frames] == paint_melody(tune.notes if tune else (), rate, frames)).all()
        assert told["scalars"][number].tolist() == [true.bpm, true.key.tonic + 12 * (true.key.mode == "minor"), SECONDS]


def test_a_lane_says_what_is_written_at_each_frame() -> None:
    true = score(0)
    for place, number in enumerate(paint_chords(true.chords, 25.0, 100)):
        span = next(span for span in true.chords if span.start - 1e-6 <= place / 25 < span.end - 1e-6)
        assert number == label_of(span.chord) > 0
    notes = (Note(0.0, 0.5, 60, 90), Note(0.5, 1.0, 43, 90), Note(1.2, 1.21, 95, 90), Note(1.4, 1.8, 97, 90))
    lane = paint_melody(notes, 10.0, 20)
    assert lane.tolist() == [18] * 5 + [1] * 5 + [0, 0, 53, *[0] * 7], "a short note has one frame, one out of range none"


def test_drums_of_the_lane_change_where_something_is_struck(codec: Codec) -> None:
    hits = tuple(Note(time, time + 0.1, 36, 110) for time in (0.4, 1.2))
    lane = drum_lane(hits, codec, 50, DrumsConfig(blur=1))
    silent = drum_lane((), codec, 50, DrumsConfig(blur=1))
    differs = np.flatnonzero(lane != silent)
    assert 8 <= differs[0] <= 10 and (np.abs(differs - 30) <= 1).any() and len(set(silent.tolist())) == 1
    assert len(np.flatnonzero(np.diff(drum_lane(hits, codec, 50, DrumsConfig(blur=9))))) < 30


def test_the_two_orders_of_blurring_are_those_that_are_said(codec: Codec) -> None:
    hits = tuple(Note(time, time + 0.1, 38, 110) for time in (0.1, 0.5, 0.9))
    frames = codec.encode(torch.from_numpy(render(_alone(hits), codec.sample_rate, 1))[None])
    first = codec.from_tokens(codec.to_tokens(frames, 1))[0]
    blocks = drum_lane(hits, codec, 50, DrumsConfig(order="quantise-blur", blur=5))
    for start in range(0, 50, 5):
        np.testing.assert_allclose(blocks[start : start + 5], first[start : start + 5].mean(0).expand(5, -1), atol=2e-2)
    around = torch.stack([frames[0, max(0, i - 1) : i + 2].mean(0) for i in range(50)])
    expected = codec.to_tokens(around[None], 1)[0, 0]
    assert (drum_lane(hits, codec, 50, DrumsConfig(blur=3)) == expected.numpy()).all()


def _alone(hits: tuple[Note, ...]) -> Score:
    from counterpoint.music import Key, Metre, Track

    return Score(2.0, "", 120.0, Metre(), Key(0), (), (), (), (Track("drums", 0, hits),))


def test_clips_without_scores_are_listened_to(cache: Path) -> None:
    told = lanes(cache)
    assert told["scalars"][3, 2] == SECONDS
    true = paint_chords(score(3).chords, 25.0, 100)
    assert (told["chords"][3, :100] == true).mean() > 0.3, "heard by the analyser: far above one in 193"


def test_a_crop_has_the_same_part_of_every_lane(cache: Path, codec: Codec) -> None:
    told = lanes(cache)
    clips = LatentDataset(cache, "train", 30)
    assert clips.drums == ("blur-quantise", 3)
    for i, (number, _) in enumerate(clips.rows):
        item = clips.item(i, 5)
        assert item.frames is not None
        whole = np.load(cache / "frames.npy")[number].astype(np.float32)
        first = int(
            np.abs(np.lib.stride_tricks.sliding_window_view(whole, (30, whole.shape[1]))[:, 0] - item.frames.numpy())
            .sum((1, 2))
            .argmin()
        )
        for name in ("chords", "melody", "drums"):
            assert (item.values[name] == told[name][number, first : first + 30]).all()
    batch = Loader(LatentDataset(cache, "train", 1000), 3, 0).batch(0)
    assert batch.mask is not None and {len(lane) for lane in batch.values["chords"]} == {batch.mask.shape[1]}


def test_killed_and_called_again_is_never_killed(found: Index, codec: Codec, cache: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(labelling, "_AT_ONCE", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    encode(found, codec, tmp_path / "c", paint)
    with pytest.raises(KeyboardInterrupt):
        label(found, codec, tmp_path / "c", BLUR, progress=stop)
    assert not (tmp_path / "c" / "controls").exists() and LatentDataset(tmp_path / "c", "train", 9).drums is None
    label(found, codec, tmp_path / "c", BLUR)
    ours, theirs = lanes(tmp_path / "c"), lanes(cache)
    assert all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in theirs)


def test_labels_of_another_lane_are_refused(found: Index, codec: Codec, cache: Path) -> None:
    label(found, codec, cache, BLUR)  # whole: nothing to do
    with pytest.raises(
        ValueError, match=r"order blur-quantise and blur 3, not quantise-blur and 3; ask for those, or delete it"
    ):
        label(found, codec, cache, DrumsConfig(order="quantise-blur", blur=3))
