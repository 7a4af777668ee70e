"""What `analysis.hear` hears in held-out composed clips, scored by mir_eval, beside librosa on the same clips.

    python benchmarks/hearing.py --corpora runs/ear-corpus runs/ear-soundfont --out benchmarks/results/hearing.md

Every figure is a mean over clips with its 95 % bootstrap interval.  Needs the `eval` extra (librosa, mir_eval).
"""

import argparse
import datetime
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import librosa
import mir_eval
import numpy as np
import torch
from numpy.typing import NDArray

import analysers
from counterpoint import annotation, audio
from counterpoint.analysis.heard import HIGHEST, LOWEST, MELODY_RATE, Heard
from counterpoint.analysis.hearing import hear
from counterpoint.data.row import split_of
from counterpoint.files import write_text
from counterpoint.metrics.intervals import mean
from counterpoint.music import Chord, ChordSpan, Score, Track
from listener_data import events, melody_frames

WINDOW = 0.05
"""Seconds by which a beat or an onset may be off."""
FIGURES = {
    "tempo": "tempo within 4 %",
    "tempo2": "tempo within 4 %, or a third, half, twice, three times it (Acc2)",
    "beats": "beats F1, 50 ms",
    "downbeats": "down-beats F1, 50 ms",
    "key": "key, weighted score",
    "chords": "chords, major/minor overlap",
    "roots": "chords, root overlap",
    "melody": "melody, raw pitch accuracy",
    "melody_chroma": "melody, raw chroma accuracy",
    "melody_recall": "melody, voicing recall",
    "melody_alarm": "melody, voicing false alarm (less is better)",
    "any": "drum onsets F1, all classes as one",
    "kick": "kick F1",
    "snare": "snare F1",
    "hat": "hi-hat F1",
}
TARGETS = {"tempo2": 0.97, "key": 0.9, "chords": 0.8, "downbeats": 0.8, "melody": 0.75, "any": 0.8}


WORDS = f"""
`python benchmarks/hearing.py --corpora runs/ear-corpus runs/ear-soundfont --out FILE`, {datetime.date.today()}: held-out
clips of 10 s of both renderers (the test split, which neither the listener's weights nor its decoders' settings have seen).
Means over clips, 95 % bootstrap intervals over clips, judged by mir_eval.

Tempo: within 4 %. Melody: frames of 20 ms; of overlapping notes the one that began last is the tune; a frame heard as rest
is wrong. Drums: where all classes count as one, hits within 30 ms are one onset. The middle column is of the same clips
without their first 1.37 s, since every clip begins with a bar. librosa: `beat_track` (a latency of 20 ms taken off), pYIN
on the mix, profiles and templates of `benchmarks/analysers.py`; it has no down-beats, so every fourth beat is taken, by low
onsets and changes of chroma.

All clips are by one composer, whose habits the listener has learnt and librosa has not: the figures say what is heard in
this corpus and in what is generated after it, not in the world's music.
"""


@dataclass(frozen=True)
class Clip:
    """A sound `c n`, its rate, and the score that it was rendered from."""

    sound: torch.Tensor
    rate: int
    score: Score


def clips(folder: Path, split: str, skip: float) -> list[Clip]:
    """The clips of one split of a corpus, less their first `skip` seconds."""
    found = []
    for line in (folder / "metadata.jsonl").read_text().splitlines():
        row = json.loads(line)
        if split_of(row["id"]) == split:
            sound, rate = audio.read(folder / row["file_name"])
            score = annotation.from_dict(json.loads((folder / row["annotation"]).read_text()))
            start = round(skip * rate)
            found.append(Clip(sound[:, start:], rate, _later(score, start / rate)))
    return found


def _later(score: Score, skip: float) -> Score:
    """The score of what is left after `skip` seconds."""
    if skip == 0:
        return score

    def kept(track: Track) -> Track:
        notes = [replace(n, start=max(0.0, n.start - skip), end=n.end - skip) for n in track.notes if n.end > skip]
        if track.role == "drums":
            notes = [replace(n, start=n.start - skip, end=n.end - skip) for n in track.notes if n.start >= skip]
        return replace(track, notes=tuple(notes))

    return replace(
        score,
        seconds=score.seconds - skip,
        beats=tuple(t - skip for t in score.beats if t >= skip),
        downbeats=tuple(t - skip for t in score.downbeats if t >= skip),
        chords=tuple(ChordSpan(max(0.0, s.start - skip), s.end - skip, s.chord) for s in score.chords if s.end > skip),
        tracks=tuple(kept(track) for track in score.tracks),
    )


def public(clip: Clip) -> Heard:
    """What librosa hears: its beat tracker, pYIN for the tune, and the templates of `analysers` for key and chords."""
    sound = analysers.listen(clip.sound.numpy(), clip.rate)
    tempo, beats = librosa.beat.beat_track(onset_envelope=sound.onset_strength, sr=analysers.RATE, hop_length=256, trim=False)
    times = np.maximum(0, librosa.frames_to_time(beats, sr=analysers.RATE, hop_length=256) - 0.02)  # its latency
    spans, labels = analysers.chords(sound)
    pitch, voiced, _ = librosa.pyin(
        sound.audio, fmin=97, fmax=4000, sr=analysers.RATE, frame_length=2048, hop_length=441, resolution=0.25
    )
    midi = np.where(voiced, np.round(librosa.hz_to_midi(np.nan_to_num(pitch, nan=1.0))), 0)
    return Heard(
        seconds=sound.seconds,
        tempo=float(np.atleast_1d(tempo)[0]),
        beats=tuple(times),
        downbeats=_loudest_phase(sound, times, beats),
        key=analysers.key(sound),
        chords=tuple(ChordSpan(a, b, Chord.parse(name)) for (a, b), name in zip(spans, labels, strict=True)),
        melody=midi.astype(np.int16),
        drums={"any": tuple(analysers.drum_onsets(sound))},
    )


def _loudest_phase(sound: analysers.Sound, times: NDArray, beats: NDArray) -> tuple[float, ...]:
    """Every fourth beat, from the one that low onsets and changes of chroma choose: librosa has no down-beats."""
    if len(beats) < 4:
        return tuple(times[:1])
    low = np.array([sound.onset_bands[0, max(0, beat - 2) : beat + 3].max() for beat in beats])
    semitones = sound.semitones.reshape(7, 12, -1).sum(0)
    edges = np.minimum(librosa.time_to_frames(times, sr=analysers.RATE, hop_length=1024), semitones.shape[1] - 1)
    chroma = np.stack([semitones[:, a : max(a + 1, b)].mean(1) for a, b in pairwise([*edges, semitones.shape[1]])])
    chroma = chroma / np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    change = np.concatenate([[np.nan], 1 - (chroma[1:] * chroma[:-1]).sum(1)])  # the first beat follows nothing
    change[0] = change[1:].mean()
    strength = low / max(low.max(), 1e-9) + 2 * change
    phase = max(range(4), key=lambda first: float(strength[first::4].mean()))
    return tuple(times[phase::4])


def judge(heard: Heard, score: Score) -> dict[str, float]:
    """One number for each of FIGURES; NaN where the score has nothing to hear."""
    found = {"tempo": _tempo(heard.tempo, score.bpm, (1.0,)), "tempo2": _tempo(heard.tempo, score.bpm, (1 / 3, 0.5, 1, 2, 3))}
    found["beats"] = _f1(score.beats, heard.beats)
    found["downbeats"] = _f1(score.downbeats, heard.downbeats)
    found["key"] = analysers.key_score(heard.key, score.key) if heard.key else 0.0
    spans = np.array([[span.start, span.end] for span in heard.chords])
    overlaps = analysers.chord_overlap(score, spans, [_label(span.chord) for span in heard.chords])
    found["chords"], found["roots"] = overlaps["majmin"], overlaps["root"]
    found |= _melody(heard, score)
    planned = events(score)
    for name in ("kick", "snare", "hat"):
        found[name] = _f1(planned[name], heard.drums[name]) if name in heard.drums else math.nan
    found["any"] = _f1(analysers.planned_onsets(score, "drums"), heard.drums["any"])  # hits within 30 ms are one onset
    return found


def _label(chord: Chord | None) -> str:
    return "N" if chord is None else chord.harte


def _tempo(heard: float, told: float, factors: tuple[float, ...]) -> float:
    return float(any(abs(heard / (told * factor) - 1) <= 0.04 for factor in factors))


def _f1(told: object, heard: object) -> float:
    """The best one-to-one matching within WINDOW; NaN where nothing is told, 0 where nothing is heard."""
    reference, estimate = np.array(told, dtype=np.float64), np.array(heard, dtype=np.float64)
    if not len(reference):
        return math.nan
    return float(mir_eval.onset.f_measure(reference, estimate, window=WINDOW)[0]) if len(estimate) else 0.0


def _melody(heard: Heard, score: Score) -> dict[str, float]:
    """mir_eval's melody measures over frames of 20 ms; of overlapping notes the one that began last is the tune."""
    frames = math.ceil(score.seconds * MELODY_RATE)
    told = melody_frames(score, MELODY_RATE, frames).astype(np.float64)
    told[(told < LOWEST) | (told > HIGHEST)] = 0
    estimate = np.zeros(frames)
    size = min(frames, len(heard.melody))
    estimate[:size] = heard.melody[:size]
    if not told.any():
        return {}
    truth, guess = told > 0, estimate > 0
    cents = [100.0 * (row - 12) * (row > 0) for row in (told, estimate)]
    recall, alarm = mir_eval.melody.voicing_measures(truth, guess)
    return {
        "melody": mir_eval.melody.raw_pitch_accuracy(truth, cents[0], guess, cents[1]),
        "melody_chroma": mir_eval.melody.raw_chroma_accuracy(truth, cents[0], guess, cents[1]),
        "melody_recall": recall,
        "melody_alarm": alarm if not truth.all() else math.nan,
    }


def measure(chosen: list[Clip], ear: Callable[[Clip], Heard]) -> tuple[dict[str, list[float]], float]:
    """The figures of every clip, and seconds of one core a clip, whatever else the machine does."""
    ear(chosen[0])  # loads weights, compiles
    rows, begun = [], time.process_time()
    for clip in chosen:
        rows.append((ear(clip), clip.score))
    spent = (time.process_time() - begun) / len(chosen)
    judged = [judge(heard, score) for heard, score in rows]
    return {name: [row.get(name, math.nan) for row in judged] for name in FIGURES}, spent


def table(title: str, columns: dict[str, dict[str, list[float]]], seconds: dict[str, float]) -> list[str]:
    """A corpus as rows of Markdown."""
    lines = [f"## {title}", "", "| | target | " + " | ".join(columns) + " | n |", "|---" * (len(columns) + 3) + "|"]
    for name, words in FIGURES.items():
        scores = [mean(name, column[name]) for column in columns.values()]
        cells = [f"{s.value:.3f} ({s.low:.3f} to {s.high:.3f})" if not math.isnan(s.value) else "" for s in scores]
        lines.append(f"| {words} | {TARGETS.get(name, '')} | " + " | ".join(cells) + f" | {scores[0].n} |")
    lines.append(
        "| seconds of one core for a clip of 10 s | | " + " | ".join(f"{seconds[name]:.2f}" for name in columns) + " | |"
    )
    return [*lines, ""]


def kept(file: Path | None, chosen: Callable[[], list[Clip]], ear: Callable[[Clip], Heard]) -> tuple[dict, float]:
    """What `measure` says, from a file where an earlier run has left it there."""
    if file is not None and file.is_file():
        told = json.loads(file.read_text())
        return told["figures"], told["seconds"]
    figures, seconds = measure(chosen(), ear)
    if file is not None:
        write_text(file, json.dumps({"figures": figures, "seconds": seconds}))
    return figures, seconds


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, nargs="+", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--skip", type=float, default=1.37, help="seconds that clips lose at their start in one more column")
    parser.add_argument("--ears", nargs="+", default=["hear", "late", "librosa"], help="the columns: hear, late, librosa")
    parser.add_argument("--keep", type=Path, help="a folder for figures of single columns, which are not made again")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    ears = {
        "hear": ("hear", 0.0, lambda clip: hear(clip.sound, clip.rate)),
        "late": (f"hear, from {given.skip} s on", given.skip, lambda clip: hear(clip.sound, clip.rate)),
        "librosa": ("librosa", 0.0, public),
    }
    lines = ["# What is heard", WORDS]
    for folder in given.corpora:
        columns, seconds = {}, {}
        for ear in given.ears:
            title, skip, listen = ears[ear]
            file = given.keep and given.keep / f"{folder.name}-{given.split}-{ear}.json"
            columns[title], seconds[title] = kept(file, lambda f=folder, s=skip: clips(f, given.split, s), listen)
        lines += table(f"{folder.name}, {given.split} split", columns, seconds)
        print("\n".join(lines[-len(FIGURES) - 6 :]), flush=True)
    if given.out:
        write_text(given.out, "\n".join(lines))
