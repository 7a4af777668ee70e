"""Captions for composed music, differently worded.

Every caption is made of words that `reading.read` understands, and reads back to what it states.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...music import PITCH_CLASSES, ROLES, Metre, Score
from . import lexicon
from .scanning import phrases, tokenize
from .style import COMPOUND
from .styles import STYLES

_FLAT = {"Eb": "E flat", "Ab": "A flat", "Bb": "B flat", "C#": "C sharp", "F#": "F sharp"}
_MASS = frozenset(
    (
        *("brass", "synth brass", "synthetic brass", "warm synth brass", "soft synth brass"),
        *("pizzicato", "fret noise", "breath noise", "applause"),
    )
)
"""Instrument words without an article."""


def describe(score: Score, rng: np.random.Generator) -> list[str]:
    """Seven captions of a score: short, tags, wordy, with and without numbers, a request and a question."""
    facts = _facts(score)
    makers = (_short, _tags, _sentence, _sentences, _request, _question, _keywords)
    return [make(facts, rng) for make in makers]


@dataclass(frozen=True)
class _Facts:
    """What captions choose from, as words; empty where there is nothing to say."""

    score: Score
    moods: tuple[str, ...]
    tempi: tuple[str, ...]
    energies: tuple[str, ...]
    names: dict[str, tuple[str, ...]]
    """Role -> names of the instrument that plays it."""
    solo: str
    """The instrument, where one plays everything."""
    absent: tuple[str, ...]
    chords: str
    section: str


def _facts(score: Score) -> _Facts:
    mood = lexicon.MOODS.get(score.mood or "")
    place = _place(score)
    tempi = lexicon.TEMPO_WORDS[_nearest(place, lexicon.TEMPO_WORDS)][: lexicon.CAPTION_TEMPO_WORDS]
    energy = _loudness(score)
    plain = _nearest(energy, lexicon.ENERGY_WORDS) == 0.5
    fits = not plain and (mood is None or abs(mood.energy - energy) < 0.35)
    energies = lexicon.ENERGY_WORDS[_nearest(energy, lexicon.ENERGY_WORDS)][: lexicon.CAPTION_ENERGY_WORDS] if fits else ()
    tracks = {role: score.track(role) for role in ROLES}
    names = {role: _names(role, track.program) for role, track in tracks.items() if track is not None}
    programs = {track.program for track in score.tracks}
    alone = set(names) == {"melody", "comp", "bass"} and len(programs) == 1
    solo = names["melody"][0] if alone and lexicon.INSTRUMENTS[min(programs)].roles[0] == "comp" else ""
    absent = tuple(role for role in ("drums", "bass") if role not in names)
    sections = [section.name.lower() for section in score.sections[:1] if section.name.lower() in lexicon.SECTION_WORDS]
    return _Facts(
        score, mood.words[: lexicon.CAPTION_MOOD_WORDS] if mood else (), tempi, energies, names, solo, absent,
        _progression(score), next(iter(sections), ""),
    )  # fmt: skip


def _place(score: Score) -> float:
    """Where the tempo lies in the range of its style, 0 to 1."""
    low, high = STYLES[score.style].tempo if score.style in STYLES else (70, 140)
    factor = COMPOUND if score.metre.denominator == 8 else 1.0
    return min(1.0, max(0.0, (score.bpm / factor - low) / max(1, high - low)))


def _loudness(score: Score) -> float:
    """How energetic a score is on paper, 0 to 1: half by its velocities, half by its notes a second."""
    velocities = [note.velocity for track in score.tracks for note in track.notes]
    if not velocities:
        return 0.0
    loud = (sum(velocities) / len(velocities) - 45) / 60
    dense = len(velocities) / score.seconds / 20
    return min(1.0, max(0.0, (loud + min(dense, 1.0)) / 2))


def _nearest(value: float, table: dict[float, tuple[str, ...]]) -> float:
    return min(table, key=lambda key: abs(key - value))


def _names(role: str, program: int) -> tuple[str, ...]:
    """What captions call a player: the program's two best names, and the family's name where it has one."""
    if role == "drums":
        return ("drums",)
    general = tuple(word for word, programs in lexicon.GENERIC.items() if program in programs)
    own = tuple(word for word in lexicon.INSTRUMENTS[program].words[:2] if word not in lexicon.GENERIC)
    return tuple(dict.fromkeys((*own, *general))) or lexicon.INSTRUMENTS[program].words[:1]


def _progression(score: Score) -> str:
    """The first four different neighbours among the chords: "Am7, Dm7, G7 and Cmaj7", or nothing where there are fewer."""
    labels: list[str] = []
    for span in score.chords:
        if span.chord is not None and span.chord.name not in labels[-1:]:
            labels.append(span.chord.name)
    return _list(labels[:4]) if len(labels) >= 4 else ""


# Grammar.


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _chance(rng: np.random.Generator, odds: float) -> bool:
    return bool(rng.random() < odds)


def _article(phrase: str) -> str:
    """The phrase after "a" or "an", by its first sound."""
    vowel = re.match(r"(?i)(?!uk|uni|use|eu|one)[aeiou]|(hour|8|fm\b|808)", phrase) or re.match(r"[AEF](?![a-z])", phrase)
    return f"{'an' if vowel else 'a'} {phrase}"


def _plural(name: str) -> bool:
    last = name.split()[-1]
    return last.endswith("s") and not last.endswith("ss") and last != "rhodes"


def _noun(name: str) -> str:
    """An instrument with its article, where it takes one: "a flute", "strings"."""
    return name if _plural(name) or name in _MASS else _article(name)


def _list(parts: Sequence[str]) -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# Phrases.


def _piece(facts: _Facts, rng: np.random.Generator, tempo: float = 0.4, energy: float = 0.3) -> str:
    """ "slow, relaxed bossa nova", without an article; odds say how often tempo and energy are put in words."""
    words = []
    words += [_pick(rng, facts.tempi)] if _chance(rng, tempo) else []
    words += [_pick(rng, facts.energies)] if facts.energies and _chance(rng, energy) else []
    words += [_pick(rng, facts.moods)] if facts.moods and _chance(rng, 0.85) else []
    style = _style_word(facts, rng)
    noun = "" if style in lexicon.COUNTABLE and _chance(rng, 0.7) else " " + _pick(rng, lexicon.NOUNS)
    joined = ", ".join(words) if _chance(rng, 0.5) or len(words) != 2 else " and ".join(words)
    return f"{joined} {style}{noun}".strip()


def _style_word(facts: _Facts, rng: np.random.Generator) -> str:
    words = lexicon.STYLES.get(facts.score.style, (facts.score.style,))
    return words[0] if _chance(rng, 0.6) else _pick(rng, words)


def _key(facts: _Facts, rng: np.random.Generator) -> str:
    """ "F# minor" or "F sharp minor"."""
    tonic = PITCH_CLASSES[facts.score.key.tonic]
    tonic = _FLAT.get(tonic, tonic) if _chance(rng, 0.25) else tonic
    return f"{tonic} {facts.score.key.mode}"


def _in_key(facts: _Facts, rng: np.random.Generator) -> str:
    return f"in {_pick(rng, ('', '', 'the key of '))}{_key(facts, rng)}"


def _bpm(facts: _Facts, rng: np.random.Generator) -> str:
    return f"{facts.score.bpm:.0f} {_pick(rng, ('bpm', 'bpm', 'BPM', 'beats per minute'))}"


def _at_tempo(facts: _Facts, rng: np.random.Generator) -> str:
    return f"{_pick(rng, ('at', 'at', 'running at', 'with a tempo of'))} {_bpm(facts, rng)}"


def _in_metre(metre: Metre, rng: np.random.Generator) -> str:
    words = lexicon.METRE_WORDS[metre.name][: lexicon.CAPTION_METRE_WORDS]
    named = [word if word.startswith("in ") else f"in {word}" for word in words if "on the floor" not in word]
    return _pick(rng, (f"in {metre.name}", f"in {metre.name} time", *named))


def _part(role: str, name: str, rng: np.random.Generator) -> str:
    """A player and what it does, as a noun phrase: "a flute melody", "piano chords", "an upright bass"."""
    if role == "drums":
        return _pick(rng, ("drums", "drums", "a drum kit", "a drum beat"))
    if role == "bass":
        own = "bass" in name.split()
        return _noun(name) if own else _pick(rng, (f"{_article(name)} bass line", f"{_noun(name)} on bass"))
    if role == "melody":
        line = "melody" if name.endswith("lead") else _pick(rng, ("melody", "lead line"))
        return _pick(rng, (_article(f"{name} {line}"), f"{_noun(name)} on melody", f"a melody on {name}"))
    if role == "comp":
        own = (f"{name} chords", _article(f"{name} accompaniment"), f"{_noun(name)} playing chords", f"{name} comping")
        return _pick(rng, own)
    if name.endswith("pad"):
        return _noun(name)
    if _other(name, "pad"):
        return f"{_noun(name)} in the background"
    pad = _article(f"{name} pad")
    return _pick(rng, (pad, pad, f"{_noun(name)} in the background"))


def _other(name: str, word: str) -> bool:
    """Whether a name and a word together name something else: "choir pad"."""
    return tuple(tokenize(f"{name} {word}")) in phrases()


def _parts(facts: _Facts, rng: np.random.Generator, odds: float) -> list[str]:
    """Some of the players, in the order of the roles."""
    if facts.solo:
        return [f"solo {facts.solo}"]
    told = [role for role in facts.names if role == "melody" or _chance(rng, odds)]
    return [_part(role, _pick(rng, facts.names[role]), rng) for role in told]


def _does(role: str, name: str, rng: np.random.Generator) -> str:
    """A player as a clause: "a flute carries the melody"."""
    if role == "drums":
        return _pick(rng, ("the drums keep the beat", "a drum kit keeps the beat", "the drums keep time"))
    tails = {
        "melody": (("carries", "plays", "takes"), ("the melody", "the lead")),
        "bass": (("holds", "plays", "carries"), ("the bass line", "the bass part")),
        "comp": (("plays", "supplies", "handles"), ("the chords", "the accompaniment")),
        "pad": (("holds", "plays", "supplies"), ("the pad", "the sustained chords", "the long chords")),
    }[role]
    verb, what = _pick(rng, tails[0]), _pick(rng, tails[1][:1] if name.endswith("lead") else tails[1])
    plural = {"carries": "carry", "supplies": "supply"}.get(verb, verb.removesuffix("s"))
    return f"{_noun(name)} {plural if _plural(name) else verb} {what}"


def _clauses(facts: _Facts, rng: np.random.Generator) -> list[str]:
    return [_does(role, _pick(rng, names), rng) for role, names in facts.names.items() if _chance(rng, 0.85)]


def _lacking(facts: _Facts, rng: np.random.Generator, odds: float) -> str:
    """ "without drums" or nothing."""
    if not facts.absent or not _chance(rng, odds):
        return ""
    return f"{_pick(rng, ('without', 'with no'))} {' or '.join(facts.absent)}"


# Captions.


def _short(facts: _Facts, rng: np.random.Generator) -> str:
    """ "a relaxed bossa nova"."""
    return _article(_piece(facts, rng, tempo=0.3, energy=0.15))


def _tags(facts: _Facts, rng: np.random.Generator) -> str:
    """ "bossa nova, 96 bpm, A minor, nylon guitar, flute lead", mostly shuffled."""
    tags = [_bpm(facts, rng), _key(facts, rng)]
    tags += [facts.score.metre.name] if facts.score.metre.name != "4/4" or _chance(rng, 0.2) else []
    tags += [_pick(rng, facts.moods)] if facts.moods else []
    tags += [_pick(rng, facts.energies)] if facts.energies and _chance(rng, 0.3) else []
    tags += _tagged(facts, rng, 0.75)
    tags += [f"no {role}" for role in facts.absent if _chance(rng, 0.5)]
    order = rng.permutation(len(tags))
    return ", ".join([_style_word(facts, rng), *(tags[i] for i in order)])


def _tagged(facts: _Facts, rng: np.random.Generator, odds: float) -> list[str]:
    if facts.solo:
        return [f"solo {facts.solo}"]
    return [_tag(role, _pick(rng, names)) for role, names in facts.names.items() if _chance(rng, odds)]


def _tag(role: str, name: str) -> str:
    """The bare name where its role goes without saying."""
    if role == "drums" or lexicon.INSTRUMENTS[int(phrases()[tuple(tokenize(name))][1])].roles[0] == role:
        return name
    what = {"melody": "melody", "bass": "bass line", "comp": "chords", "pad": "pad"}[role]
    return f"{name} in the background" if role == "pad" and _other(name, what) else f"{name} {what}"


def _sentence(facts: _Facts, rng: np.random.Generator) -> str:
    """One sentence with numbers."""
    metre = f" {_in_metre(facts.score.metre, rng)}" if facts.score.metre.name != "4/4" or _chance(rng, 0.3) else ""
    parts = _parts(facts, rng, 0.8)
    players = f", {_pick(rng, ('with', 'featuring'))} {_list(parts)}" if parts else ""
    lacking = _lacking(facts, rng, 0.4)
    tail = f", {lacking}" if lacking else ""
    head = _capital(_article(_piece(facts, rng)))
    return f"{head} {_in_key(facts, rng)}{metre}, {_at_tempo(facts, rng)}{players}{tail}."


def _sentences(facts: _Facts, rng: np.random.Generator) -> str:
    """Two to four sentences: the piece, who plays what, the harmony, what is missing."""
    piece, metre = _piece(facts, rng, tempo=0.5, energy=0.4), _in_metre(facts.score.metre, rng)
    text = _pick(rng, (
        f"This {piece} is {_in_key(facts, rng)} and moves {metre} at {_bpm(facts, rng)}.",
        f"This is {_article(piece)} {metre}, {_at_tempo(facts, rng)}, {_in_key(facts, rng)}.",
        f"{_capital(_article(piece))}, {_in_key(facts, rng)} and {metre}, {_at_tempo(facts, rng)}.",
    ))  # fmt: skip
    clauses = [f"it is all played by a solo {facts.solo}"] if facts.solo else _clauses(facts, rng)
    text += f" {_capital(_list(clauses))}." if clauses else ""
    if facts.chords and _chance(rng, 0.5):
        text += _pick(rng, (f" The chords are {facts.chords}.", f" The chord progression is {facts.chords}."))
    if facts.section and _chance(rng, 0.3):
        text += f" It starts with the {facts.section}."
    lacking = _lacking(facts, rng, 0.5).replace("with no", "without")
    return text + (f" It does {lacking}." if lacking else "")


def _request(facts: _Facts, rng: np.random.Generator) -> str:
    """ "make me a slow waltz with a violin melody": no numbers."""
    ask = _pick(rng, ("make me", "please write", "compose", "play me", "give me", "I want", "create", "I would like"))
    parts = _parts(facts, rng, 0.5)
    lacking = _lacking(facts, rng, 0.4)
    with_ = f" with {_list(parts)}" if parts else ""
    return f"{ask} {_article(_piece(facts, rng, tempo=0.6))}{with_}{', ' + lacking if lacking else ''}"


def _question(facts: _Facts, rng: np.random.Generator) -> str:
    """ "Can you play a funk groove in E minor at 104 bpm?"."""
    ask = _pick(rng, ("can you play", "could you write", "can I hear", "would you make me", "how about"))
    details = [_in_key(facts, rng) if _chance(rng, 0.6) else "", _at_tempo(facts, rng) if _chance(rng, 0.6) else ""]
    led = facts.names.get("melody")
    details += [f"led by {_noun(_pick(rng, led))}"] if led and _chance(rng, 0.6) else []
    return " ".join([_capital(ask), _article(_piece(facts, rng)), *filter(None, details)]) + "?"


def _keywords(facts: _Facts, rng: np.random.Generator) -> str:
    """What is typed in a hurry, without numbers: "dreamy lo-fi, rhodes, soft drums"."""
    words = [_pick(rng, facts.tempi)] if _chance(rng, 0.5) else []
    words += [_pick(rng, facts.moods)] if facts.moods else []
    words += [_style_word(facts, rng)]
    return ", ".join([" ".join(words), *_tagged(facts, rng, 0.5)])
