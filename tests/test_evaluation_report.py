"""The report of an evaluation: plain JSON, a table that tells all, and a protocol that two reports share or do not."""

import json
import math
from pathlib import Path

import pytest

from counterpoint.evaluation import report
from counterpoint.evaluation.report import Report
from counterpoint.metrics.base import Score

SCORES = (
    Score("frechet (logmel)", 1.23456, 1.0, 1.5, 40, "", "lower", 0.2, ("Few clips.",), 0.15),
    Score("key", math.nan, n=0, better="higher", notes=("Few clips.", "Nothing was heard.")),
)


def made(**protocol: str) -> Report:
    return Report({"name": "made", "clips": 40}, None, {"loudness": "as it is", **protocol}, SCORES, ("one file is left out",))


def test_a_report_is_plain_json_without_numbers_that_are_none(tmp_path: Path) -> None:
    path = made().save(tmp_path / "deep" / "report.json")
    content = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    frechet, key = content["scores"]
    assert (frechet["value"], frechet["low"], frechet["n"], frechet["better"], frechet["floor"]) == (
        1.23456,
        1.0,
        40,
        "lower",
        0.2,
    )
    assert key["value"] is None and key["notes"] == ["Few clips.", "Nothing was heard."]
    assert content["warnings"] == ["one file is left out"] and content["reference"] is None
    assert report.read(path) == content


def test_the_protocols_name_follows_from_what_numbers_depend_on() -> None:
    assert made().protocol_id == made().protocol_id != made(loudness="-14 LUFS").protocol_id
    assert len(made().protocol_id) == 12


def test_the_table_tells_interval_chance_count_and_each_note_once() -> None:
    told = report.render(made(), width=120)
    rows = {line.split(" ↓")[0].split(" ↑")[0].strip(): line.split() for line in told.splitlines()}
    assert rows["frechet (logmel)"][3:] == ["1.235", "1.000", "…", "1.500", "0.200", "0.150", "40", "1"]
    assert rows["key"][2:] == ["-", "-", "-", "-", "-", "1,2"]
    assert told.count("Few clips.") == 1 and "[2] Nothing was heard." in told
    assert "warning: one file is left out" in told and f"protocol {made().protocol_id}" in told


def test_a_report_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read as a report"):
        report.read(tmp_path / "r.json")
