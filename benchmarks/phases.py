"""Which way from magnitudes to a waveform keeps attacks sharp, and what does it cost?  Held-out clips with drums.

    python benchmarks/phases.py --corpus runs/corpus --clips 24

Rows: a way to find phases, for real magnitudes and for those that the codec decodes (whose loss is the codec's).  Columns:
`sc` spectral convergence, of the waveform's magnitudes to those asked for; `log-mel` distance in dB to the real clip, in
windows of 64 ms, and `log-mel, 8 ms` in short ones, which hear smear; `pre-echo` energy in the 15 ms before a stroke, in dB
against the 20 ms after it, above that of the real clip; `rise` the steepest growth of the level over 2 ms within 10 ms of a
stroke, in dB above the real clip's (below 0: blunter).  Strokes are those of the score's drums before which nothing else begins
for 60 ms.  `real phases` is the ceiling.  Means over clips; `x` is seconds of audio in a second of one thread.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from time import process_time

import numpy as np
import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.annotation import from_dict
from counterpoint.codecs.spectral import Spectral
from counterpoint.data.folder import read_folder
from counterpoint.hub.checkpoint import load_codec
from counterpoint.music import Score
from counterpoint.nn.griffin_lim import griffin_lim, propagated_phase
from counterpoint.nn.spectral import istft, log_mel_distance, mel_filters, spectral_convergence, stft
from intervals import summarise, table

ALONE, BEFORE, AFTER = 0.06, 0.015, 0.02
"""Seconds without another onset before a stroke, and those whose energies are compared."""
Way = Callable[[Tensor, Tensor], Tensor]
"""Magnitudes "b t f" and the real spectrum (of which only the ceiling may make use) -> audio "b n"."""


def ways(size: int, hop: int, samples: int) -> dict[str, Way]:
    """All that are compared, by name."""

    def polished(steps: int, momentum: float = 0.99) -> Way:
        return lambda magnitude, _: griffin_lim(magnitude, size, hop, samples, steps, momentum)

    def from_zero(steps: int) -> Way:
        return lambda magnitude, _: griffin_lim(magnitude, size, hop, samples, steps, phase=torch.zeros_like(magnitude))

    def consistent(spectrum: Tensor) -> Tensor:
        return stft(istft(spectrum, size, hop, samples), size, hop)

    def other(polish: Callable[..., Tensor], *settings: float) -> Way:
        def way(magnitude: Tensor, _: Tensor) -> Tensor:
            start = torch.polar(magnitude, propagated_phase(magnitude, size, hop))
            return istft(polish(start, magnitude, consistent, 8, *settings), size, hop, samples)

        return way

    return {
        "real phases": lambda magnitude, real: istft(torch.polar(magnitude, real.angle()), size, hop, samples),
        "zero phases, 8 steps": from_zero(8),
        "propagated, 0 steps": polished(0),
        "propagated, 4 steps": polished(4),
        "propagated, 8 steps": polished(8),
        "propagated, 8 steps, no momentum": polished(8, 0.0),
        "propagated, 8 steps, momentum 1.3": polished(8, 1.3),
        "propagated, 32 steps": polished(32),
        "propagated, 8 steps of ADMM, 0.1": other(admm, 0.1),
        "propagated, 8 steps of ADMM, 0.4": other(admm, 0.4),
        "propagated, 8 steps, accelerated": other(accelerated),
    }


def admm(start: Tensor, magnitude: Tensor, consistent: Callable[[Tensor], Tensor], steps: int, weight: float) -> Tensor:
    """Griffin-Lim by alternating directions, which lets spectra be inconsistent (Masuyama, Yatabe and Oikawa 2019)."""
    near, scaled = start, torch.zeros_like(start)
    for _ in range(steps):
        loud = _with(magnitude, near - scaled)
        near = (weight * (loud + scaled) + consistent(loud + scaled)) / (1 + weight)
        scaled = scaled + loud - near
    return _with(magnitude, near - scaled)


def accelerated(start: Tensor, magnitude: Tensor, consistent: Callable[[Tensor], Tensor], steps: int) -> Tensor:
    """Griffin-Lim with two inertias (Nenov, Nguyen, Balazs and Bot 2023), with alpha .09, beta 1.1 and gamma 1.25."""
    spectrum, leaning = start, consistent(start)
    previous = leaning
    for _ in range(steps):
        rebuilt = -0.25 * leaning + 1.25 * consistent(_with(magnitude, spectrum))
        spectrum, leaning = torch.lerp(previous, rebuilt, 1.09), torch.lerp(previous, rebuilt, 2.1)
        previous = rebuilt
    return _with(magnitude, spectrum)


def _with(magnitude: Tensor, spectrum: Tensor) -> Tensor:
    """The phases of a spectrum, and these magnitudes."""
    return spectrum * (magnitude / spectrum.abs().clamp_min(1e-12))


def strokes(score: Score) -> list[float]:
    """Times of drum strokes before which nothing else begins for ALONE seconds, and after them within BEFORE."""
    onsets = np.array(sorted(note.start for track in score.tracks for note in track.notes))
    drums = sorted({note.start for track in score.tracks if track.role == "drums" for note in track.notes})
    quiet = [time for time in drums if not np.any((onsets > time - ALONE) & (onsets < time - 0.012))]
    return [time for time in quiet if ALONE < time < score.seconds - 2 * ALONE]


def places(audio: np.ndarray, times: list[float], rate: int) -> list[int]:
    """The samples at which the strokes at these times are heard in the real clip: where its level rises most."""
    level, width = _level(audio, rate), round(0.002 * rate)
    found = []
    for time in times:
        first, last = round((time - 0.01) * rate), round((time + 0.02) * rate)
        rising = level[first + width : last] - level[first : last - width]
        found.append(first + int(rising.argmax()) + width // 2)
    return found


def attack(audio: np.ndarray, at: list[int], rate: int) -> dict[str, float]:
    """Pre-echo and rise of a clip's strokes in dB, means over them."""
    energy, level, width, around = np.square(audio) + 1e-9, _level(audio, rate), round(0.002 * rate), round(0.01 * rate)
    echoes = [
        10 * np.log10(energy[i - round(BEFORE * rate) : i - width // 2].mean() / energy[i : i + round(AFTER * rate)].mean())
        for i in at
    ]
    rises = [(level[i - around + width : i + around] - level[i - around : i + around - width]).max() for i in at]
    return {"pre-echo": float(np.mean(echoes)), "rise": float(np.mean(rises))}


def _level(audio: np.ndarray, rate: int) -> np.ndarray:
    """In dB, over 2 ms around each sample."""
    width = round(0.002 * rate)
    return 10 * np.log10(np.convolve(np.square(audio), np.ones(width) / width, mode="same") + 1e-9)


@torch.inference_mode()
def clip_figures(codec: Spectral, audio: Tensor, at: list[int]) -> dict[str, dict[str, float]]:
    """The figures of every way on one clip "1 n", by kind of magnitudes and way."""
    size, hop, rate = codec.config.size, codec.config.hop, codec.sample_rate
    real = stft(audio, size, hop)
    sources = {"real": real.abs(), "codec": codec.decode_magnitude(codec.encode(audio[None]))[:, : real.shape[1]]}
    wanted = attack(audio[0].double().numpy(), at, rate)
    found = {}
    for source, magnitude in sources.items():
        for name, way in ways(size, hop, audio.shape[-1]).items():
            started = process_time()
            made = way(magnitude, real)
            spent = process_time() - started
            struck = attack(made[0].double().numpy(), at, rate)
            found[f"{source}: {name}"] = {
                "sc": spectral_convergence(stft(made, size, hop).abs(), magnitude).item(),
                "log-mel": _apart(made, audio, size, rate),
                "log-mel, 8 ms": _apart(made, audio, 256, rate),
                "pre-echo": struck["pre-echo"] - wanted["pre-echo"],
                "rise": struck["rise"] - wanted["rise"],
                "x": audio.shape[-1] / rate / spent,
            }
    return found


def _apart(made: Tensor, real: Tensor, size: int, rate: int) -> float:
    spectra = [stft(one, size, size // 4).abs() for one in (made, real)]
    return log_mel_distance(*spectra, mel_filters(128 if size > 1000 else 40, size, rate)).item()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codec", default="spectral-tiny")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24)
    args = parser.parse_args()
    torch.set_num_threads(1)
    codec = load_codec(args.codec).eval()
    assert isinstance(codec, Spectral)
    rows: dict[str, list[dict[str, float]]] = {}
    used = 0
    for row in read_folder(args.corpus):
        score = (
            from_dict(json.loads(Path(row.values["annotation"]).read_text(encoding="utf-8"))) if row.split == "test" else None
        )
        times = [] if score is None else strokes(score)
        if used == args.clips or len(times) < 4:
            continue
        used += 1
        samples, rate = sound.read(row.path)
        audio = sound.resample(sound.mix(samples, 1), rate, codec.sample_rate)
        at = places(audio[0].double().numpy(), times, codec.sample_rate)
        for name, figures in clip_figures(codec, audio, at).items():
            rows.setdefault(name, []).append(figures)
        print(f"{row.id}: {score.style if score else ''}, {len(times)} strokes", flush=True)
    print(table({name: summarise(figures) for name, figures in rows.items()}, f"{used} clips", bounds=False))


if __name__ == "__main__":
    main()
