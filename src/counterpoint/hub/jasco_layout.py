"""JASCO as AudioCraft writes it: its settings and names, and ours.

From AudioCraft's sources (models/flow_matching.py, modules/jasco_conditioners.py, config/, assets/, MIT); no released file was
at hand, so that what a released recipe states is not known here: it is read, and what is not built is refused.
"""

from typing import Any

import torch
from torch import Tensor

from counterpoint.chordino import LABELS
from counterpoint.config import parse
from counterpoint.hub.audiocraft import Package
from counterpoint.hub.audiocraft_layout import TRANSFORMER, backbone, thirds, words
from counterpoint.hub.renaming import Table, to_ours
from counterpoint.systems.jasco import JascoConfig

KIND = "flow_matching"
"""What its recipe states as `lm_model`."""

_TOLD = "condition_provider.conditioners"

NAMES: Table = (
    *TRANSFORMER,
    ("transformer.skip_projections.*.**", "backbone.skips.*.**"),
    ("temb.dense.0.**", "backbone.time.first.**"),
    ("temb.dense.1.**", "backbone.time.second.**"),
    ("temb_proj.**", "backbone.time.out.**"),
    ("emb.weight", "embed.weight"),
    ("linear.weight", "out.weight"),
    (f"{_TOLD}.chords.emb.weight", "conditioners.chords.table.weight"),
    (f"{_TOLD}.melody.output_proj.**", "conditioners.melody.project.**"),
    (f"{_TOLD}.self_wav.output_proj.**", "conditioners.drums.project.**"),
)

_CODEC = f"{_TOLD}.self_wav.compression_model."
"""The codec that hears the drums, which is the model's own."""

CHORDS = (
    "N", "F", "C", "Bb", "Gm6", "Dm", "A7/C#", "Bm7b5", "Am", "G7", "Dm7", "Em7b5", "A", "C#aug", "G", "Bbmaj7", "F6",
    "Gm7b5/F", "Bbm", "D6", "D", "G6", "Em", "Cmaj7", "Gmaj7", "C6", "Am7", "Bm7", "B", "B/D#", "Em7", "D7", "B7/D#", "Fm",
    "E7", "F/C", "C/G", "A7", "Aaug", "Bbaug", "Cm6", "Bb/F", "Gm", "C7", "Fm6", "Bb6", "Cm", "F/A", "F#m7", "F#m7b5",
    "D/F#", "C/E", "Dmaj7", "D/A", "A6", "Bm", "Bb/C", "Fmaj7", "F/G", "Adim", "F7", "Eb7", "Dm7b5/C", "C#7", "Cdim", "Ab",
    "Ab7/C", "Cm7", "Ab/C", "Abm", "Abm7", "Bbm7b5/Ab", "E", "F#7", "Eb", "Emaj7", "F#6", "C#m", "Caug", "Abm7b5/Gb", "F#m",
    "E6", "Abaug", "B6", "F#/A#", "C#6", "A/B", "Ab6", "Abmaj7", "Gm7", "Eb6", "Fm7", "Bbm6", "Eb/Bb", "F#", "Abm7b5",
    "Dm6", "G7/B", "F#m7b5/E", "Ebm", "F#/E", "G/D", "Abm6", "Ebm7", "C#/G#", "F#/G#", "Bbm7", "C#/D#", "Amaj7", "Am6",
    "D/E", "C#m7", "Cm7b5/Bb", "B/F#", "Bm7b5/A", "C#m7b5/B", "F#maj7", "G/A", "C/D", "Bbdim", "Gm7b5", "C7/E", "Edim",
    "Em6", "A/E", "Gaug", "B7", "F#aug", "Gdim", "Em7b5/D", "G/B", "A/C#", "A/G", "Bdim", "E/B", "Bbm7b5", "C#m6", "C#/E#",
    "Faug", "Bb7", "F#dim", "Dm7b5", "F#m6", "Ebm7b5", "Ebm6", "Ebm7b5/Db", "Fm7b5/Eb", "Ab/Eb", "G/F", "Am7b5", "Fdim",
    "C#", "Ab7", "Am7b5/G", "F7/A", "Ebmaj7", "Eb/F", "Ab/Bb", "C#maj7", "Abdim", "F#7/A#", "E7/G#", "Bm6", "Baug", "D/C",
    "Cm7b5", "Fm7b5", "F/Eb", "D7/F#", "Bmaj7", "Ebaug", "C/Bb", "Eb7/G", "B/C#", "Bb7/D", "E/G#", "Ab/Gb", "F#/C#",
    "Ebdim", "C#m7b5", "Eaug", "Bb/D", "C#dim", "Daug", "Eb/Db", "C#7/E#", "Ddim", "E/F#", "E/D", "B/A", "Bb/Ab", "Eb/G",
    "C#/B", "UNK",
)  # fmt: skip
"""Its chord labels by number (assets/chord_to_index_mapping.pkl); behind them comes a row for chords that are not told."""


def settings(package: Package) -> JascoConfig:
    """Our settings from a recipe's.  Raises ValueError for what is not built here."""
    package.demand({"lm_model": KIND, "transformer_lm.causal": False, "transformer_lm.time_embedding_dim": 128})
    if package.get("fuser.cross") != ["description"] or package.get("fuser.prepend", []) != []:
        raise ValueError(f"{package.path} attends to something else than words, which is not built here.")
    skips = package.stated("transformer_lm.skip_connections")
    content = {
        "backbone": backbone(package) | {"causal": False, "time": "context", "skips": skips},
        "words": words(package),
        "score": None,
        "controls": _controls(package),
        "window_seconds": package.stated("dataset.segment_duration"),
        "sampling": {"solver": "dopri5", "tolerance": 1e-5, "guidance": _guidance(package)},
    }
    return parse(JascoConfig, content, str(package.path))


def _controls(package: Package) -> dict[str, Any]:
    """What is told frame by frame, in the order of our channels."""
    told: dict[str, Any] = {}
    known = package.stated("conditioners").keys() - {"description", "args"}
    if strangers := known - {"chords", "melody", "self_wav"}:
        raise ValueError(f"{package.path} is told {min(strangers)}, which is not built here.")
    if "chords" in known:
        package.demand({"conditioners.chords.model": "chords_emb", "conditioners.chords.chords_emb.card": len(CHORDS)})
        told["chords"] = {"channels": package.stated("conditioners.chords.chords_emb.out_dim")}
    if "melody" in known:
        package.demand({"conditioners.melody.model": "melody", "conditioners.melody.melody.card": 53})
        told["melody"] = {"form": "one-hot", "channels": package.stated("conditioners.melody.melody.out_dim")}
    if "self_wav" in known:
        package.demand({"conditioners.self_wav.model": "drum_latents"})
        how = "conditioners.self_wav.drum_latents"
        blur, channels = package.get(f"{how}.blurring_factor", 3), package.stated(f"{how}.out_dim")
        told["drums"] = {"order": "quantise-blur", "blur": blur, "channels": channels}
    return told


def _guidance(package: Package) -> dict[str, float]:
    weights = {"all": package.stated("generate.lm.cfg_coef_all"), "text": package.stated("generate.lm.cfg_coef_txt")}
    return {name: weight for name, weight in weights.items() if weight}


def rename(package: Package, config: JascoConfig, dim: int) -> dict[str, Tensor]:
    """Their tensors by our names and in our orders, with the statistics of the frames, which the recipe states."""
    kept = {name: tensor for name, tensor in package.tensors.items() if not name.startswith(_CODEC)}
    named = thirds(to_ours(kept, NAMES))
    if "embed.weight" in named:
        named["embed.weight"] = _channels(named["embed.weight"], config, dim)
    if (table := named.get("conditioners.chords.table.weight")) is not None and len(table) == len(CHORDS) + 1:
        named |= _chords(table)
    for lane in ("melody", "drums"):
        if (untold := named.get(f"conditioners.{lane}.project.bias")) is not None:
            named[f"conditioners.{lane}.null"] = untold.clone()  # what is not told is told as zeros
    mean, std = (float(package.stated(f"compression_model_latent_{name}")) for name in ("mean", "std"))
    return named | {"mean": torch.full((dim,), mean), "std": torch.full((dim,), std), "weight": torch.ones(dim)}


def _channels(embed: Tensor, config: JascoConfig, dim: int) -> Tensor:
    """Frames, then chords, drums and tune in their order; chords, tune and drums in ours."""
    controls = config.controls
    sizes = {name: lane.channels for name, lane in (("chords", controls.chords), ("drums", controls.drums)) if lane is not None}
    sizes |= {"melody": controls.melody.channels} if controls.melody is not None else {}
    if embed.shape[1] != dim + sum(sizes.values()):
        return embed  # which does not fit, and is refused as such
    frames, *parts = embed.split([dim, *sizes.values()], dim=1)
    lanes = dict(zip(sizes, parts, strict=True))
    return torch.cat([frames, *(lanes[name] for name in ("chords", "melody", "drums") if name in lanes)], dim=1)


def _chords(table: Tensor) -> dict[str, Tensor]:
    """Rows in the order of our labels."""
    rows = [CHORDS.index(label) for label in LABELS]
    return {"conditioners.chords.table.weight": table[rows], "conditioners.chords.null": table[len(CHORDS)].clone()}
