"""Whether made clips have the music that was asked for: chords, key, tempo, beats, drums, tune, against scores or reference."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from counterpoint.analysis.heard import Heard
from counterpoint.evaluation.evidence import Evidence
from counterpoint.evaluation.features import Arrays
from counterpoint.evaluation.hearing import Chroma
from counterpoint.metrics import harmony, intervals, rhythm
from counterpoint.metrics import melody as tunes
from counterpoint.metrics.base import Score
from counterpoint.metrics.floors import paired


def chords(evidence: Evidence) -> list[Score]:
    """Overlap and IoU of chords, in their roots and thirds and in full."""
    scores = []
    for detail in ("majmin", "full"):
        scores.append(
            _compared(evidence, f"chord_overlap_{detail}", lambda made, real, d=detail: _agree(made, real, d).overlap)
        )
        scores.append(_compared(evidence, f"chord_iou_{detail}", lambda made, real, d=detail: _agree(made, real, d).iou))
    return scores


def _agree(made: Heard, real: Heard, detail: harmony.Detail) -> harmony.Agreement:
    return harmony.chord_agreement(made.chords, real.chords, detail)


def key(evidence: Evidence) -> list[Score]:
    """How near the keys are."""
    return [_compared(evidence, "key", lambda made, real: harmony.key_score(made.key, real.key))]


def tempo(evidence: Evidence) -> list[Score]:
    """Whether tempi agree, octaves apart or not."""
    return [
        _compared(evidence, "tempo_acc1", lambda made, real: rhythm.tempo_accuracy1(made.tempo, real.tempo)),
        _compared(evidence, "tempo_acc2", lambda made, real: rhythm.tempo_accuracy2(made.tempo, real.tempo)),
    ]


def beats(evidence: Evidence) -> list[Score]:
    """F1 of beats and of down-beats at 50 ms."""
    return [
        _compared(evidence, "beat_f1", lambda made, real: rhythm.event_f1(made.beats, real.beats)),
        _compared(evidence, "downbeat_f1", lambda made, real: rhythm.event_f1(made.downbeats, real.downbeats)),
    ]


def drums(evidence: Evidence) -> list[Score]:
    """F1 of struck onsets at 50 ms, all classes as one, where drums are asked for; and how often they are heard unasked."""

    def asked(made: Heard, real: Heard) -> float:
        return rhythm.event_f1(made.drums["any"], real.drums["any"]) if real.drums["any"] else math.nan

    def unasked(made: Heard, real: Heard) -> float:
        return math.nan if real.drums["any"] else float(bool(made.drums["any"]))

    unwanted = replace(_compared(evidence, "drums_unasked", unasked), better="lower", unit="of clips")
    return [_compared(evidence, "drum_onset_f1", asked), unwanted]


def melody(evidence: Evidence) -> list[Score]:
    """MusicGen's chroma similarity as it is and where there is sound, and the accuracy of the tune's pitches."""
    made, real = zip(*evidence.pairs, strict=True)
    ours, theirs = ([_tensors(evidence.arrays(member, Chroma.identity)) for member in side] for side in (made, real))
    figures = {
        "melody_argmax": lambda a, b: tunes.melody_argmax(a["chroma"], b["chroma"]),
        "melody_argmax_sounding": lambda a, b: tunes.melody_argmax(a["chroma"], b["chroma"], a["sounds"], b["sounds"]),
        "melody_soft": lambda a, b: tunes.melody_soft(a["chroma"], b["chroma"]),
    }
    scores = [paired(name, metric, ours, theirs, seed=evidence.seed) for name, metric in figures.items()]
    for kind in ("pitch", "chroma"):
        name = f"melody_{kind}_accuracy"
        scores.append(_compared(evidence, name, lambda a, b, kind=kind: tunes.lane_figures(a.melody, b.melody)[kind]))
    return scores


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _compared(evidence: Evidence, name: str, metric: Callable[[Heard, Heard], float]) -> Score:
    """A figure of what is heard in made clips against what their partners should sound like.

    Where that is an exact score, the ceiling is how the reference's own sound does: no made clip can be expected to do better.
    """
    made = [evidence.heard(ours) for ours, _ in evidence.pairs]
    wanted = [evidence.target(theirs) for _, theirs in evidence.pairs]
    score = paired(name, metric, made, wanted, seed=evidence.seed)
    exact = [theirs for _, theirs in evidence.pairs if evidence.labels == "exact" and theirs.score is not None]
    own = [metric(evidence.heard(theirs), evidence.target(theirs)) for theirs in exact]
    return replace(score, ceiling=intervals.mean(name, own, draws=1).value)
