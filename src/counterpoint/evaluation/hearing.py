"""What is heard in a clip as a feature: `analysis.hear` and chroma, as arrays that the cache can keep."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from jaxtyping import Float
from torch import Tensor

from counterpoint.analysis.chroma import RATE, chroma
from counterpoint.analysis.heard import HIGHEST, LOWEST, MELODY_RATE, Heard
from counterpoint.analysis.hearing import hear
from counterpoint.analysis.listener import load_listener
from counterpoint.audio import mix
from counterpoint.embedders.weights import digest_of_tensors
from counterpoint.evaluation.features import Arrays, Feature
from counterpoint.metrics.melody import lane, sounding
from counterpoint.music import DRUM_CLASSES, Chord, ChordSpan, Key, Score, harte_label


class Hearing(Feature):
    """All that the analysers hear."""

    def __init__(self) -> None:
        self.identity = heard_identity()

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        return to_arrays(hear(audio, sample_rate))


@cache
def heard_identity() -> str:
    """What pins down what is heard: the version of the decoders, and the digest of the network's weights."""
    return f"heard 1 (sha256 {digest_of_tensors(load_listener().state_dict())})"


class Chroma(Feature):
    """MusicGen's chroma, and which of its frames sound."""

    identity = "chroma 1"
    sample_rate = RATE

    def __call__(self, audio: Float[Tensor, "c n"], sample_rate: int) -> Arrays:
        mono = mix(audio, 1)
        sounds = sounding(mono)
        return {"chroma": chroma(mono, sample_rate)[:, : len(sounds)].numpy(), "sounds": sounds.numpy()}


def to_arrays(heard: Heard) -> Arrays:
    """Arrays of numbers and of letters, none of which are objects."""
    return {
        "numbers": np.array([heard.seconds, heard.tempo]),
        "beats": np.array(heard.beats),
        "downbeats": np.array(heard.downbeats),
        "key": np.array([] if heard.key is None else [heard.key.name], dtype="U16"),
        "edges": np.array([[span.start, span.end] for span in heard.chords]).reshape(-1, 2),
        "chords": np.array([harte_label(span.chord) for span in heard.chords], dtype="U24"),
        "melody": heard.melody,
        **{f"drums {name}": np.array(times) for name, times in heard.drums.items()},
    }


def from_arrays(arrays: Arrays) -> Heard:
    """The value that `to_arrays` was given."""
    seconds, tempo = arrays["numbers"].tolist()
    spans = zip(arrays["edges"].tolist(), arrays["chords"].tolist(), strict=True)
    return Heard(
        seconds=seconds,
        tempo=tempo,
        beats=tuple(arrays["beats"].tolist()),
        downbeats=tuple(arrays["downbeats"].tolist()),
        key=Key.parse(str(arrays["key"][0])) if len(arrays["key"]) else None,
        chords=tuple(ChordSpan(start, end, Chord.parse(label)) for (start, end), label in spans),
        melody=arrays["melody"],
        drums={name.removeprefix("drums "): tuple(arrays[name].tolist()) for name in arrays if name.startswith("drums ")},
    )


def of_score(score: Score) -> Heard:
    """What a perfect ear would hear in a clip that plays this score."""
    tune, kit = score.track("melody"), score.track("drums")
    notes = () if tune is None else tuple(note for note in tune.notes if LOWEST <= note.pitch <= HIGHEST)
    hits = () if kit is None else tuple(note for note in kit.notes if 0 <= note.start < score.seconds)
    classes = {name: DRUM_CLASSES[name] for name in ("kick", "snare", "hat")}
    drums = {name: _times(note.start for note in hits if note.pitch in keys) for name, keys in classes.items()}
    return Heard(
        seconds=score.seconds,
        tempo=score.bpm,
        beats=_within(score.beats, score.seconds),
        downbeats=_within(score.downbeats, score.seconds),
        key=score.key,
        chords=score.chords,
        melody=lane(notes, score.seconds, MELODY_RATE),
        drums={**drums, "any": _times(note.start for note in hits)},
    )


def _within(times: Iterable[float], seconds: float) -> tuple[float, ...]:
    return tuple(time for time in times if 0 <= time < seconds)


def _times(times: Iterable[float], merge: float = 0.03) -> tuple[float, ...]:
    """Times in order; those within `merge` seconds are struck at once."""
    kept: list[float] = []
    for time in sorted(times):
        if not kept or time - kept[-1] > merge:
            kept.append(time)
    return tuple(kept)
