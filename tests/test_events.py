"""Promises of scores as lines of symbols: nothing that is heard is lost, and whatever the grammar allows is a piece."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from counterpoint import annotation, midi
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.styles import MOODS, STYLES
from counterpoint.data.events import line
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.compositions import Compositions, composition
from counterpoint.data.events.grammar import MOST_IN_BAR, Grammar
from counterpoint.data.events.grid import Grid, bent, straight
from counterpoint.data.events.reading import read
from counterpoint.data.events.script import accent, write
from counterpoint.data.events.terms import Terms
from counterpoint.music import ROLES, Brief, Chord, ChordSpan, Key, Metre, Note, Score, Section, Track

SECONDS = 7.0
SCORES = [compose(Brief(style=style), SECONDS, seed) for seed, style in enumerate(STYLES)]


def heard(score: Score, role: str) -> list[Note]:
    return sorted(
        (note for track in score.tracks if track.role == role for note in track.notes), key=lambda n: (n.pitch, n.start)
    )


def grammatical(tokens: list[int], grammar: Grammar) -> Grammar:
    for token in tokens:
        assert grammar.mask()[token], f"{v.kind_of(token)} {v.number_of(token)}"
        grammar.push(token)
    return grammar


# Scores and their scripts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.style)
def test_a_score_comes_back(score):
    back = read(write(score), SECONDS, score.bpm)
    assert [(s.chord, pytest.approx(s.start), pytest.approx(s.end)) for s in score.chords] == [
        (s.chord, s.start, s.end) for s in back.chords
    ]
    assert [(s.name, pytest.approx(s.start)) for s in score.sections] == [(s.name, s.start) for s in back.sections]
    np.testing.assert_allclose(back.beats, score.beats, atol=1e-9)
    np.testing.assert_allclose(back.downbeats, score.downbeats, atol=1e-9)
    for name in ("style", "mood", "key", "metre", "bpm"):
        assert getattr(back, name) == getattr(score, name)
    assert [(t.role, t.program) for t in back.tracks] == [(t.role, t.program) for t in score.tracks]
    for role in ROLES:
        own, other = heard(score, role), heard(back, role)
        assert [note.pitch for note in own] == [note.pitch for note in other]
        late = np.array([b.start - a.start for a, b in zip(own, other, strict=True)])
        loud = np.array([b.velocity - a.velocity for a, b in zip(own, other, strict=True)])
        assert len(late) == 0 or (np.abs(late).max() < 0.025 and np.abs(late).mean() < 0.006 and np.abs(loud).max() < 30)


def played(notes: list[tuple[float, float, int]], **changed) -> Score:
    """A melody at 120 bpm over one C major chord."""
    beats = tuple(0.5 * beat for beat in range(16))
    tune = tuple(Note(start, end, pitch, 80) for start, end, pitch in notes)
    score = Score(
        8.0, "pop", 120.0, Metre(), Key(0), beats, beats[::4], (ChordSpan(0, 8, Chord(0)),), (Track("melody", 73, tune),)
    )
    return replace(score, **changed)


def test_triplets_and_sixteenths_are_on_the_grid():
    notes = [(2 + third / 6, 2.1 + third / 6, 60) for third in range(3)] + [(3 + s / 8, 3.05 + s / 8, 64) for s in range(4)]
    back = read(write(played(notes)), 8.0)
    assert [n.start for n in back.tracks[0].notes] == pytest.approx([start for start, _, _ in notes])
    assert v.number_of(write(played(notes)).head[5]) == 0, "straight"


@pytest.mark.parametrize("swing", v.SWINGS)
def test_bent_time_is_straightened(swing):
    beats = np.linspace(-3, 9, 301)
    np.testing.assert_allclose(straight(bent(beats, swing), swing), beats, atol=1e-6)
    assert bent(np.array([swing[0] / 2]), swing)[0] == pytest.approx(swing[0] * swing[1])


def test_swing_is_told_from_straight():
    swung = [(0.5 * (beat + off), 0.5 * (beat + off) + 0.1, 67) for beat in range(12) for off in (0, 0.66)]
    script = write(played(swung))
    assert v.SWINGS[v.number_of(script.head[5])] == (1.0, 0.66)
    assert [n.start for n in read(script, 8.0).tracks[0].notes] == pytest.approx([start for start, _, _ in swung])


def test_two_lengths_at_once_and_extreme_pitches_stay():
    notes = [(1.0, 1.5, 0), (1.0, 3.0, 64), (1.0, 1.5, 127), (1.5, 2.0, 64)]
    back = read(write(played(notes)), 8.0)
    assert grammatical(line.whole(write(played(notes))), Grammar(8.0)).done
    held = {(n.pitch, round(n.start, 3), round(n.end, 3)) for n in back.tracks[0].notes}
    assert held == {(0, 1.0, 1.5), (64, 1.0, 1.5), (127, 1.0, 1.5), (64, 1.5, 2.0)}, "a pitch ends where it is struck again"


def test_music_is_spelled_alike_in_every_key():
    """Patterns hang on chords, chords on the tonic; only where roots wrap does the register turn."""
    score = compose(Brief(style="pop", key=Key(4), chords=(Chord(4), Chord(6, "min"))), 4.0, 1)
    first, second = write(score), write(score.transpose(1))
    assert first.bars == second.bars and first.head != second.head


def test_an_upbeat_has_a_bar_of_its_own():
    late = tuple(0.25 + 0.5 * beat for beat in range(15))
    score = played([(0.0, 0.2, 60), (0.25, 0.5, 62), (1.25, 1.5, 64)], beats=late, downbeats=late[2::4])
    grid = Grid.of(score)
    assert grid.ticks(np.array([1.25]))[0] == pytest.approx(48), "the first down-beat opens bar 1"
    back = read(write(score), 8.0, grid=grid)
    assert [n.start for n in back.tracks[0].notes] == pytest.approx([0.0, 0.25, 1.25], abs=0.02)
    assert back.downbeats == pytest.approx(score.downbeats)


def test_a_file_of_others_becomes_a_script(tmp_path: Path):
    midi.write(played([(0.0, 1.0, 60), (1.0, 2.0, 64)], style="", sections=(Section(0, 8, "Strophe"),)), tmp_path / "x.mid")
    back = read(write(midi.read(tmp_path / "x.mid")), 8.0)
    assert [n.pitch for n in back.tracks[0].notes] == [60, 64]


def test_off_the_beat_is_softer_as_the_composer_has_it():
    assert [accent(tick, Metre()) for tick in (0, 3, 6, 9, 12)] == [1, 0.76, 0.86, 0.76, 1]
    assert accent(4, Metre(6, 8)) == 0.62


# Lines ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES[::4], ids=lambda score: score.style)
def test_lines_are_grammatical_and_read_as_they_were_written(score):
    script = write(score)
    done = grammatical(line.whole(script), Grammar(SECONDS))
    assert done.done and read(done.script(), SECONDS, score.bpm).chords == read(script, SECONDS, score.bpm).chords
    for role in ROLES:
        pairs = (heard(read(s, SECONDS), role) for s in (done.script(), script))
        assert [(n.pitch, n.start, n.end) for n in next(pairs)] == [(n.pitch, n.start, n.end) for n in next(pairs)]


def test_what_recurs_is_told_as_such():
    script = write(SCORES[list(STYLES).index("techno")])
    tokens = line.whole(script)
    spelled_out = len(script.head) + sum(1 + len(bar.front) + sum(map(len, bar.parts.values())) for bar in script.bars)
    assert any(v.kind_of(token) == "again" for token in tokens) and len(tokens) < 0.9 * spelled_out


def test_around_a_gap_nothing_refers_into_it():
    script, bars = write(SCORES[0]), {}
    count, middle = len(script.bars), range(1, 2)
    told = line.opened(script.head, dict(enumerate(script.bars)), range(0, 1), range(2, count), count)
    bars = {index: bar for index, bar in enumerate(script.bars) if index not in middle}
    assert line.opened(script.head, bars, range(0, 1), range(2, count), count) == told, "the middle is not looked at"
    tokens = line.around(script, range(0, 1), range(2, count), middle)
    assert tokens[: len(told)] == told and tokens[-1] == v.END
    grammar = Grammar.go_on(script.head, bars, middle, Grid.of(SCORES[0]), SECONDS)
    assert set(grammatical(tokens[len(told) :], grammar).bars) == set(range(count))


def test_long_context_loses_its_far_ends_first():
    script = write(compose(Brief(style="pop"), 40.0, 3))
    bars, count = dict(enumerate(script.bars)), len(script.bars)
    before, after = line.near(script.head, bars, range(8, 10), count, 400)
    assert before.stop == 8 and after.start == 10 and len(before) + len(after) < count - 2
    assert len(line.opened(script.head, bars, before, after, count)) <= 400
    assert line.recent(script.head, bars, 8, count, 300).stop == 8
    assert len(line.recent(script.head, bars, 8, count, 1)) == 1, "never nothing"


# The grammar ----------------------------------------------------------------------------------------------------------


def wander(grammar: Grammar, seed: int) -> int:
    """Write at random until the end; returns how many symbols it took."""
    draw, written = np.random.default_rng(seed), 0
    while not grammar.done:
        grammar.push(int(draw.choice(np.flatnonzero(grammar.mask()))))
        written += 1
    return written


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_allowed_is_a_piece(seed: int, tmp_path: Path):
    grammar = Grammar(4.0)
    wander(grammar, seed)
    score = read(grammar.script(), 4.0)
    assert annotation.from_dict(annotation.to_dict(score)) == score
    assert score.chords[0].start == 0 and score.chords[-1].end == 4.0
    assert all(a.end == b.start for a, b in zip(score.chords, score.chords[1:], strict=False))
    for track in score.tracks:
        assert all(0 <= n.start < n.end <= 4.0 and 0 <= n.pitch < 128 and 1 <= n.velocity < 128 for n in track.notes)
    midi.write(score, tmp_path / "x.mid")


def test_what_is_stated_is_forced():
    brief = Brief(
        style="swing", mood="dark", key=Key(3, "minor"), bpm=97.5, metre=Metre(3, 4), instruments={"comp": 11, "bass": 32},
        without=frozenset({"drums", "pad"}), chords=(Chord(3, "min7"), Chord(8, "7", 0), None), chord_beats=(3, 2, 1),
    )  # fmt: skip
    for seed in range(6):
        grammar = Grammar(8.0, Terms.of(brief))
        wander(grammar, seed)
        score = read(grammar.script(), 8.0, Terms.of(brief).tempo)
        assert (score.style, score.mood, score.key, score.bpm, score.metre) == (
            "swing",
            "dark",
            Key(3, "minor"),
            97.5,
            Metre(3, 4),
        )
        heads = {ROLES[role]: program for role, program in grammar_programs(grammar).items()}
        assert heads.items() >= {"comp": 11, "bass": 32}.items() and not heads.keys() & {"drums", "pad"}
        beat = 60 / 97.5
        assert [s.chord for s in score.chords] == [brief.chords[i % 3] for i in range(len(score.chords))]
        assert [s.start for s in score.chords] == pytest.approx(
            [6 * (i // 3) * beat + (0, 3, 5)[i % 3] * beat for i in range(len(score.chords))]
        )


def grammar_programs(grammar: Grammar) -> dict[int, int]:
    from counterpoint.data.events.reading import Head

    return Head.of(tuple(grammar.head)).programs


def test_chords_without_a_key_suggest_one():
    assert Terms.of(Brief(chords=tuple(map(Chord.parse, ("Am", "Dm", "E7", "Am"))))).head["key"] == v.symbol("key", 9 + 12)


def test_no_bar_is_endless():
    grammar = Grammar(8.0, Terms.of(Brief(bpm=60.0)))
    while not grammar.done:  # always the first symbol that is no end of anything
        allowed = np.flatnonzero(grammar.mask())
        inside = [t for t in allowed.tolist() if v.kind_of(t) in ("position", "pitch", "hit", "length")]
        grammar.push(int(inside[0] if inside else allowed[0]))
    longest = max(sum(map(len, bar.parts.values())) for bar in grammar.bars.values())
    assert longest < MOST_IN_BAR + 150


# What is learnt from --------------------------------------------------------------------------------------------------


def test_tables_hold_what_the_composer_knows():
    assert set(STYLES) <= set(v.STYLES) and set(MOODS) <= set(v.MOODS)
    assert v.SIZE == len(v.KIND) == sum(v.span(kind).stop - v.span(kind).start for kind in v.KINDS)


def test_pieces_follow_from_their_number_and_splits_share_none():
    arguments = (600613, "train", 5, 4.0, 6.0, 0.5)
    assert composition(*arguments) == composition(*arguments)
    assert composition(*arguments).score != composition(600613, "valid", *arguments[2:]).score


def test_items_fit_the_window_and_begin_with_nothing():
    data = Compositions("train", 1, 40, window=256, shortest=3, longest=12, varied=0.5, gaps=0.5)
    items = [data.item(index, seed=index) for index in range(12)]
    for item in items:
        assert item.frames is not None and item.frames.shape[0] == 1 and item.frames.shape[1] <= 257
        assert item.frames[0, 0] == v.NOTHING and isinstance(item.values["text"], str)
    marks = [v.MIDDLE in item.frames for item in items if item.frames is not None]
    assert 0 < sum(marks) < 12
    assert (data.item(3, 9).frames == data.item(3, 9).frames).all()
