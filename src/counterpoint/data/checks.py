"""What only decoding shows of a file: silence, clipping, numbers that are none, and that it is another file once more."""

import hashlib
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from counterpoint import audio as sound
from counterpoint.data.row import Row

SILENT = -60.0
"""dBFS: a file whose highest peak is below counts as silent."""

FULL = 0.999
"""Samples at least so far from zero are at full scale."""

CLIPPED = 0.02
"""Share of samples at full scale above which a file counts as clipped; loud masters stay below."""

TOLERANCE = 0.05
"""Seconds that a file may be shorter than its head, or its owner, says."""


class Hearing:
    """One file as it is decoded, part by part: `read` until its last clip, then `end`."""

    def __init__(self, clipped: float = CLIPPED) -> None:
        self.clipped = clipped
        self.refusal: tuple[str, str] | None = None
        """The reason to skip the file, in a word or two and in full; None as long as there is none."""
        self._peak, self._full, self._samples = 0.0, 0, 0
        self._sha = hashlib.sha256()

    @property
    def sound(self) -> str:
        """The same for files that sound the same to the last bit, whatever their format: SHA-256 of the decoded samples."""
        return self._sha.hexdigest()

    def read(self, clips: Sequence[Row], sample_rate: int, channels: int) -> list[Float[Tensor, "c n"]]:
        """The audio of the next clips, of one length, decoded in one go: seeking in an mp3 takes long, and edges click.

        Nothing once the file has turned out to be of no use.
        """
        if self.refusal is not None:
            return []
        first, seconds = clips[0], clips[0].seconds * len(clips)
        if not first.path.is_file():
            self.refusal = ("missing", "it was there when the folder was listed, and is gone; bring it back")
            return []
        try:
            audio, own_rate = sound.read(first.path, seconds, first.offset)
        except ValueError as error:
            self.refusal = ("unreadable", str(error).rstrip("."))
            return []
        if audio.shape[-1] < (seconds - TOLERANCE) * own_rate:
            ends = first.offset + audio.shape[-1] / own_rate
            self.refusal = ("unreadable", f"it ends after {ends:.2f} s, earlier than it says; copy or export it again")
            return []
        self._hear(audio)
        audio = sound.mix(sound.resample(audio, own_rate, sample_rate), channels)
        samples = round(first.seconds * sample_rate)
        starts = [round((clip.offset - first.offset) * sample_rate) for clip in clips]
        audio = F.pad(audio, (0, max(0, starts[-1] + samples - audio.shape[-1])))
        return [audio[:, start : start + samples] for start in starts]

    def _hear(self, audio: Float[Tensor, "c n"]) -> None:
        if not torch.isfinite(audio).all():
            self.refusal = ("unreadable", "it holds values that are not numbers; export it again")
            return
        levels = audio.abs()
        self._peak = max(self._peak, levels.max().item())
        self._full += int((levels >= FULL).sum())
        self._samples += audio.numel()
        self._sha.update(audio.contiguous().numpy().tobytes())

    def end(self) -> None:
        """Judge the whole."""
        if self.refusal is not None:
            return
        share = self._full / self._samples
        if self._peak == 0:
            self.refusal = ("silent", "all its samples are zero")
        elif (level := 20 * math.log10(self._peak)) < SILENT:
            self.refusal = ("silent", f"its highest peak is {level:.0f} dBFS, below {SILENT:g}")
        elif share > self.clipped:
            detail = f"{100 * share:.1f} % of its samples are at full scale, more than {100 * self.clipped:g} %"
            self.refusal = ("clipped", detail)
