"""Does the learnt planner write music?  Held-out prompts, planned by it and by the rules, judged as scores, not as sound.

    python benchmarks/score_planner.py --planner score-tiny --prompts 105 --pictures runs/plans.png \
        -o benchmarks/results/score-planner.md

A prompt is a caption of a composition that neither planner has seen (the test split of `data/events/compositions.py`); the
seven kinds of captions take turns.  Both planners get the same prompt, 10 s and the same seed.  `composition` is the piece that
the caption describes.  Every figure is a mean over pieces with its 95 % bootstrap interval; definitions below, by name.
"""

import argparse
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from counterpoint import planning
from counterpoint.data.corpus.harmony import scale
from counterpoint.data.corpus.reading import read
from counterpoint.data.events import line
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.compositions import composition
from counterpoint.data.events.grid import Grid
from counterpoint.data.events.script import bar_of, write
from counterpoint.files import write_text
from counterpoint.metrics import intervals
from counterpoint.music import ROLES, Brief, Chord, Note, Score, Track
from counterpoint.systems.score import Planner
from counterpoint.types import Spec

SECONDS = 10.0
SEED = 600613
"""That of recipes/score-tiny.toml: its test split is never trained on."""


@dataclass(frozen=True)
class Case:
    """A prompt, what it states, the piece that it describes, and what was made of it by whom."""

    prompt: str
    brief: Brief
    composed: Score
    made: dict[str, Score]


def cases(count: int, planner: str) -> Iterator[Case]:
    """The prompts, planned."""
    for number in range(count):
        piece = composition(SEED, "test", number, SECONDS, SECONDS, 0.0)
        prompt = piece.captions[number % len(piece.captions)]
        made = {"rules": planning.make(prompt, SECONDS, number).score}
        made[planner] = planning.make(prompt, SECONDS, number, planner=planner).score
        print(f"{number + 1}/{count} {prompt}", flush=True)
        yield Case(prompt, read(prompt).brief, piece.score, made)


# Figures of a score ---------------------------------------------------------------------------------------------------


def chord_of(score: Score, note: Note) -> Chord | None:
    """The chord that sounds when a note begins, up to 20 ms late."""
    return next((span.chord for span in reversed(score.chords) if span.start <= note.start + 0.02), None)


def share(score: Score, roles: tuple[str, ...], fits: Callable[[Score, Note], bool]) -> float:
    """The share of the roles' notes that fit."""
    notes = [note for track in score.tracks if track.role in roles for note in track.notes]
    return float(np.mean([fits(score, note) for note in notes])) if notes else float("nan")


def in_chord(score: Score, note: Note) -> bool:
    """Whether a note is of the chord that sounds."""
    chord = chord_of(score, note)
    return chord is not None and note.pitch % 12 in {*chord.pitch_classes, *([] if chord.bass is None else [chord.bass])}


def in_scale(score: Score, note: Note) -> bool:
    """Whether a note is of the key, or of the key as the chord bends it."""
    return note.pitch % 12 in scale(chord_of(score, note), score.key) or note.pitch % 12 in score.key.scale


def diatonic(score: Score) -> float:
    """The share of chords whose tones are all of the key."""
    chords = [span.chord for span in score.chords if span.chord is not None]
    return float(np.mean([set(chord.pitch_classes) <= set(score.key.scale) for chord in chords])) if chords else float("nan")


def bass_roots(score: Score) -> float:
    """The share of chords under which the bass sets in, within 50 ms, on their root or bass note."""
    track = score.track("bass")
    spans = [span for span in score.chords if span.chord is not None and span.end - span.start > 0.3]
    if track is None or not spans:
        return float("nan")
    hits = []
    for span in spans:
        lowest = span.chord.root if span.chord.bass is None else span.chord.bass  # pyright: ignore[reportOptionalMemberAccess]
        hits.append(any(abs(n.start - span.start) < 0.05 and n.pitch % 12 == lowest for n in track.notes))
    return float(np.mean(hits))


def recurring(score: Score) -> float:
    """The share of parts (a player's bar) that an earlier bar had already, loudness aside, after the first bar."""
    bars = write(score).bars
    known: list[bool] = []
    for index, bar in enumerate(bars[1:], 1):
        for role, part in bar.parts.items():
            known.append(any(line.silent(part) == line.silent(b.parts.get(role, ())) for b in bars[:index]))
    return float(np.mean(known)) if known else float("nan")


def density(role: str) -> Callable[[Score], float]:
    """Onsets a second of a role that plays; what sets in within 20 ms sets in together, as a strummed chord does."""

    def figure(score: Score) -> float:
        track = score.track(role)
        onsets = sorted(note.start for note in track.notes) if track else []
        return float((np.diff(onsets) > 0.02).sum() + 1) / score.seconds if onsets else float("nan")

    return figure


def silent_bars(score: Score) -> float:
    """The share of bars in which nothing begins."""
    grid = Grid.of(score)
    count = grid.bars(score.seconds)
    busy = {bar for track in score.tracks for bar in bar_of(track.notes, grid, count)[0].tolist()}
    return 1 - len(busy) / count


def leaps(score: Score) -> float:
    """Semitones between neighbours of the melody."""
    track = score.track("melody")
    pitches = [] if track is None else [note.pitch for note in track.notes]
    return float(np.abs(np.diff(pitches)).mean()) if len(pitches) > 1 else float("nan")


def reach(score: Score) -> float:
    """When the last onset comes, as a share of the length."""
    return max((note.start for track in score.tracks for note in track.notes), default=0.0) / score.seconds


FIGURES: dict[str, Callable[[Score], float]] = {
    "melody notes in the scale of chord or key": lambda s: share(s, ("melody",), in_scale),
    "melody notes in the chord": lambda s: share(s, ("melody",), in_chord),
    "comp and pad notes in the chord": lambda s: share(s, ("comp", "pad"), in_chord),
    "bass notes in the chord": lambda s: share(s, ("bass",), in_chord),
    "chords with the bass on their root": bass_roots,
    "chords whose tones are all of the key": diatonic,
    "chords a bar": lambda s: len(s.chords) / max(1, len(s.downbeats)),
    "different chords": lambda s: float(len({span.chord for span in s.chords})),
    "parts that recur": recurring,
    "players": lambda s: float(len(s.tracks)),
    **{f"{role} onsets a second": density(role) for role in ROLES},
    "mean step of the melody, semitones": leaps,
    "bars in which nothing begins": silent_bars,
    "last onset, share of the length": reach,
}


def kept(brief: Brief, score: Score) -> dict[str, bool]:
    """What a prompt states, and whether the score has it."""
    programs = {track.role: track.program for track in score.tracks}
    facts = {
        "style": (brief.style, score.style), "mood": (brief.mood, score.mood), "key": (brief.key, score.key),
        "tempo": (brief.bpm, score.bpm), "metre": (brief.metre, score.metre),
    }  # fmt: skip
    told = {name: wanted == found for name, (wanted, found) in facts.items() if wanted is not None}
    told |= {f"plays {role}": programs.get(role) == program for role, program in brief.instruments.items()}
    told |= {f"no {role}": role not in programs for role in brief.without}
    if brief.chords:
        told["chords"] = {span.chord for span in score.chords} <= set(brief.chords)
    return told


# The model itself -----------------------------------------------------------------------------------------------------


@torch.inference_mode()
def nats(planner: Planner, count: int) -> dict[str, list[float]]:
    """Nats a symbol of held-out lines, told their caption, another piece's, and none."""
    pieces = [composition(SEED, "test", 10_000 + number, 8.0, 12.0, 0.0) for number in range(count)]
    lines = [[v.NOTHING, *line.whole(write(piece.score))][: planner.config.window + 1] for piece in pieces]
    own: list[str | None] = [piece.captions[2] for piece in pieces]
    told: dict[str, list[str | None]] = {"its caption": own, "another's": [*own[1:], own[0]], "none": [None] * count}
    found: dict[str, list[float]] = {name: [] for name in told}
    for index, tokens in enumerate(lines):
        sequence = torch.tensor([tokens])
        for name, texts in told.items():
            cond = planner.words([texts[index]], Spec(rate=1.0, dim=1), 1)
            logits = planner._logits(sequence[:, :-1], cond)[0]
            found[name].append(float(torch.nn.functional.cross_entropy(logits, sequence[0, 1:])))
    return found


def restored(planner: Planner, found: list[Case]) -> dict[str, list[float]]:
    """Pieces of the composer, gone on with from their middle, and with bars 1 and 2 written anew: is what was given the same,
    and do the new bars fit?"""
    figures: dict[str, list[float]] = {}
    for number, case in enumerate(found):
        score, grid = case.composed, Grid.of(case.composed)
        count = grid.bars(SECONDS)
        half = float(grid.seconds(np.array([float(max(1, count // 2) * grid.bar)]))[0])
        jobs = {
            "going on": (planner.go_on(planning.trim(score, half), SECONDS, number), set(range(max(1, count // 2)))),
            "in-painting": (planner.inpaint(score, range(1, min(3, count)), number), {0, *range(min(3, count), count)}),
        }
        for name, (made, given) in jobs.items():
            new = set(range(count)) - given
            same = _notes(made, grid, count, given) == _notes(score, grid, count, given)
            add(figures, f"{name}: given notes unchanged", float(same))
            part, truth = only(made, grid, count, new), only(score, grid, count, new)
            for figure in ("melody notes in the scale of chord or key", "comp and pad notes in the chord"):
                add(figures, f"{name}: {figure}", FIGURES[figure](part))
                add(figures, f"{name}: {figure} (composer)", FIGURES[figure](truth))
            add(figures, f"{name}: onsets, share of the composer's", _count(part) / max(1, _count(truth)))
    return figures


def add(figures: dict[str, list[float]], name: str, value: float) -> None:
    """Append a value to the figure of a name."""
    figures.setdefault(name, []).append(value)


def _count(score: Score) -> int:
    return sum(len(track.notes) for track in score.tracks)


def only(score: Score, grid: Grid, count: int, bars: set[int]) -> Score:
    """The score with the notes that begin in some bars."""
    tracks: list[Track] = []
    for track in score.tracks:
        within, _ = bar_of(track.notes, grid, count)
        notes = tuple(note for note, bar in zip(track.notes, within.tolist(), strict=True) if bar in bars)
        tracks += [replace(track, notes=notes)] if notes else []
    return replace(score, tracks=tuple(tracks))


def _notes(score: Score, grid: Grid, count: int, bars: set[int]) -> dict[str, list[tuple[float, int, int]]]:
    """Onset, pitch and velocity of the notes that begin in some bars, by role."""
    part = only(score, grid, count, bars)
    return {track.role: [(n.start, n.pitch, n.velocity) for n in track.notes] for track in part.tracks}


# The report -----------------------------------------------------------------------------------------------------------


def cell(values: list[float]) -> str:
    """A mean with its interval."""
    score = intervals.mean("", values)
    return f"{score.value:.3f}" if np.isnan(score.low) else f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def table(found: list[Case], names: list[str]) -> list[str]:
    """Every figure of compositions and plans."""
    lines = [f"| figure | composition | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for name, figure in FIGURES.items():
        columns = [[figure(case.composed) for case in found]] + [[figure(case.made[n]) for case in found] for n in names]
        lines.append(f"| {name} | {' | '.join(map(cell, columns))} |")
    for name, wanted in (("facts stated that hold", kept), ("pieces in which all of them hold", None)):
        columns = []
        for planner in names:
            told = [list(kept(case.brief, case.made[planner]).values()) for case in found]
            facts = [float(fact) for facts in told for fact in facts]
            columns.append(cell(facts if wanted else [float(all(facts)) for facts in told]))
        lines.append(f"| {name} | | {' | '.join(columns)} |")
    columns = [cell([float(len(case.made[n].downbeats) == len(_downbeats(case.made[n]))) for case in found]) for n in names]
    lines.append(f"| pieces with as many bars as their length holds | | {' | '.join(columns)} |")
    return lines


def _downbeats(score: Score) -> list[float]:
    bar = score.metre.beats * 60 / score.bpm
    return [i * bar for i in range(10_000) if i * bar < score.seconds - 1e-6]


def picture(found: list[Case], names: list[str], path: Path) -> None:
    """Piano-rolls of the first ten prompts, a column for each planner."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(map(str, ROLES), ("tab:red", "tab:blue", "tab:green", "tab:orange", "black"), strict=True))
    _, axes = plt.subplots(len(found), len(names), figsize=(9 * len(names), 3.6 * len(found)), squeeze=False)
    for row, case in zip(axes, found, strict=True):
        for axis, name in zip(row, names, strict=True):
            score = case.made[name]
            for track in score.tracks:
                for note in track.notes:
                    loud = 0.25 + 0.75 * note.velocity / 127
                    axis.plot([note.start, note.end], [note.pitch] * 2, color=colours[track.role], lw=2.2, alpha=loud)
            for time_ in score.downbeats:
                axis.axvline(time_, color="gray", lw=0.5)
            for span in score.chords:
                axis.text(span.start, 98, "" if span.chord is None else span.chord.name, fontsize=8)
            axis.set(xlim=(0, score.seconds), ylim=(24, 104), title=f"{name}: {case.prompt[:90]}")
            axis.title.set_fontsize(8)
    plt.tight_layout()
    plt.savefig(path, dpi=55)


def main() -> None:
    """Print the tables; write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planner", default="score-tiny", help="shipped name or folder")
    parser.add_argument("--prompts", type=int, default=105)
    parser.add_argument("--lines", type=int, default=60, help="held-out lines for nats a symbol")
    parser.add_argument("--parts", type=int, default=20, help="pieces that are gone on with and in-painted")
    parser.add_argument("--pictures", type=Path, help="piano-rolls of the first ten prompts")
    parser.add_argument("-o", "--out", type=Path, help="the tables as markdown")
    args = parser.parse_args()
    torch.set_num_threads(1)

    planner = planning.load(args.planner)
    begun = time.process_time()
    found = list(cases(args.prompts, args.planner))
    spent = (time.process_time() - begun) / args.prompts
    names = ["rules", args.planner]
    if args.pictures:
        picture(found[:10], names, args.pictures)
    lines = [*table(found, names), ""]
    lines += ["| held-out lines, nats a symbol | |", "|---|---|"]
    lines += [f"| told {name} | {cell(values)} |" for name, values in nats(planner, args.lines).items()]
    lines += ["", f"| {args.parts} compositions, new bars | |", "|---|---|"]
    lines += [f"| {name} | {cell(values)} |" for name, values in restored(planner, found[: args.parts]).items()]
    lines += ["", f"{args.prompts} prompts of {SECONDS:g} s; {spent:.2f} s of processor time for both plans of a prompt."]
    text = "\n".join(lines)
    print(text)
    if args.out:
        command = f"python benchmarks/score_planner.py --planner {args.planner} --prompts {args.prompts}"
        told = f"`{command}`, {datetime.date.today()}; definitions in the script."
        write_text(args.out, f"# The learnt planner beside the rules\n\n{told}\n\n{text}\n")


if __name__ == "__main__":
    main()
