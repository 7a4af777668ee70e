"""Promises of audio.py; the oracles are pyloudnorm, scipy and the files themselves."""

import math
import resource
import warnings
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from counterpoint import audio
from counterpoint.pieces import Piece

RATE = 32000


def noise(seconds: float = 2.0, channels: int = 1, seed: int = 0, rate: int = RATE) -> Tensor:
    return 0.1 * torch.randn(channels, round(seconds * rate), generator=torch.Generator().manual_seed(seed))


def tone(frequency: float, seconds: float = 1.0, rate: int = RATE) -> Tensor:
    time = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    return 0.5 * torch.sin(2 * math.pi * frequency * time)[None].float()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_read_with_its_tags(tmp_path: Path, suffix: str, channels: int) -> None:
    sound = tone(440).repeat(channels, 1)
    tags = {"title": "Walzer für zwei ♪", "comment": '{"seed": 1}' * 600, "software": "counterpoint 0.1.0"}
    path = audio.write(tmp_path / "new folder" / f"a.{suffix}", sound, RATE, tags)
    again, rate = audio.read(path)
    assert rate == RATE and again.shape == sound.shape and again.dtype == torch.float32
    assert (again - sound).abs().max() < (1e-4 if suffix in ("wav", "flac") else 0.05)
    assert audio.read_tags(path) == tags
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_lossless_files_are_16_bit_dithered_and_the_same_each_time(tmp_path: Path, suffix: str) -> None:
    quiet = tone(1000) * 2 * 0.4 / 32768  # less than half a step: gone without dither
    first, second = (audio.write(tmp_path / f"{n}.{suffix}", quiet, RATE) for n in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert soundfile.info(first).subtype == "PCM_16"
    spectrum = torch.fft.rfft(audio.read(first)[0][0]).abs()
    assert spectrum.argmax() == 1000


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_too_loud_is_turned_down_not_clipped(tmp_path: Path, suffix: str) -> None:
    loud = tone(441) * 6
    again, _ = audio.read(audio.write(tmp_path / f"a.{suffix}", loud, RATE))
    assert again.abs().max() <= 1
    assert (again - loud / 3).abs().max() < 2e-4


def test_reading_a_part(tmp_path: Path) -> None:
    ramp = torch.linspace(-0.9, 0.9, RATE)[None]
    path = audio.write(tmp_path / "a.wav", ramp, RATE)
    part, _ = audio.read(path, seconds=0.25, offset=0.5)
    assert part.shape == (1, RATE // 4)
    assert (part - ramp[:, RATE // 2 : 3 * RATE // 4]).abs().max() < 2e-4
    assert audio.read(path, seconds=5, offset=0.75)[0].shape == (1, RATE // 4)


def test_bad_files_are_named_in_one_sentence(tmp_path: Path) -> None:
    empty, text, cut, silent = (tmp_path / name for name in ("empty.wav", "text.mp3", "cut.flac", "silent.wav"))
    empty.write_bytes(b"")
    text.write_text("this is no sound")
    cut.write_bytes(b"fLaC" + bytes(20))
    soundfile.write(silent, np.zeros((0, 1)), RATE)
    for path in (empty, text, cut, silent, tmp_path / "missing.wav", tmp_path):
        with pytest.raises(ValueError, match=path.name) as error:
            audio.read(path)
        assert "\n" not in str(error.value)
    good = audio.write(tmp_path / "good.wav", tone(440), RATE)
    for seconds, offset in ((None, 1.0), (0.0, 0.0), (1.0, -1.0)):
        with pytest.raises(ValueError, match=r"offset|seconds"):
            audio.read(good, seconds, offset)
    with pytest.raises(ValueError, match=r"missing\.wav"):
        audio.read_tags(tmp_path / "missing.wav")


def test_what_cannot_be_written_is_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    kept = audio.write(tmp_path / "kept.wav", tone(440), RATE)
    before = kept.read_bytes()
    refused: list[tuple[Path, Tensor, int, dict[str, str], str]] = [
        (tmp_path / "a.aac", tone(440), RATE, {}, r"\.flac"),
        (kept, tone(440) * math.nan, RATE, {}, "not numbers"),
        (kept, torch.zeros(1, 0), RATE, {}, "shape"),
        (kept, tone(440), RATE, {"colour": "red"}, "colour"),
        (kept / "under a file.wav", tone(440), RATE, {}, "choose another folder"),
        (tmp_path / "a.mp3", tone(440), 12345, {}, "resample"),
    ]
    for path, sound, rate, tags, message in refused:
        with pytest.raises(ValueError, match=message):
            audio.write(path, sound, rate, tags)
    assert kept.read_bytes() == before and list(tmp_path.iterdir()) == [kept]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    kept = audio.write(tmp_path / "kept.wav", tone(440), RATE)
    before, limits = kept.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(ValueError, match="make room"):
            audio.write(kept, tone(220), RATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert kept.read_bytes() == before and list(tmp_path.iterdir()) == [kept]


@pytest.mark.parametrize(("old", "new"), [(44100, 32000), (32000, 44100), (22050, 32000), (48000, 16000)])
def test_resampling_keeps_the_tone_and_the_length(old: int, new: int) -> None:
    sound = tone(1000, 1.0, old).repeat(2, 1)[:, :-1]
    moved = audio.resample(sound, old, new)
    assert moved.shape == (2, round((old - 1) * new / old))
    expected = tone(1000, 1.0, new)[:, : moved.shape[1]]
    assert (moved - expected)[:, new // 10 : -new // 10].abs().max() < 1e-3
    assert audio.resample(sound, old, old) is sound


@pytest.mark.parametrize(("old", "new"), [(44100, 32000), (48000, 16000)])
def test_resampling_is_scipys_below_the_new_band_and_silent_above(old: int, new: int) -> None:
    above = tone(0.5 * (new / 2 + old / 2), 1.0, old)
    assert audio.resample(above, old, new)[:, new // 10 : -new // 10].abs().max() < 1e-4, "aliases"
    mixed = tone(440, 1.0, old) + tone(0.35 * new, 1.0, old)
    divisor = math.gcd(old, new)
    theirs = scipy.signal.resample_poly(mixed[0].double().numpy(), new // divisor, old // divisor, window=("kaiser", 14.0))
    ours = audio.resample(mixed, old, new)[0]
    length = min(len(theirs), len(ours))
    inside = slice(new // 10, length - new // 10)
    assert (ours[:length] - torch.from_numpy(theirs[:length]).float())[inside].abs().max() < 5e-3


def test_a_sine_of_full_scale_at_997_hz_has_the_standards_loudness() -> None:
    assert audio.loudness(2 * tone(997, 5.0, 48000), 48000) == pytest.approx(-3.01, abs=0.1)


def test_mixing_channels() -> None:
    stereo = noise(0.1, 2)
    mono = audio.mix(stereo, 1)
    assert torch.allclose(mono[0], (stereo[0] + stereo[1]) / 2)
    assert torch.equal(audio.mix(mono, 2), torch.cat([mono, mono]))
    assert audio.mix(stereo, 2) is stereo


def programme(name: str, rate: int) -> Tensor:
    sound = noise(4.0, 2, seed=1, rate=rate)
    time = torch.arange(sound.shape[1]) / rate
    if name == "low":
        return tone(60, 4.0, rate)
    if name == "gated":  # bursts with long quiet between: the relative gate matters
        return sound * torch.where(time % 2 < 0.8, 1.0, 0.12)
    if name == "one side":
        return sound * torch.tensor([[1.0], [0.0]])
    return sound


@pytest.mark.parametrize("rate", [32000, 44100, 48000])
@pytest.mark.parametrize("name", ["noise", "low", "gated", "one side"])
def test_loudness_agrees_with_pyloudnorm(name: str, rate: int) -> None:
    sound = programme(name, rate)
    ours = audio.loudness(sound, rate)
    samples = sound.T.double().numpy()
    assert ours == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(samples), abs=0.1)
    assert ours == pytest.approx(pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples), abs=0.01)


def test_loudness_follows_gain_and_knows_silence() -> None:
    sound = noise()
    assert audio.loudness(sound * 0.5, RATE) == pytest.approx(audio.loudness(sound, RATE) - 6.02, abs=0.01)
    assert audio.loudness(torch.zeros(2, RATE), RATE) == -math.inf
    assert math.isfinite(audio.loudness(sound[:, :1000], RATE))


def test_true_peak_sees_between_the_samples() -> None:
    hidden = torch.sin(2 * math.pi * 0.25 * torch.arange(RATE) + math.pi / 4)[None] * 0.5  # samples reach 0.354
    assert audio.true_peak(hidden[:, 1000:-1000], RATE) == pytest.approx(20 * math.log10(0.5), abs=0.2)
    sound = noise(1.0, 2)
    oversampled = np.abs(scipy.signal.resample_poly(sound.double().numpy(), 4, 1, axis=1)).max()
    assert audio.true_peak(sound, RATE) == pytest.approx(20 * math.log10(oversampled), abs=0.1)
    assert audio.true_peak(torch.zeros(1, 10), RATE) == -math.inf


def test_normalising_reaches_the_loudness_or_the_ceiling() -> None:
    steady = audio.normalise(noise(3.0), RATE, lufs=-20.0)
    assert pyloudnorm.Meter(RATE).integrated_loudness(steady.T.double().numpy()) == pytest.approx(-20, abs=0.1)
    click = torch.zeros(1, 3 * RATE)
    click[:, ::8000] = 0.5
    limited = audio.normalise(click, RATE, lufs=-14.0, ceiling=-1.0)
    assert audio.true_peak(limited, RATE) == pytest.approx(-1.0, abs=0.01)
    assert torch.allclose(limited / limited.max(), click / click.max())  # a gain, no more
    silence = torch.zeros(2, RATE)
    assert torch.equal(audio.normalise(silence, RATE), silence)


def test_mastering_reaches_the_loudness_and_keeps_under_the_ceiling() -> None:
    beat = noise(4.0, 2) * 0.4
    beat[:, ::8000] += 0.5  # peaks that would leave the rest quiet
    plain, made = audio.normalise(beat, RATE, -16.0), audio.master(beat, RATE)
    meter = pyloudnorm.Meter(RATE)
    assert meter.integrated_loudness(plain.T.double().numpy()) < -17.5
    assert meter.integrated_loudness(made.T.double().numpy()) == pytest.approx(-16, abs=0.3)
    oversampled = np.abs(scipy.signal.resample_poly(made.double().numpy(), 8, 1, axis=1)).max()
    assert 20 * math.log10(oversampled) <= -0.8
    far = torch.ones(2, RATE * 4, dtype=torch.bool)
    for peak in range(0, RATE * 4, 8000):
        far[:, max(0, peak - RATE // 50) : peak + RATE // 50] = False
    gains = (made / beat)[far & (beat.abs() > 1e-3)]
    assert gains.std() / gains.mean() < 1e-3  # away from the peaks it is a plain gain


def test_mastering_turns_no_peak_down_by_more_than_six_decibels() -> None:
    click = noise(3.0) * 1e-4
    click[:, RATE] = 1.0
    made = audio.master(click, RATE)
    assert (made[:, RATE] / made[:, 0]) / (click[:, RATE] / click[:, 0]) == pytest.approx(0.5, abs=0.01)
    silence = torch.zeros(2, RATE)
    assert torch.equal(audio.master(silence, RATE), silence)


def test_fading_begins_and_ends_in_silence_and_leaves_the_rest() -> None:
    sound = torch.ones(2, RATE)
    faded = audio.fade(sound, RATE)
    rise, fall = RATE // 200, round(0.03 * RATE)
    assert faded.shape == sound.shape and (faded[:, [0, -1]] == 0).all()
    assert torch.equal(faded[:, rise : -fall - 1], sound[:, rise : -fall - 1])
    assert (faded[:, : rise + 1].diff() >= 0).all() and (faded[:, -fall:].diff() <= 0).all()
    assert faded[0, rise // 2] == pytest.approx(0.5, abs=0.01) and faded[0, -fall // 2] == pytest.approx(0.5, abs=0.01)
    assert audio.fade(torch.ones(1, 10), RATE).abs().max() < 0.01


def test_nothing_warns_for_short_audio() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        audio.normalise(noise(0.001), RATE)
        audio.master(audio.fade(noise(0.001), RATE), RATE)


@pytest.mark.parametrize("size", [100, 4001, 50_000])
def test_limiting_and_fading_piece_by_piece_is_that_of_the_whole(size: int) -> None:
    sound = torch.randn(2, 20_000, generator=torch.Generator().manual_seed(0)) * torch.linspace(0, 2, 20_000)
    pieces = [Piece.alone(part, -1, last=False) for part in sound.split(size, dim=-1)]
    limited = torch.cat(list(audio.limit_stream(pieces, 8000, -1.0)), dim=-1)
    torch.testing.assert_close(limited, audio.limit(sound, 8000, -1.0), atol=1e-6, rtol=0)
    faded = [audio.fade(part, 8000, first=i * size, total=20_000) for i, part in enumerate(sound.split(size, dim=-1))]
    assert torch.equal(torch.cat(faded, dim=-1), audio.fade(sound, 8000))


def test_a_running_mean_is_the_pool_of_as_many() -> None:
    x = torch.rand(1, 5000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(audio._running_mean(x, 321), F.avg_pool1d(x, 321, stride=1), atol=1e-6, rtol=0)
