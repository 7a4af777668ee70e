"""What chance scores: the control metrics of clips beside other clips' scores, by the labels and by the sound itself.

    python benchmarks/floors.py --corpus runs/corpus --clips 100

Labels are exact, so that nothing here depends on an analyser: each clip's score is compared with another's (no clip keeps its
own, five times over).  Melody similarity is that of the audio, by librosa's chroma in AudioCraft's configuration.  Beside each
floor stand the pairs among them of one style and of one key, which are nearer to each other, and how many these are.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from counterpoint import audio as sound
from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.annotation import from_dict
from counterpoint.data.row import split_of
from counterpoint.metrics import harmony, intervals, melody, rhythm, take
from counterpoint.metrics.floors import derangement
from counterpoint.music import Score

SHUFFLES = 5
Metric = Callable[["Clip", "Clip"], float]


@dataclass(frozen=True)
class Clip:
    """A score, its melody as a lane, its onsets, and the chroma of its audio with the frames that sound."""

    score: Score
    lane: NDArray[np.int16]
    onsets: tuple[float, ...]
    hits: tuple[float, ...]
    chroma: torch.Tensor
    sounds: torch.Tensor


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--splits", nargs="+", default=["test", "valid"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = read(options.corpus, options.splits, options.clips)
    shuffles = [derangement(len(clips), seed) for seed in range(SHUFFLES)]
    pairs = [(i, int(other)) for order in shuffles for i, other in enumerate(order)]
    print(f"{len(clips)} clips of {', '.join(options.splits)}, {len(pairs)} pairs of clips that do not belong together.\n")
    print("| metric | floor (95 % interval over clips) | NaN | same style | same key | its own |")
    print("|---|---|---|---|---|---|")
    for name, metric in METRICS.items():
        values = np.array([metric(clips[i], clips[other]) for i, other in pairs])
        rows = values.reshape(SHUFFLES, -1)
        told = (~np.isnan(rows)).sum(0)
        floor = intervals.mean(name, np.nansum(rows, axis=0) / np.where(told, told, np.nan))
        near = [mean_where(values, [likeness(clips[i], clips[other]) for i, other in pairs]) for likeness in LIKENESSES]
        own = np.nanmean([metric(clip, clip) for clip in clips])
        cells = f"{floor.value:.3f} ({floor.low:.3f} to {floor.high:.3f}) | {np.isnan(values).mean():.2f}"
        print(f"| {name} | {cells} | {near[0]} | {near[1]} | {own:.3f} |", flush=True)


LIKENESSES: tuple[Callable[[Clip, Clip], bool], ...] = (
    lambda made, real: made.score.style == real.score.style,
    lambda made, real: made.score.key == real.score.key,
)


def mean_where(values: NDArray[np.float64], chosen: Sequence[bool]) -> str:
    """The mean of some values and how many they are."""
    told = values[np.array(chosen) & ~np.isnan(values)]
    return f"{told.mean():.3f} ({len(told)})" if len(told) else ""


def _chords(detail: harmony.Detail, iou: bool) -> Metric:
    def metric(made: Clip, real: Clip) -> float:
        agreement = harmony.chord_agreement(made.score.chords, real.score.chords, detail, real.score.seconds)
        return agreement.iou if iou else agreement.overlap

    return metric


def _lanes(name: str) -> Metric:
    return lambda made, real: melody.lane_figures(made.lane, real.lane)[name]


def _take(made: Clip, real: Clip) -> float:
    """The ranking number of a take that is another clip, perfectly heard."""
    score = made.score
    heard = Heard(
        score.seconds, score.bpm, score.beats, score.downbeats, score.key, score.chords, made.lane, {"any": made.hits}
    )
    return take.take_report(take.asked_of_score(real.score), heard).rank


METRICS: dict[str, Metric] = {
    **{f"chord overlap, {detail}": _chords(detail, False) for detail in harmony.DETAILS},
    **{f"chord IoU, {detail}": _chords(detail, True) for detail in harmony.DETAILS},
    "key, weighted": lambda made, real: harmony.key_score(made.score.key, real.score.key),
    "beat F1, 50 ms": lambda made, real: rhythm.event_f1(made.score.beats, real.score.beats),
    "down-beat F1, 50 ms": lambda made, real: rhythm.event_f1(made.score.downbeats, real.score.downbeats),
    "tempo accuracy 1, 4 %": lambda made, real: rhythm.tempo_accuracy1(made.score.bpm, real.score.bpm),
    "tempo accuracy 2, 4 %": lambda made, real: rhythm.tempo_accuracy2(made.score.bpm, real.score.bpm),
    "onset F1, 50 ms": lambda made, real: rhythm.event_f1(made.onsets, real.onsets),
    "drum onset F1, 50 ms": lambda made, real: rhythm.event_f1(made.hits, real.hits),
    "melody argmax": lambda made, real: melody.melody_argmax(made.chroma, real.chroma),
    "melody argmax, sounding": lambda a, b: melody.melody_argmax(a.chroma, b.chroma, a.sounds, b.sounds),
    "melody soft": lambda made, real: melody.melody_soft(made.chroma, real.chroma),
    "melody soft, sounding": lambda a, b: melody.melody_soft(a.chroma, b.chroma, a.sounds, b.sounds),
    "melody pitch accuracy": _lanes("pitch"),
    "melody chroma accuracy": _lanes("chroma"),
    "melody overall accuracy": _lanes("overall"),
    "take rank": _take,
}


def read(corpus: Path, splits: Sequence[str], count: int) -> list[Clip]:
    """The first clips of some splits, those of the first split first."""
    lines = [json.loads(line) for line in (corpus / "metadata.jsonl").read_text().splitlines()]
    chosen = [line for split in splits for line in lines if split_of(line["id"]) == split][:count]
    return [_clip(corpus, line) for line in chosen]


def _clip(corpus: Path, line: dict[str, str]) -> Clip:
    score = from_dict(json.loads((corpus / line["annotation"]).read_text()))
    audio, rate = sound.read(corpus / line["file_name"])
    audio = sound.resample(sound.mix(audio, 1), rate, melody.SAMPLE_RATE)
    settings = {"n_fft": melody.WINDOW, "hop_length": melody.HOP, "tuning": 0.0, "norm": np.inf, "pad_mode": "reflect"}
    chroma = librosa.feature.chroma_stft(y=audio[0].numpy(), sr=melody.SAMPLE_RATE, **settings)
    tune = [note for track in score.tracks if track.role == "melody" for note in track.notes]
    lane = melody.lane(tune, score.seconds, MELODY_RATE)
    sounds = melody.sounding(audio)
    return Clip(score, lane, onsets(score, None), onsets(score, "drums"), torch.from_numpy(chroma)[:, : len(sounds)], sounds)


def onsets(score: Score, role: str | None, merge: float = 0.03) -> tuple[float, ...]:
    """When notes begin, of one role or of all; those within 30 ms are one."""
    merged: list[float] = []
    for time in sorted(note.start for t in score.tracks if role in (None, t.role) for note in t.notes):
        if time < score.seconds and (not merged or time - merged[-1] > merge):
            merged.append(time)
    return tuple(merged)


if __name__ == "__main__":
    main()
