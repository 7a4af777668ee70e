from dataclasses import replace
from pathlib import Path

import pytest

from counterpoint import midi, planning
from counterpoint.chart import parse_chart, print_chart
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.music import QUALITIES, UNKNOWN_STYLE, Brief, Chord, Key, Metre, Score


def harmony_of_score(score: Score) -> list[Chord | None]:
    """The chord at the middle of every sixth of a beat."""
    beat = 60 / score.bpm
    times = [(tick + 0.5) * beat / 6 for tick in range(int(score.seconds / beat + 1e-6) * 6)]
    return [next((s.chord for s in score.chords if s.start <= time < s.end), None) for time in times]


def harmony_of_brief(brief: Brief) -> list[Chord | None]:
    ticks: list[Chord | None] = []
    for chord, beats in zip(brief.chords, brief.chord_beats, strict=True):
        assert round(beats * 6) == pytest.approx(beats * 6)
        ticks += [chord] * round(beats * 6)
    return ticks


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_printed_chart_reads_back(style: str, seed: int) -> None:
    score = compose(Brief(style=style), 9.0, seed)
    brief = parse_chart(print_chart(score))
    assert (brief.style, brief.key, brief.bpm, brief.metre, brief.mood) == (
        score.style, score.key, score.bpm, score.metre, score.mood,
    )  # fmt: skip
    wanted = harmony_of_score(score)
    assert harmony_of_brief(brief)[: len(wanted)] == wanted
    players = {track.role: 0 if track.role == "drums" else track.program for track in score.tracks}
    assert brief.instruments == players


def players_of(score: Score) -> dict[str, int]:
    return {track.role: 0 if track.role == "drums" else track.program for track in score.tracks}


@pytest.mark.parametrize("style", STYLES)
def test_a_chart_that_is_given_back_is_the_same_plan(style: str, tmp_path: Path) -> None:
    """Whatever the prompt and the seed: roles that did not play stay silent."""
    for seed in range(6):
        score = compose(Brief(style=style), 9.0, seed)
        (tmp_path / "chart.txt").write_text(print_chart(score), encoding="utf-8")
        again = planning.make("drumless polka", score.seconds, seed + 1, str(tmp_path / "chart.txt")).score
        assert players_of(again) == players_of(score)
        for name in ("style", "mood", "key", "bpm", "metre", "downbeats"):
            assert getattr(again, name) == getattr(score, name)
        assert harmony_of_score(again) == harmony_of_score(score)


def test_instruments_say_who_plays_and_who_does_not() -> None:
    assert parse_chart("instruments: melody=flute, drums=kit").without == {"bass", "comp", "pad"}
    assert parse_chart("style: pop").without == frozenset()


def test_the_prompt_says_who_is_silent_where_the_chart_does_not(tmp_path: Path) -> None:
    (tmp_path / "chart.txt").write_text("style: rock\n")
    made = planning.make("no drums, flute melody", 4.0, 0, str(tmp_path / "chart.txt")).score
    assert made.track("drums") is None and players_of(made)["melody"] == 73


def test_a_chart_from_a_windows_editor_is_read(tmp_path: Path) -> None:
    (tmp_path / "chart.txt").write_text("key: D major\r\n| D | G |\r\n", encoding="utf-8-sig")
    assert planning.make("pop", 4.0, 0, str(tmp_path / "chart.txt")).score.key == Key(2)


def test_all_chords_read_back() -> None:
    chords = [Chord(root, quality, bass) for root in range(12) for quality in QUALITIES for bass in (None, (root + 5) % 12)]
    assert [Chord.parse(chord.name) for chord in chords] == chords == [Chord.parse(chord.harte) for chord in chords]


KEYS = [Key(tonic, mode) for tonic in range(12) for mode in ("major", "minor")]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_all_chords_read_back_in_every_key(key: Key) -> None:
    chords = [Chord(root, quality, bass) for root in range(12) for quality in ("maj", "min7") for bass in (None, *range(12))]
    assert [Chord.parse(chord.spelled(key)) for chord in chords] == chords
    assert Key.parse(key.spelled) == key
    signs = "".join(Chord(note).spelled(key) for note in key.scale)
    assert not ("#" in signs and "b" in signs) and len({Chord(note).spelled(key)[0] for note in key.scale}) >= 6


@pytest.mark.parametrize(
    ("key", "named", "labels"),
    [
        (Key(8), "Ab major", "Db Bbm7 Ab/C Gb"), (Key(1), "Db major", "Gb Ab7 Bbm"), (Key(9), "A major", "D C#m7 F#m G#dim"),
        (Key(0), "C major", "C A7/C# D/F# Bb Eb"), (Key(8, "minor"), "G# minor", "G#m C#m D#7"),
        (Key(5, "minor"), "F minor", "Db Bbm"),
        (Key(10), "Bb major", "D7/F# Cm7 Ebmaj7"), (Key(4, "minor"), "E minor", "B7/D# F#hdim7 Am"),
    ],
)  # fmt: skip
def test_notes_are_spelled_by_the_key(key: Key, named: str, labels: str) -> None:
    chords = [Chord.parse(label) for label in labels.split()]
    score = compose(Brief(style="pop", key=key, metre=Metre(), chords=tuple(chords)), 2.0 * len(chords), 0)
    chart = print_chart(score)
    assert f"key: {named}\n" in chart and f"in {named}," in planning.summary(score)
    told = [label.replace("F#hdim7", "F#m7b5") for label in labels.split()]
    assert set(chart.split("\n\n")[1].split()) - {"|", "/"} == set(told)


@pytest.mark.parametrize("text", ["", " \n\n", "# only a comment\n", "style:\n"])
def test_a_chart_that_says_nothing_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "chart.txt").write_text(text)
    with pytest.raises(ValueError, match=r"chart\.txt is empty; write"):
        planning.make("pop", 4.0, 0, str(tmp_path / "chart.txt"))


def test_what_a_plan_overrides_is_told(tmp_path: Path) -> None:
    plan = tmp_path / "plan.txt"
    plan.write_text("style: waltz\nkey: C major\ntempo: 90\nmetre: 3/4\n")
    made = planning.make("techno in A minor, 4/4, 130 bpm", 4.0, 0, str(plan))
    assert made.overridden == ("style waltz", "key C major", "tempo 90 bpm", "metre 3/4")
    for agreed in ("a waltz in C, 3/4, 90 bpm", "flute", "sad"):
        assert planning.make(agreed, 4.0, 0, str(plan)).overridden == ()
    assert planning.make("techno in A minor, 4/4, 130 bpm", 4.0, 0).overridden == ()


def test_an_unknown_style_is_not_told() -> None:
    score = replace(compose(Brief(style="pop", key=Key(0)), 4.0, 0), style=UNKNOWN_STYLE)
    assert planning.summary(score).startswith("C major, ")


def test_a_chart_by_hand() -> None:
    brief = parse_chart("""
        # a comment
        Style: Bossa Nova
        key: F# minor
        tempo: 132.5 bpm
        metre: 3/4
        instruments: melody=flute, bass=32, drums=kit
        | Am7 | Dm7 G7 F | % | C / G/B | / N.C. / |
    """)
    assert (brief.style, brief.key, brief.bpm, brief.metre) == ("bossa nova", Key(6, "minor"), 132.5, Metre(3, 4))
    assert brief.instruments == {"melody": 73, "bass": 32, "drums": 0}
    labels = [chord and chord.name for chord in brief.chords]
    assert labels == ["Am7", "Dm7", "G7", "F", "Dm7", "G7", "F", "C", "G/B", "G/B", None]
    assert brief.chord_beats == (3, 1, 1, 1, 1, 1, 1, 2, 1, 1, 2)


def test_a_composed_chart_keeps_the_chords() -> None:
    brief = parse_chart("style: pop\nmetre: 4/4\ntempo: 120\n| C | G/B / Am F | % |")
    score = compose(brief, 6.0, 5)
    assert parse_chart(print_chart(score)).chords == brief.chords


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("key: H", r"Line 1: 'H' is not a key"),
        ("tempo: 120\n\ntempo: 90", r"Line 3: tempo is given twice"),
        ("tempo: fast", r"Line 1: .*beats per minute"),
        ("tempo: 900", r"30 to 300"),
        ("metre: 7/8", r"Line 1: .*4/4, 3/4 and 6/8"),
        ("colour: blue", r"Line 1.*style"),
        ("nonsense", r"Line 1.*style"),
        ("| C | Xq |", r"Line 1: 'Xq' is not a chord"),
        ("style: pop\n| % |", r"Line 2: % repeats"),
        ("| C % |", r"Line 1: % stands for a whole bar"),
        ("| / C |", r"Line 1: / holds"),
        ("| C |  | G |", r"Line 1: A bar is empty"),
        ("instruments: melody=kazoo", r"Line 1: The instrument 'kazoo'"),
        ("instruments: flute", r"Line 1: 'flute' is no player"),
        ("instruments: comp=banjo, comp=harp", r"Line 1: The comp has two players"),
        ("key: C\ninstruments:", r"Line 2: Nobody plays"),
    ],
)
def test_errors_name_the_line_and_the_remedy(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_chart(text)


def test_what_a_plan_overrides_of_the_words_is_told(tmp_path) -> None:
    score = compose(Brief(style="waltz", mood="happy", bpm=150.0, key=Key.parse("C major")), 8.0, 1)
    midi.write(score, tmp_path / "plan.mid")

    def overridden(words: str) -> set[str]:
        return {told.split()[0] for told in planning.make(words, None, 0, str(tmp_path / "plan.mid")).overridden}

    assert overridden("a waltz") == set() and overridden("a happy waltz in C major, 150 bpm") == set()
    assert overridden("sad techno in A minor at 90 bpm") >= {"style", "mood", "key", "tempo"}
    assert "players" in overridden("waltz with tuba and trumpet") and "players" in overridden("waltz without bass")
    assert "its" in overridden("waltz, chords C#m7 F#7 Bmaj7")


def test_what_is_no_chart_is_told_in_one_short_sentence(tmp_path) -> None:
    (tmp_path / "zeros.txt").write_bytes(bytes(200_000))
    (tmp_path / "long.txt").write_text("x" * 50_000)
    for name, message in (("zeros.txt", "too long for a chord chart"), ("long.txt", "Line 1")):
        with pytest.raises(ValueError, match=message) as error:
            planning.make("a waltz", 4.0, 0, str(tmp_path / name))
        assert len(str(error.value)) < 400
