"""Seams: hard cuts with a step of 6 dB, wrong songs and clicks are heard in composed clips, untouched music is left alone."""

import math

import pytest
import torch

from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.metrics.seam import audible, kept_exactly, seams
from counterpoint.music import Brief

RATE = 16000
PLACES = (3.0, 5.0)


def chroma(audio: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Power from 60 Hz to 4 kHz by the nearest pitch class."""
    hertz = torch.fft.rfftfreq(8192, 1 / sample_rate)
    classes = (69 + 12 * torch.log2(hertz.clamp_min(1) / 440)).round().long() % 12
    weights = torch.nn.functional.one_hot(classes, 12).T * ((hertz > 60) & (hertz < 4000))
    window = torch.hann_window(8192)
    power = torch.stft(audio.mean(0), 8192, 2048, window=window, return_complex=True).abs().square()
    return weights.float() @ power


@pytest.fixture(scope="module")
def clips() -> list[torch.Tensor]:
    torch.set_num_threads(1)
    styles = ("pop", "house", "bossa nova")
    scores = [compose(Brief(style=style), 8.0, seed) for seed, style in enumerate(styles)]
    return [torch.from_numpy(synth.render(score, RATE, 1)) for score in scores]


def filled(clip: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    first, last = (round(place * RATE) for place in PLACES)
    return torch.cat([clip[:, :first], fill[:, first:last], clip[:, last:]], dim=1)


def heard(made: torch.Tensor, reference: torch.Tensor | None) -> tuple[str, ...]:
    return audible(seams(made, RATE, PLACES, chroma, reference))


@pytest.mark.parametrize("known", [True, False], ids=["reference", "alone"])
def test_untouched_music_has_no_seams_and_bad_fills_have(clips, known):
    for i, clip in enumerate(clips):
        reference = clip if known else None
        assert heard(clip, reference) == ()
        if i < 2:
            gain = 2.0 if known else 0.5
            assert "loudness_ratio" in heard(filled(clip, gain * clip), reference)
        if i > 0:
            assert "timbre" in heard(filled(clip, clips[i - 1]), reference)


def test_figures_move_as_they_should(clips):
    clip = clips[0]
    louder = filled(clip, 2 * clip)
    before, after = (seams(made, RATE, PLACES, chroma, clip) for made in (clip, louder))
    signed = [a.loudness - b.loudness for a, b in zip(after, before, strict=True)]
    assert all(abs(abs(step) - 6.0) < 0.6 or abs(step) < 6.0 for step in signed) and max(map(abs, signed)) > 3
    silent = seams(filled(clip, 0 * clip), RATE, PLACES, chroma, clip)
    assert min(seam.loudness for seam in silent) > 20 and {"loudness_ratio", "level_ratio", "timbre"} <= set(audible(silent))
    assert seams(clip, RATE, PLACES[:1], chroma, clip) == before[:1]  # places are drawn with a seed


def test_the_loudness_step_is_that_of_the_levels():
    noise = torch.randn(1, 8 * RATE, generator=torch.Generator().manual_seed(0))
    step = seams(filled(0.05 * noise, 0.1 * noise), RATE, PLACES, chroma)
    assert all(seam.loudness == pytest.approx(20 * math.log10(2), abs=0.4) for seam in step)


def test_a_click_is_heard(clips):
    clip = clips[2]
    clicked = clip.clone()
    clicked[:, round(3.0 * RATE)] += 0.5
    assert "click" in heard(clicked, clip)


def test_a_burst_is_heard_as_flux(clips):
    time = torch.arange(8 * RATE) / RATE
    steady = sum(torch.sin(2 * torch.pi * f * time) * (1 + 0.3 * torch.sin(7 * time)) for f in (220.0, 277.2, 329.6))[None] / 10
    burst = steady.clone()
    first = round(3.0 * RATE)
    burst[:, first : first + 400] += 0.3 * torch.randn(1, 400, generator=torch.Generator().manual_seed(0))
    assert "flux" in heard(burst, steady) and "flux" not in heard(steady, steady)


def test_what_was_to_be_kept_is_kept_exactly_or_not(clips):
    clip, other = clips[:2]
    assert kept_exactly(filled(clip, other), clip, RATE, [PLACES]) == 150
    touched = filled(clip, other)
    touched[:, :RATE] += 0.001 * torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))
    assert 20 < kept_exactly(touched, clip, RATE, [PLACES]) < 80
    step = clip.double()
    step[0, 100] += 2**-30
    assert kept_exactly(step, clip, RATE, [PLACES]) == kept_exactly(0.5 * clip, clip, RATE, [PLACES]) == 149
    assert kept_exactly(clip, clip, RATE, [(0.0, 1.0), (7.0, 9.0)]) == 150
    assert math.isnan(kept_exactly(clip, clip, RATE, [(0.0, 8.0)]))
    assert math.isnan(kept_exactly(clip, 0 * clip, RATE, [PLACES]))
    with pytest.raises(ValueError, match="sample by sample"):
        kept_exactly(clip[:, 1:], clip, RATE, [PLACES])


def test_silence_and_mistakes(clips):
    clip = clips[0]
    silent = seams(torch.zeros(1, 4 * RATE), RATE, (2.0,), chroma)[0]
    assert math.isnan(silent.flux) and math.isnan(silent.click) and silent.loudness == 0 and audible([silent]) == ()
    for place in (-1.0, 0.0, 7.99, 20.0, math.nan):
        with pytest.raises(ValueError, match="inside a clip"):
            seams(clip, RATE, (place,), chroma)
    with pytest.raises(ValueError, match="too short"):
        seams(clip[:, :RATE], RATE, (0.5,), chroma)
    with pytest.raises(ValueError, match="not numbers"):
        seams(clip * math.nan, RATE, (3.0,), chroma)
    assert audible([]) == ()


def test_every_figure_of_a_seam_has_words():
    from counterpoint.metrics.seam import ALL, ONE
    from counterpoint.review import HEARD_AS

    assert HEARD_AS.keys() == ONE.keys() | ALL.keys()
