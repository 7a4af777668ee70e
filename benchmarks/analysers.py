"""Ears that are not ours: librosa's features and mir_eval's scores, asked whether audio does what its score says.

Nothing here has seen a label: an estimate comes from the audio alone and is then compared with the score.
Every function takes a `Sound`, mono at 22 050 Hz, which computes each librosa feature once.
Needs the `eval` extra (librosa, mir_eval).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

try:
    import librosa
    import mir_eval
except ImportError as error:
    raise SystemExit(f"{error.name} is missing; install what benchmarks need: pip install -e '.[eval]'") from None
import numpy as np
import soxr
from numpy.typing import NDArray

from counterpoint.music import PITCH_CLASSES, Chord, ChordSpan, Key, Score

RATE = 22050
HOP = 256
"""Samples between two values of the onset strength: 86 a second, so that a beat at 120 bpm is 43 of them long."""
CHROMA_HOP = 1024
TUNE_LOWEST, TUNE_BINS = 24, 84
"""The constant-Q transform: from C1, seven octaves."""

Array = NDArray[np.float64]

PROFILES: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "krumhansl": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
    ),
    "temperley": (
        (0.748, 0.060, 0.488, 0.082, 0.670, 0.460, 0.096, 0.715, 0.104, 0.366, 0.057, 0.400),
        (0.712, 0.084, 0.474, 0.618, 0.049, 0.460, 0.105, 0.747, 0.404, 0.067, 0.133, 0.330),
    ),
    "albrecht": (
        (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
        (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
    ),
}
"""How much each degree weighs in major and in minor: Krumhansl and Kessler 1982, Temperley 2007 (Kostka-Payne corpus),
Albrecht and Shanahan 2013."""


@dataclass(frozen=True)
class Sound:
    """Mono audio at 22 050 Hz and what librosa hears in it."""

    audio: NDArray[np.float32]

    @cached_property
    def seconds(self) -> float:
        return len(self.audio) / RATE

    @cached_property
    def _parts(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return librosa.effects.hpss(self.audio)

    @property
    def harmonic(self) -> NDArray[np.float32]:
        """The sustained part (median filtering of the spectrogram)."""
        return self._parts[0]

    @property
    def percussive(self) -> NDArray[np.float32]:
        """The struck part."""
        return self._parts[1]

    @cached_property
    def _mel(self) -> Array:
        return librosa.power_to_db(librosa.feature.melspectrogram(y=self.audio, sr=RATE, hop_length=HOP))

    @cached_property
    def onset_strength(self) -> Array:
        """Spectral flux of the mel spectrogram, one value every HOP samples."""
        return librosa.onset.onset_strength(S=self._mel, sr=RATE, lag=2, max_size=3)

    @cached_property
    def onset_bands(self) -> Array:
        """The same in four bands, `4 t`, so that kick and hi-hat do not drown each other."""
        edges = [0, 16, 48, 90, 128]
        return librosa.onset.onset_strength_multi(S=self._mel, sr=RATE, lag=2, max_size=3, channels=edges)

    @cached_property
    def cqt(self) -> Array:
        """Constant-Q magnitudes of the whole sound, 36 bins an octave, one column every CHROMA_HOP samples."""
        return self._cqt(self.audio)

    @cached_property
    def harmonic_cqt(self) -> Array:
        return self._cqt(self.harmonic)

    def _cqt(self, audio: NDArray[np.float32]) -> Array:
        lowest = librosa.midi_to_hz(TUNE_LOWEST)
        return np.abs(
            librosa.cqt(
                audio, sr=RATE, hop_length=CHROMA_HOP, fmin=lowest, n_bins=3 * TUNE_BINS, bins_per_octave=36, tuning=0.0
            )
        )

    @cached_property
    def semitones(self) -> Array:
        """Energy of each semitone from C1 over time, `84 t`: the strongest of its three bins.

        Bins k*3-1, k*3, k*3+1 belong to semitone k.
        """
        return _semitones(self.cqt)

    @cached_property
    def harmonic_semitones(self) -> Array:
        return _semitones(self.harmonic_cqt)


def _semitones(cqt: Array) -> Array:
    shifted = np.concatenate([cqt[:1], cqt[:-1]])  # so that a semitone's three bins follow each other
    return shifted.reshape(TUNE_BINS, 3, -1).max(axis=1)


def listen(audio: NDArray[np.float32], rate: int) -> Sound:
    """A sound from samples `c n` or `n` at any rate."""
    mono = np.asarray(audio, dtype=np.float32)
    mono = mono.mean(axis=0) if mono.ndim == 2 else mono
    return Sound(np.ascontiguousarray(soxr.resample(mono, rate, RATE), dtype=np.float32))


# Tempo ----------------------------------------------------------------------------------------------------------------


TEMPI: Array = np.exp(np.arange(np.log(45.0), np.log(220.0), 0.005))
_PERIODS: Array = 60.0 / TEMPI * RATE / HOP


def tempo(sound: Sound) -> list[float]:
    """Tempi in beats a minute, the likeliest first.

    A tempo is as good as the onset strength's autocorrelation at whole multiples of its beat (multiples tell a beat from
    3/2 of it), times librosa's own prior: log-normal round 120 bpm, an octave wide.
    """
    salience = _comb(sound.onset_bands) * np.exp(-0.5 * np.log2(TEMPI / 120.0) ** 2)
    peaks = np.flatnonzero((salience[1:-1] >= salience[:-2]) & (salience[1:-1] > salience[2:])) + 1
    best = peaks[np.argsort(-salience[peaks])][:6]
    return [float(TEMPI[i]) for i in best] or [120.0]


def _comb(bands: Array, multiples: int = 12) -> Array:
    """Mean autocorrelation over the multiples of each tempo's beat that the sound is long enough for."""
    length = bands.shape[1]
    centred = bands - bands.mean(1, keepdims=True)
    lags = librosa.autocorrelate(centred, axis=1)
    lags = (lags / np.maximum(lags[:, :1], 1e-9)).mean(0)
    lags = lags * length / np.maximum(length - np.arange(length), length / 4)
    lags = np.convolve(lags, np.hanning(9) / np.hanning(9).sum(), mode="same")
    places = _PERIODS[:, None] * np.arange(1, multiples + 1)
    inside = places < 0.75 * length
    values = np.interp(places, np.arange(length), lags) * inside
    return np.maximum(values.sum(1) / np.maximum(1, inside.sum(1)), 1e-6)


def tempo_matches(estimate: float, truth: float, tolerance: float = 0.05, octave: bool = True, triple: bool = False) -> bool:
    """Whether an estimate is the tempo, or with `octave` half or twice it, or with `triple` a third or three times it.

    With both this is "accuracy 2" of Gouyon et al. 2006; pass `triple` for 3/4 and 6/8 only, whose bars hold such beats.
    """
    ratios = [1.0] + [0.5, 2.0] * octave + [1 / 3, 3.0] * triple
    return any(abs(estimate / (truth * ratio) - 1) <= tolerance for ratio in ratios)


# Key and chords -------------------------------------------------------------------------------------------------------


def key(sound: Sound, profile: str = "albrecht") -> Key:
    """The key whose profile correlates best with the harmonic part's chroma."""
    chroma = np.sqrt(sound.harmonic_semitones[:72]).sum(1).reshape(6, 12).sum(0)
    chroma = chroma - chroma.mean()
    scores = {}
    for mode, weights in zip(("major", "minor"), PROFILES[profile], strict=True):
        centred = _unit(np.array(weights, dtype=np.float64) - sum(weights) / 12)
        for tonic in range(12):
            scores[tonic, mode] = float(np.roll(centred, tonic) @ _unit(chroma))
    tonic, mode = max(scores, key=lambda name: scores[name])
    return Key(tonic, mode)


def key_score(estimate: Key, truth: Key) -> float:
    """mir_eval's weighted score: 1 right, .5 a fifth up, .3 the relative, .2 the parallel key, else 0."""
    return float(mir_eval.key.weighted_score(truth.name, estimate.name))


_TEMPLATES = tuple((root, quality) for quality in ("maj", "min", "maj7", "min7", "7", "dim") for root in range(12))


def chords(sound: Sound, stay: float = 0.98) -> tuple[Array, list[str]]:
    """Chords heard: `n 2` intervals in seconds and Harte labels, by templates on chroma and bass, smoothed by Viterbi.

    `stay` is the probability that a chord goes on from one frame (46 ms) to the next.
    """
    states = _chord_likelihood(sound)
    probability = np.exp(states - states.max(0))
    probability /= probability.sum(0)
    transition = librosa.sequence.transition_loop(len(_TEMPLATES), stay)
    path = librosa.sequence.viterbi_discriminative(probability, transition)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1, [len(path)]])
    times = np.minimum(edges * CHROMA_HOP / RATE, sound.seconds)
    times[-1] = sound.seconds
    labels = [f"{PITCH_CLASSES[_TEMPLATES[path[i]][0]]}:{_TEMPLATES[path[i]][1]}" for i in edges[:-1]]
    return np.stack([times[:-1], times[1:]], axis=1), labels


def _chord_likelihood(sound: Sound, sharpness: float = 12.0) -> Array:
    treble = _unit(np.sqrt(sound.harmonic_semitones[24:72]).reshape(4, 12, -1).sum(0))
    bass = _unit(sound.harmonic_semitones[:24].reshape(2, 12, -1).sum(0))
    rows = []
    for root, quality in _TEMPLATES:
        tones = np.zeros(12)
        tones[list(Chord(root, quality).pitch_classes)] = (1.0, 1.0, 1.0, 0.6)[: len(Chord(root, quality).pitch_classes)]
        low = np.zeros(12)
        low[root], low[(root + 7) % 12] = 1.0, 0.3
        rows.append(_unit(tones) @ treble + 0.25 * _unit(low) @ bass)
    return sharpness * np.stack(rows)


def _unit(x: Array) -> Array:
    return x / np.maximum(np.linalg.norm(x, axis=0, keepdims=True), 1e-9)


def chord_overlap(score: Score, intervals: Array, labels: list[str]) -> dict[str, float]:
    """`overlap` with the score's chords."""
    return overlap(score.chords, intervals, labels)


def overlap(chords: Sequence[ChordSpan], intervals: Array, labels: list[str]) -> dict[str, float]:
    """mir_eval's overlap with planned chords, weighted by duration: "root" and "majmin" (sus chords do not count).

    They may all be chords that mir_eval does not compare; the figure is then NaN.
    """
    spans = [s for s in chords if s.end > s.start]
    truth = np.array([[s.start, s.end] for s in spans])
    names = [_mir_eval_label(s.chord) for s in spans]
    heard = mir_eval.util.adjust_intervals(intervals, labels, truth.min(), truth.max(), "N", "N")
    merged, reference, estimate = mir_eval.util.merge_labeled_intervals(truth, names, *heard)
    durations = mir_eval.util.intervals_to_durations(merged)

    def share(comparisons: Array) -> float:
        counted = durations[comparisons >= 0].sum()
        return float((comparisons * durations)[comparisons >= 0].sum() / counted) if counted > 0 else float("nan")

    return {
        "root": share(mir_eval.chord.root(reference, estimate)),
        "majmin": share(mir_eval.chord.majmin(reference, estimate)),
    }


_MIR_EVAL_QUALITIES = {"7sus4": "sus4(b7)", "5": "(1,5)"}


def _mir_eval_label(chord: Chord | None) -> str:
    if chord is None:
        return "N"
    return f"{PITCH_CLASSES[chord.root]}:{_MIR_EVAL_QUALITIES.get(chord.quality, chord.quality)}"


def chroma_cosine(score: Score, sound: Sound) -> float:
    """Cosine between the planned chord tones and the chroma heard, both less their mean over the twelve, over all frames."""
    heard = np.sqrt(sound.harmonic_semitones[12:72]).reshape(5, 12, -1).sum(0)
    times = (np.arange(heard.shape[1]) + 0.5) * CHROMA_HOP / RATE
    planned = np.zeros_like(heard)
    for span in score.chords:
        if span.chord is not None:
            frames = (times >= span.start) & (times < span.end)
            for pitch_class in span.chord.pitch_classes:
                planned[pitch_class, frames] = 1.0
    heard, planned = heard - heard.mean(0), planned - planned.mean(0)
    size = np.linalg.norm(heard, axis=0) * np.linalg.norm(planned, axis=0)
    told = size > 0
    return float(((heard * planned).sum(0)[told] / size[told]).mean()) if told.any() else float("nan")


# Onsets, drums, melody ------------------------------------------------------------------------------------------------


def onsets(sound: Sound) -> Array:
    """Times in seconds at which librosa hears something begin."""
    return _peaks(sound.onset_strength)


def drum_onsets(sound: Sound) -> Array:
    """The same for the struck part alone."""
    return _peaks(librosa.onset.onset_strength(y=sound.percussive, sr=RATE, hop_length=HOP, lag=2, max_size=3))


def _peaks(strength: Array) -> Array:
    """Peaks of the square root, so that a loud kick does not hide the notes beside it."""
    envelope = np.sqrt(np.maximum(strength, 0))
    return librosa.onset.onset_detect(onset_envelope=envelope, sr=RATE, hop_length=HOP, units="time", delta=0.08, wait=4)


def planned_onsets(score: Score, role: str | None = None, merge: float = 0.03) -> Array:
    """Times at which the score begins a note, of one role or of all; notes within `merge` seconds are one onset."""
    tracks = [t for t in score.tracks if role in (None, t.role)]
    times = sorted(n.start for t in tracks for n in t.notes if 0 <= n.start < score.seconds)
    merged: list[float] = []
    for time in times:
        if not merged or time - merged[-1] > merge:
            merged.append(time)
    return np.array(merged)


def onset_f1(score: Score, sound: Sound, window: float = 0.05, role: str | None = None) -> float:
    """mir_eval's F-measure of the onsets heard against those planned; NaN where nothing is planned."""
    return _f1(planned_onsets(score, role), onsets(sound), window)


def drum_f1(score: Score, sound: Sound, window: float = 0.05) -> float:
    """The same for the struck part against the drum track; NaN where there are no drums."""
    return _f1(planned_onsets(score, "drums"), drum_onsets(sound), window)


def _f1(planned: Array, heard: Array, window: float) -> float:
    if not len(planned):
        return float("nan")
    return float(mir_eval.onset.f_measure(planned, heard, window=window)[0]) if len(heard) else 0.0


def melody_note_accuracy(score: Score, sound: Sound, shortest: float = 0.08) -> float:
    """Share of melody notes whose pitch has the most energy within six semitones of it, in the middle of the note."""
    track = score.track("melody")
    right: list[bool] = []
    for note in track.notes if track else ():
        row = note.pitch - TUNE_LOWEST
        if note.end - note.start < shortest or not 6 <= row < TUNE_BINS - 6:
            continue
        middle = slice(*(round((note.start + part * (note.end - note.start)) * RATE / CHROMA_HOP) for part in (0.25, 0.75)))
        around = sound.semitones[row - 6 : row + 7, middle.start : max(middle.stop, middle.start + 1)]
        right.append(bool(around.size) and int(around.mean(1).argmax()) == 6)
    return float(np.mean(right)) if right else float("nan")


# All together ---------------------------------------------------------------------------------------------------------


def judge(score: Score, sound: Sound) -> dict[str, float]:
    """Every figure of a sound against a score; NaN where a figure does not apply (no drums, no melody, ...)."""
    beat = tempo(sound)[0]
    agreement = chord_overlap(score, *chords(sound))
    return {
        "tempo": float(tempo_matches(beat, score.bpm, octave=False)),
        "octave": float(tempo_matches(beat, score.bpm)),
        "accuracy2": float(tempo_matches(beat, score.bpm, triple=score.metre.name != "4/4")),
        "key": key_score(key(sound), score.key),
        "root": agreement["root"],
        "majmin": agreement["majmin"],
        "chroma": chroma_cosine(score, sound),
        "onsets": onset_f1(score, sound),
        "drums": drum_f1(score, sound),
        "melody": melody_note_accuracy(score, sound),
    }
