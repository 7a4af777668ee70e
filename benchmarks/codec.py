"""What a codec loses on held-out clips, and how fast it is: log-mel distance (dB) and spectral convergence, by levels.

python benchmarks/codec.py runs/spectral-tiny runs/codec-corpus --split test --clips 20
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from counterpoint.codecs.spectral import Spectral
from counterpoint.data.clips import AudioDataset
from counterpoint.hub.checkpoint import load_codec
from counterpoint.nn.spectral import log_mel_distance, mel_filters, spectral_convergence, stft


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codec", help="a shipped name or a folder")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    codec = load_codec(options.codec)
    assert isinstance(codec, Spectral)
    data = AudioDataset([options.corpus], options.split, 10.0, codec.sample_rate)
    items = [data.item(i, seed=0).audio for i in range(min(options.clips, len(data)))]
    audio = torch.stack([item for item in items if item is not None])
    with torch.no_grad():
        report(codec, audio)


def report(codec: Spectral, audio: Tensor) -> None:
    """Print a row for each way of coding `audio`, "b 1 n"."""
    seconds = audio.shape[0] * audio.shape[-1] / codec.sample_rate
    clock = time.perf_counter()
    frames = codec.encode(audio)
    print(
        f"{len(audio)} clips; encode {seconds / (time.perf_counter() - clock):.0f} x real time, frames' std {frames.std():.3f}"
    )
    noise = 0.2 * torch.randn(frames.shape, generator=torch.Generator().manual_seed(0))
    levels = [codec.spec.levels, 6, 4, 2, 1]
    row(codec, audio, frames, "continuous")
    row(codec, audio, frames + noise, "continuous + noise 0.2")
    for count in levels:
        row(codec, audio, codec.from_tokens(codec.to_tokens(frames, count)), f"{count} levels")


def row(codec: Spectral, audio: Tensor, frames: Tensor, name: str) -> None:
    """Distances of the decoded magnitudes, then of the decoded waveform, to the original."""
    size, hop = codec.config.size, codec.config.hop
    filters = mel_filters(128, size, codec.sample_rate)
    real = stft(audio[:, 0], size, hop).abs()
    clock = time.perf_counter()
    magnitude = codec.decode_magnitude(frames)[:, : real.shape[1]]
    network = time.perf_counter() - clock
    wave = stft(codec.decode(frames, audio.shape[-1])[:, 0], size, hop).abs()
    whole = time.perf_counter() - clock - network
    seconds = audio.shape[0] * audio.shape[-1] / codec.sample_rate
    distances = [
        f"{log_mel_distance(made, real, filters).mean():5.2f} dB, sc {spectral_convergence(made, real).mean():.3f}"
        for made in (magnitude, wave)
    ]
    speed = f"decoder {seconds / network:.0f} x, with phases {seconds / whole:.1f} x"
    print(f"{name:24} magnitude {distances[0]} | waveform {distances[1]} | {speed}")


if __name__ == "__main__":
    main()
