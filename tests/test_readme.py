"""What the README shows works as shown: its Python runs, its commands are commands with those options."""

import re
import shlex
from pathlib import Path

import pytest

from counterpoint import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("counterpoint ")]


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert list(tmp_path.iterdir()), "the block is said to save a file"


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_known_with_their_options(line):
    words = shlex.split(line, comments=True)[1:]
    command, bound, ignored = cli.app.parse_args(words, exit_on_error=False, print_error=False)
    assert {"go_on": "continue"}.get(command.__name__, command.__name__) in words[:2] and not ignored
    assert bound.arguments


def test_files_that_are_linked_exist():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_recipes_that_are_named_exist():
    assert [name for name in set(re.findall(r"recipes/\S+\.toml", README)) if not (ROOT / name).exists()] == []
