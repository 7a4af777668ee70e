"""Controls -> what conditioners take: a lane of one entry a frame for chords, tune and drums, a value for the others."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from counterpoint.analysis.heard import Heard
from counterpoint.analysis.melody import notes_of
from counterpoint.codecs.base import Codec
from counterpoint.conditioners.chords import paint_chords
from counterpoint.conditioners.drums import DrumsConfig
from counterpoint.conditioners.lanes import Lane
from counterpoint.conditioners.melody import paint_melody
from counterpoint.controls.drums import HEARD, HIT
from counterpoint.controls.given import VELOCITY
from counterpoint.data.corpus.synth import render
from counterpoint.music import Controls, Key, Metre, Note, Score, Track


def of_heard(heard: Heard) -> Controls:
    """What an analyser has heard of a sound, as controls; without a pulse or key these are left open."""
    tune = tuple(Note(start, end, pitch, VELOCITY) for start, end, pitch in notes_of(heard.melody))
    hits = tuple(Note(time, time + HIT, key, VELOCITY) for name, key in HEARD.items() for time in heard.drums.get(name, ()))
    tempo = None if np.isnan(heard.tempo) else heard.tempo
    return Controls(heard.chords, tune, hits, tempo, heard.key, heard.seconds)


def lanes(controls: Controls, codec: Codec, frames: int, drums: DrumsConfig | None) -> dict[str, Any]:
    """The values of all controls that are told, by condition name; `drums` says how their lane is made."""
    rate = codec.spec.rate
    values: dict[str, Any] = {"tempo": controls.tempo, "key": controls.key, "seconds": controls.seconds}
    if controls.chords is not None:
        values["chords"] = paint_chords(controls.chords, rate, frames)
    if controls.melody is not None:
        values["melody"] = paint_melody(controls.melody, rate, frames)
    if controls.drums is not None and drums is not None:
        values["drums"] = drum_lane(controls.drums, codec, frames, drums)
    return {name: value for name, value in values.items() if value is not None}


@torch.inference_mode()
def drum_lane(hits: tuple[Note, ...], codec: Codec, frames: int, how: DrumsConfig) -> Lane:
    """The drums alone, played by the built-in kit, as a codec hears them: blurred, and quantised by its first codebook.

    One kit plays them whatever a recording's drums were, so that the lane says when and roughly what, and nothing else of it.
    """
    seconds = frames / codec.spec.rate
    alone = Score(seconds, "", 120.0, Metre(), Key(0), (), (), (), (Track("drums", 0, hits),))
    device = next(iter(codec.frame_state().values())).device
    audio = torch.from_numpy(render(alone, codec.sample_rate, codec.channels))[None].to(device)
    return blurred(codec, codec.encode(audio)[:, :frames], how)


def blurred(codec: Codec, made: Float[Tensor, "1 t d"], how: DrumsConfig) -> Lane:
    """Int16 "t" in the paper's order, float16 "t d" in JASCO's (`conditioners/drums.py`)."""
    if how.order == "blur-quantise":
        return codec.to_tokens(_mean_around(made, how.blur), 1)[0, 0].cpu().numpy().astype(np.int16)
    coarse = codec.from_tokens(codec.to_tokens(made, 1))
    return _mean_of_blocks(coarse, how.blur)[0].cpu().numpy().astype(np.float16)


def _mean_around(x: Float[Tensor, "1 t d"], size: int) -> Float[Tensor, "1 t d"]:
    """Each frame as the mean of the `size` around it; at the ends, of those that are there."""
    ahead = (size - 1) // 2
    around = torch.nn.functional.pad(x, (0, 0, size - 1 - ahead, ahead)).unfold(1, size, 1)
    there = torch.nn.functional.pad(torch.ones_like(x), (0, 0, size - 1 - ahead, ahead)).unfold(1, size, 1)
    return around.sum(-1) / there.sum(-1)


def _mean_of_blocks(x: Float[Tensor, "1 t d"], size: int) -> Float[Tensor, "1 t d"]:
    """Each frame as the mean of the block of `size` frames that it lies in, as AudioCraft's JASCO blurs."""
    blocks = x.split(size, dim=1)
    return torch.cat([block.mean(1, keepdim=True).expand_as(block) for block in blocks], dim=1)
