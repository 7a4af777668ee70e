"""What only decoding shows of a file: silence, clipping, numbers that are none, and that it is another file once more."""

import hashlib
import math

import torch
from jaxtyping import Float
from torch import Tensor

SILENT = -60.0
"""dBFS: a file whose highest peak is below counts as silent."""

FULL = 0.999
"""Samples at least so far from zero are at full scale."""

CLIPPED = 0.02
"""Share of samples at full scale above which a file counts as clipped; loud masters stay below."""


class Hearing:
    """One file as it is decoded, part by part."""

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

    def hear(self, audio: Float[Tensor, "c n"]) -> None:
        """Take in the next part."""
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
        level = 20 * math.log10(self._peak) if self._peak > 0 else -math.inf
        share = self._full / self._samples
        if level < SILENT:
            self.refusal = ("silent", f"its highest peak is {level:.0f} dBFS, below {SILENT:g}")
        elif share > self.clipped:
            detail = f"{100 * share:.1f} % of its samples are at full scale, more than {100 * self.clipped:g} %"
            self.refusal = ("clipped", detail)
