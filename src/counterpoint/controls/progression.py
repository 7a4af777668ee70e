"""Chords as they are written, before anybody knows how long the music lasts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from counterpoint.controls.scalars import read_tempo, same_tempo
from counterpoint.music import Chord, ChordSpan, Key, Metre

_SLIVER = 1e-6
"""Seconds that are no time."""


@dataclass(frozen=True)
class Progression:
    """Chords in bars, which start anew when they are over, or at times of their own; and what was said beside them."""

    bars: tuple[tuple[Chord | None, float], ...] = ()
    """Chords, each with the bars that it lasts."""
    spans: tuple[ChordSpan, ...] = ()
    """Chords at times; the end of one that holds is infinite."""
    key: Key | None = None
    bpm: float | None = None
    metre: Metre | None = None

    def transpose(self, semitones: int) -> "Progression":
        """All chords, and the key, `semitones` higher."""
        return replace(
            self,
            bars=tuple((chord and chord.transpose(semitones), bars) for chord, bars in self.bars),
            spans=tuple(replace(span, chord=span.chord and span.chord.transpose(semitones)) for span in self.spans),
            key=self.key and self.key.transpose(semitones),
        )

    def lasting(self, seconds: float, bpm: float | None = None, metre: Metre | None = None) -> tuple[ChordSpan, ...]:
        """The chords of `seconds` without a gap: bars are repeated as long as it takes, times are taken as they are.

        What is None is taken from what was said beside the chords; the metre is else 4/4.  Raises ValueError where bars have
        no tempo, or where a tempo or metre is not the one that was said.
        """
        if self.spans:
            return _joined(_filled(self.spans, seconds))
        tempo = self.bpm if bpm is None else read_tempo(bpm)
        if tempo is None:
            raise ValueError("Chords in bars need a tempo; give one in beats per minute, for example 120.")
        if bpm is not None and self.bpm is not None and not same_tempo(self.bpm, bpm):
            raise ValueError(f"The chords are written for {self.bpm:g} bpm, but the tempo is to be {bpm:g} bpm; leave one.")
        if metre is not None and self.metre not in (None, metre):
            raise ValueError(f"The chords are written in {self.metre.name}, but the metre is to be {metre.name}; leave one.")
        beats = (metre or self.metre or Metre()).beats
        return _joined(_repeated(self.bars, seconds, beats * 60 / tempo))


def _repeated(bars: Sequence[tuple[Chord | None, float]], seconds: float, bar: float) -> list[ChordSpan]:
    """Bars of `bar` seconds, again and again."""
    spans: list[ChordSpan] = []
    now, place = 0.0, 0.0
    while True:
        for chord, length in bars:
            place += length
            end = place * bar
            if end >= seconds - _SLIVER:
                return [*spans, ChordSpan(now, seconds, chord)]
            spans.append(ChordSpan(now, end, chord))
            now = end
        place = round(place, 9)  # whole again after thirds of bars


def _filled(written: Sequence[ChordSpan], seconds: float) -> list[ChordSpan]:
    """Chords at their times, and none between, before and after them."""
    if written[0].start >= seconds:
        raise ValueError(
            f"The first chord starts at {written[0].start:g} s, when all is over; start it before {seconds:g} s, or make more."
        )
    spans: list[ChordSpan] = []
    now = 0.0
    for span in written:
        if now < span.start < seconds:
            spans.append(ChordSpan(now, span.start, None))
        if span.start < seconds:
            now = min(span.end, seconds)
            spans.append(replace(span, end=now))
    return spans if now >= seconds else [*spans, ChordSpan(now, seconds, None)]


def _joined(spans: Sequence[ChordSpan]) -> tuple[ChordSpan, ...]:
    """Neighbours of one chord as one span."""
    joined: list[ChordSpan] = []
    for span in spans:
        if joined and joined[-1].chord == span.chord:
            joined[-1] = replace(joined[-1], end=span.end)
        else:
            joined.append(span)
    return tuple(joined)
