"""The house rules that a machine can hold: who may import whom, how large things are, that public names are documented."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "counterpoint"

LAYERS = [
    {"cli"},
    {"commands"},
    {"ending"},
    {"study"},
    {"recipe"},
    {"training"},
    {"bad_batch"},
    {"labelling"},
    {"evaluation", "encoding", "listening", "benchmark"},
    {"comparison", "adherence", "provenance", "review", "many"},
    {"generation", "destination"},
    {"amendment"},
    {"planning", "editing"},
    {"hub", "runtime", "sampler", "sketch", "takes", "tries"},
    {"controls"},
    {"systems", "request", "journal", "windows"},
    {"source"},
    {"codecs", "conditioners", "paradigms", "data", "metrics", "embedders"},
    {"analysis"},
    {"nn", "workers"},
    {"audio", "midi", "annotation", "chart", "guess", "tags", "instruments", "tempo_map", "chordino", "parallel", "optim"},
    {"music", "rng", "pieces", "weights"},
    {"types", "config", "files", "checks", "machine"},
]
"""From the top down: a room imports rooms below it."""

NEIGHBOURS = {"audio", "midi", "annotation", "chart", "guess", "tags", "instruments", "tempo_map"}
"""Rooms of one layer that may import each other: they read and write the same values."""

MODULES = sorted(PACKAGE.rglob("*.py"))
LINES_IN_FILE, LINES_IN_FUNCTION = 400, 60


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _level(room: str) -> int:
    for level, rooms in enumerate(LAYERS):
        if room in rooms:
            return level
    raise AssertionError(f"the room {room!r} has no place in LAYERS")


def _imported(path: Path) -> list[tuple[int, str]]:
    """(line, room) of every import of this package, inside functions too."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(path, node)
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "counterpoint" else [module]
            found += [(node.lineno, name) for name in names]
    parts = [(line, name.split(".")) for line, name in found]
    return [(line, part[1]) for line, part in parts if part[0] == "counterpoint" and len(part) > 1 and _is_room(part[1])]


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    folders = ["counterpoint", *path.relative_to(PACKAGE).parts[:-1]]
    base = folders[: len(folders) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_every_room_has_a_place() -> None:
    rooms = {_room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms - set().union(*LAYERS) == set()


@pytest.mark.parametrize("path", [p for p in MODULES if _room(p) not in ("__init__", "__main__")], ids=_name)
def test_imports_go_down(path: Path) -> None:
    room = _room(path)
    for line, other in _imported(path):
        if other == room or {room, other} <= NEIGHBOURS:
            continue
        assert _level(other) > _level(room), f"{_name(path)}:{line}: {room} may not import {other}"
        if (room, other) == ("systems", "codecs"):
            assert path.name in ("spectral.py", "codecgan.py"), f"{_name(path)}:{line}: a system sees a Spec, never a codec"


def test_the_layer_check_sees_every_way_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import counterpoint.cli\nfrom counterpoint import hub\nfrom counterpoint.training import train\n"
    source += "from ..metrics import x\nfrom . import y\ndef f():\n    from ...nn.conv import z\n"
    (tmp_path / "data" / "corpus").mkdir(parents=True)
    path = tmp_path / "data" / "corpus" / "new.py"
    path.write_text(source)
    for room in ("hub", "metrics", "nn"):
        (tmp_path / room).mkdir()
    for room in ("cli", "training"):
        (tmp_path / f"{room}.py").touch()
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    assert sorted(_imported(path)) == [(1, "cli"), (2, "hub"), (3, "training"), (4, "data"), (5, "data"), (7, "nn")]


def test_the_command_line_starts_without_torch() -> None:
    """Nothing that `counterpoint --help` imports may lead to torch or pydantic."""
    seen, waiting = set(), ["cli"]
    while waiting:
        room = waiting.pop()
        seen.add(room)
        files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else sorted((PACKAGE / room).glob("*.py"))
        top = [node for file in files for node in _tree(file).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
        assert not {name.split(".")[0] for name in names} & {"torch", "numpy", "pydantic", "huggingface_hub"}, room
        paths = {name.split(".")[1] for name in names if name.startswith("counterpoint.")}
        paths |= {
            alias.name
            for node in top
            if isinstance(node, ast.ImportFrom) and node.module == "counterpoint"
            for alias in node.names
        }
        waiting += [name for name in paths if _is_room(name) and name not in seen]


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_sizes(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_IN_FILE
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LINES_IN_FUNCTION, f"{_name(path)}:{node.lineno}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_public_names_are_documented(path: Path) -> None:
    """Modules and public functions; classes too, unless they are values whose fields say all (ruff's D101 holds the others)."""
    tree = _tree(path)
    assert ast.get_docstring(tree) or not tree.body, "the module has no docstring"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{_name(path)}:{node.lineno}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_is_passed_through_unseen(path: Path) -> None:
    """No **kwargs handed on, no hasattr: what a function takes is in its signature."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef) and node.args.kwarg is not None:
            handed_on = [k for call in ast.walk(node) if isinstance(call, ast.Call) for k in call.keywords if k.arg is None]
            names = [k.value.id for k in handed_on if isinstance(k.value, ast.Name)]
            assert node.args.kwarg.arg not in names, f"{_name(path)}:{node.lineno}: {node.name} hands on its **kwargs"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "hasattr", f"{_name(path)}:{node.lineno}: hasattr"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_catch_all_file_names(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "common", "misc")
