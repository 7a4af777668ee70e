"""Texts inside audio files (title, comment, software, ...), kept whole and in UTF-8 whatever the format.

A score, packed as text, is a field of its own in wav, as libsndfile leaves a comment out there that is longer than 2 kB.

Flac and ogg hold them by libsndfile.  Wav (RIFF INFO, which libsndfile cuts at 2 kB) and mp3 (ID3v2.4, which it writes in
Latin-1) are written here.
"""

import io
import struct
from collections.abc import Iterable, Mapping

import soundfile

_RIFF = {
    "title": b"INAM", "artist": b"IART", "album": b"IPRD", "comment": b"ICMT", "copyright": b"ICOP", "date": b"ICRD",
    "genre": b"IGNR", "software": b"ISFT", "score": b"IKEY",
}  # fmt: skip
_ID3 = {
    "title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "comment": b"COMM", "copyright": b"TCOP", "date": b"TDRC",
    "genre": b"TCON", "software": b"TSSE",
}  # fmt: skip
NAMES = tuple(_ID3)
"""The names that a text can have in every format; a wav file knows "score", too."""


def check(texts: Mapping[str, str], names: Iterable[str] = NAMES) -> None:
    """Raises ValueError for a name that no audio file knows."""
    for name in texts:
        if name not in names:
            raise ValueError(f"There is no tag {name!r} in audio files; known are {', '.join(names)}.")


def attach(file: soundfile.SoundFile, texts: Mapping[str, str]) -> None:
    """Give texts to a flac or ogg file that is open for writing and still empty."""
    check(texts)
    for name, text in texts.items():
        setattr(file, name, text.replace("\0", " "))  # soundfile has no other way in


def wav_head(samples: int, channels: int, sample_rate: int) -> bytes:
    """What stands before so many samples of 16 bits in a wav file."""
    size, frame = 2 * channels * samples, 2 * channels
    format = struct.pack("<HHIIHH", 1, channels, sample_rate, frame * sample_rate, frame, 16)
    return b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE" + _chunk(b"fmt ", format) + b"data" + struct.pack("<I", size)


def with_riff_info(wav: bytes, texts: Mapping[str, str]) -> bytes:
    """A wav file's bytes with a LIST INFO chunk at their end."""
    check(texts, _RIFF)
    if not texts:
        return wav
    fields = b"".join(_chunk(_RIFF[name], text.replace("\0", " ").encode() + b"\0") for name, text in texts.items())
    content = wav[8:] + _chunk(b"LIST", b"INFO" + fields)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def with_id3(mp3: bytes, texts: Mapping[str, str]) -> bytes:
    """An mp3 file's bytes after an ID3v2.4 tag."""
    check(texts)
    if not texts:
        return mp3
    frames = b"".join(_frame(_ID3[name], text.replace("\0", " ")) for name, text in texts.items())
    return b"ID3\4\0\0" + _synchsafe(len(frames)) + frames + mp3


def _frame(name: bytes, text: str) -> bytes:
    content = b"\3" + (b"eng\0" if name == b"COMM" else b"") + text.encode()  # 3: UTF-8; comments have language and title
    return name + _synchsafe(len(content)) + b"\0\0" + content


def _synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def read(encoded: bytes) -> dict[str, str]:
    """The texts in the bytes of an audio file.  Raises soundfile's error where the bytes are no audio."""
    with soundfile.SoundFile(io.BytesIO(encoded)) as file:
        kind, found = file.format, file.copy_metadata()
    if kind in ("WAV", "WAVEX"):
        return _read_riff_info(encoded)
    texts = {name: text for name, text in found.items() if name in NAMES and text}
    if "software" in texts and kind in ("FLAC", "OGG"):
        texts["software"] = texts["software"].rsplit(" (libsndfile", 1)[0]  # which libsndfile adds by itself
    return texts


def _read_riff_info(wav: bytes) -> dict[str, str]:
    names = {code: name for name, code in _RIFF.items()}
    texts: dict[str, str] = {}
    for code, start, end in _chunks(wav, 12, len(wav)):
        if code == b"LIST" and wav[start : start + 4] == b"INFO":
            for inner, a, b in _chunks(wav, start + 4, end):
                if inner in names:
                    texts[names[inner]] = wav[a:b].rstrip(b"\0").decode(errors="replace")
    return texts


def _chunks(data: bytes, start: int, end: int) -> list[tuple[bytes, int, int]]:
    """Name, start and end of each RIFF chunk."""
    found = []
    while start + 8 <= end:
        size = struct.unpack_from("<I", data, start + 4)[0]
        found.append((data[start : start + 4], start + 8, min(end, start + 8 + size)))
        start += 8 + size + size % 2
    return found
