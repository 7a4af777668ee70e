"""What is heard in sounds whose beats, chords, tune and drums are known: built by hand here, or composed and rendered."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import mir_eval
import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import hearing
from counterpoint import audio
from counterpoint.analysis import picture
from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.analysis.hearing import hear, listen
from counterpoint.analysis.listener import Listener, _Circle, load_listener
from counterpoint.analysis.spectrum import BINS, BLOCK, HOP, RATE, mono, spectrum
from counterpoint.commands.analyse import analyse
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.music import Brief, Key
from counterpoint.pieces import around, regroup

torch.set_num_threads(1)


def tone(pitch: float, seconds: float, rate: int = RATE) -> torch.Tensor:
    """Four partials of a sine, with soft ends."""
    time = torch.arange(round(seconds * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    partials = sum((torch.sin(2 * math.pi * k * frequency * time) / k for k in range(1, 5)), torch.zeros(len(time)))
    ends = torch.minimum(time / 0.005, (seconds - time) / 0.02).clamp(max=1)
    return 0.1 * partials * ends


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def hits(times: list[float], seconds: float, low: bool = False) -> torch.Tensor:
    """Short bursts of noise, or thumps that fall from 120 Hz."""
    sound = torch.zeros(round(seconds * RATE))
    length = round(0.09 * RATE)
    fade = torch.exp(-torch.arange(length) / (0.018 * RATE))
    for time in times:
        start = round(time * RATE)
        burst = noise(length, start) if not low else torch.sin(2 * math.pi * 70 * (torch.arange(length) / RATE) ** 0.9)
        sound[start : start + length] += 0.3 * (fade * burst)[: len(sound) - start]
    return sound


def band(bpm: float, beats: int, start: float, seconds: float) -> tuple[torch.Tensor, list[float]]:
    """A chord and a thump on every down-beat, bursts on the other beats; the sound and its beats."""
    times = [start + i * 60 / bpm for i in range(int((seconds - start - 0.1) * bpm / 60) + 1)]
    sound = hits(times, seconds) + 2 * hits(times[::beats], seconds, low=True)
    for bar, time in enumerate(times[::beats]):
        length = min(beats * 60 / bpm, seconds - time)
        for pitch in ((36, 60, 64, 67), (41, 60, 65, 69), (43, 59, 62, 67), (45, 60, 64, 69))[bar % 4]:
            part = tone(pitch, length)
            at = round(time * RATE)
            sound[at : at + len(part)] += part[: len(sound) - at]
    return sound, times


@pytest.fixture(scope="module")
def composed() -> list[hearing.Clip]:
    """Clips of every other style, by seeds that no corpus has."""
    scores = [compose(Brief(style=style), 10.0, 770_000 + i) for i, style in enumerate(sorted(STYLES)[::2])]
    return [hearing.Clip(torch.from_numpy(synth.render(score, 32000, 1)), 32000, score) for score in scores]


@pytest.fixture(scope="module")
def figures(composed: list[hearing.Clip]) -> dict[str, float]:
    columns, _ = hearing.measure(composed, lambda clip: hear(clip.sound, clip.rate))
    return {name: float(np.nanmean(values)) for name, values in columns.items()}


LEAST = {"tempo2": 0.97, "beats": 0.85, "downbeats": 0.8, "key": 0.9, "chords": 0.85, "melody": 0.75, "any": 0.8, "kick": 0.8}


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_composed_clips_are_heard_as_they_were_written(figures, name, least):
    assert figures[name] >= least


@pytest.mark.parametrize("bpm", [90.0, 120.0])
def test_a_band_of_known_beats(bpm):
    sound, times = band(bpm, 4, 0.4, 10.0)
    heard = hear(sound[None], RATE)
    assert heard.tempo == pytest.approx(bpm, rel=0.01)
    assert mir_eval.onset.f_measure(np.array(times), np.array(heard.beats), window=0.05)[0] > 0.95
    assert mir_eval.onset.f_measure(np.array(times[::4]), np.array(heard.downbeats), window=0.05)[0] > 0.95
    assert set(heard.downbeats) <= set(heard.beats)


def test_chords_of_sines():
    labels = ["C:maj", "A:min", "F:maj", "G:maj"]
    pitches = [(48, 60, 64, 67), (45, 60, 64, 69), (41, 60, 65, 69), (43, 59, 62, 67)]
    sound = torch.cat([torch.stack([tone(pitch, 2.0) for pitch in chord]).sum(0) for chord in pitches])
    heard = hear(sound[None], RATE)
    told = np.array([[2.0 * i, 2.0 * i + 2] for i in range(4)])
    spans = np.array([[span.start, span.end] for span in heard.chords])
    names = ["N" if span.chord is None else span.chord.harte for span in heard.chords]
    assert spans[0, 0] == 0 and spans[-1, 1] == pytest.approx(8.0) and (spans[1:, 0] == spans[:-1, 1]).all()
    assert mir_eval.chord.evaluate(told, labels, spans, names)["majmin"] > 0.9
    assert heard.key == Key(0, "major")


def test_a_melody_of_sines():
    pitches = (60, 62, 64, 65, 67, 69, 71, 72)
    heard = hear(torch.cat([tone(pitch, 0.5) for pitch in pitches])[None], RATE)
    assert len(heard.melody) == 4.0 * MELODY_RATE
    told = np.repeat(pitches, int(0.5 * MELODY_RATE))
    assert (heard.melody == told).mean() > 0.8, "the notes' soft ends are rests"
    assert [np.bincount(note).argmax() for note in heard.melody.reshape(8, 25)] == list(pitches)
    assert heard.key is not None


def test_drums_of_noise():
    times = [0.1 + 0.45 * i for i in range(10)]
    heard = hear(hits(times, 5.0)[None], RATE)
    assert mir_eval.onset.f_measure(np.array(times), np.array(heard.drums["any"]), window=0.05)[0] > 0.9
    assert not heard.melody.any() and heard.key is None and all(span.chord is None for span in heard.chords)


def assert_nothing(heard: Heard, seconds: float) -> None:
    assert math.isnan(heard.tempo) and heard.beats == heard.downbeats == () and heard.key is None
    assert [span.chord for span in heard.chords] == [None] and heard.chords[0].end == pytest.approx(seconds, abs=1e-4)
    assert not heard.melody.any() and heard.melody.dtype == np.int16
    assert heard.seconds == pytest.approx(seconds, abs=1e-4)


@pytest.mark.parametrize(
    "sound",
    [torch.zeros(1, 32000), torch.zeros(2, 7), 1e-6 * noise(64000)[None], 0.1 * noise(1600)[None]],
    ids=["silence", "samples", "hiss", "50 ms"],
)
def test_nothing_is_heard_where_there_is_nothing(sound):
    heard = hear(sound, 32000)
    assert_nothing(heard, sound.shape[1] / 32000)
    assert heard.drums == {"kick": (), "snare": (), "hat": (), "any": ()}


@pytest.mark.parametrize("seconds", [0.25, 1.0, 5.0])
def test_noise_has_no_pulse_key_or_tune(seconds):
    sound = 0.1 * noise(round(seconds * RATE))[None]
    assert_nothing(hear(sound, RATE), seconds)


@pytest.mark.parametrize(
    ("sound", "rate", "words"),
    [
        (torch.full((1, 100), math.nan), 32000, "not numbers"),
        (torch.full((1, 100), math.inf), 32000, "not numbers"),
        (torch.zeros(1, 0), 32000, "no samples"),
        (torch.zeros(1, 100), 0, "sample rate"),
    ],
)
def test_what_is_no_sound_is_refused(sound, rate, words):
    with pytest.raises(ValueError, match=words):
        hear(sound, rate)


def test_the_same_samples_are_heard_alike(composed):
    first, second = (hear(composed[0].sound, 32000) for _ in range(2))
    assert json.dumps(str(first)) == json.dumps(str(second)) and (first.melody == second.melody).all()


def test_rate_level_and_channels_hardly_matter(composed):
    clip = composed[0]
    plain = hear(clip.sound, 32000)
    stereo = 0.05 * audio.resample(clip.sound, 32000, 44100).repeat(2, 1)
    other = hear(stereo, 44100)
    assert other.tempo == pytest.approx(plain.tempo, rel=0.005) and other.key == plain.key
    assert mir_eval.onset.f_measure(np.array(plain.beats), np.array(other.beats), window=0.03)[0] > 0.95
    size = min(len(plain.melody), len(other.melody))
    assert (plain.melody[:size] == other.melody[:size]).mean() > 0.9


def test_music_a_semitone_higher_is_heard_a_semitone_higher():
    chords = ((45, 60, 64, 69), (43, 59, 62, 67))
    sounds = [torch.cat([torch.stack([tone(p + step, 1.5) for p in chord]).sum(0) for chord in chords]) for step in (0, 1)]
    low, high = (hear(sound[None], RATE) for sound in sounds)
    assert [s.chord.transpose(1) for s in low.chords if s.chord] == [s.chord for s in high.chords if s.chord]
    assert low.key is not None and high.key == low.key.transpose(1)


# The spectrum, and the network over long sounds -----------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [33, 45, 57, 69, 81, 93])
def test_a_sine_shows_at_its_pitch(pitch):
    time = torch.arange(2 * RATE) / RATE
    values = spectrum(torch.sin(2 * math.pi * 440 * 2 ** ((pitch - 69) / 12) * time))
    assert values.shape == (BINS, 2 * RATE // HOP + 1)
    assert abs(int(values[:252, 50].argmax()) - (3 * (pitch - 24) + 1)) <= 1


def test_blocks_of_the_spectrum_join_without_a_seam():
    sound = mono(0.1 * noise((BLOCK + 90) * HOP)[None], RATE)
    whole = spectrum(sound)
    later = spectrum(sound[60 * HOP :])
    assert (whole[:, 80 : later.shape[1] + 50] - later[:, 20 : later.shape[1] - 10]).abs().max() < 1e-3


def test_long_sounds_are_heard_piece_by_piece_as_a_whole():
    values = spectrum(mono(band(100, 4, 0.4, 8.0)[0][None], RATE)).repeat(1, 10)
    pieces = listen(values)
    with torch.inference_mode():
        whole = load_listener()(values[None])
    frames = values.shape[1]
    assert frames > 3600 and pieces.pulse.shape == whole.pulse.shape and pieces.chords.shape == whole.chords.shape
    assert pieces.melody.shape == whole.melody.shape
    assert (torch.sigmoid(pieces.pulse) - torch.sigmoid(whole.pulse)).abs().max() < 1e-2
    assert (pieces.melody - whole.melody).abs().max() < 1e-2
    assert len(list(around(regroup([values], 3000, 1, frames), 600, 600, 1))) == 2


def test_the_shipped_weights_are_small_and_those_of_the_network():
    folder = Path(audio.__file__).parent / "shipped" / "listener"
    assert (folder / "model.safetensors").stat().st_size < 1.5 * 10**6
    card = (folder / "README.md").read_text(encoding="utf-8")
    for word in ("## Data", "## Training", "## Held-out figures", "benchmarks/", "Apache-2.0", "composed"):
        assert word in card
    assert load_listener() is load_listener() and not load_listener().training


def test_pitch_classes_are_a_circle():
    circle = _Circle(4, 6).eval()
    x = torch.randn(2, 4, 12, 9, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(circle(x.roll(5, 2)), circle(x).roll(5, 2), atol=1e-6)


def test_the_network_takes_any_number_of_frames():
    network = Listener().eval()
    with torch.inference_mode():
        for frames in (1, 2, 5, 8):
            guesses = network(torch.zeros(1, BINS, frames))
            assert guesses.pulse.shape == (1, 2, frames) and guesses.chords.shape[2] == math.ceil(frames / 4)


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_prints_writes_and_draws(composed, tmp_path, capsys):
    file = audio.write(tmp_path / "a$b.wav", composed[1].sound, 32000)
    analyse(file, picture=tmp_path / "new" / "a.png", json=tmp_path / "heard.json")
    printed = capsys.readouterr().out
    for word in ("length", "10.00 s", "bpm", "key", "chords", "tune", "drums", "heard.json"):
        assert word in printed
    content = json.loads((tmp_path / "heard.json").read_text(encoding="utf-8"))[str(file)]
    assert content["key"] == composed[1].score.key.name and len(content["beats"]) > 5
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_goes_on_after_a_broken_file(composed, tmp_path, capsys):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    file = audio.write(tmp_path / "fine.wav", composed[1].sound[:, :64000], 32000)
    with pytest.raises(ValueError, match=r"broken\.wav cannot be read"):
        analyse(tmp_path / "broken.wav", file)
    assert "fine.wav" in capsys.readouterr().out


def test_the_command_refuses_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="nothing to analyse"):
        analyse()
    with pytest.raises(ValueError, match="name a folder"):
        analyse(tmp_path / "a.wav", tmp_path / "b.wav", picture=tmp_path / "x.png")
    with pytest.raises(ValueError, match="suffix of a picture"):
        picture.draw(hear(torch.zeros(1, 32000), 32000), torch.zeros(1, 32000), 32000, tmp_path / "x.doc")
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        analyse(tmp_path / "a.wav", picture=tmp_path / "x.png")


def test_long_and_silent_sounds_can_be_drawn(tmp_path):
    silent = torch.zeros(1, 25 * 8000)
    assert picture.draw(hear(silent, 8000), silent, 8000, tmp_path / "silent.svg").stat().st_size > 1000
    heard = replace(hear(silent, 8000), beats=(1.0, 2.0), downbeats=(1.0,), melody=np.full(1250, 60, dtype=np.int16))
    assert picture.draw(heard, silent, 8000, tmp_path / "line.png").is_file()
