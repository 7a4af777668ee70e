"""CLAP (Wu et al. 2023, arXiv 2211.06687) through transformers' ClapModel, from a local folder: sounds and texts in one space.

What its own tools draw by chance is fixed here.  They crop what is longer than 10 s at random, so that one file scores
differently at each call; here a sound is cut into parts of 10 s, the last one ending with the sound, and each is heard alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from counterpoint.embedders import weights
from counterpoint.embedders.base import TextEmbedder, checked
from counterpoint.embedders.windows import covering, through_16_bits

LONGEST = 77
"""Tokens of a text that are read, its first and last mark among them."""
TOKENIZERS = ("tokenizer.json", "vocab.json")
FRONT_ENDS = ("preprocessor_config.json", "processor_config.json")
_FRONT_END = (
    "feature_size",
    "sampling_rate",
    "hop_length",
    "max_length_s",
    "fft_window_size",
    "frequency_min",
    "frequency_max",
)


class Clap(TextEmbedder):
    """Vectors of unit length, one for each 10 s of sound or for a text."""

    name = "clap"
    version = "1"

    def __init__(self, place: Path) -> None:
        transformers = weights.transformers_for("clap")
        folder = place.expanduser()
        content = _settings(folder)
        front_file, front = _front_end(folder)
        tokenizer = next((folder / name for name in TOKENIZERS if (folder / name).is_file()), None)
        if tokenizer is None:
            raise ValueError(f"{folder} has no tokenizer ({' or '.join(TOKENIZERS)}); fetch the whole folder of the model.")
        file = weights.file_of(folder)
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
            self.network = transformers.ClapModel(transformers.ClapConfig.from_dict(content))
        weights.fill(self.network, weights.read(file), file)
        self.front_end = transformers.ClapFeatureExtractor(**front, truncation="rand_trunc", padding="repeatpad")
        try:
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the library raises many kinds, bare ones among them
            raise ValueError(f"The tokenizer in {folder} cannot be read; fetch the whole folder of the model.") from error
        self.sample_rate = int(front["sampling_rate"])
        self.dim = int(self.network.config.projection_dim)
        self.digest = weights.digest([file, folder / weights.CONFIG, front_file, tokenizer])

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        coarse = through_16_bits(checked(audio), 32767, rounded=False)
        parts = covering(coarse, self.front_end.nb_max_samples)
        return torch.cat([self._hear_part(part) for part in parts]).numpy()

    @torch.inference_mode()
    def embed_clip(self, audio: Float[Tensor, " n"]) -> Float[ndarray, " {self.dim}"]:
        mean = torch.from_numpy(self.embed(audio)).mean(0)
        return F.normalize(mean, dim=0).numpy()

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[ndarray, "b {self.dim}"]:
        return torch.cat([self._read(text) for text in texts]).numpy()

    def _hear_part(self, part: Tensor) -> Tensor:
        """Of exactly 10 s, so that the front end has nothing to crop or to fill."""
        seen = self.front_end(part.numpy(), sampling_rate=self.sample_rate, return_tensors="pt")
        return _unit(self.network.get_audio_features(input_features=seen["input_features"].float()))

    def _read(self, text: str) -> Tensor:
        tokens = self.tokenizer([text], truncation=True, max_length=LONGEST, return_tensors="pt")
        found = self.network.get_text_features(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return _unit(found)


def _unit(found: Any) -> Tensor:
    """What transformers 4 returns as a tensor and transformers 5 inside an object, of unit length."""
    vectors = found if isinstance(found, Tensor) else found.pooler_output
    return F.normalize(vectors.float(), dim=-1)


def _settings(folder: Path) -> dict[str, Any]:
    """The model's own settings.  Raises ValueError where it is no CLAP, or one that fuses several crops of long sounds."""
    content = weights.settings(folder / weights.CONFIG)
    if content.get("model_type") != "clap":
        raise ValueError(
            f"{folder} holds a {content.get('model_type')!r}, not a 'clap'; give the folder of a CLAP in transformers' layout."
        )
    if content.get("audio_config", {}).get("enable_fusion"):
        raise ValueError(
            f"{folder} holds a CLAP with fusion, which crops at random; give one without, such as the music models."
        )
    return content


def _front_end(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Which file says how sound becomes spectra, its own or the processor's, and what it says.  Raises ValueError."""
    file = next((folder / name for name in FRONT_ENDS if (folder / name).is_file()), folder / FRONT_ENDS[0])
    content = weights.settings(file)
    content = content.get("feature_extractor", content)
    missing = [name for name in _FRONT_END if name not in content]
    if missing:
        raise ValueError(f"{file} does not state {', '.join(missing)}; fetch the whole folder of the model.")
    return file, {name: content[name] for name in _FRONT_END}
