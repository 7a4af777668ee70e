"""Codecs side by side on the same held-out clips, through continuous frames and, where there are any, through all tokens.

    python benchmarks/codecs.py spectral-tiny runs/encodec-tiny runs/vae-tiny --corpus runs/corpus --clips 30 [--audio heard]

What is lost, and how fast.  Tokens have a bitrate; continuous frames have a size, numbers a second.  Speeds are by processor
time, so that other work on the machine does not count.  Perplexities are by the clips' tokens: their number bounds them.
`--audio` keeps the first clips as they were and as they came back.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.data.clips import AudioDataset
from counterpoint.hub.checkpoint import load_codec
from counterpoint.metrics.reconstruction import (
    LOG_MEL_SIZES,
    bitrate,
    log_mel_distance,
    multi_resolution_stft,
    perplexity,
    si_snr,
)
from counterpoint.nn import spectral
from counterpoint.types import View

KEPT = 3  # clips written with --audio


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("codecs", nargs="+", help="shipped names or folders")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--audio", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| codec | through | log-mel (dB) | multi-res. STFT | log-MSD (1024; 512 to 2048) | SI-SNR (dB) | encode | decode |")
    print("|---|---|---|---|---|---|---|---|")
    used = {}
    for name in options.codecs:
        codec = load_codec(name)
        data = AudioDataset([options.corpus], options.split, 10.0, codec.sample_rate, codec.channels)
        clips = [data.item(i, seed=0).audio for i in range(min(options.clips, len(data)))]
        with torch.no_grad():
            audio = [clip[None] for clip in clips if clip is not None]
            views: list[View] = ["continuous", "tokens"] if codec.spec.levels else ["continuous"]
            for view in views:
                line, coded = row(name, codec, view, audio, options.audio)
                print(line, flush=True)
                if view == "tokens":
                    used[Path(name).name] = perplexity(torch.cat(coded, dim=2)[0], codec.spec.bins)
    for name, counts in used.items():
        print(f"\nPerplexity by level, {name}: {' '.join(f'{count:.0f}' for count in counts)}")


def row(name: str, codec: Codec, view: View, clips: list[Tensor], folder: Path | None) -> tuple[str, list[Tensor]]:
    """One line of the table, and the clips "1 c n" as frames or tokens."""
    filters, coded, distances = spectral.mel_filters(128, 2048, codec.sample_rate), [], []
    encoding = decoding = 0.0
    for i, clip in enumerate(clips):
        clock = time.process_time()
        frames = codec.encode(clip)
        coded.append(codec.to_tokens(frames) if view == "tokens" else frames)
        encoding += time.process_time() - clock
        clock = time.process_time()
        made = codec.decode(codec.as_frames(coded[-1], view), clip.shape[-1])
        decoding += time.process_time() - clock
        distances.append(compare(made, clip, codec.sample_rate, filters))
        if folder is not None and i < KEPT:
            folder.mkdir(parents=True, exist_ok=True)
            sound.write(folder / f"{i}-original.wav", clip[0], codec.sample_rate)
            sound.write(folder / f"{i}-{Path(name).name}-{view}.wav", made[0], codec.sample_rate)
    seconds = sum(clip.shape[-1] for clip in clips) / codec.sample_rate
    mel, multi, msd, many, snr = np.mean(distances, axis=0)
    numbers = f"{mel:.2f} | {multi:.2f} | {msd:.3f}; {many:.3f} | {snr:.1f}"
    speeds = f"{seconds / encoding:.0f} x | {seconds / decoding:.0f} x"
    return f"| {Path(name).name} | {size(codec, view)} | {numbers} | {speeds} |", coded


def size(codec: Codec, view: View) -> str:
    """What a second of music takes."""
    spec = codec.spec
    if view == "tokens":
        return f"tokens, {bitrate(spec.rate, spec.levels, spec.bins) / 1000:.2f} kbit/s"
    return f"frames, {spec.rate:g} x {spec.dim} = {spec.rate * spec.dim:.0f} numbers/s"


def compare(made: Tensor, real: Tensor, rate: int, filters: Tensor) -> tuple[float, ...]:
    """How far apart two clips "1 c n" are, of which the first channel is compared, by each measure of the table."""
    one, other = (spectral.stft(audio[:, 0], 2048, 320).abs() for audio in (made, real))
    waves = made[0, :1], real[0, :1]
    mel = spectral.log_mel_distance(one, other, filters).item()
    msd, many = log_mel_distance(*waves, rate), log_mel_distance(*waves, rate, LOG_MEL_SIZES)
    return mel, multi_resolution_stft(*waves), msd, many, si_snr(*waves)


if __name__ == "__main__":
    main()
