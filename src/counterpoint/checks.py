"""What people type, checked value by value: names and numbers, each with a ValueError of one sentence."""

import difflib
import math
import re
from collections.abc import Collection, Iterable

from pydantic import FiniteFloat, TypeAdapter, ValidationError

PAIR = TypeAdapter(tuple[FiniteFloat, FiniteFloat])
"""Two numbers, as numbers or as text."""


def one_of(value: object, name: str, known: Collection[str]) -> str:
    """One of the known names."""
    if isinstance(value, str) and value in known:
        return value
    raise unknown(name, value, known)


def unknown(kind: str, name: object, known: Collection[str]) -> ValueError:
    """The complaint about a name that is not known."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return ValueError(f"There is no {kind} {name!r}{hint}; known here: {', '.join(known)}.")


def number(value: object, name: str, expected: str) -> float:
    """A finite number, called `name`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be {expected}, not {value!r}.")
    return float(value)


def between(value: object, name: str, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    told = number(value, name, f"a number from {low:g} to {high:g}")
    if not low <= told <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {told:g}.")
    return told


def whole(value: object, name: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return value


def spans(given: object) -> tuple[tuple[float, float], ...]:
    """Spans in order of time."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"Spans are a list of starts and ends in seconds, such as [(3, 8)], not {given!r}.")
    return tuple(sorted(_span(span) for span in given))


def _span(span: object) -> tuple[float, float]:
    if isinstance(span, str) and (clock := re.search(r":0\d", span)):
        raise ValueError(f"The span {span} looks like a clock's time ({clock[0]}); write two times in seconds, such as 63:70.")
    try:
        start, end = PAIR.validate_python(span.split(":") if isinstance(span, str) else span)
    except ValidationError:
        raise ValueError(f"A span is a start and an end in seconds such as 3:8, not {span!r}.") from None
    if not 0 <= start < end:
        raise ValueError(f"The span {start:g}:{end:g} holds nothing; let it start at 0 or later, and end after that.")
    return start, end
