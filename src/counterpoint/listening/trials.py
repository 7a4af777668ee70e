"""Pages and their orders: what is rated together, how often a page comes back, where attention is checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from counterpoint.listening import orders, wording
from counterpoint.listening.orders import Cell
from counterpoint.listening.study import ANCHOR, REFERENCE, Clip, Kind, Question, Role, Secret, Trial, needed
from counterpoint.rng import mix

LONGEST = 30
"""Minutes of a session, where the number of items is left open."""
THINKING = 10.0
"""Seconds that a page takes beside listening."""

Naming = Callable[..., str]


@dataclass(frozen=True)
class Plan:
    """What pages are made from; `opened` are open references by item."""

    kind: Kind
    items: tuple[str, ...]
    systems: tuple[str, ...]
    per_rater: int
    repeats: int
    seed: int
    opened: Mapping[str, str]
    captions: Mapping[str, str]

    def conditions(self) -> list[tuple[str, ...]]:
        """The systems of a page, in the order of showing, for each way to present an item."""
        if self.kind == "rating":
            return [(system,) for system in self.systems]
        if self.kind == "mushra":
            return [self.systems[i:] + self.systems[:i] for i in range(len(self.systems))]
        real = [system for system in self.systems if system != ANCHOR]
        pairs = list(combinations(real, 2)) + ([(REFERENCE, ANCHOR)] if ANCHOR in self.systems else [])
        return pairs + [(b, a) for a, b in pairs]

    def rounds(self) -> int:
        """How often one rater meets an item: with every system, with every pair, once."""
        count = len(self.conditions())
        return {"rating": count, "ab": count // 2, "mushra": 1}[self.kind]


@dataclass
class Made:
    """Pages, what they are for, and the orders: places in `trials`."""

    trials: tuple[Trial, ...] = ()
    secrets: dict[str, Secret] = field(default_factory=dict)
    orders: tuple[tuple[int, ...], ...] = ()


def make_trials(plan: Plan, questions: Sequence[Question], name: Naming, clips: Mapping[str, Clip]) -> Made:
    """All pages of a test and the order in which each rater meets them; `name` makes ids that say nothing."""
    size = plan.per_rater or _items_that_fit(plan, name, clips)
    conditions = plan.conditions()
    trials: dict[tuple[Role, Cell], Trial] = {}
    sessions = []
    for k, cells in enumerate(orders.orders(len(plan.items), len(conditions), plan.rounds(), size, plan.seed)):
        generator = np.random.default_rng(mix(plan.seed, k))
        session = []
        for role, place in orders.insert_checks(len(cells), plan.repeats, 1, generator):
            which = (role, cells[place])
            if which not in trials:
                trials[which] = _trial(plan, role, cells[place], name)
            session.append(which)
        sessions.append(session)
    listed = sorted(trials, key=lambda which: trials[which].id)
    places = {which: place for place, which in enumerate(listed)}
    return Made(
        tuple(trials[which] for which in listed),
        {trials[which].id: _secret(plan, which, questions, name) for which in listed},
        tuple(tuple(places[which] for which in session) for session in sessions),
    )


def _trial(plan: Plan, role: Role, cell: Cell, name: Naming) -> Trial:
    """A page; a repeated one turns the order of its clips round."""
    item = plan.items[cell.item]
    systems = plan.conditions()[cell.condition]
    shown = tuple(reversed(systems)) if role == "repeat" else systems
    return Trial(
        id=name("trial", role, str(cell.item), str(cell.condition)),
        clips=tuple(name("clip", system, item) for system in shown),
        reference=plan.opened.get(item),
        caption=plan.captions.get(item),
        instruction=wording.attention(plan.kind)[0] if role == "attention" else None,
    )


def _secret(plan: Plan, which: tuple[Role, Cell], questions: Sequence[Question], name: Naming) -> Secret:
    role, cell = which
    item = plan.items[cell.item]
    of = name("trial", "test", str(cell.item), str(cell.condition)) if role == "repeat" else None
    mark = wording.attention(plan.kind)[1]
    expected = {question.name: mark for question in questions} if role == "attention" else None
    return Secret(role=role, item=item, of=of, expected=expected)


def _page_seconds(kind: Kind, parts: Sequence[Clip]) -> float:
    """How long a page takes: hearing what must be heard, twice where clips are compared, and thinking."""
    heard = sum(end - start for start, end in map(needed, parts))
    return heard * (1 if kind == "rating" else 2) + THINKING


def _items_that_fit(plan: Plan, name: Naming, clips: Mapping[str, Clip]) -> int:
    """As many items as half an hour holds, at least one."""
    conditions = plan.conditions()[: plan.rounds()]
    each = [
        sum(_page_seconds(plan.kind, [clips[name("clip", system, item)] for system in systems]) for systems in conditions)
        for item in plan.items
    ]
    return max(1, min(len(plan.items), int(LONGEST * 60 / (sum(each) / len(each)))))


def minutes(made: Made, clips: Mapping[str, Clip]) -> int:
    """How long the longest session takes, rounded up to five minutes."""
    kind: Kind = "rating" if len(made.trials[0].clips) == 1 else "ab"
    each = [_page_seconds(kind, [clips[clip] for clip in trial.clips]) for trial in made.trials]
    longest = max(sum(each[place] for place in order) for order in made.orders)
    return 5 * max(1, -(-round(longest / 60) // 5))
