"""From words to a brief: what a prompt asks of the composer, and which words were not understood."""

from dataclasses import dataclass, field

from ...chart import parse_bar
from ...music import FASTEST, ROLES, SLOWEST, Brief, Chord, Key, Metre
from . import lexicon
from .scanning import CHORD, Item, items, suggest, tokenize
from .style import COMPOUND
from .styles import STYLES

__all__ = ["Reading", "read", "suggest"]

_Harmony = tuple[Metre | None, tuple[Chord | None, ...], tuple[float, ...]]
ANY_STYLE = (70.0, 140.0)
"""The tempo range that "slow" and "fast" are relative to where no style is named."""
TONICS = {"major": 0, "minor": 9}
"""The tonic for "a minor key" without a note: C major and A minor."""
WIDEST = 0.45
"""Tempo words that lie further apart than this, as places in a style's range, contradict each other."""
ONLY = {"only", "just", "alone", "unaccompanied"}
DEFAULT_PROGRAMS = {"melody": 73, "bass": 33, "comp": 0, "pad": 89}
"""Who plays a role that is asked for and that the style has no player for."""
REACH = 5
"""Words that may stand between an instrument and its role: "a flute carries the slow melody"."""

_FORWARD = lexicon.PLAYS | {"on", "for", "as", "in"}
_BACKWARD = lexicon.PLAYED | {"by", "on", "from", "of", "is", "are", ":", "="}


@dataclass(frozen=True)
class Reading:
    """A prompt as understood, and the words that were not, in order."""

    brief: Brief
    unknown: tuple[str, ...] = ()


def read(prompt: str) -> Reading:
    """What a prompt asks for; every word is understood, says nothing, or is in `unknown`.

    Raises ValueError where the prompt contradicts itself, or asks for a tempo or metre that is none.
    """
    draft = _Draft(list(items(prompt)))
    for at in range(len(draft.items)):
        if at not in draft.used:
            _take(draft, at)
    style, metre = _style(draft), _metre(draft)
    mood, energy = _mood(draft), _energy(draft)
    key, bpm = _key(draft, mood), _bpm(draft, style, metre)
    metre, chords, chord_beats = _chords(draft, style, metre)
    instruments = _instruments(draft, style)
    brief = Brief(style, mood, key, bpm, metre, instruments, frozenset(draft.without), energy, chords, chord_beats)
    return Reading(brief, tuple(text for _, text in sorted(draft.unknown)))


@dataclass
class _Draft:
    """The items of a prompt and what has been gathered from them so far."""

    items: list[Item]
    used: set[int] = field(default_factory=set)
    """Items that an earlier one has taken with it."""
    players: list[tuple[str | None, int]] = field(default_factory=list)
    """Roles, where they are said, and indices of the instruments that play them."""
    roles: list[str] = field(default_factory=list)
    """Roles that are asked for, whoever plays them."""
    without: list[str] = field(default_factory=list)
    alone: bool = False
    only: bool = False
    """Whether nobody else is to play: "piano only", "just a flute and drums"."""
    unknown: list[tuple[int, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[Item]:
        """The items of a kind that were not refused, in order."""
        return [item for at, item in enumerate(self.items) if item.kind == kind and at not in self.used]

    def pass_over(self, item: Item) -> None:
        self.unknown.append((self.items.index(item), item.text))


def _take(draft: _Draft, at: int) -> None:
    """Look at one item together with those that it is tied to."""
    kind, value, text = draft.items[at]
    if text in ONLY:
        draft.only = draft.only or _beside_player(draft, at)
    if kind in ("unknown", "voice"):
        draft.unknown.append((at, text))
    elif kind == "not":
        _refuse(draft, at)
    elif kind == "less":
        draft.without.append(value)
    elif kind == "instrument":
        _player(draft, at)
    elif kind == "role":
        _role(draft, at)


def _beside_player(draft: _Draft, at: int) -> bool:
    """Whether an instrument or drums come right before this word, or after it and perhaps an article."""
    following = [item for item in draft.items[at + 1 : at + 3] if item.text not in ("a", "an", "the", "one")]
    beside = [*draft.items[max(0, at - 1) : at], *following[:1]]
    return any(item.kind == "instrument" or (item.kind == "role" and item.value == "drums") for item in beside)


def _refuse(draft: _Draft, at: int) -> None:
    """ "no drums or bass": leave out the roles that follow; what cannot be left out is not understood."""
    refused = False
    target = _after_filler(draft, at + 1)
    while target is not None:
        kind, value, _ = draft.items[target]
        bass = kind == "instrument" and lexicon.INSTRUMENTS[int(value)].roles[0] == "bass"
        refusable = kind in ("role", "voice") or bass
        if not refusable or (refused and _tied(draft, target, _BACKWARD, "instrument") is not None):
            break
        draft.used.add(target)
        refused = True
        if kind != "voice":
            draft.without.append("bass" if bass else value)
        joined = target + 1 < len(draft.items) and draft.items[target + 1].text in ("and", "or", "nor")
        target = _after_filler(draft, target + 1) if joined else None
    if not refused:
        draft.unknown.append((at, " ".join(item.text for item in draft.items[at : (at if target is None else target) + 1])))
        draft.used.update(() if target is None else (target,))


def _after_filler(draft: _Draft, at: int) -> int | None:
    """The first item from `at` on that says something, unless the phrase ends before it."""
    while at < len(draft.items) and draft.items[at].kind == "filler":
        at += 1
    return at if at < len(draft.items) and draft.items[at].kind != "break" else None


def _tied(draft: _Draft, at: int, ties: frozenset[str] | set[str], kind: str) -> int | None:
    """The item of a kind that `at` is tied to by words of `ties`: "melody [played on a] flute"."""
    tied = False
    for other in range(at + 1, min(at + 2 + REACH, len(draft.items))):
        item = draft.items[other]
        if item.kind == kind and tied:
            return other
        if item.kind not in ("filler", "mood", "energy", "style", "tempo") or item.text in ("and", "with", "over", "while"):
            return None
        tied = tied or item.text in ties
    return None


def _player(draft: _Draft, at: int) -> None:
    """ "flute melody", "a flute carries the melody", or a flute of whose role nothing is said."""
    following = draft.items[at + 1] if at + 1 < len(draft.items) else Item("break", "", "")
    direct = following.kind == "role" and following.text not in ("bass", *lexicon.PASSIVE)
    other = at + 1 if direct else _tied(draft, at, _FORWARD, "role")
    role = None if other is None else draft.items[other].value
    if other is None or role == "drums" or draft.items[other].text in lexicon.PASSIVE:
        draft.players.append((None, at))
        return
    draft.used.add(other)
    draft.players.append((role, at))


def _role(draft: _Draft, at: int) -> None:
    """ "melody on a flute", "led by a flute", "solo flute", "drum free", or a role of whose player nothing is said."""
    role, text = draft.items[at].value, draft.items[at].text
    following = draft.items[at + 1] if at + 1 < len(draft.items) else Item("break", "", "")
    if following.text == "free":
        draft.used.add(at + 1)
        draft.without.append(role)
        return
    solo = text == "solo" and following.kind == "instrument"
    other = at + 1 if solo else _tied(draft, at, _BACKWARD, "instrument")
    draft.alone = draft.alone or solo
    if other is not None and role != "drums":
        draft.used.add(other)
        draft.players.append((role, other))
    elif role != "drums":
        draft.roles.append(role)
    else:
        draft.players.append(("drums", at))


def _instruments(draft: _Draft, style: str | None) -> dict[str, int]:
    """Programs by role: those whose role is said, then the others by the roles that they usually take."""
    programs: dict[str, int] = {}
    for role, at in sorted(draft.players, key=lambda player: player[0] is None):
        item = draft.items[at]
        if role == "drums":
            programs["drums"] = 0
            continue
        program = int(item.value)
        if role is None and program in (programs[r] for r in programs if r != "drums"):
            continue
        free = [r for r in (role, *lexicon.INSTRUMENTS[program].roles) if r and programs.get(r, program) == program]
        if not free:
            draft.pass_over(item)
            continue
        programs[free[0]] = program
    if draft.only:
        if len(draft.players) == 1 and not {"drums", "bass"} & set(programs):  # who plays alone has the tune
            draft.alone, programs = True, {"melody": next(iter(programs.values()))}
        else:
            draft.without += [role for role in ROLES if role not in programs]
    if draft.alone and set(programs) == {"melody"}:
        if lexicon.INSTRUMENTS[programs["melody"]].roles[0] == "comp":  # hands enough for everything
            programs |= dict.fromkeys(("comp", "bass"), programs["melody"])
        draft.without += [role for role in ("bass", "comp", "pad", "drums") if role not in programs]
    programs |= {role: _usual(style, role) for role in draft.roles if role not in programs and not _certain(style, role)}
    for role in programs:
        if role in draft.without:
            raise ValueError(f"The prompt asks for {role} and for no {role}; leave out one of the two.")
    return programs


def _certain(style: str | None, role: str) -> bool:
    """Whether the composer plays a role anyhow: then who plays it is better left to it."""
    return style is not None and role in STYLES[style].instruments and STYLES[style].odds.get(role, 1) >= 1


def _usual(style: str | None, role: str) -> int:
    programs = STYLES[style].instruments.get(role, ()) if style is not None else ()
    return programs[0] if programs else DEFAULT_PROGRAMS[role]


def _style(draft: _Draft) -> str | None:
    """The first style, words that name it before those that neighbour it; a waltz beside another style is its metre."""
    found = draft.of("style")
    names = [item for item in found if item.text in _named(item.value)]
    if len({item.value for item in names}) > 1 and any(item.value == "waltz" for item in names):
        names = [item for item in names if item.value != "waltz"]
    chosen = next(iter([*names, *found]), None)
    if chosen is None:
        return None
    for item in found:
        if item.value == "waltz" != chosen.value:
            draft.items.append(Item("metre", "3/4", item.text))
        elif item.value != chosen.value:
            draft.pass_over(item)
    return chosen.value


def _named(style: str) -> tuple[str, ...]:
    return tuple(" ".join(tokenize(word)) for word in lexicon.STYLES[style])


def _mood(draft: _Draft) -> str | None:
    moods = [item.value for item in draft.of("mood")]
    return moods[0] if moods else None


def _energy(draft: _Draft) -> float | None:
    """From the energy words; second and further moods shift it, since a brief holds one mood."""
    values = [float(item.value) for item in draft.of("energy")]
    moods = list(dict.fromkeys(item.value for item in draft.of("mood")))
    if not values and len(moods) > 1:
        values = [lexicon.MOODS[mood].energy for mood in moods]
    return round(sum(values) / len(values), 2) if values else None


def _metre(draft: _Draft) -> Metre | None:
    metres = list(dict.fromkeys(Metre.parse(item.value) for item in draft.of("metre")))
    if len(metres) > 1:
        raise ValueError(f"The prompt asks for two metres, {metres[0].name} and {metres[1].name}; leave one.")
    return metres[0] if metres else None


def _key(draft: _Draft, mood: str | None) -> Key | None:
    """The key; without a mode it takes the one that is said elsewhere, else the one that the mood leans to."""
    modes = list(dict.fromkeys(item.value for item in draft.of("mode")))
    keys = list(dict.fromkeys(item.value for item in draft.of("key")))
    whole = list(dict.fromkeys(Key.parse(text) for text in keys if " " in text))
    bare = list(dict.fromkeys(Key.parse(text).tonic for text in keys if " " not in text))
    tonics = list(dict.fromkeys([*(key.tonic for key in whole), *bare]))
    if len(whole) > 1 or len(tonics) > 1:
        raise ValueError(f"The prompt asks for two keys, {keys[0]} and {keys[1]}; leave one.")
    modes = list(dict.fromkeys([*(key.mode for key in whole), *modes]))
    if len(modes) > 1:
        raise ValueError("The prompt asks for both major and minor; leave one.")
    if not tonics and not modes:
        return None
    leaning = lexicon.MOODS[mood].mode if mood else None
    mode = modes[0] if modes else leaning or "major"
    return Key(tonics[0] if tonics else TONICS[mode], mode)


def _bpm(draft: _Draft, style: str | None, metre: Metre | None) -> float | None:
    """The number, else the place in the style's range that "slow" and its like stand for."""
    numbers = list(dict.fromkeys(float(item.value) for item in draft.of("bpm")))
    if len(numbers) > 1:
        raise ValueError(f"The prompt asks for two tempi, {numbers[0]:g} and {numbers[1]:g} bpm; leave one.")
    for bpm in numbers:
        if not SLOWEST <= bpm <= FASTEST:
            raise ValueError(f"A tempo of {bpm:g} bpm cannot be played; write one from {SLOWEST:g} to {FASTEST:g} bpm.")
        return bpm
    paces = draft.of("tempo")
    if not paces:
        return None
    slowest, fastest = (pick(paces, key=lambda item: float(item.value)) for pick in (min, max))
    if float(fastest.value) - float(slowest.value) > WIDEST:
        raise ValueError(f"The prompt asks for {slowest.text} and for {fastest.text}; leave one, or write the tempo in bpm.")
    low, high = ANY_STYLE if style is None else STYLES[style].tempo
    if metre is not None and metre.denominator == 8:  # felt beats are longer there, as the composer has it
        low, high = low * COMPOUND, high * COMPOUND
    place = sum(float(item.value) for item in paces) / len(paces)
    return float(round(low + place * (high - low)))


def _chords(draft: _Draft, style: str | None, metre: Metre | None) -> _Harmony:
    """The progression and how long each chord lasts; chords in bars fix the metre, since bars are counted in its beats."""
    given = [item for item in draft.items if item.kind in ("chords", "bars")]
    if len({item.value for item in given}) > 1:
        raise ValueError("The prompt gives two chord progressions; leave one.")
    if not given:
        return metre, (), ()
    item = given[0]
    if item.kind == "chords":
        return metre, tuple(Chord.parse(label) for label in CHORD.findall(item.value)), ()
    metre = metre or (Metre(3, 4) if style == "waltz" else Metre())
    spans: list[tuple[Chord | None, float]] = []
    bar: list[tuple[Chord | None, float]] = []
    for text in item.value.strip().strip("|").split("|"):
        bar = parse_bar(text, metre.beats, bar)
        spans += bar
    return metre, tuple(chord for chord, _ in spans), tuple(beats for _, beats in spans)
