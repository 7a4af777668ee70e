"""Melodies: motifs with a rhythm and a contour, repeated, moved and varied into phrases that end and breathe.

A phrase is a, a', b, cadence: the motif, the motif on the next chord, a contrast, and a close on a chord tone with a rest
after it.  Strong beats take chord tones, the notes between pass or neighbour along the scale.
"""

from dataclasses import dataclass

from numpy.random import Generator

from counterpoint.data.corpus.harmony import scale
from counterpoint.data.corpus.players import BY_METRE, Event, Hit, fit, hits
from counterpoint.data.corpus.sheet import Sheet, pick

RHYTHMS: dict[str, tuple[BY_METRE, ...]] = {
    "plain": (
        {"4/4": "x---x---x-x-x---", "3/4": "x---x---x---", "6/8": "x---x-x-----"},
        {"4/4": "x-----x-x---x---", "3/4": "x-----x-x---", "6/8": "x---x-x---x-"},
        {"4/4": "x---x-x-x-------", "3/4": "x-------x-x-", "6/8": "x-x-x-x-----"},
        {"4/4": "x-x-x---x-x-x---", "3/4": "x---x-x-x---", "6/8": "x---x-x-x-x-"},
        {"4/4": "x-------x---x-x-", "3/4": "x-------x---", "6/8": "x-----x---x-"},
    ),
    "flowing": (
        {"4/4": "x-x-x-x-x-x-x---", "3/4": "x-x-x-x-x---", "6/8": "x-x-x-x-x-x-"},
        {"4/4": "x---x-x-x-x-x-x-", "3/4": "x---x-x-x-x-", "6/8": "x---x-x-x-x-"},
        {"4/4": "x-x-x---x-x-x---", "3/4": "x-x-x---x---", "6/8": "x-x-x-x---x-"},
        {"4/4": "x---x---x-xxx---", "3/4": "x-----x-x-x-", "6/8": "x--xx-x---x-"},
    ),
    "syncopated": (
        {"4/4": "x--x--x-x---x-..", "6/8": "x---x-x-x---"},
        {"4/4": "x-x---x---x-x---", "6/8": "x-x---x---x-"},
        {"4/4": "x---x--x--x-x---", "6/8": "x---x---x-x-"},
        {"4/4": "x-x--xx-..x-x---", "6/8": "x-x-x-..x---"},
        {"4/4": "x-----x-x--x--x-", "6/8": "x-----x-x-x-"},
        {"4/4": "..x-x-x-x---x---", "6/8": "..x-x-x-----"},
    ),
    "swing": (
        {"4/4": "x-x-x-x-x-----x-", "3/4": "x---x-x-x---", "6/8": "x---x-x---x-"},
        {"4/4": "x---x-x-..x-x---", "3/4": "x-----x-x-x-", "6/8": "x---..x-x-x-"},
        {"4/4": "..x-x-x-x---x---", "3/4": "..x-x-x-x---", "6/8": "..x-x-x-----"},
        {"4/4": "x-----x-x-x-x-x-", "3/4": "x-x-x-----x-", "6/8": "x-x-x-x-----"},
    ),
    "sparse": (
        {"4/4": "x-------x---x---", "3/4": "x-------x---", "6/8": "x-----x---x-"},
        {"4/4": "x---------x-x---", "3/4": "x---x-------", "6/8": "x---x-x-----"},
        {"4/4": "x-------x-------", "3/4": "x-----------", "6/8": "x-----x-----"},
        {"4/4": "x---x---x-------", "3/4": "x-----x-x---", "6/8": "x---------x-"},
    ),
    "riff": (
        {"4/4": "x-xxx-x-x---x-x-", "6/8": "x-xxx-x---x-"},
        {"4/4": "x--x--x-x--x--x-", "6/8": "x---x-x---x-"},
        {"4/4": "x-x-x-xxx-x-x---", "6/8": "x-x-xxx-x---"},
        {"4/4": "x---x-x-x---x-x-", "6/8": "x---x-x-x-x-"},
    ),
}
_CLOSE: tuple[BY_METRE, ...] = (
    {"4/4": "x-x-x-------....", "3/4": "x-x-x---....", "6/8": "x-x-x---...."},
    {"4/4": "x---x-------....", "3/4": "x-------....", "6/8": "x-------...."},
    {"4/4": "x-----------....", "3/4": "x---x---....", "6/8": "x---x---...."},
)
_SHAPES = {
    "arch": (0, 1, 2, 3, 4, 3, 2, 1),
    "fall": (0, -1, -2, -1, -3, -2, -4, -3),
    "rise": (0, 1, 0, 2, 1, 3, 2, 4),
    "turn": (0, 1, 0, -1, 0, 1, 2, 0),
    "wave": (0, 2, 1, 0, -1, 0, 2, 1),
    "leap": (0, 4, 3, 2, 1, 2, 1, 0),
    "repeat": (0, 0, 1, 0, 0, -1, 0, 0),
}
_ARCS = ((0, 1, 3, 0), (0, 2, 4, 1), (0, -1, 2, 0), (2, 1, 4, 0), (0, 0, 3, 1), (3, 2, 1, 0), (1, 0, 4, 2))
"""Where the bars of a phrase lie, in whole tones."""
_ENDINGS = ((2, 1, 0, 0), (2, 1, 0, -1), (-1, 0, 1, 0), (4, 2, 1, 0), (-2, -1, 0, 0))
_RANGES = {
    range(0, 8): (64, 84), range(8, 16): (67, 88), range(16, 24): (62, 81), range(24, 32): (62, 81), range(32, 40): (55, 72),
    range(40, 41): (64, 86), range(41, 43): (57, 76), range(43, 44): (40, 57),
    range(44, 56): (62, 81), range(56, 57): (60, 79), range(57, 59): (52, 69),
    range(59, 60): (60, 79), range(60, 61): (57, 74), range(61, 64): (60, 77), range(64, 68): (60, 79), range(68, 72): (62, 81),
    range(72, 80): (67, 88), range(80, 96): (62, 82), range(96, 128): (62, 82),
}  # fmt: skip


@dataclass(frozen=True)
class Motif:
    """One bar of rhythm and the steps of the scale that its notes stand above the first."""

    rhythm: str
    shape: tuple[int, ...]


def melody_range(program: int) -> tuple[int, int]:
    """The pitches in which an instrument sings, lowest and highest."""
    return next(limits for programs, limits in _RANGES.items() if program in programs)


def play_melody(sheet: Sheet, rng: Generator) -> list[Event]:
    """The tune over the whole sheet; verses share one pair of motifs, the other sections another, intros have none."""
    verse, chorus = _motifs(sheet, rng), _motifs(sheet, rng)
    limits = melody_range(sheet.programs["melody"])
    events: list[Event] = []
    for part in sheet.parts:
        if part.name == "intro" and len(sheet.parts) > 1:
            continue
        motifs = verse if part.name in ("verse", "outro") else chorus
        arc = pick(_ARCS, rng)
        for first in range(part.first, part.last, 4):
            phrase = _phrase(sheet, motifs, first, min(first + 4, part.last), rng)
            events += _sing(sheet, phrase, limits, [step + 2 * (part.name == "chorus") for step in arc])
    return events


def _motifs(sheet: Sheet, rng: Generator) -> tuple[Motif, Motif]:
    rhythms = RHYTHMS[sheet.style.rhythm]
    if sheet.energy < 0.25:
        rhythms = RHYTHMS["sparse"]
    first, second = (Motif(fit(pick(rhythms, rng), sheet.metre), _SHAPES[pick(tuple(_SHAPES), rng)]) for _ in range(2))
    return first, second


Phrase = list[tuple[Hit, int, int]]
"""Hits, each with its steps above its bar's anchor and the number of the bar within the phrase."""


def _phrase(sheet: Sheet, motifs: tuple[Motif, Motif], first: int, last: int, rng: Generator) -> Phrase:
    """Bars a, a', b and a close; shorter phrases drop from the middle."""
    a, b = motifs
    varied = Motif(a.rhythm, tuple(-step for step in a.shape) if rng.random() < 0.3 else a.shape)
    close = Motif(fit(pick(_CLOSE, rng), sheet.metre), pick(_ENDINGS, rng))
    bars = {1: [a], 2: [a, close], 3: [a, varied, close], 4: [a, varied, b, close]}[last - first]
    phrase: Phrase = []
    for bar, motif in enumerate(bars):
        for index, hit in enumerate(hits(motif.rhythm, sheet, first + bar, first + bar + 1)):
            phrase.append((hit, motif.shape[index % len(motif.shape)], bar))
    return phrase


def _sing(sheet: Sheet, phrase: Phrase, limits: tuple[int, int], arc: list[int]) -> list[Event]:
    """Pitches for a phrase: each bar's anchor follows the arc, its notes follow the motif's shape around it."""
    centre = (limits[0] + limits[1]) // 2
    events: list[Event] = []
    before, climbed = None, 0
    for index, (hit, steps, bar) in enumerate(phrase):
        slot = sheet.harmony.at(hit.beat)
        tones = scale(slot.chord, sheet.key, sheet.style.scale)
        final = index == len(phrase) - 1
        pitch = _climb(centre - 3 + 2 * arc[bar], steps, tones)
        strong = hit.beat % 1 < 1e-6 or hit.length >= 1 - 1e-6 or final
        if slot.chord is not None and strong:
            inside = slot.chord.pitch_classes[:4]
            tones = (sheet.key.tonic,) if final and sheet.key.tonic in inside else inside
            pitch = _nearest(pitch, tones, slot.chord.pitch_classes[1])
        if pitch == before and steps != climbed and not final:  # keep the shape's direction
            pitch = _climb(pitch, 1 if steps > climbed else -1, tones)
        pitch = _within(pitch, limits)
        before, climbed = pitch, steps
        loud = 0.84 + (0.08 if hit.beat % sheet.metre.beats < 1e-6 else 0.0) + 0.006 * (pitch - centre)
        events.append(Event(hit.beat, hit.length * (0.96 if hit.length > 0.6 else 0.9), pitch, min(1.0, loud)))
    return events


def _climb(anchor: int, steps: int, tones: tuple[int, ...]) -> int:
    """The pitch so many scale steps from the scale tone nearest to `anchor`."""
    pitch, way = _nearest(anchor, tones), 1 if steps > 0 else -1
    for _ in range(abs(steps)):
        pitch += way
        while pitch % 12 not in tones:
            pitch += way
    return pitch


def _nearest(pitch: int, classes: tuple[int, ...], favoured: int | None = None) -> int:
    """The nearest pitch of the given classes; the favoured one (a chord's third, its colour) may be a tone further off."""
    near = (p for p in range(pitch - 6, pitch + 7) if p % 12 in classes)
    return min(near, key=lambda p: abs(p - pitch) - (1.5 if p % 12 == favoured else 0.0))


def _within(pitch: int, limits: tuple[int, int]) -> int:
    """The pitch moved by octaves into the range."""
    while pitch > limits[1]:
        pitch -= 12
    while pitch < limits[0]:
        pitch += 12
    return pitch
