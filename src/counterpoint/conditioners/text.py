"""Text -> context, by a frozen T5 encoder (Raffel et al. 2020), as MusicGen hears its words (Copet et al. 2023, section 3).

Only the projection onto the backbone's width is trained and saved.  The encoder is read from a folder, or from where the Hub's
client keeps what was fetched; nothing is fetched from here.
"""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from pydantic import Discriminator, Field, Tag
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from counterpoint import weights
from counterpoint.conditioners.base import Conditioner
from counterpoint.conditioners.words import WordsConfig
from counterpoint.config import Config
from counterpoint.types import Cond, Spec

CONFIG, WEIGHTS, TOKENIZERS = "config.json", weights.SAFE, ("tokenizer.json", "spiece.model")
REMEMBERED = 100_000
"""Tokens whose states are kept, those used last: with T5-base they take 300 MB."""


class T5Config(Config):
    """Which encoder, and how much of a text it reads."""

    kind: Literal["t5"] = "t5"
    model: str = "t5-base"
    """A folder with a T5 and its tokenizer, or the Hub id of one that was fetched before."""
    dim: int = Field(default=768, ge=1)
    """Channels of the encoder, stated so that a system can be built without it."""
    longest: int = Field(default=512, ge=1)
    """Tokens that are read; what follows is cut."""
    compat: Literal["mask", "audiocraft"] = "mask"
    """What fills the place behind a text that is shorter than the batch's longest: "mask" hides it, as transformers does;
    "audiocraft" shows it as zeros, as the released MusicGen was trained, so that the longest text dilutes the others."""

    def build(self, width: int) -> "T5":
        return T5(self, width)


class T5(Conditioner):
    """str | None -> context "b s h".

    No text is one token of zeros: a cross-attention without biases answers it with exactly zero.
    """

    def __init__(self, config: T5Config, width: int) -> None:
        super().__init__()
        self.config = config
        self.out = nn.Linear(config.dim, width)
        self.encoder = Encoder(config)

    def forward(self, values: list[str | None], spec: Spec, frames: int) -> Cond:
        device, texts = self.out.weight.device, [(text or "").strip() for text in values]
        nothing = torch.zeros(1, self.config.dim)
        states = [self.encoder(text, device) if text else nothing for text in texts]
        lengths = torch.tensor([len(state) for state in states], device=device)
        padded = pad_sequence(states, batch_first=True).to(device)  # b s d
        real = torch.arange(padded.shape[1], device=device) < lengths[:, None]
        told = torch.tensor([bool(text) for text in texts], device=device)
        context = self.out(padded) * (real & told[:, None])[..., None]
        return Cond(context=context, mask=real if self.config.compat == "mask" else torch.ones_like(real))


class Encoder:
    """The frozen network with its tokenizer, opened at the first text or before, and what it said of the last texts.

    It is no nn.Module, so that its weights are in no checkpoint, average or optimiser; it follows to the device that asks.
    Each text is read by itself: its states depend neither on the batch nor on what a run has read before.
    """

    def __init__(self, config: T5Config) -> None:
        self.config = config
        self.said: OrderedDict[str, Tensor] = OrderedDict()
        self.tokens = 0
        """Of the texts in `said`, together."""
        self._parts: tuple[Any, Any] | None = None

    def open(self) -> tuple[Any, Any]:
        """Network and tokenizer.  Raises ValueError where they cannot be opened."""
        if self._parts is None:
            self._parts = open_t5(self.config.model, self.config.dim)
        return self._parts

    def __call__(self, text: str, device: torch.device) -> Float[Tensor, "s d"]:
        """The last hidden states of a text, on the CPU.  Raises ValueError where the encoder cannot be opened."""
        if text in self.said:
            self.said.move_to_end(text)
            return self.said[text]
        states = self.said[text] = self._encode(text, device)
        self.tokens += len(states)
        while len(self.said) > 1 and self.tokens > REMEMBERED:
            _, forgotten = self.said.popitem(last=False)
            self.tokens -= len(forgotten)
        return states

    # Neither autocast nor inference mode may decide what is remembered for a later call.
    @torch.inference_mode(False)
    @torch.no_grad()
    def _encode(self, text: str, device: torch.device) -> Tensor:
        network, tokenizer = self.open()
        ids = tokenizer(text, truncation=True, max_length=self.config.longest, return_tensors="pt").input_ids.to(device)
        with torch.autocast(device.type, enabled=False):
            return network.to(device)(input_ids=ids).last_hidden_state[0].cpu()


def open_t5(model: str, dim: int) -> tuple[Any, Any]:
    """A T5 encoder of `dim` channels and its tokenizer, from a folder or the Hub's cache.  Raises ValueError in one sentence.

    A folder may also hold a whole MusicGen as transformers writes it; then its text encoder is taken.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError("Texts are read by a T5 of the transformers library: pip install 'counterpoint[text]'.") from error
    folder, settings, tensors = stored(model)
    if settings.get("d_model") != dim:
        raise ValueError(
            f"{model} has {settings.get('d_model')} channels, not {dim}; set words.dim = {settings.get('d_model')}."
        )
    with torch.random.fork_rng(devices=[]):  # the first weights are drawn, and thrown away
        network = transformers.T5EncoderModel(transformers.T5Config(**settings))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{folder / WEIGHTS} does not fit its {CONFIG}; fetch or save the encoder again.") from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises many kinds, bare ones among them
        raise ValueError(f"The tokenizer in {folder} cannot be read; fetch or save it again.") from error
    return network.eval().requires_grad_(False), tokenizer


def stored(model: str) -> tuple[Path, dict[str, Any], dict[str, Tensor]]:
    """The folder of an encoder with its tokenizer, its settings in transformers' words, and its tensors.  Raises ValueError."""
    folder = _folder(model)
    return folder, _settings(folder), _tensors(folder)


def _folder(model: str) -> Path:
    """Where the model lies, with its tokenizer.  Raises ValueError."""
    folder = Path(model).expanduser()
    if not folder.is_dir():
        folder = _fetched(model)
    has_model = (folder / CONFIG).is_file() and weights.held(folder)
    has_tokenizer = any((folder / name).is_file() for name in TOKENIZERS)
    if not has_model:
        what = "a tokenizer without its T5" if has_tokenizer else "no T5"
        raise ValueError(f"The folder {folder} holds {what}; put the model's {CONFIG} and {WEIGHTS} there.")
    if not has_tokenizer:
        raise ValueError(f"The folder {folder} holds a model without its tokenizer; put its {' or '.join(TOKENIZERS)} there.")
    return folder


def _fetched(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except Exception as error:  # the client raises many kinds: no such id, nothing fetched, ...
        files = " ".join((CONFIG, WEIGHTS, "tokenizer_config.json", *TOKENIZERS))
        raise ValueError(
            f"The text encoder {model!r} is no folder and was not fetched from the Hub, which is never done unasked; "
            f"run: hf download {model} {files}, or set words.model to a folder."
        ) from error


def _settings(folder: Path) -> dict[str, Any]:
    """The T5's settings in transformers' words.  Raises ValueError."""
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG} is no valid JSON ({error}); fetch or save the encoder again.") from error
    settings = content.get("text_encoder", content) if isinstance(content, dict) else {}
    if settings.get("model_type") != "t5":
        raise ValueError(f"{folder / CONFIG} holds a {settings.get('model_type')!r}, not a 't5'; give the folder of a T5.")
    return settings


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The encoder's tensors, of a T5 with or without its decoder, or of a whole MusicGen.  Raises ValueError."""
    found = weights.read(weights.files(folder))
    prefix = "text_encoder." if any(name.startswith("text_encoder.") for name in found) else ""
    named = {name.removeprefix(prefix): tensor.float() for name, tensor in found.items() if name.startswith(prefix)}
    ours = {name: tensor for name, tensor in named.items() if name.startswith(("shared.", "encoder."))}
    tied = ("shared.weight", "encoder.embed_tokens.weight")  # one table, that files hold under either name
    return {**{name: ours[other] for name, other in (tied, tied[::-1]) if other in ours}, **ours}


def _kind(words: Any) -> str | None:
    """Tables without a kind are words, as they were before there was T5."""
    return words.get("kind", "words") if isinstance(words, dict) else getattr(words, "kind", None)


_BY_KIND = Discriminator(_kind, "unknown_kind", 'must be a table whose kind is "words" or "t5"')
TextConfig = Annotated[Annotated[WordsConfig, Tag("words")] | Annotated[T5Config, Tag("t5")], _BY_KIND]
"""How a system is told text: by words learnt from its captions, or by T5."""
