"""The composer keeps what a brief says, writes sound music on an exact grid, and is a function of its arguments."""

from collections import Counter
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from counterpoint.data.corpus.bass import BASSES
from counterpoint.data.corpus.comping import COMPS
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.groove import GROOVES, KIT
from counterpoint.data.corpus.harmony import guess_key, progression, roman, voice
from counterpoint.data.corpus.melody import RHYTHMS, melody_range
from counterpoint.data.corpus.players import fit
from counterpoint.data.corpus.styles import MOODS, STYLES
from counterpoint.music import DRUM_CLASSES, ROLES, Brief, Chord, Key, Metre, Score

NAMES = (
    "pop", "rock", "funk", "swing", "bossa nova", "blues", "reggae", "house", "techno", "ambient", "lo-fi", "hip-hop", "waltz",
    "classical piano", "cinematic strings", "folk", "metal", "latin",
)  # fmt: skip
METRES = (Metre(4, 4), Metre(3, 4), Metre(6, 8))


def swung(beat: float, swing: float, unit: float) -> float:
    """Where a straight beat position falls: the same warp, written by interpolation."""
    whole = np.floor(beat / unit + 1e-9)
    return float(unit * (whole + np.interp(beat / unit - whole, (0, 0.5, 1), (0, swing, 1))))


def grid(score: Score) -> np.ndarray:
    """All the places where a note may begin: sixteenths, and eighths and sixteenths of a dotted beat."""
    style, parts = STYLES[score.style], 6 if score.metre.denominator == 8 else 4
    swing = 0.5 if score.metre.denominator == 8 else style.swing
    places = [k / parts for k in range(int(score.seconds * score.bpm / 60 + 2) * parts)]
    return np.array([swung(place, swing, style.swing_unit) * 60 / score.bpm for place in places])


def test_the_styles_are_these():
    assert tuple(STYLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_the_tables_leads_somewhere(name):
    style = STYLES[name]
    assert set(style.grooves) <= set(GROOVES)
    assert set(style.basses) <= set(BASSES)
    assert set(style.comps) <= set(COMPS)
    assert set(style.moods) <= set(MOODS)
    assert style.rhythm in RHYTHMS
    assert set(style.instruments) == set(ROLES) - {"drums"}
    for mode, texts in (("major", style.major), ("minor", style.minor)):
        assert all(progression(text, Key(0, mode), sevenths) for text in texts for sevenths in (False, True))


def test_patterns_are_whole_bars_and_strike_instruments_of_the_kit():
    keys = {key for keys in DRUM_CLASSES.values() for key in keys}
    lines = [line for groove in GROOVES.values() for line in groove.values()]
    rhythms = [rhythm for bank in RHYTHMS.values() for rhythm in bank]
    for pattern in (*lines, *rhythms, *filter(None, BASSES.values()), *COMPS.values()):
        for metre in METRES:
            assert len(fit(pattern, metre)) % (16 if metre.numerator == 4 else 12) == 0
    assert all(KIT[name] in keys for groove in GROOVES.values() for name in groove)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metre", (None, *METRES))
def test_a_piece_is_sound(name, metre):
    for seed in range(3):
        score = compose(Brief(style=name, metre=metre), 10.0, seed)
        assert (score.style, score.metre) == (name, metre or score.metre)
        assert score.mood in MOODS
        assert score.chords[0].start == 0 and score.chords[-1].end == score.seconds == score.sections[-1].end
        assert all(a.end == pytest.approx(b.start) for a, b in zip(score.chords, score.chords[1:], strict=False))
        assert all(a.end == pytest.approx(b.start) for a, b in zip(score.sections, score.sections[1:], strict=False))
        np.testing.assert_allclose(np.diff(score.beats), 60 / score.bpm)
        assert score.downbeats == score.beats[:: score.metre.beats] and score.downbeats[0] == 0
        assert min(note.start for track in score.tracks for note in track.notes) < 0.02
        assert max(note.end for track in score.tracks for note in track.notes) > 10 - 1.2 * 60 / score.bpm
        for track in score.tracks:
            assert all(0 <= n.start < n.end <= 10 and 1 <= n.velocity <= 127 for n in track.notes)
            assert list(track.notes) == sorted(track.notes, key=lambda n: (n.start, n.pitch))
            sounding: dict[int, float] = {}
            for note in track.notes:  # no key is struck while it is down
                assert track.role == "drums" or note.start >= sounding.get(note.pitch, 0.0) - 1e-9
                sounding[note.pitch] = note.end


@pytest.mark.parametrize("name", NAMES)
def test_onsets_lie_within_ten_milliseconds_of_the_swung_grid(name):
    score = compose(Brief(style=name), 12.0, 5)
    places = grid(score)
    for track in score.tracks:
        onsets = np.array([note.start for note in track.notes])
        assert np.abs(onsets[:, None] - places[None]).min(1).max() <= 0.0101, track.role


def test_swing_delays_the_off_beats():
    score = compose(Brief(style="swing", bpm=120.0), 20.0, 1)
    drums = score.track("drums")
    assert drums is not None
    phases = np.array([note.start * 2 % 1 for note in drums.notes])
    off = phases[(phases > 0.3) & (phases < 0.9)]
    assert len(off) > 5 and 0.6 < off.mean() < 0.7


def test_the_same_arguments_give_the_same_score_and_other_seeds_another():
    scores = [compose(Brief(), 10.0, seed) for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]
    assert len({compose(Brief(), 4.0, seed).style for seed in range(150)}) == len(STYLES)


def test_leaving_out_a_role_leaves_the_others_alone():
    full = compose(Brief(style="rock"), 10.0, 3)
    less = compose(Brief(style="rock", without=frozenset({"drums"})), 10.0, 3)
    assert less.tracks == tuple(track for track in full.tracks if track.role != "drums")


def test_what_the_brief_says_is_obeyed():
    brief = Brief(
        style="funk",
        mood="dark",
        key=Key.parse("F# minor"),
        bpm=101.5,
        metre=Metre(3, 4),
        instruments={"melody": 73, "comp": 6, "pad": 52},
        without=frozenset({"drums"}),
        energy=0.2,
    )
    score = compose(brief, 9.0, 7)
    assert (score.style, score.mood, score.key, score.bpm, score.metre) == ("funk", "dark", brief.key, 101.5, brief.metre)
    assert {track.role: track.program for track in score.tracks if track.role != "bass"} == brief.instruments


@pytest.mark.parametrize("name", NAMES)
def test_a_progression_is_looped_over_the_piece(name):
    chords = tuple(Chord.parse(label) for label in ("Am7", "D7", "N", "Gmaj7/B"))
    score = compose(Brief(style=name, bpm=120.0, metre=Metre(4, 4), chords=chords, chord_beats=(3, 1, 2, 4.5)), 10.0, 0)
    assert [span.chord for span in score.chords[:5]] == [*chords, chords[0]]
    assert [span.start for span in score.chords[:5]] == [0, 1.5, 2, 3, 5.25]
    assert score.key == Key.parse("G major")
    for track in score.tracks:
        if track.role in ("bass", "comp", "pad"):
            assert not [note for note in track.notes if 2.02 < note.start < 2.98], f"{track.role} plays where no chord is"


def test_without_a_style_one_is_taken_that_knows_the_players():
    cello = Brief(instruments={"melody": 42})
    knowing = {name for name, style in STYLES.items() if 42 in style.instruments["melody"]}
    assert {compose(cello, 4.0, seed).style for seed in range(40)} == knowing
    assert len({compose(Brief(), 4.0, seed).style for seed in range(200)}) == len(STYLES)


def test_energy_is_heard():
    def loudness(energy: float) -> float:
        notes = [
            note.velocity
            for seed in range(8)
            for track in compose(Brief(style="pop", energy=energy), 10.0, seed).tracks
            for note in track.notes
        ]
        return mean(notes)

    assert loudness(1.0) > loudness(0.5) + 5 > loudness(0.0) + 10


@pytest.mark.parametrize("name", NAMES)
def test_the_bass_has_the_root_where_chords_change(name):
    for seed in range(4):
        score = compose(Brief(style=name), 10.0, seed)
        bass = score.track("bass")
        assert bass is not None
        for span in score.chords:
            if span.end - span.start < 0.5 * 60 / score.bpm or span.chord is None:
                continue
            near = [note.pitch % 12 for note in bass.notes if abs(note.start - span.start) < 0.011]
            assert near[:1] == [span.chord.root if span.chord.bass is None else span.chord.bass]


def test_melodies_keep_to_range_key_and_chords_and_move_mostly_by_step():
    inside, strong, steps = [], [], []
    for seed in range(120):
        score = compose(Brief(), 10.0, seed)
        melody = score.track("melody")
        if melody is None:
            continue
        low, high = melody_range(melody.program)
        assert all(low <= note.pitch <= high for note in melody.notes)
        for note in melody.notes:
            inside.append(note.pitch % 12 in score.key.scale)
            beat = note.start * score.bpm / 60
            if abs(beat - round(beat)) < 0.03:
                chord = next(span.chord for span in score.chords if span.end > note.start + 0.012)
                strong.append(chord is None or note.pitch % 12 in chord.pitch_classes)
        steps += [abs(b.pitch - a.pitch) for a, b in zip(melody.notes, melody.notes[1:], strict=False)]
    assert mean(inside) > 0.85 and mean(strong) > 0.9
    assert mean(step <= 4 for step in steps) > 0.7 and mean(step == 0 for step in steps) < 0.25


def test_long_pieces_have_a_form_with_fills_and_repetition():
    score = compose(Brief(style="pop", bpm=120.0, energy=0.9), 150.0, 4)
    names = [section.name for section in score.sections]
    assert names[0] == "intro" and names[-1] == "outro" and names.count("chorus") >= 2
    drums = score.track("drums")
    assert drums is not None
    rolls = Counter(
        section.end
        for section in score.sections[:-1]
        for note in drums.notes
        if note.pitch in (*DRUM_CLASSES["snare"], *DRUM_CLASSES["tom"]) and 0 < section.end - note.start < 0.52
    )
    assert sum(count >= 3 for count in rolls.values()) >= len(rolls) / 2
    melody = score.track("melody")
    assert melody is not None
    bars = [[] for _ in score.downbeats]
    for note in melody.notes:
        bars[min(len(bars) - 1, int((note.start + 0.02) / 2))].append(round(((note.start + 0.02) % 2) * 8))
    rhythms = Counter(tuple(bar) for bar in bars if bar)
    assert rhythms.most_common(1)[0][1] >= 6, "no motif comes back"


def test_roman_numerals_mean_what_harmony_books_say():
    c, a = Key.parse("C"), Key.parse("Am")
    assert [roman(text, c).name for text in ("I", "ii7", "bVII", "V7", "iiø7", "V/7", "iv")] == [
        "C", "Dm7", "Bb", "G7", "Dm7b5", "G/B", "Fm",
    ]  # fmt: skip
    assert [roman(text, a).name for text in ("i", "III", "VI", "V7", "bII", "iiø7")] == ["Am", "C", "F", "E7", "Bb", "Bm7b5"]


def test_voicings_move_little_and_are_not_muddy():
    chords = [Chord.parse(label) for label in ("C", "Am7", "Dm7", "G7", "Cmaj9", "F", "Fm6", "Bdim", "Eaug", "Gsus4")]
    voicing: tuple[int, ...] = ()
    for chord in chords * 2:
        assert chord is not None
        following = voice(chord, voicing, 50, 67)
        assert chord.root in {pitch % 12 for pitch in following} <= set(chord.pitch_classes)
        assert following[0] >= 50 and following[-1] <= 69
        assert not (following[0] < 52 and following[1] - following[0] < 3)
        if voicing:
            assert mean(min(abs(p - q) for q in voicing) for p in following) <= 3
        voicing = following


@pytest.mark.parametrize(
    ("labels", "key"), [("C G Am F", "C"), ("Am F G E7", "Am"), ("Dm7 G7 Cmaj7", "C"), ("Em C D B7", "Em")]
)
def test_keys_are_guessed_from_chords(labels, key):
    assert guess_key([Chord.parse(label) for label in labels.split()]) == Key.parse(key)


@pytest.mark.parametrize(
    ("brief", "seconds"),
    [
        (Brief(style="polka"), 10),
        (Brief(mood="hungry"), 10),
        (Brief(bpm=0.0), 10),
        (Brief(energy=2.0), 10),
        (Brief(instruments={"lead": 3}), 10),
        (Brief(instruments={"bass": 300}), 10),
        (Brief(instruments={"bass": 33}, without=frozenset({"bass"})), 10),
        (Brief(without=frozenset(ROLES)), 10),
        (Brief(chords=(Chord(0),), chord_beats=(1.0, 2.0)), 10),
        (Brief(), 0.0),
        (Brief(), float("nan")),
    ],
)
def test_what_cannot_be_is_refused(brief, seconds):
    with pytest.raises(ValueError, match=r"\."):
        compose(brief, seconds, 0)


def test_transposed_briefs_give_transposed_harmony():
    low = compose(Brief(style="pop", key=Key(0)), 8.0, 9)
    high = compose(replace(Brief(style="pop"), key=Key(5)), 8.0, 9)
    assert [span.chord and span.chord.transpose(5) for span in low.chords] == [span.chord for span in high.chords]
