"""What a tagger hears: Kullback-Leibler divergence of made clips from their references, and the inception score.

Both take rows of probabilities "t v" a clip (windows by labels, softmax), that each sum to 1; sigmoid outputs are no
distribution and refused.  Tools differ in direction and in how windows become pairs, and so by several per cent; here each has
a name.  `kl_ref_gen` = sum p_ref (ln p_ref - ln(p_gen + 1e-6)) is AudioCraft's direction, `kl_gen_ref` the other one.
`rule="segments"` takes each window as its own pair (AudioCraft: consecutive windows without padding), `rule="clip"` first makes
one distribution a clip, the normalised geometric mean, which is the softmax of mean logits (stable-audio-metrics).  Figures are
means over clips.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy import ndarray

from counterpoint.metrics import intervals
from counterpoint.metrics.base import Score
from counterpoint.metrics.intervals import FEW

Probabilities = Sequence[Float[ndarray, "_ _"]]
"""One array "t v" a clip: a distribution over labels for each window."""
Rule = Literal["segments", "clip"]

EPSILON = 1e-6
"""Added inside the logarithm of the second distribution only."""
SPLITS = 10


def checked(clips: Probabilities, which: str) -> list[Float64[ndarray, "_ v"]]:
    """Distributions in float64.  Raises ValueError for no clips, no windows, other labels, or rows that are none."""
    if len(clips) == 0:
        raise ValueError(f"There are no clips in the {which} set; give at least one.")
    made = [np.asarray(clip, dtype=np.float64) for clip in clips]
    for i, clip in enumerate(made):
        if not clip.size:
            raise ValueError(f"Clip {i} of the {which} set has no windows; leave it out.")
        if clip.shape[1] != made[0].shape[1]:
            raise ValueError(f"Clip {i} of the {which} set has {clip.shape[1]} labels and clip 0 has {made[0].shape[1]}.")
        if not np.isfinite(clip).all():
            raise ValueError(f"Clip {i} of the {which} set has probabilities that are not finite; leave it out.")
        if clip.min() < 0 or abs(clip.sum(1) - 1).max() > 1e-3:
            raise ValueError(
                f"Rows of clip {i} of the {which} set do not sum to 1; give softmax outputs, not sigmoids or logits."
            )
    return made


def kl_divergence(first: Float64[ndarray, "... v"], second: Float64[ndarray, "... v"]) -> Float64[ndarray, "..."]:
    """KL(first || second) in nats along the last axis; 1e-6 inside the second logarithm, so that equals give almost 0."""
    return _negative_entropy(first) - (first * np.log(second + EPSILON)).sum(-1)


def kl(
    made: Probabilities, reference: Probabilities, rule: Rule = "segments", draws: int = intervals.DRAWS, seed: int = 0
) -> tuple[Score, Score]:
    """`kl_ref_gen` and `kl_gen_ref` of made clips and the references of the same prompts, in the same order; lower is better.

    The floor is the mean over all pairs of a clip with the reference of another, which is that of shuffled pairs: what any such
    music would score.
    Raises ValueError where clips have no partner, or other numbers of windows or labels than theirs.
    """
    ours, theirs = checked(made, "made"), checked(reference, "reference")
    _check_pairs(ours, theirs, rule)
    if rule == "clip":
        ours, theirs = [_whole(clip)[None] for clip in ours], [_whole(clip)[None] for clip in theirs]
    notes = (f"{'Each window is a pair' if rule == 'segments' else 'One distribution a clip'}, {ours[0].shape[1]} labels.",)
    if len(ours) < FEW:
        notes += (f"{len(ours)} pairs: the interval is a guess below {FEW}.",)
    figures = []
    for name, first, second in (("kl_ref_gen", theirs, ours), ("kl_gen_ref", ours, theirs)):
        values = [float(kl_divergence(a, b).mean()) for a, b in zip(first, second, strict=True)]
        score = intervals.mean(name, values, "nat", "lower", _of_others(first, second), draws, seed)
        figures.append(replace(score, notes=(*notes, *score.notes)))
    return figures[0], figures[1]


def _check_pairs(ours: list[ndarray], theirs: list[ndarray], rule: Rule) -> None:
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} made clips and {len(theirs)} references are no pairs; give one reference for each clip.")
    if ours[0].shape[1] != theirs[0].shape[1]:
        raise ValueError(f"{ours[0].shape[1]} labels cannot be compared with {theirs[0].shape[1]}; use one tagger for both.")
    for i, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if rule == "segments" and len(one) != len(other):
            raise ValueError(
                f"Clip {i} has {len(one)} windows and its reference {len(other)}; give one length or the rule 'clip'."
            )


def _whole(windows: Float64[ndarray, "t v"]) -> Float64[ndarray, " v"]:
    """The softmax of mean logits, from probabilities: their geometric mean, normalised."""
    logs = np.log(windows.clip(np.finfo(np.float64).tiny)).mean(0)
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


def _of_others(first: list[ndarray], second: list[ndarray]) -> float:
    """The mean divergence of windows of one clip from windows of other clips, over all of them; NaN where there is no other."""
    n = len(first)
    if n < 2:
        return math.nan
    own = sum(float(_negative_entropy(clip).mean()) for clip in first) / n
    probabilities = np.stack([clip.mean(0) for clip in first])
    logs = np.stack([np.log(clip + EPSILON).mean(0) for clip in second])
    crossed = probabilities.sum(0) @ logs.sum(0) - (probabilities * logs).sum()  # all pairs but a clip's own
    return own - float(crossed) / (n * (n - 1))


def inception_score(
    made: Probabilities, splits: int = SPLITS, draws: int = intervals.DRAWS, seed: int = 0
) -> tuple[Score, Score]:
    """exp of the mean KL(p(v | clip) || p(v)) over clips (Salimans et al. 2016): of all, and the mean of shuffled splits.

    Higher is better; 1, the floor, is where all clips sound alike, the number of labels is the most.  Each clip is told by one
    distribution (`rule="clip"`).  The figure grows with the number of clips in a split: only equal n and splits compare; notes
    tell them, and the standard deviation between splits.  Intervals are of a bootstrap over clips, less its bias.
    """
    rows = np.stack([_whole(clip) for clip in checked(made, "made")])
    n = len(rows)
    if not 1 <= splits <= n:
        raise ValueError(f"{n} clips cannot be split in {splits}; give between 1 and {n} splits.")
    order = np.random.default_rng(seed).permutation(n)
    scores = []
    for name, count in (("inception_score", 1), (f"inception_score_{splits}", splits)):
        figures = _inception(rows, order[None], count)[0]
        low, high = _inception_interval(rows, count, figures.mean(), draws, seed)
        notes = (f"{n} clips of {rows.shape[1]} labels in {count} split{'s' * (count > 1)} of about {round(n / count)} clips.",)
        if count > 1:
            notes += (f"Standard deviation {figures.std():.3g} between splits.",)
        if n / count < rows.shape[1]:
            notes += ("Fewer clips in a split than labels: too low, and comparable at this number only.",)
        scores.append(Score(name, float(figures.mean()), low, high, n, "", "higher", 1.0, notes))
    return scores[0], scores[1]


def _inception(rows: Float64[ndarray, "i v"], picked: Int[ndarray, "r i"], splits: int) -> Float64[ndarray, "r p"]:
    """The inception score of each part of the clips, in the order in which each row of `picked` names them."""
    own, found = _negative_entropy(rows), []
    for part in np.array_split(picked, splits, axis=1):
        counts = np.zeros((len(picked), len(rows)))
        np.add.at(counts, (np.arange(len(picked))[:, None], part), 1 / part.shape[1])
        found.append(np.exp(counts @ own - _negative_entropy(counts @ rows)))
    return np.stack(found, axis=1)


def _negative_entropy(rows: Float64[ndarray, "... v"]) -> Float64[ndarray, "..."]:
    """Sum of p ln p along the last axis, where 0 ln 0 is 0."""
    with np.errstate(divide="ignore"):
        return (rows * np.where(rows > 0, np.log(rows), 0.0)).sum(-1)


def _inception_interval(
    rows: Float64[ndarray, "i v"], splits: int, figure: float, draws: int, seed: int
) -> tuple[float, float]:
    """A bootstrap over clips; resamples are in random order already, so their parts are splits."""
    if len(rows) < 2:
        return math.nan, math.nan
    drawn = _inception(rows, intervals.resamples(len(rows), draws, seed), splits).mean(1)
    low, high = intervals.centred(float(figure), drawn)
    return max(1.0, low), high
