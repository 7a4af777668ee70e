"""What comes out: a take, whole or while it is made, with the record of how it came about."""

import base64
import html
import json
import tempfile
import textwrap
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.music import NO_CONTROLS, Controls, Score
from counterpoint.source import NO_FILE, Source, digest, read_exactly


@dataclass(frozen=True)
class Take:
    """One piece of music and how it came about."""

    audio: Float[Tensor, "c n"]
    sample_rate: int
    seed: int
    record: Mapping[str, Any]
    """prompt, seed, model, version, seconds, plan (chord chart), summary, note (where the plan and the
    seconds or the words disagree, or a distilled model is guided anew), unknown (words), sampling (the settings), timings,
    sha256 (of the samples), made_on (what computed them), score (packed);
    plan_seed where it is not the seed, best_of (`adherence.best_of`) where it was chosen; of given audio, source (its file,
    digest, length and rate), made (spans of the result) and how that was asked for, chosen
    (of several tries); of files of controls, their digests."""
    score: Score | None
    controls: Controls = NO_CONTROLS
    """What was held on to, as it was laid out over the music."""
    encoding: str | None = None
    """What keeps the samples of given audio to the bit (audio.EXACT); None where all is made."""

    def __repr__(self) -> str:
        prompt = shortened(self.record["prompt"], 60)
        return f"Take({prompt!r}, {self.record['seconds']:g} seconds, seed {self.seed}, {self.record['model']})"

    def save(self, path: str | Path) -> Path:
        """Write wav, flac, ogg or mp3 by suffix, with prompt, seed, model and version in the file's tags."""
        tags = _tags(self.record, self.seed, Path(path).suffix.lower())
        return sound.write(path, self.audio, self.sample_rate, tags, self.encoding)

    def as_source(self) -> Source:
        """The take as what another one goes on from: with the samples of its wav file, which can stand for it later."""
        with tempfile.TemporaryDirectory() as folder:
            file = sound.write(Path(folder) / "take.wav", self.audio, self.sample_rate, encoding=self.encoding)
            audio, rate, encoding = read_exactly(file)
        return Source(audio, rate, NO_FILE, digest(audio, rate), encoding, self.record, self.score)

    def _repr_html_(self) -> str:
        """A player, for notebooks."""
        with tempfile.TemporaryDirectory() as folder:
            data = self.save(Path(folder) / "take.wav").read_bytes()
        caption = html.escape(f"{self.record['prompt']} (seed {self.seed})")
        source = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
        return f'<figure><figcaption>{caption}</figcaption><audio controls src="{source}"></audio></figure>'


class Stream(Iterator[Tensor]):
    """One piece of music while it is made: an iterator over its audio, "c _" at a time; `close` stops the work.

    Joined, the chunks are the audio of `generate` before it is mastered, times a constant gain, its peaks turned down under
    -1 dBTP (audio.limit).  Loudness can be measured only once all is there: so the gain brings the first chunk to -16 LUFS, by
    GAIN dB at most, and stays.
    """

    def __init__(self, chunks: Generator[Tensor], sample_rate: int, seed: int, record: dict[str, Any], score: Score | None):
        """`record` is that of a Take but for what is told of its samples: that it is streamed, and from the first chunk on the
        gain (dB).  Timings are other ones: seconds of work until the first chunk, and in all so far; what the listener does in
        between does not count."""
        self.sample_rate, self.seed, self.record, self.score = sample_rate, seed, record, score
        self._chunks, self._timings = chunks, record["timings"]

    def __next__(self) -> Float[Tensor, "c _"]:
        started = perf_counter()
        try:
            with torch.inference_mode():  # here, so that it ends where the listener goes on
                chunk = next(self._chunks)
        finally:
            self._timings["total"] = round(self._timings.get("total", self._timings["plan"]) + perf_counter() - started, 3)
        self._timings.setdefault("first", self._timings["total"])
        return chunk

    def save(self, path: str | Path) -> Path:
        """Write what is left of it into a wav file that can be played while it grows (audio.write_growing)."""
        samples = round(self.record["seconds"] * self.sample_rate)
        return sound.write_growing(path, self, self.sample_rate, samples, _tags(self.record, self.seed, ".wav"))

    def close(self) -> None:
        """Make no more of it; closing again, or at the end, does nothing."""
        self._chunks.close()


def _tags(record: Mapping[str, Any], seed: int, suffix: str) -> dict[str, str]:
    """What is written into a file of audio about how it came about."""
    comment = {name: record[name] for name in TAGGED if name in record}
    score = {"score": record["score"]} if "score" in record else {}
    return {
        "title": record["prompt"],
        "artist": record["model"],
        "software": f"counterpoint {record['version']}, seed {seed}",
        "comment": json.dumps(comment if suffix == ".wav" else comment | score),
        **(score if suffix == ".wav" else {}),
    }


TAGGED = (
    "prompt",
    "seed",
    "plan_seed",
    "planner",
    "best_of",
    "model",
    "weights",
    "version",
    "seconds",
    "source",
    "before",
    "after",
    "spans",
    "strength",
    "made",
    "method",
    "tries",
    "chosen",
    "controls",
    "files",
    "plan",
    "sampling",
    "sha256",
    "streamed",
    "made_on",
)
"""What of a record is written into an audio file's comment: enough, with the score that is a tag of its own, and the files of
controls and the given audio that it names, to make the music again to the bit (`provenance`)."""


def shortened(prompt: str, longest: int) -> str:
    """The first words of a prompt, for a line of so many characters."""
    return textwrap.shorten(prompt, longest, placeholder=" ...")
