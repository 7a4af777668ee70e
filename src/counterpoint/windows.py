"""Windows along a canvas that is longer than what a model fills at once: each is given the end of what lies beside it."""

import math
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Bool
from torch import Tensor

from counterpoint.paradigms.middle import gaps as gaps_of

OVERLAP = 0.25
"""Share of a window that is given from the one before, where nothing else is given."""
CONTEXT = 0.4
"""Share of a window that is given on a side, where a gap in what is given is too long for one window."""


def evenly(frames: int, longest: int) -> list[slice]:
    """As few windows of one length as cover `frames`, none over `longest`; each begins with OVERLAP of itself given.

    All are shortened where the last would stick out: else it would be given nearly all of itself, as in no training.
    """
    count = 1 + max(0, math.ceil((frames - longest) / (longest * (1 - OVERLAP))))
    length = math.ceil(frames / (1 + (count - 1) * (1 - OVERLAP)))
    starts = [round(i * (frames - length) / max(1, count - 1)) for i in range(count)]
    return [slice(start, start + length) for start in starts]


def around(given: Bool[Tensor, " t"], longest: int) -> list[slice]:
    """Windows of at most `longest` frames that fill all gaps when one is filled after another.

    Gaps that fit into one window with something given beside them share it, the given spread around them.  A longer one is
    filled from its left end on, or, at the start of the piece, from its right end back; each window is given CONTEXT of its
    length.
    """
    frames = len(given)
    if frames <= longest:
        return [slice(0, frames)]
    beside = round(CONTEXT * longest)
    groups = _groups(gaps_of(given), longest - beside)
    ends = [*(group.start for group in groups[1:]), frames]
    made: list[slice] = []
    for group, until in zip(groups, ends, strict=True):
        if len(group) <= longest - beside:
            made.append(_one_around(group, until, longest))
        else:
            made += _along(group, until, longest, beside)
    return made


def _groups(gaps: Sequence[range], most: int) -> list[range]:
    """Neighbouring gaps as one where they and what is between them are at most so many frames."""
    groups: list[range] = []
    for gap in gaps:
        if groups and gap.stop - groups[-1].start <= most:
            groups[-1] = range(groups[-1].start, gap.stop)
        else:
            groups.append(gap)
    return groups


def _one_around(gap: range, until: int, longest: int) -> slice:
    """One window around a gap, with as much given before it as after it where there is as much."""
    free, after = longest - len(gap), until - gap.stop
    left = min(gap.start, max(free // 2, free - after))
    return slice(gap.start - left, gap.stop + min(after, free - left))


def _along(gap: range, until: int, longest: int, beside: int) -> list[slice]:
    """Windows one after another, of equal parts of the gap."""
    ends = gap.stop == until
    backwards = gap.start == 0 and not ends
    size = longest - beside * (1 if backwards or ends else 2)
    count = math.ceil(len(gap) / size)
    edges = [gap.start + round(i * len(gap) / count) for i in range(count + 1)]
    if backwards:
        return [slice(start, min(until, stop + beside)) for start, stop in reversed(list(pairwise(edges)))]
    found = [slice(max(0, start - beside), stop) for start, stop in pairwise(edges)]
    return [*found[:-1], slice(found[-1].start, min(until, found[-1].start + longest))]
