"""What a listening test is: what the browser is shown (`items.json`) and what it must not know (`private/key.json`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from counterpoint.config import Config, parse, read

Kind = Literal["rating", "ab", "mushra"]
Role = Literal["test", "repeat", "attention"]
ITEMS, KEY, ANSWERS, REPORT = "items.json", "private/key.json", "answers.jsonl", "report.json"
PUBLIC = ("page", "audio", "peaks")
"""Folders that a browser may read, beside index.html and items.json."""
REFERENCE, ANCHOR = "reference", "anchor"
"""What the hidden reference and the low anchor are called among the systems."""


class Question(Config):
    """One scale of whole numbers from `lowest` to `highest`, with words at both ends."""

    name: str
    title: str
    text: str
    lowest: int
    highest: int
    low: str
    high: str


class Clip(Config):
    """A sound, by a name that says nothing; `span` is the in-painted part in seconds."""

    seconds: float
    span: tuple[float, float] | None = None


class Trial(Config):
    """One page of the test: one clip to rate, two to choose from, or several to put in order beside an open reference."""

    id: str
    clips: tuple[str, ...]
    reference: str | None = None
    caption: str | None = None
    instruction: str | None = None


class Example(Config):
    """A clip of the page that explains the task, with what a listener should notice."""

    clip: str
    title: str
    text: str


class Study(Config):
    """All that the browser knows.  An order is a list of places in `trials`; a rater gets one of them."""

    format: int = 1
    study: str
    kind: Kind
    title: str
    consent: tuple[str, ...]
    task: str
    questions: tuple[Question, ...]
    clips: Mapping[str, Clip]
    trials: tuple[Trial, ...]
    orders: tuple[tuple[int, ...], ...]
    noise: str
    headphones: tuple[str, ...]
    examples: tuple[Example, ...]


class Screening(Config):
    """Who is left out, fixed when the test is built.  A rule that cannot be applied to a rater spares the rater."""

    headphones_right: int = 5
    repeat_difference: float = 3.0
    reference_above_anchor: bool = True
    attention: bool = True
    all_equal: bool = True
    too_fast: bool = True
    unfinished: bool = True


class Origin(Config):
    """Whose clip it is, of which item."""

    system: str
    item: str


class Secret(Config):
    """What a trial is for: `of` is the trial that it repeats, `expected` what attention answers to every question."""

    role: Role
    item: str
    of: str | None = None
    expected: Mapping[str, int] | None = None


class Key(Config):
    """What stays with those who run the test."""

    format: int = 1
    secret: str
    seed: int
    version: str
    systems: tuple[str, ...]
    clips: Mapping[str, Origin]
    trials: Mapping[str, Secret]
    headphones: tuple[int, ...]
    screening: Screening
    lufs: float
    gains: Mapping[str, float]
    notes: tuple[str, ...]


def load_study(folder: Path) -> Study:
    """What the browser is shown.  Raises ValueError where `folder` is no listening test."""
    if not (folder / ITEMS).is_file():
        raise ValueError(f"{folder} is no listening test: it has no {ITEMS}; make one with counterpoint listen build.")
    return parse(Study, read(folder / ITEMS), str(folder / ITEMS))


def load_key(folder: Path) -> Key:
    """Which clip is whose.  Raises ValueError where it is missing."""
    if not (folder / KEY).is_file():
        raise ValueError(f"{folder} has no {KEY}, so nobody knows which clip is whose; copy it from where the test was built.")
    return parse(Key, read(folder / KEY), str(folder / KEY))


def needed(clip: Clip) -> tuple[float, float]:
    """The seconds that must be heard before a clip is rated: its span and a second on either side, or the whole clip."""
    if clip.span is None:
        return 0.0, clip.seconds
    return max(0.0, clip.span[0] - 1.0), min(clip.seconds, clip.span[1] + 1.0)
