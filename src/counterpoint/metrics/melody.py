"""Tunes side by side: MusicGen's chroma similarity, a silence-safe variant, and the accuracy of melody lanes.

Chroma is "12 t", C first, of windows of 16384 samples at 32 kHz that hop by 4096 (Copet et al. 2023; AudioCraft's
configuration), the largest of each frame being 1; frame j is centred at sample 4096 j.  Of n samples AudioCraft counts
ceil(n / 4096) frames: one less than are centred in them where 4096 divides n.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int16
from numpy import ndarray
from torch import Tensor

from counterpoint.music import Note

SAMPLE_RATE, WINDOW, HOP = 32000, 16384, 4096
"""What the chroma of these figures is made with."""
QUIET = -60.0
"""Decibels below a clip's loudest frame at which a frame counts as silent."""


def sounding(audio: Float[Tensor, "c n"], window: int = WINDOW, hop: int = HOP, quiet: float = QUIET) -> Bool[Tensor, " t"]:
    """Which of the ceil(n / hop) frames, each centred at a multiple of `hop`, are above `quiet` dB of the loudest one's power.

    Raises ValueError for audio that holds no samples or values that are not numbers.
    """
    if not audio.numel() or not torch.isfinite(audio).all():
        raise ValueError("The audio is empty or holds values that are not numbers; give a clip that can be played.")
    power = audio.double().square().mean(0)
    padded = torch.nn.functional.pad(power, (window // 2, window // 2))
    frames = padded.unfold(0, window, hop)[: -(-len(power) // hop)].mean(1)
    return (frames > 0) & (frames > frames.max() * 10 ** (quiet / 10))


def melody_argmax(
    made: Float[Tensor, "12 t"],
    real: Float[Tensor, "12 u"],
    made_sounds: Bool[Tensor, " _"] | None = None,
    real_sounds: Bool[Tensor, " _"] | None = None,
) -> float:
    """The share of frames whose strongest pitch class is the same: MusicGen's melody similarity.  Chance is about 1/12.

    So defined, silence is a C: two silent clips agree.  With `made_sounds` and `real_sounds` (of `sounding`), frames in which
    both are silent do not count, and those in which one is are wrong; NaN where no frame counts.  The longer clip is cut.
    A set's figure in AudioCraft is pooled over frames: for clips of one length, the mean over clips.
    """
    ours, theirs = _cut(made, real)
    return _over_sounding((ours.argmax(0) == theirs.argmax(0)).double(), made_sounds, real_sounds)


def melody_soft(
    made: Float[Tensor, "12 t"],
    real: Float[Tensor, "12 u"],
    made_sounds: Bool[Tensor, " _"] | None = None,
    real_sounds: Bool[Tensor, " _"] | None = None,
) -> float:
    """The mean cosine of the chroma itself.  Noise scores about 0.5: never one column with `melody_argmax`."""
    ours, theirs = _cut(made, real)
    return _over_sounding(torch.cosine_similarity(ours, theirs, dim=0), made_sounds, real_sounds)


def lane(notes: Sequence[Note], seconds: float, rate: float) -> Int16[ndarray, " t"]:
    """The notes' line as MIDI pitches, `rate` of them a second, 0 where none sounds; the latest note counts, then the highest.

    Frame j stands for the time from j to j + 1 frames and takes what sounds in its middle.
    """
    line = np.zeros(round(seconds * rate), dtype=np.int16)
    for note in sorted(notes, key=lambda note: (note.start, note.pitch)):
        first, last = (max(0, math.ceil(time * rate - 0.5 - 1e-9)) for time in (note.start, note.end))
        line[first:last] = note.pitch
    return line


def lane_figures(made: Int16[ndarray, " t"], real: Int16[ndarray, " u"]) -> dict[str, float]:
    """Accuracies of a melody lane (MIDI pitches, 0 for none), as mir_eval and MIREX define them; the longer one is cut.

    "pitch" and "chroma": of the frames that have a real pitch, the share with the right one, or the right one in any octave;
    "overall": of all frames, those with the right pitch or rightly none.  NaN where there are no such frames.
    """
    frames = min(len(made), len(real))
    ours, theirs = made[:frames], real[:frames]
    sings = theirs > 0
    octaves = (ours > 0) & ((ours - theirs) % 12 == 0)
    return {
        "pitch": float((ours == theirs)[sings].mean()) if sings.any() else math.nan,
        "chroma": float(octaves[sings].mean()) if sings.any() else math.nan,
        "overall": float((ours == theirs).mean()) if frames else math.nan,
    }


def _cut(made: Float[Tensor, "12 t"], real: Float[Tensor, "12 u"]) -> tuple[Float[Tensor, "12 v"], Float[Tensor, "12 v"]]:
    frames = min(made.shape[1], real.shape[1])
    if not (torch.isfinite(made).all() and torch.isfinite(real).all()):
        raise ValueError("The chroma holds values that are not numbers; look for NaN in the audio that it was made of.")
    return made[:, :frames].double(), real[:, :frames].double()


def _over_sounding(
    values: Float[Tensor, " t"], made_sounds: Bool[Tensor, " _"] | None, real_sounds: Bool[Tensor, " _"] | None
) -> float:
    """The mean over frames, or over those in which one clip sounds at least, where a frame is worth 0 unless both do."""
    if (made_sounds is None) != (real_sounds is None):
        raise ValueError("Tell of both clips which frames sound, or of neither.")
    if made_sounds is None or real_sounds is None:
        return float(values.mean()) if len(values) else math.nan
    frames = min(len(values), len(made_sounds), len(real_sounds))
    ours, theirs = made_sounds[:frames], real_sounds[:frames]
    counted = ours | theirs
    return float((values[:frames] * (ours & theirs))[counted].mean()) if counted.any() else math.nan
