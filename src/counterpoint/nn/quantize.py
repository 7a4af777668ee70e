"""Vector quantisation: one codebook, a residual cascade of them, and the running averages that train them.

Codebooks are what ships; `CodebookAverages` is what training needs besides and lives outside, so that saved weights
hold no statistics.  Method: van den Oord et al. 2017 (averaged codebooks, straight-through), Zeghidour et al. 2021
(residual cascade, k-means start, revival of dead codes, quantiser dropout).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from counterpoint import parallel

_CHUNK = 8192  # vectors compared with a codebook at a time


def nearest(vectors: Float[Tensor, "n d"], codebook: Float[Tensor, "v d"]) -> Int[Tensor, "n"]:
    """Index of the nearest code (Euclidean) to each vector."""
    bias = codebook.square().sum(1)
    return torch.cat([torch.addmm(bias, part, codebook.T, alpha=-2).argmin(1) for part in vectors.split(_CHUNK)])


def kmeans(vectors: Float[Tensor, "n d"], bins: int, generator: Generator, iterations: int = 12) -> Float[Tensor, "v d"]:
    """Lloyd's algorithm from random members; an empty cluster moves to the worst-served vectors.

    Fewer vectors than `bins` are repeated with a little noise.
    """
    if len(vectors) < bins:
        copies = vectors.repeat(-(-bins // len(vectors)), 1)
        noise = torch.randn(copies.shape, generator=generator).to(vectors) * 1e-3
        vectors = copies + noise
    codes = vectors[torch.randperm(len(vectors), generator=generator)[:bins]].clone()
    for _ in range(iterations):
        index = nearest(vectors, codes)
        count = torch.bincount(index, minlength=bins)
        total = torch.zeros_like(codes).index_add_(0, index, vectors)
        empty = count == 0
        distance = (vectors - codes[index]).square().sum(1)
        codes = total / count.clamp_min(1)[:, None]
        codes[empty] = vectors[distance.topk(int(empty.sum())).indices]
    return codes


class VectorQuantizer(nn.Module):
    """One codebook of `bins` codes."""

    codes: Tensor

    def __init__(self, bins: int, dim: int):
        super().__init__()
        self.register_buffer("codes", torch.zeros(bins, dim))

    def encode(self, frames: Float[Tensor, "b t d"]) -> Int[Tensor, "b t"]:
        return rearrange(nearest(frames.flatten(0, 1), self.codes), "(b t) -> b t", b=len(frames))

    def decode(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        return self.codes[tokens]


@dataclass(frozen=True)
class Quantized:
    """`frames` carry the gradient straight through to the input.

    `commitment` is the mean squared distance of what reaches a level to its code, averaged over levels.
    """

    frames: Float[Tensor, "b t d"]
    tokens: Int[Tensor, "b k t"]
    commitment: Float[Tensor, ""]


class ResidualQuantizer(nn.Module):
    """A cascade in which each codebook quantises what the ones before left over; any leading part decodes."""

    def __init__(self, levels: int, bins: int, dim: int):
        super().__init__()
        self.books = nn.ModuleList(VectorQuantizer(bins, dim) for _ in range(levels))

    def encode(self, frames: Float[Tensor, "b t d"], levels: int | None = None) -> Int[Tensor, "b k t"]:
        """Tokens of the first `levels` codebooks (all, by default)."""
        residual, tokens = frames, []
        for book in list(self.books)[:levels]:
            assert isinstance(book, VectorQuantizer)
            tokens.append(book.encode(residual))
            residual = residual - book.decode(tokens[-1])
        return torch.stack(tokens, dim=1)

    def decode(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "b t d"]:
        """Sum of the codes of however many levels are given."""
        return self._parts(tokens).sum(0)

    def forward(self, frames: Float[Tensor, "b t d"], levels: Int[Tensor, "b"] | None = None) -> Quantized:
        """Quantise, item i with its first `levels[i]` codebooks (quantiser dropout), with a gradient."""
        tokens = self.encode(frames.detach())
        parts = self._parts(tokens)  # k b t d
        if levels is None:
            kept = parts.new_ones(parts.shape[:2])
        else:
            kept = (torch.arange(len(parts), device=levels.device)[:, None] < levels).to(parts)  # k b
            parts = parts * kept[:, :, None, None]
        values = parts.sum(0)
        errors = (frames - parts.cumsum(0)).square().mean(dim=(2, 3))  # k b: of what is left after each level
        commitment = (errors * kept).sum() / kept.sum()
        return Quantized(frames + (values - frames).detach(), tokens, commitment)

    def _parts(self, tokens: Int[Tensor, "b k t"]) -> Float[Tensor, "k b t d"]:
        parts = [book.decode(part) for book, part in zip(self.books, tokens.unbind(1), strict=False)]  # pyright: ignore[reportCallIssue]
        return torch.stack(parts)

    @torch.no_grad()
    def fit(self, vectors: Float[Tensor, "n d"], generator: Generator) -> None:
        """Start every codebook at the k-means of what the earlier ones leave over."""
        for book in self.books:
            assert isinstance(book, VectorQuantizer)
            book.codes.copy_(kmeans(vectors, len(book.codes), generator))
            vectors = vectors - book.codes[nearest(vectors, book.codes)]


class CodebookAverages(nn.Module):
    """Exponential moving averages that move a cascade's codebooks while its encoder trains.

    Several processes average over all their frames, and revive dead codes as the first one does: their codebooks stay equal.
    """

    total: Tensor
    count: Tensor

    def __init__(self, quantizer: ResidualQuantizer, decay: float = 0.99, dead_below: float = 0.05):
        """A code is dead when its average count falls under `dead_below` of an even share."""
        super().__init__()
        self.decay, self.dead_below = decay, dead_below
        books = [book for book in quantizer.books if isinstance(book, VectorQuantizer)]
        codes = torch.stack([book.codes for book in books])
        self.register_buffer("total", codes.clone())
        self.register_buffer("count", torch.ones(codes.shape[:2]))

    @torch.no_grad()
    def start(self, quantizer: ResidualQuantizer, frames: Float[Tensor, "b t d"], generator: Generator) -> None:
        """Begin every codebook at the k-means of `frames`, those of the first process for all."""
        quantizer.fit(frames.detach().flatten(0, 1), generator)
        codes = torch.stack([book.codes for book in quantizer.books if isinstance(book, VectorQuantizer)])
        parallel.from_first([codes])
        for book, started in zip(quantizer.books, codes, strict=True):
            assert isinstance(book, VectorQuantizer)
            book.codes.copy_(started)
        self.total.copy_(codes)
        self.count.fill_(1.0)

    def perplexity(self) -> Float[Tensor, "k"]:
        """How many codes of each level are in use, by the entropy of their average counts."""
        share = self.count / self.count.sum(1, keepdim=True)
        return torch.special.entr(share).sum(1).exp()

    @torch.no_grad()
    def update(self, quantizer: ResidualQuantizer, frames: Float[Tensor, "b t d"], generator: Generator) -> float:
        """Move the codebooks towards `frames`; returns the share of codes that were dead and have been revived."""
        residual = frames.detach().flatten(0, 1)
        revived = 0
        for level, book in enumerate(quantizer.books):
            assert isinstance(book, VectorQuantizer)
            index = nearest(residual, book.codes)
            left_over = residual - book.codes[index]
            self._average(level, residual, index)
            book.codes.copy_(self.total[level] / self.count[level].clamp_min(1e-6)[:, None])
            revived += self._revive(level, book, residual, generator)
            parallel.from_first([book.codes, self.total[level], self.count[level]])
            residual = left_over
        return revived / self.count.numel()

    def _average(self, level: int, vectors: Tensor, index: Tensor) -> None:
        """Counts are kept relative to an even share, so that `decay` and batch size do not interact."""
        bins = self.count.shape[1]
        count = torch.bincount(index, minlength=bins).to(vectors)
        total = torch.zeros_like(self.total[level]).index_add_(0, index, vectors)
        parallel.sum_over_all([count, total])
        share = bins / count.sum().item()
        self.count[level].lerp_(count * share, 1 - self.decay)
        self.total[level].lerp_(total * share, 1 - self.decay)

    def _revive(self, level: int, book: VectorQuantizer, vectors: Tensor, generator: Generator) -> int:
        """Dead codes move onto random members of the batch and start again at an even share."""
        dead = (self.count[level] < self.dead_below).nonzero()[:, 0][: len(vectors)]
        chosen = torch.randperm(len(vectors), generator=generator)[: len(dead)].to(dead.device)
        book.codes[dead] = vectors[chosen]
        self.total[level, dead] = vectors[chosen]
        self.count[level, dead] = 1.0
        return len(dead)
