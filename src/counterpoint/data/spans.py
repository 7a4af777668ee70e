"""Which seconds of a clip were filled in: read from a table by clip, or from the .json beside it."""

import json
import math
from pathlib import Path
from typing import Any

Span = tuple[float, float]
"""Where it begins and ends, in seconds."""

EXAMPLE = '{"item": {"mask_start": 2.0, "mask_end": 7.0}}'


def read_spans(path: Path) -> dict[str, Span]:
    """A table of {"mask_start", "mask_end"} by clip, such as EXAMPLE.  Raises ValueError where it tells none."""
    content = _json(path) if path.is_file() else None
    spans = {str(item): _span(entry) for item, entry in content.items()} if isinstance(content, dict) else {}
    told = {item: span for item, span in spans.items() if span is not None}
    if not told:
        raise ValueError(f"{path} tells no spans; it should be a JSON file such as {EXAMPLE}, in seconds.")
    return told


def span_beside(audio: Path) -> Span | None:
    """The span that the .json beside a clip tells, if it does.  Raises ValueError where it is damaged."""
    beside = audio.with_suffix(".json")
    return _span(_json(beside)) if beside.is_file() else None


def _span(content: Any) -> Span | None:
    if not isinstance(content, dict) or "mask_start" not in content or "mask_end" not in content:
        return None
    start, end = content["mask_start"], content["mask_end"]
    numbers = [value for value in (start, end) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"mask_start and mask_end are {start!r} and {end!r}; give numbers of seconds.")
    if not 0 <= start < end:
        raise ValueError(f"A span goes from {start:g} to {end:g} s; let it end after it begins.")
    return float(start), float(end)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); mend it.") from error
