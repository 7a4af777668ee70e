"""How much of a piece survives being heard and written back as a plan, and which sketch a model follows best.

    python benchmarks/sketch.py --corpora runs/ear-corpus runs/ear-soundfont --keep runs/sketch -o benchmarks/results/sketch.md

First, held-out clips against `counterpoint analyse --midi` of their sound (through the file).  Then the sketches of the first
of them as plans: each clip's caption is played by a model after three kinds of sketch and after the true score, and what is
heard in the take is compared with the true score.  Every figure is a mean over clips with its 95 % bootstrap interval, and
what pairs that do not belong together score.  `--keep` is a folder for what was heard, which is not made again.
"""

import argparse
import datetime
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import mir_eval
import numpy as np
import torch

from counterpoint import annotation, audio, generation, midi
from counterpoint.analysis.heard import HIGHEST, LOWEST, Heard
from counterpoint.analysis.hearing import hear
from counterpoint.data.row import split_of
from counterpoint.evaluation.hearing import from_arrays, of_score, to_arrays
from counterpoint.files import renamed, write_text
from counterpoint.metrics import harmony, rhythm
from counterpoint.metrics import melody as tunes
from counterpoint.metrics.base import Score as Figure
from counterpoint.metrics.floors import paired
from counterpoint.music import DRUM_CLASSES, Note, Score
from counterpoint.sketch import sketch

WORDS = """
Means over clips, 95 % bootstrap intervals over clips; chance: the same of pairs that do not belong together (first column).

The first table: held-out clips of 10 s of both renderers, heard, sketched, written as MIDI, read back, and compared with the
scores that they were rendered from.  Melody: notes as mir_eval.transcription matches them; a pitch that is struck again at once
is heard as one note, and no end is heard exactly.  Drums: where all classes count as one, hits within 30 ms are one.  Hits of
no such class (rides, shakers, toms) are sketched as shakers where nothing else is struck; what falls together with a kick, a
snare or a hi-hat is lost.

All clips are by one composer, whose habits the listener has learnt: the figures say what is heard of this corpus, not of the
world's music.
"""
PLAYED = """
The sketches as plans: captions of the first held-out clips of both corpora, played after four plans and heard again, against
the true scores.  The bass and the pad (or comp) of a sketch are made up from the chords; the true score, with its own players,
instruments and style, is what a plan can be followed to at best.  No style and no instruments are heard.
"""
Metric = Callable[[Score, Score], float]
PLANS = ("tune and drums", "with bass and comp", "with bass and pad", "the true score")


@dataclass(frozen=True)
class Clip:
    """A held-out clip: its name, caption, true score, and what is heard in it."""

    name: str
    caption: str
    score: Score
    heard: Heard


def kept(path: Path, make: Callable[[], Heard]) -> Heard:
    """What is heard, from a file where it was left by an earlier run."""
    if not path.is_file():
        with renamed(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **to_arrays(make()))
    with np.load(path) as arrays:
        return from_arrays(dict(arrays))


def clips(folder: Path, count: int, keep: Path) -> list[Clip]:
    """The first `count` test clips of a corpus."""
    rows = (json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines())
    found = []
    for row in [row for row in rows if split_of(row["id"]) == "test"][:count]:
        score = annotation.from_dict(json.loads((folder / row["annotation"]).read_text(encoding="utf-8")))
        name = f"{folder.name}-{row['id']}"
        found.append(
            Clip(name, row["text"], score, kept(keep / f"{name}.npz", lambda r=row: hear(*audio.read(folder / r["file_name"]))))
        )
    return found


# The round trip -------------------------------------------------------------------------------------------------------


def through_a_file(score: Score) -> Score:
    """The score as its MIDI file tells it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sketch.mid"
        midi.write(score, path)
        return midi.read(path)


def tune(score: Score) -> list[Note]:
    """The notes of the tune that are in the range of the ear."""
    track = score.track("melody")
    return [note for note in track.notes if note.start < score.seconds and LOWEST <= note.pitch <= HIGHEST] if track else []


def note_f1(made: Score, real: Score, onset: float = 0.05, offset: float | None = None) -> float:
    """mir_eval's note F1: onset within so many seconds and pitch; with `offset`, ends within that share of the note too."""
    ours, theirs = tune(made), tune(real)
    if not theirs:
        return math.nan
    if not ours:
        return 0.0
    spans = [np.array([[note.start, max(note.end, note.start + 0.01)] for note in line]) for line in (theirs, ours)]
    pitches = [mir_eval.util.midi_to_hz(np.array([float(note.pitch) for note in line])) for line in (theirs, ours)]
    return mir_eval.transcription.precision_recall_f1_overlap(
        spans[0], pitches[0], spans[1], pitches[1], onset_tolerance=onset, offset_ratio=offset
    )[2]


def hit_f1(made: Score, real: Score, kind: str) -> float:
    """F1 of the onsets of one class; NaN where the true score has none."""
    theirs = of_score(real).drums[kind]
    return rhythm.event_f1(of_score(made).drums[kind], theirs) if theirs else math.nan


def lone_f1(made: Score, real: Score) -> float:
    """F1 of the hits of no class that the ear tells."""
    classes = {key for name in ("kick", "snare", "hat") for key in DRUM_CLASSES[name]}

    def times(score: Score) -> list[float]:
        track = score.track("drums")
        return [note.start for note in track.notes if note.pitch not in classes] if track else []

    return rhythm.event_f1(times(made), times(real)) if times(real) else math.nan


ROUND_TRIP: dict[str, Metric] = {
    "tempo within 4 %": lambda made, real: rhythm.tempo_accuracy1(made.bpm, real.bpm),
    "metre": lambda made, real: float(made.metre == real.metre),
    "beats F1, 50 ms": lambda made, real: rhythm.event_f1(made.beats, real.beats),
    "down-beats F1, 50 ms": lambda made, real: rhythm.event_f1(made.downbeats, real.downbeats),
    "key, weighted score": lambda made, real: harmony.key_score(made.key, real.key),
    "chords, major/minor overlap": lambda made, real: harmony.chord_agreement(made.chords, real.chords, "majmin").overlap,
    "chords, all of them equal": lambda made, real: harmony.chord_agreement(made.chords, real.chords, "full").overlap,
    "melody notes F1, onset 50 ms and pitch": note_f1,
    "melody notes F1, onset 25 ms and pitch": lambda made, real: note_f1(made, real, 0.025),
    "melody notes F1, onset 50 ms, pitch and end": lambda made, real: note_f1(made, real, offset=0.2),
    "drum hits F1, all classes as one": lambda made, real: hit_f1(made, real, "any"),
    "kick F1": lambda made, real: hit_f1(made, real, "kick"),
    "snare F1": lambda made, real: hit_f1(made, real, "snare"),
    "hi-hat F1": lambda made, real: hit_f1(made, real, "hat"),
    "hits of no such class F1": lone_f1,
}


def compare(figures: dict[str, Callable], made: Sequence, real: Sequence) -> list[Figure]:
    """Each figure with its interval and its floor."""
    return [paired(name, metric, made, real) for name, metric in figures.items()]


# Sketches as plans ----------------------------------------------------------------------------------------------------


def plans(clip: Clip) -> dict[str, Score]:
    """The scores that a model is given for a clip, by the names of PLANS."""
    whole = sketch(clip.heard)
    comp = tuple(replace(track, role="comp", program=0, gain=0.52) if track.role == "pad" else track for track in whole.tracks)
    bare = replace(whole, tracks=tuple(track for track in whole.tracks if track.role in ("melody", "drums")))
    return dict(zip(PLANS, (bare, replace(whole, tracks=comp), whole, clip.score), strict=True))


def played(model: generation.Model, clip: Clip, plan: Score, seed: int) -> Heard:
    """What is heard in the model's take of a plan, given as a MIDI file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sketch.mid"
        midi.write(plan, path)
        take = model.generate(clip.caption, seed=seed, plan=path)
    return hear(take.audio, take.sample_rate)


ADHERENCE: dict[str, Callable[[Heard, Heard], float]] = {
    "chords, major/minor overlap": lambda made, real: harmony.chord_agreement(made.chords, real.chords, "majmin").overlap,
    "chords, major/minor IoU": lambda made, real: harmony.chord_agreement(made.chords, real.chords, "majmin").iou,
    "key, weighted score": lambda made, real: harmony.key_score(made.key, real.key),
    "down-beats F1, 50 ms": lambda made, real: rhythm.event_f1(made.downbeats, real.downbeats),
    "melody, raw pitch accuracy": lambda made, real: tunes.lane_figures(made.melody, real.melody)["pitch"],
    "melody, raw chroma accuracy": lambda made, real: tunes.lane_figures(made.melody, real.melody)["chroma"],
    "drum hits F1, all classes as one": lambda made, real: _asked(made, real, "any"),
    "kick F1": lambda made, real: _asked(made, real, "kick"),
    "snare F1": lambda made, real: _asked(made, real, "snare"),
    "hi-hat F1": lambda made, real: _asked(made, real, "hat"),
}


def _asked(made: Heard, real: Heard, kind: str) -> float:
    return rhythm.event_f1(made.drums[kind], real.drums[kind]) if real.drums[kind] else math.nan


def follow(model_name: str, chosen: list[Clip], keep: Path) -> dict[str, list[Figure]]:
    """How well takes of each kind of plan have the true music."""
    model = generation.load(model_name)
    made: dict[str, list[Heard]] = {name: [] for name in PLANS}
    for seed, clip in enumerate(chosen):
        for name, plan in plans(clip).items():
            path = keep / f"{model_name}-{clip.name}-{name.replace(' ', '-')}.npz"
            made[name].append(kept(path, lambda c=clip, p=plan, s=seed: played(model, c, p, s)))
        print(f"{seed + 1} of {len(chosen)} clips", flush=True)
    return {name: compare(ADHERENCE, takes, [of_score(clip.score) for clip in chosen]) for name, takes in made.items()}


# The page -------------------------------------------------------------------------------------------------------------


def table(columns: dict[str, list[Figure]]) -> list[str]:
    """Figures as rows, columns side by side; the floor is the first column's."""
    lines = ["| | " + " | ".join(columns) + " | chance | n |", "|---" * (len(columns) + 3) + "|"]
    for row in zip(*columns.values(), strict=True):
        cells = [f"{f.value:.3f} ({f.low:.3f} to {f.high:.3f})" if f.n else "" for f in row]
        lines.append(f"| {row[0].name} | " + " | ".join(cells) + f" | {row[0].floor:.3f} | {' / '.join(_counts(row))} |")
    return [*lines, ""]


def _counts(row: Sequence[Figure]) -> list[str]:
    counts = [str(figure.n) for figure in row]
    return counts[:1] if len(set(counts)) == 1 else counts


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, nargs="+", required=True)
    parser.add_argument("--clips", type=int, default=50, help="clips of each corpus that are sketched")
    parser.add_argument("--plans", type=int, default=15, help="clips of each corpus whose sketches are played; 0 for none")
    parser.add_argument("--model", default="jasco-tiny")
    parser.add_argument("--keep", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path)
    given = parser.parse_args()
    names = " ".join(f"runs/{folder.name}" for folder in given.corpora)
    command = f"python benchmarks/sketch.py --corpora {names} --clips {given.clips} --plans {given.plans} --model {given.model}"
    sets = {folder.name: clips(folder, given.clips, given.keep) for folder in given.corpora}
    columns = {
        f"{name}, test split": compare(
            ROUND_TRIP, [through_a_file(sketch(clip.heard)) for clip in chosen], [clip.score for clip in chosen]
        )
        for name, chosen in sets.items()
    }
    lines = ["# Sketches", "", f"`{command} --keep FOLDER -o FILE`, {datetime.date.today()}.", WORDS, *table(columns)]
    print("\n".join(lines), flush=True)
    if given.plans:
        chosen = [clip for group in sets.values() for clip in group[: given.plans]]
        lines += [f"## Played by {given.model}", PLAYED, *table(follow(given.model, chosen, given.keep))]
        print("\n".join(lines), flush=True)
    if given.out:
        write_text(given.out, "\n".join(lines))
