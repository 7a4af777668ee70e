"""What the report says of raters who are known by construction, and whom the screening leaves out."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from counterpoint.commands.listen import listen_app
from counterpoint.listening.build import Wanted
from counterpoint.listening.report import Report, analyse, save
from counterpoint.listening.study import Key, Study
from listeners import records, small_test, write_answers

TRUTH = {"system-jasco": 6, "system-musicgen": 4, "reference": 9, "anchor": 2}


@pytest.fixture(scope="module")
def rating(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study, Key]:
    return small_test(tmp_path_factory.mktemp("rating"), items=3)


@pytest.fixture
def fresh(rating: tuple[Path, Study, Key]) -> tuple[Path, Study, Key]:
    (rating[0] / "answers.jsonl").unlink(missing_ok=True)
    return rating


def honest(number: int) -> Any:
    """A rater's opinion: the truth, a little different for each rater and item; smoothness is one better."""

    def opinion(system: str, item: str, question: str) -> int:
        return TRUTH[system] + (number + int(item[-1])) % 2 - (question == "match")

    return opinion


def honest_of_two(number: int) -> Any:
    return lambda system, item, question: 5 + len(system + item + question) % 2 + number % 3


def everyone(study: Study, key: Key, count: int = 12) -> list[dict[str, Any]]:
    return [record for number in range(count) for record in records(study, key, number, honest(number))]


def line(report: Report, system: str, question: str) -> dict[str, Any]:
    return next(dataclasses.asdict(row) for row in report.lines if (row.system, row.question) == (system, question))


def test_the_report_says_what_was_meant(fresh: tuple[Path, Study, Key]) -> None:
    folder, study, key = fresh
    write_answers(folder, everyone(study, key))
    report = analyse(folder)
    assert (report.raters, report.kept, report.withdrawn, sum(report.removed.values())) == (12, 12, 0, 0)
    assert len(report.lines) == 2 * 4
    for system, mark in TRUTH.items():
        for question, less in {"smoothness": 0, "match": 1}.items():
            given = line(report, system, question)
            assert given["mean"] == mark + 0.5 - less and given["n"] == 36 and (given["raters"], given["items"]) == (12, 3)
            assert given["low"] <= given["mean"] <= given["high"] and given["median"] in (mark - less, mark - less + 0.5)
    pairs = {(row.question, row.first, row.second): row for row in report.differences}
    assert len(pairs) == 2 * 6
    apart = pairs["smoothness", "system-jasco", "system-musicgen"]
    assert (apart.mean, apart.low, apart.high, apart.n) == (2.0, 2.0, 2.0, 36)  # paired: what raters and items share is gone
    assert apart.p_holm < 0.01
    marks = [np.array([honest(n)(s, f"stem-{i}", "smoothness") for n in range(12) for i in range(3)]) for s in list(TRUTH)[:2]]
    assert apart.delta == pytest.approx(2 * scipy.stats.mannwhitneyu(*marks).statistic / 36**2 - 1)
    assert all(0.5 < alpha < 1 for alpha in report.agreement.values())
    assert any("few" in note for note in report.notes)
    assert any("another song" in note for note in report.notes)


def test_only_the_last_answer_to_a_page_counts(fresh: tuple[Path, Study, Key]) -> None:
    folder, study, key = fresh
    sent = everyone(study, key)
    changed = next(r for r in sent if r["kind"] == "answer" and key.trials[r["trial"]].role == "test")
    wrong = changed | {"marks": {clip: dict.fromkeys(marks, 1) for clip, marks in changed["marks"].items()}}
    write_answers(folder, [sent[0], wrong, *sent[1:]])
    assert line(analyse(folder), "reference", "smoothness")["mean"] == 9.5


def test_screening_leaves_out_whom_its_rules_name(fresh: tuple[Path, Study, Key]) -> None:
    folder, study, key = fresh
    sent = everyone(study, key)

    def answers_of(number: int, opinion: Any = None, changes: Any = None) -> list[dict[str, Any]]:
        return records(study, key, number, opinion or honest(number), changes)

    def role(record: dict[str, Any]) -> str:
        return key.trials[record["trial"]].role if record["kind"] == "answer" else ""

    def remark(record: dict[str, Any], mark: int) -> dict[str, Any]:
        return record | {"marks": {clip: dict.fromkeys(marks, mark) for clip, marks in record["marks"].items()}}

    sent += answers_of(100)[:-1]  # unfinished
    sent += [r | {"choices": [0] * 6} if r["kind"] == "headphones" else r for r in answers_of(101)]
    sent += [remark(r, 4) if role(r) == "attention" else r for r in answers_of(102)]
    sent += answers_of(103, lambda system, item, question: 11 - honest(103)(system, item, question))  # the wrong way round
    turned = answers_of(104)
    of = {key.trials[r["trial"]].of for r in turned if role(r) == "repeat"}
    turned = [remark(r, 10) if r.get("trial") in of else remark(r, 1) if role(r) == "repeat" else r for r in turned]
    sent += turned
    sent += answers_of(105, lambda *_: 7)
    sent += answers_of(106, changes={"seconds": 0.5})
    sent += [{"kind": "rater", "rater": "f" * 32, "order": 0}]  # came, and went
    write_answers(folder, [*sent, {"kind": "withdrawal", "rater": f"{11:032x}"}])
    report = analyse(folder)
    expected = {"unfinished": 2, "headphones": 1, "attention": 1, "anchor": 2, "repeats": 1, "equal": 1, "fast": 1}
    assert report.removed == expected  # the one whose marks are all equal does not tell reference from anchor either
    assert (report.raters, report.kept, report.withdrawn) == (19, 11, 1)
    assert line(report, "system-jasco", "smoothness")["n"] == 33
    assert set(report.rules) == set(expected)


def test_preferences_are_shares_of_wins(tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path, Wanted(kind="ab", headphones=False))

    def opinion(system: str, item: str, question: str) -> int:
        return {"reference": 3, "system-jasco": 2, "system-musicgen": 2 - int(item[-1]), "anchor": 0}[system]

    write_answers(folder, [r for n in range(8) for r in records(study, key, n, opinion)])
    report = analyse(folder)
    assert report.kept == 8
    pairs = {(row.first, row.second): row for row in report.differences}
    assert pairs["system-jasco", "system-musicgen"].mean == 0.5  # equal on one item, better on the other
    assert pairs["system-jasco", "reference"].mean == -1.0 and pairs["system-jasco", "reference"].delta == -1.0
    assert ("system-jasco", "anchor") not in pairs
    assert line(report, "system-jasco", "preference")["mean"] == pytest.approx((0.5 + 1 + 0 + 0) / 4)


def test_many_at_once_are_compared_on_one_page(tmp_path: Path) -> None:
    folder, study, key = small_test(tmp_path, Wanted(kind="mushra", headphones=False))

    def hundreds(number: int) -> Any:
        return lambda system, item, question: 10 * TRUTH[system] + number

    write_answers(folder, [r for n in range(8) for r in records(study, key, n, hundreds(n))])
    report = analyse(folder)
    assert report.kept == 8
    assert line(report, "system-musicgen", "quality")["mean"] == 43.5
    assert {row.mean for row in report.differences if row.first == "system-jasco"} == {20.0, -30.0, 40.0}


def test_no_reference_no_screening_by_it(tmp_path: Path) -> None:
    from counterpoint.listening.build import build
    from counterpoint.listening.study import load_key, load_study
    from listeners import folders

    build(folders(tmp_path, {"one": 0.1, "two": 0.1}), tmp_path / "test", spans=tmp_path / "spans.json")
    study, key = load_study(tmp_path / "test"), load_key(tmp_path / "test")
    for number in range(4):
        write_answers(tmp_path / "test", records(study, key, number, honest_of_two(number)))
    report = analyse(tmp_path / "test")
    assert report.removed["anchor"] == 0 and {row.system for row in report.lines} == {"one", "two"}


def test_nothing_to_report_is_said(fresh: tuple[Path, Study, Key], tmp_path: Path) -> None:
    folder, study, key = fresh
    with pytest.raises(ValueError, match="no answers yet"):
        analyse(folder)
    write_answers(folder, records(study, key, 0, lambda *_: 5))
    with pytest.raises(ValueError, match="None of 1 raters passes the screening"):
        analyse(folder)
    with pytest.raises(ValueError, match="is no listening test"):
        analyse(tmp_path)


def test_one_rater_has_means_and_no_interval(fresh: tuple[Path, Study, Key]) -> None:
    folder, study, key = fresh
    write_answers(folder, records(study, key, 0, honest(0)))
    report = analyse(folder)
    assert all(math.isnan(row.low) for row in report.lines) and all(math.isnan(row.p_holm) for row in report.differences)
    told = json.loads(save(report, folder).read_text())
    assert told["lines"][0]["low"] is None and told["agreement"]["match"] is None


def test_the_commands_say_it(fresh: tuple[Path, Study, Key], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, study, key = fresh
    write_answers(folder, everyone(study, key))
    listen_app(["report", str(folder)], result_action="return_value")
    said = capsys.readouterr().out
    for words in (
        "12 of 12 listeners",
        "left out: 0 who did not answer every page",
        "system-musicgen",
        "9.50",
        "Krippendorff",
        "note:",
    ):
        assert words in said
    runs = [str(folder.parent / name) for name in ("system-jasco", "system-musicgen")]
    asked = [
        "build",
        *runs,
        "-o",
        str(tmp_path / "ab"),
        "--kind",
        "ab",
        "--items",
        "2",
        "--no-headphones",
        "--title",
        "Which?",
    ]
    listen_app(asked, result_action="return_value")
    said = capsys.readouterr().out
    assert "pages for each listener" in said and "There is no reference" in said and "private/key.json" in said
    assert json.loads((tmp_path / "ab" / "items.json").read_text())["title"] == "Which?"


def test_same_answers_same_report(fresh: tuple[Path, Study, Key]) -> None:
    folder, study, key = fresh
    write_answers(folder, everyone(study, key))
    first = save(analyse(folder), folder).read_bytes()
    assert save(analyse(folder), folder).read_bytes() == first
