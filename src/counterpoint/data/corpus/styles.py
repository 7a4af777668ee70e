"""What is typical of each style and mood: the tables that the composer draws from when a brief leaves something open.

Progressions are Roman numerals, one bar per word; chords joined by a dot share a bar.  In minor keys III, VI and VII are
the natural minor's.  Instruments are General-MIDI programs by role; names of grooves, bass lines and comping figures are
keys of the tables in `groove`, `bass` and `comping`, rhythms of the one in `melody`.
"""

from dataclasses import dataclass, field


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


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style(
            name="pop",
            tempo=(92, 128),
            major=("I V vi IV", "I vi IV V", "I IV vi V", "I iii IV V", "I V/7 vi IV", "I IV I V", "I vi ii V", "I I IV iv"),
            minor=("i VI III V", "i iv VI V7", "i VII VI V", "i VI iv V"),
            grooves=("pop", "pop", "four-floor pop", "half-time"),
            basses=("eighths", "root-fifth", "syncopated"),
            comps=("strum", "piano pulse", "arpeggio", "offbeat push"),
            instruments={
                "melody": (0, 73, 53, 80, 27, 65, 11),
                "bass": (33, 33, 34, 38),
                "comp": (0, 25, 25, 4, 27),
                "pad": (48, 89, 50, 88),
            },
            moods=("happy", "uplifting", "romantic", "nostalgic", "playful", "sad"),
            rhythm="syncopated",
            odds={"pad": 0.6},
            major_odds=0.75,
            sevenths=0.15,
        ),
        Style(
            name="rock",
            tempo=(104, 148),
            major=("I IV V IV", "I V IV I", "I bVII IV I", "I V vi IV", "I IV I V", "I IV bVII I"),
            minor=("i VI iv V", "i VII VI V", "i iv i V", "i VI VII i"),
            grooves=("rock", "rock", "driving rock", "half-time"),
            basses=("eighths", "eighths", "root-fifth"),
            comps=("power eighths", "rock strum", "rock strum"),
            instruments={"melody": (29, 30, 27, 18, 81), "bass": (34, 33), "comp": (29, 30, 27), "pad": (18, 16, 48)},
            moods=("energetic", "aggressive", "uplifting", "epic"),
            rhythm="plain",
            odds={"pad": 0.4},
            major_odds=0.6,
            energy=(0.55, 0.95),
            scale="pentatonic",
            voicing="barre",
        ),
        Style(
            name="funk",
            tempo=(94, 116),
            major=("I7 IV7", "I7 I7 IV7 V7", "I9 I7 IV9 I7", "Imaj7 ii7 Imaj7 V7sus4.V7", "I7 IV7 I7 V7"),
            minor=("i7 i7 iv7 V7", "i7 iv7", "i7 i9 iv7 i7", "i7 VI7 V7 i7"),
            grooves=("funk", "funk", "sixteenth funk"),
            basses=("funk", "slap octaves"),
            comps=("funk chank", "funk stabs", "clav"),
            instruments={
                "melody": (65, 66, 61, 56, 16, 62),
                "bass": (36, 33, 37),
                "comp": (27, 28, 7, 4, 16),
                "pad": (48, 16, 61),
            },
            moods=("groovy", "energetic", "playful", "happy"),
            rhythm="syncopated",
            odds={"pad": 0.35},
            major_odds=0.45,
            sevenths=0.8,
            swing=0.54,
            swing_unit=0.5,
            energy=(0.5, 0.9),
            scale="pentatonic",
        ),
        Style(
            name="swing",
            tempo=(116, 196),
            major=(
                "Imaj7 vi7 ii7 V7",
                "Imaj7.vi7 ii7.V7 Imaj7.vi7 ii7.V7",
                "I6 I7 IV6 V7",
                "ii7 V7 Imaj7 Imaj7",
                "I6 VI7 II7 V7",
            ),
            minor=("i6 iiø7.V7 i6 V7", "i7 iv7 iiø7.V7 i6", "i7 VI7 iiø7 V7", "iiø7 V7 i6 i6"),
            grooves=("swing", "swing", "swing brushes"),
            basses=("walking",),
            comps=("charleston", "freddie green", "swing stabs"),
            instruments={
                "melody": (66, 56, 65, 71, 11, 59, 26, 0),
                "bass": (32,),
                "comp": (0, 26, 0, 11),
                "pad": (61, 16),
            },
            moods=("playful", "happy", "groovy", "relaxed", "nostalgic"),
            rhythm="swing",
            odds={"pad": 0.1},
            major_odds=0.7,
            sevenths=1.0,
            swing=0.64,
        ),
        Style(
            name="bossa nova",
            tempo=(112, 144),
            major=(
                "Imaj7 Imaj7 ii7 V7",
                "Imaj7 vi7 ii7 V7",
                "Imaj9 II7 ii7 V7",
                "I6 biidim7 ii7 V7",
                "Imaj7 IVmaj7 iii7.vi7 ii7.V7",
            ),
            minor=("i7 i7 iiø7 V7", "i9 iv7 iiø7 V7", "i6 iv6 V7 i6", "i7 VImaj7 iiø7.V7 i6"),
            grooves=("bossa", "bossa", "bossa shaker"),
            basses=("bossa",),
            comps=("bossa guitar", "bossa guitar sparse"),
            instruments={"melody": (73, 65, 66, 24, 11, 56), "bass": (32, 35), "comp": (24, 24, 4, 0), "pad": (48, 89)},
            moods=("relaxed", "romantic", "calm", "warm", "nostalgic"),
            rhythm="syncopated",
            odds={"pad": 0.3},
            major_odds=0.65,
            sevenths=1.0,
            energy=(0.3, 0.6),
        ),
        Style(
            name="blues",
            tempo=(76, 128),
            major=("I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 I7", "I7 IV7 I7 V7"),
            minor=("i7 i7 i7 i7 iv7 iv7 i7 i7 V7 iv7 i7 V7", "i7 iv7 i7 i7 iv7 iv7 i7 i7 VI7 V7 i7 i7", "i7 iv7 i7 V7"),
            grooves=("shuffle", "shuffle", "slow blues"),
            basses=("boogie", "shuffle roots", "walking"),
            comps=("shuffle riff", "charleston", "shuffle chops"),
            instruments={"melody": (22, 26, 29, 27, 66, 0), "bass": (33, 32), "comp": (0, 27, 16, 26), "pad": (16, 18)},
            moods=("melancholic", "groovy", "sad", "relaxed"),
            rhythm="swing",
            odds={"pad": 0.3},
            major_odds=0.75,
            sevenths=1.0,
            swing=0.66,
            scale="blues",
        ),
        Style(
            name="reggae",
            tempo=(68, 92),
            major=("I IV I V", "I V vi IV", "I ii I V", "I I IV V", "I vi IV V"),
            minor=("i iv i V", "i VII VI V", "i i iv V7", "i iv VI V"),
            grooves=("one drop", "rockers", "steppers"),
            basses=("reggae", "reggae walk"),
            comps=("skank", "skank", "skank bubble"),
            instruments={"melody": (16, 22, 65, 57, 56, 80), "bass": (33, 38), "comp": (27, 16, 0, 28), "pad": (16, 18)},
            moods=("relaxed", "happy", "warm", "groovy"),
            rhythm="syncopated",
            odds={"pad": 0.3},
            major_odds=0.65,
            sevenths=0.2,
            swing=0.55,
            swing_unit=0.5,
        ),
        Style(
            name="house",
            tempo=(118, 128),
            major=("I V vi IV", "Imaj7 vi7 IVmaj7 V", "I I vi IV", "I IV V I"),
            minor=("i7 iv7 i7 V7", "i VI iv V", "i7 i7 VImaj7 v7", "i VI III V", "i i iv iv"),
            grooves=("house", "house", "deep house"),
            basses=("octave house", "offbeat house", "syncopated"),
            comps=("house stabs", "house piano", "gate"),
            instruments={
                "melody": (81, 80, 62, 0, 85, 11),
                "bass": (38, 39),
                "comp": (0, 4, 62, 90, 16),
                "pad": (89, 50, 95, 91),
            },
            moods=("energetic", "uplifting", "groovy", "happy"),
            rhythm="syncopated",
            odds={"pad": 0.7},
            major_odds=0.4,
            sevenths=0.4,
            energy=(0.55, 0.95),
            looseness=0.5,
        ),
        Style(
            name="techno",
            tempo=(124, 142),
            major=("I I IV IV", "I I I V", "I IV"),
            minor=("i i VI V", "i i iv i", "i i i V", "i VI iv i", "i i i i"),
            grooves=("techno", "techno", "rolling techno"),
            basses=("techno rumble", "offbeat house", "techno sixteenths"),
            comps=("techno stabs", "sequence", "gate"),
            instruments={"melody": (80, 81, 84, 87), "bass": (38, 39, 87), "comp": (81, 90, 62, 80), "pad": (95, 94, 89, 50)},
            moods=("dark", "energetic", "tense", "mysterious", "aggressive"),
            rhythm="riff",
            odds={"pad": 0.6},
            major_odds=0.1,
            energy=(0.6, 1.0),
            looseness=0.3,
        ),
        Style(
            name="ambient",
            tempo=(60, 88),
            major=("Imaj7 IVmaj7", "I IV I V", "Imaj9 vi7 IVmaj7 I", "I Isus2 IV I", "Imaj7 iii7 IVmaj7 V"),
            minor=("i VI", "i9 iv7 VI i", "i iv i V", "i VI iv i"),
            grooves=("soft pulse", "heartbeat"),
            basses=("pedal", "slow roots"),
            comps=("slow arpeggio", "bells", "soft pulse"),
            instruments={
                "melody": (88, 75, 11, 79, 53, 0, 98),
                "bass": (39, 35, 42),
                "comp": (46, 0, 4, 8, 10, 108, 24),
                "pad": (89, 91, 94, 88, 95, 92),
            },
            moods=("calm", "dreamy", "mysterious", "warm", "melancholic"),
            rhythm="sparse",
            odds={"drums": 0.35, "melody": 0.85},
            major_odds=0.6,
            sevenths=0.5,
            energy=(0.1, 0.45),
        ),
        Style(
            name="lo-fi",
            tempo=(70, 92),
            major=("Imaj7 vi7 ii7 V7", "Imaj7 iii7 ii7 Imaj7", "Imaj7 IVmaj7", "ii7 V7 Imaj7 I6", "I6 iii7 IVmaj7 iv6", "I IVmaj7 I V7"),
            minor=("i7 iv7 VImaj7 V7", "i9 iv9", "i7 VImaj7 iiø7 V7", "i9 iv7 i9 V7"),
            grooves=("lo-fi", "lo-fi", "lo-fi sparse"),
            basses=("lo-fi", "slow roots"),
            comps=("lo-fi chords", "lazy arpeggio", "piano pulse"),
            instruments={"melody": (11, 0, 26, 73, 4, 66), "bass": (33, 35, 32), "comp": (4, 4, 0, 26, 24), "pad": (89, 48)},
            moods=("relaxed", "nostalgic", "calm", "dreamy", "melancholic"),
            rhythm="sparse",
            odds={"pad": 0.3},
            major_odds=0.55,
            sevenths=1.0,
            swing=0.58,
            swing_unit=0.5,
            energy=(0.25, 0.55),
            scale="pentatonic",
            looseness=4.0,
        ),
        Style(
            name="hip-hop",
            tempo=(82, 102),
            major=("Imaj7 IVmaj7", "I vi IV V", "I7 IV7", "Imaj7 ii7"),
            minor=("i VI iv V", "i i iv V7", "i7 iv7", "i VI V i", "i i VI V"),
            grooves=("boom bap", "boom bap", "trap"),
            basses=("hip-hop", "sub"),
            comps=("hip-hop stabs", "piano pulse", "lazy arpeggio"),
            instruments={
                "melody": (11, 73, 0, 80, 61, 45, 107),
                "bass": (38, 39, 33),
                "comp": (0, 4, 48, 45),
                "pad": (48, 50, 52),
            },
            moods=("groovy", "dark", "energetic", "mysterious"),
            rhythm="syncopated",
            odds={"pad": 0.4},
            major_odds=0.2,
            sevenths=0.3,
            swing=0.56,
            swing_unit=0.5,
            energy=(0.45, 0.85),
            scale="pentatonic",
        ),
        Style(
            name="waltz",
            tempo=(96, 168),
            major=("I I V7 I", "I IV V7 I", "I IV I V7", "I vi ii V7", "I ii7 V7 I", "I V/7 vi III7 IV I V7 I"),
            minor=("i i V7 i", "i iv V7 i", "i i iv V7", "i iiø7 V7 i", "i VI iiø7 V7"),
            grooves=("waltz", "waltz light"),
            basses=("waltz",),
            comps=("oom-pah-pah", "waltz arpeggio"),
            instruments={
                "melody": (40, 21, 71, 73, 0, 10),
                "bass": (32, 42, 58),
                "comp": (0, 21, 45, 24, 48),
                "pad": (48, 49),
            },
            moods=("romantic", "playful", "nostalgic", "happy", "melancholic"),
            rhythm="plain",
            odds={"drums": 0.4, "pad": 0.35},
            metres=("3/4",),
            major_odds=0.7,
            energy=(0.3, 0.7),
        ),
        Style(
            name="classical piano",
            tempo=(76, 126),
            major=("I I V7 I", "I IV V7 I", "I IV I V7", "I vi ii6 V7", "I V7/7 I IV.V7", "I ii7.V7 I V7", "I vi IV V7"),
            minor=("i i V7 i", "i iv V7 i", "i iiø7 V7 i", "i VI iv V7", "i iv i iv.V7"),
            grooves=("none",),
            basses=("left hand", "slow roots"),
            comps=("alberti", "alberti", "piano arpeggio", "piano chords"),
            instruments={"melody": (0, 0, 0, 1), "bass": (0,), "comp": (0,), "pad": (48,)},
            moods=("calm", "romantic", "playful", "melancholic", "sad"),
            rhythm="flowing",
            odds={"drums": 0.0, "pad": 0.0},
            metres=("4/4", "4/4", "4/4", "4/4", "3/4", "3/4", "6/8"),
            major_odds=0.65,
            energy=(0.25, 0.7),
            looseness=3.5,
        ),
        Style(
            name="cinematic strings",
            tempo=(72, 112),
            major=("I vi IV V", "I iii IV iv", "I V vi IV", "I bVI bVII I", "I IV I V"),
            minor=("i VI iv V", "i VI III V", "i iv VI V", "i v VI V", "i VII VI V", "i i VI V"),
            grooves=("cinematic", "cinematic toms"),
            basses=("slow roots", "ostinato roots"),
            comps=("string ostinato", "string eighths", "pizzicato"),
            instruments={
                "melody": (40, 60, 42, 48, 68, 56),
                "bass": (42, 43, 48),
                "comp": (48, 45, 49, 46),
                "pad": (48, 49, 52, 61, 60),
            },
            moods=("epic", "dark", "tense", "romantic", "mysterious", "uplifting"),
            rhythm="sparse",
            odds={"drums": 0.6},
            metres=("4/4",) * 7 + ("6/8",),
            major_odds=0.3,
            energy=(0.4, 0.9),
        ),
        Style(
            name="folk",
            tempo=(88, 132),
            major=("I IV I V", "I V IV I", "I IV V I", "I V vi IV", "I iii IV V", "I I IV V"),
            minor=("i VII i V", "i iv V i", "i VI VII i", "i iv i V7"),
            grooves=("folk", "folk shaker"),
            basses=("root-fifth", "slow roots"),
            comps=("travis", "folk strum", "folk strum"),
            instruments={
                "melody": (110, 73, 22, 21, 105, 25, 40, 74),
                "bass": (32, 33),
                "comp": (25, 24, 105, 15),
                "pad": (21, 49),
            },
            moods=("warm", "nostalgic", "happy", "calm", "playful"),
            rhythm="flowing",
            odds={"drums": 0.55, "pad": 0.25},
            metres=("4/4", "4/4", "4/4", "4/4", "3/4", "3/4", "6/8"),
            major_odds=0.75,
            energy=(0.3, 0.65),
        ),
        Style(
            name="metal",
            tempo=(112, 168),
            major=("I bVII IV I", "I IV bVI bVII"),
            minor=("i VI VII i", "i i VI V", "i bII i V", "i iv VI V", "i VI iv V"),
            grooves=("metal", "double kick", "metal half-time"),
            basses=("gallop", "eighths", "metal sixteenths"),
            comps=("metal chug", "gallop", "power eighths"),
            instruments={"melody": (30, 29, 81, 30), "bass": (34, 33), "comp": (30, 30, 29), "pad": (48, 52, 19)},
            moods=("aggressive", "dark", "energetic", "epic", "tense"),
            rhythm="riff",
            odds={"pad": 0.3},
            major_odds=0.05,
            energy=(0.75, 1.0),
            voicing="barre",
        ),
        Style(
            name="latin",
            tempo=(92, 124),
            major=("I IV V IV", "I IV V7 I", "I I IV V7", "ii7 V7 I6 I6", "I vi ii7 V7"),
            minor=("i iv V7 i", "i i iv V7", "i VII VI V7", "i iv i V7"),
            grooves=("son", "cha-cha", "songo"),
            basses=("tumbao", "tumbao", "cha-cha"),
            comps=("montuno", "montuno", "latin strum"),
            instruments={"melody": (56, 73, 65, 57, 61, 24), "bass": (32, 33), "comp": (0, 0, 24, 114), "pad": (61, 48)},
            moods=("happy", "energetic", "groovy", "playful", "romantic"),
            rhythm="syncopated",
            odds={"pad": 0.2},
            major_odds=0.5,
            sevenths=0.3,
            energy=(0.5, 0.9),
        ),
    )
}
