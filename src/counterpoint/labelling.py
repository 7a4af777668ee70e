"""What is known of cached clips, as lanes: chords, tune and drums of every frame, tempo, key and length of every clip.

Clips that have a score are labelled from it, exactly; others are listened to (`analysis.hear`).  The labels lie in a folder of
the cache: controls/info.json and arrays with one row a clip, in the order of the cache: chords.npy and melody.npy
(int16, N T), drums.npy (int16, N T, or float16, N T d) and scalars.npy (float32, N 3: tempo, key's number, seconds; NaN is
unknown).  They grow in controls.partial, where each clip that is done is noted, so that a run that was killed goes on.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from counterpoint import audio as sound
from counterpoint.analysis.hearing import hear
from counterpoint.codecs.base import Codec
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.controls.lanes import lanes, of_heard
from counterpoint.data.index import Index
from counterpoint.data.latents import CONTROLS, CacheInfo
from counterpoint.data.row import Row
from counterpoint.encoding import score_of
from counterpoint.files import renamed, whole_lines, writing
from counterpoint.music import Controls
from counterpoint.types import Progress
from counterpoint.workers import by_workers

LANES = ("chords", "melody", "drums")
_AT_ONCE = 16
"""Clips that a worker labels before they are noted."""


def label(
    found: Index, codec: Codec, cache: Path, drums: DrumsConfig, workers: int = 1, progress: Progress | None = None
) -> None:
    """Label every clip of a cache of `found`, going on where an earlier call was stopped; labels that are whole are left.

    Raises ValueError where the cache has labels with another drum lane, or nothing can be written.
    """
    check_labels(codec, cache, drums)
    info = CacheInfo.read(cache / "info.json")
    whole, partial = cache / CONTROLS, cache / f"{CONTROLS}.partial"
    if (whole / "info.json").is_file():
        return
    if not (partial / "info.json").is_file():
        _create(partial, info, drums)
    rows = [json.loads(line) for line in (cache / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    clips = [(i, row, line["frames"]) for i, (row, line) in enumerate(zip(found.rows, rows, strict=True)) if line["frames"]]
    done = {int(line) for line in whole_lines(partial / "done.txt")}
    missing = [clip for clip in clips if clip[0] not in done]
    chunks = [missing[i : i + _AT_ONCE] for i in range(0, len(missing), _AT_ONCE)]
    for numbers in by_workers(_Job(codec, drums, partial), chunks, workers):
        with writing(partial), (partial / "done.txt").open("a", encoding="utf-8") as notes:
            notes.write("".join(f"{number}\n" for number in numbers))
        done.update(numbers)
        if progress is not None:
            progress(len(done), len(clips))
    with writing(whole):
        (partial / "done.txt").unlink(missing_ok=True)
        os.replace(partial, whole)


def check_labels(codec: Codec, cache: Path, drums: DrumsConfig) -> None:
    """Raises ValueError where clips under this codec, in this cache, cannot be labelled so."""
    if not codec.spec.levels:
        raise ValueError("The lane of drums is made of a codec's tokens, and this codec has none; encode without controls.")
    for folder in (cache / CONTROLS, cache / f"{CONTROLS}.partial"):
        _refuse_others(folder, drums)


def _refuse_others(folder: Path, drums: DrumsConfig) -> None:
    """Raises ValueError for labels whose drums were made otherwise."""
    if not (folder / "info.json").is_file():
        return
    made = json.loads((folder / "info.json").read_text(encoding="utf-8"))
    if (made["order"], made["blur"]) != (drums.order, drums.blur):
        raise ValueError(
            f"{folder} holds drums of order {made['order']} and blur {made['blur']}, not {drums.order} and {drums.blur}; ask "
            "for those, or delete it."
        )


def _create(folder: Path, info: CacheInfo, drums: DrumsConfig) -> None:
    """Empty arrays of the final size."""
    grid = (info.clips, info.frames)
    lane = (np.int16, grid) if drums.order == "blur-quantise" else (np.float16, (*grid, info.spec.dim))
    shapes = {"chords": (np.int16, grid), "melody": (np.int16, grid), "drums": lane, "scalars": (np.float32, (info.clips, 3))}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, (kind, shape) in shapes.items():
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
    with renamed(folder / "info.json") as path:
        path.write_text(json.dumps({"order": drums.order, "blur": drums.blur}) + "\n", encoding="utf-8")


def known_of(row: Row) -> Controls:
    """What is known of a clip: all that its score tells, or else what is heard in its audio.  Raises ValueError."""
    score = score_of(row)
    if score is not None:
        return Controls.of_score(score)
    return of_heard(hear(*sound.read(row.path, row.seconds, row.offset)))


_Clip = tuple[int, Row, int]
"""Its number, what is known of it, and how many frames it has."""


@dataclass
class _Job:
    """What a worker needs; the arrays are opened where they are written."""

    codec: Codec
    drums: DrumsConfig
    folder: Path
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def open(self) -> None:
        with writing(self.folder):
            self.arrays = {name: np.load(self.folder / f"{name}.npy", mmap_mode="r+") for name in (*LANES, "scalars")}
        self.codec.eval()

    def run(self, chunk: Sequence[_Clip]) -> list[int]:
        for number, row, frames in chunk:
            known = known_of(row)
            values = lanes(known, self.codec, frames, self.drums)
            for name in LANES:
                self.arrays[name][number, :frames] = values[name]
            key = np.nan if known.key is None else known.key.number
            self.arrays["scalars"][number] = (known.tempo or np.nan, key, row.seconds)
        return [number for number, _, _ in chunk]
