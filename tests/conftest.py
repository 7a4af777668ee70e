"""A model that is as small as a model can be, saved as training saves it: what the rooms above the systems are tested on."""

from pathlib import Path

import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

ROOMS = (
    "audio",
    "codecs",
    "conditioners",
    "generation",
    "nn",
    "paradigms",
    "rng",
    "systems.codecgan",
    "systems.jasco",
    "systems.musicgen",
    "types",
)
"""Those whose signatures tell shapes: they are checked wherever the tests lead."""

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as in annotations everywhere
install_import_hook([f"counterpoint.{room}" for room in ROOMS], "conftest.checked")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny untrained jasco with a tiny closed-form codec of its own."""
    import torch

    from counterpoint.codecs.spectral import SpectralConfig, fit_closed_form
    from counterpoint.hub import checkpoint
    from counterpoint.systems.jasco import JascoConfig

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    generator = torch.Generator().manual_seed(0)
    codec_config = SpectralConfig.tiny()
    clips = [0.1 * torch.randn(1, 2 * codec_config.sample_rate, generator=generator) for _ in range(2)]
    codec = fit_closed_form(codec_config, clips, generator)
    config = JascoConfig.tiny()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = config.build(codec.spec)
        torch.nn.init.normal_(system.out.weight, std=0.1)  # else it says nothing, whatever it is told
    checkpoint.save(folder / "codec", codec, checkpoint.codec_manifest(codec_config, codec))
    checkpoint.save(folder, system, checkpoint.system_manifest(config, system, codec), card="# tiny\n")
    return folder
