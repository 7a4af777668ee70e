"""HuBERT (Hsu et al. 2021, arXiv 2106.07447), and MERT (Li et al. 2024, arXiv 2306.00107) as far as it is a HuBERT.

Networks that learnt speech or music by filling in what was masked; which layer is taken decides what is heard.  They run on
transformers' own HubertModel.  MERT ships code of its own in its folder, which is never run here: a MERT opens where its
settings and tensors are all HubertModel's, and is refused by name where they are not.
"""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from counterpoint.embedders import weights
from counterpoint.embedders.base import Embedder, checked
from counterpoint.embedders.windows import consecutive

KINDS = {"hubert": "hubert", "mert_model": "mert"}
"""What a folder's settings call the network, and what its ear is called."""
FRONT_END = "preprocessor_config.json"
SECONDS = 10
_FOREIGN = {"feature_extractor_cqt": False, "deepnorm": False, "attention_relax": -1.0}
"""MERT's own parts, and the values that switch them off."""
_OLD_NAMES = {
    ".conv.weight_g": ".conv.parametrizations.weight.original0",
    ".conv.weight_v": ".conv.parametrizations.weight.original1",
}
"""How torch named a normalised weight until 2023."""


class Speech(Embedder):
    """The states behind one layer, 50 or 75 a second; each part of 10 s is heard alone.

    Layer 0 is what goes into the first one; None takes the last.
    """

    def __init__(self, place: Path, layer: int | None = None) -> None:
        transformers = weights.transformers_for("hubert")
        folder = place.expanduser()
        content = _settings(folder)
        front = weights.settings(folder / FRONT_END)
        config = transformers.HubertConfig.from_dict({**content, "model_type": "hubert"})
        last = int(config.num_hidden_layers)
        self.layer = last if layer is None else layer
        if not 0 <= self.layer <= last:
            raise ValueError(f"{folder} has the layers 0 to {last}, so there is no layer {layer}; choose one of them.")
        file = weights.file_of(folder)
        with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
            self.network = transformers.HubertModel(config)
        weights.fill(self.network, _tensors(file), file)
        self.name = KINDS[content["model_type"]]
        self.version = f"1 layer {self.layer}"
        self.digest = weights.digest([file, folder / weights.CONFIG, folder / FRONT_END])
        self.sample_rate = int(front.get("sampling_rate", 16000))
        self.normalised = bool(front.get("do_normalize", True))
        self.dim = int(config.hidden_size)
        self.shortest = _least_samples(config.conv_kernel, config.conv_stride)

    @torch.inference_mode()
    def embed(self, audio: Float[Tensor, " n"]) -> Float[ndarray, "t {self.dim}"]:
        parts = consecutive(checked(audio), SECONDS * self.sample_rate, self.shortest)
        return torch.cat([self._hear_part(part) for part in parts]).numpy()

    def _hear_part(self, part: Tensor) -> Float[Tensor, "t d"]:
        if self.normalised:
            part = (part - part.mean()) / (part.var(correction=0) + 1e-7).sqrt()
        states = self.network(part[None], output_hidden_states=True)
        last = self.layer == self.network.config.num_hidden_layers  # of which versions list it before or after its last norm
        return (states.last_hidden_state if last else states.hidden_states[self.layer])[0]


def _settings(folder: Path) -> dict[str, Any]:
    """The network's settings.  Raises ValueError where transformers' HuBERT cannot be it."""
    content = weights.settings(folder / weights.CONFIG)
    kind = content.get("model_type")
    if kind not in KINDS:
        raise ValueError(f"{folder} holds a {kind!r}; give the folder of a HuBERT, or of a MERT that is built like one.")
    foreign = [name for name, off in _FOREIGN.items() if content.get(name, off) not in (off, None)]
    if foreign:
        raise ValueError(
            f"{folder} holds a MERT with {', '.join(foreign)}, which only the code in its folder knows and which is never run "
            f"here; give a MERT without, a HuBERT, or embed with its own tools."
        )
    return content


def _tensors(file: Path) -> dict[str, Tensor]:
    """Of the network alone, under today's names."""
    found = {name.removeprefix("hubert."): tensor for name, tensor in weights.read(file).items()}
    return {weights.renamed(name, _OLD_NAMES): tensor for name, tensor in found.items() if not name.startswith("lm_head.")}


def _least_samples(kernels: list[int], strides: list[int]) -> int:
    """How much sound makes one frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples
