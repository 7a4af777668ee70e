"""How fast a model makes music here, beside what the machine could do: its memory's speed and its matrix products.

Every cell is measured in a process of its own (`measure`), so that no cell warms another and peak memory is its own.  A model
is a shipped name, a folder, or the name of a size in SIZES, which has random weights: speed does not depend on what they are.
A step of autoregression reads every weight of backbone and head once; so the memory's speed over their bytes is the limit that
shares are told of.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from counterpoint import generation, runtime
from counterpoint.codecs.base import Codec
from counterpoint.codecs.encodec import EncodecConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.generation import Model
from counterpoint.hub import checkpoint
from counterpoint.hub.checkpoint import Checkpoint, SystemConfig
from counterpoint.hub.filling import Filled, Unset
from counterpoint.hub.foreign import Watch
from counterpoint.nn.folding import fold
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.systems.base import System
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.jasco import Sampling as FlowSampling
from counterpoint.systems.musicgen import MusicgenConfig
from counterpoint.types import Canvas

PROMPT = "a bossa nova with flute and nylon guitar, 120 bpm"
_WORDS = WordsConfig(dim=768, vocabulary=tuple(PROMPT.replace(",", "").split()))
_FAST = FlowSampling(solver="midpoint", steps=2)  # eight evaluations with guidance, as jasco-tiny's best (few-steps.md)
_FLOW = TransformerConfig(time="context", positions="sinusoidal", skips=True)
SIZES: dict[str, tuple[SystemConfig, EncodecConfig]] = {
    "musicgen-small": (MusicgenConfig(words=_WORDS, score=None), EncodecConfig()),
    "jasco-small": (JascoConfig(words=_WORDS, score=None, backbone=_FLOW, sampling=_FAST), EncodecConfig()),
    "jasco-small-25": (
        JascoConfig(words=_WORDS, score=None, backbone=_FLOW, sampling=_FAST),
        EncodecConfig(ratios=(8, 8, 5, 4)),
    ),
}
"""Networks of the paper's size (recipes/musicgen-small.toml, jasco-small.toml) with EnCodec at 50 or 25 frames a second; their
words are a table instead of T5."""


@dataclass(frozen=True)
class Cell:
    """What is measured: a part of a model, how it is made fast, for how many items and seconds of music."""

    part: str
    """One of PARTS."""
    model: str = "musicgen-small"
    dtype: runtime.Choice = "auto"
    compile: bool = False
    batch: int = 1
    seconds: float = 2.0
    threads: int = 0
    """0: as many as torch takes."""
    device: str = "cpu"
    clock: Literal["wall", "cpu"] = "wall"
    """Of one thread, the processor's own seconds can be counted instead, where others work on the same machine."""

    @property
    def now(self) -> Callable[[], float]:
        return time.perf_counter if self.clock == "wall" else time.process_time


def measure(cell: Cell) -> dict[str, Any]:
    """The figures of a cell, from a fresh process.  Raises ValueError where that fails, with its last words."""
    command = [sys.executable, "-m", "counterpoint.benchmark", json.dumps(vars(cell))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise ValueError(f"{cell.part} of {cell.model} as {cell.dtype} could not be measured ({last.removesuffix('.')}).")
    return json.loads(done.stdout.strip().splitlines()[-1])


def machine(cell: Cell) -> dict[str, Any]:
    """Gigabytes that are read, and thousand million operations of matrix products, in a second; the best of several tries."""
    block = torch.zeros(2**26)
    figures: dict[str, Any] = {"read": 4 * block.numel() / _best(block.sum, 8, cell) / 1e9}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x, weight = torch.randn(1024, 1024).to(dtype), torch.randn(4096, 1024).to(dtype)
        figures[name] = 2 * x.numel() * 4096 / _best(lambda: nn.functional.linear(x, weight), 5, cell) / 1e9  # noqa: B023
    return figures


def _best(work: Callable[[], object], tries: int, cell: Cell) -> float:
    """Seconds of the fastest of several tries, after one that does not count."""
    work()
    times = []
    for _ in range(tries):
        started = cell.now()
        work()
        times.append(cell.now() - started)
    return min(times)


def open_system(cell: Cell) -> tuple[System, Codec | None]:
    """The system of a cell, loaded or made up, as fast as it is asked to be; and the codec that a folder gives with it."""
    watch, codec = runtime.watch(cell.dtype, torch.device("cpu"), cell.compile), None
    if cell.model in SIZES:
        system = made_up(cell.model, watch)
    else:
        loaded = checkpoint.load(cell.model, watch)
        system, codec = loaded.system, loaded.codec
    runtime.quicken(system.eval(), cell.dtype, torch.device("cpu"), cell.compile)
    return system, codec


def _bytes(*parts: nn.Module | None) -> float:
    return float(sum(tensor.nbytes for part in parts if part is not None for tensor in [*part.parameters(), *part.buffers()]))


def open_codec(cell: Cell) -> Codec:
    """The codec of a cell."""
    if cell.model not in SIZES:
        return fold(checkpoint.load_codec(cell.model))
    return fold(SIZES[cell.model][1].build().eval())


def open_model(cell: Cell) -> Model:
    """Both."""
    if cell.model not in SIZES:
        return generation.load(cell.model, dtype=cell.dtype, compile=cell.compile)
    (system, _), codec = open_system(cell), open_codec(cell)
    config = SIZES[cell.model][0]
    manifest = checkpoint.system_manifest(config, system, codec)
    return Model(Checkpoint(system, config, codec, cell.model, "random", manifest), "cpu", cell.dtype, cell.compile)


def made_up(model: str, watch: Watch) -> System:
    """A system of that size with random weights."""
    config, codec = SIZES[model]
    with Unset():  # not on meta: what torch needs to norm the codec's weights there takes 70 MB
        spec = codec.build().spec
    with torch.device("meta"), Unset():
        system = config.build(spec)
    scatter(system, "cpu", watch(system))
    return system


def scatter(system: System, device: str, filled: Filled | None = None) -> None:
    """Small random weights for a system without any, a layer after the other; of the buffers, means are 0, the others 1."""
    draw = torch.Generator(device).manual_seed(0)
    for name in [name for name, _ in system.named_modules()]:
        _scatter(system.get_submodule(name).to_empty(device=device, recurse=False), draw)
        if filled is not None:
            filled(name)


@torch.no_grad()
def _scatter(layer: nn.Module, draw: torch.Generator) -> None:
    for parameter in layer.parameters(recurse=False):
        parameter.uniform_(-0.03, 0.03, generator=draw)
    for name, numbers in layer.named_buffers(recurse=False):
        numbers.fill_(0.0 if name == "mean" else 1.0)


def read_each_step(system: System) -> int:
    """Bytes of the weights that a step of autoregression reads: the backbone's matrices but for keys and values of the
    context, which are made once, and the head."""
    parts = [system.get_submodule("backbone"), system.get_submodule("out")]
    tensors = {}
    for part in parts:
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            if "cross.key_value" not in name:
                tensors[id(tensor)] = tensor.numel() * tensor.element_size()
    return sum(tensors.values())


WARM = 4
"""Steps that do not count: in them weights are packed and the compiler works."""


def step(cell: Cell) -> dict[str, Any]:
    """Steps a second of autoregression with guidance and sampling, or the seconds of a flow's canvas."""
    idle = peak_memory()
    system, codec = open_system(cell)
    frames = system.spec.frames(cell.seconds)
    canvas, values = Canvas.blank(cell.batch, frames, system.spec, system.view), {"text": [PROMPT] * cell.batch}
    marks = [cell.now()]
    list(system.stream(canvas, values, list(range(cell.batch)), progress=lambda done, total: marks.append(cell.now())))
    figures = {"seconds": marks[-1] - marks[0], "memory": peak_memory(), "rate": system.spec.rate}
    figures |= {"idle": idle, "weights": _bytes(system, codec)}  # what Python and torch take alone, and what is kept
    if system.view == "tokens":
        figures |= {**_pace(marks), "read": read_each_step(system)}
    return figures


def _pace(marks: list[float]) -> dict[str, float]:
    """Steps a second, on the mean and of the median step, from the times at which steps were done."""
    each = [later - before for before, later in zip(marks[WARM:], marks[WARM + 1 :], strict=False)]
    return {"steps": len(each) / sum(each), "median": 1 / statistics.median(each), "warming": marks[WARM] - marks[0]}


def sound(cell: Cell) -> dict[str, Any]:
    """Seconds of music that the codec decodes in a second."""
    codec = open_codec(cell)
    frames = torch.randn(cell.batch, codec.spec.frames(cell.seconds), codec.spec.dim)
    with torch.inference_mode():
        took = _best(lambda: codec.decode(frames), 3, cell)
    return {"speed": cell.seconds * cell.batch / took, "memory": peak_memory()}


def words(cell: Cell) -> dict[str, Any]:
    """Seconds in which a prompt is read by the conditioners."""
    system, _ = open_system(replace(cell, dtype="fp32", compile=False))
    with torch.inference_mode():
        return {"seconds": _best(lambda: system.conditioners({"text": [PROMPT]}, system.spec, 10, 1), 5, cell)}


def listen(cell: Cell) -> dict[str, Any]:
    """Seconds until the first audio of a stream and until all of it is there, after one that does not count."""
    model = open_model(cell)
    list(model.stream(PROMPT, seconds=2.0, plan="none"))
    stream = model.stream(PROMPT, seconds=cell.seconds, plan="none")
    list(stream)
    return {**stream.record["timings"], "memory": peak_memory()}


def peak_memory() -> float:
    """Of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def peer(cell: Cell) -> dict[str, Any]:
    """Steps a second of transformers' MusicGen decoder of the same size, two rows for each item, with its cache: the network
    alone, without guidance and sampling.  Raises ValueError where it is not installed."""
    dtype = {"bf16": torch.bfloat16}.get(cell.dtype, torch.float32)
    with torch.device("meta"):
        network = transformers_network(SIZES[cell.model][0].backbone)
    network = network.to(dtype).to_empty(device=cell.device).eval()
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():
                tensor.uniform_(-0.03, 0.03)
    marks = write_theirs(network, 2 * cell.batch, round(cell.seconds * 50), cell.now)
    return {**_pace(marks), "memory": peak_memory(), "rate": 50.0}


def transformers_network(backbone: TransformerConfig) -> nn.Module:
    """Their MusicGen decoder of the same sizes.  Raises ValueError where transformers is not installed."""
    try:
        from transformers import MusicgenDecoderConfig, MusicgenForCausalLM
    except ImportError as error:
        raise ValueError("The peer needs transformers; python -m pip install 'counterpoint[text]'.") from error
    sizes: dict[str, Any] = {"num_hidden_layers": backbone.depth, "ffn_dim": int(backbone.feedforward * backbone.width)}
    return MusicgenForCausalLM(MusicgenDecoderConfig(hidden_size=backbone.width, num_attention_heads=backbone.heads, **sizes))


@torch.inference_mode()
def write_theirs(network: nn.Module, rows: int, steps: int, now: Callable[[], float]) -> list[float]:
    """Times at which steps of transformers' network were done, one position of `rows` items at a time under twelve words."""
    like = next(network.parameters())
    context = torch.randn(rows, 12, network.config.hidden_size).to(like)  # pyright: ignore
    past, marks = None, [now()]
    for _ in range(steps):
        tokens = torch.zeros(rows * 4, 1, dtype=torch.long, device=like.device)
        made = network(input_ids=tokens, encoder_hidden_states=context, past_key_values=past, use_cache=True)
        past = made.past_key_values
        marks.append(now())
    return marks


def peer_codec(cell: Cell) -> dict[str, Any]:
    """Seconds of music that the decoder of transformers' EnCodec makes in a second, at MusicGen's size."""
    try:
        from transformers import EncodecConfig as TheirConfig
        from transformers import EncodecModel
    except ImportError as error:
        raise ValueError("The peer needs transformers; python -m pip install 'counterpoint[text]'.") from error
    ours = SIZES[cell.model][1]
    shape: dict[str, Any] = {"upsampling_ratios": list(ours.ratios), "num_filters": ours.filters, "hidden_size": ours.dim}
    style: dict[str, Any] = {"use_causal_conv": False, "use_conv_shortcut": False, "normalize": False, "pad_mode": "constant"}
    codec = EncodecModel(TheirConfig(sampling_rate=ours.sample_rate, codebook_size=ours.bins, **shape, **style)).eval()
    frames = torch.randn(cell.batch, ours.dim, round(cell.seconds * 50))
    with torch.inference_mode():
        took = _best(lambda: codec.decoder(frames), 3, cell)
    return {"speed": cell.seconds * cell.batch / took, "memory": peak_memory()}


PARTS: dict[str, Callable[[Cell], dict[str, Any]]] = {
    "machine": machine,
    "step": step,
    "codec": sound,
    "words": words,
    "listen": listen,
    "peer": peer,
    "peer_codec": peer_codec,
}


if __name__ == "__main__":
    asked = Cell(**json.loads(sys.argv[1]))
    if asked.threads:
        torch.set_num_threads(asked.threads)
    sys.stdout.write(json.dumps(PARTS[asked.part](asked)) + "\n")
