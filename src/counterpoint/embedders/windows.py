"""How a sound of any length is cut for a network that hears a few seconds at a time.  Nothing is drawn."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def consecutive(audio: Float[Tensor, " n"], length: int, shortest: int) -> list[Float[Tensor, " _"]]:
    """Parts of `length` samples one after the other; a last part of fewer than `shortest` is left out.

    A sound that is all of it shorter than `shortest` is one part, filled up with silence.
    """
    if len(audio) < shortest:
        return [F.pad(audio, (0, shortest - len(audio)))]
    return [part for part in audio.split(length) if len(part) >= shortest]


def covering(audio: Float[Tensor, " n"], length: int) -> list[Float[Tensor, " _"]]:
    """Parts of exactly `length` samples one after the other, the last of which ends where the sound ends.

    A shorter sound is one part: whole copies of it, then silence.
    """
    if len(audio) <= length:
        copies = audio.repeat(length // len(audio))
        return [F.pad(copies, (0, length - len(copies)))]
    starts = [*range(0, len(audio) - length, length), len(audio) - length]
    return [audio[start : start + length] for start in starts]


def through_16_bits(audio: Float[Tensor, " n"], scale: int, rounded: bool) -> Float[Tensor, " n"]:
    """The sound as 16-bit samples hold it, for recipes that were defined on such files; +-1 is `scale`.

    Samples are rounded, or cut off towards zero, and clipped to full scale.
    """
    whole = (audio.double().clamp(-1, 1) * scale).clamp_max(32767)
    return ((whole.round() if rounded else whole.trunc()) / scale).to(audio.dtype)
