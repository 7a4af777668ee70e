"""A listening test's folder: blinded, level, balanced, the same bytes each time; what cannot be compared is said."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import scipy.signal
import soundfile
import torch

from counterpoint import audio
from counterpoint.listening import orders, stimuli, tones
from counterpoint.listening.build import Wanted, build
from counterpoint.listening.study import load_key, load_study
from listeners import RATE, SPAN, folders, small_test, song


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_inputs_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    one, _, first = small_test(tmp_path / "one")
    two, _, _ = small_test(tmp_path / "two")
    _, _, third = small_test(tmp_path / "three", Wanted(seed=1))
    assert digest(one) == digest(two)
    assert first.secret != third.secret and not set(first.clips) & set(third.clips)


def test_nothing_that_a_browser_may_read_names_a_system(tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path)
    public = [path for path in folder.rglob("*") if path.is_file() and "private" not in path.parts]
    assert len(public) > 20
    for path in public:
        for name in (b"system-jasco", b"system-musicgen", b"originals", b"stem-0", b"anchor"):
            assert name not in path.read_bytes(), path
            assert name.decode() not in path.name
    assert key.secret not in (folder / "items.json").read_text()
    assert {origin.system for origin in key.clips.values()} == {"system-jasco", "system-musicgen", "reference", "anchor"}
    assert set(key.clips) < set(study.clips)
    examples = {example.clip for example in study.examples}
    assert not examples & set(key.clips)  # what is named in the training cannot be found again


@pytest.mark.parametrize("kind", ["rating", "mushra"])
def test_all_clips_are_equally_loud(tmp_path: Path, kind: str) -> None:
    wanted = Wanted(kind="mushra" if kind == "mushra" else "rating")
    folder, study, key = small_test(tmp_path, wanted)
    shown = {clip for trial in study.trials for clip in (*trial.clips, *([trial.reference] if trial.reference else []))}
    assert len(shown) == 2 * 4 + (2 if kind == "mushra" else 0)
    for clip in shown:
        samples, rate = soundfile.read(folder / "audio" / f"{clip}.wav")
        assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-23.0, abs=0.15)
    assert key.lufs == -23.0


def test_a_seam_stays_as_it_is(tmp_path: Path) -> None:
    """One gain for a whole clip: away from its ends, what is played is the file times a constant."""
    folder, _, key = small_test(tmp_path)
    clip = next(c for c, origin in key.clips.items() if (origin.system, origin.item) == ("system-jasco", "stem-1"))
    played, _ = audio.read(folder / "audio" / f"{clip}.wav")
    given, _ = audio.read(tmp_path / "system-jasco" / "stem-1.wav")
    middle = slice(RATE // 100, -RATE // 20)
    gain = 10 ** (key.gains[clip] / 20)
    assert torch.allclose(played[:, middle], gain * given[:, middle], atol=2e-4)


def test_peaks_turn_all_clips_down_together(tmp_path: Path) -> None:
    runs = folders(tmp_path, {"one": 0.1, "two": 0.1}, spans=False)
    click = song(220, 0.01)
    click[0, 8000] = 0.99
    audio.write(tmp_path / "two" / "stem-0.wav", click, RATE)
    build(runs, tmp_path / "test", wanted=Wanted(lufs=-23.0))
    key, study = load_key(tmp_path / "test"), load_study(tmp_path / "test")
    assert key.lufs < -25 and any("LUFS" in note and "stem-0" in note for note in key.notes)
    for clip in key.clips:
        played, rate = audio.read(tmp_path / "test" / "audio" / f"{clip}.wav")
        assert audio.loudness(played, rate) == pytest.approx(key.lufs, abs=0.2)
        assert audio.true_peak(played, rate) < -0.9
    noise, rate = audio.read(tmp_path / "test" / "audio" / f"{study.noise}.wav")
    assert audio.loudness(noise, rate) == pytest.approx(key.lufs, abs=0.2)


def test_waveforms_are_the_extremes_of_a_thousand_pieces(tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path)
    clip = sorted(key.clips)[0]
    samples, _ = soundfile.read(folder / "audio" / f"{clip}.wav")
    drawn = json.loads((folder / "peaks" / f"{clip}.json").read_text())
    assert len(drawn["low"]) == len(drawn["high"]) == 1000
    for column in (0, 1, 499, 999):
        piece = samples[column * len(samples) // 1000 : (column + 1) * len(samples) // 1000]
        assert drawn["low"][column] == pytest.approx(127 * piece.min(), abs=1)
        assert drawn["high"][column] == pytest.approx(127 * piece.max(), abs=1)
    assert study.clips[clip].span == SPAN


def test_anchors_spoil_what_they_say() -> None:
    one, other = song(220, 0.1), song(500, 0.3, seconds=0.3)
    begin, end = 5000, 9000
    stepped = stimuli.step(one, begin, end)
    assert torch.equal(stepped[:, :begin], one[:, :begin]) and torch.equal(stepped[:, end:], one[:, end:])
    assert torch.allclose(stepped[:, begin:end], one[:, begin:end] * 0.5012, atol=1e-5)
    filled = stimuli.fill(one, other, begin, end)
    assert torch.equal(filled[:, :begin], one[:, :begin]) and torch.equal(filled[:, end:], one[:, end:])
    assert filled[:, begin:end].square().mean().item() == pytest.approx(one[:, begin:end].square().mean().item(), rel=1e-4)
    spectrum = np.abs(np.fft.rfft(filled[0, begin:end].numpy()))
    assert np.fft.rfftfreq(end - begin, 1 / RATE)[spectrum.argmax()] == pytest.approx(500, abs=5)
    noise = torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    frequency, power = scipy.signal.welch(stimuli.low_pass(noise, RATE)[0].numpy(), RATE, nperseg=1024)
    _, before = scipy.signal.welch(noise[0].numpy(), RATE, nperseg=1024)
    change = 10 * np.log10(power / before)
    assert np.abs(change[(frequency > 100) & (frequency < 3000)]).max() < 0.2
    assert change[frequency > 3700].max() < -60


def test_orders_are_latin_squares() -> None:
    """Over a block's orders, every item is met in every condition at every position of its equally often."""
    items, conditions = 6, 4
    made = orders.orders(items, conditions, rounds=conditions, size=items, seed=3)
    assert len(made) == conditions
    for order in made:
        assert Counter((cell.item, cell.condition) for cell in order) == Counter(
            {(i, c): 1 for i in range(items) for c in range(conditions)}
        )
        assert all(one.item != two.item for one, two in pairwise(order))
    for place in range(items * conditions):
        assert sorted(order[place].condition for order in made) == list(range(conditions))
    assert (
        made == orders.orders(items, conditions, conditions, items, 3) != orders.orders(items, conditions, conditions, items, 4)
    )


def test_blocks_share_the_items_fairly() -> None:
    made = orders.orders(10, 3, rounds=3, size=4, seed=0)
    heard = Counter((cell.item, cell.condition) for order in made for cell in order)
    assert len(heard) == 30 and len(set(heard.values())) == 1
    assert all(len({cell.item for cell in order}) == 4 for order in made)


@pytest.mark.parametrize(("kind", "pages"), [("rating", 8), ("ab", 8), ("mushra", 2)])
def test_every_session_is_whole(tmp_path: Path, kind: str, pages: int) -> None:
    """rating: 2 items by 4 systems; ab: 3 pairs of systems and the anchor's; mushra: one page an item.  And the checks."""
    wanted = replace(Wanted(), kind=kind)
    _, study, key = small_test(tmp_path, wanted)
    sides: Counter[tuple[str, str]] = Counter()
    for order in study.orders:
        shown = [study.trials[place] for place in order]
        roles = [key.trials[trial.id].role for trial in shown]
        assert Counter(roles) == {"test": pages, "repeat": 1, "attention": 1}
        repeated = next(trial for trial in shown if key.trials[trial.id].role == "repeat")
        places = [trial.id for trial in shown]
        assert places.index(repeated.id) > places.index(key.trials[repeated.id].of or "")
        for trial in shown:
            if key.trials[trial.id].role == "test":
                sides.update((key.clips[clip].system, str(i)) for i, clip in enumerate(trial.clips))
                assert {key.clips[clip].item for clip in trial.clips} == {key.trials[trial.id].item}
            assert (trial.instruction is not None) == (key.trials[trial.id].role == "attention")
    if kind == "mushra":
        assert len(set(sides.values())) == 1  # every system at every place equally often
        assert all(trial.reference in study.clips and trial.reference not in key.clips for trial in study.trials)
    if kind == "ab":
        assert all(sides[system, "0"] == sides[system, "1"] for system in key.systems)


def test_headphone_tones_cancel_over_loudspeakers() -> None:
    """The turned tone is silent where both channels are added; the quiet one is 6 dB down; every placing comes once."""
    assert sorted(tones.headphone_order(0)) == sorted((q, t) for q in range(3) for t in range(3) if q != t)
    made = tones.headphone_trial(quiet=2, turned=0)
    starts = [round((0.5 + 1.5 * i) * tones.RATE) for i in range(3)]
    left = [made[0, s : s + tones.RATE] for s in starts]
    level = [20 * torch.log10(part.square().mean().sqrt()).item() for part in left]
    assert level[1] == pytest.approx(level[0]) and level[2] - level[1] == pytest.approx(-6.0, abs=1e-3)
    together = [made[:, s : s + tones.RATE].sum(0).abs().max().item() for s in starts]
    assert together[0] < 1e-6 < 0.1 < together[2] < together[1]
    spectrum = np.abs(np.fft.rfft(left[1].numpy()))
    assert spectrum.argmax() == 200


def test_captions_ask_for_the_fit_to_them(tmp_path: Path) -> None:
    runs = folders(tmp_path, {"one": 0.1, "two": 0.1}, spans=False)
    for item in range(2):
        (tmp_path / "one" / f"stem-{item}.txt").write_text(f"a slow waltz {item}\n")
    study = build(runs, tmp_path / "test")
    assert [question.name for question in study.questions] == ["quality", "relevance"]
    assert {trial.caption for trial in study.trials} == {"a slow waltz 0", "a slow waltz 1"}
    assert [example.title for example in study.examples] == ["A first clip"]


def test_spans_beside_the_audio_are_found(tmp_path: Path) -> None:
    runs = folders(tmp_path, {"one": 0.1, "two": 0.1}, spans=False)
    for item in range(2):
        (tmp_path / "two" / f"stem-{item}.json").write_text(json.dumps({"mask_start": 0.25, "mask_end": 0.5, "prompt": "x"}))
    study = build(runs, tmp_path / "test")
    assert {study.clips[clip].span for trial in study.trials for clip in trial.clips} == {(0.25, 0.5)}
    (tmp_path / "one" / "stem-0.json").write_text(json.dumps({"mask_start": 0.3, "mask_end": 0.5}))
    with pytest.raises(ValueError, match="another span of stem-0"):
        build(runs, tmp_path / "other")


def test_rates_and_lengths_that_differ_a_little_are_made_alike(tmp_path: Path) -> None:
    runs = folders(tmp_path, {"one": 0.1}, spans=False)
    for item in range(3):
        audio.write(tmp_path / "two" / f"stem-{item}.flac", audio.resample(song(300, 0.1, 1.2), RATE, 2 * RATE), 2 * RATE)
    build([*runs, tmp_path / "two"], tmp_path / "test")
    key = load_key(tmp_path / "test")
    heads = {soundfile.info(tmp_path / "test" / "audio" / f"{clip}.wav") for clip in key.clips}
    assert {(head.samplerate, head.frames) for head in heads} == {(2 * RATE, 2 * RATE)}
    assert any("1 items are not in every folder" in note for note in key.notes) and any(
        "sample rates" in note for note in key.notes
    )


def _case(name: str, root: Path) -> None:
    """Builds something that cannot be built."""
    one, two, originals = folders(root, {"one": 0.1, "two": 0.1, "originals": 0.1})
    spans = root / "spans.json"
    out, wanted = root / "test", Wanted()
    if name == "exists":
        out.mkdir()
        (out / "answers.jsonl").touch()
    if name == "silent":
        audio.write(two / "stem-1.wav", torch.zeros(1, RATE), RATE)
    if name == "corrupt":
        (two / "stem-1.wav").write_bytes(b"RIFF nothing")
    if name == "long":
        audio.write(two / "stem-1.wav", song(300, 0.1, 2.0), RATE)
    if name == "apart":
        for item in range(2):
            (two / f"stem-{item}.wav").rename(two / f"else-{item}.wav")
    if name == "span":
        spans.write_text(
            json.dumps({"stem-0": {"mask_start": 0.5, "mask_end": 3.0}, "stem-1": {"mask_start": 0, "mask_end": 1}})
        )
    if name == "half":
        spans.write_text(json.dumps({"stem-0": {"mask_start": 0.5, "mask_end": 0.7}}))
    if name == "json":
        spans.write_text("{")
    if name == "mushra":
        wanted = Wanted(kind="mushra")
    if name == "anchor":
        wanted = Wanted(anchor="step")
    if name == "items":
        wanted = Wanted(per_rater=3)
    twice = root / "deeper" / "one"
    reference = None if name in ("mushra", "anchor") else originals
    build([one, two, *([twice] if name == "twice" else [])], out, reference, spans, wanted)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exists", "may hold answers"),
        ("silent", r"stem-1\.wav is silent"),
        ("corrupt", r"stem-1\.wav cannot be read"),
        ("long", "stem-1 lasts 1.00 s in .*one and 2.00 s in .*two"),
        ("apart", "No file name is in all of the folders"),
        ("span", "span of stem-0 is 0.5 to 3 s, but the clip lasts 1 s"),
        ("half", "stem-1 has no mask_start"),
        ("json", "not valid JSON"),
        ("mushra", "--reference"),
        ("anchor", "made from a reference"),
        ("items", "from 1 to 2"),
        ("twice", "Two folders are called one"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _case(name, tmp_path)
    assert not (tmp_path / "test" / "items.json").exists() and not list(tmp_path.glob(".*.part"))
