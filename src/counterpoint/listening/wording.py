"""What a listener reads: the questions, the task, the consent, the examples."""

from counterpoint.listening.stimuli import Anchor
from counterpoint.listening.study import ANCHOR, REFERENCE, Example, Kind, Question

SMOOTHNESS = Question(
    name="smoothness",
    title="Transition smoothness",
    text="How smoothly does the music pass from the white part into the yellow part and back? "
    "Judge the two transitions only, not what lies between them.",
    lowest=1,
    highest=10,
    low="abrupt",
    high="inaudible",
)
MATCH = Question(
    name="match",
    title="Audio match",
    text="How well does the yellow part match the white parts: the same instruments, loudness and tempo, "
    "as if all were one piece of music? Leave aside how smooth the transitions are.",
    lowest=1,
    highest=10,
    low="another piece",
    high="the same piece",
)
"""SMOOTHNESS and MATCH ask what "Auto-regressive vs flow-matching" (Tal et al. 2025), section 5.3, asked its raters."""
QUALITY = Question(
    name="quality",
    title="Quality",
    text="How good is this as a piece of music: its sound, its playing, how it hangs together?",
    lowest=1,
    highest=10,
    low="very bad",
    high="very good",
)
RELEVANCE = Question(
    name="relevance",
    title="Fit to the description",
    text="How well does the music fit the description above it? Leave aside whether you like it.",
    lowest=1,
    highest=10,
    low="not at all",
    high="perfectly",
)
PREFERENCE = Question(
    name="preference",
    title="Preference",
    text="Which of the two do you prefer?",
    lowest=0,
    highest=2,
    low="the other is better",
    high="this is better",
)
"""Each of two clips gets a mark and the two marks add up to 2: 2 and 0, or 1 and 1 where there is no preference."""
BASIC_QUALITY = Question(
    name="quality",
    title="Quality beside the reference",
    text="How good does each clip sound beside the reference? One of them is the reference itself: give at least one clip 100.",
    lowest=0,
    highest=100,
    low="bad",
    high="like the reference",
)
"""The 100-point scale of ITU-R BS.1534, with its hidden reference."""

CONSENT = (
    "You will listen to short pieces of music and say what you hear. It takes about {minutes} minutes; please use headphones, "
    "in a quiet place.",
    "Taking part is voluntary. You can stop at any time by closing this page, and go on later in the same browser.",
    "Your answers are stored under a random number, with the times they took, how often you played each clip, and the name of "
    "your browser. No name, address or other personal data is asked for or kept.",
    "The last page shows your number. With it, or with the button there, your answers are withdrawn.",
)


def questions(kind: Kind, spans: bool, captions: bool) -> tuple[Question, ...]:
    """What is asked of each clip."""
    if kind == "ab":
        return (PREFERENCE,)
    if kind == "mushra":
        return (BASIC_QUALITY,)
    if spans:
        return SMOOTHNESS, MATCH
    return (QUALITY, RELEVANCE) if captions else (QUALITY,)


def task(kind: Kind, spans: bool) -> str:
    """The task in two or three sentences."""
    marked = " A part of the clip is marked yellow: it was filled in, the white parts were given." if spans else ""
    if kind == "ab":
        return f"You hear two versions of a clip, A and B, and say which one you prefer.{marked}"
    if kind == "mushra":
        return (
            "You hear a reference and several versions of it, and say how good each sounds beside the reference. You can "
            f"switch between them while they play.{marked}"
        )
    return f"You hear one clip at a time and rate it. Use the whole scale, and rate what you hear, not what you expect.{marked}"


def attention(kind: Kind) -> tuple[str, int]:
    """The instruction of a page that checks attention, and the mark that it asks for (for `ab`, of the second clip)."""
    if kind == "ab":
        return "This page checks that you are still with us: listen, and choose B.", 2
    if kind == "mushra":
        return "This page checks that you are still with us: listen, and set every slider to 100.", 100
    return "This page checks that you are still with us: listen, and choose 3 every time.", 3


def consent(own: str | None, minutes: int) -> tuple[str, ...]:
    """Paragraphs to agree to; `own` text has them apart by empty lines."""
    if own is None:
        return tuple(paragraph.format(minutes=minutes) for paragraph in CONSENT)
    return tuple(" ".join(part.split()) for part in own.replace("\r\n", "\n").split("\n\n") if part.strip())


def example(system: str, clip: str, anchor: Anchor) -> Example:
    """What to notice in a clip of the page that explains the task."""
    if system == REFERENCE:
        return Example(clip=clip, title="As it should be", text="An original recording. Nothing about it was changed.")
    if system == ANCHOR:
        return Example(clip=clip, title="As it should not be", text=f"The same recording, spoilt on purpose: {SPOILT[anchor]}.")
    return Example(clip=clip, title="A first clip", text="A clip like those that you will hear. Try the keys and the waveform.")


SPOILT = {
    "lowpass": "it sounds dull, as if behind a door",
    "step": "the yellow part is suddenly softer",
    "fill": "the yellow part is of another song, with a break at both ends",
}
"""How each low anchor can be told."""
