"""What a line has to tell because the words say so: a brief as symbols that are forced."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from counterpoint.data.corpus.harmony import guess_key, looped
from counterpoint.data.events import vocabulary as v
from counterpoint.data.events.script import by_bar, spell_chords
from counterpoint.music import ROLES, Brief, Key, Metre


@dataclass(frozen=True)
class Terms:
    """Forced symbols: those of the head by kind, programs by the players' numbers, who is silent, and the chords."""

    head: Mapping[str, int] = field(default_factory=dict)
    programs: Mapping[int, int] = field(default_factory=dict)
    without: frozenset[int] = frozenset()
    tempo: float | None = None
    """The exact tempo."""
    brief: Brief = field(default_factory=Brief)

    @staticmethod
    def of(brief: Brief) -> "Terms":
        """What a brief states; chords without a key are in the key that they suggest."""
        if brief.key is None and any(chord is not None for chord in brief.chords):
            brief = replace(brief, key=guess_key(brief.chords))
        head: dict[str, int] = {}
        if brief.style is not None:
            head["style"] = v.symbol("style", v.STYLES.index(brief.style))
        if brief.mood is not None:
            head["mood"] = v.symbol("mood", v.MOODS.index(brief.mood))
        if brief.key is not None:
            head["key"] = v.symbol("key", brief.key.number)
        if brief.metre is not None:
            head["metre"] = v.symbol("metre", v.METRES.index(brief.metre.name))
        if brief.bpm is not None:
            head["tempo"] = v.symbol("tempo", min(max(round(brief.bpm), v.SLOWEST), v.FASTEST) - v.SLOWEST)
        programs = {ROLES.index(role): program for role, program in brief.instruments.items()}
        return Terms(head, programs, frozenset(map(ROLES.index, brief.without)), brief.bpm, brief)

    def chords(self, key: Key, metre: Metre, count: int) -> list[tuple[int, ...]]:
        """The chords of each of `count` bars, spelled; empty where the brief has none."""
        if not self.brief.chords:
            return []
        lengths = self.brief.chord_beats or (float(metre.beats),) * len(self.brief.chords)
        slots = looped(self.brief.chords, lengths, float(count * metre.beats))
        starts = [(round(slot.start * v.TICKS), slot.chord) for slot in slots]
        return [spell_chords(changes, key.tonic) for changes in by_bar(starts, metre.beats * v.TICKS, count)]
