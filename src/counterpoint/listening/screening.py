"""Which raters are left out: by rules that were fixed when the test was built, before anybody looked at a system's figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from counterpoint.listening.answers import Answer, Headphones, Known
from counterpoint.listening.study import ANCHOR, REFERENCE, Key, Study, needed


@dataclass(frozen=True)
class Session:
    """What one rater did: the last answer to every page, and the choices of the headphone check, if there are any."""

    rater: str
    order: int
    answers: Mapping[str, Answer]
    choices: tuple[int, ...] | None


def sessions(known: Known) -> list[Session]:
    """Every rater who began and has not withdrawn; the last answer to a page counts."""
    result = []
    for rater, order in known.orders.items():
        if rater in known.withdrawn:
            continue
        own = [record for record in known.records if record.rater == rater]
        answers = {record.trial: record for record in own if isinstance(record, Answer)}
        choices = [record.choices for record in own if isinstance(record, Headphones)]
        result.append(Session(rater, order, answers, choices[-1] if choices else None))
    return result


Rule = Callable[[Session, Study, Key], bool]


def rules(key: Key) -> dict[str, tuple[str, Rule]]:
    """The rules in force, by name: in words, and as a function that is True of a rater who is left out."""
    limits = key.screening
    right, apart = limits.headphones_right, limits.repeat_difference
    all_rules: dict[str, tuple[bool, str, Rule]] = {
        "unfinished": (limits.unfinished, "did not answer every page", _unfinished),
        "headphones": (right > 0, f"told fewer than {right} of {len(key.headphones)} quiet tones", _no_headphones),
        "attention": (limits.attention, "did not do what the attention page asked", _inattentive),
        "anchor": (
            limits.reference_above_anchor,
            "did not rate the hidden reference above the low anchor",
            _deaf_to_the_anchor,
        ),
        "repeats": (apart > 0, f"answered repeated pages more than {apart:g} apart, in the median", _inconsistent),
        "equal": (limits.all_equal, "gave every clip the same marks", _all_equal),
        "fast": (limits.too_fast, "took less time than the clips last, on most pages", _too_fast),
    }
    return {name: (words, rule) for name, (on, words, rule) in all_rules.items() if on}


def screen(everyone: Sequence[Session], study: Study, key: Key) -> tuple[list[Session], dict[str, int]]:
    """Those who stay, and how many each rule is true of; one who breaks two rules counts in both."""
    told = rules(key)
    broken = {s.rater: [name for name, (_, rule) in told.items() if rule(s, study, key)] for s in everyone}
    counts = {name: sum(name in names for names in broken.values()) for name in told}
    return [session for session in everyone if not broken[session.rater]], counts


def tests_of(session: Session, key: Key) -> list[Answer]:
    """The answers that are analysed: neither repeats nor attention."""
    return [answer for answer in session.answers.values() if key.trials[answer.trial].role == "test"]


def _unfinished(session: Session, study: Study, key: Key) -> bool:
    return any(study.trials[place].id not in session.answers for place in study.orders[session.order])


def _no_headphones(session: Session, study: Study, key: Key) -> bool:
    if not key.headphones or session.choices is None:
        return False
    right = sum(choice == quiet for choice, quiet in zip(session.choices, key.headphones, strict=True))
    return right < key.screening.headphones_right


def _inattentive(session: Session, study: Study, key: Key) -> bool:
    """Of two clips to choose from, the last one is asked for."""
    for answer in session.answers.values():
        expected = key.trials[answer.trial].expected
        if expected is None:
            continue
        clips = next(trial.clips for trial in study.trials if trial.id == answer.trial)
        asked = clips[-1:] if study.kind == "ab" else clips
        if any(answer.marks[clip] != expected for clip in asked):
            return True
    return False


def _deaf_to_the_anchor(session: Session, study: Study, key: Key) -> bool:
    marks: dict[str, list[int]] = {REFERENCE: [], ANCHOR: []}
    for answer in tests_of(session, key):
        systems = {key.clips[clip].system for clip in answer.marks}
        for clip, given in answer.marks.items():
            system = key.clips[clip].system
            if system in marks and (study.kind != "ab" or systems == set(marks)):  # of pairs, the pair of both
                marks[system] += given.values()
    return all(marks.values()) and mean(marks[REFERENCE]) <= mean(marks[ANCHOR])


def _inconsistent(session: Session, study: Study, key: Key) -> bool:
    apart = []
    for answer in session.answers.values():
        before = session.answers.get(key.trials[answer.trial].of or "")
        if before is not None:
            pairs = [
                (answer.marks[clip][name], before.marks[clip][name]) for clip in answer.marks for name in answer.marks[clip]
            ]
            apart += [abs(later - earlier) for later, earlier in pairs]
    return bool(apart) and median(apart) > key.screening.repeat_difference


def _all_equal(session: Session, study: Study, key: Key) -> bool:
    """For preferences: always the same side, which no balanced order deserves."""
    answers = tests_of(session, key)
    if study.kind == "ab":
        shown = {trial.id: trial.clips for trial in study.trials}
        marks = [tuple(answer.marks[clip]["preference"] for clip in shown[answer.trial]) for answer in answers]
    else:
        marks = [(mark,) for answer in answers for given in answer.marks.values() for mark in given.values()]
    return len(answers) > 2 and len(set(marks)) == 1


def _too_fast(session: Session, study: Study, key: Key) -> bool:
    def least(answer: Answer) -> float:
        return sum(end - start for start, end in (needed(study.clips[clip]) for clip in answer.marks))

    answers = list(session.answers.values())
    return bool(answers) and sum(answer.seconds < 0.9 * least(answer) for answer in answers) > len(answers) / 2
