"""The words people use for music, and what they mean: plain data for the reader and the describer.

Phrases are written as `tokenize` leaves them: lower case, hyphens as spaces, no apostrophes; "|" separates synonyms in a table.
"""

from typing import NamedTuple


class Mood(NamedTuple):
    """What a mood means to a reader: words for it, the mode it leans to, and its energy from 0 to 1."""

    words: tuple[str, ...]
    mode: str | None
    energy: float


class Instrument(NamedTuple):
    """A General-MIDI program: the roles it takes, likeliest first, and its names, the best first."""

    roles: tuple[str, ...]
    words: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


STYLES: dict[str, tuple[str, ...]] = {
    "pop": _split("pop"),
    "rock": _split("rock"),
    "funk": _split("funk"),
    "swing": _split("swing|swing jazz|jazz swing|jazz"),
    "bossa nova": _split("bossa nova|bossa"),
    "blues": _split("blues"),
    "reggae": _split("reggae"),
    "house": _split("house|house music"),
    "techno": _split("techno"),
    "ambient": _split("ambient"),
    "lo-fi": _split("lo-fi|lo-fi hip-hop|lofi|lofi hip-hop|chillhop"),
    "hip-hop": _split("hip-hop|hip hop|hiphop"),
    "waltz": _split("waltz"),
    "classical piano": _split("classical piano"),
    "cinematic strings": _split("cinematic strings|orchestral strings|cinematic orchestral"),
    "folk": _split("folk|acoustic folk"),
    "metal": _split("metal|heavy metal"),
    "latin": _split("latin"),
}
"""Style -> the words for it; captions use them all, each names exactly this style."""

NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "pop": _split("pop ballad|synth pop|synthpop|synthwave|electropop|indie pop|dance pop|k pop|j pop|disco pop|radio pop"),
    "rock": _split("rock n roll|rock and roll|indie|indie rock|folk rock|pop rock|hard rock|punk|punk rock|grunge|"
                   "surf rock|garage rock|alternative|alternative rock|classic rock|post rock|soft rock|rocking"),
    "funk": _split("funky|disco|soul|motown|r n b|rnb|r b|rhythm and blues|neo soul|acid jazz|jazz funk|boogie"),
    "swing": _split("jazzy|bebop|big band|cool jazz|jazz standard|smooth jazz|hard bop|swinging|swung jazz|jazz trio|"
                    "jazz quartet|dixieland"),
    "bossa nova": _split("bossanova|samba jazz|jazz samba|brazilian|brazilian jazz"),
    "blues": _split("bluesy|blues rock|delta blues|chicago blues|twelve bar blues|12 bar blues|shuffle blues"),
    "reggae": _split("ska|dub|rocksteady|roots reggae|dancehall"),
    "house": _split("edm|dance music|deep house|tech house|club|club music|electronic dance|progressive house|eurodance|"
                    "garage|dance"),
    "techno": _split("trance|electronica|electronic|drum n bass|drum and bass|dnb|"
                    "jungle|industrial|minimal techno|rave|dubstep|electro|idm"),
    "ambient": _split("drone|soundscape|new age|meditation|meditation music|space music|chillout|chill out|atmospheric|"
                      "spa music"),
    "lo-fi": _split("chill hop|lo fi beats|lofi beats|study beats|study music|jazzhop|jazz hop|downtempo|chill beats"),
    "hip-hop": _split("trap|rap|boom bap|old school hip hop|drill|rap beat|trip hop|triphop"),
    "waltz": _split("viennese waltz|waltzing|minuet|mazurka|landler"),
    "classical piano": _split("classical|baroque|piano sonata|sonata|nocturne|etude|piano classical|"
                              "chopin|prelude|mozart style|impromptu"),
    "cinematic strings": _split("cinematic|orchestral|orchestra|soundtrack|film score|film music|movie score|score music|"
                                "trailer|trailer music|symphonic|symphony|game music|video game"),
    "folk": _split("country|bluegrass|celtic|singer songwriter|irish|americana|acoustic|campfire|folky|folksy"),
    "metal": _split("thrash|thrash metal|death metal|metalcore|black metal|doom metal|power metal|hardcore"),
    "latin": _split("salsa|samba|latin jazz|mambo|cumbia|merengue|rumba|bachata|cha cha|tango|flamenco|reggaeton|"
                    "son cubano|cuban|afro cuban"),
}  # fmt: skip
"""Style -> words for music that no style is made for, read as the nearest one."""

ENSEMBLES: dict[str, tuple[str, ...]] = {
    "cinematic strings, violin melody, violin pad, viola chords, cello bass, no drums": _split("string quartet"),
    "cinematic strings, violin melody, viola chords, cello bass, no pad, no drums": _split("string trio"),
    "cinematic strings, no drums": _split("chamber music|chamber orchestra|chamber strings|string orchestra"),
}
"""What stands for more than one thing, spelt out -> its words."""

MOODS: dict[str, Mood] = {
    "happy": Mood(_split("happy|cheerful|joyful|sunny|merry|bright|feel good|joyous|good mood|positive"), "major", 0.65),
    "sad": Mood(
        _split("sad|sorrowful|tearful|mournful|heartbroken|sombre|somber|gloomy|tragic|depressing|unhappy"), "minor", 0.3
    ),
    "melancholic": Mood(_split("melancholic|wistful|bittersweet|melancholy|longing|blue|lonely"), "minor", 0.35),
    "nostalgic": Mood(_split("nostalgic|sentimental|retro|vintage|reflective"), "major", 0.4),
    "dark": Mood(_split("dark|brooding|sinister|ominous|eerie|spooky|scary|haunting|creepy|gothic|evil"), "minor", 0.55),
    "mysterious": Mood(_split("mysterious|enigmatic|mystical|magical|strange|secretive|curious"), "minor", 0.4),
    "tense": Mood(_split("tense|suspenseful|anxious|nervous|restless|uneasy|urgent|dramatic"), "minor", 0.7),
    "calm": Mood(_split("calm|peaceful|serene|tranquil|soothing|quieting|meditative|calming|still"), "major", 0.15),
    "relaxed": Mood(
        _split("relaxed|laid-back|easygoing|mellow|chill|chilled|relaxing|easy going|lazy|cosy|cozy|smooth"), "major", 0.3
    ),
    "dreamy": Mood(_split("dreamy|floating|ethereal|hazy|airy|dreamlike|spacey|hypnotic|celestial"), "major", 0.3),
    "romantic": Mood(_split("romantic|tender|loving|intimate|passionate|sensual|love|wedding"), "major", 0.4),
    "playful": Mood(
        _split("playful|whimsical|quirky|cheeky|bouncy|funny|silly|cute|childlike|lighthearted|light hearted"), "major", 0.6
    ),
    "uplifting": Mood(_split("uplifting|hopeful|optimistic|inspiring|inspirational|motivational|encouraging"), "major", 0.6),
    "warm": Mood(_split("warm|heartwarming|comforting|cordial|friendly|welcoming|warm hearted"), "major", 0.4),
    "energetic": Mood(
        _split("energetic|lively|vibrant|spirited|exciting|exuberant|excited|danceable|party|hyper"), "major", 0.85
    ),
    "groovy": Mood(_split("groovy|sassy|catchy|grooving|cool|swaggering|foot tapping"), None, 0.65),
    "epic": Mood(_split("epic|heroic|grand|majestic|triumphant|victorious|huge|glorious|adventurous"), None, 0.85),
    "aggressive": Mood(_split("aggressive|angry|furious|fierce|brutal|raging|violent|savage|menacing"), "minor", 0.95),
}
"""Mood -> its words, the mode it leans to, its energy."""
CAPTION_MOOD_WORDS = 3
"""Captions use only the first few words of a mood; the reader knows them all."""

TEMPO_WORDS: dict[float, tuple[str, ...]] = {
    0.0: _split("very slow|largo|extremely slow|grave|lento|snail pace|as slow as possible"),
    0.2: _split("slow|slow-paced|ballad|slowly|unhurried|adagio|slow tempo|slower|larghetto|low tempo|low bpm"),
    0.35: _split("leisurely|andante|walking pace|rather slow|quite slow|fairly slow|slow ish|not too fast|not fast"),
    0.5: _split("mid-tempo|medium-tempo|moderate tempo|moderately paced|moderato|midtempo|medium paced|steady tempo|"
                "moderate|medium|not too slow|not slow"),
    0.65: _split("upbeat|brisk|allegretto|up tempo|uptempo|fairly fast|quite fast|rather fast"),
    0.8: _split("fast|fast-paced|quick|allegro|quickly|rapid|high tempo|fast tempo|faster|vivace|speedy|high bpm|racing"),
    1.0: _split("very fast|presto|extremely fast|prestissimo|breakneck|as fast as possible"),
}  # fmt: skip
"""Place in a style's tempo range, 0 its slowest and 1 its fastest -> words; captions use the first two."""
CAPTION_TEMPO_WORDS = 2

ENERGY_WORDS: dict[float, tuple[str, ...]] = {
    0.1: _split("very quiet|hushed|very soft|sparse|minimal|minimalist|pianissimo|very gentle|bare"),
    0.25: _split("gentle|soft|quiet|low-energy|softly|delicate|subtle|quietly|gently|understated|simple|stripped down"),
    0.5: _split("medium energy|moderate energy|balanced|medium intensity"),
    0.75: _split("driving|punchy|full|high-energy|strong|rich|busy|dense|pumping|bold|rhythmic|layered|hard hitting"),
    0.95: _split("powerful|intense|very loud|loud|massive|heavy|explosive|wild|full on|very energetic|relentless|thundering"),
}
"""Energy -> words; captions use the first three."""
CAPTION_ENERGY_WORDS = 3

METRE_WORDS: dict[str, tuple[str, ...]] = {
    "4/4": _split(
        "four four|common time|in four|in four four|four on the floor|quadruple metre|quadruple meter|four four time|in 4"
    ),
    "3/4": _split(
        "three four|waltz time|in three|in three four|triple metre|triple meter|three four time|triple time|"
        "jazz waltz time|in 3"
    ),
    "6/8": _split("six eight|in six|in six eight|compound metre|compound meter|six eight time|compound time|in 6|jig time"),
}
"""Metre -> words; captions use the first three."""
CAPTION_METRE_WORDS = 3

ROLE_WORDS: dict[str, tuple[str, ...]] = {
    "melody": _split("melody|lead|tune on top|melodies|lead line|top line|theme|solo|led|leads|leading|lead melody|"
                     "main melody|lead instrument|riff|hook|soloist|soloing|sings|singing"),
    "bass": _split("bass|bass line|bassline|basslines|low end|bass parts|bass part|bottom"),
    "comp": _split("chords|comping|comp|accompaniment|rhythm part|comps|accompanying|backing|accompanied|accompanies|chordal|"
                   "chord part|arpeggios|arpeggio|strumming|stabs|vamp|backed"),
    "pad": _split("pad|sustained chords|pads|background|backdrop|long chords|texture|harmony bed|sustained|drones"),
    "drums": _split("drums|drum kit|percussion|drum|drum beat|drum set|kit|drummer|drumming|drum machine|beats|beat|"
                    "breakbeat|drum groove|congas|bongos|conga|cajon|shaker|brushes|hand drums"),
}  # fmt: skip
"""Role -> words for it."""

NEGATIONS = _split("no|without|minus|not|never|free of|lacking|except|excluding|leave out|drop the|dont use|do not use|zero")
LESS: dict[str, str] = {"drumless": "drums", "bassless": "bass", "beatless": "drums"}
"""Words that leave a role out by themselves."""
VOICES = _split("vocals|vocal|singer|singers|lyrics|words|rap vocals|human voice")
"""Nothing here sings: these are understood only where they are refused."""

MODE_WORDS: dict[str, tuple[str, ...]] = {
    "minor": _split("minor key|minor|in a minor key|minor mode|minor scale|minor keys"),
    "major": _split("major key|major|in a major key|major mode|major scale|major keys"),
}
"""A mode without a tonic."""

SECTION_WORDS = _split("intro|verse|chorus|bridge|outro|break|breakdown|build up|buildup|drop|section|theme a|theme b|"
                       "a section|b section|head|coda|development|ending|opening|pre chorus|turnaround|interlude|fill|"
                       "climax|refrain")  # fmt: skip
"""Words about form: noted, but the composer decides the form."""

FILLER = _split(
    "a|an|the|this|that|these|those|some|any|something|somewhat|one|ones|it|its|is|are|be|being|was|has|have|having|i|we|"
    "you|us|me|my|your|our|he|she|they|with|and|or|of|for|in|on|at|to|from|by|as|into|onto|over|under|above|below|around|"
    "about|against|through|throughout|between|across|behind|beneath|beside|along|up|plus|while|where|which|who|whose|then|"
    "than|also|both|each|every|all|only|just|too|very|quite|rather|really|make|give|write|play|compose|create|generate|"
    "produce|build|want|need|like|would|could|should|can|please|hear|let|lets|do|does|wanted|get|got|come|comes|find|try|"
    "think|imagine|feel|feels|feeling|felt|sound|sounds|sounding|sounded|song|songs|track|tracks|music|piece|pieces|tune|"
    "tunes|loop|loops|number|composition|compositions|work|jam|groove|grooves|clip|instrumental|instrumentals|instrument|"
    "instruments|sample|recording|arrangement|arrangements|ensemble|band|group|trio|quartet|duo|line|lines|part|parts|"
    "style|styled|stylish|genre|kind|type|sort|vibe|vibes|mood|moods|atmosphere|character|flavour|flavor|touch|hint|"
    "influence|influences|inspired|set|built|based|centred|centered|featuring|features|feature|featured|including|"
    "includes|include|using|uses|use|used|played|plays|playing|player|carried|carries|carry|carrying|takes|take|taking|"
    "taken|holds|hold|holding|handled|handles|driven|key|tempo|bpm|beats|per|minute|minutes|pace|time|metre|meter|"
    "signature|speed|bars|bar|harmony|harmonies|harmonic|chord|progression|progressions|running|runs|run|moving|moves|"
    "move|going|goes|go|keeps|keep|keeping|stays|staying|walking|rolling|steady|there|here|now|how|what|when|why|so|but|"
    "alone|unaccompanied|if|out|off|down|again|today|tonight|good|nice|great|beautiful|lovely|pretty|new|short|long|little|small|big|thing|"
    "things|way|lot|bit|much|more|less|most|ready|suitable|perfect|right|well|together|joined|join|joins|underneath|"
    "supported|support|supports|supporting|supplied|supplies|top|adding|adds|add|added|shows|showing|marked|sits|sitting|"
    "sit|rests|resting|made|making|written|ask|asked|mid|starts|start|begins|opens|handle|supply|counts|counting|counted|"
    "whole|another|other|mostly|mainly"
)
"""Words that are understood as saying nothing about the music."""

PLAYS = frozenset(
    _split(
        "play|plays|playing|carry|carries|carrying|take|takes|taking|hold|holds|holding|handle|handles|handling|supply|supplies"
    )
)
"""Words that tie an instrument to its role: "a flute carries the melody"."""
PLAYED = frozenset(_split("played|carried|taken|held|handled|supplied"))
"""Words that tie a role to its instrument: "a melody played by a flute"."""
PASSIVE = frozenset({"led", "accompanied", "backed"})
"""Role words whose instrument comes after them: "flute accompanied by piano"."""

_M, _C, _P, _B = "melody", "comp", "pad", "bass"
_GM: tuple[tuple[str, str], ...] = (
    # piano
    ("cmpb", "piano|grand piano|acoustic piano|concert piano|pianos"),
    ("cmpb", "bright piano|upright piano|bright acoustic piano"),
    ("cmpb", "electric grand piano|electric grand"),
    ("cmpb", "honky-tonk piano|saloon piano|honky tonk"),
    ("cmpb", "electric piano|rhodes|rhodes piano|electric piano 1|ep|fender rhodes"),
    ("cmpb", "digital electric piano|fm piano|electric piano 2|wurlitzer|dx7"),
    ("cmpb", "harpsichord"),
    ("cmpb", "clavinet|clav|clavi"),
    # chromatic percussion
    ("mcp", "celesta|celeste"),
    ("mcp", "glockenspiel|bells"),
    ("mcp", "music box"),
    ("mcp", "vibraphone"),
    ("mcp", "marimba"),
    ("mcp", "xylophone"),
    ("mcp", "tubular bells|chimes|church bells"),
    ("mcp", "dulcimer|hammered dulcimer|santur"),
    # organ
    ("cpm", "drawbar organ|organ|hammond organ|hammond|electric organ"),
    ("cpm", "percussive organ"),
    ("cpm", "rock organ"),
    ("pcm", "church organ|pipe organ|cathedral organ"),
    ("pcm", "reed organ|harmonium"),
    ("mcp", "accordion"),
    ("mcp", "harmonica|blues harp|mouth organ"),
    ("mcp", "tango accordion|bandoneon"),
    # guitar
    ("cmpb", "nylon guitar|classical guitar|spanish guitar|acoustic guitar nylon|nylon string guitar"),
    ("cmpb", "acoustic guitar|steel guitar|steel string guitar|acoustic guitar steel|folk guitar|western guitar"),
    ("cmpb", "jazz guitar|hollow-body guitar|electric guitar jazz"),
    ("cmpb", "electric guitar|clean guitar|clean electric guitar|electric guitar clean"),
    ("cmpb", "muted guitar|palm-muted guitar|electric guitar muted|rhythm guitar"),
    ("cmpb", "overdriven guitar|overdrive guitar|crunchy guitar|crunch guitar"),
    ("cmpb", "distorted guitar|distortion guitar|heavy guitar"),
    ("mcpb", "guitar harmonics"),
    # bass
    ("b", "upright bass|acoustic bass|double bass|string bass|walking bass|stand up bass|standup bass"),
    ("b", "bass guitar|electric bass|fingered bass|electric bass finger|finger bass|fingerstyle bass"),
    ("b", "picked bass|picked bass guitar|electric bass pick"),
    ("b", "fretless bass"),
    ("b", "slap bass|slapped bass|slap bass 1"),
    ("b", "popped bass|popped slap bass|slap bass 2"),
    ("b", "synth bass|synthesizer bass|synth bass 1|sub bass|808 bass|808|acid bass"),
    ("b", "analog bass|punchy synth bass|synth bass 2|analogue bass|moog bass"),
    # strings
    ("mpcb", "violin"),
    ("mpcb", "viola"),
    ("mbpc", "cello"),
    ("bpm", "contrabass|bowed bass"),
    ("pcm", "tremolo strings"),
    ("cmp", "pizzicato strings|plucked strings|pizzicato"),
    ("cmp", "harp|orchestral harp"),
    ("bcm", "timpani|kettle drums"),
    # ensemble
    ("pcmb", "strings|string section|string ensemble|string ensemble 1"),
    ("pcmb", "slow strings|sustained strings|string ensemble 2"),
    ("pcmb", "synth strings|synthetic strings|synth strings 1|string machine"),
    ("pcmb", "warm synth strings|soft synth strings|synth strings 2"),
    ("pmc", "choir|choir voices|choir aahs|chorus voices|aahs"),
    ("pmc", "voice oohs|wordless voices|oohs|ooh choir"),
    ("pmc", "synth voice|synth choir|synth vocal"),
    ("cmp", "orchestra hit|orchestral hit"),
    # brass
    ("mcp", "trumpet"),
    ("mbcp", "trombone"),
    ("bm", "tuba"),
    ("mcp", "muted trumpet"),
    ("pmc", "french horn|horn|french horns"),
    ("cpm", "brass section|brass|horns|horn section|brass ensemble"),
    ("cpm", "synth brass|synthetic brass|synth brass 1"),
    ("cpm", "warm synth brass|soft synth brass|synth brass 2"),
    # reed
    ("mcp", "soprano sax|soprano saxophone"),
    ("mcp", "alto sax|alto saxophone|sax|saxophone"),
    ("mcp", "tenor sax|tenor saxophone"),
    ("mbcp", "baritone sax|baritone saxophone|bari sax"),
    ("mcp", "oboe"),
    ("mcp", "english horn|cor anglais"),
    ("bmc", "bassoon"),
    ("mcp", "clarinet"),
    # pipe
    ("m", "piccolo"),
    ("mcp", "flute|transverse flute|woodwinds|woodwind"),
    ("mcp", "recorder"),
    ("mcp", "pan flute|panpipes|pan pipes"),
    ("mcp", "blown bottle|bottle blow"),
    ("mcp", "shakuhachi|bamboo flute"),
    ("mcp", "whistle|tin whistle|whistling"),
    ("mcp", "ocarina"),
    # synth lead
    ("mcb", "square lead|square wave|square synth|chiptune lead|chip lead|8 bit lead|square wave lead"),
    ("mcpb", "saw lead|synth|synth lead|synthesizer|lead synth|sawtooth lead|saw synth|synthesizer lead|synthesiser"),
    ("mcp", "calliope lead|calliope"),
    ("mcp", "chiff lead|chiff"),
    ("mcb", "charang lead|charang|guitar synth lead"),
    ("mp", "voice lead|vocal synth lead"),
    ("mcp", "fifths lead|fifths"),
    ("mb", "bass lead|bass lead synth|bass and lead"),
    # synth pad
    ("pc", "new age pad|fantasia|fantasia pad"),
    ("pc", "warm pad|synth pad|synthesizer pad|analog pad"),
    ("pc", "polysynth|polysynth pad|poly synth"),
    ("pc", "choir pad|space voice pad"),
    ("pc", "bowed pad|bowed glass pad|glass pad"),
    ("pc", "metallic pad|metal pad"),
    ("pc", "halo pad|halo"),
    ("pc", "sweep pad|sweeping pad"),
    # synth effects
    ("pm", "rain pad|ice rain"),
    ("pm", "soundtrack pad"),
    ("mp", "crystal synth|crystal bells|crystal"),
    ("pm", "atmosphere pad|atmosphere synth"),
    ("pm", "brightness pad|brightness"),
    ("pm", "goblins pad|goblins"),
    ("pm", "echoes pad|echo drops|echoes"),
    ("pm", "sci fi pad|sci fi|star theme"),
    # ethnic
    ("mcp", "sitar"),
    ("cmb", "banjo"),
    ("mc", "shamisen"),
    ("mcp", "koto"),
    ("mcp", "kalimba|thumb piano|mbira"),
    ("mp", "bagpipes|bagpipe"),
    ("mp", "fiddle|folk fiddle|celtic fiddle"),
    ("mp", "shehnai|shanai"),
    # percussive
    ("mc", "tinkle bell|sleigh bell"),
    ("c", "agogo|agogo bells"),
    ("mc", "steel drums|steel pan|steelpan|steel pans"),
    ("c", "woodblock|wood block"),
    ("c", "taiko drum|taiko|taikos"),
    ("cm", "melodic tom|melodic toms"),
    ("c", "synth drum|synth drums"),
    ("p", "reverse cymbal"),
    # sound effects
    ("c", "fret noise|guitar fret noise"),
    ("p", "breath noise"),
    ("p", "seashore|sea shore|ocean waves|waves"),
    ("m", "bird tweet|birdsong|birds"),
    ("m", "telephone ring|telephone"),
    ("p", "helicopter"),
    ("p", "applause"),
    ("c", "gunshot"),
)  # fmt: skip
_ROLE = {"m": _M, "c": _C, "p": _P, "b": _B}

INSTRUMENTS: tuple[Instrument, ...] = tuple(Instrument(tuple(_ROLE[r] for r in roles), _split(words)) for roles, words in _GM)
"""By General-MIDI program, 0 to 127."""

GENERIC: dict[str, tuple[int, ...]] = {
    "guitar": (25, 24, 26, 27),
    "sax": (65, 64, 66, 67),
    "strings": (48, 49, 50, 51),
    "organ": (16, 17, 18),
    "brass": (61, 62, 63),
    "bass guitar": (33, 34),
    "piano": (0, 1),
    "synth lead": (81, 80),
    "synth bass": (38, 39),
    "choir": (52, 53, 54),
    "slap bass": (36, 37),
    "electric piano": (4, 5), "synth pad": (89, 88, 90, 91, 92, 93, 94, 95), "distorted guitar": (30, 29),
}  # fmt: skip
"""Words for a family: the program that a reader takes, then the others that a caption may call so."""

NOUNS = _split("track|piece|tune|groove|song|number|instrumental")
"""What a caption calls a piece."""
COUNTABLE = frozenset({"waltz", "bossa nova", "blues"})
"""Style words that can stand as a noun: "a slow waltz"."""
