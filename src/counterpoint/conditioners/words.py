"""Words -> context: a vocabulary learnt from the captions, so that nothing has to be downloaded.

Words are embedded, neighbours are mixed ("a" + "minor", "96" + "bpm"), and the sequence is attended to by every block.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from counterpoint.conditioners.base import Conditioner
from counterpoint.config import Config
from counterpoint.types import Cond, Spec

PAD, NULL, UNKNOWN = 0, 1, 2
SPECIALS = 3
_TOKEN = re.compile(r"[a-g][#b](?![^\W_])|\d+(?:/\d+)?|[^\W\d_]+(?:'[^\W\d_]+)?")
_PLAIN = str.maketrans("♯♭’", "#b'")


def tokenize(text: str) -> list[str]:
    """Lower-case words of any script, numbers ("96", "6/8") and notes ("f#", "bb"); punctuation is dropped."""
    return _TOKEN.findall(unicodedata.normalize("NFC", text).lower().translate(_PLAIN))


def learn_vocabulary(captions: Iterable[str], size: int) -> tuple[str, ...]:
    """The `size` most frequent tokens, sorted, so that the same captions give the same vocabulary."""
    counts = Counter(token for caption in captions for token in tokenize(caption))
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return tuple(sorted(ranked[:size]))


class WordsConfig(Config):
    """Sizes, and the vocabulary (empty until it is learnt from captions)."""

    kind: Literal["words"] = "words"
    dim: int = 96
    longest: int = 64
    """Tokens that are read; what follows is cut."""
    vocabulary: tuple[str, ...] = ()

    def build(self, width: int) -> "Words":
        return Words(self, width)


class Words(Conditioner):
    """str | None -> context "b s h"."""

    def __init__(self, config: WordsConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.index = {token: i + SPECIALS for i, token in enumerate(config.vocabulary)}
        self.embedding = nn.Embedding(len(config.vocabulary) + SPECIALS, config.dim, padding_idx=PAD)
        self.position = nn.Parameter(torch.zeros(config.longest, config.dim))
        self.neighbours = nn.Conv1d(config.dim, config.dim, kernel_size=5, padding=2)
        self.norm = nn.LayerNorm(config.dim)
        self.out = nn.Linear(config.dim, width)
        nn.init.normal_(self.embedding.weight)

    def ids(self, text: str | None) -> list[int]:
        """Token numbers of a text; no text, or one without any token, is the null token."""
        tokens = tokenize(text or "")[: self.config.longest]
        return [self.index.get(token, UNKNOWN) for token in tokens] or [NULL]

    def forward(self, values: list[str | None], spec: Spec, frames: int) -> Cond:
        rows = [self.ids(text) for text in values]
        longest = max(len(row) for row in rows)
        device = self.position.device
        tokens = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=device)  # b s
        mask = tokens != PAD
        x = (self.embedding(tokens) + self.position[:longest]) * mask[..., None]
        x = x + F.gelu(self.neighbours(x.transpose(1, 2)).transpose(1, 2))
        return Cond(context=self.out(self.norm(x)), mask=mask)
