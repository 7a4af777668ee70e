"""The spectral codec beyond what every codec promises (tests/test_codec.py): fidelity, phases, and that its training learns."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from counterpoint import config
from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
from counterpoint.nn.griffin_lim import griffin_lim, propagated_phase
from counterpoint.nn.spectral import istft, log_mel_distance, mel_filters, spectral_convergence, stft
from counterpoint.systems.augment import augment, speech_like
from counterpoint.systems.spectral import SpectralObjectiveConfig, SpectralTraining
from counterpoint.types import Batch

RATE = 8000


def _gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _clip(seed: int, samples: int = 2 * RATE) -> torch.Tensor:
    """Decaying harmonic notes, "1 n"."""
    draw = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    audio = np.zeros(samples)
    for start in np.arange(0, samples / RATE, 0.25):
        pitch, since = 110 * 2 ** (draw.integers(24) / 12), np.maximum(time - start, 0)
        tone = sum(np.sin(2 * np.pi * pitch * h * since) / h for h in range(1, 8) if pitch * h < RATE / 2)
        audio += (time >= start) * np.exp(-4 * since) * tone
    return torch.from_numpy(0.1 * audio).float()[None]


@pytest.fixture(scope="module")
def codec():
    return fit_closed_form(SpectralConfig.tiny(), [_clip(i) for i in range(12)], _gen())


def test_stft_agrees_with_scipy_and_inverts():
    audio = _clip(1)[0]
    spectrum = stft(audio[None], 512, 80)
    padded = np.pad(audio.numpy(), ((512 - 80) // 2, 512))
    window = scipy.signal.get_window("hann", 512)
    expected = np.fft.rfft(padded[10 * 80 : 10 * 80 + 512] * window) * 4 / 512
    np.testing.assert_allclose(spectrum[0, 10].numpy(), expected, atol=1e-5)
    torch.testing.assert_close(istft(spectrum, 512, 80, len(audio))[0], audio, atol=1e-5, rtol=0)


def test_a_full_scale_sine_has_magnitude_one():
    sine = torch.sin(2 * math.pi * 1000 * torch.arange(RATE) / RATE)
    assert stft(sine[None], 512, 80).abs()[0, 50].max().item() == pytest.approx(1.0, rel=1e-3)


def test_phases_are_found():
    audio = _clip(2)
    magnitude = stft(audio, 512, 80).abs()
    made = stft(griffin_lim(magnitude, 512, 80, audio.shape[1], steps=16), 512, 80).abs()
    assert spectral_convergence(made, magnitude).item() < 0.2


def test_held_out_music_survives(codec):
    audio = _clip(99)[None]
    filters = mel_filters(40, 512, RATE)
    real = stft(audio[:, 0], 512, 80).abs()
    frames = codec.encode(audio)
    whole = log_mel_distance(codec.decode_magnitude(frames), real, filters).item()
    coded = log_mel_distance(codec.decode_magnitude(codec.from_tokens(codec.to_tokens(frames))), real, filters).item()
    assert whole < 5.5 and whole < coded < log_mel_distance(torch.zeros_like(real), real, filters).item() / 3


def test_frames_are_white_and_independent_of_neighbours(codec):
    clips = torch.stack([_clip(i) for i in range(12)])
    frames = codec.encode(clips)
    assert frames.flatten(0, 1).mean(0).abs().max() < 0.05
    torch.testing.assert_close(frames.flatten(0, 1).std(0), torch.ones(16), atol=0.05, rtol=0)
    assert (codec.scale.diff() <= 0).all()
    torch.testing.assert_close(codec.encode(clips[3:4]), frames[3:4], atol=1e-4, rtol=0)


def test_long_audio_has_no_seams(codec):
    """With the sizes of real use: the level around every seam, in windows of 20 ms, is that of the audio in one piece."""
    frames = codec.encode(_clip(6, 24 * RATE)[None])
    chunks, whole = codec.decode(frames)[0, 0], codec.decode(frames, chunk_frames=10_000)[0, 0]
    seams = range(500 * codec.hop, len(whole), 500 * codec.hop)
    assert len(seams) == 1
    for seam in seams:
        near = slice(seam - RATE // 2, seam + RATE // 2)
        made, wanted = (audio[near].unfold(0, 160, 160).square().mean(1).sqrt() for audio in (chunks, whole))
        torch.testing.assert_close(made, wanted, atol=1e-3, rtol=0.02)


def test_phases_keep_their_precision_in_long_audio():
    """A steady partial turns by the same angle in every frame: minutes later its phase is still that many angles."""
    size, hop, count = 64, 16, 100_000
    distance = torch.arange(size // 2 + 1) - 27.0
    magnitude = torch.exp(-distance.square()).repeat(1, count, 1)
    phase = propagated_phase(magnitude, size, hop)[0, :, 27].double()
    expected = 27 * torch.arange(count, dtype=torch.float64) * (2 * math.pi * hop / size)
    error = (phase - phase[0] - expected + math.pi).remainder(2 * math.pi) - math.pi
    assert error.abs().max() < 0.05
    assert phase.min() >= 0 and phase.max() <= 2 * math.pi + 1e-5


def test_nothing_to_fit_on_is_refused():
    with pytest.raises(ValueError, match="no clips"):
        fit_closed_form(SpectralConfig.tiny(), [], _gen())


def test_augmentation_follows_the_seed():
    clips = torch.stack([_clip(i) for i in range(4)])
    one, two = (augment(clips, RATE, [_gen(i) for i in range(4)]) for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, clips)
    speech = speech_like(RATE, RATE, _gen())
    assert speech.isfinite().all() and speech.std() > 1e-3


def test_training_learns_and_leaves_the_frames_alone():
    codec = fit_closed_form(SpectralConfig.tiny(), [_clip(i) for i in range(4)], _gen())
    torch.manual_seed(0)
    system = SpectralTraining(codec, SpectralObjectiveConfig(augment=False, noise=0.0, keep_all=1.0))
    batch = Batch(seeds=[1, 2], audio=torch.stack([_clip(0), _clip(1)]))
    before = codec.encode(batch.audio)
    optimiser = torch.optim.Adam(system.parameters(), lr=5e-3)

    def loss() -> float:
        system.eval()
        return system.objectives(batch)[0].loss.item()

    start = loss()
    system.train()
    for step in range(40):
        objective = system.objectives(Batch(seeds=[2 * step, 2 * step + 1], audio=batch.audio))[0]
        optimiser.zero_grad()
        objective.loss.backward()
        optimiser.step()
    assert loss() < 0.85 * start
    assert torch.equal(codec.encode(batch.audio), before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"sample_rate": 0}, "sample_rate: "),
        ({"hop": -1}, "hop: "),
        ({"size": 512}, "size 512 is less than twice hop 320"),
        ({"stack": 0}, "stack: "),
        ({"dim": 0}, "dim: "),
        ({"dim": 500}, "dim 500 is more than wide 384"),
        ({"levels": 0}, "levels: "),
        ({"bins": 1}, "bins: "),
        ({"linear_below": 1.0}, "linear_below 1 Hz"),
        ({"linear_below": math.nan}, "linear_below: "),
        ({"power": 0.0}, "power: "),
        ({"floor": 0.0}, "floor: "),
        ({"mel_weight": math.inf}, "mel_weight: "),
        ({"width": 0}, "width: "),
        ({"phase_steps": -1}, "phase_steps: "),
    ],
)
def test_impossible_settings_are_named(content, message):
    with pytest.raises(ValueError, match=f"^recipe: .*{message}") as error:
        config.parse(SpectralConfig, content, "recipe")
    assert "\n" not in str(error.value) and "Value error" not in str(error.value)
