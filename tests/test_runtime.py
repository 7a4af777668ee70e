"""Fewer bits and a compiled step: the same music but for rounding, and refusals in one sentence."""

import re
import subprocess
import sys
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from counterpoint import machine, runtime
from counterpoint.codecs.spectral import SpectralConfig
from counterpoint.conditioners.words import WordsConfig
from counterpoint.hub import checkpoint
from counterpoint.nn import native
from counterpoint.nn.attention import KeyValues
from counterpoint.nn.compact import GROUP, Compact, compact, multiply
from counterpoint.nn.swift import Past, Swift, step
from counterpoint.nn.transformer import Transformer, TransformerConfig
from counterpoint.systems.jasco import JascoConfig
from counterpoint.systems.musicgen import MusicgenConfig, Sampling
from counterpoint.types import Canvas, Cond, Spec

SPEC = Spec(rate=25.0, dim=8, levels=3, bins=64)
CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "worst"), [("fp32", 1e-6), ("bf16", 2**-8), ("int8", 1 / 127), ("int4", 1 / 7)])
def test_a_matrix_in_few_bits_is_near_the_matrix(precision, worst) -> None:
    """Column by column against unit vectors: no weight is further off than half a step of its row or group, and rounding."""
    weight = torch.randn(64, 2 * GROUP, generator=torch.Generator().manual_seed(0))
    made = multiply(torch.eye(2 * GROUP), compact(weight, precision)).T
    assert (made - weight).abs().max() <= worst * weight.abs().max()


def test_a_matrix_that_four_bits_do_not_fit_has_eight() -> None:
    weight = torch.randn(24, 20)
    assert compact(weight, "int4").weight.dtype == torch.int8


def backbone(**settings) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(**{"width": 64, "depth": 3, "heads": 4, "causal": True, "time": "none", **settings})
    made = config.build().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    return made


SETTINGS = [
    {},
    {"positions": "sinusoidal"},
    {"local": 3},
    {"local": 1},
    {"context": False},
    {"skips": True},
    {"skips": True, "depth": 5},
    {"heads": 2, "feedforward": 1.3},
    {"width": 60, "heads": 10},
]
needs_compiler = pytest.mark.skipif(machine.compiler() is None, reason="needs a C++ compiler")


def walked(swift: Swift, told: bool, items: int = 2) -> torch.Tensor:
    """Nine positions: four at once, then one after another."""
    x, cond = said(told, items, swift.config.width)
    memory = swift.remember(items, 9, 5 if told else 0)
    parts = [swift(x[:, :4], cond, memory=memory), *(swift(x[:, i : i + 1], cond, memory=memory) for i in range(4, 9))]
    return torch.cat(parts, dim=1)


def said(told: bool, items: int = 2, width: int = 64) -> tuple[torch.Tensor, Cond]:
    draw = torch.Generator().manual_seed(1)
    x, context = torch.randn(items, 9, width, generator=draw), torch.randn(items, 5, width, generator=draw)
    mask = torch.arange(5) < torch.tensor([5, 2, 4])[:items, None]
    return x, Cond(context=context, mask=mask) if told else Cond()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@torch.inference_mode()
def test_the_step_for_torchs_compiler_is_the_transformer(settings) -> None:
    """`step` by itself, uncompiled, position after position against all positions at once by the transformer."""
    told = settings.get("context", True)
    x, cond = said(told, width=settings.get("width", 64))
    whole = backbone(**settings)(x, cond)
    swift = Swift(backbone(**settings), "fp32")
    swift.way = "torch"
    assert torch.allclose(walked(swift, told), whole, atol=1e-5)


@needs_compiler
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@torch.inference_mode()
def test_the_native_step_is_the_transformer(settings) -> None:
    told = settings.get("context", True)
    x, cond = said(told, 3, settings.get("width", 64))
    whole = backbone(**settings)(x, cond)
    swift = Swift(backbone(**settings), "fp32", "native")
    made = walked(swift, told, 3)
    assert torch.allclose(made, whole, atol=1e-5)
    with other_threads():
        assert torch.equal(walked(swift, told, 3)[:, 4:], made[:, 4:]), "whatever the number of threads"
    assert torch.equal(walked(deepcopy(swift), told, 3), made)


@contextmanager
def other_threads():
    """Two threads for one, or one for several."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@needs_compiler
@torch.inference_mode()
def test_no_room_is_told_and_nothing_is_written_past_it() -> None:
    swift = Swift(backbone(context=False), "fp32", "native")
    memory = swift.remember(1, 4, 0)
    swift(torch.randn(1, 3, 64), Cond(), memory=memory)
    swift(torch.randn(1, 1, 64), Cond(), memory=memory)
    with pytest.raises(ValueError, match="no room for position 5"):
        swift(torch.randn(1, 1, 64), Cond(), memory=memory)
    with pytest.raises(ValueError, match="no room for position 4 of 2 items"):
        memory.blocks[0].own.length = 3
        swift(torch.randn(2, 1, 64), Cond(), memory=memory)
    with pytest.raises(ValueError, match="96 columns"):
        native.product(torch.randn(1, 64), native.pack(torch.randn(4, 96), None))


@needs_compiler
def test_tiny_numbers_stay_what_they_are() -> None:
    """In a process of its own: some libraries have all that is computed after them take such numbers for 0."""
    code = "import torch; from counterpoint.nn import native; native.library(); print((torch.full((5,), 1e-40) * 1).sum() > 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "tensor(True)\n"


@needs_compiler
@pytest.mark.parametrize("precision", ["bf16", "int8", "int4"])
@torch.inference_mode()
def test_the_native_step_in_few_bits_is_that_of_the_same_bits(precision) -> None:
    """Against the transformer whose matrices are those few bits again as floats: only what is remembered is rounded."""
    whole = backbone()
    for layer in [m for m in whole.modules() if isinstance(m, nn.Linear)]:
        layer.weight.copy_(multiply(torch.eye(layer.in_features), compact(layer.weight.detach(), precision)).T)
    x, cond = said(True)
    apart = walked(Swift(backbone(), precision, "native"), True) - whole(x, cond)
    assert 0 < apart.std() < 0.003 * whole(x, cond).std()


@needs_compiler
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8", "int4"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (10, 40), (3, 7), (130, 96)])
def test_native_products_of_any_shape_and_number(precision, height, width) -> None:
    """Whole and broken blocks, one item and more than are kept in a cache, by one thread and two: the same bits."""
    draw = torch.Generator().manual_seed(0)
    few, x = compact(torch.randn(height, width, generator=draw), precision), torch.randn(131, width, generator=draw)
    packed = native.pack(*few)
    meant = x @ multiply(torch.eye(width), few)
    made = native.product(x, packed)
    assert (made - meant).abs().max() < 3e-3 * meant.abs().max()
    assert torch.equal(native.product(x[:1], packed), made[:1]) and torch.equal(native.product(x[-2:], packed), made[-2:])
    with other_threads():
        assert torch.equal(native.product(x, packed), made)


@needs_compiler
def test_sums_of_many_columns_do_not_overflow() -> None:
    few = compact(torch.ones(4, 20_000), "int8")
    assert torch.allclose(native.product(torch.ones(1, 20_000), native.pack(*few)), torch.full((1, 4), 20_000.0), rtol=1e-3)


def test_a_compiler_that_fails_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(native, "compiler", lambda: sys.executable)
    native.library.cache_clear()
    with pytest.raises(ValueError, match=r"does not build the compiled step .*; install g\+\+, or leave compile out"):
        native.library()
    assert list(tmp_path.rglob("*.so")) == []


@needs_compiler
def test_a_damaged_library_is_built_anew(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    built = native._folder() / f"step-{native._digest(str(machine.compiler()))}.so"
    built.parent.mkdir(parents=True)
    built.write_bytes(b"")
    native.library.cache_clear()
    native.library()
    assert built.stat().st_size > 0


@torch.inference_mode()
def test_room_that_is_not_filled_is_not_looked_at() -> None:
    """As on a GPU, where all of the room is read at every step."""
    swift = Swift(backbone(), "fp32")
    swift.remember(1, 8, 2)
    x, weights = torch.randn(1, 64), _first(swift)
    room = KeyValues(torch.randn(1, 4, 8, 16), torch.randn(1, 4, 8, 16), 3)
    told = (torch.randn(1, 4, 2, 16), torch.randn(1, 4, 2, 16), torch.ones(1, 2, dtype=torch.bool))
    angles = torch.ones(1, 1, 16), torch.zeros(1, 1, 16)
    short = Past(*room.filled(), torch.ones(3, dtype=torch.bool), *told, None)
    all_of_it = Past(room.key, room.value, torch.arange(8) < 3, *told, None)
    assert torch.allclose(step(x, weights, short, angles, 4)[0], step(x, weights, all_of_it, angles, 4)[0], atol=1e-6)


def _first(swift: Swift):
    from counterpoint.nn.swift import _weights

    return _weights(swift.plain)[0]


def musicgen(**sampling):
    torch.manual_seed(3)
    config = MusicgenConfig.tiny().model_copy(update={"sampling": Sampling(top_k=0, guidance={"all": 2.0}, **sampling)})
    return config.build(SPEC).eval()


def made(system, items: int = 1):
    values = {"text": ["slow piano", "fast"][:items]}
    return system.generate(Canvas.blank(items, 12, system.spec, "tokens"), values, list(range(items)))


@pytest.mark.parametrize(("precision", "worst"), [("bf16", 0.02), ("int8", 0.03), ("int4", 0.3)])
@torch.inference_mode()
def test_few_bits_say_nearly_the_same(precision, worst, monkeypatch) -> None:
    """Logits of one history, by their deviation; slow products of bf16 are right, too."""
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda device: True)
    history = torch.randint(SPEC.bins, (1, 3, 12), generator=torch.Generator().manual_seed(0))
    plain, system = musicgen(), musicgen()
    assert runtime.quicken(system, precision, CPU, compiled=False) == {"dtype": precision, "compiled": False}
    cond = plain.conditioners({"text": ["slow piano"]}, plain.spec, 12, 1)
    said, meant = system._logits(history, cond), plain._logits(history, cond)
    assert 0 < (said - meant).std() < worst * meant.std()


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_compiler)])
def test_an_item_alone_is_that_item_in_a_batch(compiled) -> None:
    system = musicgen()
    runtime.quicken(system, "int8", CPU, compiled)
    assert torch.equal(made(system, 2)[:1], made(system, 1))


@needs_compiler
def test_compiled_and_not_the_same_is_made() -> None:
    system = musicgen()
    runtime.quicken(system, "fp32", CPU, compiled=True)
    assert torch.equal(made(system, 2), made(musicgen(), 2))


def test_torchs_compiler_makes_one_step_for_all_blocks() -> None:
    """In a process of its own, without the checks of shapes, which torch's compiler does not read."""
    if machine.compiler() is None:
        pytest.skip("needs a C++ compiler")
    done = subprocess.run([sys.executable, Path(__file__).parent / "compiled_steps.py"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "1 compiled\nfp32 the same\nint8 near\n", done.stderr[-2000:]


def test_auto_by_size_and_paradigm(monkeypatch) -> None:
    assert runtime.settle("auto", musicgen(), CPU) == "fp32"
    monkeypatch.setattr(runtime, "LARGE", 1)
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda device: True)
    assert runtime.settle("auto", musicgen(), CPU) == "int8"
    assert runtime.settle("auto", JascoConfig.tiny().build(SPEC), CPU) == "bf16"
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda device: False)
    assert runtime.settle("auto", JascoConfig.tiny().build(SPEC), CPU) == "fp32"


def test_a_flow_keeps_its_matrices_in_few_bits_too() -> None:
    system = JascoConfig.tiny().build(SPEC).eval()
    runtime.quicken(system, "int8", CPU, compiled=False)
    assert not [m for m in system.backbone.modules() if isinstance(m, nn.Linear)]
    assert any(isinstance(m, Compact) for m in system.backbone.modules())
    canvas = Canvas.blank(1, 10, SPEC)
    assert torch.isfinite(system.generate(canvas, {"text": ["slow"]}, [0])).all()


@pytest.mark.parametrize(
    ("choice", "device", "compiled", "sentence"),
    [
        ("fp16", "cpu", False, "There is no dtype 'fp16'; choose one of auto, fp32, bf16, int8, int4."),
        ("int4", "meta", False, "int4 is there for CPUs only, not for meta; choose int8 or bf16."),
        ("bf16", "cpu", False, "This processor has no instructions for bf16"),
        ("int8", "cpu", True, "compile needs a C++ compiler"),
    ],
)
def test_what_a_machine_lacks_is_told_in_a_sentence(choice, device, compiled, sentence, monkeypatch) -> None:
    monkeypatch.setattr(runtime, "multiplies_bf16", lambda device: False)
    monkeypatch.setattr(runtime, "compiler", lambda: None)
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        runtime.check(choice, torch.device(device), compiled)


def test_too_little_memory_is_refused_with_the_numbers(tmp_path, monkeypatch) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 10**6)
    monkeypatch.setattr(runtime, "free_memory", lambda: 10**6)
    with pytest.raises(ValueError, match=r"needs about 0\.0 GB to load and 0\.0 GB are free; close other programs"):
        runtime.check_memory(tmp_path, "int8")
    monkeypatch.setattr(runtime, "free_memory", lambda: 10**7)
    runtime.check_memory(tmp_path, "int8")


def test_stored_in_eight_bits_a_number_still_takes_four_bytes(tmp_path, monkeypatch) -> None:
    save_file({"a.int8": torch.zeros(1000, 1000, dtype=torch.int8)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(runtime, "free_memory", lambda: 3 * 10**6)
    for choice in ("fp32", "int8"):
        with pytest.raises(ValueError, match="are free"):
            runtime.check_memory(tmp_path, choice)
    monkeypatch.setattr(runtime, "free_memory", lambda: 5 * 10**6)
    runtime.check_memory(tmp_path, "fp32")


def test_of_the_backbone_only_what_is_kept_is_needed(tmp_path, monkeypatch) -> None:
    save_file({"backbone.blocks.0.a.weight": torch.zeros(1000, 1000)}, tmp_path / "model.safetensors")
    monkeypatch.setattr(runtime, "free_memory", lambda: 2 * 10**6)
    runtime.check_memory(tmp_path, "int8")
    with pytest.raises(ValueError, match="are free"):
        runtime.check_memory(tmp_path, "fp32")


WIDE = MusicgenConfig(
    backbone=TransformerConfig(width=768, depth=8, heads=8, causal=True, time="none"),
    words=WordsConfig(dim=16, vocabulary=("a", "b")),
    delays=(0, 1, 2),
    score=None,
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 76 M numbers, and a codec."""
    folder, codec = tmp_path_factory.mktemp("wide"), SpectralConfig(dim=8, levels=3, bins=64, width=32, blocks=1).build()
    spec = codec.spec
    torch.manual_seed(0)
    system = WIDE.build(spec)
    checkpoint.save(folder, system, checkpoint.system_manifest(WIDE, system, codec))
    checkpoint.save(folder / "codec", codec, checkpoint.codec_manifest(codec.config, codec))
    return folder


def test_what_is_read_in_few_bits_is_what_is_made_of_the_whole(stored: Path) -> None:
    whole, lean = checkpoint.load(stored).system, checkpoint.load(stored, runtime.watch("int8", CPU, False)).system
    assert not [part for part in lean.get_submodule("backbone").modules() if isinstance(part, nn.Linear)]
    assert isinstance(lean.get_submodule("out"), Compact)
    for system in (whole, lean):
        assert runtime.quicken(system, "int8", CPU, False) == {"dtype": "int8", "compiled": False}
        assert runtime.quicken(system, "fp32", CPU, False) == {"dtype": "int8", "compiled": False}  # a Model's default
    canvas = Canvas.blank(2, 6, whole.spec, "tokens")
    made = [system.generate(canvas, {"text": ["a", "b"]}, [1, 2]) for system in (whole, lean)]
    assert torch.equal(*made)


def test_what_was_read_in_few_bits_is_made_nothing_else(stored: Path) -> None:
    loaded = checkpoint.load(stored, runtime.watch("int8", CPU, False))
    for choice in ("int4", "fp32"):
        with pytest.raises(ValueError, match=r"was read in int8 and cannot be made .* any more; load it again"):
            runtime.quicken(loaded.system, choice, CPU, False)


LOADED = """
import sys
from counterpoint.generation import load
import counterpoint.runtime
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
before = peak()
model = load(sys.argv[1], dtype=sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks the system for the memory of a process")
@pytest.mark.parametrize(("dtype", "most"), [("fp32", 1.25), ("int8", 0.75)])
def test_loading_takes_little_more_memory_than_what_stays(stored: Path, dtype: str, most: float) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, str(stored), dtype], capture_output=True, text=True, check=True)
    assert int(done.stdout) < most * (stored / "model.safetensors").stat().st_size
