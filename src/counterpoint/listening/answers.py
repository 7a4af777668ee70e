"""Answers: what one may look like, and the file that only ever grows, a line each, on the disk before it is acknowledged."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from counterpoint.config import Config, parse
from counterpoint.files import writing
from counterpoint.listening.study import ANSWERS, Study

RaterId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Rater(Config):
    """Somebody begins.  `order` is a place in the study's orders; None asks for the next one."""

    kind: Literal["rater"] = "rater"
    rater: RaterId
    order: Annotated[int, Field(ge=0)] | None = None
    agent: Annotated[str, Field(max_length=400)] = ""
    sample_rate: Annotated[float, Field(ge=0, le=1e6)] | None = None


class Answer(Config):
    """The marks of one page: for each of its clips, one a question.  `heard` counts seconds, `plays` starts, by clip."""

    kind: Literal["answer"] = "answer"
    rater: RaterId
    trial: str
    marks: Mapping[str, Mapping[str, Annotated[int, Field(strict=True)]]]
    seconds: Seconds
    heard: Mapping[str, Seconds]
    plays: Mapping[str, Annotated[int, Field(ge=0, le=100000)]]


class Headphones(Config):
    """Which tone was the quietest in each trial of the headphone check, counted from 0."""

    kind: Literal["headphones"] = "headphones"
    rater: RaterId
    choices: tuple[Annotated[int, Field(ge=0, le=2)], ...]


class Withdrawal(Config):
    """Nothing of this rater counts, before or after."""

    kind: Literal["withdrawal"] = "withdrawal"
    rater: RaterId


Record = Rater | Answer | Headphones | Withdrawal
KINDS: Mapping[str, type[Record]] = {"rater": Rater, "answer": Answer, "headphones": Headphones, "withdrawal": Withdrawal}


class Unknown(ValueError):
    """A rater who has not begun, or has withdrawn."""


@dataclass
class Known:
    """What has come in so far: the order of every rater, who has withdrawn, and how many lines could not be read."""

    orders: dict[str, int] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    torn: int = 0

    def take(self, record: Record) -> None:
        """Remember a record that has been checked."""
        if isinstance(record, Rater) and record.order is not None:
            self.orders.setdefault(record.rater, record.order)
        if isinstance(record, Withdrawal):
            self.withdrawn.add(record.rater)
        self.records.append(record)


def record_of(content: Any) -> Record:
    """Plain content as a record, the time it came in left out.  Raises ValueError for what is none."""
    if not isinstance(content, dict) or not isinstance(content.get("kind"), str) or content["kind"] not in KINDS:
        raise ValueError(f"An entry is a table whose kind is one of {', '.join(KINDS)}.")
    told = {name: value for name, value in content.items() if name != "received"}
    return parse(KINDS[content["kind"]], told, content["kind"])


def check(record: Record, study: Study, known: Known) -> None:
    """Raises ValueError for what this study cannot have been answered with, Unknown where the rater is not one of it."""
    if isinstance(record, Rater):
        if record.order is not None and record.order >= len(study.orders):
            raise ValueError(f"There is no order {record.order}; this test has {len(study.orders)}.")
        if record.rater in known.withdrawn:
            raise Unknown("This rater has withdrawn; begin anew.")
        return
    if record.rater not in known.orders or (record.rater in known.withdrawn and not isinstance(record, Withdrawal)):
        raise Unknown("This rater has not begun, or has withdrawn; begin first.")
    if isinstance(record, Headphones) and len(record.choices) != len(study.headphones):
        raise ValueError(f"The headphone check has {len(study.headphones)} choices, not {len(record.choices)}.")
    if isinstance(record, Answer):
        _check_answer(record, study, known.orders[record.rater])


def _check_answer(answer: Answer, study: Study, order: int) -> None:
    shown = {study.trials[place].id: study.trials[place] for place in study.orders[order]}
    if answer.trial not in shown:
        raise ValueError(f"This rater has no page {answer.trial!r:.60}; send answers to the pages of the rater's own order.")
    clips = set(shown[answer.trial].clips)
    if set(answer.marks) != clips:
        raise ValueError("Marks must be given to the clips of the page, all of them and no others.")
    strangers = (set(answer.heard) | set(answer.plays)) - clips - {shown[answer.trial].reference}
    if strangers:
        raise ValueError("Heard and plays tell of a clip that is not on the page.")
    for marks in answer.marks.values():
        if set(marks) != {question.name for question in study.questions}:
            raise ValueError("Every question must be answered, and no others.")
        for question in study.questions:
            if not question.lowest <= marks[question.name] <= question.highest:
                raise ValueError(f"{question.name} is {marks[question.name]}, outside {question.lowest} to {question.highest}.")
    if study.kind == "ab" and sum(mark for marks in answer.marks.values() for mark in marks.values()) != 2:
        raise ValueError("The two marks of a preference must add up to 2.")


def read_answers(folder: Path, study: Study) -> Known:
    """All that was sent, in order.  Lines that a crash has cut short and lines that make no sense are counted, not used."""
    known = Known()
    path = folder / ANSWERS
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        if not line:
            continue
        try:
            record = record_of(json.loads(line))
            check(record, study, known)
        except ValueError:  # a JSONDecodeError is one, too
            known.torn += 1
            continue
        known.take(record)
    return known


class Log:
    """The file of answers and what is known from it.  Every method may be called from any thread."""

    def __init__(self, folder: Path, study: Study):
        """Opens or makes the file.  Raises ValueError where it cannot be written."""
        self.study, self.path = study, folder / ANSWERS
        self._lock = threading.Lock()
        self.known = read_answers(folder, study)
        with writing(self.path):
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        text = self.path.read_bytes()
        self._torn = bool(text) and not text.endswith(b"\n")

    def add(self, record: Record) -> Record:
        """Check a record and put it on the disk; a rater who begins is given an order, the same one every time.

        Raises ValueError for what does not fit the study, OSError where the disk is full.
        """
        with self._lock:
            check(record, self.study, self.known)
            if isinstance(record, Rater):
                record = self._begin(record)
                if record.rater in self.known.orders:
                    return record
            self._append(record)
            self.known.take(record)
            return record

    def _begin(self, rater: Rater) -> Rater:
        """The least used order comes first, so that the square stays balanced when somebody leaves."""
        taken = list(self.known.orders.values())
        order = self.known.orders.get(rater.rater, rater.order)
        if order is None:
            order = min(range(len(self.study.orders)), key=taken.count)
        return rater.model_copy(update={"order": order})

    def _append(self, record: Record) -> None:
        """One line, on the disk when this returns; what a failed or killed writing left unfinished stays a line of its own."""
        entry = {**record.model_dump(mode="json"), "received": datetime.now(UTC).isoformat(timespec="milliseconds")}
        line = ("\n" if self._torn else "") + json.dumps(entry) + "\n"
        self._torn = True
        data = line.encode()
        while data:
            data = data[os.write(self._file, data) :]
        os.fsync(self._file)
        self._torn = False

    def close(self) -> None:
        """Nothing can be added any more."""
        os.close(self._file)
