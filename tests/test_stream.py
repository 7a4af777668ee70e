"""Music that is heard while it is made: what is streamed is what is generated, sooner, whatever the model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import counterpoint
from counterpoint import audio, generation
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
from counterpoint.config import Config
from counterpoint.generation import Model
from counterpoint.hub import checkpoint
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig

PROMPT = "a slow piano piece in A minor, 100 bpm"
WINDOW = 1.0


def _spectral() -> tuple[Config, Codec]:
    gen = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(1, 8000, generator=gen) for _ in range(2)]
    return SpectralConfig.tiny(), fit_closed_form(SpectralConfig.tiny(), clips, gen)


def _encodec() -> tuple[Config, Codec]:
    config = EncodecConfig.tiny().model_copy(update={"ratios": (8, 5, 4)})  # 50 frames a second
    codec = config.build().eval()
    for tensor in [*codec.parameters(), *codec.quantizer.buffers()]:
        torch.nn.init.normal_(tensor, std=0.2)
    return config, codec


KINDS = {
    "jasco-spectral": (JascoConfig.tiny(), _spectral),
    "musicgen-spectral": (MusicgenConfig.tiny(), _spectral),
    "musicgen-encodec": (MusicgenConfig.tiny(), _encodec),
}


def _build(config: Config, coder: Callable[[], tuple[Config, Codec]], folder: Path) -> Model:
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec_config, codec = coder()
        config = config.model_copy(update={"window_seconds": WINDOW})
        system = config.build(codec.spec)
        torch.nn.init.normal_(system.out.weight, std=0.1)
    checkpoint.save(folder / "codec", codec, checkpoint.codec_manifest(codec_config, codec))
    checkpoint.save(folder, system, checkpoint.system_manifest(config, system, codec), card="# tiny\n")
    return counterpoint.load(folder)


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return _build(*KINDS[request.param], tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture
def unmastered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "master", lambda sound, rate: sound)


@pytest.mark.parametrize("seconds", [0.5, 2.3])
def test_a_stream_is_the_whole_times_a_gain_limited(model: Model, unmastered: None, seconds: float) -> None:
    """In one window and in several."""
    stream = model.stream(PROMPT, seconds=seconds, seed=5)
    streamed = torch.cat(list(stream), dim=-1)
    take = model.generate(PROMPT, seconds=seconds, seed=5)
    assert stream.sample_rate == take.sample_rate and stream.seed == 5 and abs(stream.record["gain"]) <= generation.GAIN
    expected = audio.limit(take.audio * 10 ** (stream.record["gain"] / 20), 8000, -1.0)
    assert streamed.shape == (1, round(seconds * 8000)) and streamed.abs().max() > 0.01
    torch.testing.assert_close(streamed, expected, atol=2e-4, rtol=0)


def test_the_first_of_it_sets_the_level(model: Model) -> None:
    stream = model.stream(PROMPT, seconds=2.3, seed=1)
    first = next(stream)
    assert abs(stream.record["gain"]) == generation.GAIN or audio.loudness(first, 8000) == pytest.approx(-16, abs=1.5)
    assert max(audio.true_peak(chunk, 8000) for chunk in stream) < -0.5


def test_it_is_heard_before_it_is_made(model: Model) -> None:
    heard: list[tuple[int, int]] = []
    stream = model.stream(PROMPT, seconds=2.3, progress=lambda done, total: heard.append((done, total)))
    assert not heard, "nothing is done before it is asked for"
    chunk = next(stream)
    done, total = heard[-1]
    assert chunk.shape[-1] <= 8000 and done < 0.75 * total
    list(stream)
    assert heard[-1][0] == heard[-1][1]


def test_the_record_tells_of_time(model: Model) -> None:
    stream = model.stream(PROMPT, seconds=1, seed=2)
    list(stream)
    timings = stream.record["timings"]
    assert 0 <= timings["plan"] <= timings["first"] <= timings["total"]
    whole = model.generate(PROMPT, seconds=1, seed=2).record
    assert {name: value for name, value in stream.record.items() if name not in ("timings", "gain", "streamed")} == {
        name: value
        for name, value in whole.items()
        if name not in ("timings", "sha256", "made_on")  # of a file
    }


def test_closing_stops_the_work_and_the_callers_grad_mode_stays(model: Model) -> None:
    heard: list[int] = []
    stream = model.stream(PROMPT, seconds=2.3, progress=lambda done, total: heard.append(done))
    for _ in range(2):
        next(stream)
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.no_grad():
        next(stream, None)
        assert not torch.is_grad_enabled()
    before = len(heard)
    stream.close()
    stream.close()
    assert next(stream, None) is None and len(heard) == before


def test_what_cannot_be_done_is_told_before_anything_is_made(model: Model) -> None:
    with pytest.raises(ValueError, match="must lie between"):
        model.stream(PROMPT, seconds=0.1)
    with pytest.raises(ValueError, match="prompt is empty"):
        model.stream(" ")
