"""What is said about a file, in a text or a JSON file beside it or in a table's columns -> captions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEXTS = ("captions", "caption", "text", "description", "prompt", "transcription")
"""Fields that are captions as they stand; several are all used."""

TAGS = ("genre", "style", "mood", "moods", "instrument", "instruments", "keywords", "tags")
"""Fields of words that are listed in a further caption, with the tempo ("bpm" or "tempo") and the "key"."""


def captions_beside(path: Path) -> tuple[str, ...]:
    """The captions of an audio file: lines of its .txt, texts and tags of its .json; none where there is neither.

    Raises ValueError, saying what is wrong with which of them.
    """
    text, table = path.with_suffix(".txt"), path.with_suffix(".json")
    captions: list[str] = []
    if text.is_file():
        captions += [line.strip() for line in _read(text).splitlines() if line.strip()]
    if table.is_file():
        try:
            content = json.loads(_read(table))
            captions += captions_in(content)
        except json.JSONDecodeError as error:
            raise ValueError(f"{table.name} beside it is not valid JSON ({error.msg}, line {error.lineno})") from error
        except ValueError as error:
            raise ValueError(f"{table.name} beside it: {error}" if table.name not in str(error) else str(error)) from error
    return tuple(dict.fromkeys(captions))


def captions_in(content: Any) -> tuple[str, ...]:
    """The texts of a table of fields, and each field's words as a further caption: "rock, guitar, 120 bpm, A minor".

    With a list "captions" nothing is added: it is taken to say all.  Raises ValueError, naming the field that is no text.
    """
    if not isinstance(content, Mapping):
        raise ValueError('the content is no table of fields, such as {"description": "a slow waltz", "bpm": 90}')
    texts = [text for name in TEXTS for text in _words(content, name)]
    if isinstance(content.get("captions"), list):
        return tuple(dict.fromkeys(texts))
    tags = [word for name in TAGS for word in _words(content, name)]
    tempo = next((word for name in ("bpm", "tempo") for word in _words(content, name)), None)
    tags += [f"{tempo} bpm"] if tempo else []
    tags += _words(content, "key")
    if not tags:
        return tuple(dict.fromkeys(texts))
    listed = ", ".join(dict.fromkeys(tags))
    return (*dict.fromkeys(texts), f"{texts[0].rstrip('. ')}. {listed}" if texts else listed)


def _words(content: Mapping[str, Any], name: str) -> list[str]:
    value = content.get(name)
    words = []
    for part in value if isinstance(value, list) else [] if value is None else [value]:
        if isinstance(part, bool) or not isinstance(part, str | int | float):
            raise ValueError(f'"{name}" is {str(value)[:60]!r}, neither a text nor a list of texts')
        words.append(part.strip() if isinstance(part, str) else f"{part:g}")
    return [word for word in words if word]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} beside it is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ValueError(f"{path.name} beside it cannot be read ({error.strerror})") from error
