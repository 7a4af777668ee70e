"""The spectral codec: lengths, independence, fidelity, two views of one frame, and that its training learns."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
from counterpoint.nn.griffin_lim import griffin_lim
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


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 5000])
def test_any_length_comes_back(codec, samples):
    frames = codec.encode(_clip(0, samples)[None])
    assert frames.shape == (1, math.ceil(samples / 320), 16)
    audio = codec.decode(frames, samples=samples)
    assert audio.shape == (1, 1, samples) and audio.isfinite().all()


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


def test_tokens_are_the_frames_of_their_codes(codec):
    tokens = codec.to_tokens(codec.encode(_clip(5)[None]))
    assert tokens.shape[1] == codec.spec.levels and tokens.max() < codec.spec.bins
    again = codec.to_tokens(codec.from_tokens(tokens[:, :1]), levels=1)
    assert torch.equal(again, tokens[:, :1])


def test_chunks_have_the_magnitudes_of_the_whole(codec):
    frames = codec.encode(_clip(6, 4 * RATE)[None])
    whole = stft(codec.decode(frames)[:, 0], 512, 80).abs()
    chunks = codec.chunked_decode(frames, chunk_frames=30, overlap=6)
    made = stft(chunks[:, 0], 512, 80).abs()
    assert made.shape == whole.shape
    assert log_mel_distance(made, whole, mel_filters(40, 512, RATE)).item() < 2.0


def test_wrong_audio_is_refused(codec):
    with pytest.raises(ValueError, match="mono"):
        codec.encode(torch.zeros(1, 2, 100))
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
    config = SpectralObjectiveConfig(augment=False, noise=0.0, keep_all=1.0)
    system = SpectralTraining(codec, config)
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
