"""Promises of the planner: it learns, depends on its seed alone, obeys the words, and leaves alone what is given."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import planning
from counterpoint.data.corpus.compose import compose
from counterpoint.data.events import line
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.compositions import Compositions
from counterpoint.data.events.grid import Grid
from counterpoint.data.events.script import bar_of, write
from counterpoint.data.loader import Loader, collate
from counterpoint.hub import checkpoint
from counterpoint.hub.anatomy import describe
from counterpoint.music import Brief, Chord, Key, Metre, Note, Score
from counterpoint.recipe.run import run_recipe
from counterpoint.systems.score import Planner, PlannerConfig, Sampling
from counterpoint.types import Batch, Spec

SPEC = Spec(rate=1.0, dim=1)

RECIPE = """
name = "tiny"
[planner]
window = 256
[planner.backbone]
width = 32
depth = 2
heads = 2
feedforward = 2.0
causal = true
time = "none"
local = 4
[planner.words]
dim = 16
[data]
seed = 7
pieces = 12
held_out = 2
shortest = 2.0
longest = 3.0
words = 50
[optim]
warmup_steps = 1
[train]
steps = 4
batch_size = 2
valid_batches = 1
valid_every = 4
save_every = 2
"""


@pytest.fixture(scope="module")
def planner() -> Planner:
    torch.manual_seed(0)
    built = PlannerConfig.tiny().build()
    torch.nn.init.normal_(built.out.weight, std=0.05)
    with torch.no_grad():  # it comes to an end soon: what is promised does not depend on how much is written
        for kind in ("bar", "role"):
            built.out.bias[v.span(kind)] = 4.0
        built.out.bias[v.END] = 4.0
    return built.eval()


@pytest.fixture(scope="module")
def score() -> Score:
    return compose(Brief(style="bossa nova", bpm=120.0), 10.0, 4)


def batch(items: int = 4) -> Batch:
    data = Compositions("train", 3, 8, window=256, shortest=2, longest=4, varied=0, gaps=0.3)
    return Loader(data, items, seed=0).batch(0)


def tokens_of(lines: Batch) -> torch.Tensor:
    assert lines.frames is not None
    return lines.frames[:, 0]


def notes_in(score: Score, bars: set[int]) -> dict[str, list[Note]]:
    grid = Grid.of(score)
    count = grid.bars(score.seconds)
    return {
        track.role: [n for n, bar in zip(track.notes, bar_of(track.notes, grid, count)[0].tolist(), strict=True) if bar in bars]
        for track in score.tracks
    }


def chords_at(score: Score, times: np.ndarray) -> list[Chord | None]:
    return [next(span.chord for span in score.chords if span.start <= time < span.end) for time in times]


# Learning -------------------------------------------------------------------------------------------------------------


def test_it_learns():
    torch.manual_seed(0)
    planner, lines = PlannerConfig.tiny().build(), batch()
    optimiser = torch.optim.AdamW(planner.parameters(), lr=1e-2)
    first = planner.objectives(lines)[0].loss
    assert first.item() == pytest.approx(np.log(v.SIZE), rel=0.15), "at first it knows nothing"
    loss = first
    for _ in range(12):
        optimiser.zero_grad()
        loss = planner.objectives(lines)[0].loss
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.8 * first.item()


def test_padding_changes_no_loss(planner):
    lines = batch(3)
    assert lines.frames is not None and lines.mask is not None
    alone = [
        planner.objectives(Batch([lines.seeds[i]], frames=f[None, :, : int(m.sum())], mask=m[None, : int(m.sum())], values={
            "text": [lines.values["text"][i]]}))[0]
        for i, (f, m) in enumerate(zip(lines.frames, lines.mask, strict=True))
    ]  # fmt: skip
    together = planner.objectives(lines)[0]
    weighed = sum(one.loss * one.logs["symbols"] for one in alone) / together.logs["symbols"]
    torch.testing.assert_close(together.loss, weighed)


def test_what_comes_later_is_not_seen(planner):
    tokens = tokens_of(batch(1))
    cond = planner.words(["a slow waltz"], SPEC, 1)
    whole = planner._logits(tokens, cond)
    changed = tokens.clone()
    changed[:, 40:] = torch.randint(0, v.SIZE, changed[:, 40:].shape)
    torch.testing.assert_close(planner._logits(changed, cond)[:, :40], whole[:, :40])
    assert not torch.allclose(planner._logits(changed, cond)[:, 41:], whole[:, 41:])


def test_memory_changes_nothing(planner):
    tokens = tokens_of(batch(1))[:, :60]
    cond = planner.words(["a slow waltz"], SPEC, 1)
    memory = planner._memory(cond)
    parts = [planner._logits(tokens[:, :stop], cond, memory) for stop in (1, 20, 21, 60)]
    torch.testing.assert_close(torch.cat(parts, dim=1), planner._logits(tokens, cond), atol=1e-4, rtol=1e-4)


def test_a_glance_is_the_last_of_its_kinds(planner):
    bar, role, place, again = (v.symbol(kind, 1) for kind in ("bar", "role", "position", "again"))
    seen = planner._glance(torch.tensor([[v.NOTHING, bar, role, place, again, role]]))[0]
    table = planner.glance.weight
    nothing, groups = table[v.NOTHING], 6
    torch.testing.assert_close(seen[0], groups * nothing)
    # style; role or bar; position, role or bar; chord or bar; loud or role; length or role
    torch.testing.assert_close(seen[3], nothing + table[role] + table[place] + table[bar] + 2 * table[role])
    torch.testing.assert_close(seen[5], nothing + table[role] * 4 + table[bar])


# Writing --------------------------------------------------------------------------------------------------------------


def test_same_seed_same_score_alone_or_among_others(planner):
    texts, seeds = ["a waltz", None, "house, 124 bpm"], [1, 2, 3]
    together = planner.generate(texts, [Brief()] * 3, 2.0, seeds)
    assert planner.generate([None], [Brief()], 2.0, [2]) == together[1:2]
    assert planner.generate(["a waltz"], [Brief()], 2.0, [9]) != together[:1]


def test_what_the_words_state_holds(planner):
    brief = Brief(
        style="swing", key=Key(3, "minor"), bpm=97.5, metre=Metre(3, 4), without=frozenset({"drums"}),
        chords=(Chord(3, "min7"), Chord(8, "7")),
    )  # fmt: skip
    for made in planner.generate([None] * 4, [brief] * 4, 5.0, [0, 1, 2, 3]):
        assert (made.style, made.key, made.bpm, made.metre) == ("swing", Key(3, "minor"), 97.5, Metre(3, 4))
        assert made.track("drums") is None and made.seconds == 5.0
        assert [span.chord for span in made.chords] == [brief.chords[i % 2] for i in range(3)]


def test_temperature_nought_draws_nothing(planner):
    certain = Sampling(temperature=0)
    made = [planner.generate([None], [Brief(style="pop")], 1.0, [seed], certain)[0] for seed in (1, 2)]
    assert made[0] == made[1]


def test_longer_than_the_window(planner):
    """One that hardly comes to an end leaves the window behind, and goes on from the latest bars."""
    wordy = copy.deepcopy(planner)
    with torch.no_grad():
        wordy.out.bias.neg_()
    made = wordy.generate([None], [Brief(bpm=120.0, metre=Metre(), chords=(Chord(0),))], 14.0, [5])[0]
    assert made.seconds == 14.0 and len(made.downbeats) == 7
    assert len(line.whole(write(made))) > planner.config.window


def test_going_on_keeps_what_was_there(planner, score):
    made = planner.go_on(score, 16.0, seed=1)
    kept = set(range(5))  # 10 s at 120 bpm are five whole bars
    assert made.seconds == 16.0 and len(made.downbeats) == 8
    assert notes_in(made, kept).items() >= {k: n for k, n in notes_in(score, kept).items() if n}.items()
    assert sum(map(len, notes_in(made, {5, 6, 7}).values())) > 0
    times = np.arange(0, 10, 0.1)
    assert chords_at(made, times) == chords_at(score, times)
    assert made.beats[: len(score.beats)] == score.beats
    assert planner.go_on(score, 16.0, seed=1) == made != planner.go_on(score, 16.0, seed=2)


def test_a_last_bar_cut_short_is_written_anew(planner, score):
    cut = planning.trim(score, 9.0)
    made = planner.go_on(cut, 12.0, seed=1)
    assert notes_in(made, set(range(4))).items() >= {k: n for k, n in notes_in(cut, set(range(4))).items() if n}.items()


@pytest.mark.parametrize("bars", [range(1, 3), range(0, 1), range(3, 5)])
def test_a_gap_is_filled_and_nothing_else_touched(planner, score, bars):
    made = planner.inpaint(score, bars, seed=3)
    outside = set(range(5)) - set(bars)
    assert notes_in(made, outside) == notes_in(score, outside)
    assert notes_in(made, set(bars)) != notes_in(score, set(bars))
    times = np.array([time for time in np.arange(0, 10, 0.1) if int(time // 2) in outside]) + 0.01
    assert chords_at(made, times) == chords_at(score, times)
    assert (made.seconds, made.beats, made.downbeats, made.key) == (score.seconds, score.beats, score.downbeats, score.key)
    assert [(t.role, t.program, t.pan, t.gain) for t in made.tracks][: len(score.tracks)] == [
        (t.role, t.program, t.pan, t.gain) for t in score.tracks
    ]


def test_what_cannot_be_is_said(planner, score):
    with pytest.raises(ValueError, match="bars 0 to 4"):
        planner.inpaint(score, range(3, 6), seed=0)
    with pytest.raises(ValueError, match="nothing is given"):
        planner.inpaint(score, range(0, 5), seed=0)
    with pytest.raises(ValueError, match="hold no more"):
        planner.go_on(score, 9.0, seed=0)
    with pytest.raises(ValueError, match="not one whole bar"):
        planner.go_on(planning.trim(score, 1.0), 9.0, seed=0)
    with pytest.raises(ValueError, match="train the planner anew"):
        PlannerConfig(symbols=99)


# Kept, trained, asked -------------------------------------------------------------------------------------------------


def test_interrupted_is_as_never_interrupted(tmp_path: Path):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    run_recipe(recipe, [], tmp_path / "whole")
    run_recipe(recipe, ["train.steps=2"], tmp_path / "parts")
    run_recipe(recipe, [], tmp_path / "parts")
    whole, parts = (checkpoint.load_planner(tmp_path / name)[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert "planner.backbone" in describe(tmp_path / "whole")
    made = planning.make("house, 124 bpm, in A minor", 2.0, 1, planner=str(tmp_path / "whole"))
    assert (made.score.style, made.score.bpm, made.score.key) == ("house", 124.0, Key(9, "minor"))
    with pytest.raises(ValueError, match="does not play"):
        checkpoint.load(tmp_path / "whole")
    with pytest.raises(ValueError, match="writes no scores"):
        checkpoint.load_planner("spectral-tiny")


def test_collated_lines_are_what_was_written():
    data = Compositions("train", 3, 8, window=256, shortest=2, longest=4, varied=0, gaps=0)
    items = [data.item(i, i) for i in range(2)]
    lines = collate(items, [0, 1])
    assert lines.frames is not None and items[0].frames is not None
    assert torch.equal(lines.frames[0, :, : items[0].frames.shape[1]], items[0].frames)


def test_a_planner_is_asked_like_the_rules(planner, tmp_path: Path):
    checkpoint.save(tmp_path / "own", copy.deepcopy(planner), checkpoint.planner_manifest(planner.config))
    ruled = planning.make("a waltz", 2.0, 0)
    assert ruled == planning.make("a waltz", 2.0, 0, planner="rules")
    learnt = planning.make("a waltz with zorbly flute", 2.0, 0, planner=str(tmp_path / "own"))
    assert learnt.score.style == "waltz" and learnt.unknown == ("zorbly",) and learnt.score != ruled.score
    with pytest.raises(ValueError, match="A tempo"):
        planning.make("a waltz, 900 bpm", 2.0, 0, planner=str(tmp_path / "own"))
    with pytest.raises(ValueError, match="no model 'score-tony'"):
        planning.make("a waltz", 2.0, 0, planner="score-tony")


def test_the_one_that_ships_writes_music():
    """Nearly all of its tune is of the key or the chord, its bass finds the roots, and what it fills in fits."""
    score = planning.make("a happy pop song in D major with piano and drums", 4.0, 1, planner="score-tiny").score
    assert {"melody", "bass", "drums"} <= {track.role for track in score.tracks}
    made = planning.load("score-tiny").inpaint(score, range(1, 2), seed=2)
    for piece in (score, made):
        tune, bass = piece.track("melody"), piece.track("bass")
        assert tune is not None and bass is not None and len(tune.notes) > 3
        inside = [n.pitch % 12 in piece.key.scale or n.pitch % 12 in tones(piece, n.start) for n in tune.notes]
        assert np.mean(inside) > 0.85
        assert np.mean([n.pitch % 12 in tones(piece, n.start) for n in bass.notes]) > 0.6


def tones(score: Score, time: float) -> tuple[int, ...]:
    chord = next(span.chord for span in reversed(score.chords) if span.start <= time + 0.02)
    return () if chord is None else chord.pitch_classes
