"""The panel of requests, and what counts as a broken take, against sounds that are broken by construction."""

import sys
from pathlib import Path

import numpy as np
import pytest

import counterpoint
from counterpoint import planning
from counterpoint.controls.held import Held
from counterpoint.data.corpus.styles import STYLES

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("librosa", reason="benchmarks need the extra eval")
broken = pytest.importorskip("broken")
panel = pytest.importorskip("panel")
panel_judge = pytest.importorskip("panel_judge")
panel_prompts = pytest.importorskip("panel_prompts")
panel_report = pytest.importorskip("panel_report")

RATE = 32000


TIME = np.arange(10 * RATE) / RATE


@pytest.fixture(scope="module")
def music() -> np.ndarray:
    """Notes of decaying harmonics over a beat of short bursts of noise."""
    draw, audio = np.random.default_rng(0), np.zeros(len(TIME))
    for start in range(0, len(TIME), RATE // 4):
        since = TIME[: min(RATE, len(TIME) - start)]
        pitch = 110 * 2 ** (draw.integers(24) / 12)
        tone = sum(np.sin(2 * np.pi * pitch * h * since) / h**2 for h in range(1, 9))
        struck = 0.3 * np.exp(-40 * since) * draw.standard_normal(len(since))
        audio[start : start + len(since)] += 0.1 * (np.exp(-3 * since) * tone + struck)
    return audio


def _hum(music: np.ndarray) -> np.ndarray:
    return music + 0.05 * sum(np.sin(2 * np.pi * 100 * k * TIME) / k for k in range(1, 12))


def _ring(music: np.ndarray) -> np.ndarray:
    return music + 0.005 * np.sin(2 * np.pi * 7040 * TIME)


def _flicker(music: np.ndarray) -> np.ndarray:
    return music * (1 + 0.9 * np.sin(2 * np.pi * 25 * TIME))


def _noise(music: np.ndarray) -> np.ndarray:
    return np.where(TIME < 7, music, 0.1 * np.random.default_rng(1).standard_normal(len(TIME)))


def _silence(music: np.ndarray) -> np.ndarray:
    return np.where(TIME < 8, music, 0.0)


def _drift(music: np.ndarray) -> np.ndarray:
    return music * 10 ** (-15 * TIME / 10 / 20)


DAMAGES = {"buzz": _hum, "metallic tail": _ring, "flicker": _flicker, "noise": _noise, "silence": _silence, "drift": _drift}


def _faults(audio: np.ndarray) -> list[str]:
    return broken.broken(broken.faults(broken.levelled(audio, RATE), RATE))


def test_music_is_not_broken_at_any_loudness(music):
    assert _faults(music) == _faults(0.01 * music) == []


@pytest.mark.parametrize("fault", broken.FAULTS)
def test_each_fault_is_found_and_named(music, fault):
    found = _faults(DAMAGES[fault](music))
    assert fault in found and set(found) <= {fault, "drift"}, found


def test_no_sound_at_all_is_broken():
    assert "silence" in _faults(np.zeros(10 * RATE))


def test_loops_repeat_and_noise_does_not():
    draw = np.random.default_rng(0)
    noise, bar = draw.standard_normal((32, 500)), draw.standard_normal((32, 125))
    assert panel_judge.repetition(np.tile(bar, 4), 50.0) > 0.99
    assert panel_judge.repetition(noise, 50.0) < 0.2


def test_the_panel_is_sixty_different_requests_of_all_styles_and_kinds():
    cases = panel_prompts.cases()
    assert len({case.text for case in cases}) == 60
    assert {case.style for case in cases[:18]} == set(STYLES) and {case.kind for case in cases[:5]} == set(panel_prompts.KINDS)


def test_plans_are_what_the_panel_says_is_asked():
    """So that what a model is judged by is what it was told."""
    for case in panel_prompts.cases()[:20]:
        request = case.request(0, "auto", ())
        score = planning.make(request.text, request.seconds, request.seed, "auto", Held.of(request), "rules").score
        assert score.style == case.style
        assert case.bpm in (None, score.bpm) and case.key in (None, score.key)


def test_without_a_plan_only_known_controls_are_asked():
    case = next(case for case in panel_prompts.cases() if case.kind == "all as controls")
    assert case.request(0, "none", ()).controls() == {}
    assert set(case.request(0, "none", ("chords",)).controls()) == {"chords"}
    assert set(case.request(0, "auto", ()).controls()) == {"chords", "tempo", "key"}


@pytest.mark.parametrize("cell", ["plan", "words"])
def test_takes_are_those_of_generate(tiny_model, tmp_path, cell):
    model = counterpoint.load(tiny_model)
    rows = panel._make_part(model, cell, tmp_path, [0, 3])
    for row, number in zip(rows, (0, 3), strict=True):
        request = panel_prompts.cases()[number].request(0, panel.CELLS[cell], model.system.conditions)
        next(model.takes(request)).save(tmp_path / "alone.flac")
        alone, together = (counterpoint.audio.read(tmp_path / name)[0] for name in ("alone.flac", row["file"]))
        np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=2e-3)


def test_a_target_is_met_on_its_own_side_of_the_goal():
    clip = {"asked": {"style": "pop"}, "broken": [], "follows": {"tempo Acc2": 1.0, "key": 0.0}, "chance": {}}
    row = panel_report.targets({"a model": [clip] * 40}, {}).splitlines()[2]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1].endswith(": met") and cells[2].endswith(": not met") and cells[3] == "" and cells[6].endswith(": met")
    worse = {**clip, "broken": ["buzz"]}
    assert panel_report.targets({"a model": [clip] * 30 + [worse]}, {}).splitlines()[2].endswith(": not met |")
