"""The page of pictures: small, complete, and made by the command that it names."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import counterpoint

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
pytest.importorskip("librosa", reason="benchmarks need the extra eval")
pytest.importorskip("matplotlib", reason="pictures need the extra eval")
listening_page = pytest.importorskip("listening_page")


def test_the_page_is_written_whole(tiny_model, tmp_path):
    examples = [replace(example, name=f"{example.name} again") for example in listening_page.EXAMPLES[3:]]
    page = tmp_path / "listening.md"
    size = listening_page.write(page, [counterpoint.load(tiny_model)], examples)
    text, pictures = page.read_text(encoding="utf-8"), sorted((tmp_path / "listening").iterdir())
    assert len(pictures) == len(examples) and size == sum(picture.stat().st_size for picture in pictures)
    for example in examples:
        assert example.text in text.lower() or example.text[1:] in text
        assert f"(listening/{example.name}.png)" in text and example.command(tiny_model.name) in text
    assert all(picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 80_000 for picture in pictures)


def test_the_page_that_ships_has_its_pictures_and_they_are_small():
    page = ROOT / "docs" / "listening.md"
    pictures = [page.parent / name for name in re.findall(r"\]\((listening/[^)]+)\)", page.read_text(encoding="utf-8"))]
    assert len(pictures) == len(listening_page.EXAMPLES) and sum(picture.stat().st_size for picture in pictures) < 600_000
    assert set(pictures) == set((page.parent / "listening").iterdir())
