"""Given audio on a canvas: where it lies, what is to be made around it and within it, and how the made and the given meet.

What is given comes back sample for sample: a model hears a copy of it, at its codec's rate and loudness, and of what is made
only the gaps are cut out and laid into the user's own audio.  Nothing that lies in a gap is heard, by the model or in the
result: not even a crossfade needs it, since what sounds on into a gap is the given audio before it, mirrored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.codecs.base import Codec
from counterpoint.request import Request
from counterpoint.source import Source
from counterpoint.types import Canvas, View

HEARD = -14.0
"""LUFS at which a model hears what is given, or as near as its peaks allow: so is what models learn from (`data/corpus`)."""
AROUND = 3.0
"""Seconds on either side of a gap's ends by whose loudness what is made is levelled."""
BRIEF = 1.0
"""Seconds of what is made below which its loudness is that of single notes, and says nothing."""
MOST = 9.0
"""Decibels by which it is turned up or down at most."""
FADE = 0.02
"""Seconds of the crossfade at either end of a gap, within it."""
CEILING = -1.0
"""dBTP of what is made, where nothing that is given is louder."""

Gap = tuple[int, int]


@dataclass(frozen=True)
class Task:
    """A source within the result, in samples at the source's own rate: it begins at `first` of `total`; `gaps` are to be made.

    With a `likeness` they are made after what is there, which is then no secret.
    """

    source: Source
    first: int
    total: int
    gaps: tuple[Gap, ...]
    likeness: bool = False

    @staticmethod
    def of(asked: Request) -> "Task":
        """Raises ValueError for spans that overlap, lie outside the source, or leave nothing of it."""
        source, rate = asked.source, asked.source.sample_rate
        length, first, after = source.audio.shape[-1], round(asked.before * rate), round(asked.after * rate)
        for (start, end), (begin, stop) in pairwise(asked.spans):
            if begin < end:
                raise ValueError(f"The spans {start:g}:{end:g} and {begin:g}:{stop:g} overlap; give them as one, or apart.")
        for start, end in asked.spans:
            if round(end * rate) > length:
                raise ValueError(
                    f"The span {start:g}:{end:g} does not lie in {source.name}, which is {source.seconds:.2f} s long; let it "
                    f"end there."
                )
            if round(start * rate) == round(end * rate):
                raise ValueError(f"The span {start:g}:{end:g} is shorter than a sample; give a longer one.")
        spans = [(first + round(start * rate), first + round(end * rate)) for start, end in asked.spans]
        likeness = asked.strength is not None
        if likeness and not spans:
            spans = [(0, length)]
        total = first + length + after
        gaps = _merged([(0, first), *spans, (total - after, total)])
        if gaps == ((0, total),) and not likeness:
            raise ValueError(f"Nothing of {source.name} would stay; let the spans leave some of it, or generate a new piece.")
        return Task(source, first, total, gaps, likeness)

    @property
    def rate(self) -> int:
        return self.source.sample_rate

    @property
    def seconds(self) -> float:
        return self.total / self.rate

    @property
    def kind(self) -> str:
        """What a system has to be able to do (System.tasks)."""
        if self.likeness:
            return "generate" if self.gaps == ((0, self.total),) else "inpaint"
        (start, end), *others = self.gaps
        return "inpaint" if others or start == 0 or end < self.total else "continue"

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The gaps in seconds."""
        return [(start / self.rate, end / self.rate) for start, end in self.gaps]

    def laid(self) -> Float[Tensor, "c n"]:
        """What is given at its place, and silence in the gaps."""
        audio = self.source.audio.new_zeros(self.source.audio.shape[0], self.total)
        audio[:, self.first : self.first + self.source.audio.shape[-1]] = self.source.audio
        for start, end in () if self.likeness else self.gaps:
            audio[:, start:end] = 0
        return audio

    def at(self, sample: int, rate: int) -> float:
        """A place in the result, in samples of another rate."""
        return sample * rate / self.rate


def _merged(spans: Sequence[Gap]) -> tuple[Gap, ...]:
    """Spans that touch as one; those of no length are none."""
    merged: list[Gap] = []
    for start, end in (span for span in spans if span[0] < span[1]):
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True)
class Heard:
    """What a model hears of a task: audio at its codec's rate, and by how many dB that was turned up."""

    audio: Float[Tensor, "c n"]
    gain: float

    @staticmethod
    def of(task: Task, codec: Codec) -> "Heard":
        audio = sound.resample(task.laid().float(), task.rate, codec.sample_rate)
        level, peak = sound.loudness(audio, codec.sample_rate), sound.true_peak(audio, codec.sample_rate)
        gain = min(HEARD - level, CEILING - peak) if level > -math.inf else 0.0
        return Heard(audio * 10 ** (gain / 20), gain)


def canvas(task: Task, codec: Codec, view: View, levels: int) -> Canvas:
    """The canvas of a task, on the CPU; frames beside a gap, which hear it, are not given either."""
    heard = Heard.of(task, codec)
    device = next(iter(codec.parameters())).device
    frames = codec.encode(heard.audio[None].to(device))
    given = torch.ones(1, frames.shape[1], dtype=torch.bool)
    for start, end in task.gaps:
        first, last = (task.at(sample, codec.sample_rate) / codec.hop for sample in (start, end))
        given[:, max(0, math.floor(first) - 1) : math.ceil(last) + 1] = False
    if not given.any() and not task.likeness:
        raise ValueError(f"Too little of {task.source.name} stays for a model to go on from; let the spans leave more of it.")
    return Canvas((codec.to_tokens(frames, levels) if view == "tokens" else frames).cpu(), given)


def joined(task: Task, frames: Float[Tensor, "1 t d"], codec: Codec) -> Float[Tensor, "c n"]:
    """The result at the source's rate: what is given as it is, the gaps out of decoded `frames`.

    What is made is turned up or down to the loudness of what is given beside it (with a likeness: to that of what was there),
    and its peaks under CEILING, or under the highest peak that is given.
    """
    result, heard = task.laid(), Heard.of(task, codec)
    ceiling = max(CEILING, min(0.0, sound.true_peak(result.float(), task.rate)))
    for region in _regions(task, codec, frames.shape[1]):
        first = region.start * codec.hop
        length = min(heard.audio.shape[-1], region.stop * codec.hop) - first
        made = codec.decode(frames[:, region.start : region.stop], length)[0].float().cpu()
        gain = _level(task, heard, made, first, codec.sample_rate) - heard.gain
        audio = sound.resample(made * 10 ** (gain / 20), codec.sample_rate, task.rate)
        offset = round(first * task.rate / codec.sample_rate)
        for start, end in task.gaps:
            if first <= task.at(start, codec.sample_rate) < first + length:
                part = audio[:, start - offset : end - offset]
                part = torch.nn.functional.pad(part, (0, end - start - part.shape[-1]))
                result[:, start:end] = sound.limit(part, task.rate, ceiling).to(result)
    _crossfade(task, result)
    return result


def _regions(task: Task, codec: Codec, frames: int) -> list[range]:
    """Frames to be decoded: the gaps and what is around them."""
    beside = math.ceil(AROUND * codec.spec.rate)
    regions: list[range] = []
    for gap in task.gaps:
        first, last = (task.at(sample, codec.sample_rate) / codec.hop for sample in gap)
        start, stop = max(0, math.floor(first) - beside), min(frames, math.ceil(last) + beside)
        if regions and start <= regions[-1].stop:
            regions[-1] = range(regions[-1].start, stop)
        else:
            regions.append(range(start, stop))
    return regions


def _level(task: Task, heard: Heard, made: Float[Tensor, "c n"], first: int, rate: int) -> float:
    """Decibels that what is made, from sample `first` on, lacks beside what is given.

    Of what is brief the codec's copy of what is given is judged in its stead.
    """
    own = heard.audio[:, first : first + made.shape[-1]]
    filled, near = (torch.zeros(made.shape[-1], dtype=torch.bool) for _ in range(2))
    for gap in task.gaps:
        start, end = (max(0, round(task.at(sample, rate)) - first) for sample in gap)
        filled[start:end] = True
        near[start : min(end, start + round(AROUND * rate))] |= gap[0] > 0
        near[max(start, end - round(AROUND * rate)) : end] |= gap[1] < task.total
    given, judged = (filled, filled) if task.likeness else (~filled, near if near.sum() >= BRIEF * rate else ~filled)
    ours, theirs = (
        sound.loudness(audio[:, part], rate) if part.any() else -math.inf for audio, part in ((own, given), (made, judged))
    )
    return min(MOST, max(-MOST, ours - theirs)) if min(ours, theirs) > -math.inf else 0.0


def _crossfade(task: Task, result: Float[Tensor, "c n"]) -> None:
    """What is given before and after each gap fades out into it, mirrored; at the ends of the piece, silence does."""
    edges = [0, *(edge for gap in task.gaps for edge in gap), task.total]
    for i, (start, end) in enumerate(task.gaps):
        longest = min(round(FADE * task.rate), (end - start) // 2)
        before, after = start - edges[2 * i], edges[2 * i + 3] - end
        rise, fall = (min(longest, given) if given else longest for given in (before, after))
        ahead = result[:, start - rise : start].flip(-1) if before else result.new_zeros(len(result), rise)
        behind = result[:, end : end + fall] if after else result.new_zeros(len(result), fall)
        opening, closing = result[:, start : start + rise], result[:, end - fall : end].flip(-1)
        result[:, start : start + rise] = _into(opening, ahead)
        result[:, end - fall : end] = _into(closing, behind).flip(-1)


def _into(made: Float[Tensor, "c n"], given: Float[Tensor, "c n"]) -> Float[Tensor, "c n"]:
    """From the given into the made, at equal power."""
    rise = torch.sin(math.pi / 2 * (torch.arange(made.shape[-1]) + 0.5) / max(1, made.shape[-1])).to(made)
    return made * rise + given * rise.flip(0)
