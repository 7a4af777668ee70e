import pytest

from counterpoint.chart import parse_chart, print_chart
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import STYLES
from counterpoint.music import Brief, Chord, Key, Metre, Score


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
    ],
)
def test_errors_name_the_line_and_the_remedy(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_chart(text)
