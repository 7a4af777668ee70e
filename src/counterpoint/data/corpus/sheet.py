"""The lead sheet: what a brief and a seed settle before any player plays, and the grid that turns beats into seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import TypeVar

from numpy.random import Generator

from counterpoint.data.corpus.harmony import Harmony, Slot, guess_key, looped, progression, roman
from counterpoint.data.corpus.style import COMPOUND
from counterpoint.data.corpus.styles import MOODS, STYLES, Style
from counterpoint.music import FASTEST, ROLES, SLOWEST, Brief, Chord, Key, Metre

T = TypeVar("T")

_FORM = ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "outro")
INTENSITY = {"intro": 0.6, "verse": 0.78, "chorus": 1.0, "bridge": 0.85, "outro": 0.7}


@dataclass(frozen=True)
class Part:
    """A section in whole bars, [first, last)."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Grid:
    """Felt beats as seconds: constant tempo, swung within every `swing_unit` beats."""

    bpm: float
    swing: float = 0.5
    swing_unit: float = 1.0

    def seconds(self, beat: float) -> float:
        unit = floor(beat / self.swing_unit + 1e-9)
        phase = beat / self.swing_unit - unit
        bent = phase * 2 * self.swing if phase < 0.5 else self.swing + (phase - 0.5) * 2 * (1 - self.swing)
        return (unit + bent) * self.swing_unit * 60 / self.bpm


@dataclass(frozen=True)
class Sheet:
    """All that the players share.  Positions are felt beats from the start, bars count from 0."""

    style: Style
    mood: str
    key: Key
    metre: Metre
    grid: Grid
    seconds: float
    energy: float
    bars: int
    beats: float
    """The length in beats, not rounded."""
    parts: tuple[Part, ...]
    harmony: Harmony
    programs: dict[str, int]
    """The General-MIDI program of every role that plays."""

    @property
    def steps(self) -> int:
        """Pattern steps in a bar: sixteenth notes."""
        return 16 if self.metre.numerator == 4 else 12

    def beat(self, bar: int, step: float = 0.0) -> float:
        """The felt beat of a pattern step."""
        return (bar + step / self.steps) * self.metre.beats

    def part(self, bar: int) -> Part:
        """The section that a bar belongs to."""
        return next((part for part in self.parts if part.first <= bar < part.last), self.parts[-1])

    def intensity(self, bar: int) -> float:
        """How loud and dense a bar is meant, 0 to 1: by energy and section, rising towards the next section."""
        part = self.part(bar)
        rise = 0.08 * (bar - part.first) / max(1, part.last - part.first)
        return min(1.0, (0.45 + 0.55 * self.energy) * INTENSITY[part.name] + rise)


def pick(options: Sequence[T], rng: Generator) -> T:
    """One of the options, each as likely as it is often listed."""
    return options[int(rng.random() * len(options))]


def lead_sheet(brief: Brief, seconds: float, rng: Generator) -> Sheet:
    """Settle what the brief leaves open.  Raises ValueError where the brief asks for what cannot be."""
    check(brief, seconds)
    style = STYLES[brief.style or pick(_likely(brief), rng)]
    mood = brief.mood or pick(style.moods, rng)
    metre = brief.metre or Metre.parse(pick(style.metres, rng))
    key = brief.key or _key(brief, style, mood, rng)
    bpm = brief.bpm if brief.bpm is not None else _tempo(style, mood, metre, rng)
    low, high = style.energy
    drawn = min(1.0, max(0.05, low + (high - low) * rng.random() + MOODS[mood].energy * 0.6))
    beats = seconds * bpm / 60
    bars = max(1, ceil(beats / metre.beats - 1e-6))
    written = [progression(pick(_progressions(style, key), rng), key, rng.random() < style.sevenths) for _ in range(2)]
    parts = _form(bars, seconds / bars, len(written[0]), rng)
    if brief.chords:
        lengths = brief.chord_beats or (float(metre.beats),) * len(brief.chords)
        slots = looped(brief.chords, lengths, bars * metre.beats)
    else:
        slots = _harmonise(parts, written, metre, bars, key, rng)
    swung = metre.denominator == 4
    return Sheet(
        style=style,
        mood=mood,
        key=key,
        metre=metre,
        grid=Grid(bpm, style.swing if swung else 0.5, style.swing_unit),
        seconds=seconds,
        energy=brief.energy if brief.energy is not None else drawn,
        bars=bars,
        beats=beats,
        parts=parts,
        harmony=Harmony.of(slots),
        programs=_programs(brief, style, rng),
    )


def _likely(brief: Brief) -> tuple[str, ...]:
    """The styles that know most of the instruments which are asked for: all, where none is."""
    asked = {(role, program) for role, program in brief.instruments.items() if role != "drums"}

    def known(style: Style) -> int:
        return sum(program in style.instruments.get(role, ()) for role, program in asked)

    most = max(map(known, STYLES.values()))
    return tuple(name for name, style in STYLES.items() if known(style) == most)


def check(brief: Brief, seconds: float) -> None:
    """Raises ValueError for a brief that cannot be met: what is wrong and what to ask for instead."""
    if not 0.5 <= seconds <= 3600:
        raise ValueError(f"A piece of {seconds} seconds cannot be composed; ask for 0.5 to 3600 seconds.")
    if brief.style is not None and brief.style not in STYLES:
        raise ValueError(f"The style {brief.style!r} is not known; known are {', '.join(STYLES)}.")
    if brief.mood is not None and brief.mood not in MOODS:
        raise ValueError(f"The mood {brief.mood!r} is not known; known are {', '.join(MOODS)}.")
    if brief.bpm is not None and not SLOWEST <= brief.bpm <= FASTEST:
        raise ValueError(f"A tempo of {brief.bpm:g} beats a minute cannot be played; ask for {SLOWEST:g} to {FASTEST:g}.")
    if brief.energy is not None and not 0 <= brief.energy <= 1:
        raise ValueError(f"The energy {brief.energy} is outside 0 to 1; 0 is sparse and quiet, 1 dense and loud.")
    unknown = (set(brief.instruments) | brief.without) - set(ROLES)
    if unknown:
        raise ValueError(f"The roles {', '.join(sorted(unknown))} are not known; known are {', '.join(ROLES)}.")
    both = set(brief.instruments) & brief.without
    if both:
        raise ValueError(f"{', '.join(sorted(both))}: asked for and left out at once; drop one of the two.")
    if brief.without >= set(ROLES):
        raise ValueError("Every role is left out, so nothing would sound; allow at least one.")
    if any(not 0 <= program <= 127 for program in brief.instruments.values()):
        raise ValueError("An instrument is not a General-MIDI program; programs are 0 to 127.")
    if brief.chord_beats and (len(brief.chord_beats) != len(brief.chords) or min(brief.chord_beats) <= 0):
        raise ValueError("chord_beats must hold one positive length for each of the chords; correct it or leave it empty.")


def _key(brief: Brief, style: Style, mood: str, rng: Generator) -> Key:
    tonic, draw = int(rng.integers(12)), rng.random()
    if any(chord is not None for chord in brief.chords):
        return guess_key(brief.chords)
    # Both the style and the mood have a say; style odds near 0 or 1 are hard to bend.
    weight, against = style.major_odds * MOODS[mood].major, (1 - style.major_odds) * (1 - MOODS[mood].major)
    return Key(tonic, "major" if draw < weight / (weight + against) else "minor")


def _tempo(style: Style, mood: str, metre: Metre, rng: Generator) -> float:
    low, high = style.tempo
    place = 0.5 * rng.random() + 0.5 * min(1.0, max(0.0, MOODS[mood].tempo + 0.5 * (rng.random() - 0.5)))
    return float(round((low + (high - low) * place) * (COMPOUND if metre.denominator == 8 else 1.0)))


def _progressions(style: Style, key: Key) -> tuple[str, ...]:
    return style.major if key.mode == "major" else style.minor


def _form(bars: int, bar_seconds: float, cycle: int, rng: Generator) -> tuple[Part, ...]:
    """Sections in whole bars: an excerpt of one or two where there is little time, a whole form where there is much."""
    unit = 4 if bar_seconds < 2.6 else 2
    if cycle == 12:
        unit = 12
    names = list(
        pick((("verse", "chorus"), ("chorus", "verse"), ("verse", "chorus"), ("intro", "verse"), ("chorus", "outro")), rng)
    )
    if bars <= unit + 1:
        names = [pick(("verse", "chorus"), rng)]
    if bars > 4 * unit:
        unit, names = max(unit, 8 if bar_seconds < 2.6 else 4), list(_FORM)
    parts: list[Part] = []
    first = 0
    while first < bars:
        name = names[len(parts) % len(names)]
        length = unit // 2 if name == "intro" and unit >= 4 else unit
        last = min(bars, first + length)
        if bars - last < 2:  # a single bar left over belongs to the section before it
            last = bars
        parts.append(Part(name, first, last))
        first = last
    if len(parts) > 3 and parts[-1].name != "outro":
        parts[-1] = replace(parts[-1], name="outro")
    return tuple(parts)


def _harmonise(
    parts: tuple[Part, ...], written: list[list[list[Chord]]], metre: Metre, bars: int, key: Key, rng: Generator
) -> list[Slot]:
    """Verses on the one progression, choruses on the other; the last bar may come home to the tonic."""
    slots: list[Slot] = []
    same = rng.random() < 0.4
    for part in parts:
        cycle = written[0] if same or part.name in ("intro", "verse", "outro") else written[1]
        for bar in range(part.first, part.last):
            chords = cycle[(bar - part.first) % len(cycle)]
            length = metre.beats / len(chords)
            if metre.beats == 3 and len(chords) == 2:  # three beats share as two and one
                slots += [Slot(bar * 3.0, bar * 3 + 2.0, chords[0]), Slot(bar * 3 + 2.0, bar * 3 + 3.0, chords[1])]
                continue
            for index, chord in enumerate(chords):
                start = bar * metre.beats + index * length
                slots.append(Slot(start, start + length, chord))
    home = roman("I" if key.mode == "major" else "i", key)
    last = float((bars - 1) * metre.beats)
    ends_home = next(slot.chord for slot in reversed(slots) if slot.start <= last) or home
    if rng.random() < 0.75 and bars > 2 and ends_home.root != home.root:
        slots = [slot for slot in slots if slot.start < last] + [Slot(last, last + metre.beats, home)]
    return _merged(slots)


def _merged(slots: list[Slot]) -> list[Slot]:
    """Neighbours with the same chord as one slot."""
    merged: list[Slot] = []
    for slot in slots:
        if merged and merged[-1].chord == slot.chord:
            merged[-1] = replace(merged[-1], end=slot.end)
        else:
            merged.append(slot)
    return merged


def _programs(brief: Brief, style: Style, rng: Generator) -> dict[str, int]:
    """Who plays: roles that are asked for, and of the others those that chance admits."""
    programs: dict[str, int] = {}
    for role in ROLES:
        draw, options = rng.random(), style.instruments.get(role, (0,))
        drawn = pick(options, rng)
        if role in brief.without:
            continue
        if role in brief.instruments:
            programs[role] = brief.instruments[role]
        elif draw < style.odds.get(role, 1.0):
            programs[role] = drawn
    if not programs:  # the brief took away what the style's chances left
        role = next(role for role in ROLES if role not in brief.without)
        programs[role] = style.instruments.get(role, (0,))[0]
    return programs
