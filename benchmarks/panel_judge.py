"""What is measured of each take of the panel: broken.py's faults, what librosa hears beside what was asked, and the rest."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import analysers
import spectra
from broken import broken, faults, levelled
from counterpoint import audio as sound
from counterpoint.embedders.logmel import LogMel
from counterpoint.evaluation.ear import EarTagger
from counterpoint.files import renamed, write_text
from counterpoint.metrics.rhythm import tempo_accuracy1, tempo_accuracy2
from counterpoint.music import Chord, ChordSpan, Key

Array = NDArray[np.float64]
Asked = Mapping[str, Any]

FIGURES, FRAMES = "judged.json", "log-mel.npy"
SHORTEST = 2.0
"""Seconds by which two moments must be apart to count as a repetition."""


def judge_folder(folder: Path, rows: Sequence[Asked], pool: Executor) -> int:
    """Judge the clips of a folder, unless that has been done of just these; how many were judged.

    One pool serves all folders: librosa compiles itself once in each process, which takes longer than many clips.
    """
    file = folder / FIGURES
    if file.is_file() and [one["asked"] for one in json.loads(file.read_text(encoding="utf-8"))] == list(rows):
        return 0
    clips = [folder / row["file"] for row in rows]
    others = [rows[(i + 7) % len(rows)] for i in range(len(rows))]
    judged = list(pool.map(judge, clips, rows, others))
    with renamed(folder / FRAMES) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.stack([frames for _, frames in judged]))
    write_text(file, json.dumps([figures for figures, _ in judged], indent=1) + "\n")
    return len(rows)


def judge(clip: Path, asked: Asked, other: Asked) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """All figures of one clip, also against another's request; and its rows of the log-mel ear, "t 64"."""
    torch.set_num_threads(1)
    samples, rate = sound.read(clip)
    audio = levelled(samples.mean(0).double().numpy(), rate)
    single = np.ascontiguousarray(audio, dtype=np.float32)
    heard = Heard(single, rate)
    found = faults(audio, rate)
    figures = {
        "asked": asked,
        "faults": found,
        "broken": broken(found),
        "alone": _alone(heard),
        "follows": heard.follows(asked),
        "chance": heard.follows(other),
    }
    ear = LogMel()
    return figures, ear.embed(sound.resample(torch.from_numpy(single)[None], rate, ear.sample_rate)[0])


class Heard:
    """What is heard in a clip, once, and how it agrees with a request."""

    def __init__(self, audio: NDArray[np.float32], rate: int) -> None:
        self.audio, self.rate = audio, rate
        self.sound = analysers.listen(audio, rate)
        self.tempo = analysers.tempo(self.sound)[0]
        self.key = analysers.key(self.sound)
        self.chords = analysers.chords(self.sound)
        tagger = _tagger()
        tones = sound.resample(torch.from_numpy(audio)[None], rate, tagger.sample_rate)[0]
        self.styles = [tagger.labels[i] for i in np.argsort(-tagger.probabilities(tones).mean(0))]

    def follows(self, asked: Asked) -> dict[str, float]:
        """How right each thing is that was asked, from 0 to 1; what was left open is absent."""
        found = {
            "style, first": float(self.styles[0] == asked["style"]),
            "style, top 3": float(asked["style"] in self.styles[:3]),
        }
        if asked["bpm"] is not None:
            found["tempo Acc1"] = tempo_accuracy1(self.tempo, asked["bpm"])
            found["tempo Acc2"] = tempo_accuracy2(self.tempo, asked["bpm"])
        if asked["key"] is not None:
            wanted = Key.parse(asked["key"])
            found["key"] = float(self.key == wanted)
            found["key, weighted"] = analysers.key_score(self.key, wanted)
        if asked["chords"] is not None:
            spans = [ChordSpan(start, end, Chord.parse(label)) for start, end, label in asked["chords"]]
            found |= {f"chords, {name}": value for name, value in analysers.overlap(spans, *self.chords).items()}
        return found


@lru_cache(maxsize=1)
def _tagger() -> EarTagger:
    return EarTagger()


def _alone(heard: Heard) -> dict[str, float]:
    """What can be said of a clip without a request."""
    mel = spectra.level_mel(heard.audio, heard.rate)
    return {
        "flatness": spectra.spectral_flatness(heard.audio),
        "above 5 kHz, dB": spectra.high_band_ratio(heard.audio, heard.rate),
        "dispersion, dB": spectra.dispersion(mel),
        "onsets a second": len(analysers.onsets(heard.sound)) / heard.sound.seconds,
        "repetition": repetition(mel, heard.rate / spectra.HOP),
    }


def repetition(mel: Array, rate: float) -> float:
    """How much of a clip is heard again in it: the mean, over its seconds, of the highest correlation with another moment.

    Seconds of log-mel bands "m t" less each band's mean, one every quarter of a second, compared with all that begin SHORTEST
    seconds or more away; 1 for a loop.  Silence repeats itself.
    """
    length, apart = round(rate), round(SHORTEST * rate)
    centred = mel - mel.mean(1, keepdims=True)
    patches = (
        np.lib.stride_tricks.sliding_window_view(centred, length, axis=1).transpose(1, 0, 2).reshape(-1, len(mel) * length)
    )
    size = np.linalg.norm(patches, axis=1, keepdims=True)
    patches = patches / np.maximum(size, 1e-9)
    starts = np.arange(0, len(patches), round(rate / 4))
    alike = patches[starts] @ patches.T
    alike[:, (size < 1e-6).ravel()] = 1.0
    alike[np.abs(starts[:, None] - np.arange(len(patches))) < apart] = -1.0
    return float(alike.max(1).mean())
