"""Features of all clips of some sets, by one process or several; what is in the cache is not computed again."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from counterpoint.data.row import Skipped
from counterpoint.evaluation.ears import open_features
from counterpoint.evaluation.features import Cache, Conditions, Feature, listen, take
from counterpoint.evaluation.sets import Member
from counterpoint.parallel import collect, one_thread
from counterpoint.types import Progress

_CHUNK = 8  # clips that a worker takes at a time, at most


@dataclass(frozen=True)
class Work:
    """What is to be taken of each clip: features by the words that name them, conditions, and where results are kept."""

    features: tuple[str, ...]
    conditions: Conditions
    cache: Path


def extract(members: Sequence[Member], work: Work, workers: int = 1, progress: Progress | None = None) -> dict[str, Skipped]:
    """Put every feature of every clip into the cache; returns the clips that cannot be evaluated, by digest, with the reason.

    Raises ValueError where a feature cannot be had at all.
    """
    if workers < 1:
        raise ValueError(f"{workers} workers cannot work; ask for at least 1.")
    unique = list({member.digest: member for member in members}.values())
    refused: dict[str, Skipped] = {}
    done = 0
    for part in _all(unique, work, workers):
        refused |= part.refused
        done += part.count
        if progress:
            progress(done, len(unique))
    return refused


@dataclass(frozen=True)
class _Part:
    count: int
    refused: dict[str, Skipped]


def _all(members: list[Member], work: Work, workers: int) -> Iterator[_Part]:
    size = max(1, min(_CHUNK, len(members) // (4 * workers)))
    chunks = [members[start : start + size] for start in range(0, len(members), size)]
    if workers == 1:
        extractor = _Extractor(work)
        with one_thread():
            for chunk in chunks:
                yield extractor.work(chunk)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(chunks))), spawn, _start_worker, (work,)) as pool:
        yield from collect(pool, _work, chunks)


class _Extractor:
    """One process' features; each is opened when the first clip needs it."""

    def __init__(self, work: Work):
        self._cache = Cache(work.cache, work.conditions)
        self._features = [feature for name in work.features for feature in open_features(name)]

    def work(self, chunk: Sequence[Member]) -> _Part:
        refused = {}
        for member in chunk:
            missing = [feature for feature in self._features if self._cache.get(member.digest, feature.identity) is None]
            try:
                self._take(member, missing)
            except ValueError as error:
                refused[member.digest] = Skipped(member.path.name, "refused", str(error).rstrip("."))
        return _Part(len(chunk), refused)

    @torch.inference_mode()
    def _take(self, member: Member, features: Sequence[Feature]) -> None:
        if features:
            audio, rate = listen(member, self._cache.conditions)
            for feature in features:
                self._cache.put(member.digest, feature.identity, take(feature, audio, rate))


_worker: _Extractor | None = None


def _start_worker(work: Work) -> None:
    global _worker
    torch.set_num_threads(1)
    _worker = _Extractor(work)


def _work(chunk: list[Member]) -> _Part:
    assert _worker is not None, "the worker was not started"
    return _worker.work(chunk)
