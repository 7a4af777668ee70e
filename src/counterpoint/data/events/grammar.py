"""Which symbols may come next: a line that obeys is a piece, whoever writes it.

The grammar reads a line symbol by symbol, keeps the bars that it has understood, and marks what may follow.  What the words
state (`terms.py`) is all that may stand in its place.
"""

from collections.abc import Mapping
from math import ceil

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.grid import Grid
from counterpoint.data.events.line import left
from counterpoint.data.events.reading import Head
from counterpoint.data.events.script import Bar, Script, learn
from counterpoint.data.events.terms import Terms
from counterpoint.music import ROLES

_ROLE, _PROGRAM, _BAR, _SECTION, _POSITION = (v.FIRST[kind] for kind in ("role", "program", "bar", "section", "position"))
_CHORD, _AGAIN, _LENGTH, _PITCH, _HIT = (v.FIRST[kind] for kind in ("chord", "again", "length", "pitch", "hit"))
_LOUD, _SAME = v.FIRST["loud"], v.FIRST["same"]
_LEVELS = len(v.HIT_LEVELS)
MOST_IN_BAR = 360
"""Symbols in a bar after which only its end is allowed: more than any composed bar has."""


class Grammar:
    """The state of a line that is being written.

    It begins with nothing, or (`go_on`) where some bars are told and others wanted.  `mask` marks what may come next, `push`
    takes it, `done` says that the end was written.
    """

    def __init__(self, seconds: float, terms: Terms | None = None):
        self.seconds = seconds
        self.terms = terms or Terms()
        self.head: list[int] = []
        self.bars: dict[int, Bar] = {}
        self.told: set[int] = set()
        """The bars that parts may be repeated from: those that whoever writes still has before it."""
        self.done = False
        self._settled: Head | None = None
        self._wanted: list[int] = []
        self._count, self._bar, self._last_ticks = 0, 0, 0
        self._chords: list[tuple[int, ...]] = []
        self._before = ""
        """The kind of the symbol before."""
        self._index, self._in_bar = -1, 0
        self._forced: list[int] = []
        self._front: list[int] = []
        self._parts: dict[int, tuple[int, ...]] = {}
        self._role: int | None = None
        self._part: list[int] = []
        self._begin_part()

    @staticmethod
    def go_on(head: tuple[int, ...], bars: Mapping[int, Bar], wanted: range, grid: Grid, seconds: float) -> "Grammar":
        """A grammar for the `wanted` bars of a piece on `grid`, where the given `bars` have been told."""
        grammar = Grammar(seconds)
        grammar.head, grammar.bars, grammar.told = list(head), dict(bars), set(bars)
        grammar._settle(Head.of(head), grid)
        grammar._wanted = list(wanted)
        return grammar

    @property
    def count(self) -> int:
        """Bars in the piece; 0 while the head does not say."""
        return self._count

    @property
    def index(self) -> int:
        """The number of the bar that is being written; -1 before the first."""
        return self._index

    def script(self) -> Script:
        """What has been written: whole bars in order."""
        return Script(tuple(self.head), tuple(bar for _, bar in sorted(self.bars.items())))

    def mask(self) -> Bool[ndarray, " v"]:
        """The symbols that may come next; never none until the line is done."""
        allowed = np.zeros(v.SIZE, np.bool_)
        if self._settled is None:
            self._allow_head(allowed)
        elif self._index < 0:
            allowed[left(self._wanted[0], self._count)] = True
        elif self._forced:
            allowed[self._forced[0]] = True
            if self._before == "bar":
                allowed[v.span("section")] = True
        elif self._role is None:
            self._allow_front(allowed)
        elif self._role == v.DRUMS:
            self._allow_hits(allowed)
        else:
            self._allow_notes(allowed)
        return self._hastened(allowed) if self._in_bar >= MOST_IN_BAR else allowed

    def push(self, token: int) -> None:
        """Read the next symbol, one that `mask` allows."""
        kind = v.kind_of(token)
        if self._settled is None and kind != "bar":
            self.head.append(token)
        elif kind == "bar":
            if self._settled is None:
                self._settle_head()
            self._close_bar()
            self._index = self._wanted.pop(0)
            self._forced = list(self._chords[self._index]) if self._chords else []
        elif token == v.END:
            self._close_bar()
            self.done = True
        elif kind == "role":
            self._close_part()
            self._role = token - _ROLE
        elif self._role is None:
            self._push_front(token, kind)
        else:
            self._push_part(token, kind)
        self._before = kind
        self._in_bar = 0 if kind == "bar" else self._in_bar + 1

    def _hastened(self, allowed: ndarray) -> ndarray:
        """The end of the bar alone, where it may come."""
        ending = np.zeros_like(allowed)
        ending[left(self._wanted[0], self._count) if self._wanted else v.END] = True
        return ending if bool((ending & allowed).any()) else allowed

    # The head ---------------------------------------------------------------------------------------------------------

    def _allow_head(self, allowed: ndarray) -> None:
        written = len(self.head)
        if written < len(v.HEAD):
            kind = v.HEAD[written]
            forced = self.terms.head.get(kind)
            allowed[v.span(kind) if forced is None else forced] = True
            return
        roles = [token - _ROLE for token in self.head if v.kind_of(token) == "role"]
        if self._before == "role" and roles[-1] != v.DRUMS:
            forced = self.terms.programs.get(roles[-1])
            allowed[v.span("program") if forced is None else _PROGRAM + forced] = True
            return
        for role in range(roles[-1] + 1 if roles else 0, len(ROLES)):
            if role not in self.terms.without:
                allowed[_ROLE + role] = True
            if role in self.terms.programs:  # it has to come, and so nobody after it before
                return
        if roles:
            allowed[left(0, self._bars_of_head())] = True

    def _bars_of_head(self) -> int:
        head = Head.of(tuple(self.head))
        return self._grid(head).bars(self.seconds)

    def _grid(self, head: Head) -> Grid:
        tempo = head.tempo if self.terms.tempo is None else self.terms.tempo
        return Grid.steady(tempo, head.metre, head.swing)

    def _settle_head(self) -> None:
        head = Head.of(tuple(self.head))
        self._settle(head, self._grid(head))
        self._wanted = list(range(self._count))
        self._chords = self.terms.chords(head.key, head.metre, self._count)

    def _settle(self, head: Head, grid: Grid) -> None:
        self._settled, self._bar, self._count = head, grid.bar, grid.bars(self.seconds)
        total = float(grid.ticks(np.array([self.seconds], np.float64))[0])
        self._last_ticks = min(self._bar, max(1, ceil(total - (self._count - 1) * self._bar - 0.25)))

    # Bars -------------------------------------------------------------------------------------------------------------

    def _ticks(self) -> int:
        """Ticks of this bar in which something may begin."""
        return self._last_ticks if self._index == self._count - 1 else self._bar

    def _allow_front(self, allowed: ndarray) -> None:
        if self._before in ("bar", "section", "position"):
            allowed[v.span("chord")] = True
            if self._before == "bar":
                allowed[v.span("section")] = True
            return
        if self._before == "chord" and self._front[-1] != _CHORD + v.NO_CHORD and not self._chords:
            allowed[v.span("inversion")] = True
        if not self._chords:
            allowed[_POSITION + self._tick + 1 : _POSITION + self._ticks()] = True
        self._allow_leaving(allowed)

    def _allow_leaving(self, allowed: ndarray) -> None:
        """A player whose turn comes later, the next bar, or the end."""
        assert self._settled is not None
        for role in self._settled.programs:
            if self._role is None or role > self._role:
                allowed[_ROLE + role] = True
        allowed[left(self._wanted[0], self._count) if self._wanted else v.END] = True

    def _push_front(self, token: int, kind: str) -> None:
        if self._forced and kind != "section":
            self._forced.pop(0)
        if kind == "position":
            self._tick = token - _POSITION
        self._front.append(token)

    def _close_bar(self) -> None:
        self._close_part()
        if self._index >= 0:
            self.bars[self._index] = Bar(tuple(self._front), self._parts)
            self.told.add(self._index)
        self._front, self._parts = [], {}
        self._tick = 0

    # Parts ------------------------------------------------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._role, self._part = None, []
        self._tick, self._loud, self._length, self._note = -1, -1, -1, -1
        self._used: set[int] = set()
        """Pitches struck at this tick."""
        self._strike: list[int] = []
        self._known: list[tuple[int, ...]] = []
        self._once_more = False
        """Whether the last position was that of the strike before: then the length has to be another."""

    def _close_part(self) -> None:
        if self._role is not None and self._part:
            self._parts[self._role] = tuple(self._part)
        self._begin_part()

    def _allow_start(self, allowed: ndarray) -> bool:
        """What may open a part; True where it is at its opening."""
        if self._before != "role":
            return False
        assert self._role is not None
        for number, back in enumerate(v.AGAIN):
            if self._index - back in self.told and self._role in self.bars[self._index - back].parts:
                allowed[_AGAIN + number] = True
        allowed[_POSITION : _POSITION + self._ticks()] = True
        return True

    def _allow_hits(self, allowed: ndarray) -> None:
        if self._allow_start(allowed):
            return
        if self._before == "again":
            return self._allow_leaving(allowed)
        if self._before == "hit":
            allowed[_POSITION + self._tick + 1 : _POSITION + self._ticks()] = True
            self._allow_leaving(allowed)
        allowed[_HIT + (self._note + 1) * _LEVELS : _HIT + v.HITS * _LEVELS] = True

    def _allow_notes(self, allowed: ndarray) -> None:
        if self._allow_start(allowed):
            return
        if self._before in ("again", "pitch", "same"):
            self._allow_leaving(allowed)
            if self._before != "again":
                later = self._tick + (self._length == len(v.LENGTHS) - 1)  # no longer note can follow here
                allowed[_POSITION + later : _POSITION + self._ticks()] = True
            if self._before == "pitch":
                self._allow_pitches(allowed, above=self._note)
            return
        if self._before == "position":
            allowed[v.span("loud")] = True
            if self._loud < 0:
                return
            allowed[_LOUD + self._loud] = False
        if self._before in ("position", "loud"):
            lowest = self._length + 1 if self._once_more else 0
            allowed[_LENGTH + lowest : _LENGTH + len(v.LENGTHS)] = True
            if self._length >= 0:
                allowed[_LENGTH + self._length] = False
            if self._length < 0 or self._once_more:
                return
        self._allow_pitches(allowed, above=-1)
        for number, notes in enumerate(self._known):
            allowed[_SAME + number] = not self._used & set(notes)

    def _allow_pitches(self, allowed: ndarray, above: int) -> None:
        allowed[_PITCH + above + 1 : v.span("pitch").stop] = True
        for note in self._used:
            allowed[_PITCH + note] = False

    def _push_part(self, token: int, kind: str) -> None:
        number = v.number_of(token)
        match kind:
            case "again":
                self._part = list(self.bars[self._index - v.AGAIN[number]].parts[self._role or 0])
                return
            case "position":
                learn(tuple(self._strike), self._known)
                self._once_more = self._role != v.DRUMS and number == self._tick
                self._used = self._used if self._once_more else set()
                self._tick, self._note, self._strike = number, -1, []
            case "loud":
                self._loud = number
            case "length":
                self._length = number
            case "hit":
                self._note = number // _LEVELS
            case "same":
                self._used |= set(self._known[number])
            case _:
                self._note = number
                self._used.add(number)
                self._strike.append(number)
        self._part.append(token)
