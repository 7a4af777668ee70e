"""A study of seconds, that of docs/adding-a-study.md: planned, killed, gone on with, reported, and refused when changed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from counterpoint import cli
from counterpoint.study import design, estimate, findings, part, result, running
from counterpoint.study.part import Workshop

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "adding-a-study.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """The page's study, in a folder."""
    folder = tmp_path_factory.mktemp("studies") / "steps"
    folder.mkdir()
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    (folder / "study.py").write_text(code.replace('Path("recipes").resolve()', f"Path({str(ROOT / 'recipes')!r})"))
    return folder


@pytest.fixture(scope="module")
def made(study, tmp_path_factory) -> Path:
    """Its folder, made by two calls: the first is killed while a network learns."""
    out = tmp_path_factory.mktemp("made") / "out"
    command = [
        sys.executable,
        "-m",
        "counterpoint",
        "study",
        str(study),
        "-o",
        str(out),
        "--cache",
        str(out.with_name("cache")),
    ]
    first = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 3000
        while not (out / "parts" / "flow-s0" / "train" / "state.pt").is_file():
            assert first.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
    assert not list(out.glob("results/*.json"))
    corpus = sorted((out / "parts" / "music").rglob("*.flac"))
    before = [path.stat().st_mtime_ns for path in corpus]
    assert cli.run(["study", str(study), "-o", str(out), "--cache", str(out.with_name("cache"))]) == 0
    assert [path.stat().st_mtime_ns for path in corpus] == before
    return out


def cells(study: Path):
    found = design.find(str(study))
    return found, found.exhibits(design.Asked("tiny"))


def test_every_number_of_the_report_is_that_of_a_result(study, made):
    told = {path.stem: json.loads(path.read_text()) for path in (made / "results").glob("*.json")}
    assert set(told) == {"flow-s0-1", "flow-s0-8"}
    for content in told.values():
        assert len(content["ids"]) == content["figures"]["fad"]["n"] == 8
        assert {"commit", "seed", "key", "recipe", "machine", "protocol"} <= content.keys()
        assert content["figures"]["training_flops"]["value"] > 0
    readme = (made / "README.md").read_text()
    for name, paper in (("1", 2.0), ("8", 1.5)):
        value = told[f"flow-s0-{name}"]["figures"]["fad"]["value"]
        assert re.search(rf"\| {name} steps \| {re.escape(f'{value:.3g}')} \(.* to .*\) \[{paper:.3g}\]", readme)
    difference = told["flow-s0-8"]["figures"]["fad"]["value"] - told["flow-s0-1"]["figures"]["fad"]["value"]
    assert re.search(rf"more-is-better .* -0\.5 \| {re.escape(f'{difference:.3g}')} \(", readme)
    assert re.search(r"\*\*(holds|does not hold|undecided)\*\*", readme)


def test_the_page_needs_nothing_else(made):
    page = (made / "report.html").read_text()
    assert page.count("<audio") == 2 and "data:audio/ogg;base64," in page
    assert page.count("<svg") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_what_is_there_is_left(study, made, capsys):
    files = {path: path.stat().st_mtime_ns for path in (made / "results").iterdir()}
    assert cli.run(["study", str(study), "-o", str(made), "--dry-run"]) == 0
    assert "0 parts are missing" in capsys.readouterr().out
    assert cli.run(["study", str(study), "-o", str(made)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (made / "results").iterdir()} == files


def test_a_lost_cell_alone_is_made_again(study, made):
    _, exhibits = cells(study)
    shop = Workshop(made)
    hidden = made / "results" / "flow-s0-8.json"
    content = hidden.read_bytes()
    hidden.unlink()
    try:
        missing = running.missing([cell for exhibit in exhibits for cell in exhibit.cells], shop)
        assert [one.name for one in missing] == ["flow-s0-8"]
    finally:
        hidden.write_bytes(content)


@pytest.mark.parametrize("asked", [("local", 2), pytest.param(("ray", 2), id="ray")])
def test_every_engine_makes_the_same(asked, study, made, tmp_path, monkeypatch):
    engine, workers = asked
    if engine == "ray":
        pytest.importorskip("ray", reason="needs the extra 'ray'")
    monkeypatch.chdir(tmp_path)  # and so are folders that are told from here
    shutil.copytree(made, "again")
    for path in Path("again").glob("results/*.json"):
        path.unlink()
        shutil.rmtree(Path("again/parts") / path.stem)
    assert cli.run(["study", str(study), "-o", "again", "--engine", engine, "--workers", str(workers)]) == 0
    for path in Path("again").glob("results/*.json"):
        before, after = (json.loads((folder / "results" / path.name).read_text()) for folder in (made, Path("again")))
        assert after["figures"] == before["figures"] and after["ids"] == before["ids"]


def test_an_engine_that_is_not_there_is_one_sentence(study, made, tmp_path, monkeypatch, capsys):
    assert "There is no engine 'slurm'; choose local or ray." in refused([study, "--engine", "slurm"], capsys)
    monkeypatch.setitem(sys.modules, "ray", None)
    said = refused([study, "--engine", "ray", "-o", tmp_path / "new"], capsys)
    assert "install it: pip install 'counterpoint[ray]'." in said


def refused(arguments, capsys) -> str:
    capsys.readouterr()
    assert cli.run(["study", *map(str, arguments)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("counterpoint: ")
    return said


def test_another_recipe_under_old_results_is_refused(study, made, tmp_path, capsys):
    changed = tmp_path / "steps"
    changed.mkdir()
    text = (study / "study.py").read_text()
    (changed / "study.py").write_text(text.replace("train.steps=20", "train.steps=21"))
    before = sorted(made.rglob("*"))
    said = refused([changed, "-o", made], capsys)
    assert "train.steps was 20 and is 21" in said and "never mixed" in said
    assert sorted(made.rglob("*")) == before


def test_another_recipe_below_is_refused_where_only_the_results_are_left(study, made, tmp_path, capsys):
    changed, out = tmp_path / "steps", tmp_path / "out"
    changed.mkdir()
    (out / "results").mkdir(parents=True)
    for path in (made / "results").iterdir():
        (out / "results" / path.name).write_bytes(path.read_bytes())
    (changed / "study.py").write_text((study / "study.py").read_text().replace("seed=1)", "seed=3)"))
    assert "was made by another recipe (what it was made from has changed)" in refused([changed, "-o", out], capsys)


def test_a_damaged_result_is_one_sentence(study, made, tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "flow-s0-1.json").write_text("{")
    assert "flow-s0-1.json is damaged" in refused([study, "-o", tmp_path], capsys)


def test_a_budget_that_is_too_small_is_refused_before_anything_is_made(study, tmp_path, capsys):
    said = refused([study, "-o", tmp_path / "out", "--budget", 0.0001], capsys)
    assert "more than the budget of 0.0001" in said and not (tmp_path / "out").exists()


def test_memory_that_is_too_small_is_refused(study, monkeypatch):
    _, exhibits = cells(study)
    todo = running.missing(exhibits[0].cells, Workshop(Path("nowhere")))
    estimate.check_memory(todo, "cpu", 1)
    monkeypatch.setattr(estimate, "_memory", lambda device: 1e6)
    with pytest.raises(ValueError, match=r"flow-s0 needs about 0 GB to train, and cpu has 0; choose a smaller scale"):
        estimate.check_memory(todo, "cpu", 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ar-vs-fn"], "There is no study 'ar-vs-fn'; did you mean ar-vs-fm?"),
        (["ar-vs-fm", "table-22"], "There is no exhibit 'table-22'; did you mean table-2?"),
        (["ar-vs-fm", "--scale", "huge"], "ar-vs-fm has no scale 'huge'; known are tiny, small, paper."),
        (["ar-vs-fm", "--scale", "paper"], "name its folder with --data."),
        (["ar-vs-fm", "--seeds", "0"], "0 seeds train nothing; ask for 1 or more."),
    ],
)
def test_what_makes_no_sense_is_one_sentence(arguments, sentence, tmp_path, capsys):
    assert sentence in refused([*arguments, "-o", tmp_path / "out"], capsys)
    assert not (tmp_path / "out").exists()


# ---- the paper's study, planned


@pytest.fixture(scope="module")
def paper():
    found = design.find("ar-vs-fm")
    return found, found.exhibits(design.Asked("tiny"))


def test_claims_and_the_paper_s_rows_speak_of_rows_that_are_there(paper):
    found, exhibits = paper
    rows = {f"{exhibit.id}/{row.label}": row.paper for exhibit in exhibits for row in exhibit.rows}
    assert len(rows) == sum(len(exhibit.rows) for exhibit in exhibits)
    for claim in found.claims:
        assert findings.rows_of(claim) <= rows.keys(), claim.id
    for exhibit in exhibits:
        told = {row.paper for row in exhibit.rows}
        assert set(found.paper.get(exhibit.id, {}).get("rows", {})) <= told, exhibit.id
    for exhibit in exhibits:
        for picture in exhibit.pictures:
            labels = {label for line in picture.lines.values() for label in line}
            assert labels <= {row.label for row in exhibit.rows}, picture.title


def test_the_paper_s_own_claims_hold_in_the_paper_s_own_numbers(paper):
    """Each statement whose rows the paper has numbers for lies there where it is claimed to."""
    found, exhibits = paper
    told = findings.Findings(found, design.Asked("tiny"), exhibits, {}, [], {})
    statements = [statement for claim in found.claims for statement in claim.statements]
    known = [(statement, told.paper_contrast(statement)) for statement in statements]
    known = [(statement, value) for statement, value in known if value == value]
    assert len(known) >= 20
    for statement, value in known:
        inside = {
            "above": value > statement.margin,
            "below": value < -statement.margin,
            "within": abs(value) <= statement.margin,
        }
        assert inside[statement.region], (statement.text, value)


def test_models_are_shared_and_the_scale_keeps_its_promise(paper):
    found, exhibits = paper
    shop, size = Workshop(Path("nowhere")), found.scale("tiny")
    todo = running.missing([cell for exhibit in exhibits for cell in exhibit.cells], shop)
    assert len({one.name for one in todo}) == len(todo)
    assert estimate.hours(todo, size.flops, 2) < 6
    table_2 = next(exhibit for exhibit in found.exhibits(design.Asked("tiny", seeds=1)) if exhibit.id == "table-2")
    alone = running.missing(table_2.cells, shop)
    assert estimate.hours(alone, size.flops, 2) < 40 / 60
    networks = [one for one in todo if type(one).__name__ == "Network"]
    assert len(networks) < 70
    assert len({part.key(one) for one in todo}) == len(todo)  # nothing is made twice
    assert {one.name for one in alone} < {one.name for one in todo}


def test_a_result_comes_back_as_it_was(tmp_path, paper):
    cell = paper[1][0].cells[0]
    shop = Workshop(tmp_path)
    figure = result.Figure(0.5, 0.25, float("nan"), 3, "lower", (0.5, float("nan"), 1.0))
    done = result.Result(cell.name, {"fad": figure}, ("a", "b", "c"), 1, "made", {"x": (0.0, 1.0)}, ("note",), {"seed": 0})
    result.save(cell, done, shop, 1.0)
    loaded = result.load(cell, shop)
    assert loaded is not None and repr(loaded[0]) == repr(done)
