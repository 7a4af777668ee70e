"""What is heard of filled gaps, and the tables of `inpainting.py`.

In the made span, against the recording: `log-mel`, the mean difference in dB (`metrics.bands`); `chroma`, the mean cosine.
Against the true score, of what is heard in the span (analysis): chords (share of time, majmin), beats and drum onsets (F1).
`text` is the cosine of ear-tiny between the clip and its caption, `Frechet` the distance of log-mel features of the spans
(embedders.logmel) from those of the recordings.  At the two seams, against the recording's own jumps (metrics.seam): the share
of clips in which something is audible, flux in deviations, and ratios of loudness, timbre and chroma (1: as music jumps).
`seam` and `match` are those of metrics.fit, without a reference, by which tries are chosen: so tries are judged by what chose
them there, and by what did not in all other columns.  Intervals are 95 %, bootstrap over spans; of a span with two seeds the
mean counts.  Differences to supervised filling are paired.
"""

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.analysis import hearing
from counterpoint.analysis.chroma import chroma
from counterpoint.annotation import from_dict
from counterpoint.codecs.base import Codec
from counterpoint.embedders.logmel import LogMel
from counterpoint.evaluation.ear import EarEmbedder
from counterpoint.files import write_text
from counterpoint.metrics.bands import log_mel
from counterpoint.metrics.fit import fit
from counterpoint.metrics.frechet import frechet
from counterpoint.metrics.harmony import chord_agreement
from counterpoint.metrics.rhythm import event_f1
from counterpoint.metrics.seam import audible, seams
from counterpoint.music import Score
from intervals import interval, table

Figures = dict[str, Any]
Interval = dict[str, float]
FIRST = {
    "log_mel": "log-mel, dB",
    "chroma": "chroma",
    "chords": "chords",
    "beats": "beats F1",
    "onsets": "onsets F1",
    "text": "text",
}
SECOND = {
    "audible": "audible",
    "flux": "flux",
    "loudness": "loudness",
    "timbre": "timbre",
    "harmony": "chroma jump",
    "seam": "seam",
    "match": "match",
}
BETTER_LOW = ("log_mel", "audible", "flux", "loudness", "timbre", "harmony")
COMPARED = ("seam", "match", "log_mel", "chroma", "audible")
BASE = "supervised"


class Listener:
    """Hears what was made beside the recordings."""

    def __init__(self, corpus: Path, codec: Codec):
        self.corpus, self.codec = corpus, codec
        self.ear, self.mel = EarEmbedder(), LogMel()

    @torch.inference_mode()
    def figures(self, frames: Tensor, row: Mapping[str, Any], caption: str, span: tuple[float, float]) -> Figures:
        """All of one clip; `frames` are "t d"."""
        rate = self.codec.sample_rate
        real, own = sound.read(self.corpus / row["file"])
        real = sound.resample(sound.mix(real, 1), own, rate)
        made = self.codec.decode(frames[None])[0].float()
        length = min(made.shape[-1], real.shape[-1])
        made, real = made[:, :length], real[:, :length]
        first, last = (round(edge * rate) for edge in span)
        ours, theirs = made[:, first:last], real[:, first:last]
        heard = seams(made, rate, span, chroma, real)
        suits = fit(made, rate, [span], chroma)
        one, other = chroma(ours, rate), chroma(theirs, rate)
        vectors = self.ear.embed_clip(made[0]), self.ear.embed_texts([caption])[0]
        return {
            "id": row["id"],
            "log_mel": float(np.abs(log_mel(ours, rate) - log_mel(theirs, rate)).mean()),
            "chroma": float(torch.cosine_similarity(one, other, dim=0).mean()),
            **self._music(made, self._score(row), span),
            "text": float(np.dot(*vectors)),
            "audible": float(bool(audible(heard))),
            **{
                name: _mean([vars(seam)[field] for seam in heard])
                for name, field in (
                    ("flux", "flux"),
                    ("loudness", "loudness_ratio"),
                    ("timbre", "timbre"),
                    ("harmony", "chroma"),
                )
            },
            "seam": suits.seam,
            "match": suits.match,
            "features": {"made": self.mel.embed(ours[0]).tolist(), "real": self.mel.embed(theirs[0]).tolist()},
        }

    def _score(self, row: Mapping[str, Any]) -> Score:
        path = (self.corpus / row["file"]).with_suffix(".json")
        return from_dict(json.loads(path.read_text(encoding="utf-8")))

    def _music(self, made: Tensor, score: Score, span: tuple[float, float]) -> dict[str, float]:
        """What is heard in the span beside what is written there."""
        heard = hearing.hear(made, self.codec.sample_rate)
        until = [chord_agreement(heard.chords, score.chords, "majmin", edge) for edge in span]
        compared = until[1].compared - until[0].compared
        drums = {note.start for track in score.tracks if track.role == "drums" for note in track.notes}

        def within(times: Sequence[float] | set[float]) -> list[float]:
            return sorted(at for at in times if span[0] <= at < span[1])

        return {
            "chords": (until[1].equal - until[0].equal) / compared if compared > 1e-9 else math.nan,
            "beats": event_f1(within(heard.beats), within(score.beats)),
            "onsets": event_f1(within(heard.drums.get("any", ())), within(drums)) if drums else math.nan,
        }


def _mean(values: Sequence[float]) -> float:
    told = [value for value in values if not math.isnan(value)]
    return float(np.mean(told)) if told else math.nan


class Made:
    """All that is known of one way: figures by clip, those of its first seed first, and what they cost."""

    def __init__(self, folder: Path):
        self.name = folder.name
        self.clips: dict[int, list[Figures]] = {}
        self.evaluations, self.seconds, self.kept = math.nan, math.nan, []
        costs = []
        for path in sorted(folder.glob("*.figures.json")):
            note = json.loads(path.with_name(path.name.replace(".figures", "")).read_text(encoding="utf-8"))
            for number, figures in zip(note["numbers"], json.loads(path.read_text(encoding="utf-8")), strict=True):
                self.clips.setdefault(number, []).append(figures)
            if note["evaluations"] is not None:
                self.evaluations, costs = note["evaluations"], [*costs, note["cpu_seconds"]]
            self.kept += [one["tried"][one["kept"]].get("strategy", "") for one in note["choices"] or ()]
        self.seconds = float(np.mean(costs)) if costs else math.nan

    def each(self, figure: str) -> dict[int, float]:
        """A figure of every clip, the mean over its seeds."""
        return {number: _mean([_number(one[figure]) for one in seeds]) for number, seeds in self.clips.items()}

    def spread(self, figure: str) -> list[float]:
        """The standard deviation between seeds of every clip that has several."""
        many = ([_number(one[figure]) for one in seeds] for seeds in self.clips.values() if len(seeds) > 1)
        return [float(np.std(values, ddof=1)) for values in many]

    def frechet(self) -> Interval:
        """Of the spans of all clips' first seed."""
        sets = [[np.array(seeds[0]["features"][which]) for seeds in self.clips.values()] for which in ("made", "real")]
        score = frechet(*sets)
        return {"mean": score.value, "low": score.low, "high": score.high, "n": score.n}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def write(folder: Path, markdown: Path | None, description: str) -> None:
    """Print the tables of all that is judged, and write them as a page."""
    parts: list[str] = []
    for told in sorted(path for path in folder.iterdir() if path.is_dir()):
        found = [made for path in sorted(told.iterdir()) if path.is_dir() and (made := Made(path)).clips]
        parts += [f"## Told {'caption and score' if told.name == 'plan' else 'the caption'}", "", *_tables(found)]
    text = "\n".join(parts)
    print(text)
    if markdown is not None:
        head = description.split("\n\n", 1)[0]
        commands = description.split("\n\n", 2)[1]
        notes = (__doc__ or "").split("\n\n", 1)[1]
        page = f"# In-painting\n\n{head}\n\n{commands}\n\n{datetime.date.today()}. {notes}\n{text}"
        write_text(markdown, page if page.endswith("\n") else page + "\n")


def _tables(found: Sequence[Made]) -> list[str]:
    cost = {made.name: _cost(made) for made in found}
    match = {
        made.name: {"Frechet": made.frechet(), **{title: _interval(made, name) for name, title in FIRST.items()}}
        for made in found
    }
    seam = {
        made.name: {
            **{title: _interval(made, name) for name, title in SECOND.items()},
            **{f"spread of {name}": interval(made.spread(name)) for name in ("log_mel", "seam", "match")},
        }
        for made in found
    }
    lines = ["| way | spans | evaluations | seconds of one core | kept |", "|---|---|---|---|---|", *cost.values(), ""]
    lines += [table(match, "overall and in the span"), "", table(seam, "seams and spread"), ""]
    return [*lines, *_differences(found)]


def _cost(made: Made) -> str:
    kept = ", ".join(f"{name} {made.kept.count(name)}" for name in sorted(set(made.kept)) if name)
    spent = ["" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in ((made.evaluations, 0), (made.seconds, 2))]
    return f"| {made.name} | {len(made.clips)} | {spent[0]} | {spent[1]} | {kept} |"


def _interval(made: Made, figure: str) -> Interval:
    return interval(list(made.each(figure).values()))


def _differences(found: Sequence[Made]) -> list[str]:
    """Every way less the supervised filling of the same spans."""
    base = next((made for made in found if made.name.endswith(f", {BASE}")), None)
    if base is None:
        return []
    rows = {}
    for made in found:
        if made is not base:
            pairs = {name: (made.each(name), base.each(name)) for name in COMPARED}
            rows[made.name] = {
                f"{name} ({'less' if name in BETTER_LOW else 'more'} is better)": interval(
                    [ours[number] - theirs[number] for number in ours if number in theirs]
                )
                for name, (ours, theirs) in pairs.items()
            }
    return [table(rows, f"less {base.name}"), ""]
