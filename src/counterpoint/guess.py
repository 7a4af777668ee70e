"""What a foreign MIDI file does not say, guessed from its notes: who plays which role, the chords, the key."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from counterpoint.music import QUALITIES, Chord, ChordSpan, Key, Note, Track

_HINTS = {
    "drums": ("drum", "kit", "percussion"),
    "bass": ("bass",),
    "melody": ("melody", "lead", "vocal", "voice", "solo", "tune"),
    "pad": ("pad", "strings", "choir"),
    "comp": ("comp", "chord", "rhythm", "piano", "guitar", "keys", "arp"),
}
_BASS_PROGRAMS = range(32, 40)
_BASS_PITCH = 52  # a mean below the E under middle C's octave
_PAD_SECONDS = 1.2

_QUALITIES = ("maj", "min", "7", "maj7", "min7")
_CHANGE_COST, _MISSING_COST, _TONE_COST, _ROOT_GAIN = 0.4, 0.2, 0.15, 0.25
_NO_CHORD = 0.0

_PLAIN = (0.12, 0.08, 0.08, 0.04, 0.02, 0.0)
_HOME = 0.15
"""How much of the notes the plainer chords, and the first and last chord at home, may leave out."""
_HARMONY_SPREAD = 0.1
"""What makes shares of notes figures of `_best_path`: a change of chord costs as much as .04 of a span's notes."""

_BORNE_OUT = 0.6
"""Share of the sounding notes that belong to a chord that is really played."""
_IN_SCALE = 0.05
"""How much more of the notes must lie in another key's scale before a key that was said is doubted."""

# Probe-tone profiles of Krumhansl & Kessler (1982).
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


def roles(tracks: Sequence[Track], names: Sequence[str]) -> tuple[Track, ...]:
    """`tracks` with every empty role filled in: by name, then by register, polyphony and length of notes."""
    known = [track.role or _hinted(name) for track, name in zip(tracks, names, strict=True)]

    def unknown() -> list[int]:
        return [i for i, role in enumerate(known) if not role]

    if unknown() and "bass" not in known:
        lowest = min(unknown(), key=lambda i: _mean_pitch(tracks[i]))
        if tracks[lowest].program in _BASS_PROGRAMS or _mean_pitch(tracks[lowest]) < _BASS_PITCH:
            known[lowest] = "bass"
    lines = [i for i in unknown() if _voices(tracks[i]) < 1.2]
    if lines and "melody" not in known:
        known[max(lines, key=lambda i: _mean_pitch(tracks[i]))] = "melody"
    for i in unknown():
        known[i] = "pad" if np.mean([note.end - note.start for note in tracks[i].notes]) > _PAD_SECONDS else "comp"
    return tuple(replace(track, role=role) for track, role in zip(tracks, known, strict=True))


def _hinted(name: str) -> str:
    return next((role for role, hints in _HINTS.items() if any(hint in name.lower() for hint in hints)), "")


def _mean_pitch(track: Track) -> float:
    return float(np.mean([note.pitch for note in track.notes]))


def _voices(track: Track) -> float:
    """Notes that start together, on average."""
    return len(track.notes) / len({round(note.start, 2) for note in track.notes})


def _weights(notes: Sequence[Note]) -> np.ndarray:
    """How long each pitch class sounds."""
    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += note.end - note.start
    return weights


def key(notes: Sequence[Note]) -> Key:
    """The key whose profile correlates best with how long each pitch class sounds; C major for silence."""
    weights = _weights(notes)
    if weights.std() == 0:
        return Key(0)
    fits = {
        Key(tonic, mode): np.corrcoef(np.roll(profile, tonic), weights)[0, 1]
        for mode, profile in (("major", _MAJOR), ("minor", _MINOR))
        for tonic in range(12)
    }
    return max(fits, key=lambda candidate: fits[candidate])


def borne_out_key(said: Key, notes: Sequence[Note]) -> Key:
    """The key that was said, unless clearly more of the notes lie in the scale of the key that they sound like."""
    weights, heard = _weights(notes), key(notes)
    gain = weights[list(heard.scale)].sum() - weights[list(said.scale)].sum()
    return heard if gain > _IN_SCALE * weights.sum() else said


def borne_out_chords(
    said: Sequence[ChordSpan], notes: Sequence[Note], beats: Sequence[float], seconds: float
) -> tuple[ChordSpan, ...]:
    """The chords that were said, and guessed ones wherever the notes are others.  The spans follow each other up to the end."""
    shares, lowest = _sounding(notes, [*(span.start for span in said), seconds])
    guessed = chords(notes, beats, seconds)
    spans: list[ChordSpan] = []
    for span, share, silent in zip(said, shares, lowest < 0, strict=True):
        tones = [] if span.chord is None else [*{*span.chord.pitch_classes, span.chord.bass} - {None}]
        if span.chord is None or silent or share[tones].sum() >= _BORNE_OUT:
            spans.append(span)
            continue
        inside = (replace(g, start=max(g.start, span.start), end=min(g.end, span.end)) for g in guessed)
        spans += [g for g in inside if g.start < g.end]
    return tuple(spans)


def chords(notes: Sequence[Note], beats: Sequence[float], seconds: float) -> tuple[ChordSpan, ...]:
    """The likeliest chords, beat by beat, where every change has its price (the Viterbi path)."""
    if not beats:
        return ()
    bounds = [*beats, max(seconds, beats[-1] + 1e-3)]
    candidates = [None, *(Chord(root, quality) for quality in _QUALITIES for root in range(12))]
    fits = _fits(_sounding(notes, bounds), candidates)
    return _spans(bounds, [candidates[state] for state in _best_path(fits)])


def _spans(bounds: Sequence[float], path: Sequence[Chord | None]) -> tuple[ChordSpan, ...]:
    """Each chord as long as it is the same."""
    spans: list[ChordSpan] = []
    for start, end, chord in zip(bounds[:-1], bounds[1:], path, strict=True):
        if spans and spans[-1].chord == chord:
            spans[-1] = replace(spans[-1], end=end)
        else:
            spans.append(ChordSpan(start, end, chord))
    return tuple(spans)


def harmony(tune: Sequence[Note], key: Key, changes: Sequence[float], seconds: float) -> tuple[ChordSpan, ...]:
    """Chords that bear a tune, one from each change on: triads of the key with most of its notes, of those as good the plainer.

    A tune alone has no bass, whose notes tell `chords` of roots.  The ends are at home where the tune allows.
    """
    if not changes:
        return ()
    bounds = [*changes, max(seconds, changes[-1] + 1e-3)]
    shares, lowest = _sounding(tune, bounds)
    candidates = _triads(key)
    inside = np.stack([shares[:, list(chord.pitch_classes)].sum(1) for chord in candidates], axis=1)
    fits = inside + np.array(_PLAIN)
    fits[lowest < 0] = 0.0  # where the tune rests, the chord stays
    fits[[0, -1], 0] += _HOME
    return _spans(bounds, [candidates[state] for state in _best_path(fits / _HARMONY_SPREAD)])


def _triads(key: Key) -> list[Chord]:
    """The chords of a key that bear tunes, from the plainest on: I IV V vi ii iii; in minor i iv V VI III VII."""
    steps = [(0, "maj"), (5, "maj"), (7, "maj"), (9, "min"), (2, "min"), (4, "min")]
    if key.mode == "minor":
        steps = [(0, "min"), (5, "min"), (7, "maj"), (8, "maj"), (3, "maj"), (10, "maj")]
    return [Chord((key.tonic + step) % 12, quality) for step, quality in steps]


def _sounding(notes: Sequence[Note], bounds: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the pitch classes in each beat (beats x 12), and each beat's lowest pitch class (-1 in silence)."""
    shares = np.zeros((len(bounds) - 1, 12))
    lowest = np.full(len(bounds) - 1, 999)
    for note in notes:
        first = max(0, int(np.searchsorted(bounds, note.start, side="right")) - 1)
        for beat in range(first, len(bounds) - 1):
            overlap = min(note.end, bounds[beat + 1]) - max(note.start, bounds[beat])
            if overlap <= 0:
                break
            shares[beat, note.pitch % 12] += overlap
            lowest[beat] = min(lowest[beat], note.pitch)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
    return shares, np.where(lowest == 999, -1, lowest % 12)


def _fits(sounding: tuple[np.ndarray, np.ndarray], candidates: Sequence[Chord | None]) -> np.ndarray:
    """How well each candidate explains each beat (beats x candidates)."""
    shares, lowest = sounding
    fits = np.full((len(shares), len(candidates)), _NO_CHORD)
    for i, chord in enumerate(candidates):
        if chord is None:
            continue
        tones = list(chord.pitch_classes)
        inside = shares[:, tones].sum(axis=1)
        missing = (shares[:, tones] < 0.03).sum(axis=1)
        extra = len(QUALITIES[chord.quality]) - 3
        fits[:, i] = 2 * inside - 1 - _MISSING_COST * missing - _TONE_COST * extra + _ROOT_GAIN * (lowest == chord.root)
        fits[lowest < 0, i] = -1
    return fits


def _best_path(fits: np.ndarray) -> list[int]:
    total, came_from = fits[0], []
    for fit in fits[1:]:
        best = int(total.argmax())
        stay = total >= total[best] - _CHANGE_COST
        came_from.append(np.where(stay, np.arange(len(total)), best))
        total = np.where(stay, total, total[best] - _CHANGE_COST) + fit
    path = [int(total.argmax())]
    for previous in reversed(came_from):
        path.append(int(previous[path[-1]]))
    return path[::-1]
