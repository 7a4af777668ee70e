"""Every ear by its name: what it is, what it needs, and how it is opened."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from counterpoint.embedders.audiobox import Audiobox
from counterpoint.embedders.base import Ear
from counterpoint.embedders.clap import Clap
from counterpoint.embedders.logmel import LogMel
from counterpoint.embedders.panns import Panns
from counterpoint.embedders.speech import Speech
from counterpoint.embedders.vggish import VGGish

Need = Literal["nothing", "codec", "weights"]


@dataclass(frozen=True)
class Entry:
    """What is known of an ear before it is opened.

    `rate` is in Hz and `dim` the length of its vectors; 0 where its weights decide.  `published` says where its weights are to
    be had, and under which licence; nothing is fetched from there by itself.
    """

    what: str
    need: Need
    rate: int
    dim: int
    published: str = ""


EMBEDDERS: dict[str, Entry] = {
    "logmel": Entry("statistics of a log-mel spectrum", "nothing", 32000, 64),
    "codec": Entry("a codec's continuous frames", "codec", 0, 0),
    "vggish": Entry(
        "VGGish by fadtk's recipe",
        "weights",
        16000,
        128,
        "vggish-10086976.pth of https://github.com/harritaylor/torchvggish/releases (Apache-2.0)",
    ),
    "clap": Entry(
        "CLAP, which also reads: sounds and texts in one space",
        "weights",
        48000,
        512,
        "the Hub as laion/larger_clap_music (Apache-2.0), or any CLAP without fusion in transformers' layout",
    ),
    "panns": Entry(
        "CNN14 of the PANNs: 527 labels of AudioSet, or vectors",
        "weights",
        32000,
        2048,
        "Cnn14_mAP=0.431.pth of https://zenodo.org/records/3987831 (its licence stands there; the code's is MIT)",
    ),
    "audiobox": Entry(
        "Audiobox Aesthetics: ratings CE, CU, PC and PQ",
        "weights",
        16000,
        0,
        "the Hub as facebook/audiobox-aesthetics (CC-BY-4.0)",
    ),
    "hubert": Entry(
        "HuBERT, any layer",
        "weights",
        16000,
        768,
        "the Hub as facebook/hubert-base-ls960 (Apache-2.0)",
    ),
    "mert": Entry(
        "MERT, any layer, where it is built like a HuBERT",
        "weights",
        24000,
        768,
        "the Hub as m-a-p/MERT-v1-95M (CC-BY-NC-4.0: not for commercial use)",
    ),
}
"""Those that a user can name.  "codec" is made of an open codec, by whoever can open one (`frames.CodecFrames`)."""

_OPENERS: dict[str, Callable[[Path], Ear]] = {"vggish": VGGish, "clap": Clap, "panns": Panns, "audiobox": Audiobox}
_LAYERED = ("hubert", "mert")


def open_embedder(name: str, weights: Path | None = None, layer: int | None = None) -> Ear:
    """The ear of that name: an Embedder, a Tagger, both, or a Rater.

    `weights` is the file or folder that it is read from, `layer` whose states a hubert or mert gives (the last one's, by
    default).  Raises ValueError: an unknown name, weights that are missing or do not fit, a setting that would be ignored.
    """
    if name not in EMBEDDERS:
        near = difflib.get_close_matches(name, EMBEDDERS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"There is no embedder {name!r}. {hint}Known: {', '.join(EMBEDDERS)}.")
    entry = EMBEDDERS[name]
    assert entry.need != "codec", "whoever has the codec makes CodecFrames of it"
    if layer is not None and name not in _LAYERED:
        raise ValueError(f"{name} has no layer to choose; leave the layer out, or choose {' or '.join(_LAYERED)}.")
    if entry.need == "nothing":
        if weights is not None:
            raise ValueError(f"{name} needs no weights; leave {weights} out.")
        return LogMel()
    if weights is None:
        raise ValueError(f"{name} needs its weights: name them, as {name}=PLACE; they are published at {entry.published}.")
    if name not in _LAYERED:
        return _OPENERS[name](weights)
    found = Speech(weights, layer)
    if found.name != name:
        raise ValueError(f"{weights} holds a {found.name}, not a {name}; name the embedder {found.name}.")
    return found
