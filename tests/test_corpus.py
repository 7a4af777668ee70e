import json
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from scipy.signal import resample_poly

from counterpoint import annotation, midi
from counterpoint.data.corpus import soundfont
from counterpoint.data.corpus.corpus import compose_corpus
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.folder import read_folder
from counterpoint.data.row import SPLITS, split_of
from counterpoint.music import Key, Metre, Note, Score, Track

RATE = 16000
CLIPS = 5
SECONDS = 2.0


def compose(out: Path, clips: int = CLIPS, seed: int = 7, **settings) -> Path:
    return compose_corpus(out, clips * SECONDS / 3600, seed, seconds=SECONDS, sample_rate=RATE, **settings)


def contents(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in sorted(out.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("made") / "corpus"
    compose(out)
    return out


@pytest.fixture
def copy(corpus, tmp_path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "copy"))


def test_every_clip_has_audio_score_annotation_and_words(corpus):
    rows = [json.loads(line) for line in (corpus / "metadata.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"{i:06d}" for i in range(CLIPS)]
    assert len(contents(corpus)) == 3 * CLIPS + 2  # and the settings and the metadata
    for row in rows:
        info = soundfile.info(corpus / row["file_name"])
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert info.frames == row["seconds"] * RATE == SECONDS * RATE
        score = annotation.from_dict(json.loads((corpus / row["annotation"]).read_text()))
        assert (score.style, score.bpm, score.key.name) == (row["style"], row["tempo"], row["key"])
        played = midi.read(corpus / row["midi"])
        assert [len(track.notes) for track in played.tracks] == [len(track.notes) for track in score.tracks]
        assert set(row["instruments"]) == {track.role for track in score.tracks}
        assert len(set(row["captions"])) >= 4 and row["text"] == row["captions"][0]
        assert row["split"] == split_of(row["id"]) and row["license"]


def test_loudness_and_true_peak_by_other_software(corpus):
    for file in corpus.rglob("*.flac"):
        sound, rate = soundfile.read(file)
        peak = 20 * np.log10(np.abs(resample_poly(sound, 8, 1)).max())
        loudness = pyloudnorm.Meter(rate).integrated_loudness(sound)
        assert peak < -0.9 and loudness < -13.7
        assert loudness > -14.3 or peak > -1.2


def test_what_is_missing_is_made_again_and_only_that(corpus, copy):
    (copy / "clips/000/000001.json").unlink()
    (copy / "clips/000/000003.flac").unlink()
    (copy / "clips/000/.000003.flac.abc").write_text("half a file")
    before = {file: file.stat().st_mtime_ns for file in copy.rglob("*.flac")}
    counts = []
    compose(copy, progress=lambda done, total: counts.append(done))
    assert contents(copy) == contents(corpus)
    assert counts == [CLIPS - 2, CLIPS - 1, CLIPS]
    kept = [file for file, time in before.items() if file.stat().st_mtime_ns == time]
    assert [file.stem for file in sorted(kept)] == ["000000", "000002", "000004"]


def test_a_corpus_can_be_extended(corpus, copy):
    compose(copy, clips=CLIPS + 1)
    assert contents(copy)["clips/000/000004.flac"] == contents(corpus)["clips/000/000004.flac"]
    assert len(read_folder(copy)) == CLIPS + 1
    with pytest.raises(ValueError, match="ask for as many or more"):
        compose(copy)


def test_settings_are_never_mixed(copy, tmp_path):
    for changes, word in (({"seed": 8}, "seed 7 instead of 8"), ({"channels": 2}, "channels 1 instead of 2")):
        with pytest.raises(ValueError, match=word):
            compose(copy, **changes)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("Clara")
    with pytest.raises(ValueError, match="not empty"):
        compose(tmp_path / "letters")
    assert [file.name for file in (tmp_path / "letters").iterdir()] == ["dear.txt"]


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_or_not_one_worker_or_two_the_bytes_are_the_same(workers, corpus, tmp_path):
    counts = []

    def interrupt(done: int, total: int) -> None:
        counts.append((done, total))
        if done >= 2:
            raise KeyboardInterrupt

    out = tmp_path / "corpus"
    with pytest.raises(KeyboardInterrupt):
        compose(out, workers=workers, progress=interrupt)
    assert counts == [(0, CLIPS), (1, CLIPS), (2, CLIPS)]
    assert not (out / "metadata.jsonl").exists()
    assert not [file for file in out.rglob(".*") if file.is_file()]
    made = contents(out)
    assert len(made) >= 1 + 2 * 3 and made.items() <= contents(corpus).items()
    compose(out)
    assert contents(out) == contents(corpus)


def test_styles_are_covered_evenly_and_seeds_differ(tmp_path):
    from counterpoint.data.corpus.corpus import _style

    styles = [_style(3, i) for i in range(2 * len(STYLES))]
    assert set(Counter(styles).values()) == {2} and set(styles[: len(STYLES)]) == set(STYLES)
    assert styles != [_style(4, i) for i in range(2 * len(STYLES))]


@pytest.mark.parametrize(
    "changes",
    [
        {"hours": 0},
        {"hours": float("nan")},
        {"seconds": 0.1},
        {"channels": 3},
        {"workers": 0},
        {"renderer": "orchestra"},
        {"soundfont": Path("a.sf2")},
        {"renderer": "soundfont", "soundfont": Path("absent.sf2")},
        {"sample_rate": 1},
    ],
    ids=str,
)
def test_what_cannot_be_composed_is_refused_before_anything_is_written(changes, tmp_path):
    with pytest.raises(ValueError, match=r"[;,] |needs FluidSynth"):
        compose_corpus(**{"out": tmp_path / "out", "hours": 0.001, "seed": 1, **changes})
    assert not (tmp_path / "out").exists()


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        compose(tmp_path / "file" / "corpus")


def test_a_damaged_annotation_is_named(copy):
    (copy / "clips/000/000002.json").write_text("{")
    with pytest.raises(ValueError, match=r"000002.json is damaged; remove it"):
        compose(copy)


# Reading folders.


def test_a_corpus_reads_back(corpus):
    rows = read_folder(corpus)
    assert [row.path.name for row in rows] == [f"{i:06d}.flac" for i in range(CLIPS)]
    assert all(row.seconds == SECONDS and len(row.captions) >= 4 for row in rows)
    assert json.loads(rows[0].values["annotation"].read_text())["style"] == rows[0].values["style"]


def test_plain_audio_needs_no_metadata(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.wav", "deep/a.flac"):
        soundfile.write(tmp_path / name, np.zeros(8000), 8000)
    (tmp_path / "notes.txt").write_text("not audio")
    rows = read_folder(tmp_path)
    assert [(row.id, row.seconds, row.captions) for row in rows] == [("b", 1.0, ()), ("deep/a", 1.0, ())]


def test_a_line_with_a_file_name_is_enough(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.wav", "text": "a tune", "mood": null, "tempo": 90}\n\n')
    (row,) = read_folder(tmp_path)
    assert (row.id, row.seconds, row.captions, row.values) == ("a", 1.0, ("a tune", "a tune. 90 bpm"), {"tempo": 90})


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        "{}",
        '{"file_name": "absent.wav"}',
        '{"file_name": "../a.wav"}',
        '{"file_name": "a.wav", "id": 3}',
        '{"file_name": "a.wav", "id": "first"}',
        '{"file_name": "a.wav", "split": "trial"}',
        '{"file_name": "a.wav", "seconds": -1}',
        '{"file_name": "a.wav", "seconds": "long"}',
        '{"file_name": "a.wav", "captions": "one"}',
        '{"file_name": "a.wav", "text": 5}',
        '{"file_name": "a.wav", "midi": "absent.mid"}',
    ],
)
def test_a_bad_line_is_named(line, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.wav", "id": "first"}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"metadata.jsonl, line 2: .*[;,:] "):
        read_folder(tmp_path)


def test_nothing_to_read_is_told(tmp_path):
    for place in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ValueError, match="; give a folder"):
            read_folder(place)


def test_splits_hold_their_shares():
    shares = Counter(split_of(f"{i:06d}") for i in range(20_000))
    assert set(shares) == set(SPLITS)
    assert shares["test"] == pytest.approx(400, abs=80) and shares["valid"] == pytest.approx(400, abs=80)


# The soundfont renderer.


@pytest.fixture(scope="module")
def renderer() -> soundfont.SoundfontRenderer:
    try:
        return soundfont.SoundfontRenderer()
    except ValueError as error:
        pytest.skip(str(error))


def make_score(*tracks: Track, seconds: float = 2.0) -> Score:
    return Score(seconds, "pop", 120.0, Metre(), Key(0), (0.0,), (0.0,), (), tracks)


BUSY = make_score(
    Track("melody", 73, tuple(Note(0.2 * i, 0.2 * i + 0.15, 60 + 2 * i, 100) for i in range(9))),
    Track("pad", 89, (Note(0.0, 2.0, 48, 90), Note(0.0, 2.0, 55, 90))),
    Track("drums", 0, tuple(Note(0.25 * i, 0.25 * i + 0.1, key, 110) for i in range(8) for key in (36, 46, 49))),
)


def test_the_same_score_gives_the_same_samples_whatever_came_before(renderer):
    first = renderer.render(BUSY, RATE)
    louder = replace(BUSY, tracks=tuple(replace(track, program=50, pan=-1.0) for track in BUSY.tracks))
    other = renderer.render(louder, RATE)
    np.testing.assert_array_equal(renderer.render(BUSY, RATE), first)
    assert np.abs(other - first).max() > 0.01
    assert np.abs(renderer.render(make_score(), RATE)).max() < 1e-7  # nothing rings on


def test_length_channels_and_fade(renderer):
    score = replace(BUSY, seconds=1.2345)
    stereo, mono = renderer.render(score, RATE, 2), renderer.render(score, RATE, 1)
    assert stereo.shape == (2, 19752) and mono.shape == (1, 19752) and stereo.dtype == np.float32
    np.testing.assert_allclose(mono[0], stereo.mean(axis=0), atol=1e-6)
    assert np.abs(stereo[:, -1]).max() == 0 and np.abs(stereo[:, -400:-200]).max() > 0.01


def test_notes_start_when_they_should(renderer):
    times = (0.1, 0.5003, 1.2347, 1.7)
    for hit in times:
        sound = renderer.render(make_score(Track("drums", 0, (Note(hit, hit + 0.1, 37, 120),))), 32000, 1)[0]
        heard = np.argmax(np.abs(sound) > 0.05 * np.abs(sound).max()) / 32000
        assert heard == pytest.approx(hit, abs=0.003)


def test_pan_and_gain_are_heard(renderer):
    def levels(pan: float, gain: float) -> np.ndarray:
        sound = renderer.render(make_score(Track("melody", 56, (Note(0.0, 1.5, 69, 100),), pan, gain)), RATE)
        return np.sqrt((sound**2).mean(axis=1))

    left, middle, right, quiet = levels(-1.0, 1.0), levels(0.0, 1.0), levels(1.0, 1.0), levels(0.0, 0.25)
    assert left[0] > 4 * left[1] and right[1] > 4 * right[0]
    assert middle[0] == pytest.approx(middle[1], rel=0.2)
    assert 20 * np.log10(middle[0] / quiet[0]) == pytest.approx(12, abs=1)


def test_a_key_pressed_again_keeps_sounding(renderer):
    notes = (Note(0.0, 1.0, 60, 100), Note(0.5, 2.0, 60, 100))  # the first one's end must not end the second
    sound = renderer.render(make_score(Track("pad", 16, notes)), RATE)
    assert np.abs(sound[:, int(1.5 * RATE) :]).max() > 0.3 * np.abs(sound).max()


def test_twenty_players_are_heard_one_by_one(renderer):
    tracks = [Track("comp", 0, (Note(0.1 * i, 0.1 * i + 0.05, 40 + 2 * i, 120),)) for i in range(20)]
    for count in (15, 16, 20):
        with_last = renderer.render(make_score(*tracks[:count], seconds=2.5), RATE)
        without = renderer.render(make_score(*tracks[: count - 1], seconds=2.5), RATE)
        assert np.abs(with_last - without).max() > 0.01


def test_missing_parts_are_told_with_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fluidsynth", None)
    with pytest.raises(ValueError, match=r"pip install pyfluidsynth.*libfluidsynth3 fluid-soundfont-gm"):
        soundfont._library.__wrapped__()
    monkeypatch.setattr(soundfont, "_PLACES", ())
    with pytest.raises(ValueError, match="fluid-soundfont-gm"):
        soundfont.find_soundfont()


def test_what_is_no_soundfont_is_refused(renderer, tmp_path):
    (tmp_path / "a.sf2").write_bytes(b"RIFF, but nothing else")
    (tmp_path / "b.sf2").write_bytes(b"RIFF\0\0\0\0sfbk and then nonsense")
    for name in ("a.sf2", "b.sf2", "absent.sf2"):
        with pytest.raises(ValueError, match=f"{name}.*; give"):
            soundfont.SoundfontRenderer(tmp_path / name)


def test_the_hours_that_are_advised_have_clips_of_every_split():
    assert {split_of(f"{index:06d}") for index in range(round(0.2 * 3600 / 10))} == set(SPLITS)
