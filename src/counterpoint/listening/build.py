"""Material becomes a folder that a browser plays: blinded, level-matched, with its orders and checks."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

import counterpoint
from counterpoint import audio as sound
from counterpoint.config import dump
from counterpoint.files import write_text, writing
from counterpoint.listening import stimuli, tones, wording
from counterpoint.listening.material import Material, gather
from counterpoint.listening.stimuli import Anchor, Levels
from counterpoint.listening.study import ANCHOR, ITEMS, KEY, REFERENCE, Clip, Example, Key, Kind, Origin, Screening, Study
from counterpoint.listening.trials import Plan, make_trials, minutes
from counterpoint.types import Progress

REPEAT_DIFFERENCE = {"rating": 3.0, "ab": 1.0, "mushra": 30.0}
"""By how much a rater's answers to the same page may differ, in the median."""


@dataclass(frozen=True)
class Wanted:
    """The settings of a test; `per_rater` items are heard by one rater, 0 for as many as half an hour holds."""

    kind: Kind = "rating"
    anchor: Anchor = "auto"
    lufs: float = -23.0
    seed: int = 0
    per_rater: int = 0
    repeats: int = 1
    headphones: bool = True
    title: str = "Listening test"
    consent: str | None = None


@dataclass
class _Folder:
    """The folder while it is written; clips get names that say nothing."""

    path: Path
    secret: str
    clips: dict[str, Clip] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def name(self, *parts: str) -> str:
        return hashlib.sha256(json.dumps([self.secret, *parts]).encode()).hexdigest()[:16]

    def add(self, audio: Float[Tensor, "c n"], rate: int, name: str, span: tuple[float, float] | None = None) -> str:
        """Write audio and waveform."""
        sound.write(self.path / "audio" / f"{name}.wav", audio, rate)
        low, high = stimuli.peaks(audio)
        write_text(self.path / "peaks" / f"{name}.json", json.dumps({"low": low.tolist(), "high": high.tolist()}))
        self.clips[name] = Clip(seconds=round(audio.shape[-1] / rate, 4), span=span)
        return name


def build(
    runs: Sequence[Path],
    out: Path,
    reference: Path | None = None,
    spans: Path | None = None,
    wanted: Wanted | None = None,
    progress: Progress | None = None,
) -> Study:
    """Write a listening test into the folder `out`, which appears whole or not at all.  Same inputs and seed, same bytes.

    Raises ValueError for what cannot be compared, and where `out` exists: answers may be in it.
    """
    wanted = wanted or Wanted()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already and may hold answers; choose another folder, or remove it yourself.")
    material = gather(runs, reference, spans)
    _check(wanted, material)
    anchor = stimuli.choose_anchor(wanted.anchor, material, wanted.kind)
    systems = (*material.systems, *([ANCHOR] if anchor != "none" else []))
    levelled = stimuli.levels(material, systems, anchor, wanted.lufs)
    temporary = out.absolute().with_name(f".{out.absolute().name}.part")
    with writing(out):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            study = _write(temporary, material, systems, anchor, levelled, wanted, progress)
            if out.exists():
                out.rmdir()
            os.replace(temporary, out)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return study


def _check(wanted: Wanted, material: Material) -> None:
    if wanted.kind == "mushra" and REFERENCE not in material.systems:
        raise ValueError("A test of the kind mushra compares with a reference; give its folder with --reference.")
    if wanted.kind == "ab" and len(material.systems) < 2:
        raise ValueError("A test of the kind ab compares two systems or more; give another folder, or a --reference.")
    if not 0 <= wanted.per_rater <= len(material.items):
        raise ValueError(f"--items must be from 1 to {len(material.items)}, as many as there are, not {wanted.per_rater}.")
    if not 0 <= wanted.repeats <= 5:
        raise ValueError(f"--repeats must be from 0 to 5, not {wanted.repeats}.")
    if not -60 <= wanted.lufs <= -10:
        raise ValueError(f"--lufs must be from -60 to -10, not {wanted.lufs:g}; -23 is what broadcasters use.")


def _write(
    path: Path,
    material: Material,
    systems: tuple[str, ...],
    anchor: Anchor,
    levelled: Levels,
    wanted: Wanted,
    progress: Progress | None,
) -> Study:
    secret = hashlib.sha256(f"{wanted!r} {counterpoint.__version__} {material.digest()}".encode()).hexdigest()
    folder = _Folder(path, secret)
    _write_clips(folder, material, systems, anchor, levelled, progress)
    examples = _write_examples(folder, material, systems, anchor, levelled)
    opened = _write_references(folder, material, levelled) if wanted.kind == "mushra" else {}
    places = tones.headphone_order(wanted.seed) if wanted.headphones else []
    heard = [folder.add(tones.headphone_trial(*p), tones.RATE, folder.name("headphones", str(i))) for i, p in enumerate(places)]
    noise = sound.normalise(tones.pink_noise(5.0, wanted.seed), tones.RATE, levelled.lufs)
    noise_name = folder.add(noise, tones.RATE, folder.name("noise"))
    plan = Plan(wanted.kind, material.items, systems, wanted.per_rater, wanted.repeats, wanted.seed, opened, material.captions)
    asked = wording.questions(wanted.kind, bool(material.spans), bool(material.captions))
    made = make_trials(plan, asked, folder.name, folder.clips)
    study = Study(
        study=folder.name("study"),
        kind=wanted.kind,
        title=wanted.title,
        consent=wording.consent(wanted.consent, minutes(made, folder.clips)),
        task=wording.task(wanted.kind, bool(material.spans)),
        questions=asked,
        clips=folder.clips,
        trials=made.trials,
        orders=made.orders,
        noise=noise_name,
        headphones=tuple(heard),
        examples=tuple(examples),
    )
    key = Key(
        secret=secret,
        seed=wanted.seed,
        version=counterpoint.__version__,
        systems=systems,
        clips=folder.origins,
        trials=made.secrets,
        headphones=tuple(quiet for quiet, _ in places),
        screening=Screening(repeat_difference=REPEAT_DIFFERENCE[wanted.kind]),
        lufs=round(levelled.lufs, 3),
        gains={folder.name("clip", *pair): round(gain, 3) for pair, gain in levelled.gains.items()},
        notes=(*material.notes, *levelled.notes, _anchor_note(anchor)),
    )
    write_text(path / ITEMS, dump(study))
    write_text(path / KEY, dump(key))
    _copy_page(path)
    return study


def _anchor_note(anchor: Anchor) -> str:
    return {
        "none": "There is no reference, so there is no hidden reference and no low anchor, and nobody is screened by them.",
        "lowpass": "The low anchor is the reference without what is above 3.5 kHz.",
        "step": "The low anchor is the reference with its span 6 dB down, cut hard.",
        "fill": "The low anchor is the reference with another song in its span, cut hard.",
    }[anchor]


def _write_clips(
    folder: _Folder,
    material: Material,
    systems: Sequence[str],
    anchor: Anchor,
    levelled: Levels,
    progress: Progress | None,
) -> None:
    """Every system's version of every item.  They are listed by name, so that their order in the file tells nothing."""
    pairs = sorted(((s, i) for s in systems for i in material.items), key=lambda pair: folder.name("clip", *pair))
    for done, (system, item) in enumerate(pairs):
        audio = _levelled(material, system, item, anchor, levelled)
        name = folder.add(audio, material.rate, folder.name("clip", system, item), material.spans.get(item))
        folder.origins[name] = Origin(system=system, item=item)
        if progress is not None:
            progress(done + 1, len(pairs))


def _levelled(material: Material, system: str, item: str, anchor: Anchor, levelled: Levels) -> Float[Tensor, "c n"]:
    return stimuli.clip_audio(material, system, item, anchor) * 10 ** (levelled.gains[system, item] / 20)


def _write_references(folder: _Folder, material: Material, levelled: Levels) -> dict[str, str]:
    """The references that are named as such, by item: under other names than the hidden ones."""
    opened = {}
    for item in material.items:
        audio = _levelled(material, REFERENCE, item, "none", levelled)
        opened[item] = folder.add(audio, material.rate, folder.name("open", item), material.spans.get(item))
    return opened


def _write_examples(
    folder: _Folder, material: Material, systems: Sequence[str], anchor: Anchor, levelled: Levels
) -> list[Example]:
    """Clips to learn the task by, of an item of the seed's, under names of their own."""
    item = material.items[int(np.random.default_rng(int(folder.secret[:8], 16)).integers(len(material.items)))]
    shown = [s for s in (REFERENCE, ANCHOR) if s in systems] or [systems[0]]
    result = []
    for system in shown:
        audio = _levelled(material, system, item, anchor, levelled)
        name = folder.add(audio, material.rate, folder.name("example", system), material.spans.get(item))
        result.append(wording.example(system, name, anchor))
    return result


def _copy_page(path: Path) -> None:
    """The page itself, which is shipped with the package."""
    for file in sorted((resources.files("counterpoint.listening") / "page").iterdir(), key=lambda file: file.name):
        target = path / file.name if file.name == "index.html" else path / "page" / file.name
        write_text(target, file.read_text(encoding="utf-8"))
