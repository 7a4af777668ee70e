"""What the pages in docs/ show works as shown: commands are commands with those options, what is named is there."""

import re
import shlex
from pathlib import Path

import pytest

from counterpoint import cli
from counterpoint.recipe import base as recipe

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("counterpoint ")]


LINES = [line for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("line", LINES)
def test_commands_are_known_with_their_options(line):
    words = shlex.split(line, comments=True)[1:]
    command, bound, ignored = cli.app.parse_args(words, exit_on_error=False, print_error=False)
    assert {"go_on": "continue"}.get(command.__name__, command.__name__) in words[:2] and not ignored and bound.arguments


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("counterpoint train")])
def test_recipes_are_there_and_know_the_settings_that_are_changed(line):
    path, *words = shlex.split(line, comments=True)[2:]
    assert recipe.read(ROOT / path, [word for word in words if "=" in word]).name


BLOCKS = [block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)]
BLOCKS = [block for block in BLOCKS if "STUDY =" not in block]  # that one is run by test_study


@pytest.mark.parametrize("block", BLOCKS)
def test_python_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "a page", "exec"), {"__name__": "a page"})
    assert capsys.readouterr().out


def test_there_are_pages_and_commands():
    assert PAGES and len(LINES) >= 6


def test_reasons_that_a_page_explains_are_those_that_are_given():
    package = ROOT / "src" / "counterpoint"
    sources = "".join(path.read_text(encoding="utf-8") for path in [*package.glob("data/*.py"), package / "encoding.py"])
    given = set(re.findall(r'(?:Skipped\([\w.]+, |refusal = \()"([a-z ]+)"', sources))
    table = re.search(r"\| reason \|.*?\n\n", (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8"), re.DOTALL)
    assert table is not None
    told = {word for line in table[0].strip().splitlines()[2:] for word in line.split("|")[1].strip().split(", ") if word}
    assert len(given) >= 9 and given == told
