"""Making a loaded model fast: fewer bits for its weights, and its step compiled.

"fp32" are the weights as they are loaded; "bf16", "int8" and "int4" are a half, a quarter and an eighth of that to read, but
only a compiled step gains time by it: without one, "int8" and "int4" save memory alone.  "auto" takes what is fastest of those
that cost less than 1 % of cross-entropy (benchmarks/results/inference.md): 8 bits for large autoregressive models, 16 for large
flows where the processor multiplies them, and 32 for small models, which wait for no memory.
Only backbones and heads change; embeddings, conditioners and codecs stay as they are.
"""

import math
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from counterpoint.machine import compiler, free_memory, multiplies_bf16, return_memory
from counterpoint.nn import native
from counterpoint.nn.compact import Compact, Precision
from counterpoint.nn.swift import Swift, shrink
from counterpoint.nn.transformer import Transformer
from counterpoint.systems.base import System
from counterpoint.systems.musicgen import Musicgen

Choice = Literal["auto", "fp32", "bf16", "int8", "int4"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
LARGE = 50_000_000
"""Weights of a backbone from which reading them takes most of a step: fewer fit in a processor's caches."""
BYTES: dict[Precision, float] = {"fp32": 4.0, "bf16": 2.0, "int8": 1.01, "int4": 0.63}
"""Of a weight, with its share of the scales."""
_BACKBONE = re.compile(r"^backbone\.|^decoder\.model\.decoder\.layers\.")
"""Its tensors in our files, and in transformers'."""


def place(name: str) -> torch.device:
    """Where to compute.  Raises ValueError."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without that kind
        raise ValueError(f"There is no device {name!r} here; use cpu, or cuda where a GPU is at hand.") from error


def check(choice: str, device: torch.device, compiled: bool) -> None:
    """Raises ValueError for what this machine lacks, before anything is loaded."""
    if choice not in CHOICES:
        raise ValueError(f"There is no dtype {choice!r}; choose one of {', '.join(CHOICES)}.")
    if choice == "int4" and device.type != "cpu":
        raise ValueError(f"int4 is there for CPUs only, not for {device.type}; choose int8 or bf16.")
    if choice == "bf16" and not multiplies_bf16(device):
        raise ValueError("This processor has no instructions for bf16, which would be slower than fp32; choose fp32 or int8.")
    if compiled and device.type == "cpu" and not compiler():
        raise ValueError("compile needs a C++ compiler, and there is none here; install g++, or leave compile out.")


def check_memory(folder: Path, choice: str) -> None:
    """Raises ValueError where loading a checkpoint takes more than is free."""
    kept = 4.0 if choice == "auto" else BYTES[_precision(choice)]
    kinds = (list(folder.rglob(pattern)) for pattern in ("*.safetensors", "*.bin", "*.ckpt"))
    files = next(filter(None, kinds), [])  # those that are read, of several copies
    needed, free = sum(int(_bytes(file, kept)) for file in files), free_memory()
    if free is not None and needed > free:
        less = sum(int(_bytes(file, BYTES["int8"])) for file in files)
        way = f"load it as int8, which takes {less / 1e9:.1f} GB" if less <= free else "choose a smaller model"
        raise ValueError(
            f"{folder.name} needs about {needed / 1e9:.1f} GB to load and {free / 1e9:.1f} GB are free; close other programs, "
            f"or {way}."
        )


def _bytes(file: Path, kept: float) -> float:
    """What a file of weights needs: as many bytes a number as are kept in the backbone's layers, which are read one by one, and
    4 elsewhere.  Another library's pickle, of 16-bit numbers perhaps, is there whole, too.  What is damaged is told by its
    reader."""
    try:
        with safe_open(file, "pt") as tensors:
            sizes = {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except SafetensorError:
        return file.stat().st_size * (1 + kept / 2)
    return sum(size * (kept if _BACKBONE.search(name) else 4.0) for name, size in sizes.items())


def made_on(device: torch.device, beside: int = 0) -> dict[str, Any]:
    """What may change a bit of what is computed."""
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": device.type,
        "threads": torch.get_num_threads(),
        **({"beside": beside} if beside else {}),
    }


def items_at_once(system: System, frames: int) -> int:
    """How many canvases of so many frames fit into half of the free memory side by side, told twice for guidance; at least 1.

    Counted are keys and values of every block and what one block works with: some sixteen vectors of its width a frame.
    """
    free, config = free_memory(), _backbone(system).config
    each = 2 * 4 * frames * config.width * (2 * config.depth * config.causal + 16)
    return 1 if free is None else max(1, free // 2 // each)


def settle(choice: str, system: System, device: torch.device) -> Precision:
    """The precision that "auto" stands for, or that the system was read in."""
    backbone = _backbone(system)
    if read := [part for part in backbone.modules() if isinstance(part, Compact)]:
        return read[0].precision
    if choice != "auto":
        return _precision(choice)
    if sum(weight.numel() for weight in backbone.parameters()) < LARGE:
        return "fp32"
    if backbone.config.causal:
        return "int8"
    return "bf16" if multiplies_bf16(device) else "fp32"


def _precision(choice: str) -> Precision:
    return next(known for known in get_args(Precision) if known == choice)


def quicken(system: System, choice: str, device: torch.device, compiled: bool) -> dict[str, Any]:
    """Give a loaded system's backbone and head so many bits, in place, and have its step compiled; what of that is not as it
    was, by name.

    Raises ValueError as `check` does.
    """
    check(choice, device, compiled)
    precision, backbone = settle(choice, system, device), _backbone(system)
    natively = _natively(backbone, device, compiled)
    if (quick := system.get_submodule("backbone")) is not backbone:
        return {"dtype": precision, "compiled": isinstance(quick, Swift) and quick.way != "plain"}
    read = [part for part in backbone.modules() if isinstance(part, Compact)]
    if read and (choice not in ("auto", precision) or read[0].natively != natively):
        raise ValueError(f"The model was read in {precision} and cannot be made {choice} any more; load it again as that.")
    if precision == "fp32" and not compiled:
        return {}
    if natively:
        native.library()
    if backbone.config.causal:
        system.add_module("backbone", Swift(backbone, precision, "native" if natively else "torch" if compiled else "plain"))
    else:
        shrink(backbone, precision)
        if compiled:
            backbone.compile()
    if isinstance(system, Musicgen) and isinstance(system.out, nn.Linear):
        system.add_module("out", Compact(system.out, precision, natively))
    return {"dtype": precision, "compiled": compiled}


def watch(choice: str, device: torch.device, compiled: bool) -> Callable[[System], Callable[[str], None] | None]:
    """For `checkpoint.load`: what `quicken` would do to a layer is done as soon as that is filled, so that 32 bits of all are
    never there at once.  `quicken` does the rest.  Raises ValueError as that does."""
    check(choice, device, compiled)

    def begin(system: System) -> Callable[[str], None] | None:
        precision, backbone = settle(choice, system, device), _backbone(system)
        if precision == "fp32" and not compiled:
            return None
        natively = _natively(backbone, device, compiled)

        def filled(name: str) -> None:
            layer, (above, _, own) = system.get_submodule(name), name.rpartition(".")
            read_each_step = name.startswith("backbone.") or (name == "out" and isinstance(system, Musicgen))
            if read_each_step and isinstance(layer, nn.Linear):
                system.get_submodule(above).add_module(own, Compact(layer, precision, natively))
                del layer
                return_memory()

        return filled

    return begin


def _natively(backbone: Transformer, device: torch.device, compiled: bool) -> bool:
    """Whether its step is `native`'s."""
    return compiled and device.type == "cpu" and backbone.config.causal


def _backbone(system: System) -> Transformer:
    backbone = system.get_submodule("backbone")
    backbone = backbone.plain if isinstance(backbone, Swift) else backbone
    assert isinstance(backbone, Transformer)
    return backbone
