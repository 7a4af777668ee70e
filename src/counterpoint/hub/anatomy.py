"""What a model is, in words and numbers: what it can do, settings, parts, and the shape at every stage of one second."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.codecs.base import Codec
from counterpoint.hub import capabilities, foreign
from counterpoint.hub.checkpoint import (
    CODECS,
    EARS,
    PLANNERS,
    Checkpoint,
    load,
    load_codec,
    load_ear,
    load_planner,
    locate,
    read_manifest,
)
from counterpoint.music import Brief
from counterpoint.types import Canvas, Cond

SECONDS = 1.0
LONG = 8


def describe(source: str | Path) -> str:
    """The text of `counterpoint info`.  Raises ValueError where there is no such model."""
    folder = locate(source)
    if foreign.codec_alone(folder):
        return _describe_codec(folder.name, load_codec(source))
    theirs = load(source) if foreign.system_there(folder) else None
    manifest = read_manifest(folder) if theirs is None else theirs.manifest
    head = [f"{folder.name}: version {manifest.version}", "", *capabilities.table({folder.name: manifest}), ""]
    head += _settings(manifest.model_dump(mode="json", exclude={"capability"}))
    if manifest.kind in CODECS:
        return "\n".join([*head, "", *_coded(load_codec(folder))])
    if manifest.kind in EARS:
        ear, _ = load_ear(folder)
        audio = torch.zeros(1, round(SECONDS * manifest.capability.sample_rate))
        stages = _watch({"ear": ear}, lambda: ear.place(ear.hear(ear.front(audio))), ends="vector")
        return "\n".join([*head, "", *stages])
    if manifest.kind in PLANNERS:
        planner, _ = load_planner(folder)
        stages = _watch({"planner": planner}, lambda: planner.generate(["piano"], [Brief()], SECONDS, [0]), ends="score")
        return "\n".join([*head, "", *stages])
    loaded = theirs or load(folder)
    stages = _watch({"system": loaded.system, "codec": loaded.codec}, lambda: _play(loaded))
    return "\n".join([*head, "", *stages])


def _describe_codec(name: str, codec: Codec) -> str:
    """Of a codec that another library wrote, which has no manifest."""
    spec = codec.spec
    tokens = f", {spec.levels} x {spec.bins} tokens" if spec.levels else ""
    sound = f"{codec.sample_rate} Hz, {codec.channels} channel{'s' * (codec.channels > 1)}"
    return "\n".join(
        [f"{name}: a codec for {sound}: {spec.rate:g} frames a second of {spec.dim} channels{tokens}", "", *_coded(codec)]
    )


def _coded(codec: Codec) -> list[str]:
    audio = torch.zeros(1, codec.channels, round(SECONDS * codec.sample_rate))
    return _watch({"codec": codec}, lambda: codec.decode(codec.encode(audio)))


def _settings(content: Mapping[str, Any], path: str = "") -> list[str]:
    """A line for each setting; long lists (a vocabulary) are counted."""
    lines: list[str] = []
    for name, value in content.items():
        if isinstance(value, Mapping):
            lines += _settings(value, f"{path}{name}.")
        elif isinstance(value, list) and len(value) > LONG:
            lines.append(f"{path}{name} = {len(value)} entries")
        else:
            lines.append(f"{path}{name} = {json.dumps(value)}")
    return lines


def _play(loaded: Checkpoint) -> Tensor:
    """One second in as few steps as can be, told a word."""
    system, sampling = loaded.system, loaded.config.sampling
    known, fewest = type(sampling).model_fields, {"steps": 1, "guidance": {"all": 1.0}}
    few = sampling.model_copy(update={name: value for name, value in fewest.items() if name in known})
    canvas = Canvas.blank(1, system.spec.frames(SECONDS), system.spec, system.view)
    made = system.generate(canvas, {"text": ["piano"]}, [0], few)
    return loaded.codec.decode(loaded.codec.as_frames(made, system.view))


def _watch(roots: dict[str, nn.Module], play: Any, ends: str = "audio") -> list[str]:
    """A line for each part down to two levels: name, kind, parameters, and the shape it gave first while `play` ran."""
    parts = {name: part for root, module in roots.items() for name, part in _parts(root, module, depth=2)}
    shapes: dict[str, str] = {}

    def note(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        shapes.setdefault(name, _shape(output))

    hooks = [part.register_forward_hook(partial(note, name)) for name, part in parts.items()]
    with torch.inference_mode():
        result = play()
    for hook in hooks:
        hook.remove()
    rows = [(name, type(part).__name__, f"{_count(part):,}", shapes.get(name, "")) for name, part in parts.items()]
    rows += [(ends, "", "", _shape(result))]
    rows = [("part", "kind", "parameters", f"gives, for {SECONDS:g} s"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]


def _parts(name: str, module: nn.Module, depth: int) -> list[tuple[str, nn.Module]]:
    below = [row for child, part in module.named_children() for row in _parts(f"{name}.{child}", part, depth - 1)]
    return [(name, module), *(below if depth > 0 else [])]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _shape(output: Any) -> str:
    if isinstance(output, Tensor):
        return " ".join(str(size) for size in output.shape)
    if isinstance(output, Cond):
        ways = {"context": output.context, "frames": output.frames, "vector": output.vector}
        return "; ".join(f"{way} {_shape(tensor)}" for way, tensor in ways.items() if tensor is not None)
    return ""
