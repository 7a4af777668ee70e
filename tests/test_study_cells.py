"""Every kind of cell, on models as small as can be: what is asked is what is made, and what is measured is told."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import audio as sound
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.hub import checkpoint
from counterpoint.listening.answers import ANSWERS
from counterpoint.study import material, result
from counterpoint.study.damaged import Damaged, damage
from counterpoint.study.entropy import Certainty
from counterpoint.study.material import Coder, Frames, Music, Network
from counterpoint.study.part import Workshop, in_order
from counterpoint.study.rating import ListeningTest, Rating
from counterpoint.study.recoded import Recoded
from counterpoint.study.speed import Speed
from counterpoint.study.taken import Ears, Held, Taken, changed
from counterpoint.systems.jasco import Sampling

RECIPES = Path(__file__).parent.parent / "recipes"
MUSIC = Music("music", 4, hours=6 * 4 / 3600, seed=5)
CODER = Coder("codec", RECIPES / "spectral-tiny.toml", MUSIC)
FRAMES = Frames("frames", CODER, MUSIC)
HELD = Held(FRAMES, clips=6, seconds=4)
FLOW = Network("tiny", RECIPES / "jasco-tiny-text.toml", FRAMES)
AR = Network("tiny-ar", RECIPES / "musicgen-tiny-text.toml", FRAMES)
EARS = Ears(clap="")
GAP = {"metrics": ("frechet",), "gap_seconds": 1.6, "margin_seconds": 0.4}
SUPERVISED = Taken("supervised", FLOW, HELD, EARS, sampling=("steps=2",), **GAP)
ZERO_SHOT = Taken("zero-shot", FLOW, HELD, EARS, sampling=("steps=2", "method=zero-shot", "strategy=inversion"), **GAP)


@pytest.fixture(scope="module")
def shop(tiny_family, tmp_path_factory) -> Workshop:
    """A workshop in which the tiny models stand where trained ones would."""
    folder = tmp_path_factory.mktemp("workshop")
    shop = Workshop(folder, cache=folder / "cache")
    for name, source in {"codec": tiny_family["tiny"] / "codec", **tiny_family}.items():
        shutil.copytree(source, folder / "parts" / name)
        (folder / "parts" / name / "trained.json").write_text("{}")
    for part in in_order([SUPERVISED]):
        if not part.done(shop) and part != SUPERVISED:
            part.make(shop)
    return shop


def made(part, shop):
    part.make(shop)
    assert part.done(shop)
    found = result.load(part, shop)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("cell", [SUPERVISED, ZERO_SHOT])
def test_a_gap_is_filled_and_its_seams_are_heard(cell, shop):
    done = made(cell, shop)
    spans = json.loads((shop.place(cell) / "spans.json").read_text())
    assert set(spans) == set(done.ids) and len(done.ids) == 6
    for span in spans.values():
        assert span["mask_end"] - span["mask_start"] == pytest.approx(1.6)
        assert span["mask_start"] >= 0.4 - 1e-6 and span["mask_end"] <= 3.6 + 1e-6
    assert len({span["mask_start"] for span in spans.values()}) > 1
    assert done.figures["audible_seams"].n > 0 and np.isfinite(done.figures["fad"].value)


def test_gaps_are_the_same_for_every_model(shop):
    for cell in (SUPERVISED, ZERO_SHOT):
        if not cell.done(shop):
            cell.make(shop)
    spans = [(shop.place(cell) / "spans.json").read_text() for cell in (SUPERVISED, ZERO_SHOT)]
    assert spans[0] == spans[1]


def test_what_is_outside_of_a_gap_is_what_the_codec_gives_back(shop):
    """Of flow that is led and flow that has learnt, which differ within the gap."""
    for cell in (SUPERVISED, ZERO_SHOT):
        if not cell.done(shop):
            cell.make(shop)
    span = next(iter(json.loads((shop.place(SUPERVISED) / "spans.json").read_text()).items()))
    one, other = (sound.read(shop.place(cell) / "made" / f"{span[0]}.flac")[0] for cell in (SUPERVISED, ZERO_SHOT))
    start, end = (round(span[1][name] * 8000) for name in ("mask_start", "mask_end"))
    inside, before = (one - other)[:, start:end], (one - other)[:, : max(0, start - 2000)]
    assert inside.abs().max() > 1e-3
    assert before.numel() == 0 or before.abs().max() < inside.abs().max()


def test_clips_do_not_depend_on_what_is_made_beside_them(shop):
    cell = Taken("alone", AR, HELD, EARS, metrics=("frechet",))
    done = made(cell, shop)
    clip = shop.place(cell) / "made" / f"{done.ids[2]}.flac"
    before = clip.read_bytes()
    clip.unlink()
    result.path(cell, shop).unlink()
    cell.make(shop)
    assert clip.read_bytes() == before


def test_certainty_is_entropy_in_bits(shop):
    done = made(Certainty("certainty", AR, HELD), shop)
    bins = 16
    assert len(done.curves["bits"]) == 100 and all(0 <= bits <= np.log2(bins) + 1e-3 for bits in done.curves["bits"])
    assert done.figures["bits_early"].value == pytest.approx(np.mean(done.curves["bits"][:50]), rel=1e-3)
    assert done.figures["bits_late"].n == 6


def test_a_codec_is_judged_by_what_it_gives_back(shop):
    done = made(Recoded("recoded", CODER, HELD), shop)
    assert len(done.ids) == 6
    assert {"si_snr", "log_mel_distance"} <= done.figures.keys()


def test_speed_is_seconds_of_a_batch(shop):
    small = ("system.backbone.width=32", "system.backbone.depth=2", "system.backbone.heads=2")
    slow, fast = (
        made(Speed(f"speed-{steps}", FLOW.file, CODER, 2, 1, small, (f"steps={steps}", "guidance={all=1}"), 2), shop)
        for steps in (40, 1)
    )
    assert slow.figures["latency"].value > 2 * fast.figures["latency"].value
    for done in (slow, fast):
        seconds = np.array(done.figures["latency"].items)
        assert done.figures["throughput"].items == pytest.approx(tuple(2 / seconds), rel=1e-4)
        assert done.figures["log_latency"].items == pytest.approx(tuple(np.log2(seconds)), rel=1e-3, abs=1e-4)


def test_a_listening_test_is_built_and_waits_for_people(shop):
    for cell in (SUPERVISED, ZERO_SHOT):
        if not cell.done(shop):
            cell.make(shop)
    test = ListeningTest("test", (("flow", SUPERVISED), ("zero", ZERO_SHOT)), HELD, items=3)
    rating = Rating("rating", test, "flow")
    assert not test.done(shop) and not rating.done(shop)
    test.make(shop)
    assert test.done(shop) and rating.done(shop)  # nobody has answered: there is nothing to make
    assert result.load(rating, shop) is None
    assert len(list((shop.place(test) / "clips" / "reference").glob("*.flac"))) == 3
    (test.test(shop) / ANSWERS).write_text("{}\n")
    assert not rating.done(shop)


def test_a_noisier_set_is_duller_and_has_wrong_captions(shop):
    worse = Damaged("noisy", 4, seed=1, of=MUSIC, clips=6)
    worse.make(shop)
    assert worse.done(shop)
    rows = [json.loads(line) for line in (worse.source(shop) / "metadata.jsonl").read_text().splitlines()]
    captions = {row["captions"][0] for row in map(json.loads, (MUSIC.source(shop) / "metadata.jsonl").read_text().splitlines())}
    assert len(rows) == 6 and {row["text"] for row in rows} <= captions
    tone = torch.sin(torch.arange(32000) * 2 * torch.pi * 10000 / 32000)[None]
    louder = [damage(tone, 32000, seed).square().mean().sqrt() for seed in range(3)]
    assert all(torch.isfinite(level) for level in louder)
    assert not torch.equal(damage(tone, 32000, 0), tone)


def test_held_out_clips_that_are_too_few_are_told_at_once(shop, tmp_path):
    source = MUSIC.source(shop)
    held = Held(Frames("own", CODER, Music("own", 4, folder=source)), clips=99, seconds=4)
    with pytest.raises(
        ValueError, match=r"holds 6 held-out clips with captions that last 4 s, and 99 are asked for; give more"
    ):
        held.check()


def test_sampling_is_changed_as_recipes_are():
    own = Sampling(steps=8, guidance={"all": 1.5})
    assert changed(own, ("steps=3",)) == Sampling(steps=3, guidance={"all": 1.5})
    assert changed(own, ("guidance={text=2}",)).model_dump()["guidance"] == {"text": 2.0}
    with pytest.raises(ValueError, match="sampling: there is no setting 'step'"):
        changed(own, ("step=3",))


def test_a_codec_that_says_the_same_of_everything_is_refused(shop, tmp_path):
    clip = next((shop.place(MUSIC) / "corpus").rglob("*.flac"))
    material._check(shop.place(CODER), clip)
    torch.manual_seed(0)
    untrained = EncodecConfig.tiny().build()
    checkpoint.save(tmp_path, untrained, checkpoint.codec_manifest(EncodecConfig.tiny(), untrained))
    with pytest.raises(ValueError, match="sounds the same whatever it is given; train that codec for longer"):
        material._check(tmp_path, clip)
