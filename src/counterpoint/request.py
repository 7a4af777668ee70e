"""What a musician asks for: one typed value for Python and the command line, checked before any work begins."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import astuple
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, cast

from pydantic import BeforeValidator, ValidationError, model_validator

from counterpoint import checks
from counterpoint.config import Config
from counterpoint.files import named
from counterpoint.music import Chord, Note, Score

if TYPE_CHECKING:
    from counterpoint.source import Source

MAX_WORDS = 2000
MIN_SECONDS, MAX_SECONDS = 0.5, 600.0
PLAN_SUFFIXES = (".mid", ".midi", ".txt")
METHODS = ("supervised", "zero-shot", "fill-in-middle")
"""Ways to fill what lies between given audio; a model knows some of them."""


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
    number = checks.number(seconds, "The duration", "a number of seconds, for example 10")
    if not MIN_SECONDS <= number <= MAX_SECONDS:
        raise ValueError(f"The duration must lie between {MIN_SECONDS} and {MAX_SECONDS:.0f} seconds, not {number:g}.")
    return number


def check_seed(seed: object) -> int:
    """A whole number from 0 to 2^63 - 1.  Raises ValueError."""
    return checks.whole(seed, "The seed", 0, 2**63 - 1)


def check_candidates(count: object) -> int:
    """Of how many takes the best is kept: a whole number from 1 to 64.  Raises ValueError."""
    return checks.whole(count, "The number of takes to choose from", 1, 64)


def _between(name: str, low: float, high: float) -> BeforeValidator:
    """A number from `low` to `high`, called `name`, or None."""
    return BeforeValidator(lambda number: None if number is None else checks.between(number, name, low, high))


def _whole(name: str, low: int, high: int) -> BeforeValidator:
    """A whole number from `low` to `high`, called `name`, or None."""
    return BeforeValidator(lambda number: None if number is None else checks.whole(number, name, low, high))


def _check_transpose(semitones: object) -> int:
    return checks.whole(semitones, "transpose", -24, 24)


def _check_count(count: object) -> int:
    return checks.whole(count, "The count", 1, 64)


def _check_solver(name: object) -> str | None:
    from counterpoint.paradigms.solvers import SOLVERS  # torch, which a request that names no solver does not wait for

    return None if name is None else checks.one_of(name, "solver", SOLVERS)


def _check_schedule(name: object) -> str | None:
    from counterpoint.paradigms.solvers import SCHEDULES

    return None if name is None else checks.one_of(name, "schedule", SCHEDULES)


def _check_guidance(guidance: object) -> dict[str, float] | None:
    if guidance is None:
        return None
    guidance = _parse_guidance(guidance) if isinstance(guidance, str) else guidance
    table = guidance if isinstance(guidance, Mapping) else {"all": guidance}
    weights = {
        str(name): checks.number(value, "Guidance", "a number or a table such as text=3,score=2")
        for name, value in table.items()
    }
    if not weights or not all(0 <= weight <= 20 for weight in weights.values()):
        raise ValueError("Guidance must lie between 0 and 20; 1 follows the conditions as learnt, more follows them harder.")
    return weights


def _parse_guidance(text: str) -> float | dict[str, float]:
    try:
        if "=" not in text:
            return float(text)
        weights = [(name.strip(), float(value)) for name, value in (part.split("=") for part in text.split(","))]
    except ValueError:
        raise ValueError(f"Guidance is a number or a table such as text=3,score=2, not {text!r}.") from None
    names = [name for name, _ in weights]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Guidance weighs {name!r} more than once in {text!r}; give it one weight.")
    return dict(weights)


def _check_interval(interval: object) -> tuple[float, float] | None:
    if interval is None:
        return None
    try:
        low, high = checks.PAIR.validate_python(interval.split(":") if isinstance(interval, str) else interval)
    except ValidationError:
        raise ValueError(f"The guidance interval is two flow times such as 0.2:0.9, not {interval!r}.") from None
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"The guidance interval must rise from 0 (noise) towards 1 (music), such as 0.2:0.9, not {low:g}:{high:g}."
        )
    return low, high


def _check_tries(count: object) -> int:
    return checks.whole(count, "The number of tries", 1, 64)


def _check_method(name: object) -> str | None:
    return None if name is None else checks.one_of(name, "method", METHODS)


def _check_added(seconds: object) -> float:
    number = checks.number(seconds, "What is added", "a number of seconds, for example 10")
    if not (number == 0 or 0.1 <= number <= MAX_SECONDS):
        raise ValueError(f"What is added must last from 0.1 to {MAX_SECONDS:.0f} seconds, not {number:g}.")
    return number


def _check_source(given: object) -> "Source | None":
    from counterpoint.source import Source, read_source  # soundfile and torch, which other requests do not wait for

    if given is None or isinstance(given, Source):
        return given
    if not isinstance(given, str | Path):
        raise ValueError(f"What is given to go on from is the path of an audio file, or a take, not {type(given).__name__}.")
    return read_source(Path(given).expanduser())


def _check_score(score: object) -> Score | None:
    if score is None or isinstance(score, Score):
        return score
    raise ValueError(f"A score is a Score, such as a take's, not {type(score).__name__}; give a file as the plan.")


def _check_plan(plan: object) -> str:
    text = str(plan)
    if text not in ("auto", "none") and Path(text).suffix.lower() not in PLAN_SUFFIXES:
        raise ValueError(f"The plan must be auto, none, or a file that ends in {', '.join(PLAN_SUFFIXES)}, not {text!r}.")
    return text


def _plain(value: object) -> object:
    """What JSON does not know of a control, as it could have been given, too."""
    if isinstance(value, Note):
        return astuple(value)
    if isinstance(value, Chord):
        return value.harte
    return float(value) if isinstance(value, Real) else str(value)


class Request(Config):
    """A piece of music asked for in words.

    `plan` is "auto" (a score is composed from the words), "none" (the words alone), or the path of a MIDI file or chord
    chart.  `seconds` of None means 10, or the length of a MIDI plan; where both are given, a longer plan is cut and a
    shorter one followed by silence.  Item i of `count` has the seed `seed + i`, and a plan of that seed, or of `plan_seed`.
    What composes it is `planner`: "rules", or a model that writes scores, by shipped name, folder or Hub id.  A `score` is a
    plan as a value, such as a take's.
    The controls (CONTROLS, explained in `controls`) are obeyed by a plan that is composed, and told to models that know them:
    `chords` such as "C G Am F", ChordPro, a file, or pairs of label and start; `melody` and `drums` a MIDI or audio file, notes
    or, for drums, steps; `transpose` moves chords, melody and key by semitones.
    The sampler's settings (SAMPLING, explained in Settings) of None are the model's own; a single number guides by all
    conditions.
    With a `source`, the path of an audio file or a Source, its audio stays as it is, and what is made are `before` and `after`
    seconds around it and the `spans` (start and end in seconds) within it; with a `strength`, and without spans, all of it is
    made anew, after its own likeness; of several `tries` what fits best is kept.  Its length follows; a plan that is "auto"
    goes on from what is given (`amendment`).
    """

    text: Annotated[str, BeforeValidator(check_text)]
    seconds: Annotated[float, BeforeValidator(check_seconds)] | None = None
    seed: Annotated[int, BeforeValidator(check_seed)] = 0
    count: Annotated[int, BeforeValidator(_check_count)] = 1
    plan: Annotated[str, BeforeValidator(_check_plan)] = "auto"
    plan_seed: Annotated[int | None, _whole("The seed of the plan", 0, 2**63 - 1)] = None
    planner: str = "rules"
    score: Annotated[Any, BeforeValidator(_check_score)] = None
    chords: Any = None
    melody: Any = None
    drums: Any = None
    tempo: float | str | None = None
    key: str | None = None
    transpose: Annotated[int, BeforeValidator(_check_transpose)] = 0
    source: Annotated[Any, BeforeValidator(_check_source)] = None
    before: Annotated[float, BeforeValidator(_check_added)] = 0.0
    after: Annotated[float, BeforeValidator(_check_added)] = 0.0
    spans: Annotated[tuple[tuple[float, float], ...], BeforeValidator(checks.spans)] = ()
    strength: Annotated[float | None, _between("The strength", 0.01, 1.0)] = None
    method: Annotated[str | None, BeforeValidator(_check_method)] = None
    tries: Annotated[int, BeforeValidator(_check_tries)] = 1
    steps: Annotated[int | None, _whole("The number of steps", 1, 1000)] = None
    solver: Annotated[str | None, BeforeValidator(_check_solver)] = None
    schedule: Annotated[str | None, BeforeValidator(_check_schedule)] = None
    tolerance: Annotated[float | None, _between("The tolerance", 1e-6, 1.0)] = None
    guidance: Annotated[dict[str, float] | None, BeforeValidator(_check_guidance)] = None
    guidance_interval: Annotated[tuple[float, float] | None, BeforeValidator(_check_interval)] = None
    guidance_rescale: Annotated[float | None, _between("The rescaling of guidance", 0.0, 1.0)] = None
    temperature: Annotated[float | None, _between("The temperature", 0.0, 5.0)] = None
    top_k: Annotated[int | None, _whole("top_k", 0, 2**20)] = None
    top_p: Annotated[float | None, _between("top_p", 0.0, 1.0)] = None

    @model_validator(mode="after")
    def _has_seed_of_plan(self) -> "Request":
        if self.score is not None and self.plan != "auto":
            raise ValueError(f"There is a score and the plan {self.plan}; give one of the two.")
        if self.plan_seed is not None and not self.composes:
            what = "score" if self.score is not None else f"plan {self.plan}"
            raise ValueError(f"The {what} is not composed and has no seed; leave the seed of the plan out.")
        if self.planner != "rules" and not self.composes:
            raise ValueError(f"The plan {self.plan} is not composed, so that {self.planner} has nothing to do; leave it out.")
        return self

    @model_validator(mode="after")
    def _has_something_to_do(self) -> "Request":
        told = [name for name in ("before", "after", "spans", "strength", "method") if getattr(self, name)]
        told += ["tries"] if self.tries > 1 else []
        if self.source is None:
            if told:
                raise ValueError(f"There is no audio that {told[0]} could be about; give a source, or leave {told[0]} out.")
            return self
        if self.seconds is not None:
            raise ValueError("The length follows from the audio that is given and what is added; leave seconds out.")
        if not set(told) - {"method", "tries"}:
            raise ValueError("Nothing is to be made: give spans to fill, seconds to add before or after, or a strength.")
        if self.strength is not None and (self.before or self.after):
            raise ValueError("What is added has no likeness to start from; leave the strength out, or before and after.")
        if self.strength is not None and not self.spans and set(told) & {"method", "tries"}:
            raise ValueError(
                "A method and tries are for what lies between given audio, and here all is made anew; leave them out."
            )
        holds = [name for name in self.controls() if name != "transpose"]
        if holds and (self.strength is None or (self.plan == "auto" and self.score is None)):
            raise ValueError(f"{holds[0]} would hold for given audio, too; give a plan instead.")
        if self.strength is not None and self.plan == "auto" and (self.planner != "rules" or self.plan_seed is not None):
            what = "seed" if self.planner == "rules" else "planner"
            raise ValueError(f"What is made after the likeness of given audio has its plan; leave the {what} of the plan out.")
        return self

    @property
    def composes(self) -> bool:
        """Whether a plan is composed for it, and so depends on a seed."""
        return self.score is None and (self.plan == "auto" or Path(self.plan).suffix.lower() == ".txt")

    def controls(self) -> dict[str, Any]:
        """Those of the controls that are asked for, as JSON takes them, and so that they can be given again."""
        told = {name: getattr(self, name) for name in CONTROLS}
        asked = {name: value for name, value in told.items() if value is not None and (name, value) != ("transpose", 0)}
        return json.loads(json.dumps(asked, default=_plain))

    def files(self) -> dict[str, Path]:
        """The files that controls name, by their paths as given."""
        return named(self.controls().values())

    def given(self) -> dict[str, Any]:
        """What is given to go on from, and where and how far something is to be made anew, as JSON takes it."""
        if self.source is None:
            return {}
        places = self.model_dump(mode="json", include={"before", "after", "spans", "strength"}, exclude_defaults=True)
        return {"source": self.source.told(), **places}

    def sampling(self) -> dict[str, Any]:
        """Those of the sampler's settings that are asked for."""
        return self.model_dump(include=set(SAMPLING), exclude_none=True)

    def wishes(self) -> "Wishes":
        """The sampler's settings and the controls that are asked for, as they were given."""
        told = {name: getattr(self, name) for name in (*SAMPLING, *CONTROLS)}
        return cast("Wishes", {name: value for name, value in told.items() if value is not None})


class Settings(TypedDict, total=False):
    """The sampler's settings as keywords of `Model.generate` and its like; what is left out, or None, is the model's own."""

    steps: int | None
    """Of a flow: more is slower and finer."""
    solver: str | None
    """How a flow is followed: one of solvers.SOLVERS."""
    schedule: str | None
    """Where along a flow its steps are: one of solvers.SCHEDULES."""
    tolerance: float | None
    """The error that the solver dopri5 allows itself in a step."""
    guidance: float | str | Mapping[str, float] | None
    """How hard conditions are followed: one number, or one for each, as a table or as "text=3,score=2"."""
    guidance_interval: tuple[float, float] | str | None
    """The flow times between which guidance acts, as a pair or as "0.2:0.9"."""
    guidance_rescale: float | None
    """From 0 to 1: how far guided velocities get the spread of unguided ones."""
    temperature: float | None
    """Of drawn tokens: less is safer, more is bolder."""
    top_k: int | None
    """Tokens are drawn from the k likeliest; 0: from all."""
    top_p: float | None
    """Tokens are drawn from those that have this share; 0: from all."""
    strength: float | None
    """Of a flow that varies given audio: how much of it is made anew, from near 0 (hardly any) to 1 (all)."""
    method: str | None
    """How what lies between given audio is filled: one of METHODS."""


SAMPLING = tuple(Settings.__annotations__)
"""The settings of a Request that are the sampler's; a model has some of them, and refuses the others."""


class Holds(TypedDict, total=False):
    """The controls as keywords of `Model.generate` and its like; what is left out, or None, is left open."""

    chords: object
    """"C G Am F" (one a bar), "| Dm7 G7 | Cmaj7 |", ChordPro, the path of a file, or pairs of label and start in seconds."""
    melody: object
    """The path of a MIDI or audio file, or notes (start, end, MIDI pitch and, where it is told, velocity)."""
    drums: object
    """The path of a MIDI or audio file, notes, or steps such as "kick: x...x... snare: ....x..."."""
    tempo: float | str | None
    """Felt beats a minute."""
    key: str | None
    """Such as "A minor"."""
    transpose: int
    """Semitones by which chords, melody and key are moved."""


CONTROLS = tuple(Holds.__annotations__)
"""The controls of a Request."""


class Wishes(Settings, Holds, total=False):
    """All that may be wished beside words, length, seed and plan."""


class Given(TypedDict, total=False):
    """Audio that is given, and where something is to be made, as in a Request."""

    source: object
    before: float
    after: float
    spans: object
    tries: int


def ask(
    text: str,
    seconds: float | None,
    seed: int,
    plan: str | Path,
    wishes: Wishes,
    given: Given | None = None,
    planner: str = "rules",
) -> Request:
    """One piece of music as a checked Request.  Raises ValueError with one sentence."""
    known = (*SAMPLING, *CONTROLS)
    for name in wishes.keys() - set(known):
        raise checks.unknown("setting", name, known)
    piece = {"text": text, "seconds": seconds, "seed": seed, "plan": plan, "planner": planner}
    return read({**piece, **wishes, **(given or {})})


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
