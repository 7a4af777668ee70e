"""What is compared: folders of audio, one a system, whose files of one name are one item; spans and captions beside them."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.data.folder import listing
from counterpoint.data.sidecar import captions_beside
from counterpoint.data.spans import Span, read_spans, span_beside
from counterpoint.listening.study import ANCHOR, REFERENCE

SHORTEST, APART = 1.0, 0.5
"""Seconds: of a clip, and by how much the versions of one item may differ (they are cut to the shortest)."""
FULL = (ANCHOR, REFERENCE)


@dataclass(frozen=True)
class Material:
    """Files by system and item; `rate` is what all are played at, `seconds` how long each item is.

    `spans` is empty or has one for every item, and so have `captions`.
    """

    files: Mapping[tuple[str, str], Path]
    systems: tuple[str, ...]
    items: tuple[str, ...]
    rate: int
    seconds: Mapping[str, float]
    spans: Mapping[str, Span]
    captions: Mapping[str, str]
    notes: tuple[str, ...]

    def read(self, system: str, item: str) -> Float[Tensor, "c n"]:
        """A clip at the common rate, cut to its item's length.  Raises ValueError."""
        made, rate = sound.read(self.files[system, item])
        return sound.resample(made, rate, self.rate)[:, : round(self.seconds[item] * self.rate)]

    def digest(self) -> str:
        """The SHA-256 of all files with their names."""
        total = hashlib.sha256()
        for (system, item), path in sorted(self.files.items()):
            total.update(json.dumps([system, item]).encode() + hashlib.sha256(path.read_bytes()).digest())
        return total.hexdigest()


def gather(runs: Sequence[Path], reference: Path | None = None, spans: Path | None = None) -> Material:
    """The items that all folders have.  Raises ValueError for what cannot be compared, naming the file."""
    folders = _folders(runs, reference)
    found = {name: _files(folder) for name, folder in folders.items()}
    items = sorted(set.intersection(*(set(files) for files in found.values())))
    if not items:
        raise ValueError(
            "No file name is in all of the folders; name the versions of one item alike, such as a/one.wav, b/one.wav."
        )
    missing = len(set.union(*(set(files) for files in found.values()))) - len(items)
    notes = [f"{missing} items are not in every folder and are left out."] if missing else []
    files = {(system, item): found[system][item] for system in folders for item in items}
    heads = {pair: _head(path) for pair, path in files.items()}
    seconds = {item: _length(item, {s: heads[s, item][1] for s in folders}, folders) for item in items}
    marked = _spans(spans, files, items, seconds)
    captions = _captions(files, folders, items)
    rate = max(rate for rate, _ in heads.values())
    if len({rate for rate, _ in heads.values()}) > 1:
        notes.append(f"The files have several sample rates; all are played at {rate} Hz.")
    return Material(files, tuple(folders), tuple(items), rate, seconds, marked, captions, tuple(notes))


def _folders(runs: Sequence[Path], reference: Path | None) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for run in runs:
        name = run.resolve().name
        if name in FULL:
            raise ValueError(f"{run} has a name that is kept for the test's own clips; rename it, or give it as --reference.")
        if name in folders:
            raise ValueError(f"Two folders are called {name}; a folder's name is its system's, so rename one of them.")
        folders[name] = run
    if not folders:
        raise ValueError("There is nothing to listen to; give one folder of audio for each system.")
    if reference is not None:
        folders[REFERENCE] = reference
    return folders


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}; give one folder of audio for each system.")
    files: dict[str, Path] = {}
    for row in sorted(listing(folder).rows, key=lambda row: str(row.path)):  # at any depth, under the names of its table
        item = Path(row.id).name
        if row.path.suffix.lower() in sound.FORMATS:
            if item in files:
                raise ValueError(f"{folder} holds both {files[item].name} and {row.path.name}; keep one of them.")
            files[item] = row.path
    if not files:
        raise ValueError(f"{folder} holds no audio; a system's folder has its wav, flac, ogg or mp3 files.")
    return files


def _head(path: Path) -> tuple[int, float]:
    """Sample rate and seconds."""
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as audio ({error}); give a whole file, or leave the item out.") from error
    return info.samplerate, info.frames / info.samplerate


def _length(item: str, lengths: Mapping[str, float], folders: Mapping[str, Path]) -> float:
    shortest, longest = min(lengths, key=lambda s: lengths[s]), max(lengths, key=lambda s: lengths[s])
    if lengths[shortest] < SHORTEST:
        raise ValueError(f"{folders[shortest] / item} is shorter than {SHORTEST:g} s; leave the item out.")
    if lengths[longest] - lengths[shortest] > APART:
        raise ValueError(
            f"{item} lasts {lengths[shortest]:.2f} s in {folders[shortest]} and {lengths[longest]:.2f} s in {folders[longest]};"
            " cut all versions to one length."
        )
    return math.floor(lengths[shortest] * 1000) / 1000


def _captions(files: Mapping[tuple[str, str], Path], folders: Mapping[str, Path], items: Sequence[str]) -> dict[str, str]:
    """The first caption beside any version of an item; none at all unless every item has one."""
    captions: dict[str, str] = {}
    for item in items:
        for system in folders:
            texts = captions_beside(files[system, item])
            if texts:
                captions.setdefault(item, texts[0])
    return captions if len(captions) == len(items) else {}


def _spans(
    path: Path | None, files: Mapping[tuple[str, str], Path], items: Sequence[str], seconds: Mapping[str, float]
) -> dict[str, Span]:
    told = _spans_beside(files) if path is None else read_spans(path)
    spans = {item: told[item] for item in items if item in told}
    if spans and len(spans) < len(items):
        missing = next(item for item in items if item not in spans)
        raise ValueError(
            f"{missing} has no mask_start and mask_end, but other items do; give a span for every item, or for none."
        )
    if path is not None and not spans:
        raise ValueError(
            f"{path} names none of the items, such as {items[0]!r}; its names are those of the files, without suffix."
        )
    for item, (start, end) in spans.items():
        if not 0 <= start < end <= seconds[item]:
            raise ValueError(f"The span of {item} is {start:g} to {end:g} s, but the clip lasts {seconds[item]:g} s; mend it.")
    return spans


def _spans_beside(files: Mapping[tuple[str, str], Path]) -> dict[str, Span]:
    """From the .json beside any version of an item; all that tell must agree."""
    spans: dict[str, Span] = {}
    for (_, item), path in files.items():
        span = span_beside(path)
        if span is not None and spans.setdefault(item, span) != span:
            raise ValueError(
                f"{path.with_suffix('.json')} tells another span of {item} than another folder does; mend one of them."
            )
    return spans
