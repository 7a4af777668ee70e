"""An evaluation from sets of clips to a report: features once for each clip, then every metric that can be had."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import soundfile

import counterpoint
from counterpoint.data.row import tally
from counterpoint.data.spans import Span
from counterpoint.embedders.base import Ear
from counterpoint.evaluation.ears import USUAL, open_ears
from counterpoint.evaluation.evidence import Evidence
from counterpoint.evaluation.extraction import Work, extract
from counterpoint.evaluation.families import FAMILIES
from counterpoint.evaluation.features import Cache, Conditions, default_cache
from counterpoint.evaluation.hearing import Chroma, heard_identity
from counterpoint.evaluation.report import Report
from counterpoint.evaluation.sets import ClipSet, Member
from counterpoint.metrics.base import Score
from counterpoint.types import Progress

LABELS = ("exact", "heard")


@dataclass(frozen=True)
class Settings:
    """How to evaluate.  `metrics` are names of FAMILIES, all usual ones that can be had where empty; `ears` as in `ears.py`.

    `seconds` and `loudness` (LUFS) are the Conditions of listening, None leaves clips as they are.  `labels` is one of LABELS.
    Raises ValueError for what makes no sense.
    """

    metrics: tuple[str, ...] = ()
    ears: tuple[str, ...] = USUAL
    seconds: float | None = None
    loudness: float | None = None
    labels: str = "exact"
    seed: int = 0
    workers: int = 1
    cache: Path | None = None

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in FAMILIES:
                raise ValueError(f"There is no metric {name!r}; known are {', '.join(FAMILIES)}.")
        if self.labels not in LABELS:
            raise ValueError(f"There are no labels {self.labels!r}; known are {' and '.join(LABELS)}.")
        if self.seconds is not None and not 0.5 <= self.seconds <= 600:
            raise ValueError(f"Clips cannot be compared over {self.seconds:g} seconds; ask for 0.5 to 600.")
        if self.loudness is not None and not -60 <= self.loudness <= 0:
            raise ValueError(f"Clips cannot be brought to {self.loudness:g} LUFS; ask for -60 to 0, such as -14.")

    @property
    def conditions(self) -> Conditions:
        return Conditions(self.loudness, self.seconds)


def evaluate(
    made: ClipSet,
    real: ClipSet | None = None,
    settings: Settings = Settings(),
    spans: Mapping[str, Span] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Every figure of the made clips.  Raises ValueError for what is asked and cannot be had; clips of no use are left out."""
    asked = settings.metrics or tuple(name for name, family in FAMILIES.items() if family.usual)
    ears = _open(settings.ears) if any(FAMILIES[name].ears for name in asked) else {}
    cache = Cache(settings.cache or default_cache(), settings.conditions)
    evidence = Evidence(made, real, ears, cache, settings.labels, spans, settings.seed)
    chosen, warnings = _choose(settings.metrics, evidence)
    evidence = _listened(evidence, chosen, settings, progress)
    scores, failed = _measured(evidence, chosen)
    if not scores:
        raise ValueError(f"Nothing can be measured: {failed[0]}")
    return Report(
        made=_described(evidence.made),
        reference=None if evidence.real is None else _described(evidence.real),
        protocol=_protocol(evidence, settings, chosen),
        scores=tuple(scores),
        warnings=(*warnings, *failed, *_cautions(evidence)),
    )


def _listened(evidence: Evidence, chosen: Sequence[str], settings: Settings, progress: Progress | None) -> Evidence:
    """The evidence with every feature in the cache, less the clips that turned out to be of no use.  Raises ValueError where
    none is left."""
    features = {feature: None for name in chosen for feature in FAMILIES[name].features}
    if any(FAMILIES[name].ears for name in chosen):
        features |= dict.fromkeys(settings.ears)
    work = Work(tuple(features), settings.conditions, evidence.cache.folder)
    both = [clips for clips in (evidence.made, evidence.real) if clips is not None]
    refused = extract([member for clips in both for member in clips.members], work, settings.workers, progress)
    left = [clips.without(refused) for clips in both]
    for clips in left:
        if not clips.members:
            first = clips.skipped[0]
            raise ValueError(f"No clip of {clips.source} can be evaluated; the first, {first.file}: {first.detail}.")
    return replace(evidence, made=left[0], real=left[1] if evidence.real is not None else None)


def _measured(evidence: Evidence, chosen: Sequence[str]) -> tuple[list[Score], list[str]]:
    """The figures that can be had, and why others cannot."""
    scores: list[Score] = []
    failed = []
    for name in chosen:
        try:
            lacks = FAMILIES[name].lacks(evidence)  # once more: clips may have been left out
            if lacks is not None:
                raise ValueError(f"it needs {lacks}.")
            scores += FAMILIES[name].scores(evidence)
        except ValueError as error:
            failed.append(f"{name} is left out: {error}")
    return scores, failed


def _open(names: Sequence[str]) -> dict[str, Ear]:
    """Ears by their names; the second of a name that stands for two is told apart by its own."""
    ears: dict[str, Ear] = {}
    for name in names:
        for ear in open_ears(name):
            ears[name if name not in ears else ear.name] = ear
    return ears


def _choose(asked: Sequence[str], evidence: Evidence) -> tuple[list[str], list[str]]:
    """The metrics to compute, and why usual ones are left out.  Raises ValueError for one asked for that cannot be."""
    chosen, left = [], []
    for name in asked or [name for name, family in FAMILIES.items() if family.usual]:
        lacks = FAMILIES[name].lacks(evidence)
        if lacks is None:
            chosen.append(name)
        elif asked:
            raise ValueError(f"The metric {name} needs {lacks}.")
        else:
            left.append(f"{name} is left out, as it needs {lacks}.")
    if not chosen:
        raise ValueError(f"Nothing can be measured: {left[0]}")
    return chosen, left


def _described(clips: ClipSet) -> dict[str, object]:
    lengths = [member.seconds for member in clips.members]
    return {
        "name": clips.source.name,
        "clips": len(clips),
        "digest": clips.digest[:12],
        "seconds": {"least": min(lengths), "most": max(lengths)},
        "skipped": [asdict(thing) for thing in clips.skipped],
    }


def _protocol(evidence: Evidence, settings: Settings, chosen: Sequence[str]) -> dict[str, object]:
    """All that the numbers depend on beside the made clips."""
    real = evidence.real
    lengths = sorted({round(member.seconds, 1) for member in [*evidence.made.members, *(real.members if real else ())]})
    return {
        "embedders": {name: {"identity": ear.identity, "sample_rate": ear.sample_rate} for name, ear in evidence.ears.items()},
        "reference": None if real is None else {"digest": real.digest[:12], "clips": len(real)},
        "loudness": "as it is" if settings.conditions.loudness is None else f"{settings.conditions.loudness:g} LUFS",
        "seconds": settings.seconds or [lengths[0], lengths[-1]],
        "labels": _labels(evidence),
        "told": _digest([[m.id, m.captions[:1], m.values.get("annotation") and _content(m)] for m in evidence.real.members])
        if evidence.real
        else None,
        "spans": None if evidence.spans is None else _digest(sorted(evidence.spans.items())),
        "analysers": [heard_identity(), Chroma.identity],
        "made": {"clips": len(evidence.made), "pairs": len(evidence.pairs)},
        "counterpoint": counterpoint.__version__,
        "metrics": list(chosen),
        "seed": settings.seed,
    }


def _labels(evidence: Evidence) -> dict[str, int]:
    """How many made clips are compared with exact scores, and how many with what is heard in the reference."""
    exact = sum(evidence.labels == "exact" and real.score is not None for _, real in evidence.pairs)
    return {"exact": exact, "heard": len(evidence.pairs) - exact}


def _content(member: Member) -> str:
    return hashlib.sha256(Path(member.values["annotation"]).read_bytes()).hexdigest()[:12]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def _cautions(evidence: Evidence) -> list[str]:
    made, real, cautions = evidence.made, evidence.real, []
    for side, clips in (("made", made), ("reference", real)):
        if clips is not None and clips.skipped:
            reasons = tally(thing.reason for thing in clips.skipped)
            cautions.append(f"{len(clips.skipped)} files of the {side} set are left out ({reasons}); the report names each.")
    rates = sorted({soundfile.info(m.path).samplerate for clips in (made, real) if clips for m in clips.members})
    if len(rates) > 1:
        cautions.append(
            f"The clips have the sample rates {', '.join(map(str, rates))}; those of less lack the treble of the others."
        )
    if real is None:
        return cautions
    labels = _labels(evidence)
    if evidence.labels == "exact" and labels["heard"]:
        cautions.append(
            f"{labels['heard']} of {len(evidence.pairs)} reference clips have no exact score: what is heard in them counts."
        )
    if 0 < len(evidence.pairs) < len(made):
        cautions.append(
            f"{len(evidence.pairs)} of {len(made)} made clips have a partner in the reference; the others count only "
            "where no pairs are needed."
        )
    ours, theirs = (sum(member.seconds for member in clips.members) / len(clips) for clips in (made, real))
    if abs(ours / theirs - 1) > 0.05:
        cautions.append(
            f"Made clips last {ours:.1f} s and reference clips {theirs:.1f} s on average; distances between sets grow "
            "with such a difference, so compare at one length (--seconds)."
        )
    if len(made) != len(real):
        cautions.append(
            f"The sets have {len(made)} and {len(real)} clips; distances compare only between systems with as many."
        )
    return cautions
