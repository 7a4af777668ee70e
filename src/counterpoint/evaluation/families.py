"""Every metric that can be asked for, by the name it is asked by: what it needs, and how it is had from the evidence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from counterpoint.evaluation import controls, labels, quality, sound_pairs
from counterpoint.evaluation.evidence import Evidence
from counterpoint.metrics.base import Score


@dataclass(frozen=True)
class Need:
    """Something that the evidence must hold, and how a user gives it."""

    met: Callable[[Evidence], bool]
    words: str


REFERENCE = Need(lambda evidence: evidence.real is not None, "a reference; give --against FOLDER")
PAIRS = Need(lambda evidence: bool(evidence.pairs), "a reference clip of the same id or file name for each made clip")
CAPTIONS = Need(lambda evidence: bool(evidence.captions), "captions, beside the made clips or their partners in the reference")
SPANS = Need(lambda evidence: bool(evidence.spans), "the in-painted spans; give --spans FILE")
EMBEDDER = Need(lambda evidence: bool(evidence.embedders), "an ear that embeds; give --embedder logmel")
READER = Need(lambda evidence: bool(evidence.readers), "an ear that reads; give --embedder ear-tiny")
TAGGER = Need(lambda evidence: bool(evidence.taggers), "an ear that tags; give --embedder ear-tiny")
CODEC = Need(lambda evidence: bool(evidence.codecs), "a codec; give --embedder codec=MODEL")
RATER = Need(lambda evidence: bool(evidence.raters), "an ear that judges; give --embedder audiobox=FOLDER")


@dataclass(frozen=True)
class Family:
    """Figures that are asked for together.

    `features` are taken of every clip beside those of the ears, which are taken where `ears`.  What is not `usual` is done only
    when it is asked for by name.
    """

    scores: Callable[[Evidence], list[Score]]
    needs: tuple[Need, ...] = ()
    features: tuple[str, ...] = ()
    ears: bool = False
    usual: bool = True

    def lacks(self, evidence: Evidence) -> str | None:
        """What is missing, in words; None where all is there."""
        return next((need.words for need in self.needs if not need.met(evidence)), None)


FAMILIES: Mapping[str, Family] = {
    "frechet": Family(quality.frechet, (REFERENCE, EMBEDDER), ears=True),
    "frechet-inf": Family(quality.frechet_inf, (REFERENCE, EMBEDDER), ears=True),
    "kad": Family(quality.kad, (REFERENCE, EMBEDDER), ears=True),
    "kid": Family(quality.kid, (REFERENCE, EMBEDDER), ears=True, usual=False),
    "per-song": Family(quality.per_song, (REFERENCE, EMBEDDER), ears=True, usual=False),
    "mad": Family(quality.mad, (REFERENCE, EMBEDDER), ears=True, usual=False),
    "kl": Family(labels.kl, (PAIRS, TAGGER), ears=True),
    "inception": Family(labels.inception, (TAGGER,), ears=True),
    "aesthetics": Family(labels.aesthetics, (RATER,), ears=True),
    "text": Family(labels.text, (CAPTIONS, READER), ears=True),
    "chords": Family(controls.chords, (PAIRS,), ("heard",)),
    "key": Family(controls.key, (PAIRS,), ("heard",)),
    "tempo": Family(controls.tempo, (PAIRS,), ("heard",)),
    "beats": Family(controls.beats, (PAIRS,), ("heard",)),
    "drums": Family(controls.drums, (PAIRS,), ("heard",)),
    "melody": Family(controls.melody, (PAIRS,), ("heard", "chroma")),
    "reconstruction": Family(sound_pairs.reconstruction, (PAIRS,), ("presence",), usual=False),
    "tokens": Family(sound_pairs.tokens, (CODEC,), ears=True, usual=False),
    "visqol": Family(sound_pairs.visqol, (PAIRS,), ("presence",), usual=False),
    "vocoding": Family(sound_pairs.vocoded, (PAIRS,), ("presence",), usual=False),
    "seams": Family(sound_pairs.seam, (PAIRS, SPANS), ("presence",)),
}
"""What `--metrics` takes."""
