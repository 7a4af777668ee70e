"""What metrics are given: two sets of clips, their pairs, and the features of each from the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from numpy import ndarray

from counterpoint.analysis.heard import Heard
from counterpoint.data.spans import Span
from counterpoint.embedders.base import Ear, Embedder, Rater, Tagger, TextEmbedder
from counterpoint.embedders.frames import CodecFrames
from counterpoint.evaluation.features import Arrays, Cache
from counterpoint.evaluation.hearing import from_arrays, heard_identity, of_score
from counterpoint.evaluation.sets import ClipSet, Member, pairs
from counterpoint.planning import trim


@dataclass(frozen=True)
class Evidence:
    """The made set, the reference (or None), open ears by name, and the cache that holds what they heard.

    `labels` says what a made clip is compared with where music itself is compared: "exact" scores, or what is "heard" in the
    reference.  `spans` are the filled-in seconds of clips by id.
    """

    made: ClipSet
    real: ClipSet | None
    ears: Mapping[str, Ear]
    cache: Cache
    labels: str = "exact"
    spans: Mapping[str, Span] | None = None
    seed: int = 0

    @cached_property
    def pairs(self) -> list[tuple[Member, Member]]:
        """Made and real clips that belong together."""
        return [] if self.real is None else pairs(self.made, self.real)

    @property
    def embedders(self) -> dict[str, Embedder]:
        return {name: ear for name, ear in self.ears.items() if isinstance(ear, Embedder)}

    @property
    def readers(self) -> dict[str, TextEmbedder]:
        return {name: ear for name, ear in self.ears.items() if isinstance(ear, TextEmbedder)}

    @property
    def taggers(self) -> dict[str, Tagger]:
        return {name: ear for name, ear in self.ears.items() if isinstance(ear, Tagger)}

    @property
    def raters(self) -> dict[str, Rater]:
        return {name: ear for name, ear in self.ears.items() if isinstance(ear, Rater)}

    @property
    def codecs(self) -> dict[str, CodecFrames]:
        return {name: ear for name, ear in self.ears.items() if isinstance(ear, CodecFrames)}

    @property
    def captions(self) -> list[tuple[Member, str]]:
        """Made clips that were asked for in words: their own, or their real partners'."""
        borrowed = {made.place: real.captions for made, real in self.pairs}
        told = [(member, member.captions or borrowed.get(member.place, ())) for member in self.made.members]
        return [(member, texts[0]) for member, texts in told if texts]

    def arrays(self, member: Member, identity: str) -> Arrays:
        """A clip's feature, which extraction has put into the cache."""
        found = self.cache.get(member.digest, identity)
        if found is None:
            raise ValueError(f"{self.cache.folder} was changed while it was in use ({member.id} is gone); call again.")
        return found

    def column(self, members: Sequence[Member], identity: str, name: str) -> list[ndarray]:
        """One array of each clip."""
        return [self.arrays(member, identity)[name] for member in members]

    def heard(self, member: Member) -> Heard:
        """What the analysers hear in a clip."""
        return from_arrays(self.arrays(member, heard_identity()))

    def target(self, real: Member) -> Heard:
        """What a clip that is paired with `real` should sound like: its exact score, or what is heard in it."""
        score = real.score if self.labels == "exact" else None
        if score is None:
            return self.heard(real)
        cut = self.cache.conditions.seconds
        return of_score(score if cut is None or cut >= score.seconds else trim(score, cut))
