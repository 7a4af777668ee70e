"""What a musician asks for: one typed value for Python and the command line, checked before any work begins."""

import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from counterpoint.config import Config

MAX_WORDS = 2000
MIN_SECONDS, MAX_SECONDS = 0.5, 600.0
PLAN_SUFFIXES = (".mid", ".midi", ".txt")


def check_text(text: object) -> str:
    """A prompt of at least one word.  Raises ValueError for anything that is not text to read."""
    if not isinstance(text, str):
        raise ValueError(f"The prompt must be text, not {type(text).__name__}; describe the music in words.")
    if not text.strip():
        raise ValueError('The prompt is empty; describe the music, for example "a slow waltz for piano".')
    if any(unicodedata.category(sign) in ("Cc", "Cs", "Co", "Cn") and sign not in "\t\n\r" for sign in text):
        raise ValueError("The prompt holds signs that are not text; describe the music in plain words.")
    if not any(sign.isalnum() for sign in text):
        raise ValueError('The prompt holds no word; describe the music, for example "a slow waltz for piano".')
    if len(text.split()) > MAX_WORDS or len(text) > 20 * MAX_WORDS:
        raise ValueError(
            f"The prompt has {len(text.split())} words in {len(text)} characters; say it in at most {MAX_WORDS} words."
        )
    return text.strip()


def check_seconds(seconds: object) -> float:
    """A duration from MIN_SECONDS to MAX_SECONDS.  Raises ValueError."""
    number = _number(seconds, "The duration", "a number of seconds, for example 10")
    if not MIN_SECONDS <= number <= MAX_SECONDS:
        raise ValueError(f"The duration must lie between {MIN_SECONDS} and {MAX_SECONDS:.0f} seconds, not {number:g}.")
    return number


def check_seed(seed: object) -> int:
    """A whole number from 0 to 2^63 - 1.  Raises ValueError."""
    return _whole(seed, "The seed", 0, 2**63 - 1)


def _check_count(count: object) -> int:
    return _whole(count, "The count", 1, 64)


def _check_steps(steps: object) -> int | None:
    return None if steps is None else _whole(steps, "The number of steps", 1, 1000)


def _check_guidance(guidance: object) -> dict[str, float] | None:
    if guidance is None:
        return None
    table = guidance if isinstance(guidance, Mapping) else {"all": guidance}
    weights = {
        str(name): _number(value, "Guidance", "a number or a table such as text=3,score=2") for name, value in table.items()
    }
    if not weights or not all(0 <= weight <= 20 for weight in weights.values()):
        raise ValueError("Guidance must lie between 0 and 20; 1 follows the conditions as learnt, more follows them harder.")
    return weights


def _check_temperature(temperature: object) -> float | None:
    return None if temperature is None else _between(temperature, "The temperature", 0.0, 5.0)


def _check_top_k(count: object) -> int | None:
    return None if count is None else _whole(count, "top_k", 0, 2**20)


def _check_top_p(share: object) -> float | None:
    return None if share is None else _between(share, "top_p", 0.0, 1.0)


def _check_plan(plan: object) -> str:
    text = str(plan)
    if text not in ("auto", "none") and Path(text).suffix.lower() not in PLAN_SUFFIXES:
        raise ValueError(f"The plan must be auto, none, or a file that ends in {', '.join(PLAN_SUFFIXES)}, not {text!r}.")
    return text


def _number(value: object, name: str, expected: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be {expected}, not {value!r}.")
    return float(value)


def _between(value: object, name: str, low: float, high: float) -> float:
    number = _number(value, name, f"a number from {low:g} to {high:g}")
    if not low <= number <= high:
        raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {number:g}.")
    return number


def _whole(value: object, name: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return value


class Request(Config):
    """A piece of music asked for in words.

    `plan` is "auto" (a score is composed from the words), "none" (the words alone), or the path of a MIDI file or chord
    chart.  `seconds` of None means 10, or the length of a MIDI plan; where both are given, a longer plan is cut and a
    shorter one followed by silence.  Item i of `count` has the seed `seed + i`.
    The sampler's settings (SAMPLING) of None are the model's own; a single number guides by all conditions.
    """

    text: Annotated[str, BeforeValidator(check_text)]
    seconds: Annotated[float, BeforeValidator(check_seconds)] | None = None
    seed: Annotated[int, BeforeValidator(check_seed)] = 0
    count: Annotated[int, BeforeValidator(_check_count)] = 1
    plan: Annotated[str, BeforeValidator(_check_plan)] = "auto"
    steps: Annotated[int | None, BeforeValidator(_check_steps)] = None
    guidance: Annotated[dict[str, float] | None, BeforeValidator(_check_guidance)] = None
    temperature: Annotated[float | None, BeforeValidator(_check_temperature)] = None
    top_k: Annotated[int | None, BeforeValidator(_check_top_k)] = None
    top_p: Annotated[float | None, BeforeValidator(_check_top_p)] = None


SAMPLING = ("steps", "guidance", "temperature", "top_k", "top_p")
"""The settings of a Request that are the sampler's; a model has some of them, and refuses the others."""


def read(content: Mapping[str, Any]) -> Request:
    """`content` as a checked Request.  Raises ValueError with one sentence."""
    try:
        return Request.model_validate(content)
    except ValidationError as error:
        raise ValueError(sentence(error)) from None


def sentence(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence."""
    first = error.errors()[0]
    if first["type"] == "value_error":  # one of the checks above, whose sentence pydantic has wrapped
        return first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
