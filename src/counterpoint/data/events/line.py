"""Scripts as the lines that a model reads: bars in order or around a gap, and parts that recur told as such.

A gap is filled last, as in fill-in-the-middle (Bavarian et al. 2022): what comes before it, what comes after, then the middle.
A part is repeated only from a bar that stands earlier in the line, so that a line can be read from left to right.
"""

from collections.abc import Mapping, Sequence

from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.script import Bar, Script


def whole(script: Script, first: int = 0) -> list[int]:
    """The head, the bars from `first` on, and the end."""
    bars = dict(enumerate(script.bars))
    return [*script.head, *spell(bars, range(first, len(bars)), len(bars)), v.END]


def around(script: Script, before: range, after: range, middle: range) -> list[int]:
    """The head, bars before the gap, bars after it, and the bars that fill it."""
    return [*opened(script.head, dict(enumerate(script.bars)), before, after, len(script.bars)),
            *spell(dict(enumerate(script.bars)), middle, len(script.bars), [*before, *after]), v.END]  # fmt: skip


def opened(head: Sequence[int], bars: Mapping[int, Bar], before: range, after: range, count: int) -> list[int]:
    """The part of `around` that is given: all but the middle, whose mark is there; a piece has `count` bars."""
    told = [*head, v.BEFORE, *spell(bars, before, count), v.AFTER]
    return [*told, *spell(bars, after, count, before), v.MIDDLE]


def near(head: Sequence[int], bars: Mapping[int, Bar], middle: range, count: int, most: int) -> tuple[range, range]:
    """The bars around a gap, as many as can be told in `most` symbols: the farthest are left out first."""
    before, after = range(0, middle.start), range(middle.stop, count)
    while len(opened(head, bars, before, after, count)) > most and (before or after):
        if len(before) >= len(after):
            before = before[1:]
        else:
            after = after[:-1]
    return before, after


def recent(head: Sequence[int], bars: Mapping[int, Bar], stop: int, count: int, most: int) -> range:
    """The last bars before `stop` that can be told in `most` symbols after the head, at least one where there is one."""
    first = stop
    while first > 0 and len(head) + len(spell(bars, range(first - 1, stop), count)) <= most:
        first -= 1
    return range(min(first, max(0, stop - 1)), stop)


def left(bar: int, count: int) -> int:
    """The symbol that opens a bar: how many are left, itself included."""
    return v.symbol("bar", min(count - bar, v.MOST_LEFT) - 1)


def spell(bars: Mapping[int, Bar], wanted: range, count: int, told: Sequence[int] = ()) -> list[int]:
    """The `wanted` bars of a piece of `count`, after those `told` (and each other) from which parts may be repeated."""
    known, tokens = set(told), list[int]()
    for index in wanted:
        bar = bars[index]
        tokens += [left(index, count), *bar.front]
        for role, part in sorted(bar.parts.items()):
            back = _again(bars, known, index, role)
            spelled = part if back is None else (v.symbol("again", v.AGAIN.index(back)),)
            tokens += [v.symbol("role", role), *spelled]
        known.add(index)
    return tokens


def _again(bars: Mapping[int, Bar], known: set[int], index: int, role: int) -> int | None:
    """How many bars back the same was played, about as loud; None where it was not."""
    part = bars[index].parts[role]
    for back in v.AGAIN:
        if index - back in known and _alike(part, bars[index - back].parts.get(role, ())):
            return back
    return None


def _alike(part: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two parts differ in loudness alone, and by at most half a step on the mean."""
    if silent(part) != silent(other):
        return False
    first, second = _steps(part), _steps(other)
    return abs(sum(first) / len(first) - sum(second) / len(second)) <= 0.5


_LEVELS = len(v.HIT_LEVELS)
_HIT, _LOUD = v.span("hit"), v.span("loud")


def silent(part: Sequence[int]) -> list[int]:
    """A part without its loudness."""
    plain = [t for t in part if not _LOUD.start <= t < _LOUD.stop]
    return [t if t < _HIT.start else _HIT.start + (t - _HIT.start) // _LEVELS * _LEVELS for t in plain]


def _steps(part: Sequence[int]) -> list[int]:
    """The steps of loudness that a part spells."""
    louds = [t - _LOUD.start for t in part if _LOUD.start <= t < _LOUD.stop]
    return louds or [(t - _HIT.start) % _LEVELS for t in part if t >= _HIT.start]
