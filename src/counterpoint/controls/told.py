"""What a model is told of a request: words, a painted score, and the controls as lanes, window by window."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from counterpoint.codecs.base import Codec
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.conditioners.score import paint
from counterpoint.conditioners.text import T5Config
from counterpoint.conditioners.words import WordsConfig, tokenize
from counterpoint.controls.held import Held
from counterpoint.controls.lanes import lanes
from counterpoint.data.corpus.reading import read
from counterpoint.music import Controls, Score
from counterpoint.types import Roll


def laid_out(held: Held, text: str, score: Score | None, seconds: float) -> Controls:
    """What is held on to over music of `seconds`: as the plan has it, or in the tempo that is asked for or said in words.

    Raises ValueError for what cannot be read, or has no tempo to be laid out in.
    """
    if not held.names:
        return Controls()
    if score is not None:
        return Controls.of_score(score).only(held.names)
    words = read(text).brief
    return held.lasting(seconds, held.tempo or words.bpm or held.written, words.metre)


def values_of(
    text: str,
    score: Score | None,
    controls: Controls,
    known: tuple[str, ...],
    codec: Codec,
    frames: int,
    drums: DrumsConfig | None,
) -> dict[str, Any]:
    """The value of each condition of a model that knows those of `known`; what runs along time covers `frames`."""
    values: dict[str, Any] = {"text": text, "seconds": frames / codec.spec.rate} | lanes(controls, codec, frames, drums)
    if score is not None:
        values["score"] = paint(score, codec.spec.rate, frames)
    return {name: value for name, value in values.items() if name in known}


def windowed(values: Mapping[str, Any], here: slice) -> dict[str, list[Any]]:
    """What a window is told, as a batch of one: its own frames of what runs along time, and all of the rest."""

    def cut(value: Any) -> Any:
        if isinstance(value, Roll):
            return Roll(value.frames[here], value.vector)
        return value[here] if isinstance(value, np.ndarray) else value

    return {name: [cut(value)] for name, value in values.items()}


def unheard(text: str, words: WordsConfig | T5Config) -> tuple[str, ...]:
    """The words of a prompt that a model without a plan does not hear: those not in its vocabulary, or beyond its longest.

    T5 has pieces for every word.
    """
    if isinstance(words, T5Config):
        return ()
    tokens = tokenize(text)
    heard = set(words.vocabulary) & set(tokens[: words.longest])
    return tuple(token for token in dict.fromkeys(tokens) if token not in heard)
