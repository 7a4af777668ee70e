"""Audio in and out of files, and what every room does to it: rate, channels, loudness, peaks.

Audio is float32 `c n`, full scale +-1.  Nothing here clips what is made: it is turned down as a whole (`normalise`) or around
its peaks (`master`).  What was given beyond full scale is clipped by flac, which cannot hold it (`loss`).
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import soundfile
import soxr
import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from counterpoint import tags as tagging
from counterpoint.files import renamed, writing
from counterpoint.pieces import Piece, around

FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".mp3": ("MP3", "MPEG_LAYER_III")}
"""Suffixes that can be written, with soundfile's names for format and encoding."""

EXACT = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 0, "DOUBLE": 0}
"""Encodings (soundfile's names) that can hold samples as they are, with their bits where they are whole numbers."""

_DITHER_SEED = 1770


def read(path: str | Path, seconds: float | None = None, offset: float = 0.0) -> tuple[Float[Tensor, "c n"], int]:
    """The audio of a wav, flac, ogg or mp3 file and its sample rate; `seconds` of it from `offset`, or up to its end.

    Raises ValueError where the file is missing, empty, corrupt, or over before `offset`.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no audio file {path}; give the path of a wav, flac, ogg or mp3 file.")
    if offset < 0 or (seconds is not None and seconds <= 0):
        raise ValueError(f"Cannot read {seconds} seconds from {offset} s; ask for more than 0 seconds from 0 or later.")
    try:
        with soundfile.SoundFile(path) as file:
            rate, length = file.samplerate, file.frames
            start = min(round(offset * rate), length)
            file.seek(start)
            samples = file.read(-1 if seconds is None else max(1, round(seconds * rate)), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as audio ({error}); give a whole wav, flac, ogg or mp3 file.") from error
    if length == 0:
        raise ValueError(f"{path} holds no audio; give a file that is longer than nothing.")
    if not len(samples):
        raise ValueError(f"{path} is {length / rate:.2f} s long, so nothing starts at {offset} s; choose an earlier offset.")
    return torch.from_numpy(samples.T.copy()), rate


def write(
    path: str | Path,
    audio: Float[Tensor, "c n"],
    sample_rate: int,
    tags: Mapping[str, str] | None = None,
    encoding: str | None = None,
) -> Path:
    """Write audio in the format that the suffix names: wav and flac with 16 bits (dithered, same bytes each time), ogg, mp3.

    Audio beyond full scale is turned down as a whole until it fits.  With an `encoding` of EXACT, wav holds every sample as
    it is, undithered: what was read in that encoding is written as it was.  So does flac with up to 24 bits; what has more,
    and floats, it rounds to 24, and clips (`loss`).
    `tags` are texts by name (see `tags.NAMES`).  The file appears whole or not at all; missing folders are made.  Returns
    the path.  Raises ValueError.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path.name!r} has no known audio suffix; end it in {', '.join(FORMATS)}.")
    if audio.dim() != 2 or 0 in audio.shape:
        raise ValueError(f"Audio to write has the shape {tuple(audio.shape)}; it must be channels by samples, none of them 0.")
    if not torch.isfinite(audio).all():
        raise ValueError(f"The audio for {path.name} holds values that are not numbers; nothing was written. Make it anew.")
    encoded = _encode(audio.detach().cpu(), sample_rate, path.suffix.lower(), dict(tags or {}), encoding)
    with renamed(path) as temporary:
        temporary.write_bytes(encoded)
    return path


def write_growing(
    path: str | Path,
    chunks: Iterable[Float[Tensor, "c _"]],
    sample_rate: int,
    samples: int,
    tags: Mapping[str, str] | None = None,
) -> Path:
    """A wav file that can be played while it grows: its head tells from the start how long it will be.

    16 bits, dithered as by `write`; chunks lie within full scale.  Where they end too early, or with an error, the head is set
    to what is there, so that it is a whole file of less; otherwise `tags` are added at last.  Returns the path.
    """
    path, draw, done, channels = Path(path), torch.Generator().manual_seed(_DITHER_SEED), 0, 0
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for chunk in chunks:
            written = _dither(chunk.float().cpu(), draw).T.contiguous().numpy().tobytes()
            with writing(path), path.open("ab" if done else "wb") as file:
                channels = chunk.shape[0]
                file.write((b"" if done else tagging.wav_head(samples, channels, sample_rate)) + written)
            done += chunk.shape[-1]
    finally:
        if 0 < done != samples:
            with writing(path), path.open("r+b") as file:
                file.write(tagging.wav_head(done, channels, sample_rate))
    if tags and done:
        content = tagging.with_riff_info(path.read_bytes(), tags)
        with renamed(path) as temporary:
            temporary.write_bytes(content)
    return path


def read_tags(path: str | Path) -> dict[str, str]:
    """The texts that `write` put into a file, by name; empty where there are none.  Raises ValueError."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no audio file {path}; give the path of a wav, flac, ogg or mp3 file.")
    try:
        return tagging.read(path.read_bytes())
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read as audio ({error}); give a whole wav, flac, ogg or mp3 file.") from error


def _encode(audio: Float[Tensor, "c n"], sample_rate: int, suffix: str, texts: dict[str, str], encoding: str | None) -> bytes:
    kind, subtype = FORMATS[suffix]
    if encoding is not None and subtype == "PCM_16":
        subtype = stored_as(suffix, encoding)
        samples = _whole_numbers(audio, EXACT[subtype]) if EXACT[subtype] else audio
    else:
        fitted = audio.float() / max(1.0, audio.abs().max().item())
        samples = _dither(fitted) if subtype == "PCM_16" else fitted
    samples = samples.T.contiguous().numpy()
    buffer = io.BytesIO()
    try:
        with soundfile.SoundFile(buffer, "w", sample_rate, audio.shape[0], subtype, format=kind) as file:
            if kind in ("FLAC", "OGG"):
                tagging.attach(file, texts)
            for start in range(0, len(samples), 65536):  # Vorbis overflows the stack when handed minutes at once
                file.write(samples[start : start + 65536])
    except (soundfile.SoundFileError, TypeError) as error:
        message = f"{audio.shape[0]} channels at {sample_rate} Hz do not fit into {suffix} ({error}); write .wav or resample."
        raise ValueError(message) from error
    encoded = buffer.getvalue()
    if kind == "WAV":
        return tagging.with_riff_info(encoded, texts)
    return tagging.with_id3(encoded, texts) if kind == "MP3" else encoded


def stored_as(suffix: str, encoding: str) -> str:
    """The encoding that a wav or flac file holds samples of `encoding` in: its own, or the nearest that the format has."""
    if suffix == ".wav":
        return "PCM_U8" if encoding == "PCM_S8" else encoding
    return {"PCM_U8": "PCM_S8", "PCM_32": "PCM_24", "FLOAT": "PCM_24", "DOUBLE": "PCM_24"}.get(encoding, encoding)


def loss(suffix: str, encoding: str) -> str:
    """What a file does to samples of `encoding` (of EXACT), in a few words; empty where it holds them as they are."""
    if FORMATS[suffix][1] != "PCM_16":
        return f"{suffix} changes every sample"
    bits = EXACT[stored_as(suffix, encoding)]
    if bits == EXACT[encoding]:
        return ""
    clips = ", and clips what is beyond full scale" if EXACT[encoding] == 0 else ""
    return f"{suffix} rounds samples to {bits} bits{clips}"


def _whole_numbers(audio: Float[Tensor, "c n"], bits: int) -> Tensor:
    """Samples of so many bits, in the upper bits of 32-bit integers, as libsndfile takes them."""
    highest = 2 ** (bits - 1)
    steps = (audio.double() * highest).round().clamp(-highest, highest - 1)
    return (steps * 2 ** (32 - bits)).to(torch.int32)


def _dither(audio: Float[Tensor, "c n"], generator: torch.Generator | None = None) -> Tensor:
    """16-bit integers with triangular dither; 32766 leaves room for the dither at full scale."""
    generator = generator or torch.Generator().manual_seed(_DITHER_SEED)
    noise = torch.rand(2, *audio.shape, generator=generator)
    return (audio * 32766 + noise[0] - noise[1]).round().to(torch.int16)


def resample(audio: Float[Tensor, "c n"], from_rate: int, to_rate: int) -> Float[Tensor, "c m"]:
    """The same sound at another sample rate (soxr, high quality), round(n * to_rate / from_rate) samples long."""
    if from_rate == to_rate:
        return audio
    length = round(audio.shape[-1] * to_rate / from_rate)
    moved = torch.from_numpy(soxr.resample(audio.T.contiguous().numpy(), from_rate, to_rate, "HQ")).T[:, :length]
    return F.pad(moved, (0, length - moved.shape[-1])).contiguous()


def mix(audio: Float[Tensor, "c n"], channels: int) -> Float[Tensor, "m n"]:
    """Audio with another number of channels: all become their arithmetic mean, copied where more than one is asked."""
    if audio.shape[0] == channels:
        return audio
    return audio.mean(0, keepdim=True).repeat(channels, 1)


def loudness(audio: Float[Tensor, "c n"], sample_rate: int) -> float:
    """Integrated loudness in LUFS with both gates (ITU-R BS.1770-4, equations 2 to 7); -inf for silence.

    Every channel weighs 1, as left, right and centre do.  What is shorter than one block of 400 ms counts as one block.
    """
    hop = round(0.1 * sample_rate)
    power = _k_weighted(audio, sample_rate).square().sum(0)
    hops = len(power) // hop
    steps = power[: hops * hop].view(hops, hop).mean(1) if hops >= 4 else power.mean().expand(4)
    blocks = steps.double().unfold(0, 4, 1).mean(1)
    loud = blocks[blocks > _power(-70.0)]
    if not len(loud):
        return -math.inf
    loud = loud[loud > loud.mean() * 0.1]  # 10 LU below the mean
    return -0.691 + 10 * math.log10(loud.mean().item())


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def _k_weighted(audio: Float[Tensor, "c n"], sample_rate: int) -> Float[Tensor, "c n"]:
    """Filtered in the frequency domain, second by second, added up where the tails overlap."""
    channels, length = audio.shape
    segment = sample_rate
    size = 1 << (segment + sample_rate // 4 - 1).bit_length()  # the response has faded 250 ms later
    count = -(-length // segment)
    parts = F.pad(audio, (0, count * segment - length)).view(channels, count, segment)
    filtered = torch.fft.irfft(torch.fft.rfft(parts, size) * _k_response(size, sample_rate), size)
    tail = size - segment
    result = F.pad(filtered[..., :segment].reshape(channels, -1), (0, segment))
    ends = result[:, segment:].view(channels, count, segment)
    ends[..., : min(tail, segment)] += filtered[..., segment : 2 * segment]
    return result[:, :length]


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # what is kept must serve every later call
def _k_response(size: int, sample_rate: int) -> Complex[Tensor, "f"]:
    """BS.1770's two filters at the bins of an FFT: its 48 kHz tables as the analogue filters they come from."""
    z = torch.exp(-2j * math.pi * torch.arange(size // 2 + 1, dtype=torch.float64) / size)

    def biquad(b: tuple[float, float, float], a: tuple[float, float, float]) -> Tensor:
        return (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)

    k, q = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    shelf = biquad(
        (high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k),
        (1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k),
    )
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    norm = 1 + k / q + k * k
    high_pass = biquad((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm))
    return (shelf * high_pass).to(torch.complex64)


def true_peak(audio: Float[Tensor, "c n"], sample_rate: int) -> float:
    """The highest level between samples, in dBTP: 4 times oversampled (ITU-R BS.1770-4, annex 2); -inf for silence."""
    padded = F.pad(audio, (_TAPS // 2, _TAPS // 2))
    peak = 0.0
    for channel in padded:
        windows = channel.unfold(0, _TAPS, 1)
        for part in windows.split(16384):  # what the cache holds
            lowest, highest = (_interpolators() @ part.T).aminmax()
            peak = max(peak, -lowest.item(), highest.item())
        peak = max(peak, channel.abs().max().item())
    return 20 * math.log10(peak) if peak > 0 else -math.inf


_TAPS = 24


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _interpolators() -> Float[Tensor, "3 taps"]:
    """Windowed sincs for the three positions between two samples."""
    position = torch.arange(_TAPS)[None] - (_TAPS // 2 - 1) - torch.tensor([[0.25], [0.5], [0.75]])
    return torch.sinc(position) * torch.cos(math.pi * position / (_TAPS + 1)) ** 2


def normalise(
    audio: Float[Tensor, "c n"], sample_rate: int, lufs: float = -14.0, ceiling: float = -1.0
) -> Float[Tensor, "c n"]:
    """Audio at a loudness of `lufs`, or as loud as its true peak may be under `ceiling` (dBTP); silence stays silence."""
    level = loudness(audio, sample_rate)
    if level == -math.inf:
        return audio
    gain = min(lufs - level, ceiling - true_peak(audio, sample_rate))
    return audio * 10 ** (gain / 20)


def master(audio: Float[Tensor, "c n"], sample_rate: int, lufs: float = -16.0, ceiling: float = -1.0) -> Float[Tensor, "c n"]:
    """Audio as it is handed out: at `lufs`, its peaks turned down under `ceiling` (dBTP) where that takes at most 6 dB.

    What would take more stays quieter; silence stays silence.
    """
    level = loudness(audio, sample_rate)
    if level == -math.inf:
        return audio
    most = ceiling - true_peak(audio, sample_rate) + 6.0
    gain = min(lufs - level, most)
    for _ in range(2):  # turning peaks down costs loudness, which is given back
        made = limit(audio * 10 ** (gain / 20), sample_rate, ceiling)
        gain = min(gain + lufs - loudness(made, sample_rate), most)
    made = limit(audio * 10 ** (gain / 20), sample_rate, ceiling)
    return made * min(1.0, 10 ** ((ceiling - true_peak(made, sample_rate)) / 20))  # what a moving gain adds between samples


def fade(
    audio: Float[Tensor, "c n"],
    sample_rate: int,
    rise: float = 0.005,
    fall: float = 0.03,
    first: int = 0,
    total: int | None = None,
) -> Float[Tensor, "c n"]:
    """Audio that begins and ends in silence, by half a cosine of `rise` and of `fall` seconds: a cut would click.

    Of audio that comes piece by piece, `first` is the sample that a piece begins with and `total` the samples of all.
    """
    place = torch.arange(first, first + audio.shape[-1])
    left = (first + audio.shape[-1] if total is None else total) - 1 - place
    ramps = torch.minimum(place / sample_rate / rise, left / sample_rate / fall).clamp_max(1)
    return audio * (0.5 - 0.5 * torch.cos(math.pi * ramps)).to(audio)


def limit(audio: Float[Tensor, "c n"], sample_rate: int, ceiling: float) -> Float[Tensor, "c n"]:
    """Audio whose true peak is at most about `ceiling` (dBTP), turned down smoothly from 10 ms before to 10 ms after a peak.

    The gain is the running mean of the running minimum of what each sample needs, over windows of one length: every minimum
    that is averaged has seen the sample, so the mean is no more than it needs.
    """
    highest = 10 ** (ceiling / 20)
    taps = _interpolators().to(audio)[:, None]
    between = F.conv1d(F.pad(audio, (_TAPS // 2, _TAPS // 2 - 1))[:, None], taps).abs().amax(1)  # c n: between i - 1 and i
    peaks = torch.maximum(torch.maximum(audio.abs(), between), F.pad(between[:, 1:], (0, 1))).amax(0)
    needed = (highest / peaks.clamp_min(highest))[None]  # 1 n
    reach = round(0.005 * sample_rate)
    lowest = -F.max_pool1d(F.pad(-needed, (2 * reach, 2 * reach), value=-1.0), 2 * reach + 1, stride=1)
    return audio * _running_mean(lowest, 2 * reach + 1)


def _running_mean(x: Float[Tensor, "1 n"], width: int) -> Float[Tensor, "1 m"]:
    """Means of `width` numbers that follow each other, as differences of one running sum: in 64 bits, so that no digit goes."""
    summed = F.pad(x.double().cumsum(-1), (1, 0))
    return ((summed[:, width:] - summed[:, :-width]) / width).to(x)


def limit_stream(pieces: Iterable[Piece], sample_rate: int, ceiling: float) -> Iterator[Float[Tensor, "c _"]]:
    """`limit` of audio that comes piece by piece, "c n" each: the same, 10 ms behind what has come."""
    hears = 2 * round(0.005 * sample_rate) + _TAPS
    for piece in around(pieces, hears, hears, -1):
        yield piece.own(limit(piece.x, sample_rate, ceiling), -1)
