"""From a prompt to its items: the longest known phrases, numbers, keys, chords and metres, in the order they are said."""

import difflib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from ...instruments import GM_PROGRAMS
from . import lexicon


class Item(NamedTuple):
    """A stretch of the prompt: what kind of word it is, what it means as a string, and the words themselves."""

    kind: str
    value: str
    text: str


_TOKEN = re.compile(r"\d+/\d+|\d+(?:\.\d+)?|[^\W\d_][\w#]*|[,.;:=!?()|\n]|[^\s\w]")
_BREAKS = frozenset(",.;!?()|\n")
_SILENT = frozenset("-–—_*\"“”«»~…/&+'#[]{}<>")


def tokenize(text: str) -> list[str]:
    """Lower-case words, numbers, metres ("3/4") and note names ("f#", "bb"); hyphens split, punctuation is dropped."""
    return [token for token in _tokens(text) if token[0].isalnum()]


def _tokens(text: str) -> list[str]:
    """As `tokenize`, with punctuation that separates kept and with symbols that nobody expects."""
    whole = unicodedata.normalize("NFC", text).replace("♯", "#").replace("♭", "b").replace("&", " and ")
    plain = re.sub(r"['’‘`´]", "", whole).lower()
    return [token for token in _TOKEN.findall(plain) if token not in _SILENT]


@cache
def phrases() -> dict[tuple[str, ...], tuple[str, str]]:
    """Every phrase that is understood, as tokens -> (kind, value); what comes later here yields to what came before."""
    table: dict[tuple[str, ...], tuple[str, str]] = {}

    def add(kind: str, value: object, words: tuple[str, ...]) -> None:
        for phrase in words:
            table.setdefault(tuple(tokenize(phrase)), (kind, str(value)))

    for styles in (lexicon.STYLES, lexicon.NEIGHBOURS):
        for style, words in styles.items():
            add("style", style, words)
    for spelt, words in lexicon.ENSEMBLES.items():
        add("ensemble", spelt, words)
    for mood, entry in lexicon.MOODS.items():
        add("mood", mood, entry.words)
    for kind, rows in (("tempo", lexicon.TEMPO_WORDS), ("energy", lexicon.ENERGY_WORDS), ("metre", lexicon.METRE_WORDS)):
        for value, words in rows.items():
            add(kind, value, words)
    for word, programs in lexicon.GENERIC.items():
        add("instrument", programs[0], (word,))
    for program, instrument in enumerate(lexicon.INSTRUMENTS):
        add("instrument", program, (*instrument.words, GM_PROGRAMS[program]))
    for kind, rows in (("role", lexicon.ROLE_WORDS), ("mode", lexicon.MODE_WORDS)):
        for value, words in rows.items():
            add(kind, value, words)
    for word, role in lexicon.LESS.items():
        add("less", role, (word,))
    add("not", "", lexicon.NEGATIONS)
    add("voice", "", lexicon.VOICES)
    add("form", "", lexicon.SECTION_WORDS)
    add("filler", "", lexicon.FILLER)
    return table


_LONGEST = 5
"""Words in the longest phrases that are looked up."""


def _singulars(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The phrase as it stands, then with its last word as if it were a plural or its first a possessive."""
    yield words
    *first, last = words
    for ending, instead in (("s", ""), ("es", ""), ("ies", "y")):
        if len(last) > len(ending) + 2 and last.endswith(ending):
            yield (*first, last.removesuffix(ending) + instead)


def _lookup(words: tuple[str, ...]) -> tuple[str, str] | None:
    return next((phrases()[form] for form in _singulars(words) if form in phrases()), None)


def _words(text: str) -> Iterator[Item]:
    """The items of a text without numbers, keys and chords; the longest phrase wins."""
    tokens, at = _tokens(text), 0
    while at < len(tokens):
        if tokens[at] in _BREAKS or tokens[at] in ":=":
            yield Item("break" if tokens[at] in _BREAKS else "filler", "", tokens[at])
            at += 1
            continue
        for length in range(min(_LONGEST, len(tokens) - at), 0, -1):
            phrase = tuple(tokens[at : at + length])
            meaning = _lookup(phrase)
            if meaning or length == 1:
                kind, value = meaning or ("unknown", "")
                yield from _words(value) if kind == "ensemble" else (Item(kind, value, " ".join(phrase)),)
                at += length
                break


def suggest(word: str) -> str | None:
    """The known word or phrase that looks most like `word`; None where none is close, or where `word` itself is no mistake."""
    words = tuple(tokenize(word))
    if len(words) != 1 or _lookup(words):
        return None
    known = [" ".join(phrase) for phrase, (kind, _) in phrases().items() if kind != "filler"]
    close = difflib.get_close_matches(words[0], known, n=1, cutoff=0.75)
    return close[0] if close else None


_END = r"(?![\w#])"
_CHORD = (
    r"(?:N\.?C\.?|[A-G][#b]{0,2}(?:maj[679]?|minmaj7|min[679]?|mM7|m7b5|m[679]?|M7|dim7?|hdim7|aug|sus[24]?|7sus4|o7?|°7?|ø|\+|Δ|-7|[5679])?"
    rf"(?:/[A-G][#b]?)?){_END}"
)
_ENTRY = rf"(?:{_CHORD}|[%/](?!\w))"
_BAR = rf"\s*{_ENTRY}(?:\s+{_ENTRY})*\s*"
CHORD = re.compile(_CHORD)
"""One chord label inside a text."""
_NEXT = rf"(?:\s*(?:,\s*(?:and|then)\b|[,;]|->|→|[-–])\s*|\s+(?:and|to|then)\s+|\s+){_CHORD}"
_CALLED = r"(?:\b(?:chords?|chord progression|progression|changes)\b\s*(?:are\b|is\b|of\b|:|=)?\s*)"
_NUMBER = r"\d+(?:\.\d+)?"
_BPM = r"(?:bpm|beats (?:per|a) minute)\b"
_NOTE = r"(?P<letter>[A-Ga-g])(?:(?P<accidental>[#b])|[ -](?P<spelled>sharp|flat)\b)?"

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("bars", re.compile(rf"{_CALLED}?(?P<bars>\|{_BAR}(?:\|{_BAR})*\|?|{_BAR}(?:\|{_BAR})+\|?)")),
    ("chords", re.compile(rf"(?i:{_CALLED})(?P<chords>{_CHORD}(?:{_NEXT})*)")),
    ("chords", re.compile(rf"(?<![\w#])(?P<chords>{_CHORD}(?:{_NEXT}){{2,}})(?!\s+(?:major|minor|maj|min|sharp|flat)\b)")),
    ("bpm", re.compile(rf"(?i)(?P<low>{_NUMBER})\s*(?:-|–|to)\s*(?P<bpm>{_NUMBER})\s*-?{_BPM}")),
    ("bpm", re.compile(rf"(?i)(?P<sign>-\s?)?(?P<bpm>{_NUMBER})\s*-?\s*{_BPM}")),
    ("bpm", re.compile(r"(?i)\b(?:bpm|tempo)\s*(?:of\b|at\b|is\b|:|=)?\s*(?P<sign>-)?(?P<bpm>\d+(?:\.\d+)?)(?![\w/])")),
    ("bpm", re.compile(r"(?i)\bat\s+(?P<bpm>\d{2,3})(?![\w/.])")),
    ("metre", re.compile(r"(?<![\d/])(?P<metre>\d{1,2}/(?:2|4|8|16))(?![\d/])")),
    ("key", re.compile(rf"(?<![\w#']){_NOTE}[ -]?(?P<mode>(?i:major|minor|maj|min)){_END}(?P<after>\s+(?:\w+))?")),
    ("key", re.compile(rf"(?i:\bkey\s*(?:of\b|:|=|is\b)?\s*){_NOTE}(?P<mode>m)?{_END}")),
    ("key", re.compile(r"\b[Ii]n\s+(?P<letter>[A-G])(?P<accidental>[#b])?(?P<spelled>)(?P<mode>m)?(?![\w#'/])")),
    ("key", re.compile(rf"(?<![\w#])(?P<letter>[A-G])(?P<spelled>)(?:(?P<accidental>[#b])m?|m){_END}")),
)


def items(text: str, patterns: tuple[tuple[str, re.Pattern[str]], ...] = _PATTERNS) -> Iterator[Item]:
    """Everything in the prompt, in order: what the patterns find, in the order of their precedence, and words between."""
    if not patterns:
        yield from _words(text)
        return
    (kind, pattern), rest = patterns[0], patterns[1:]
    at = 0
    for match in pattern.finditer(text):
        item, end = _special(kind, match)
        if item is None:
            continue
        yield from items(text[at : match.start()], rest)
        yield item
        at = end
    yield from items(text[at:], rest)


def _special(kind: str, match: re.Match[str]) -> tuple[Item | None, int]:
    """The item of a match and where it ends in the text; None where the match only looks like one."""
    groups = match.groupdict()
    if kind == "bpm":
        value = (float(groups["bpm"]) + float(groups.get("low") or groups["bpm"])) / 2
        return Item(kind, f"{-value if groups.get('sign') else value:g}", match[0]), match.end()
    if kind == "key":
        return _key_item(match, groups)
    return Item(kind, groups[kind], match[0]), match.end()


def _key_item(match: re.Match[str], groups: dict[str, str | None]) -> tuple[Item | None, int]:
    letter, mode, after = groups["letter"] or "", groups.get("mode"), groups.get("after")
    end = match.start("after") if after else match.end()
    before = match.string[: match.start()].rstrip().lower()
    bare = groups.get("accidental") is None and groups.get("spelled") in (None, "")
    if letter in "Aa" and bare and mode is not None and len(mode) > 1:  # "a minor waltz", "in a minor key": the article
        follows = (after or "").strip()
        named = before.endswith(("key of", "key", ":", " the", ",")) or (before.endswith("in") and follows != "key")
        if not named and ((letter == "a" and follows) or follows in ("key", "mode", "scale")):
            return None, end
    accidental = groups.get("accidental") or {"sharp": "#", "flat": "b"}.get(groups.get("spelled") or "", "")
    minor = (mode or "").lower() in ("minor", "min", "m") or match[0].endswith("m")
    name = letter.upper() + accidental + (" minor" if minor else " major" if mode else "")
    return Item("key", name, match[0]), end
