"""What models can do, as a table: a row for each capability, a column for each model."""

from collections.abc import Mapping
from typing import Any

from counterpoint import config as settings
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import EARS, SYSTEMS, Manifest
from counterpoint.types import View

VIEWS: dict[str, View] = {"jasco": "continuous", "musicgen": "tokens"}
"""What each kind of SYSTEMS makes: told here, so that no network is built to look at a table."""


def overview() -> str:
    """The text of `counterpoint info` without a name: every generator that ships, side by side, then the other models."""
    manifests = {name: checkpoint.read_manifest(checkpoint.locate(name, download=False)) for name in checkpoint.shipped()}
    generators = {name: manifest for name, manifest in manifests.items() if manifest.kind in SYSTEMS}
    others = [f"{name}: {_in_words(manifest.kind)}" for name, manifest in manifests.items() if name not in generators]
    return "\n".join([*table(generators), "", *others, "", "counterpoint info MODEL shows one of them in full."])


def _in_words(kind: str) -> str:
    """What a model is that makes no music by itself."""
    if kind in checkpoint.CODECS:
        return "a codec"
    if kind in checkpoint.PLANNERS:
        return "a planner, which writes scores for others to play"
    return "an ear, which judges music and makes none"


def table(manifests: Mapping[str, Manifest]) -> list[str]:
    """The lines of the table, by the names of the models; what a model cannot do is "-"."""
    columns = {name: _of(manifest) for name, manifest in manifests.items()}
    names = sorted(dict.fromkeys(row for column in columns.values() for row in column), key=_place)
    rows = [("", *columns), *((name, *(column.get(name, "-") for column in columns.values())) for name in names)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


GROUPS = ("kind", "is told", "can", "makes", "hears", "sampled by", "licence")
"""What rows begin with, in their order; within a group they stand as the models state them."""


def _place(row: str) -> int:
    return next(i for i, group in enumerate(GROUPS) if row.startswith(group))


def _of(manifest: Manifest) -> dict[str, str]:
    """A model's column: a row's name and what stands there."""
    can = manifest.capability
    rows = {"kind": manifest.kind}
    rows |= {f"is told {name}": "yes" for name in can.conditions} | {f"can {task}": "yes" for task in can.tasks}
    if manifest.kind in SYSTEMS:
        config = settings.parse(SYSTEMS[manifest.kind], manifest.config)
        rows["makes"] = {"continuous": "continuous frames", "tokens": "tokens"}[VIEWS[manifest.kind]]
        rows["makes at most"] = f"{can.max_seconds:g} s"
        rows["makes at once"] = f"{config.window_seconds:g} s"
        sampling = config.sampling.model_dump(mode="json", exclude_none=True)
        rows |= {f"sampled by {name}": _value(value) for name, value in sampling.items()}
    sound = {1: "mono", 2: "stereo"}.get(can.channels, f"{can.channels} channels")
    verb = "hears" if manifest.kind in EARS else "makes"
    return rows | {f"{verb} sound of": f"{can.sample_rate} Hz, {sound}", "licence": can.licence}


def _value(value: Any) -> str:
    """A setting as one types it."""
    if isinstance(value, Mapping):
        return f"{value['all']:g}" if set(value) == {"all"} else ",".join(f"{name}={_value(v)}" for name, v in value.items())
    if isinstance(value, list):
        return ":".join(_value(part) for part in value)
    return f"{value:g}" if isinstance(value, int | float) else str(value)
