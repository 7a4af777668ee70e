"""Codecs side by side on the same held-out clips, each through all of its codebooks: what is lost, and how fast.

    python benchmarks/codecs.py spectral-tiny runs/encodec-tiny --corpus runs/corpus --clips 60 [--audio runs/heard]

Speeds are by processor time, so that other work on the machine does not count.  Perplexities are by the clips' tokens: their
number bounds them.  `--audio` keeps the first clips as they were and as they came back.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import spectra
from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.data.clips import AudioDataset
from counterpoint.hub.checkpoint import load_codec
from counterpoint.nn.spectral import log_mel_distance, mel_filters, stft

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
    print("| codec | kbit/s | log-mel (dB) | multi-resolution STFT | SI-SNR (dB) | perplexity by level | encode | decode |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.codecs:
        codec = load_codec(name)
        data = AudioDataset([options.corpus], options.split, 10.0, codec.sample_rate, codec.channels)
        clips = [data.item(i, seed=0).audio for i in range(min(options.clips, len(data)))]
        with torch.no_grad():
            print(row(name, codec, [clip[None] for clip in clips if clip is not None], options.audio), flush=True)


def row(name: str, codec: Codec, clips: list[Tensor], folder: Path | None) -> str:
    """One line of the table; clips are "1 c n"."""
    filters, coded, distances = mel_filters(128, 2048, codec.sample_rate), [], []
    encoding = decoding = 0.0
    for i, clip in enumerate(clips):
        clock = time.process_time()
        coded.append(codec.to_tokens(codec.encode(clip)))
        encoding += time.process_time() - clock
        clock = time.process_time()
        made = codec.decode(codec.from_tokens(coded[-1]), clip.shape[-1])
        decoding += time.process_time() - clock
        one, other = (stft(audio[:, 0], 2048, 320).abs() for audio in (made, clip))
        waves = [audio[0, 0].numpy() for audio in (made, clip)]
        mel = log_mel_distance(one, other, filters).item()
        distances.append((mel, spectra.multi_resolution_stft(*waves), spectra.si_snr(*waves)))
        if folder is not None and i < KEPT:
            folder.mkdir(parents=True, exist_ok=True)
            sound.write(folder / f"{i}-original.wav", clip[0], codec.sample_rate)
            sound.write(folder / f"{i}-{Path(name).name}.wav", made[0], codec.sample_rate)
    seconds = sum(clip.shape[-1] for clip in clips) / codec.sample_rate
    mel, multi, snr = np.mean(distances, axis=0)
    kbits = codec.spec.rate * codec.spec.levels * np.log2(codec.spec.bins) / 1000
    used = " ".join(f"{count:.0f}" for count in perplexities(torch.cat(coded, dim=2)[0], codec.spec.bins))
    speeds = f"{seconds / encoding:.0f} x | {seconds / decoding:.0f} x"
    return f"| {Path(name).name} | {kbits:.2f} | {mel:.2f} | {multi:.2f} | {snr:.1f} | {used} | {speeds} |"


def perplexities(tokens: Tensor, bins: int) -> list[float]:
    """For each level of tokens "k t", how many codes are in use, by their entropy."""
    shares = [torch.bincount(level, minlength=bins) / len(level) for level in tokens]
    return [torch.special.entr(share).sum().exp().item() for share in shares]


if __name__ == "__main__":
    main()
