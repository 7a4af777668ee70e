"""What this machine can do, as far as it tells."""

import ctypes
import os
import shutil
from functools import cache
from pathlib import Path

import torch


def free_memory() -> int | None:
    """Bytes that new work may take, as far as the system tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    table = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(table["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in table else None


def return_memory() -> None:
    """Have the system get back what is free: glibc keeps what lies between things that are in use, unless it is told to."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of 16-bit floats have instructions of their own."""
    if device.type != "cpu":
        return device.type != "cuda" or torch.cuda.is_bf16_supported()
    return (
        torch.ops.mkldnn._is_mkldnn_bf16_supported() and set(processor().split()) & {"avx512_bf16", "amx_bf16", "bf16"} != set()
    )


def autocast(device: str) -> torch.autocast:
    """Mixed precision in bf16, where it is multiplied."""
    place = torch.device(device)
    return torch.autocast(place.type, torch.bfloat16, enabled=multiplies_bf16(place))


@cache
def processor() -> str:
    """The names of the processor's sets of instructions, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "bf16"  # not to be known: mkldnn's word counts
    found = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return found.split(":", 1)[1].strip()


def compiler() -> str | None:
    """Torch's compiler needs one of C++."""
    named = os.environ.get("CXX")
    return next((path for name in (named, "g++", "clang++") if name and (path := shutil.which(name))), None)
