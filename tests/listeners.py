"""Songs to listen to and listeners made of numbers, for the tests of listening tests."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from counterpoint import audio
from counterpoint.listening.build import Wanted, build
from counterpoint.listening.study import Key, Study, load_key, load_study

RATE = 16000
SPAN = (0.4, 0.7)


def song(pitch: float, level: float, seconds: float = 1.0) -> torch.Tensor:
    """A tone with a few partials and a slow swell."""
    time = torch.arange(round(seconds * RATE)) / RATE
    tone = sum(torch.sin(2 * torch.pi * pitch * k * time) / k for k in (1, 2, 3, 15))
    assert isinstance(tone, torch.Tensor)
    return (level * tone * (0.6 + 0.4 * torch.sin(2 * torch.pi * 2 * time)))[None]


def folders(root: Path, systems: Mapping[str, float], items: int = 2, seconds: float = 1.0, spans: bool = True) -> list[Path]:
    """A folder of audio for each system, each at a level of its own; item k is called stem-k."""
    for number, (system, level) in enumerate(systems.items()):
        for item in range(items):
            made = song(220 * 1.3**item * 1.01**number, level, seconds)
            audio.write(root / system / f"stem-{item}.wav", made, RATE, {"title": f"by {system}"})
    if spans:
        told = {f"stem-{item}": {"mask_start": SPAN[0], "mask_end": SPAN[1]} for item in range(items)}
        (root / "spans.json").write_text(json.dumps(told))
    return [root / system for system in systems]


SYSTEMS = {"system-jasco": 0.05, "system-musicgen": 0.2}


def small_test(root: Path, wanted: Wanted | None = None, items: int = 2, spans: bool = True) -> tuple[Path, Study, Key]:
    """Two systems and a reference, built into root/test."""
    runs = folders(root, {**SYSTEMS, "originals": 0.1}, items, spans=spans)
    build(runs[:2], root / "test", runs[2], root / "spans.json" if spans else None, wanted)
    return root / "test", load_study(root / "test"), load_key(root / "test")


Opinion = Callable[[str, str, str], int]
"""A mark for a system's version of an item under a question."""


def records(
    study: Study, key: Key, number: int, opinion: Opinion, changes: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """All that the browser of a well-behaved rater sends."""
    rater, order = f"{number:032x}", number % len(study.orders)
    sent: list[dict[str, Any]] = [{"kind": "rater", "rater": rater, "order": order}]
    if key.headphones:
        sent.append({"kind": "headphones", "rater": rater, "choices": list(key.headphones)})
    for place in study.orders[order]:
        trial = study.trials[place]
        told = key.trials[trial.id].expected
        marks = {
            clip: dict(told)
            if told
            else {q.name: opinion(key.clips[clip].system, key.clips[clip].item, q.name) for q in study.questions}
            for clip in trial.clips
        }
        if study.kind == "ab":
            marks = preferred(trial.clips, marks, told is not None)
        times = dict.fromkeys(trial.clips, 1.0)
        sent.append(
            {"kind": "answer", "rater": rater, "trial": trial.id, "marks": marks, "seconds": 20.0, "heard": times, "plays": {}}
        )
    return [{**record, **(changes or {})} if record["kind"] == "answer" else record for record in sent]


def preferred(clips: tuple[str, ...], marks: Mapping[str, Mapping[str, int]], attention: bool) -> dict[str, dict[str, int]]:
    """Opinions of two clips as a preference; of an attention page, the second."""
    first, second = (marks[clip]["preference"] for clip in clips)
    better = 0 if attention else 2 if first > second else 0 if first < second else 1
    return {clips[0]: {"preference": better}, clips[1]: {"preference": 2 - better}}


def write_answers(folder: Path, entries: list[dict[str, Any]]) -> None:
    """The file of answers as it would be."""
    with (folder / "answers.jsonl").open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
