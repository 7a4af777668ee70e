"""Drum grooves: one line of sixteenths per instrument of the kit, fills at the ends of sections, crashes at their starts.

X is an accent, x a plain hit, o a ghost note.
"""

from numpy.random import Generator

from counterpoint.data.corpus.players import BY_METRE, Event, fit, hits
from counterpoint.data.corpus.sheet import Sheet, pick

KIT = {
    "kick": 36, "snare": 38, "rim": 37, "clap": 39, "hat": 42, "pedal": 44, "open": 46, "ride": 51, "bell": 53, "crash": 49,
    "low tom": 45, "mid tom": 47, "high tom": 50, "floor tom": 41, "shaker": 70, "tambourine": 54, "conga": 63, "low conga": 64,
    "mute conga": 62, "cowbell": 56, "claves": 75, "bongo": 60, "low bongo": 61, "side": 37, "woodblock": 76, "timbale": 65,
}  # fmt: skip
_LEVELS = {"X": 1.0, "x": 0.78, "o": 0.4}
_QUIET = {"hat": 0.75, "pedal": 0.6, "open": 0.75, "ride": 0.75, "shaker": 0.7, "tambourine": 0.65, "claves": 0.7, "crash": 0.8}
_LIGHT = ("kick", "hat", "pedal", "ride", "shaker", "rim")
"""What of the kit plays where little is asked for."""


def _four(**lines: str) -> dict[str, BY_METRE]:
    return {name: {"4/4": line} for name, line in lines.items()}


GROOVES: dict[str, dict[str, BY_METRE]] = {
    "none": {},
    "pop": _four(kick="X.......X.x.....", snare="....X.......X...", hat="x.x.x.x.x.x.x.x."),
    "four-floor pop": _four(
        kick="X...X...X...X...",
        snare="....X.......X...",
        hat="x.x.x.x.x.x.x.x.",
        tambourine="....x.......x...",
    ),
    "half-time": _four(
        kick="X.....x.........",
        snare="........X.......",
        hat="x...x...x...x...",
        tambourine="....o.......o...",
    ),
    "rock": _four(kick="X.......X.x.....", snare="....X.......X...", hat="X.x.X.x.X.x.X.x."),
    "driving rock": _four(kick="X..x..x.X.x.....", snare="....X.......X..o", ride="X.x.X.x.X.x.X.x."),
    "funk": _four(kick="X.....x...x..x..", snare="....X..o.o..X..o", hat="XoxoXoxoXoxoXoxo"),
    "sixteenth funk": _four(kick="X..x......x.....", snare="....X..o....X.o.", hat="X.xoX.xoX.xoX.xo", open="..............x."),
    "swing": {
        "ride": {"4/4": "X...X.x.X...X.x.", "3/4": "X...X.x.X...", "6/8": "X.....X...x."},
        "pedal": {"4/4": "....x.......x...", "3/4": "....x...x...", "6/8": "......x....."},
        "kick": {"4/4": "o...o...o...o...", "3/4": "x...........", "6/8": "x..........."},
        "snare": {"4/4": "..............o.", "3/4": "..........o.", "6/8": "..........o."},
    },
    "swing brushes": {
        "ride": {"4/4": "X...X.x.X...X.x.", "3/4": "X...X...X.x.", "6/8": "X.....X...x."},
        "pedal": {"4/4": "....X.......X...", "3/4": "....x...x...", "6/8": "......x....."},
        "snare": {"4/4": "o...o...o...o...", "3/4": "....o...o...", "6/8": "....o.....o."},
    },
    "bossa": _four(
        kick="x.....x.x.....x.x.....x.x.....x.",
        rim="X.....X.....X.......X.....X.....",
        hat="X.o.X.o.X.o.X.o.X.o.X.o.X.o.X.o.",
        pedal="....x.......x.......x.......x...",
    ),
    "bossa shaker": _four(kick="x.....x.x.....x.", rim="X.....X.....X...", shaker="XoooXoooXoooXooo"),
    "shuffle": _four(kick="X.......X.....x.", snare="....X.......X...", hat="X.x.X.x.X.x.X.x."),
    "slow blues": _four(kick="X.......X.......", snare="....X.......X...", ride="X.x.X.x.X.x.X.x."),
    "one drop": _four(kick="....X.......X...", rim="....X.......X...", hat="X.x.X.x.X.x.X.x.", snare="..............o."),
    "rockers": _four(kick="X.......X.......", rim="....X.......X...", hat="X.x.X.x.X.x.X.x."),
    "steppers": _four(kick="X...X...X...X...", rim="....X.......X...", hat="X.x.X.x.X.x.X.x."),
    "house": _four(kick="X...X...X...X...", clap="....X.......X...", open="..x...x...x...x.", hat="XooxXooxXooxXoox"),
    "deep house": _four(
        kick="X...X...X...X...",
        clap="....x.......x...",
        open="..x...x...x...x.",
        shaker="X.xoX.xoX.xoX.xo",
        rim=".......o......o.",
    ),
    "techno": _four(kick="X...X...X...X...", open="..x...x...x...x.", hat="XoxoXoxoXoxoXoxo", clap="....x.......x..."),
    "rolling techno": _four(
        kick="X...X...X...X...", open="..x...x...x...x.", rim="...x..x....x..x.", shaker="XoooXoooXoooXooo"
    ),
    "soft pulse": _four(kick="x.......x.......", shaker="x.o.x.o.x.o.x.o."),
    "heartbeat": _four(kick="x.o.....x.......", rim="....o.......o..."),
    "lo-fi": _four(kick="X......x..x.....", snare="....X.......X...", hat="x.x.x.x.x.x.x.x."),
    "lo-fi sparse": _four(kick="X.....x.........", rim="....X.......X...", shaker="x.x.x.x.x.x.x.x."),
    "boom bap": _four(kick="X......x..x.....", snare="....X.......X...", hat="X.x.x.x.X.x.x.x."),
    "trap": _four(kick="X.....x...x.....", clap="....X.......X...", hat="x.x.x.x.x.x.xxxx"),
    "waltz": {
        "kick": {"3/4": "X..........."},
        "snare": {"3/4": "....o...o..."},
        "hat": {"3/4": "....x...x..."},
        "ride": {"3/4": "x...x...x..."},
    },
    "waltz light": {"kick": {"3/4": "x..........."}, "tambourine": {"3/4": "....x...x..."}},
    "cinematic": _four(kick="X.......x.......", **{"floor tom": "X...x...X...x.x."}, crash="................"),
    "cinematic toms": _four(kick="X.......x.......", **{"floor tom": "X...X.xxX...X.x.", "low tom": "..x...........xx"}),
    "folk": _four(kick="X.......X.......", tambourine="....X.......X...", shaker="x.x.x.x.x.x.x.x."),
    "folk shaker": _four(kick="x...x...x...x...", shaker="X.x.X.x.X.x.X.x."),
    "metal": _four(kick="X.xxX.xxX.xxX.xx", snare="....X.......X...", crash="X...............", hat="X...X...X...X..."),
    "double kick": _four(kick="xxxxxxxxxxxxxxxx", snare="....X.......X...", ride="X...X...X...X..."),
    "metal half-time": _four(kick="X..x..x.....x.x.", snare="........X.......", hat="X...X...X...X..."),
    "son": _four(
        claves="X.....X.....X.......X...X.......",
        conga="............X.............X.X...",
        **{"mute conga": "x...X...x...x...x...X...x...x...", "low conga": "..............xx..............xx"},
        cowbell="X...x...X...x...X...x...X...x...",
        kick="x.....x.x.....x.x.....x.x.....x.",
    ),
    "cha-cha": _four(
        cowbell="X...X...X...X...",
        kick="x.......x.......",
        shaker="x.xxx.xxx.xxx.xx",
        **{"mute conga": "....X...........", "low conga": "............x.x."},
        timbale="............X...",
    ),
    "songo": _four(
        kick="x.....x.......x.",
        snare="....o.......X...",
        cowbell="X...X...X...X...",
        **{"low conga": "..............xx", "mute conga": "....x...x......."},
        hat="x.x.x.x.x.x.x.x.",
    ),
}  # fmt: skip
_SIX_EIGHT = {
    "kick": "X.......x...",
    "snare": "......X.....",
    "hat": "X.x.x.X.x.x.",
}
"""What a kit does in 6/8 where the groove is not written for it: the off-beat on the second felt beat."""


def play_drums(sheet: Sheet, rng: Generator) -> list[Event]:
    """The kit's part over the whole sheet."""
    groove = GROOVES[pick(sheet.style.grooves, rng)] or GROOVES["soft pulse"]
    lines = {name: fit(line, sheet.metre) for name, line in groove.items()}
    if sheet.metre.denominator == 8:
        lines = _six_eight(lines)
    events: list[Event] = []
    for part in sheet.parts:
        fill = _fill(part.last, part.name, sheet, rng) if _wants_fill(sheet, part.last, rng) else []
        hushed = min((event.beat for event in fill), default=float("inf"))
        for name, line in lines.items():
            if part.name == "intro" and name not in _LIGHT and sheet.energy < 0.9:
                continue
            for hit in hits(line, sheet, part.first, part.last):
                if hit.beat >= hushed and name not in ("kick", "hat", "ride", "shaker"):
                    continue
                events.append(_struck(hit.beat, name, _LEVELS[hit.sign], sheet, rng))
        events += fill
        if sheet.energy > 0.4 and "crash" not in lines and sheet.style.name not in _UNCRASHED:
            events.append(_struck(sheet.beat(part.first), "crash", 0.8, sheet, rng))
    return events


_UNCRASHED = ("ambient", "bossa nova", "lo-fi", "waltz", "folk", "classical piano", "latin")


def _six_eight(lines: dict[str, str]) -> dict[str, str]:
    """Keep the colour of the groove, but give kick, snare and hat the lilt of 6/8."""
    swapped = dict(lines)
    for name, line in _SIX_EIGHT.items():
        if name in lines:
            swapped[name] = line
    if not {"hat", "ride", "shaker"} & set(lines):
        swapped["shaker"] = _SIX_EIGHT["hat"]
    return swapped


def _struck(beat: float, name: str, level: float, sheet: Sheet, rng: Generator) -> Event:
    bar = int(beat / sheet.metre.beats + 1e-6)
    loud = level * _QUIET.get(name, 1.0) * (0.55 + 0.45 * sheet.intensity(bar)) * (0.94 + 0.12 * rng.random())
    return Event(beat, 0.0, KIT[name], min(1.0, loud))


def _wants_fill(sheet: Sheet, bar: int, rng: Generator) -> bool:
    ends_inside = sheet.beat(bar) <= sheet.beats + 1e-6
    return ends_inside and sheet.energy > 0.3 and rng.random() < 0.85


def _fill(bar: int, section: str, sheet: Sheet, rng: Generator) -> list[Event]:
    """The last beat or two before bar `bar`: a roll, a run down the toms, or a build-up over a whole bar."""
    unit = sheet.metre.beats / sheet.steps
    per_beat = sheet.steps // sheet.metre.beats
    style = sheet.style.name
    if style in ("house", "techno"):
        count, kit = (sheet.steps if section != "chorus" else per_beat), ("snare",)
    elif style in ("bossa nova", "latin", "folk", "waltz"):
        count, kit = per_beat, pick((("rim",), ("bongo", "low bongo"), ("mute conga", "conga", "low conga")), rng)
    else:
        count = per_beat * (2 if sheet.energy > 0.55 and sheet.metre.beats > 2 else 1)
        kit = pick((("snare",), ("snare", "high tom", "mid tom", "floor tom"), ("high tom", "mid tom", "low tom")), rng)
    stride = 1 if sheet.energy > 0.6 and sheet.grid.bpm < 150 else 2
    events: list[Event] = []
    for step in range(0, count, stride):
        name = kit[step * len(kit) // count]
        level = 0.45 + 0.5 * step / count
        if step % 2 and rng.random() < 0.3:
            continue
        events.append(_struck(sheet.beat(bar) - (count - step) * unit, name, level, sheet, rng))
    return events
