"""Figures of two sounds side by side: what a codec or a vocoder gave back, and the seams of what was filled in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.analysis.chroma import chroma
from counterpoint.evaluation.evidence import Evidence
from counterpoint.evaluation.features import listen
from counterpoint.evaluation.quality import named
from counterpoint.evaluation.sets import Member
from counterpoint.metrics import intervals, vocoding
from counterpoint.metrics import reconstruction as given_back
from counterpoint.metrics import visqol as opinions
from counterpoint.metrics.base import Better, Score
from counterpoint.metrics.floors import derangement
from counterpoint.metrics.seam import EDGE, audible, kept_exactly, seams

Sounds = tuple[Float[Tensor, "c n"], Float[Tensor, "c n"], int]
Kind = tuple[str, Better]

RECONSTRUCTION: Mapping[str, Kind] = {
    "si_snr": ("dB", "higher"),
    "log_mel_distance": ("log10", "lower"),
    "log_mel_distance_3_windows": ("log10", "lower"),
    "multi_resolution_stft": ("", "lower"),
}
TOKENS: Mapping[str, Kind] = {
    "codes_used": ("share", "higher"),
    "bitrate": ("kbit/s", "lower"),
    "entropy": ("kbit/s", "lower"),
}
TOKEN_DRAWS = 200
HEARD = {"flux": "sd", "loudness": "LU", "loudness_ratio": "", "level_ratio": "", "timbre": "", "chroma": "", "click": ""}
"""Figures of a seam, with their units; a ratio of 1 is as large as the music's own at other places."""
SEAMS: Mapping[str, Kind] = {
    **{f"seam_{name}": (unit, "lower") for name, unit in HEARD.items()},
    "audible_seams": ("of clips", "lower"),
    "kept_exactly": ("dB", "higher"),
}


def reconstruction(evidence: Evidence) -> list[Score]:
    """Waveform and spectrum against the original, sample by sample, as long as the shorter of the two."""

    def figures(made: Member, real: Member) -> dict[str, float]:
        ours, theirs, rate = _both(evidence, made, real)
        values = (
            given_back.si_snr(ours, theirs),
            given_back.log_mel_distance(ours, theirs, rate),
            given_back.log_mel_distance(ours, theirs, rate, given_back.LOG_MEL_SIZES),
            given_back.multi_resolution_stft(ours, theirs),
        )
        return dict(zip(RECONSTRUCTION, values, strict=True))

    return _collected(evidence, figures, RECONSTRUCTION)


def tokens(evidence: Evidence) -> list[Score]:
    """How a codec's codes are used over the reference (the made clips, without one), and what a second of them takes."""
    clips = evidence.real or evidence.made
    scores = []
    for name, ear in evidence.codecs.items():
        stored = [evidence.arrays(member, ear.identity) for member in clips.members]
        if "tokens" not in stored[0]:
            raise ValueError(f"{name} has no tokens; leave this metric out, or name a codec that quantises.")
        streams = [torch.from_numpy(arrays["tokens"]) for arrays in stored]
        bins, rate = int(stored[0]["bins"]), float(stored[0]["rate"])
        figures = _of_stream(torch.cat(streams, dim=1), bins, rate)
        drawn = [
            _of_stream(torch.cat([streams[i] for i in picked], dim=1), bins, rate)
            for picked in intervals.resamples(len(streams), TOKEN_DRAWS, evidence.seed)
        ]
        for figure, value in figures.items():
            low, high = intervals.centred(value, np.array([entry[figure] for entry in drawn]))
            unit, better = TOKENS.get(figure, ("", "higher"))
            scores += named([Score(figure, value, low, high, len(clips), unit, better)], name)
    return scores


def _of_stream(tokens: Int[Tensor, "k t"], bins: int, rate: float) -> dict[str, float]:
    """Perplexity of each codebook, the share of codes in use, and thousands of bits a second, as they are and as an ideal
    coder would write them."""
    spread = given_back.perplexity(tokens, bins)
    return {
        **{f"codebook_{level}_perplexity": float(value) for level, value in enumerate(spread, 1)},
        "codes_used": float(given_back.use(tokens, bins).mean()),
        "bitrate": given_back.bitrate(rate, len(tokens), bins) / 1000,
        "entropy": given_back.entropy_rate(rate, tokens, bins) / 1000,
    }


def visqol(evidence: Evidence) -> list[Score]:
    """ViSQOL's opinion (an extra)."""
    ears = opinions.load()
    score = opinions.visqol_score([opinions.visqol(*_both(evidence, *pair), ears) for pair in evidence.pairs])
    chance = [opinions.visqol(*_both(evidence, *pair), ears) for pair in _strangers(evidence, most=20)]
    return [replace(score, floor=_told(chance, np.mean))]


def vocoded(evidence: Evidence) -> list[Score]:
    """Pitch and voicing against the original, by YIN."""
    made, real = [], []
    for pair in evidence.pairs:
        ours, theirs, rate = _both(evidence, *pair)
        made.append(vocoding.yin(ours, rate))
        real.append(vocoding.yin(theirs, rate))
    return vocoding.vocoding_scores(made, real, evidence.seed)


def seam(evidence: Evidence) -> list[Score]:
    """What is heard where a filled span meets what was kept; a clip's figure is that of its worse seam."""

    spans = evidence.spans or {}
    if not any(spans.get(made.id) or spans.get(made.path.stem) for made, _ in evidence.pairs):
        raise ValueError(f"no span is that of a made clip; name them like the clips, such as {evidence.made.members[0].id}.")

    def figures(made: Member, real: Member) -> dict[str, float]:
        span = spans.get(made.id) or spans.get(made.path.stem)
        if span is None:
            return dict.fromkeys(SEAMS, float("nan"))
        ours, theirs, rate = _both(evidence, made, real)
        last = ours.shape[-1] / rate
        if span[1] > last + 0.01:
            raise ValueError(f"the span of {made.id} ends at {span[1]:g} s, and the clip at {last:.2f} s")
        places = [place for place in span if EDGE <= place <= last - EDGE]
        found = seams(ours, rate, places, chroma, theirs, evidence.seed)
        worst = {f"seam_{name}": _told([vars(entry)[name] for entry in found], np.max) for name in HEARD}
        return {
            **worst,
            "audible_seams": float(bool(audible(found))) if found else float("nan"),
            "kept_exactly": kept_exactly(ours, theirs, rate, [span]),
        }

    return _collected(evidence, figures, SEAMS, chance=False, untouched=True)


def _collected(
    evidence: Evidence,
    figures: Callable[[Member, Member], dict[str, float]],
    kinds: Mapping[str, Kind],
    chance: bool = True,
    untouched: bool = False,
) -> list[Score]:
    """Every figure's mean over the pairs, and over as many that do not belong together: what chance scores.

    A pair whose sounds cannot be compared has no figures; the first few are named.  `untouched`: what the reference scores is
    told, too.
    """
    failed: dict[str, None] = {}

    def told(made: Member, real: Member) -> dict[str, float]:
        try:
            return figures(made, real)
        except ValueError as error:
            failed[f"{made.id}: {str(error).rstrip('.')}"] = None
            return dict.fromkeys(kinds, float("nan"))

    found = [told(*pair) for pair in evidence.pairs]
    strangers = _strangers(evidence) if chance else []
    shuffled = [told(made, real) for made, real in strangers]
    own = [told(real, real) for _, real in evidence.pairs] if untouched else []
    scores = []
    for name, (unit, better) in kinds.items():
        floor = _told([entry[name] for entry in shuffled], np.mean)
        score = intervals.mean(name, [entry[name] for entry in found], unit, better, floor, seed=evidence.seed)
        score = replace(score, ceiling=_told([entry[name] for entry in own], np.mean))
        scores.append(replace(score, notes=(*score.notes, *list(failed)[:3])))
    return scores


def _strangers(evidence: Evidence, most: int | None = None) -> list[tuple[Member, Member]]:
    """As many pairs that do not belong together; none where there is but one."""
    pairs = evidence.pairs[:most]
    if len(pairs) < 2:
        return []
    return [(made, pairs[other][1]) for (made, _), other in zip(pairs, derangement(len(pairs), evidence.seed), strict=True)]


def _told(values: Sequence[float], summary: Callable[[Float[np.ndarray, " i"]], float]) -> float:
    """A summary of the values that are told; NaN where none is."""
    told = np.array([value for value in values if not np.isnan(value)])
    return float(summary(told)) if len(told) else float("nan")


def _both(evidence: Evidence, made: Member, real: Member) -> Sounds:
    """The two sounds at the real one's rate, with as few channels as either, as long as the shorter one."""
    (ours, own_rate), (theirs, rate) = (listen(member, evidence.cache.conditions) for member in (made, real))
    channels = min(len(ours), len(theirs))
    moved = sound.mix(sound.resample(ours, own_rate, rate), channels)
    return *given_back.cut(moved, sound.mix(theirs, channels)), rate
