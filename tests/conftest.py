"""A model that is as small as a model can be, saved as training saves it: what the rooms above the systems are tested on."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

ROOMS = (
    "adherence",
    "analysis",
    "audio",
    "codecs",
    "comparison",
    "conditioners",
    "controls.held",
    "controls.lanes",
    "controls.told",
    "editing",
    "data.events.grid",
    "embedders",
    "evaluation",
    "generation",
    "listening",
    "metrics",
    "nn",
    "paradigms",
    "pieces",
    "rng",
    "sketch",
    "study.damaged",
    "study.entropy",
    "study.inference",
    "systems.codecgan",
    "systems.ear",
    "systems.jasco",
    "systems.musicgen",
    "systems.score",
    "tries",
    "types",
)
"""Those whose signatures tell shapes: they are checked wherever the tests lead."""

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as in annotations everywhere
install_import_hook([f"counterpoint.{room}" for room in ROOMS], "conftest.checked")

# torch lists the functions that a default device reaches when one is first set; transformers swaps one of them while it loads,
# and where that comes first, the list stays wrong for the rest of the process.
with torch.device("meta"):
    assert torch.linspace(0, 1, 2).is_meta


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


@pytest.fixture(scope="session")
def tiny_family(tiny_model: Path) -> dict[str, Path]:
    """The tiny jasco with two relatives that share its codec: one that makes token after token, and a distilled one."""
    import torch

    from counterpoint.hub import checkpoint
    from counterpoint.systems.jasco import JascoConfig, Sampling
    from counterpoint.systems.musicgen import MusicgenConfig

    flow = JascoConfig.tiny().model_dump()
    flow["backbone"]["spans"], flow["distilled"] = True, {"guidance": {"all": 3.0}}
    flow["sampling"] = Sampling(steps=2, guidance={"all": 1.0}).model_dump()
    codec, family = checkpoint.load_codec(tiny_model), {"tiny": tiny_model}
    for name, config in {"tiny-ar": MusicgenConfig.tiny(), "tiny-fast": JascoConfig.model_validate(flow)}.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            system = config.build(codec.spec)
            torch.nn.init.normal_(system.out.weight, std=0.1)
        family[name] = tiny_model.with_name(name)
        checkpoint.save(family[name], system, checkpoint.system_manifest(config, system, codec), card=f"# {name}\n")
        (family[name] / "codec").symlink_to(tiny_model / "codec")
    return family


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small T5 of random weights, and a tokenizer of a few words."""
    import tokenizers
    import torch

    transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")
    folder = tmp_path_factory.mktemp("texts") / "t5"
    words = ["<pad>", "</s>", "<unk>", "a", "in", "slow", "fast", "piano", "minor", "major"]
    vocabulary = {word: i for i, word in enumerate(words)}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    named = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=model, **named).save_pretrained(folder)
    sizes = {"vocab_size": len(words), "d_model": 24, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.T5EncoderModel(transformers.T5Config(**sizes))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def whole(tiny_t5: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Builds the folder of a whole model once for each number of levels, width and channels, with the model."""
    transformers = pytest.importorskip("transformers", reason="needs the extra 'text'")
    import torch

    from tiny_musicgens import BINS, decoder_settings, scattered

    made = {}

    def build(levels: int, width: int, channels: int = 1):
        if (levels, width, channels) not in made:
            bandwidth = 0.3 * levels / channels  # 50 frames a second, 6 bits a token
            sizes = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": BINS}
            shape = {"sampling_rate": 800, "upsampling_ratios": [4, 4], "target_bandwidths": [bandwidth]}
            codec = transformers.EncodecConfig(**sizes, **shape, normalize=False, use_causal_conv=False)
            text = transformers.T5Config.from_pretrained(tiny_t5)
            settings = transformers.MusicgenConfig(
                text_encoder=text, audio_encoder=codec, decoder=decoder_settings(levels, width, audio_channels=channels)
            )
            model = scattered(transformers.MusicgenForConditionalGeneration(settings), seed=levels + width)
            for layer in model.audio_encoder.quantizer.layers:
                layer.codebook.embed.normal_(generator=torch.Generator().manual_seed(0))
            folder = tmp_path_factory.mktemp("whole")
            model.save_pretrained(folder)
            transformers.AutoTokenizer.from_pretrained(tiny_t5).save_pretrained(folder)
            made[levels, width, channels] = folder, model
        return made[levels, width, channels]

    return build


@pytest.fixture(scope="session")
def run_as_two() -> Callable[[str, Path], None]:
    """Runs a script, given a folder, in two processes that find each other."""

    def run(script: str, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        command = [sys.executable, "-c", script, str(folder)]
        ours = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
        both = [subprocess.Popen(command, env={**os.environ, **ours, "RANK": str(rank)}) for rank in range(2)]
        try:
            assert [process.wait(timeout=300) for process in both] == [0, 0]
        finally:
            for process in both:
                process.kill()

    return run
