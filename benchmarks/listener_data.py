"""What the listener learns from: spectra of composed clips, what their scores say frame by frame, and crops of both.

    python benchmarks/listener_data.py FOLDER CACHE [--part K/N] [--clips N]

keeps the spectra of a corpus's (first N) clips as bytes, and their labels, under CACHE; `Cache` draws from such folders.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterpoint import annotation, audio
from counterpoint.analysis import spectrum
from counterpoint.analysis.heard import HIGHEST, LOWEST
from counterpoint.analysis.listener import CHORD_STEP, MELODY_STEP, NO_CHORD, QUALITIES, TUNE
from counterpoint.data.row import split_of
from counterpoint.music import DRUM_CLASSES, Chord, Score

FRAMES = 501
SCALE = 40.0
"""A spectrum's bytes are its values times this."""
EVENTS = ("beats", "downbeats", "kick", "snare", "hat", "any")
LONGEST = 320
"""Events of one kind kept of a clip."""
UNTOLD = 255
"""The label of a frame that no loss is taken of."""
FOLDED = {"min9": "min7", "9": "7", "maj9": "maj7", "min6": "min", "dim": "dim7", "minmaj7": "min"}
"""Chord qualities that are told as others."""


def chord_class(chord: Chord | None) -> int:
    """root * qualities + quality, NO_CHORD for none, UNTOLD for what is neither (suspended chords)."""
    if chord is None:
        return NO_CHORD
    quality = FOLDED.get(chord.quality, chord.quality)
    return chord.root * len(QUALITIES) + QUALITIES.index(quality) if quality in QUALITIES else UNTOLD


def melody_frames(score: Score, rate: float, frames: int) -> NDArray[np.int16]:
    """The tune's pitch at t / rate, 0 where it rests: of notes that overlap the one that began last, then the highest."""
    pitches = np.zeros(frames, dtype=np.int16)
    track = score.track("melody")
    for note in sorted(track.notes if track else (), key=lambda note: (note.start, note.pitch)):
        pitches[int(np.ceil(note.start * rate)) : int(np.ceil(note.end * rate))] = note.pitch
    return pitches


def events(score: Score) -> dict[str, list[float]]:
    """Times by kind: beats, down-beats, and drum onsets of three classes and of any."""
    track = score.track("drums")
    hits = [note for note in track.notes if note.start < score.seconds] if track else []
    found = {"beats": list(score.beats), "downbeats": list(score.downbeats)}
    for name in ("kick", "snare", "hat"):
        found[name] = sorted(note.start for note in hits if note.pitch in DRUM_CLASSES[name])
    found["any"] = sorted({round(note.start, 3) for note in hits})
    return found


def labels(score: Score) -> dict[str, NDArray]:
    """Chord and melody class of each frame, the key's class, and the events' times, padded with NaN."""
    chords = np.full(FRAMES, UNTOLD, dtype=np.uint8)
    for span in score.chords:
        begin, end = (int(np.ceil(time * spectrum.FRAME_RATE)) for time in (span.start, span.end))
        chords[begin : end + (span.end >= score.seconds)] = chord_class(span.chord)
    pitches = melody_frames(score, spectrum.FRAME_RATE, FRAMES)
    inside = (pitches >= LOWEST) & (pitches <= HIGHEST)
    times = np.full((len(EVENTS), LONGEST), np.nan, dtype=np.float32)
    for row, found in zip(times, (events(score)[name] for name in EVENTS), strict=True):
        row[: len(found[:LONGEST])] = found[:LONGEST]
    key = np.array(score.key.tonic * 2 + (score.key.mode == "minor"), dtype=np.uint8)
    return {"chords": chords, "melody": np.where(inside, pitches - LOWEST + 1, 0).astype(np.uint8), "key": key, "times": times}


@dataclass(frozen=True)
class Crop:
    """A spectrum and what is told of it: "288 t", "6 t", "t/4", "t/2" and a number; a batch of them has one axis more."""

    spectrum: Tensor
    events: Tensor
    chords: Tensor
    melody: Tensor
    key: Tensor


def collate(crops: list[Crop]) -> Crop:
    """Crops of one length side by side."""
    return Crop(
        torch.stack([crop.spectrum for crop in crops]),
        torch.stack([crop.events for crop in crops]),
        torch.stack([crop.chords for crop in crops]),
        torch.stack([crop.melody for crop in crops]),
        torch.stack([crop.key for crop in crops]),
    )


@dataclass(frozen=True)
class Cache:
    """One cached corpus: spectra `n 501 288` in bytes, mapped from the disk, and labels."""

    spectra: NDArray[np.uint8]
    split: NDArray[np.str_]
    told: dict[str, NDArray]

    @staticmethod
    def open(folder: Path) -> "Cache":
        told = dict(np.load(folder / "labels.npz"))
        return Cache(np.load(folder / "spectra.npy", mmap_mode="r"), told.pop("split"), told)

    def places(self, split: str) -> NDArray[np.intp]:
        """Where the clips of a split are."""
        return np.flatnonzero(self.split == split)

    def whole(self, place: int) -> Crop:
        """A clip as it is."""
        return self._cut(place, 0.0, 1.0, FRAMES - 1)

    def crop(self, split: str, frames: int, rng: np.random.Generator) -> Crop:
        """A random part of a random clip, changed in ways that leave the music what it is, or move its labels along:
        tempo by up to 12 %, key by up to four semitones, tuning, equalisation, level, noise, silence before or after."""
        place = int(rng.choice(self.places(split)))
        rate = float(np.exp(rng.uniform(-0.12, 0.12))) if rng.random() < 0.7 else 1.0
        start = rng.uniform(0, FRAMES - 1 - frames * rate)
        crop = self._cut(place, start, rate, frames)
        if rng.random() < 0.6:
            crop = _transposed(crop, int(rng.integers(-4, 5)))
        magnitudes = torch.expm1(crop.spectrum) * _equaliser(rng)[:, None]
        if rng.random() < 0.15:
            magnitudes[:252] = torch.roll(magnitudes[:252], int(rng.choice([-1, 1])), 0)
        crop = replace(crop, spectrum=magnitudes)
        if rng.random() < 0.12:
            crop = _rested(crop, rng)
        level = 10 ** rng.uniform(-1, 1.2) if rng.random() < 0.4 else 0.02
        noise = torch.from_numpy(rng.rayleigh(level, crop.spectrum.shape).astype(np.float32)) * _equaliser(rng)[:, None]
        return replace(crop, spectrum=torch.log1p(crop.spectrum + noise))

    def _cut(self, place: int, start: float, rate: float, frames: int) -> Crop:
        """Frames start, start + rate, ... and their labels."""

        def frame(step: int) -> NDArray[np.intp]:
            places = start + rate * (np.arange(0, frames, step) + (step - 1) / 2)
            return np.clip(np.round(places), 0, FRAMES - 1).astype(np.intp)

        return Crop(
            torch.from_numpy(self.spectra[place][frame(1)].T / np.float32(SCALE)),
            torch.from_numpy(_pulses((self.told["times"][place] * spectrum.FRAME_RATE - start) / rate, frames)),
            torch.from_numpy(self.told["chords"][place][frame(CHORD_STEP)].astype(np.int64)),
            torch.from_numpy(self.told["melody"][place][frame(MELODY_STEP)].astype(np.int64)),
            torch.tensor(int(self.told["key"][place])),
        )


def _pulses(places: NDArray, frames: int) -> NDArray[np.float32]:
    """Triangles three frames wide round each event, so that what lies between two frames is told too."""
    pulses = np.zeros((len(places), frames), dtype=np.float32)
    for row, times in zip(pulses, places, strict=True):
        times = times[np.isfinite(times)]
        for offset in (-1, 0, 1):
            near = np.round(times).astype(np.intp) + offset
            inside = (near >= 0) & (near < frames)
            np.maximum.at(row, near[inside], np.maximum(0, 1 - np.abs(times - near)[inside] / 1.5).astype(np.float32))
    return pulses


def _transposed(crop: Crop, semitones: int) -> Crop:
    moved = torch.zeros_like(crop.spectrum[:252])
    bins = 3 * semitones
    moved[max(0, bins) : 252 + min(0, bins)] = crop.spectrum[max(0, -bins) : 252 - max(0, bins)]
    sounding = (crop.chords != UNTOLD) & (crop.chords != NO_CHORD)
    chords = torch.where(sounding, (crop.chords + semitones * len(QUALITIES)) % NO_CHORD, crop.chords)
    melody = torch.where(crop.melody > 0, crop.melody + semitones, 0)
    melody[(melody < 0) | (melody >= TUNE)] = UNTOLD
    return replace(
        crop,
        spectrum=torch.cat([moved, crop.spectrum[252:]]),
        chords=chords,
        melody=melody,
        key=(crop.key + 2 * semitones) % 24,
    )


def _equaliser(rng: np.random.Generator) -> Tensor:
    """A gain for each bin: a broken line over the scale, another over the bands, about 3 dB, and a level common to all."""
    scale = np.interp(np.arange(252), np.linspace(0, 251, 7), rng.normal(0, 0.35, 7))
    bands = np.interp(np.arange(36), np.linspace(0, 35, 5), rng.normal(0, 0.35, 5))
    return torch.from_numpy(np.exp(np.concatenate([scale, bands]) + rng.normal(0, 0.4)).astype(np.float32))


def _rested(crop: Crop, rng: np.random.Generator) -> Crop:
    """Silence before, after, or (one time in four) throughout."""
    frames = crop.spectrum.shape[1]
    begin, end = [(0, frames), (0, int(rng.integers(frames // 2))), (int(rng.integers(frames // 2, frames)), frames)][
        int(rng.choice(3, p=[0.25, 0.4, 0.35]))
    ]
    spectrum_, events_, chords, melody = (x.clone() for x in (crop.spectrum, crop.events, crop.chords, crop.melody))
    spectrum_[:, begin:end] = 0
    events_[:, begin:end] = 0
    chords[begin // CHORD_STEP : -(-end // CHORD_STEP)] = NO_CHORD
    melody[begin // MELODY_STEP : -(-end // MELODY_STEP)] = 0
    key = torch.tensor(UNTOLD) if end - begin == frames else crop.key
    return Crop(spectrum_, events_, chords, melody, key)


def cache(folder: Path, into: Path, part: int, parts: int, clips: int | None) -> None:
    """Keep the spectra and labels of every `parts`-th of a corpus's first `clips` clips, from the `part`-th."""
    into.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()[:clips]][part::parts]
    shape = (len(rows), FRAMES, spectrum.BINS)
    spectra = np.lib.format.open_memmap(into / "spectra.npy", mode="w+", dtype=np.uint8, shape=shape)
    told: list[dict[str, NDArray]] = []
    for place, row in enumerate(rows):
        sound = spectrum.mono(*audio.read(folder / row["file_name"]))
        values = spectrum.spectrum(sound)[:, :FRAMES].T
        spectra[place, : len(values)] = (values * SCALE).round().clamp(0, 255).byte().numpy()
        told.append(labels(annotation.from_dict(json.loads((folder / row["annotation"]).read_text()))))
        if place % 100 == 99:
            print(f"{place + 1} of {len(rows)} clips", flush=True)
    spectra.flush()
    np.savez(
        into / "labels.npz",
        split=np.array([split_of(row["id"]) for row in rows]),
        **{name: np.stack([one[name] for one in told]) for name in told[0]},
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--part", default="0/1")
    parser.add_argument("--clips", type=int)
    given = parser.parse_args()
    number, of = (int(number) for number in given.part.split("/"))
    cache(given.folder, given.cache, number, of, given.clips)
