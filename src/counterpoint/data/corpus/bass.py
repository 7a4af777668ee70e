"""Bass lines: patterns of chord degrees, and the walking bass.

Signs: R root, o octave above, 3 third, 5 fifth, 6 sixth, 7 seventh, a the semitone or tone that leads into the next root.
"""

from numpy.random import Generator

from counterpoint.data.corpus.harmony import Slot, scale
from counterpoint.data.corpus.players import BY_METRE, Event, Hit, fit, hits
from counterpoint.data.corpus.sheet import Sheet, pick
from counterpoint.music import QUALITIES, Chord

BASSES: dict[str, BY_METRE] = {
    "eighths": {"4/4": "R-R-R-R-R-R-R-R-", "6/8": "R-R-R-R-R-5-"},
    "root-fifth": {"4/4": "R-------5---R---", "3/4": "R-------5---", "6/8": "R-----5-----"},
    "syncopated": {"4/4": "R--R..R-R--5..R-", "6/8": "R---R-R---5-"},
    "funk": {"4/4": "R--R..o.R-.5..o.R--R..o.R.7.R.a."},
    "slap octaves": {"4/4": "R..o..R.R.o..o.."},
    "bossa": {"4/4": "R-----5-5-----R-", "6/8": "R---R-5---5-"},
    "boogie": {"4/4": "R-R-3-5-6-6-5-3-R-R-5-R-6-R-5-R-", "6/8": "R-3-5-6-5-3-"},
    "shuffle roots": {"4/4": "R-R-5-R-R-R-5-a-", "6/8": "R---R-5---R-"},
    "reggae": {"4/4": "R-..R-3-5---..R.", "6/8": "R---3-5---.."},
    "reggae walk": {"4/4": "R---R-5-..5-3-R.", "6/8": "R---3-5---R-"},
    "octave house": {"4/4": "R.o.R.o.R.o.R.o.", "6/8": "R.o.o.R.o.o."},
    "offbeat house": {"4/4": "R.R-..R-..R-..R-", "6/8": "R...R-R...R-"},
    "techno rumble": {"4/4": "R.RRR.RRR.RRR.RR", "6/8": "R.RRRRR.RRRR"},
    "techno sixteenths": {"4/4": "RRoRRRoRRRoRRRoR", "6/8": "RRoRRoRRoRRo"},
    "pedal": {"4/4": "R---------------", "3/4": "R-----------", "6/8": "R-----------"},
    "slow roots": {"4/4": "R-------R-------", "3/4": "R-----------", "6/8": "R-----R-----"},
    "lo-fi": {"4/4": "R-----.RR---..5-", "6/8": "R---.RR---5-"},
    "hip-hop": {"4/4": "R-....R-..R-....", "6/8": "R---R-R---.."},
    "sub": {"4/4": "R-----R---R-----", "6/8": "R-----R---R-"},
    "waltz": {"3/4": "R---....5-..", "4/4": "R---....5---....", "6/8": "R---..5---.."},
    "left hand": {"4/4": "R-------R---5---", "3/4": "R-----------", "6/8": "R-----5-----"},
    "ostinato roots": {"4/4": "R-.RR-R-R-.RR-R-", "6/8": "R-R-R-R-R-R-"},
    "gallop": {"4/4": "R-RRR-RRR-RRR-RR", "6/8": "R-R-R-R-RRR-"},
    "metal sixteenths": {"4/4": "RRRRRRRRRRRRRRRR", "6/8": "RRRRRRRRRRRR"},
    "tumbao": {"4/4": "R-....5---..o---R-....5---..a---", "6/8": "R---5-..o---"},
    "cha-cha": {"4/4": "R---..5-R---5-a-", "6/8": "R---5-R---5-"},
    "walking": {},
}
_LOW, _HIGH = 28, 45
_LOUD = {"R": 1.0, "o": 0.9}
"""How much the root stands out; the other degrees have 0.74."""


def play_bass(sheet: Sheet, rng: Generator) -> list[Event]:
    """The bass part over the whole sheet: the root, or the chord's own bass, sounds wherever the chord changes."""
    name = pick(sheet.style.basses, rng)
    if name == "walking" and sheet.metre.denominator == 4:
        return _walk(sheet, rng)
    line = fit(BASSES[name] or BASSES["shuffle roots"], sheet.metre)
    played = [hit for part in sheet.parts for hit in hits(line, sheet, part.first, part.last)]
    events: list[Event] = []
    for hit in _rooted(played, sheet):
        slot = sheet.harmony.at(hit.beat)
        if slot.chord is None:
            continue
        following = sheet.harmony.at(slot.end).chord or slot.chord
        pitch = _degree(slot.chord, hit.sign, following, sheet)
        length = min(hit.length, slot.end - hit.beat)
        events.append(Event(hit.beat, length, pitch, 0.86 * _LOUD.get(hit.sign, 0.74)))
    return events


def _rooted(played: list[Hit], sheet: Sheet) -> list[Hit]:
    """The hits, with the root set (or put) at every change of chord."""
    changes = {round(slot.start, 4): slot for slot in sheet.harmony.slots}
    kept: list[Hit] = []
    for hit in played:
        slot = changes.pop(round(hit.beat, 4), None)
        kept.append(hit if slot is None else hit._replace(sign="R"))
    for slot in changes.values():
        sounding = next((hit for hit in reversed(kept) if hit.beat < slot.start < hit.beat + hit.length - 1e-6), None)
        later = min((hit.beat for hit in kept if hit.beat > slot.start), default=slot.end)
        kept.append(Hit(slot.start, min(later, slot.end) - slot.start, "R"))
        if sounding is not None:
            kept[kept.index(sounding)] = sounding._replace(length=slot.start - sounding.beat)
    return sorted(kept)


def _root(chord: Chord) -> int:
    lowest = chord.root if chord.bass is None else chord.bass
    return _LOW + (lowest - _LOW) % 12


def _degree(chord: Chord, sign: str, following: Chord, sheet: Sheet) -> int:
    root = _root(chord)
    if sign == "R":
        return root
    if sign == "o":
        return root + 12
    if sign == "a":
        target = _root(following)
        return target - 1 if target > _LOW + 2 else target + 1 if (target + 1) % 12 in sheet.key.scale else target + 2
    steps = QUALITIES[chord.quality]
    third = steps[1]
    fifth = next((step for step in steps if step in (6, 7, 8)), 7)
    seventh = next((step for step in steps if step in (9, 10, 11)), 10)
    step = {"3": third, "5": fifth, "6": 9 if third == 4 else 10, "7": seventh}[sign]
    pitch = _LOW + (chord.root - _LOW) % 12 + step
    return pitch - 12 if pitch > _HIGH + 2 and pitch - 12 >= _LOW else pitch


def _walk(sheet: Sheet, rng: Generator) -> list[Event]:
    """A note on every beat: roots on changes, chord and scale tones between, a leading tone before the next change."""
    events: list[Event] = []
    pitch = 36
    for slot in _barwise(sheet):
        assert slot.chord is not None
        count = max(1, round(slot.end - slot.start))
        pitch = _near(slot.chord.root if slot.chord.bass is None else slot.chord.bass, pitch)
        for index in range(count):
            if index:
                pitch = _step(slot, pitch, index, count, sheet, rng)
            beat = slot.start + index
            events.append(Event(beat, min(0.95, slot.end - beat), pitch, 0.92 if index == 0 else 0.66))
            if rng.random() < 0.08 and beat + 1 < slot.end:  # a skipped eighth
                events.append(Event(beat + 0.5, 0.4, pitch, 0.6))
    return events


def _barwise(sheet: Sheet) -> list[Slot]:
    """The chords that sound, cut at bar lines so that every bar sets out from a root."""
    bar = sheet.metre.beats
    pieces: list[Slot] = []
    for slot in sheet.harmony.slots:
        start = slot.start
        while slot.chord is not None and start < slot.end - 1e-6:
            end = min(slot.end, (start // bar + 1) * bar)
            pieces.append(Slot(start, end, slot.chord))
            start = end
    return pieces


def _near(pitch_class: int, pitch: int) -> int:
    """The octave of a pitch class that lies nearest, within the bass's range."""
    options = [p for p in range(_LOW, _HIGH + 4) if p % 12 == pitch_class]
    return min(options, key=lambda p: abs(p - pitch))


def _step(slot: Slot, pitch: int, index: int, count: int, sheet: Sheet, rng: Generator) -> int:
    assert slot.chord is not None
    following = sheet.harmony.at(slot.end).chord or slot.chord
    target = _near(following.root, pitch)
    if index == count // 2 and rng.random() < 0.7:  # the root once more in the middle
        return _near(slot.chord.root, pitch)
    if index == count - 1 and count > 1:  # lead into the next root by a semitone, or by this chord's fifth
        return target + (1 if pitch > target else -1) if rng.random() < 0.5 else _near((slot.chord.root + 7) % 12, pitch)
    tones = slot.chord.pitch_classes if index % 2 == 0 else scale(slot.chord, sheet.key)
    upward = pitch < (_LOW + _HIGH) // 2 if rng.random() < 0.6 else rng.random() < 0.5
    ladder = [p for p in range(_LOW, _HIGH + 4) if p % 12 in tones and (p > pitch if upward else p < pitch)]
    if not ladder:
        return _near(slot.chord.root, pitch)
    return ladder[0] if upward else ladder[-1]
