"""Audio in, what is heard out: the one door of this room."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.analysis.beats import decode_pulse
from counterpoint.analysis.chords import decode_chords
from counterpoint.analysis.drums import decode_drums
from counterpoint.analysis.heard import MELODY_RATE, Heard
from counterpoint.analysis.key import decode_key
from counterpoint.analysis.listener import CHORD_STEP, DRUMS, MELODY_STEP, Guesses, load_listener
from counterpoint.analysis.melody import decode_melody
from counterpoint.analysis.spectrum import FRAME_RATE, mono, spectrum
from counterpoint.music import ChordSpan
from counterpoint.pieces import around, regroup

PIECE, CONTEXT = 3000, 600
"""Frames that the network hears at a time, and those beside them that it hears again."""
SHORTEST = 0.2
"""Seconds below which nothing is heard."""


def hear(audio: Float[Tensor, "c n"], sample_rate: int) -> Heard:
    """Beats, tempo, key, chords, melody and drums of a sound of any rate, length and number of channels.

    The same samples are always heard alike.  In silence, and in less than SHORTEST seconds, nothing is heard: the tempo is
    NaN and the key None.  Raises ValueError for what is no sound.
    """
    if not audio.numel():
        raise ValueError("There is no audio to analyse: it has no samples; give a sound that is longer than nothing.")
    if sample_rate < 1:
        raise ValueError(f"The sample rate {sample_rate} Hz cannot be; give the number of samples a second.")
    if not bool(torch.isfinite(audio).all()):
        raise ValueError("The audio holds values that are not numbers, so nothing can be heard in it; make or read it anew.")
    seconds = audio.shape[-1] / sample_rate
    sound = mono(audio, sample_rate)
    if seconds < SHORTEST or not sound.any():
        return _nothing(seconds)
    guesses = listen(spectrum(sound))
    pulse = decode_pulse(torch.sigmoid(guesses.pulse[0]).numpy(), FRAME_RATE)
    chords = decode_chords(guesses.chords[0].log_softmax(0).numpy(), FRAME_RATE, seconds, pulse.beats)
    melody = decode_melody(guesses.melody[0].log_softmax(0).numpy(), FRAME_RATE, seconds)
    tonal = melody.any() or any(span.chord for span in chords)
    return Heard(
        seconds=seconds,
        tempo=pulse.tempo,
        beats=tuple(time for time in pulse.beats if time < seconds),
        downbeats=tuple(time for time in pulse.downbeats if time < seconds),
        key=decode_key(guesses.key[0].numpy()) if tonal else None,
        chords=chords,
        melody=melody,
        drums=decode_drums(torch.sigmoid(guesses.drums[0]).numpy(), FRAME_RATE),
    )


def listen(values: Float[Tensor, "288 t"]) -> Guesses:
    """The listener's guesses for a spectrum of any length, as a batch of one; the key is that of all pieces together."""
    listener = load_listener()
    heard, keys, weights = [], [], []
    with torch.inference_mode():
        for piece in around(regroup([values], PIECE, axis=1, total=values.shape[1]), CONTEXT, CONTEXT, axis=1):
            made = listener(piece.x[None])
            heard.append(
                (
                    piece.own(made.pulse, 2),
                    piece.own(made.drums, 2),
                    piece.own(made.chords, 2, 1, CHORD_STEP),
                    piece.own(made.melody, 2, 1, MELODY_STEP),
                )
            )
            keys.append(made.key.log_softmax(1))
            weights.append(piece.stop - piece.start)
    pulse, drums, chords, melody = (torch.cat(parts, dim=2) for parts in zip(*heard, strict=True))
    shares = torch.tensor(weights)[:, None] / sum(weights)
    return Guesses(pulse, drums, chords, melody, (torch.cat(keys) * shares).sum(0, keepdim=True))


def _nothing(seconds: float) -> Heard:
    rests = np.zeros(max(1, math.ceil(seconds * MELODY_RATE)), dtype=np.int16)
    chords = (ChordSpan(0.0, seconds, None),)
    return Heard(seconds, math.nan, (), (), None, chords, rests, {name: () for name in DRUMS})
