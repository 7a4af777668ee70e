"""Comping figures and pads: rhythmic chords, broken chords, strums, off-beats, montunos, and sustained harmony.

Signs: X accented chord, x chord, u up-stroke (the upper notes, soft), p palm-muted root and fifth, B the chord's lowest
note, c the chord without it; 1 to 9 single notes of the chord from the bottom (higher numbers climb into the next octave),
o the root in octaves.
"""

from numpy.random import Generator

from counterpoint.data.corpus.harmony import barre, voice
from counterpoint.data.corpus.players import BY_METRE, Event, Hit, fit, hits
from counterpoint.data.corpus.sheet import Sheet, pick
from counterpoint.music import Chord

COMPS: dict[str, BY_METRE] = {
    "strum": {"4/4": "X---x-u-x-u-x-u-", "3/4": "X---x-u-x-u-", "6/8": "X---u-x---u-"},
    "folk strum": {"4/4": "X---x-u---u-x-u-", "3/4": "X---x-u-x-u-", "6/8": "X-u-u-x-u-u-"},
    "rock strum": {"4/4": "X---x-x-x---x-x-", "6/8": "X---x-x---x-"},
    "latin strum": {"4/4": "X--xx-u-X--xx-u-", "6/8": "X-u-x-X-u-x-"},
    "piano pulse": {"4/4": "X---x---x---x---", "3/4": "X---x---x---", "6/8": "X-x-x-X-x-x-"},
    "arpeggio": {"4/4": "1-3-4-3-2-3-4-3-", "3/4": "1-3-4-5-4-3-", "6/8": "1-3-4-5-4-3-"},
    "piano arpeggio": {"4/4": "1-2-3-4-5-4-3-2-", "3/4": "1-2-3-4-3-2-", "6/8": "1-2-3-5-3-2-"},
    "lazy arpeggio": {"4/4": "1-3-4---2-3-4---", "6/8": "1-3-4-2-3-4-"},
    "slow arpeggio": {"4/4": "1---3---4---3---", "3/4": "1---3---4---", "6/8": "1---3-4---3-"},
    "bells": {"4/4": "4---2---3---5---", "3/4": "4---2---3---", "6/8": "4---2-3---5-"},
    "soft pulse": {"4/4": "X---c---c---c---", "3/4": "X---c---c---", "6/8": "X---c-c---c-"},
    "offbeat push": {"4/4": "X---..x-..x-x---", "6/8": "X---x-x---x-"},
    "power eighths": {"4/4": "X-x-x-x-X-x-x-x-", "6/8": "X-x-x-X-x-x-"},
    "funk chank": {"4/4": "X.x...xx..x.X.x."},
    "funk stabs": {"4/4": "X..x..x...X..x.."},
    "clav": {"4/4": "1.Xx.2x.1.Xx.xx."},
    "charleston": {"4/4": "X---..x---------X---..x-----..x-", "3/4": "X---..x-----", "6/8": "X---..x-----"},
    "freddie green": {"4/4": "x---X---x---X---", "3/4": "x---X---X---", "6/8": "x-----X-----"},
    "swing stabs": {"4/4": "X-----x-----x---x-----x-X---..x-"},
    "bossa guitar": {"4/4": "X---x-c-B---x---B-c-x---B-c-x---", "6/8": "X---x-..x---"},
    "bossa guitar sparse": {"4/4": "X---x---B-c-x---", "6/8": "X---x-..x---"},
    "shuffle riff": {"4/4": "X-x-X-x-X-x-X-x-"},
    "shuffle chops": {"4/4": "o-..X.x.o-..X.x.", "6/8": "o---..X---x."},
    "skank": {"4/4": "..X...X...X...X.", "6/8": "....X.....X."},
    "skank bubble": {"4/4": "o.X.c.X.o.X.c.X.", "6/8": "o.c.X.o.c.X."},
    "house stabs": {"4/4": "X..x..x...x..x..", "6/8": "X...x.x...x."},
    "house piano": {"4/4": "X-.X-.X-..X-X-..", "6/8": "X-..X-X-..X-"},
    "gate": {"4/4": "X.xxX.xxX.xxX.xx", "6/8": "X.xxx.X.xxx."},
    "techno stabs": {"4/4": "X.....x.....x..."},
    "sequence": {"4/4": "1.3.4.3.1.3.5.3.", "6/8": "1.3.4.1.3.5."},
    "lo-fi chords": {"4/4": "X-----..x---x---", "6/8": "X---x-..x---"},
    "hip-hop stabs": {"4/4": "X---..x-X---....", "6/8": "X---x-x---.."},
    "oom-pah-pah": {"3/4": "....X-..X-..", "4/4": "....X-..X-..X-..", "6/8": "..X-X-..X-X-"},
    "waltz arpeggio": {"3/4": "1-2-3-4-3-2-", "6/8": "1-2-3-4-3-2-"},
    "alberti": {"4/4": "1-3-2-3-1-2-3-2-", "3/4": "1-3-2-3-2-3-", "6/8": "1-3-2-1-3-2-"},
    "piano chords": {"4/4": "X---x---X---x---", "3/4": "B---c---c---", "6/8": "B-c-c-B-c-c-"},
    "string ostinato": {"4/4": "1-311-411-311-41", "3/4": "1-3-1-3-1-3-", "6/8": "1-3-4-1-3-4-"},
    "string eighths": {"4/4": "X-x-x-x-X-x-x-x-", "6/8": "X-x-x-X-x-x-"},
    "pizzicato": {"4/4": "1-..3-..2-..3-4-", "6/8": "1-..3-1-..4-"},
    "travis": {"4/4": "1-4-3-5-1-4-3-5-", "3/4": "1-4-3-5-3-4-", "6/8": "1-3-4-1-3-5-"},
    "metal chug": {"4/4": "X-ppp-ppX-ppp-pp", "6/8": "X-p-ppX-p-pp"},
    "gallop": {"4/4": "X-ppp-ppp-ppp-pp", "6/8": "X-p-ppp-p-pp"},
    "montuno": {"4/4": "8-c.8.c.8.c.8-c.8.c.8-c.8.c.8.c.", "6/8": "8.c.8.c.8.c."},
}
_LEVELS = {"X": 0.9, "x": 0.72, "u": 0.55, "p": 0.7, "B": 0.8, "c": 0.66, "o": 0.8}
_STRUMMED = range(24, 32)
_BRUSHED = (15, 46, 104, 105, 106, 107)
_LOW, _HIGH = 50, 67
_GUITAR_LOW = 40


def play_comp(sheet: Sheet, rng: Generator) -> list[Event]:
    """The comping part over the whole sheet; a chord that changes inside a held figure is struck anew."""
    line = fit(COMPS[pick(sheet.style.comps, rng)], sheet.metre)
    program = sheet.programs["comp"]
    strummed = program in _STRUMMED or program in _BRUSHED
    events: list[Event] = []
    voicings = _voicings(sheet)
    for part in sheet.parts:
        for hit in _split(list(hits(line, sheet, part.first, part.last)), sheet):
            slot = sheet.harmony.at(hit.beat)
            if slot.chord is not None:
                events += _strike(hit, slot.chord, voicings[slot.start], strummed)
    return events


def _split(played: list[Hit], sheet: Sheet) -> list[Hit]:
    """Hits cut where the chord changes, the rest of a long one struck again on the new chord."""
    parts: list[Hit] = []
    for hit in played:
        beat, end = hit.beat, hit.beat + hit.length
        while beat < end - 1e-6:
            stop = min(end, max(sheet.harmony.at(beat).end, beat + 1e-3))
            parts.append(Hit(beat, stop - beat, hit.sign))
            beat = stop
    return parts


def _voicings(sheet: Sheet) -> dict[float, tuple[int, ...]]:
    """The spelling of every slot's chord, each led from the one before."""
    guitar = sheet.style.voicing == "barre" and sheet.programs["comp"] in _STRUMMED
    previous: tuple[int, ...] = ()
    voicings: dict[float, tuple[int, ...]] = {}
    for slot in sheet.harmony.slots:
        if slot.chord is not None:
            previous = barre(slot.chord, _GUITAR_LOW) if guitar else voice(slot.chord, previous, _LOW, _HIGH)
            voicings[slot.start] = previous
    return voicings


def _strike(hit: Hit, chord: Chord, pitches: tuple[int, ...], strummed: bool) -> list[Event]:
    if hit.sign == "8":  # the montuno's octaves: the root in two octaves
        root = 50 + (chord.root - 50) % 12
        return [Event(hit.beat, hit.length, pitch, 0.8) for pitch in (root, root + 12)]
    if hit.sign.isdigit():
        return [Event(hit.beat, hit.length, _rung(pitches, int(hit.sign) - 1), 0.85 if hit.sign == "1" else 0.72)]
    if hit.sign == "o":
        root = min(p for p in range(43, 55) if p % 12 == chord.root)
        return [Event(hit.beat, hit.length, root, 0.75), Event(hit.beat, hit.length, root + 12, 0.7)]
    chosen = {"u": pitches[1:][::-1], "p": pitches[:2], "B": pitches[:1], "c": pitches[1:]}.get(hit.sign, pitches)
    length = hit.length * 0.6 if hit.sign == "p" else hit.length
    spread = 2.0 if strummed else 0.0
    return [
        Event(hit.beat, length, pitch, _LEVELS[hit.sign] * (0.94 + 0.02 * index), spread * index)
        for index, pitch in enumerate(chosen)
    ]


def _rung(pitches: tuple[int, ...], index: int) -> int:
    """Note `index` of a broken chord from the bottom, going on into the next octave."""
    octave, place = divmod(index, len(pitches))
    return pitches[place] + 12 * octave


def play_pad(sheet: Sheet, rng: Generator) -> list[Event]:
    """Sustained chords, common tones held in place by voice-leading."""
    previous: tuple[int, ...] = ()
    low = 50 + int(rng.random() * 4)
    events: list[Event] = []
    for slot in sheet.harmony.slots:
        if slot.chord is None:
            continue
        previous = voice(slot.chord, previous, low, low + 19)
        events += [Event(slot.start, slot.end - slot.start, pitch, 0.62) for pitch in previous]
    return events
