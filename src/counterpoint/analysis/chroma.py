"""How strongly each pitch class sounds, without learning: the chroma that MusicGen's melody score is defined on.

AudioCraft's settings (32 kHz, windows of 2^14 samples, a quarter of that from frame to frame, power, tuning 0) and the filters
of Ellis 2007 ("Chroma feature analysis and synthesis"): a bell round each pitch class in every octave, weighed by a wide bell
round the fifth octave above A0.
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.audio import mix, resample

RATE = 32000
WINDOW = 1 << 14
HOP = WINDOW // 4
CENTRE, WIDTH = 5.0, 2.0
"""The octave that counts most, and the standard deviation of what the others count, in octaves."""


def chroma(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[Tensor, "12 t"]:
    """Pitch classes from C, RATE / HOP frames a second, the strongest of each frame 1; frames of silence are 0.

    Frame k is centred at k HOP samples of the sound at RATE; ends are reflected.  What is shorter than one window is
    followed by silence.  Raises ValueError for a sound without samples.
    """
    if not audio.numel():
        raise ValueError("There is no audio to take a chroma of: it has no samples; give a sound that is longer than nothing.")
    sound = resample(mix(audio.detach().cpu().float(), 1), sample_rate, RATE)[0].double()
    sound = torch.nn.functional.pad(sound, (0, max(0, WINDOW - len(sound))))
    window = torch.hann_window(WINDOW, dtype=torch.float64)
    lines = torch.stft(sound, WINDOW, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)
    raw = _filters() @ (lines.real.square() + lines.imag.square())
    strongest = raw.amax(0, keepdim=True)
    return (raw / torch.where(strongest > torch.finfo(torch.float32).tiny, strongest, 1.0)).float()


@lru_cache
def _filters() -> Float[Tensor, "12 f"]:
    """Rows of weights, one a pitch class; each line of the spectrum has a root of summed squares of 1 before octaves count."""
    semitones = 12 * np.log2(np.arange(1, WINDOW) * RATE / WINDOW / 27.5)  # above A0
    semitones = np.concatenate([[semitones[0] - 18], semitones])  # the line at 0 Hz lies an octave and a half below the next
    width = np.concatenate([np.maximum(np.diff(semitones), 1.0), [1.0]])
    apart = (semitones - np.arange(12)[:, None] + 6) % 12 - 6
    bells = np.exp(-0.5 * (2 * apart / width) ** 2)
    bells /= np.sqrt((bells**2).sum(0, keepdims=True))
    bells *= np.exp(-0.5 * ((semitones / 12 - CENTRE) / WIDTH) ** 2)
    return torch.from_numpy(np.roll(bells, -3, axis=0)[:, : WINDOW // 2 + 1].copy())
