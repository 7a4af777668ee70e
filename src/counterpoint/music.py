"""Music as values: notes, chords, keys, tracks, and the score that ties them together.

Times are seconds, pitches MIDI numbers (60 is middle C), velocities 1 to 127, programs General-MIDI numbers from 0.
Chord labels are read as musicians write them ("Am7", "F#/A#") or in Harte's syntax ("A:min7"), and printed as either.
A score is complete: whoever holds one can render it, paint it onto frames, print its chart, or judge audio against it.
"""

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace

PITCH_CLASSES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_FIFTHS = ("Gb", "Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#", "C#", "G#", "D#", "A#")
"""Note names a fifth apart; C, at place 0 of this line, is the seventh."""
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}

QUALITIES: dict[str, tuple[int, ...]] = {
    "maj": (0, 4, 7), "min": (0, 3, 7), "dim": (0, 3, 6), "aug": (0, 4, 8), "sus2": (0, 2, 7), "sus4": (0, 5, 7),
    "maj7": (0, 4, 7, 11), "min7": (0, 3, 7, 10), "7": (0, 4, 7, 10), "minmaj7": (0, 3, 7, 11), "dim7": (0, 3, 6, 9),
    "hdim7": (0, 3, 6, 10), "maj6": (0, 4, 7, 9), "min6": (0, 3, 7, 9), "9": (0, 4, 7, 10, 2), "maj9": (0, 4, 7, 11, 2),
    "min9": (0, 3, 7, 10, 2), "7sus4": (0, 5, 7, 10), "5": (0, 7),
}  # fmt: skip
"""Harte's chord qualities and their semitones above the root."""

_POPULAR = {
    "maj": "", "min": "m", "hdim7": "m7b5", "minmaj7": "mM7", "maj6": "6", "min6": "m6", "min7": "m7", "min9": "m9",
}  # fmt: skip
_SPELLINGS = {
    "maj": "M Maj ma Ma major", "min": "- mi Min minor", "dim": "o ° mb5 m(b5) minb5 min(b5)", "aug": "+",
    "sus4": "sus", "7sus4": "7sus 7(sus4) dom7sus4 sus4(b7)", "5": "no3 (no3)",
    "maj7": "M7 ma7 Ma7 Maj7 major7 j7 Δ Δ7 (maj7)", "min7": "-7 mi7 Min7 minor7", "7": "dom7 dom",
    "minmaj7": "mMaj7 mmaj7 m(maj7) m(M7) min(maj7) minM7 -maj7 -M7 mΔ mΔ7 -Δ7", "dim7": "o7 °7",
    "hdim7": "ø ø7 hdim min7b5 m7(b5) min7(b5) m7-5 -7b5 mi7b5", "maj6": "M6 ma6 Maj6 add6", "min6": "-6 mi6 Min6",
    "9": "dom9", "maj9": "M9 ma9 Maj9 Δ9", "min9": "-9 mi9 Min9",
}  # fmt: skip
"""Other ways in which musicians write the qualities, where they mean the same tones."""
_QUALITY_OF = (
    {quality: quality for quality in QUALITIES}
    | {spelled: quality for quality, spelled in _POPULAR.items()}
    | {spelled: quality for quality, row in _SPELLINGS.items() for spelled in row.split()}
)
_PLAIN_SIGNS = str.maketrans({"♯": "#", "♭": "b", "𝄪": "##", "𝄫": "bb", "−": "-", "–": "-", "△": "Δ", "∆": "Δ", "º": "°"})
_CLOSE = 0.55
"""How alike (difflib) a label must be to a known one that is named in its stead."""
_DEGREES = ("1", "b2", "2", "b3", "3", "4", "b5", "5", "b6", "6", "b7", "7")

NO_CHORD = ("N.C.", "N", "NC", "N.C", "n.c.")
"""What stands where no chord sounds: as musicians write it, in Harte's syntax, and in a hurry."""

ROLES = ("melody", "bass", "comp", "pad", "drums")
"""What a track does: the tune, the bass line, rhythmic chords or figures, sustained chords, the kit."""

SLOWEST, FASTEST = 30.0, 300.0
"""Felt beats per minute that a brief may ask for."""

UNKNOWN_STYLE = "unknown"
"""The style of a score that says none, such as one from a foreign MIDI file."""

DRUM_CLASSES: dict[str, tuple[int, ...]] = {
    "kick": (35, 36),
    "snare": (37, 38, 39, 40),
    "hat": (42, 44, 46),
    "cymbal": (49, 51, 52, 53, 55, 57, 59),
    "tom": (41, 43, 45, 47, 48, 50),
    "percussion": (54, 56, 58, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82),
}
"""General-MIDI percussion keys by what they do in a groove."""


@dataclass(frozen=True)
class Note:
    """One sounding note, or one hit where the track is a drum kit (pitch is then the General-MIDI percussion key)."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Chord:
    """A chord symbol: root and bass as pitch classes 0 to 11, quality as a key of QUALITIES."""

    root: int
    quality: str = "maj"
    bass: int | None = None

    @staticmethod
    def parse(label: str) -> "Chord | None":
        """Read "Am7", "G/B" or "A:min7/b3"; "N" and "N.C." give None (no chord).  ♯ and ♭ are # and b.

        Raises ValueError that names the nearest chords that are known.
        """
        text = label.strip().translate(_PLAIN_SIGNS)
        if text in NO_CHORD:
            return None
        match = re.fullmatch(r"([A-G])([#b]*)(:?)([^/]*)(?:/(.+))?", text)
        if match is None:
            near = ", ".join(_nearest(text)) or "for example C, Am7, F#m7b5, G/B or A:min7"
            raise ValueError(f"{label!r} is not a chord; write {near}.")
        letter, accidentals, colon, spelled, bass = match.groups()
        root = _pitch_class(letter, accidentals)
        if spelled not in _QUALITY_OF:
            near = _nearest(text)
            mend = f"are {', '.join(near)}; write one of these" if len(near) > 1 else f"is {near[0]}; write that"
            raise ValueError(f"{label!r} is not known; the nearest {mend}.")
        return Chord(root, _QUALITY_OF[spelled], None if bass is None else _bass(bass, root, label, bool(colon)))

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The chord's tones as pitch classes, root first; the bass is not added."""
        return tuple((self.root + step) % 12 for step in QUALITIES[self.quality])

    @property
    def name(self) -> str:
        """As musicians write it: "Am7", "G/B"."""
        bass = "" if self.bass is None else f"/{PITCH_CLASSES[self.bass]}"
        return PITCH_CLASSES[self.root] + _POPULAR.get(self.quality, self.quality) + bass

    @property
    def harte(self) -> str:
        """In Harte's syntax, as mir_eval reads it: "A:min7", "G:maj/3"."""
        bass = "" if self.bass is None else f"/{_DEGREES[(self.bass - self.root) % 12]}"
        return f"{PITCH_CLASSES[self.root]}:{self.quality}{bass}"

    def spelled(self, key: "Key") -> str:
        """As `name`, with the sharps or flats of a key: "Db" in Ab major, "C#" in A major; the bass goes by the root."""
        root = _near(self.root, key.centre)
        bass = "" if self.bass is None else f"/{_note_name(_near(self.bass, root))}"
        return _note_name(root) + _POPULAR.get(self.quality, self.quality) + bass

    def transpose(self, semitones: int) -> "Chord":
        bass = None if self.bass is None else (self.bass + semitones) % 12
        return Chord((self.root + semitones) % 12, self.quality, bass)


def chord_name(chord: Chord | None, key: "Key | None" = None) -> str:
    """A chord as musicians write it, in a key where one is given; "N.C." where there is none."""
    if chord is None:
        return NO_CHORD[0]
    return chord.name if key is None else chord.spelled(key)


def harte_label(chord: Chord | None) -> str:
    """A chord in Harte's syntax, "N" where there is none."""
    return NO_CHORD[1] if chord is None else chord.harte


def _pitch_class(letter: str, accidentals: str) -> int:
    return (_LETTERS[letter] + accidentals.count("#") - accidentals.count("b")) % 12


def _near(pitch_class: int, centre: int) -> int:
    """The place of a note on the line of fifths, from five below to six above `centre` as far as names reach."""
    lowest = max(-6, min(-1, centre - 5))
    return lowest + (7 * pitch_class - lowest) % 12


def _note_name(place: int) -> str:
    return _FIFTHS[place + 6]


def _bass(text: str, root: int, label: str, harte: bool) -> int:
    """The bass as a pitch class: a note, or a degree of the root's major scale; beyond the 7th in Harte's syntax only."""
    note = re.fullmatch(r"([A-G])([#b]*)", text)
    if note:
        return _pitch_class(*note.groups())
    degree = re.fullmatch(r"([#b]*)([1-9]|1[0-3])", text)
    if degree and (harte or int(degree[2]) <= 7):  # C6/9 is no inversion
        above = (0, 2, 4, 5, 7, 9, 11)[(int(degree[2]) - 1) % 7]
        return (root + above + degree[1].count("#") - degree[1].count("b")) % 12
    raise ValueError(f"{label!r}: the bass {text!r} is neither a note nor a degree; write for example C/E, or leave it out.")


def _nearest(text: str) -> list[str]:
    """Up to three labels of known chords on the same root that look most like `text`; none where it begins with no root."""
    root = re.match(r"[A-Ga-g][#b]*", text)
    if root is None:
        return []
    name = root[0][0].upper() + root[0][1:]
    known = [name + _POPULAR.get(quality, quality) for quality in QUALITIES]
    wanted = name + text[root.end() :].removeprefix(":").partition("/")[0]
    return difflib.get_close_matches(wanted, known, 3, _CLOSE) or difflib.get_close_matches(wanted, known, 2, 0.0)


@dataclass(frozen=True)
class Key:
    """A tonic (pitch class) and a mode, "major" or "minor"."""

    tonic: int
    mode: str = "major"

    @staticmethod
    def parse(text: str) -> "Key":
        """Read "A minor", "Bb", "F# major" or "Em".  Raises ValueError."""
        match = re.fullmatch(r"([A-Ga-g])([#b]*)\s*(major|minor|maj|min|m)?", text.strip().translate(_PLAIN_SIGNS))
        if match is None:
            raise ValueError(f"{text!r} is not a key; write for example C major, A minor or F#m.")
        letter, accidentals, mode = match.groups()
        return Key(_pitch_class(letter.upper(), accidentals), "minor" if mode in ("minor", "min", "m") else "major")

    @property
    def name(self) -> str:
        return f"{PITCH_CLASSES[self.tonic]} {self.mode}"

    @property
    def centre(self) -> int:
        """The place on the line of fifths around which notes are spelled: a major key's is above its tonic, for its A7s."""
        lowest = -5 if self.mode == "major" else -3
        return lowest + (7 * self.tonic - lowest) % 12 + (self.mode == "major")

    @property
    def spelled(self) -> str:
        """As `name`, in the spelling with fewer accidentals: "Db major", "G# minor"."""
        return f"{_note_name(_near(self.tonic, self.centre))} {self.mode}"

    @staticmethod
    def numbered(number: int) -> "Key":
        """The key of a `number`."""
        return Key(number % 12, "minor" if number >= 12 else "major")

    @property
    def number(self) -> int:
        """0 to 11 for major keys from C on, 12 to 23 for minor ones."""
        return self.tonic + 12 * (self.mode == "minor")

    def transpose(self, semitones: int) -> "Key":
        return replace(self, tonic=(self.tonic + semitones) % 12)

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the major or natural minor scale, tonic first."""
        steps = (0, 2, 4, 5, 7, 9, 11) if self.mode == "major" else (0, 2, 3, 5, 7, 8, 10)
        return tuple((self.tonic + step) % 12 for step in steps)


@dataclass(frozen=True)
class Track:
    """One player: a role, an instrument (General-MIDI program; ignored for drums), notes, and a place in the mix."""

    role: str
    program: int
    notes: tuple[Note, ...]
    pan: float = 0.0
    """-1 is left, 1 is right."""
    gain: float = 1.0
    """Linear level in the mix, 1 being the loudest player's."""


@dataclass(frozen=True)
class ChordSpan:
    """A chord, or none, for as long as it lasts."""

    start: float
    end: float
    chord: Chord | None


@dataclass(frozen=True)
class Section:
    """A part of the form, such as "verse"."""

    start: float
    end: float
    name: str


@dataclass(frozen=True)
class Metre:
    """A time signature.  `bpm` everywhere counts felt beats: a 6/8 bar has two of them, a 4/4 bar four."""

    numerator: int = 4
    denominator: int = 4

    @staticmethod
    def parse(text: str) -> "Metre":
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None or (int(match[1]), int(match[2])) not in {(4, 4), (3, 4), (6, 8)}:
            raise ValueError(f"The metre {text!r} is not known; known are 4/4, 3/4 and 6/8.")
        return Metre(int(match[1]), int(match[2]))

    @property
    def beats(self) -> int:
        """Felt beats in a bar."""
        return 2 if self.denominator == 8 else self.numerator

    @property
    def name(self) -> str:
        return f"{self.numerator}/{self.denominator}"


@dataclass(frozen=True)
class Score:
    """A whole piece: what sounds when, and the grid, harmony and form that it follows."""

    seconds: float
    style: str
    bpm: float
    metre: Metre
    key: Key
    beats: tuple[float, ...]
    downbeats: tuple[float, ...]
    chords: tuple[ChordSpan, ...]
    tracks: tuple[Track, ...]
    sections: tuple[Section, ...] = ()
    mood: str | None = None

    def track(self, role: str) -> Track | None:
        """The first player of a role, or None."""
        return next((track for track in self.tracks if track.role == role), None)

    def transpose(self, semitones: int) -> "Score":
        """The same music `semitones` higher; drums stay as they are."""

        def moved(track: Track) -> Track:
            if track.role == "drums":
                return track
            return replace(track, notes=tuple(replace(n, pitch=n.pitch + semitones) for n in track.notes))

        return replace(
            self,
            key=self.key.transpose(semitones),
            chords=tuple(replace(s, chord=s.chord and s.chord.transpose(semitones)) for s in self.chords),
            tracks=tuple(moved(track) for track in self.tracks),
        )


@dataclass(frozen=True)
class Brief:
    """What a composer is told; what is None it decides by seed.

    `instruments` maps roles to General-MIDI programs; a role in `without` is left out.
    `chords` is a progression, one chord a bar unless `chord_beats` says otherwise.
    """

    style: str | None = None
    mood: str | None = None
    key: Key | None = None
    bpm: float | None = None
    metre: Metre | None = None
    instruments: dict[str, int] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    energy: float | None = None
    """0 is sparse and quiet, 1 dense and loud."""
    chords: tuple[Chord | None, ...] = ()
    chord_beats: tuple[float, ...] = ()
    """Felt beats that each of `chords` lasts; empty means one bar each."""


@dataclass(frozen=True)
class Controls:
    """What a musician holds on to, whatever the words say; what is None is left open.

    `chords` cover the piece from 0 on.  `melody` is one line of notes, `drums` are hits of General-MIDI percussion keys; none
    of them (an empty tuple) means that there is no tune, or that no drum is struck.
    """

    chords: tuple[ChordSpan, ...] | None = None
    melody: tuple[Note, ...] | None = None
    drums: tuple[Note, ...] | None = None
    tempo: float | None = None
    key: Key | None = None
    seconds: float | None = None

    @staticmethod
    def of_score(score: Score) -> "Controls":
        """All that a score tells."""
        notes = {role: tuple(n for track in score.tracks if track.role == role for n in track.notes) for role in ROLES}
        return Controls(score.chords, notes["melody"], notes["drums"], score.bpm, score.key, score.seconds)

    def only(self, names: Collection[str]) -> "Controls":
        """Those of the given names; the others are left open."""
        return replace(self, **{part.name: None for part in fields(self) if part.name not in names})


NO_CONTROLS = Controls()
"""Everything is left open."""
