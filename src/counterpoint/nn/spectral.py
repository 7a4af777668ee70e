"""Short-time spectra, perceptual bands, and distances between spectra.

Frame j of a spectrum is centred at sample (j + 1/2) * hop and the signal is zero outside, so that n samples make
ceil(n / hop) frames wherever n ends.  Spectra are scaled so that a sine of amplitude 1 has magnitude 1.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn import functional as F

_MEL_FLOOR = 1e-5  # added to mel powers before their logarithm is taken


def num_frames(samples: int, hop: int) -> int:
    """Frames that cover `samples`."""
    return math.ceil(samples / hop)


def stft(audio: Float[Tensor, "b n"], size: int, hop: int) -> Complex[Tensor, "b t f"]:
    """Hann-windowed spectrum of `size // 2 + 1` frequencies, time before frequency."""
    left, right = _margins(audio.shape[-1], size, hop)
    padded = F.pad(audio, (left, right))
    window = torch.hann_window(size, device=audio.device, dtype=audio.dtype)
    frames = padded.unfold(-1, size, hop) * (window * (4 / size))
    return torch.fft.rfft(frames)


def istft(spectrum: Complex[Tensor, "b t f"], size: int, hop: int, samples: int) -> Float[Tensor, "b n"]:
    """The signal of `samples` whose `stft` is nearest to `spectrum` (least squares, Griffin and Lim 1984)."""
    window = torch.hann_window(size, device=spectrum.device, dtype=spectrum.real.dtype)
    frames = torch.fft.irfft(spectrum, n=size) * (window * (size / 4))
    left, right = _margins(samples, size, hop)
    length = left + samples + right
    summed = _overlap_add(frames, hop, length)
    weight = _overlap_add((window * window).expand(1, frames.shape[1], size), hop, length)
    return (summed / weight.clamp_min(1e-3))[:, left : left + samples]


def _margins(samples: int, size: int, hop: int) -> tuple[int, int]:
    left = (size - hop) // 2
    return left, (num_frames(samples, hop) - 1) * hop + size - left - samples


def _overlap_add(frames: Float[Tensor, "b t w"], hop: int, length: int) -> Float[Tensor, "b n"]:
    batch, count, size = frames.shape
    pieces = -(-size // hop)
    cut = F.pad(frames, (0, pieces * hop - size)).view(batch, count, pieces, hop)
    summed = frames.new_zeros(batch, count + pieces - 1, hop)
    for piece in range(pieces):
        summed[:, piece : piece + count] += cut[:, :, piece]
    summed = summed.flatten(1)
    return F.pad(summed, (0, length - summed.shape[1]))


def warped_centres(size: int, sample_rate: int, linear_below: float) -> Float[Tensor, "m"]:
    """Band centres in bins: every bin below `linear_below` Hz, above it at distances that grow with frequency."""
    knee = linear_below * size / sample_rate
    last = size / 2
    linear = torch.arange(math.floor(min(knee, last)) + 1, dtype=torch.float64)
    if knee >= last:
        return linear.float()
    steps = round(knee * math.log(last / linear[-1].item()))
    growing = linear[-1] * (last / linear[-1]) ** (torch.arange(1, steps + 1, dtype=torch.float64) / steps)
    return torch.cat([linear, growing]).float()


def triangles(centres: Float[Tensor, "m"], bins: int) -> Float[Tensor, "m f"]:
    """Triangular weights that each peak at a centre and end at the neighbouring centres; columns sum to 1 between the ends.

    `bands = power @ triangles.T / rows' sums` pools a spectrum, `bands @ triangles` interpolates it back.
    """
    position = torch.arange(bins, dtype=centres.dtype)
    below = torch.cat([centres[:1] - 1, centres[:-1]])
    above = torch.cat([centres[1:], centres[-1:] + 1])
    rising = (position - below[:, None]) / (centres - below)[:, None]
    falling = (above[:, None] - position) / (above - centres)[:, None]
    return torch.minimum(rising, falling).clamp(0, 1)


def hertz_to_mel(hertz: Tensor) -> Tensor:
    """O'Shaughnessy's mel scale."""
    return 1127.0 * torch.log1p(hertz / 700.0)


def _mel_edges(bands: int, sample_rate: int, low: float = 0.0) -> Float[Tensor, "m"]:
    """Where each of the bands begins, peaks and ends, in Hz."""
    first, last = (1127.0 * math.log1p(hertz / 700.0) for hertz in (low, sample_rate / 2))
    return 700.0 * torch.expm1(torch.linspace(first, last, bands + 2) / 1127.0)


def mel_triangles(bands: int, size: int, sample_rate: int, low: float = 0.0) -> Float[Tensor, "m f"]:
    """Triangular filters of height 1 at equal distances on the mel scale from `low` Hz to half the sample rate.

    One that lies between two bins is empty.
    """
    edges = _mel_edges(bands, sample_rate, low)
    position = torch.arange(size // 2 + 1) * (sample_rate / size)
    rising = (position - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - position) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0)


def mel_filters(bands: int, size: int, sample_rate: int) -> Float[Tensor, "m f"]:
    """`mel_triangles` from 0 Hz on, each of which sums to 1."""
    filters = mel_triangles(bands, size, sample_rate)
    narrow = filters.sum(1) == 0  # narrower than a bin: take the nearest bin
    nearest = torch.round(_mel_edges(bands, sample_rate)[1:-1] / (sample_rate / size)).long()
    filters[narrow, nearest[narrow]] = 1.0
    return filters / filters.sum(1, keepdim=True)


class MelDistance(nn.Module):
    """How far apart the mel spectra of two sounds are, over windows from very short to short, as EnCodec is trained.

    The mean over window sizes of half the mean absolute difference of powers and half the mean squared difference of their
    logarithms (base 10).  Windows have unit energy and hop by a quarter; the ends of the signal are reflected.
    """

    def __init__(
        self, sample_rate: int, sizes: Sequence[int] = (64, 128, 256, 512, 1024), bands: int = 64, low: float = 64.0
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        for size in self.sizes:
            self.register_buffer(f"mel{size}", mel_triangles(bands, size, sample_rate, low), persistent=False)
            self.register_buffer(f"window{size}", unit_window(size), persistent=False)

    def forward(self, made: Float[Tensor, "b c n"], real: Float[Tensor, "b c n"]) -> Float[Tensor, ""]:
        terms = []
        for size in self.sizes:
            one, other = (self.mel(audio, size) for audio in (made, real))
            logarithms = (one + _MEL_FLOOR).log10() - (other + _MEL_FLOOR).log10()
            terms += [(one - other).abs().mean(), logarithms.square().mean()]
        return torch.stack(terms).mean()

    def mel(self, audio: Float[Tensor, "b c n"], size: int) -> Float[Tensor, "e m t"]:
        """Mel powers of every channel of every item; n samples make ceil(n / hop) frames."""
        hop = size // 4
        margin = (size - hop) // 2
        padded = F.pad(F.pad(audio, (margin, margin), mode="reflect"), (0, -audio.shape[-1] % hop)).flatten(0, 1)
        spectrum = torch.stft(padded, size, hop, window=self.get_buffer(f"window{size}"), center=False, return_complex=True)
        return self.get_buffer(f"mel{size}") @ (spectrum.real.square() + spectrum.imag.square())


def unit_window(size: int) -> Float[Tensor, "n"]:
    """A Hann window whose squares sum to 1."""
    window = torch.hann_window(size)
    return window / torch.linalg.vector_norm(window)


def log_mel_distance(
    made: Float[Tensor, "b t f"], real: Float[Tensor, "b t f"], filters: Float[Tensor, "m f"]
) -> Float[Tensor, "b"]:
    """Mean absolute difference in dB of mel magnitudes, floored 80 dB below each real clip's loudest band."""
    made_mel, real_mel = made @ filters.T, real @ filters.T
    floor = real_mel.amax(dim=(1, 2), keepdim=True) * 1e-4
    floor = floor.clamp_min(1e-7)
    return 20 * (torch.maximum(made_mel, floor) / torch.maximum(real_mel, floor)).log10().abs().mean(dim=(1, 2))


def spectral_convergence(made: Float[Tensor, "b t f"], real: Float[Tensor, "b t f"]) -> Float[Tensor, "b"]:
    """Frobenius distance of magnitudes relative to the real one's norm."""
    return torch.linalg.vector_norm(made - real, dim=(1, 2)) / torch.linalg.vector_norm(real, dim=(1, 2)).clamp_min(1e-7)
