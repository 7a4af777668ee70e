"""What a style and a mood are, and the table of moods."""

from dataclasses import dataclass, field

COMPOUND = 0.8
"""Tempo of a dotted quarter in 6/8 beside that of a quarter elsewhere: it is felt more slowly."""


@dataclass(frozen=True)
class Mood:
    """How a mood bends the draws: odds of a major key, place in the style's tempo range, and added energy."""

    major: float
    tempo: float
    energy: float


MOODS: dict[str, Mood] = {
    "happy": Mood(0.95, 0.65, 0.1),
    "sad": Mood(0.1, 0.2, -0.2),
    "calm": Mood(0.7, 0.15, -0.25),
    "relaxed": Mood(0.7, 0.3, -0.15),
    "energetic": Mood(0.55, 0.85, 0.25),
    "uplifting": Mood(0.9, 0.6, 0.1),
    "dark": Mood(0.03, 0.4, 0.0),
    "dreamy": Mood(0.6, 0.3, -0.15),
    "romantic": Mood(0.7, 0.3, -0.1),
    "melancholic": Mood(0.12, 0.3, -0.15),
    "epic": Mood(0.35, 0.6, 0.25),
    "tense": Mood(0.05, 0.7, 0.1),
    "aggressive": Mood(0.05, 0.8, 0.3),
    "mysterious": Mood(0.1, 0.3, -0.1),
    "nostalgic": Mood(0.6, 0.35, -0.1),
    "playful": Mood(0.9, 0.7, 0.05),
    "groovy": Mood(0.5, 0.5, 0.1),
    "warm": Mood(0.8, 0.4, -0.05),
}


@dataclass(frozen=True)
class Style:
    """One style's habits.  Tempi are in quarter notes a minute; repeated entries of a tuple are more likely."""

    name: str
    tempo: tuple[int, int]
    major: tuple[str, ...]
    minor: tuple[str, ...]
    grooves: tuple[str, ...]
    basses: tuple[str, ...]
    comps: tuple[str, ...]
    instruments: dict[str, tuple[int, ...]]
    moods: tuple[str, ...]
    rhythm: str
    """The melody's rhythms."""
    odds: dict[str, float] = field(default_factory=dict)
    """How likely a role plays at all; 1 where not stated."""
    metres: tuple[str, ...] = ("4/4",)
    major_odds: float = 0.6
    sevenths: float = 0.0
    """How likely plain triads become diatonic seventh chords."""
    swing: float = 0.5
    """Where the off-beat falls within the swung unit: 0.5 is straight, 0.67 a triplet."""
    swing_unit: float = 1.0
    """The unit that swings, in beats: 1 for swung eighths, 0.5 for swung sixteenths."""
    energy: tuple[float, float] = (0.4, 0.8)
    scale: str = "diatonic"
    """The melody's scale: diatonic, pentatonic or blues."""
    looseness: float = 3.0
    """Standard deviation of human timing in milliseconds."""
    voicing: str = "close"
    """How the comp spells chords: close, or barre (a guitar's root, fifth, octave, tenth)."""
