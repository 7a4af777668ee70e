"""What became of given audio: is it all there, do the seams hold, does the music stay what it was, what of it does a variation
keep?  All of it is heard in the audio itself, without a model of ours that made it.
"""

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from counterpoint.analysis.chroma import chroma
from counterpoint.analysis.hearing import hear
from counterpoint.metrics.drift import Likeness, Stretch, curve, likeness
from counterpoint.metrics.seam import EDGE, EXACTLY, Seam, audible, kept_exactly, seams
from counterpoint.source import Source, read_source
from counterpoint.takes import Take

LONGEST_START = 10.0
"""Seconds of given audio that later stretches are held against."""
SHORTEST_WITH_SEAMS = 2.5
"""Seconds below which a clip is too short for `seams`."""
HEARD_AS = {
    "flux": "an onset",
    "loudness_ratio": "a jump of loudness",
    "level_ratio": "a jump of level",
    "timbre": "a change of timbre",
    "chroma": "a change of harmony",
    "click": "a click",
}
"""The figures of seams (`metrics.seam.ONE`), for people."""


@dataclass(frozen=True)
class Review:
    """What is heard of a take of given audio.  `kept` is the SI-SNR of what is given in dB (150: to the bit)."""

    kept: float
    seams: tuple[Seam, ...]
    drift: tuple[Stretch, ...]
    likeness: Likeness | None

    @property
    def sentences(self) -> list[str]:
        """All of it in lines for people."""
        told = [] if math.isnan(self.kept) else [f"what is given: {_bits(self.kept)}"]
        if self.seams:
            places = ", ".join(f"{seam.seconds:g}" for seam in self.seams)
            found = ", ".join(HEARD_AS[name] for name in audible(self.seams)) or "nothing"
            mend = "; inpaint makes a short span around it anew" if found != "nothing" else ""
            told.append(f"seams at {places} s: what stands out: {found}{mend}")
        if self.likeness is not None:
            own = self.likeness
            told.append(
                f"kept of the source: chroma {own.chroma:.2f} (chance {own.chance_chroma:.2f}), "
                f"onsets {own.onsets:.2f} (chance {own.chance_onsets:.2f})"
            )
        return told + [_stretch(stretch) for stretch in self.drift]

    def as_json(self) -> dict[str, Any]:
        """All of it for machines; None is what could not be told."""
        return {
            "kept_db": _finite(self.kept),
            "seams": [_told(seam) for seam in self.seams],
            "audible": list(audible(self.seams)),
            "drift": [{**_told(stretch), "key": stretch.key and stretch.key.name} for stretch in self.drift],
            "likeness": None if self.likeness is None else _told(self.likeness),
        }


def review(take: Take, source: Source) -> Review:
    """A take beside what it was given."""
    rate, spans = take.sample_rate, [(start, end) for start, end in take.record["made"]]
    first = round(take.record.get("before", 0.0) * rate)
    length = take.audio.shape[-1] / rate
    given = source.audio.new_zeros(take.audio.shape)  # which may have more bits than a file of the take
    given[:, first : first + source.audio.shape[-1]] = source.audio
    edges = [edge for span in spans for edge in span if EDGE <= edge <= length - EDGE]
    heard = seams(take.audio.float(), rate, edges, chroma) if edges and length >= SHORTEST_WITH_SEAMS else []
    longer = length > source.seconds + 1e-6
    start = (first / rate, first / rate + min(LONGEST_START, source.seconds))
    return Review(
        kept=kept_exactly(take.audio, given, rate, spans),
        seams=tuple(heard),
        drift=tuple(curve(take.audio, rate, hear, chroma, start)) if longer else (),
        likeness=likeness(take.audio, source.audio, rate, chroma) if "strength" in take.record else None,
    )


def stored(take: Take, path: Path) -> Take:
    """A take as its file has it: formats round, clip and leave out, and some end a little later."""
    length, audio = take.audio.shape[-1], read_source(path).audio[:, : take.audio.shape[-1]]
    return replace(take, audio=torch.nn.functional.pad(audio, (0, length - audio.shape[-1])))


def _bits(decibels: float) -> str:
    return "all of it, to the bit" if decibels == EXACTLY else f"changed, {decibels:.0f} dB above the change"


def _stretch(stretch: Stretch) -> str:
    key = "no key" if stretch.key is None else stretch.key.spelled
    tempo = "no pulse" if math.isnan(stretch.tempo) else f"{stretch.tempo:.1f} bpm"
    harmony = "no harmony" if math.isnan(stretch.harmony) else f"harmony {stretch.harmony:.2f}"
    return (
        f"{stretch.start:g} to {stretch.end:g} s: {key}, {tempo}, {stretch.loudness:.1f} LUFS; "
        f"{harmony}, timbre {stretch.timbre:.1f} dB from the start"
    )


def _told(value: Seam | Stretch | Likeness) -> dict[str, Any]:
    return {name: _finite(told) if isinstance(told, float) else told for name, told in asdict(value).items()}


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
