import re
from functools import cache

import numpy as np
import pytest

from counterpoint import planning
from counterpoint.data.corpus import lexicon
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.describe import describe
from counterpoint.data.corpus.reading import read, suggest
from counterpoint.data.corpus.scanning import tokenize
from counterpoint.data.corpus.styles import MOODS, STYLES
from counterpoint.instruments import GM_PROGRAMS
from counterpoint.music import Brief, Key, Metre, Score

SCORES = [(style, seed) for style in STYLES for seed in range(6)]


@cache
def score_of(style: str, seed: int) -> Score:
    return compose(Brief(style=style), 6.0, seed)


@cache
def captions_of(style: str, seed: int) -> list[str]:
    return describe(score_of(style, seed), np.random.default_rng(seed))


def test_the_lexicon_is_about_what_the_composer_can_do() -> None:
    assert set(lexicon.STYLES) == set(STYLES) and set(lexicon.NEIGHBOURS) <= set(STYLES)
    assert set(lexicon.MOODS) == set(MOODS)
    assert len(lexicon.INSTRUMENTS) == 128


@pytest.mark.parametrize("style", STYLES)
def test_captions_read_back_to_what_they_state(style: str) -> None:
    for seed in range(6):
        score = score_of(style, seed)
        for caption in captions_of(style, seed):
            reading = read(caption)
            brief = reading.brief
            assert reading.unknown == (), caption
            assert brief.style == style, caption
            assert brief.mood in (None, score.mood), caption
            assert brief.metre in (None, score.metre), caption
            assert (brief.key == score.key) == bool(re.search(r"\b(major|minor)\b", caption)), caption
            assert brief.key in (None, score.key), caption
            if re.search(r"bpm|beats per minute", caption.lower()):
                assert brief.bpm == round(score.bpm), caption
            for role, program in brief.instruments.items():
                track = score.track(role)
                assert track is not None and (role == "drums" or track.program // 8 == program // 8), caption
            assert all(score.track(role) is None for role in brief.without), caption


def test_captions_often_name_every_player() -> None:
    """The round trip above would also hold for captions that name nobody."""
    named = [len(read(caption).brief.instruments) for style, seed in SCORES for caption in captions_of(style, seed)]
    assert np.mean(named) > 1.5 and max(named) >= 5


def test_captions_differ_and_repeat_by_seed() -> None:
    for style, seed in SCORES[::7]:
        captions = captions_of(style, seed)
        assert len(set(captions)) == len(captions) >= 5
        assert captions == describe(score_of(style, seed), np.random.default_rng(seed))
        assert captions != describe(score_of(style, seed), np.random.default_rng(seed + 100))
        assert any(re.search(r"\d+ (bpm|beats)", c.lower()) for c in captions)
        assert any(not re.search(r"\d", c) for c in captions)


def test_captions_are_grammatical() -> None:
    text = "\n".join(caption for style, seed in SCORES for caption in captions_of(style, seed))
    assert not re.search(r"\b[Aa] (?!one)[aeio]|\b[Aa]n [bcdgjkpqtvwyz]", text), text
    assert not re.search(r"  |,,| ,|\.\.|\band and\b|\ba a\b|\blead lead\b", text)


def test_tokenize() -> None:
    assert tokenize("A lo-fi beat in F# minor, 6/8 at 96BPM; don't!") == [
        "a", "lo", "fi", "beat", "in", "f#", "minor", "6/8", "at", "96", "bpm", "dont",
    ]  # fmt: skip
    assert tokenize("Bb, E♭") == ["bb", "eb"]
    assert tokenize("cafe\u0301") == ["caf\u00e9"]


@pytest.mark.parametrize(
    ("prompt", "key"),
    [
        ("in A minor", Key(9, "minor")), ("a minor waltz", Key(9, "minor")), ("F# major", Key(6)), ("key of bb", Key(10)),
        ("techno, Em, 130 bpm", Key(4, "minor")), ("rock in D", Key(2)), ("E flat minor pop", Key(3, "minor")),
        ("A sad song in D", Key(2, "minor")), ("ambient, c minor", Key(0, "minor")), ("Db major", Key(1)),
        ("in a major key", Key(0)), ("a song in a minor", Key(9, "minor")), ("G minor, in a minor key", Key(7, "minor")),
    ],
)  # fmt: skip
def test_keys(prompt: str, key: Key) -> None:
    assert read(prompt).brief.key == key and read(prompt).unknown == ()


@pytest.mark.parametrize(
    ("prompt", "field", "value"),
    [
        ("120 bpm", "bpm", 120), ("at 96BPM", "bpm", 96), ("tempo: 88", "bpm", 88), ("pop at 100", "bpm", 100),
        ("72.5 beats per minute", "bpm", 72.5),
        ("90-100 bpm", "bpm", 95), ("in 3/4", "metre", Metre(3, 4)), ("waltz time", "metre", Metre(3, 4)),
        ("in six eight", "metre", Metre(6, 8)), ("jazz", "style", "swing"), ("a smooth BOSSA", "style", "bossa nova"),
        ("chillhop", "style", "lo-fi"), ("lo-fi hip-hop", "style", "lo-fi"), ("EDM", "style", "house"),
        ("trap", "style", "hip-hop"), ("salsa", "style", "latin"), ("funky rock", "style", None), ("cheerful", "mood", "happy"),
        ("a laid back tune", "mood", "relaxed"), ("blues guitar", "style", "blues"), ("waltzes", "style", "waltz"),
        ("no drums or bass", "without", frozenset({"drums", "bass"})), ("drumless", "without", frozenset({"drums"})),
        ("percussion-free", "without", frozenset({"drums"})), ("without a bass guitar", "without", frozenset({"bass"})),
        ("no vocals please", "without", frozenset()),
    ],
)  # fmt: skip
def test_single_facts(prompt: str, field: str, value: object) -> None:
    reading = read(prompt)
    if value is None:
        assert reading.brief.style == "rock" and reading.unknown == ("funky",)
        return
    assert vars(reading.brief)[field] == value and reading.unknown == ()


@pytest.mark.parametrize(
    ("prompt", "players", "without"),
    [
        ("piano only", {"melody": 0, "comp": 0, "bass": 0}, {"pad", "drums"}),
        ("slow music for a flute alone", {"melody": 73}, {"bass", "comp", "pad", "drums"}),
        ("just a flute and drums", {"melody": 73, "drums": 0}, {"bass", "comp", "pad"}),
        ("upright bass only", {"bass": 32}, {"melody", "comp", "pad", "drums"}),
        ("drums only", {"drums": 0}, {"melody", "bass", "comp", "pad"}),
        ("a song with piano, slow only in the bridge", {"comp": 0}, set()),
    ],
)
def test_nobody_else_is_to_play(prompt: str, players: dict[str, int], without: set[str]) -> None:
    reading = read(prompt)
    assert (reading.brief.instruments, set(reading.brief.without), reading.unknown) == (players, without, ())
    assert not without & {track.role for track in compose(reading.brief, 8.0, seed=1).tracks}


@pytest.mark.parametrize(
    ("prompt", "players"),
    [
        ("trumpet melody", {"melody": 56}), ("led by a flute", {"melody": 73}), ("flute lead", {"melody": 73}),
        ("with piano", {"comp": 0}), ("strings pad", {"pad": 48}), ("melody: violin, bass: cello", {"melody": 40, "bass": 42}),
        ("a flute carries the slow melody over piano chords", {"melody": 73, "comp": 0}),
        ("melody played on an oboe and a bass line on tuba", {"melody": 68, "bass": 58}),
        ("piano, upright bass and drums", {"comp": 0, "bass": 32, "drums": 0}),
        ("flute accompanied by nylon guitars", {"melody": 73, "comp": 24}), ("piano and guitar", {"comp": 0, "melody": 25}),
        ("choir in the background", {"pad": 52}), ("solo piano", {"melody": 0, "comp": 0, "bass": 0}),
        ("drums and bass line on a synth bass", {"drums": 0, "bass": 38}),
    ],
)  # fmt: skip
def test_players(prompt: str, players: dict[str, int]) -> None:
    reading = read(prompt)
    assert reading.brief.instruments == players and reading.unknown == ()


def test_an_ensemble_is_its_players() -> None:
    brief = read("a slow string quartet in d minor").brief
    assert [GM_PROGRAMS[brief.instruments[role]] for role in ("melody", "pad", "comp", "bass")] == [
        "violin", "violin", "viola", "cello",
    ]  # fmt: skip
    assert (brief.style, brief.without, brief.key) == ("cinematic strings", {"drums"}, Key(2, "minor"))
    for spelt in lexicon.ENSEMBLES:
        assert not read(spelt).unknown


@pytest.mark.parametrize("program", range(128))
def test_every_general_midi_name_is_known(program: int) -> None:
    family = 4 if GM_PROGRAMS[program] == "double bass" else program // 8  # most people mean the plucked one
    assert family in {p // 8 for p in read(f"melody on {GM_PROGRAMS[program]}").brief.instruments.values()}


@pytest.mark.parametrize(
    ("prompt", "labels", "beats"),
    [
        ("pop, chords: C G Am F", "C G Am F", ()), ("C - G - Am - F folk", "C G Am F", ()),
        ("the chords are Dm7, G7 and Cmaj7, in C major", "Dm7 G7 Cmaj7", ()),
        ("| Dm7 G7 | Cmaj7 | swing", "Dm7 G7 Cmaj7", (2, 2, 4)), ("waltz | C | F / G |", "C F G", (3, 2, 1)),
    ],
)  # fmt: skip
def test_chords(prompt: str, labels: str, beats: tuple[float, ...]) -> None:
    reading = read(prompt)
    assert " ".join(chord.name for chord in reading.brief.chords if chord) == labels
    assert reading.brief.chord_beats == beats and reading.unknown == ()


def test_tempo_words_are_relative_to_the_style() -> None:
    slow, fast = (read(f"{word} techno").brief.bpm for word in ("slow", "fast"))
    low, high = STYLES["techno"].tempo
    assert slow is not None and fast is not None and low <= slow < fast <= high
    assert read("slow rock at 150 bpm").brief.bpm == 150
    felt, counted = (read(f"fast {metre} folk").brief.bpm for metre in ("6/8", "4/4"))
    assert felt is not None and counted is not None and felt == pytest.approx(0.8 * counted, abs=1)


def test_nothing_is_silently_ignored() -> None:
    reading = read("a zorbly rock song with vocals, kazoos, no guitar and 17 ☃")
    assert reading.unknown == ("zorbly", "vocals", "kazoos", "no guitar", "17", "☃")
    assert reading.brief.style == "rock"
    assert read("rock techno").unknown == ("techno",)
    assert read("sad but energetic").brief.energy == pytest.approx((0.3 + 0.85) / 2, abs=0.01)
    assert read("").brief == Brief() and read("   ").unknown == ()


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ("in A minor, C major", "two keys"), ("120 bpm, 90 bpm", "two tempi"), ("slow and very fast", "leave one"),
        ("3/4 and 4/4", "two metres"), ("in 7/8", "4/4, 3/4 and 6/8"), ("500 bpm", "30 to 300"), ("12 bpm", "30 to 300"),
        ("-90 bpm", "30 to 300"), ("drums, no drums", "drums"), ("C major in a minor key", "major and minor"),
    ],
)  # fmt: skip
def test_contradictions_are_errors(prompt: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read(prompt)


def test_suggest() -> None:
    assert suggest("regae") == "reggae"
    assert suggest("xylofone") == "xylophone"
    assert suggest("qqqq") is None
    assert suggest("techno") is None, "known, whatever else was wrong with it"
    assert suggest("no guitar") is None, "a word that is known was refused"


def test_what_was_not_understood_is_told_with_what_may_have_been_meant() -> None:
    made = planning.make("regae and regae with zorbly vocals", 1.0, 0)
    assert made.unknown == ("regae", "regae", "zorbly", "vocals")
    assert planning.not_understood(made.unknown) == "regae (did you mean 'reggae'?), zorbly, vocals"
    assert planning.not_understood(()) == ""


def test_a_long_prompt_is_read_quickly() -> None:
    assert len(read("a slow zorbly waltz " * 2500).unknown) == 2500


def test_a_flood_of_unknown_words_is_named_in_part() -> None:
    message = planning.not_understood([f"zorb{i}y" for i in range(2000)] + ["regae"])
    assert message.startswith("zorb0y, ") and message.endswith(" and 1981 more")
    assert planning.not_understood(["regae", "regae"]) == "regae (did you mean 'reggae'?)"
