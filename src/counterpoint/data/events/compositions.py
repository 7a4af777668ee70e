"""Composed pieces as lines, each with a caption: what a planner learns from.  Made when they are asked for, never stored."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator

from counterpoint import rng
from counterpoint.data.base import Item
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.describe import describe
from counterpoint.data.corpus.styles import MOODS, STYLES
from counterpoint.data.events import line
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.script import Script, write
from counterpoint.music import ROLES, Brief, Chord, Key, Metre, Score

SPLITS = ("train", "valid", "test")
_QUALITIES = ("maj", "min", "maj7", "min7", "7", "sus4", "dim", "9")


@dataclass(frozen=True)
class Composition:
    """A score and what may be said of it."""

    score: Score
    captions: tuple[str, ...]


def composition(seed: int, split: str, number: int, shortest: float, longest: float, varied: float) -> Composition:
    """Piece `number` of a split: the same arguments give the same piece, and no two splits share any.

    A piece is of any style and between `shortest` and `longest` seconds; `varied` is the chance that its brief asks for what
    its style would not do by itself.
    """
    own = rng.mix(seed, SPLITS.index(split), number)
    draw = np.random.default_rng(rng.mix(own, 1))
    brief = Brief(style=_pick(tuple(STYLES), draw))
    if draw.random() < varied:
        brief = _unusual(brief.style, draw)
    score = compose(brief, round(float(draw.uniform(shortest, longest)), 1), rng.mix(own, 2))
    return Composition(score, tuple(describe(score, np.random.default_rng(rng.mix(own, 3)))))


def _pick(options: tuple, draw: Generator):
    return options[int(draw.integers(len(options)))]


def _unusual(style: str | None, draw: Generator) -> Brief:
    """A brief such as a user may give: each thing asked for by chance."""
    role, absent = _pick(ROLES[:4], draw), _pick(ROLES, draw)
    chances = draw.random(8)
    key = Key(int(draw.integers(12)), _pick(("major", "minor"), draw))
    chords = tuple(Chord(_pick(key.scale, draw), _pick(_QUALITIES, draw)) for _ in range(int(draw.integers(2, 5))))
    return Brief(
        style=style,
        mood=_pick(tuple(MOODS), draw) if chances[0] < 0.4 else None,
        metre=Metre.parse(_pick(("4/4", "3/4", "6/8"), draw)) if chances[1] < 0.2 else None,
        bpm=float(draw.integers(50, 191)) if chances[2] < 0.25 else None,
        instruments={role: int(draw.integers(128))} if chances[3] < 0.4 else {},
        without=frozenset((absent,)) if chances[4] < 0.3 and not (absent == role and chances[3] < 0.4) else frozenset(),
        energy=round(float(draw.random()), 2) if chances[5] < 0.4 else None,
        key=key if chances[6] < 0.5 else None,
        chords=chords if chances[7] < 0.2 else (),
    )


class Compositions:
    """A split of composed pieces; which caption, and whether a gap is to be filled, is drawn anew each time."""

    def __init__(
        self, split: str, seed: int, count: int, window: int, shortest: float, longest: float, varied: float, gaps: float
    ):
        self.split, self.seed, self.count, self.window = split, seed, count, window
        self.shortest, self.longest, self.varied, self.gaps = shortest, longest, varied, gaps

    def __len__(self) -> int:
        return self.count

    def piece(self, index: int) -> Composition:
        """The piece of a number."""
        return composition(self.seed, self.split, index, self.shortest, self.longest, self.varied)

    def item(self, index: int, seed: int) -> Item:
        draw = np.random.default_rng(seed)
        piece = self.piece(index)
        script = _anonymous(write(piece.score), draw)
        text = piece.captions[int(draw.integers(len(piece.captions)))]
        tokens = [v.NOTHING, *self._line(script, draw)][: self.window + 1]
        return Item(frames=torch.tensor([tokens]), values={"text": text})

    def _line(self, script: Script, draw: Generator) -> list[int]:
        """In order, from the first bar or from another where it is too long for the window; or around a gap."""
        count = len(script.bars)
        if count > 2 and draw.random() < self.gaps:
            length = int(draw.integers(1, max(1, count // 2) + 1))
            first = int(draw.integers(0, count - length + 1))
            middle = range(first, first + length)
            bars = dict(enumerate(script.bars))
            before, after = line.near(script.head, bars, middle, count, self.window * 2 // 3)
            return line.around(script, before, after, middle)
        tokens = line.whole(script)
        if len(tokens) > self.window and draw.random() < 0.4:
            return line.whole(script, int(draw.integers(1, count)))
        return tokens


def _anonymous(script: Script, draw: Generator) -> Script:
    """Now and then no style or mood is told, as in files of others."""
    head = list(script.head)
    if draw.random() < 0.05:
        head[0] = v.symbol("style", len(v.STYLES) - 1)
    if draw.random() < 0.1:
        head[1] = v.symbol("mood", len(v.MOODS) - 1)
    return Script(tuple(head), script.bars)
