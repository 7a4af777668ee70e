"""Promises of the ear: that it learns, that what it says depends on nothing else, and that the one that ships can judge."""

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from counterpoint import rng
from counterpoint.data.base import Item
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.corpus import compose_corpus
from counterpoint.data.corpus.describe import describe
from counterpoint.data.corpus.synth import render
from counterpoint.data.loader import collate
from counterpoint.data.tagged import TaggedDataset, transposed, write_bands
from counterpoint.evaluation.ear import EarEmbedder, EarTagger, windows
from counterpoint.hub import checkpoint
from counterpoint.hub.anatomy import describe as describe_model
from counterpoint.music import Brief, Key
from counterpoint.nn.notes import NotesConfig
from counterpoint.recipe.run import run_recipe
from counterpoint.systems.ear import FASTEST, SLOWEST, TEMPI, Ear, EarConfig, tempo_class
from counterpoint.types import Batch

STYLES = ("folk", "house", "waltz")


def tiny(dropout: float = 0.0) -> Ear:
    torch.manual_seed(0)
    config = EarConfig.tiny()
    words = config.words.model_copy(update={"vocabulary": ("fast", "flute", "folk", "house", "piano", "slow")})
    named = {"words": words, "styles": STYLES, "instruments": ("flute", "piano"), "dropout": dropout}
    return config.model_copy(update=named).build()


def batch(items: int = 2, frames: int = 60) -> Batch:
    draw = np.random.default_rng(0)
    texts = ["slow folk, flute", "fast house, piano", "folk", "slow piano"]
    made = [
        Item(
            frames=torch.from_numpy(draw.standard_normal((frames - 7 * i, 96), dtype=np.float32)),
            values={
                "text": texts[i],
                "style": STYLES[i % 3],
                "instruments": [["flute"], ["piano"]][i % 2],
                "key": 5 * i,
                "tempo": 70.0 + 40 * i,
            },
        )
        for i in range(items)
    ]
    return collate(made, list(range(items)))


# What the bands are ---------------------------------------------------------------------------------------------------


def sine(hertz: float, config: NotesConfig, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * config.sample_rate)) / config.sample_rate)


@pytest.mark.parametrize("semitone", [24, 37, 60])
def test_a_semitone_is_a_step_along_the_bands(semitone: int) -> None:
    config = NotesConfig()
    front = config.build()
    frames = front(sine(config.lowest * 2 ** (semitone / 12), config)[None])
    assert frames.shape == (1, 50, 168)
    assert frames[0, 25].argmax() == semitone * config.per_semitone


def test_loudness_changes_nothing_and_silence_is_silent() -> None:
    config = NotesConfig()
    front, tone = config.build(), sine(440.0, config)[None]
    torch.testing.assert_close(front(0.01 * tone), front(tone), atol=1e-4, rtol=0)
    assert torch.equal(front(0 * tone), torch.full((1, 50, 168), math.log10(config.floor)))


def test_frames_are_transposed_by_shifting() -> None:
    frames = np.random.default_rng(0).standard_normal((3, 10))
    assert np.array_equal(transposed(frames, 2)[:, 2:], frames[:, :-2]) and np.array_equal(transposed(frames, 0), frames)
    assert np.array_equal(transposed(frames, -2)[:, :-2], frames[:, 2:])


# What it learns and says ----------------------------------------------------------------------------------------------


def test_it_learns_two_clips() -> None:
    ear, pair = tiny(), batch()
    optimiser = torch.optim.Adam(ear.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        (objective,) = ear.objectives(pair)
        optimiser.zero_grad()
        objective.loss.backward()
        optimiser.step()
        losses.append(objective.loss.item())
    assert losses[-1] < losses[0] / 3
    assert set(objective.logs) == {"pairs", "style", "key", "tempo", "instruments", "temperature"}


def test_every_part_of_it_is_moved() -> None:
    ear = tiny()
    ear.objectives(batch(4))[0].loss.backward()
    idle = [name for name, weight in ear.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert [name for name in idle if "local" not in name and not name.endswith("embedding.weight")] == []


def test_the_pairs_loss_is_the_cross_entropy_of_both_directions() -> None:
    """Against the formula written out; a text that two clips share is no wrong answer to either."""
    ear, four = tiny().eval(), batch(4)
    four.values["text"][2] = four.values["text"][0]
    heard, texts = ear.hear(four.frames, four.mask), four.values["text"]
    cosines = (ear.place(heard) @ ear.read(texts).T).detach().double().numpy() / 0.07
    expected = []
    for i in range(4):
        wrong = [j for j in range(4) if texts[j] != texts[i]]
        for line in (cosines[i], cosines[:, i]):
            expected.append(np.log(np.exp(line[[i, *wrong]]).sum()) - line[i])
    assert ear.objectives(four)[0].logs["pairs"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_what_is_not_told_is_not_learnt() -> None:
    ear, pair = tiny(), batch()
    bare = Batch(pair.seeds, frames=pair.frames, mask=pair.mask, values={"text": ["folk", None]})
    (objective,) = ear.objectives(bare)
    assert objective.loss.item() == 0 and set(objective.logs) == {"pairs", "temperature"}
    objective.loss.backward()
    with pytest.raises(ValueError, match=r"^An ear learns from frames of bands, and this batch has none; .*[.]$"):
        ear.objectives(Batch([0]))


def test_tempo_classes_are_equal_steps() -> None:
    edges = [SLOWEST * (FASTEST / SLOWEST) ** (i / TEMPI) for i in range(TEMPI)]
    assert [tempo_class(edge * 1.01) for edge in edges] == list(range(TEMPI))
    assert tempo_class(30.0) == 0 and tempo_class(400.0) == TEMPI - 1


def test_a_clip_is_heard_as_if_alone_and_the_same_each_time() -> None:
    ear, four = tiny().eval(), batch(4)
    assert four.frames is not None and four.mask is not None
    together = ear.place(ear.hear(four.frames, four.mask))
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(4))
    for i, frames in enumerate(four.frames):
        alone = ear.place(ear.hear(frames[None, four.mask[i]]))
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=0)
    assert torch.equal(together, ear.place(ear.hear(four.frames, four.mask)))
    nonsense = four.frames.masked_fill(~four.mask[..., None], 1e3)
    torch.testing.assert_close(ear.place(ear.hear(nonsense, four.mask)), together, atol=1e-5, rtol=0)


def test_texts_are_read_as_if_alone() -> None:
    ear = tiny().eval()
    texts = ["slow folk, flute", "house", None, "zither", "fast fast fast piano"]
    together = ear.read(texts)
    torch.testing.assert_close(together, torch.cat([ear.read([text]) for text in texts]), atol=1e-5, rtol=0)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(5))


# Runs and checkpoints -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty short clips, two of them held out: one for validation, one for testing."""
    folder = tmp_path_factory.mktemp("music") / "corpus"
    compose_corpus(folder, 30 / 3600, 7, seconds=1.0, sample_rate=8000)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for number, split in ((3, "valid"), (4, "test")):
        lines[number]["split"] = split
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


RECIPE = """
name = "small"
ear = {{ width = 16, blocks = 1, dim = 16, curves = 2, words = {{ dim = 16 }},
  front = {{ sample_rate = 8000, size = 512, hop = 160, lowest = 110.0, octaves = 4 }} }}
data = {{ folders = ["{corpus}"], crop_seconds = 0.8, words = 50 }}
train = {{ steps = 6, batch_size = 4, valid_every = 3, save_every = 2, valid_batches = 1, log_every = 1 }}
""".replace("\n  front", " front")


def test_a_run_ends_in_a_checkpoint_and_a_stopped_one_goes_on(corpus: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(RECIPE.format(corpus=corpus))
    run_recipe(recipe, [], tmp_path / "whole", "cpu")
    run_recipe(recipe, ["train.steps=4", "optim.schedule=constant"], tmp_path / "parts", "cpu")
    run_recipe(recipe, ["optim.schedule=constant"], tmp_path / "parts", "cpu")
    run_recipe(recipe, ["optim.schedule=constant"], tmp_path / "once", "cpu")
    ear, manifest = checkpoint.load_ear(tmp_path / "whole")
    assert manifest.kind == "ear" and "drum kit" in ear.config.instruments and len(ear.config.words.vocabulary) == 50
    assert ear.get_buffer("mean").abs().max() > 0
    parts, once = ((tmp_path / name / checkpoint.WEIGHTS).read_bytes() for name in ("parts", "once"))
    assert parts == once
    lines = (tmp_path / "whole" / "train" / "bands" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 29, "test clips are never heard"
    with pytest.raises(ValueError, match=r"makes nothing to listen to, so train.sample_every would be ignored; leave it out"):
        run_recipe(recipe, ["train.sample_every=5"], tmp_path / "other", "cpu")


def test_a_transposed_crop_has_another_key_and_a_caption_without_one(corpus: Path, tmp_path: Path) -> None:
    config = NotesConfig()
    write_bands([corpus], config.sample_rate, config.build(), tmp_path)
    plain, varied = (TaggedDataset(tmp_path, "train", 40, 2, vary=vary) for vary in (False, True))
    moved = 0
    for index in range(len(plain)):
        seed = rng.mix(1, index)
        item, other = plain.item(index, seed), varied.item(index, seed)
        assert item.frames is not None and item.frames.shape == (40, 168)
        assert torch.equal(varied.item(index, seed).frames, other.frames)
        assert item.values["key"] == plain.rows[index][1]["key"] and other.values["key"] // 12 == item.values["key"] // 12
        if other.values["key"] != item.values["key"]:
            moved += 1
            assert "major" not in other.values["text"].lower() and "minor" not in other.values["text"].lower()
    assert 3 <= moved <= 25


def test_it_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    ear, pair = tiny().eval(), batch()
    for bits, allowed in ((32, 0.0), (8, 0.05)):
        checkpoint.save(tmp_path / str(bits), ear, checkpoint.ear_manifest(ear.config), bits=bits)
        loaded, _ = checkpoint.load_ear(tmp_path / str(bits))
        for ours, theirs in ((ear.read(["folk"]), loaded.read(["folk"])), (ear.hear(pair.frames), loaded.hear(pair.frames))):
            torch.testing.assert_close(theirs, ours, atol=allowed, rtol=0)


def test_it_ships_without_a_codec(tmp_path: Path) -> None:
    ship = runpy.run_path(str(Path(__file__).parent.parent / "recipes" / "ship.py"))["ship"]
    ear = tiny().eval()
    checkpoint.save(tmp_path / "run", ear, checkpoint.ear_manifest(ear.config))
    with pytest.raises(ValueError, match=r"is an ear, which has no codec; leave out --codec[.]$"):
        ship(tmp_path / "run", tmp_path / "shipped", "spectral-tiny")
    ship(tmp_path / "run", tmp_path / "shipped", None, bits=8)
    torch.testing.assert_close(
        checkpoint.load_ear(tmp_path / "shipped")[0].read(["folk"]), ear.read(["folk"]), atol=0.05, rtol=0
    )


# The one that ships ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> EarEmbedder:
    torch.set_num_threads(1)
    return EarEmbedder()


@pytest.fixture(scope="module")
def clips() -> list[tuple[torch.Tensor, str, str]]:
    """Sounds, their captions and keys, composed from seeds that no model has seen."""
    made = []
    for seed, style in enumerate(("house", "folk", "classical piano", "metal", "swing", "ambient")):
        score = compose(Brief(style=style), 6.0, 770_000 + seed)
        sound = torch.from_numpy(render(score, 16000, 1))[0]
        made.append((sound, describe(score, np.random.default_rng(seed))[2], score.key.name))
    return made


def test_the_right_captions_beat_others(shipped: EarEmbedder, clips: list[tuple[torch.Tensor, str, str]]) -> None:
    sounds = np.stack([shipped.embed_clip(sound) for sound, _, _ in clips])
    texts = shipped.embed_texts([caption for _, caption, _ in clips])
    cosines = sounds @ texts.T
    right = cosines.diagonal().mean()
    assert right > 0.3 and right > (cosines.sum() - cosines.trace()) / 30 + 0.25
    assert (cosines.argmax(1) == np.arange(6)).mean() >= 0.65


def test_it_names_styles_and_keys(clips: list[tuple[torch.Tensor, str, str]]) -> None:
    named = []
    for tag in ("style", "key"):
        tagger = EarTagger(tag=tag)
        heard = [tagger.probabilities(sound).mean(0) for sound, _, _ in clips]
        for row in heard:
            assert row.shape == (len(tagger.labels),) and row.sum() == pytest.approx(1)
        named.append([tagger.labels[row.argmax()] for row in heard])
    assert np.mean([name in caption for name, (_, caption, _) in zip(named[0], clips, strict=True)]) >= 0.5
    assert {Key.parse(name).name for name in named[1]} == set(named[1])
    assert len(EarTagger(tag="tempo").labels) == TEMPI


@pytest.mark.parametrize("seconds", [0.01, 3.0, 23.0])
def test_silence_and_any_length_are_judged(shipped: EarEmbedder, seconds: float) -> None:
    tagger, samples = EarTagger(), round(seconds * shipped.sample_rate)
    for sound in (torch.zeros(samples), torch.randn(samples, generator=torch.Generator().manual_seed(0))):
        frames = shipped.embed(sound)
        assert frames.shape == (max(1, math.ceil(seconds / 10)), shipped.dim) and np.isfinite(frames).all()
        assert np.linalg.norm(shipped.embed_clip(sound)) == pytest.approx(1)
        assert np.allclose(tagger.probabilities(sound).sum(1), 1) and np.isfinite(tagger.instruments(sound)).all()


def test_windows_cover_the_sound_and_the_last_ends_with_it() -> None:
    sound = torch.arange(25.0)
    assert [(part[0].item(), part[-1].item()) for part in windows(sound, 10)] == [(0, 9), (10, 19), (15, 24)]
    assert [len(part) for part in windows(sound[:20], 10)] == [10, 10]
    assert [len(part) for part in windows(sound[:7], 10)] == [7]


def test_mistakes_are_told_in_a_sentence(shipped: EarEmbedder) -> None:
    for sound in (torch.zeros(0), torch.tensor([0.0, float("nan")])):
        with pytest.raises(ValueError, match=r"^(There is no sound|The sound holds values).*[.]$"):
            shipped.embed(sound)
    with pytest.raises(
        ValueError, match=r"^'ear-tiny' is an ear, which does not generate; name a generator such as jasco-tiny[.]$"
    ):
        checkpoint.load("ear-tiny")
    with pytest.raises(ValueError, match=r"^'spectral-tiny' is a 'spectral', which does not judge music; name an ear such as"):
        checkpoint.load_ear("spectral-tiny")


def test_its_parts_are_told(shipped: EarEmbedder) -> None:
    told = describe_model("ear-tiny")
    assert told.startswith("ear-tiny: version") and "ear.listener" in told and "1 256" in told.splitlines()[-1]
    assert shipped.identity.startswith("ear-tiny 1.2 (sha256 ")
