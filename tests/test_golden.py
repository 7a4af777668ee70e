"""Numbers that must not move unnoticed: what tiny seeded models, solvers and the codec give, as stored beside this file.

Where a change of the numbers is meant, `python tests/test_golden.py` writes them anew; say in the commit why they moved.
"""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from counterpoint.codecs.spectral import Spectral, SpectralConfig
from counterpoint.nn.griffin_lim import griffin_lim
from counterpoint.nn.spectral import stft
from counterpoint.nn.transformer import TransformerConfig
from counterpoint.paradigms.solvers import SOLVERS, uniform
from counterpoint.systems.jasco import Jasco, JascoConfig
from counterpoint.types import Batch, Canvas, Cond, Spec

STORED = Path(__file__).parent / "golden" / "numbers.safetensors"
SPEC = Spec(rate=25.0, dim=6)
SECONDS, RATE = 0.8, 8000


def numbered(module: torch.nn.Module) -> None:
    """Weights that no initialisation and no generator of torch decides."""
    for i, (_, parameter) in enumerate(sorted(module.named_parameters())):
        place = torch.arange(parameter.numel(), dtype=torch.float64)
        scale = 0.5 * max(1, parameter[0].numel()) ** -0.5
        parameter.data.copy_((scale * torch.sin(0.7 * i + 1.3 * place + 0.01 * place**1.5)).reshape(parameter.shape))


def waves(*shape: int) -> Tensor:
    """Numbers in [-1, 1] that look like chance."""
    place = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(1.7 * place + 0.013 * place**1.7).float().reshape(shape)


def tune() -> Tensor:
    """Three partials that fade, "1 1 n"."""
    time = torch.arange(round(SECONDS * RATE), dtype=torch.float64) / RATE
    tones = sum(torch.sin(2 * math.pi * hertz * time) / (1 + i) for i, hertz in enumerate((220.0, 660.0, 1234.0)))
    return (0.2 * torch.exp(-3 * time) * tones).float()[None, None]


def codec() -> Spectral:
    """A tiny codec whose basis is a cosine transform."""
    made = SpectralConfig.tiny().build().eval()
    numbered(made)
    size, kept = made.basis.shape
    angle = (torch.arange(size)[:, None] + 0.5) * torch.arange(1, kept + 1) * (math.pi / size)
    made.basis.copy_(math.sqrt(2 / size) * torch.cos(angle))
    made.centre.fill_(0.3)
    for i, layer in enumerate(made.quantizer.buffers()):
        layer.copy_(waves(*layer.shape) / (1 + i))
    return made


def system() -> Jasco:
    made = JascoConfig.tiny().build(SPEC).eval()
    numbered(made)
    return made


@torch.no_grad()
def numbers() -> dict[str, Tensor]:
    """All that is watched, by name."""
    torch.set_num_threads(1)
    coder, model = codec(), system()
    frames = coder.encode(tune())
    magnitude = stft(tune()[0], 512, 80).abs()
    canvas = Canvas(waves(2, 12, 6), torch.arange(12).expand(2, 12) < 4)
    values = {"text": ["slow piano in a minor", None]}
    batch = Batch(seeds=[3, 4], frames=waves(2, 12, 6), mask=torch.arange(12).expand(2, 12) < 10, values=values)
    found = {
        "codec/frames": frames,
        "codec/tokens": coder.to_tokens(frames).float(),
        "codec/magnitude": coder.decode_magnitude(frames)[:, ::8, ::4],
        "griffin_lim": griffin_lim(magnitude, 512, 80, round(SECONDS * RATE))[:, ::8],
        "jasco/loss": model.objectives(batch)[0].loss,
        "jasco/frames": model.generate(canvas, values, [5, 6]),
    }
    for time in ("adaln", "context"):
        network = TransformerConfig(width=16, depth=2, heads=2, time=time, skips=True, local=3).build()
        numbered(network)
        cond = Cond(context=waves(2, 3, 16), mask=torch.tensor([[True, True, True], [True, False, False]]))
        found[f"transformer/{time}"] = network(waves(2, 6, 16), cond, torch.tensor([0.2, 0.9]))
    for name, solver in SOLVERS.items():
        found[f"solver/{name}"] = solver(
            lambda x, now: torch.sin(3 * x) - x * now[:, None, None], waves(1, 3, 4), uniform(5), None
        ).x
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def made() -> dict[str, Tensor]:
    return numbers()


@pytest.mark.parametrize("name", sorted(load_file(STORED)) if STORED.is_file() else ["nothing stored"])
def test_numbers_have_not_moved(name: str, made: dict[str, Tensor]) -> None:
    torch.testing.assert_close(made[name], load_file(STORED)[name], atol=1e-4, rtol=1e-4)


def test_all_that_is_watched_is_stored_and_is_small(made: dict[str, Tensor]) -> None:
    assert set(load_file(STORED)) == set(made)
    assert STORED.stat().st_size < 50_000
    assert all(tensor.isfinite().all() and (tensor.numel() == 1 or tensor.std() > 1e-4) for tensor in made.values())


if __name__ == "__main__":
    STORED.parent.mkdir(exist_ok=True)
    save_file(numbers(), STORED)
