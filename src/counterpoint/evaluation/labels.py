"""What ears that read and tag say: whether music fits its words, and whether its labels are those of the reference."""

from dataclasses import replace

import numpy as np

from counterpoint.evaluation.evidence import Evidence
from counterpoint.evaluation.quality import named
from counterpoint.metrics import alignment, divergence, intervals
from counterpoint.metrics.base import Score


def text(evidence: Evidence) -> list[Score]:
    """The cosine of each clip and its caption, that of the reference's own sound, and how often a clip finds its caption."""
    partners = {made.place: real for made, real in evidence.pairs}
    told = evidence.captions
    scores: list[Score] = []
    for name, ear in evidence.readers.items():
        words = ear.embed_texts([caption for _, caption in told])
        sounds = np.stack(evidence.column([member for member, _ in told], ear.identity, "clip"))
        real = [partners[member.place] for member, _ in told if member.place in partners]
        ceiling = np.stack(evidence.column(real, ear.identity, "clip")) if len(real) == len(told) else None
        match, *reference = alignment.text_match(words, sounds, ceiling, seed=evidence.seed)
        scores += named([replace(match, ceiling=reference[0].value) if reference else match], name)
        if len(told) > 1:
            scores += named(alignment.retrieval(words, sounds, seed=evidence.seed), name)
    return scores


def kl(evidence: Evidence) -> list[Score]:
    """How far the labels of a made clip are from its partner's, in both directions."""
    scores: list[Score] = []
    for name, ear in evidence.taggers.items():
        made, real = (evidence.column(list(side), ear.identity, "tags") for side in zip(*evidence.pairs, strict=True))
        scores += named(divergence.kl(made, real, seed=evidence.seed), name)
    return scores


def inception(evidence: Evidence) -> list[Score]:
    """How sure labels are of each clip, and how many there are in all."""
    scores: list[Score] = []
    for name, ear in evidence.taggers.items():
        tags = evidence.column(evidence.made.members, ear.identity, "tags")
        splits = min(divergence.SPLITS, len(tags))
        scores += named(divergence.inception_score(tags, splits, seed=evidence.seed), name)
    return scores


def aesthetics(evidence: Evidence) -> list[Score]:
    """What ears that judge make of the clips: the mean on each axis."""
    scores: list[Score] = []
    for name, ear in evidence.raters.items():
        ratings = [evidence.column(clips.members, ear.identity, "ratings") for clips in (evidence.made, evidence.real) if clips]
        for i, axis in enumerate(ear.axes):
            score = intervals.mean(axis, [row[i] for row in ratings[0]], "1-10", "higher", seed=evidence.seed)
            real = float(np.mean([row[i] for row in ratings[1]])) if evidence.real else float("nan")
            scores += named([replace(score, ceiling=real)], name)
    return scores
