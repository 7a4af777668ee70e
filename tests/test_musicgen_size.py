"""The paper's networks at their real size, built without memory: as many parameters as published."""

import re
from pathlib import Path

import pytest
import torch

from counterpoint import config
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.recipe.base import Recipe
from counterpoint.systems.musicgen import Musicgen, MusicgenConfig
from counterpoint.types import Spec

RECIPE = Path(__file__).parent.parent / "recipes" / "musicgen-small.toml"
FRAMES = Spec(rate=50.0, dim=128, levels=4, bins=2048)


def build(*changes: str) -> Musicgen:
    content = config.override(config.read(RECIPE), changes)
    with torch.device("meta"):
        system = config.parse(Recipe, content, str(RECIPE)).system.build(FRAMES)
    assert isinstance(system, Musicgen)
    return system


def count(*parts: torch.nn.Module) -> int:
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


@pytest.mark.parametrize(
    ("width", "depth", "heads", "blocks", "total"),
    [(1024, 24, 16, 402.8e6, 420.4e6), (1536, 48, 24, 1812e6, 1839e6), (2048, 48, 32, 3222e6, 3257e6)],
    ids=["small", "medium", "large"],
)
def test_musicgen_has_the_published_parameters(width, depth, heads, blocks, total):
    """Published to a tenth of a million (small) and a million; and to the last one by the arithmetic of its layers."""
    system = build(f"system.backbone.width={width}", f"system.backbone.depth={depth}", f"system.backbone.heads={heads}")
    step = 0.1e6 if depth == 24 else 1e6
    assert count(system.backbone) == pytest.approx(blocks, abs=step / 2)
    assert count(system) == pytest.approx(total, abs=step / 2)
    layer = 4 * width**2 + 4 * width**2 + 2 * 4 * width**2 + 3 * 2 * width  # to itself, to the text, feed-forward, norms
    assert count(system.backbone) == depth * layer + 2 * width
    assert count(system.embed) == 4 * 2049 * width
    assert count(system.out) == 4 * 2048 * width
    assert count(system.conditioners) == 768 * width + width
    assert count(system) == count(system.backbone, system.embed, system.out, system.conditioners)


def test_the_parts_of_the_small_one_are_the_published():
    system = build()
    parts = [count(part) / 1e6 for part in (system.embed, system.out, system.conditioners)]
    assert parts == pytest.approx([8.39, 8.39, 0.79], abs=0.005)
    assert system.conditions == ("text",) and system.backbone.config == MusicgenConfig().backbone


def test_the_recipe_trains_as_the_paper_does():
    """Section 4.4, and MusicGen where it is silent; the codec's frames are those that the system is built for."""
    recipe = config.parse(Recipe, config.read(RECIPE), str(RECIPE))
    assert (recipe.optim.lr, recipe.optim.warmup_steps, recipe.optim.schedule, recipe.optim.hidden) == (
        1e-4,
        4000,
        "cosine",
        "adamw",
    )
    assert (recipe.train.batch_size, recipe.train.steps, recipe.data.crop_seconds) == (256, 500_000, 10.0)
    with torch.device("meta"):
        assert EncodecConfig().build().spec == FRAMES


def test_the_command_of_many_processes_keeps_the_papers_batch():
    """A batch size is that of one process (`TrainConfig`)."""
    [command] = [line for line in RECIPE.read_text().splitlines() if line.startswith("#   torchrun")]
    processes = re.search(r"--nproc-per-node (\d+)", command)
    recipe = config.parse(Recipe, config.override(config.read(RECIPE), re.findall(r"\S+=\S+", command)))
    assert processes is not None and int(processes[1]) * recipe.train.batch_size * recipe.train.accumulate == 256
