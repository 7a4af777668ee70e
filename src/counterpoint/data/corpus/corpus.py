"""Writes a corpus folder: music composed, rendered, annotated and described, clip by clip.

    corpus.json                 what the corpus was asked to be; a folder never mixes two of them
    metadata.jsonl              one line per clip, written last; the folder is then a Hugging Face AudioFolder
    clips/000/000123.flac       16-bit audio at -14 LUFS, or as loud as a true peak of -1 dBTP allows
    clips/000/000123.mid        the score
    clips/000/000123.json       the exact annotation (`annotation.py`) and the captions

Clip i depends on the corpus' seed and i alone: same bytes whatever the number of workers, and whatever was there before.
"""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterpoint import __version__, annotation, audio, midi, rng
from counterpoint.data.corpus import synth
from counterpoint.data.corpus.compose import compose
from counterpoint.data.corpus.describe import describe
from counterpoint.data.corpus.soundfont import SoundfontRenderer
from counterpoint.data.corpus.styles import STYLES
from counterpoint.data.row import METADATA, split_of
from counterpoint.files import write_text
from counterpoint.instruments import instrument
from counterpoint.music import Brief, Score
from counterpoint.parallel import collect, one_thread
from counterpoint.types import Progress

SETTINGS = "corpus.json"
LICENSE = "CC0-1.0"
"""What the composed clips are given away under."""

RENDERERS = ("builtin", "soundfont")
_CHUNK = 8  # clips that a worker takes at a time, at most


@dataclass(frozen=True)
class Corpus:
    """All that the clips depend on, beside their index; the content of corpus.json."""

    seed: int
    renderer: str = "builtin"
    soundfont: str | None = None
    """File name of the soundfont; the place is the machine's business."""
    seconds: float = 10.0
    channels: int = 1
    sample_rate: int = 32000
    version: str = __version__


def compose_corpus(
    out: Path,
    hours: float,
    seed: int,
    workers: int = 1,
    renderer: str = "builtin",
    soundfont: Path | None = None,
    seconds: float = 10.0,
    channels: int = 1,
    sample_rate: int = 32000,
    progress: Progress | None = None,
) -> Path:
    """Compose `hours` of music into the folder `out`, and return its metadata.jsonl.

    Clips that are already there are kept, so that an interrupted call is resumed, and a longer corpus extended, by calling
    again.  Raises ValueError if something is asked that cannot be, if the folder holds another corpus, or cannot be written.
    """
    _check(hours, workers, renderer, soundfont, seconds, channels, sample_rate)
    if renderer == "soundfont":
        soundfont = SoundfontRenderer(soundfont).path  # missing things are told before anything is written
    corpus = Corpus(seed, renderer, soundfont.name if soundfont else None, seconds, channels, sample_rate)
    total = max(1, round(hours * 3600 / seconds))
    out = Path(out)
    _claim(out, corpus, hours)
    missing = [index for index in range(total) if not _is_complete(out, index)]
    done = total - len(missing)
    if progress:
        progress(done, total)
    try:
        for count in _make_all(out, corpus, soundfont, missing, workers):
            done += count
            if progress:
                progress(done, total)
    finally:
        _sweep(out)
    return _write_metadata(out, corpus, total)


def _check(
    hours: float, workers: int, renderer: str, soundfont: Path | None, seconds: float, channels: int, sample_rate: int
) -> None:
    if not 0 < hours <= 100_000:
        raise ValueError(f"Cannot compose {hours} hours; ask for more than 0 and at most 100 000.")
    if not 1 <= seconds <= 600:
        raise ValueError(f"Clips of {seconds} seconds are not made; ask for 1 to 600.")
    if workers < 1:
        raise ValueError(f"{workers} workers cannot work; ask for at least 1.")
    if renderer not in RENDERERS:
        raise ValueError(f"There is no renderer {renderer!r}; known are {' and '.join(RENDERERS)}.")
    if soundfont is not None and renderer != "soundfont":
        raise ValueError(
            "The built-in renderer plays no soundfont; ask for the renderer 'soundfont' or leave the soundfont out."
        )
    if channels not in (1, 2):
        raise ValueError(f"Clips have 1 or 2 channels, not {channels}.")
    if not 8000 <= sample_rate <= 96000:
        raise ValueError(f"The sample rate {sample_rate} is out of range; ask for 8000 to 96000.")


def _claim(out: Path, corpus: Corpus, hours: float) -> None:
    """Make `out` the folder of this corpus, or raise ValueError because it is another's."""
    file = out / SETTINGS
    wanted = asdict(corpus)
    if file.is_file():
        found = _read_json(file)
        different = [name for name in wanted if found.get(name) != wanted[name]]
        if different:
            differences = ", ".join(f"{name} {found.get(name)!r} instead of {wanted[name]!r}" for name in different)
            raise ValueError(f"{out} holds a corpus with {differences}; choose another folder or the same settings.")
        if found.get("hours", 0) > hours:
            raise ValueError(
                f"{out} holds a corpus of {found['hours']} hours; ask for as many or more, or choose another folder."
            )
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no corpus; choose a new or empty folder.")
    write_text(file, json.dumps({"hours": hours, **wanted}, indent=2) + "\n")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} is damaged; remove it and call again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} is damaged; remove it and call again.")
    return content


def _make_all(out: Path, corpus: Corpus, soundfont: Path | None, missing: list[int], workers: int) -> Iterator[int]:
    """Make the missing clips; yields how many more are there, as they come."""
    if workers == 1:
        renderer = _Renderer(corpus, soundfont)
        with one_thread():
            for index in missing:
                _make(out, corpus, renderer, index)
                yield 1
        return
    size = max(1, min(_CHUNK, len(missing) // (2 * workers)))
    chunks = [missing[start : start + size] for start in range(0, len(missing), size)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(chunks))), spawn, _start_worker, (out, corpus, soundfont)) as pool:
        yield from collect(pool, _work, chunks)


class _Renderer:
    """One way to turn scores into audio, set up once per process."""

    def __init__(self, corpus: Corpus, soundfont: Path | None):
        self._corpus = corpus
        self._soundfont = SoundfontRenderer(soundfont) if corpus.renderer == "soundfont" else None

    def render(self, score: Score) -> np.ndarray:
        play = self._soundfont.render if self._soundfont else synth.render
        return play(score, self._corpus.sample_rate, self._corpus.channels)


_worker: tuple[Path, Corpus, _Renderer] | None = None


def _start_worker(out: Path, corpus: Corpus, soundfont: Path | None) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = (out, corpus, _Renderer(corpus, soundfont))


def _work(chunk: list[int]) -> int:
    assert _worker is not None, "the worker was not started"
    out, corpus, renderer = _worker
    for index in chunk:
        _make(out, corpus, renderer, index)
    return len(chunk)


def _make(out: Path, corpus: Corpus, renderer: _Renderer, index: int) -> None:
    """Write the three files of clip `index`; the annotation comes last and says that the clip is complete."""
    seed = rng.mix(corpus.seed, index)
    score = compose(Brief(style=_style(corpus.seed, index)), corpus.seconds, seed)
    captions = describe(score, np.random.default_rng(rng.mix(seed, 1)))
    sound = torch.from_numpy(renderer.render(score))
    path = _path(out, index, ".flac")
    audio.write(path, audio.normalise(sound, corpus.sample_rate), corpus.sample_rate)
    midi.write(score, path.with_suffix(".mid"))
    content = {"id": _clip(index), "seed": seed, "captions": captions, **annotation.to_dict(score)}
    write_text(path.with_suffix(".json"), json.dumps(content, ensure_ascii=False) + "\n")


def _style(seed: int, index: int) -> str:
    """Every run of as many clips as there are styles has each of them once, in an order of its own."""
    block, place = divmod(index, len(STYLES))
    return list(STYLES)[np.random.default_rng(rng.mix(seed, block, 2)).permutation(len(STYLES))[place]]


def _clip(index: int) -> str:
    return f"{index:06d}"


def _path(out: Path, index: int, suffix: str) -> Path:
    clip = _clip(index)
    return out / "clips" / clip[:-3] / (clip + suffix)


def _is_complete(out: Path, index: int) -> bool:
    return all(_path(out, index, suffix).is_file() for suffix in (".json", ".mid", ".flac"))


def _sweep(out: Path) -> None:
    """Remove what a killed process left half-written."""
    for file in (out / "clips").glob("*/.*"):
        file.unlink(missing_ok=True)


def _write_metadata(out: Path, corpus: Corpus, total: int) -> Path:
    lines = []
    for index in range(total):
        content = _read_json(_path(out, index, ".json"))
        lines.append(json.dumps(_row(out, corpus, index, content), ensure_ascii=False))
    write_text(out / METADATA, "\n".join(lines) + "\n")
    return out / METADATA


def _row(out: Path, corpus: Corpus, index: int, content: dict[str, Any]) -> dict[str, Any]:
    def relative(suffix: str) -> str:
        return _path(out, index, suffix).relative_to(out).as_posix()

    instruments: dict[str, str] = {}
    for track in content["tracks"]:
        instruments.setdefault(track["role"], instrument(track["role"], track["program"]))
    return {
        "file_name": relative(".flac"),
        "id": _clip(index),
        "split": split_of(_clip(index)),
        "seconds": content["seconds"],
        "sample_rate": corpus.sample_rate,
        **{name: content[name] for name in ("style", "mood", "tempo", "metre", "key", "captions")},
        "text": content["captions"][0],
        "instruments": instruments,
        "midi": relative(".mid"),
        "annotation": relative(".json"),
        "renderer": corpus.renderer if corpus.soundfont is None else f"{corpus.renderer} ({corpus.soundfont})",
        "license": LICENSE,
    }
