"""`step.cpp`: built by the machine's C++ compiler when it is first asked for, kept in the user's cache, called by addresses.

What is built belongs to this source, this compiler and this processor; anything else is built anew.
"""

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from counterpoint.machine import compiler, processor
from counterpoint.nn.transformer import BlockMemory, Memory

SOURCE = Path(__file__).with_name("step.cpp")
FLAGS = ("-O3", "-march=native", "-std=c++17", "-shared", "-fPIC", "-w")
FAST = ("-ffast-math", "-fno-associative-math", "-nostartfiles")
"""Exponentials of whole vectors, but no sum in another order, and none of the start files with which this would have the whole
process take tiny numbers for 0."""
THREADS = "-fopenmp"  # not every compiler knows it
BLOCK = 32
"""Columns of a matrix that lie together; in 4 bits they share a scale."""
KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2, torch.uint8: 3}
"""Of matrices, by what they store: step.cpp's FULL, HALF, EIGHT and FOUR."""

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_int64


def _structure(name: str, **fields: type) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


Matrix = _structure("Matrix", weight=_POINTER, scale=_POINTER, kind=_COUNT, width=_COUNT, height=_COUNT)
Norm = _structure("Norm", weight=_POINTER, bias=_POINTER)
Block = _structure(
    "Block",
    skip=Matrix,
    skip_bias=_POINTER,
    local=_POINTER,
    attention_norm=Norm,
    query=Matrix,
    key_value=Matrix,
    out=Matrix,
    cross_norm=Norm,
    cross_query=Matrix,
    cross_out=Matrix,
    feedforward_norm=Norm,
    expand=Matrix,
    contract=Matrix,
)
Past = _structure("Past", key=_POINTER, value=_POINTER, told_key=_POINTER, told_value=_POINTER, recent=_POINTER)
Shape = _structure(
    "Shape",
    **dict.fromkeys(
        ("items", "width", "heads", "inner", "taps", "skips", "threads", "length", "room", "told", "told_room", "half"), _COUNT
    ),
    told_mask=_POINTER,
    cosines=_POINTER,
    sines=_POINTER,
)


@cache
def library() -> ctypes.CDLL:
    """The functions of step.cpp.  Raises ValueError where they cannot be built."""
    if (chosen := compiler()) is None:
        raise ValueError("compile needs a C++ compiler, and there is none here; install g++, or leave compile out.")
    built = _folder() / f"step-{_digest(chosen)}.so"
    try:
        loaded = ctypes.CDLL(str(built))
    except OSError:  # not there yet, or damaged
        _build(built, chosen)
        loaded = _loaded(built)
    loaded.step.argtypes = [_POINTER, _POINTER, _POINTER, _COUNT, _POINTER]
    loaded.product.argtypes = [_POINTER, _POINTER, _COUNT, _POINTER, _COUNT]
    loaded.step.restype = loaded.product.restype = None
    return loaded


class Packed(NamedTuple):
    """A matrix of `compact.Matrix`'s kinds as step.cpp reads it: four rows side by side, BLOCK columns at a time."""

    weight: Shaped[Tensor, "strips blocks four columns"]
    scale: Tensor | None
    height: int
    width: int


def pack(weight: Shaped[Tensor, "n k"], scale: Tensor | None) -> Packed:
    """The same numbers in another order, with zeros for rows and columns that are missing from whole blocks."""
    columns = BLOCK // 2 if weight.dtype == torch.uint8 else BLOCK  # two to a byte
    height, width = len(weight), weight.shape[1] * BLOCK // columns
    missing = (0, -weight.shape[1] % columns, 0, -height % 4)
    whole = (F.pad(weight, missing) if any(missing) else weight).reshape(-(-height // 4), 4, -1, columns)
    if weight.dtype == torch.uint8 and scale is not None:
        scale = F.pad(scale, (0, 0, 0, 0, 0, -height % 4)).unflatten(0, (-1, 4)).transpose(1, 2).contiguous()
    return Packed(whole.transpose(1, 2).contiguous(), scale, height, width)


def _loaded(built: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(built))
    except OSError as error:
        raise ValueError(f"The compiled step cannot be loaded ({error}); mend that, or leave compile out.") from error


def product(x: Float[Tensor, "r k"], packed: Packed) -> Float[Tensor, "r n"]:
    """x W^T, as 32-bit floats."""
    if x.shape[1] != packed.width:
        raise ValueError(f"A matrix of {packed.width} columns is not multiplied with vectors of {x.shape[1]} numbers.")
    x = x.float().contiguous()
    made = x.new_empty(len(x), packed.height)
    library().product(ctypes.byref(_matrix(packed)), x.data_ptr(), len(x), made.data_ptr(), torch.get_num_threads())
    return made


def _matrix(packed: Packed) -> ctypes.Structure:
    weight, scale, height, width = packed
    return Matrix(weight.data_ptr(), _address(scale), KINDS[weight.dtype], width, height)


def blocks(weights: Sequence[Any]) -> ctypes.Array[ctypes.Structure]:
    """Where the weights of each block lie (nn/swift.py's Weights, which must be kept as long as these are used)."""
    return (Block * len(weights))(*map(_block, weights))


def _block(weights: Any) -> ctypes.Structure:
    places: dict[Any, Any] = {Matrix: _matrix, Norm: lambda norm: Norm(*map(_address, norm))}
    made = Block()
    for name, kind, *_ in Block._fields_:
        if (value := getattr(weights, name)) is not None:
            setattr(made, name, places.get(kind, _address)(value))
    return made


def step(
    x: Float[Tensor, "r h"],
    weights: ctypes.Array[ctypes.Structure],
    memory: Memory,
    heads: int,
    told_mask: Bool[Tensor, "r c"] | None,
    angles: Sequence[Float[Tensor, "r d"]] | None,
) -> None:
    """One position through all blocks, in place, which joins the memory.  x and angles lie whole, on the CPU, in 32 bits."""
    first, mask = memory.blocks[0], None if told_mask is None else told_mask.expand(len(x), -1).contiguous()
    if memory.length >= first.own.key.shape[2] or len(x) != len(first.own.key):
        room = f"{first.own.key.shape[2]} positions of {len(first.own.key)} items"
        raise ValueError(
            f"A memory of {room} has no room for position {memory.length + 1} of {len(x)} items; make a larger one."
        )
    if mask is not None and first.told is not None and mask.shape[1] != first.told.length:
        raise ValueError(
            f"A mask of {mask.shape[1]} does not fit a context of {first.told.length}; give one for each of its tokens."
        )
    for block in memory.blocks:  # the plain transformer leaves a view there
        block.recent = None if block.recent is None else block.recent.contiguous()
    pasts = (Past * len(weights))(*map(_past, memory.blocks))
    cosines, sines = angles or (None, None)
    shape = Shape(
        items=len(x),
        width=x.shape[1],
        heads=heads,
        inner=weights[0].expand.height,
        taps=0 if first.recent is None else first.recent.shape[-1] + 1,
        skips=sum(bool(block.skip.weight) for block in weights),
        threads=torch.get_num_threads(),
        length=memory.length,
        room=first.own.key.shape[2],
        told=0 if first.told is None else first.told.length,
        told_room=0 if first.told is None else first.told.key.shape[2],
        half=first.own.key.dtype == torch.bfloat16,
        told_mask=_address(mask),
        cosines=_address(cosines),
        sines=_address(sines),
    )
    library().step(x.data_ptr(), weights, pasts, len(weights), ctypes.byref(shape))
    for block in memory.blocks:
        block.own.length += 1


def _past(block: BlockMemory) -> ctypes.Structure:
    told = (None, None) if block.told is None else (block.told.key.data_ptr(), block.told.value.data_ptr())
    return Past(block.own.key.data_ptr(), block.own.value.data_ptr(), *told, _address(block.recent))


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "counterpoint" / "native"


def _digest(chosen: str) -> str:
    made_by = subprocess.run([chosen, "--version"], capture_output=True, text=True).stdout
    parts = (SOURCE.read_text(encoding="utf-8"), *FLAGS, *FAST, THREADS, made_by, platform.machine(), processor())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _build(built: Path, chosen: str) -> None:
    """Compile into a folder beside, then take the name: two processes at once do no harm."""
    try:
        built.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=built.parent) as folder:
            made = Path(folder) / built.name
            command = [chosen, *FLAGS, *FAST, str(SOURCE), "-o", str(made)]
            tries = [subprocess.run([*command, THREADS], capture_output=True, text=True)]
            if tries[0].returncode:
                tries.append(subprocess.run(command, capture_output=True, text=True))
            if tries[-1].returncode:
                said = next((line for line in tries[-1].stderr.splitlines() if "error" in line.lower()), "it says nothing")
                raise ValueError(f"{chosen} does not build the compiled step ({said}); install g++, or leave compile out.")
            os.replace(made, built)
    except OSError as error:
        raise ValueError(
            f"The compiled step cannot be built in {built.parent} ({error.strerror}); mend that, or leave compile out."
        ) from error
