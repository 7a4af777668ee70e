"""Parts of small MusicGens of random weights, as transformers builds them: the oracle of every layout."""

import torch

BINS = 64


def decoder_settings(levels: int, width: int, **settings):
    import transformers

    sizes = {"vocab_size": BINS, "num_hidden_layers": 3, "ffn_dim": 3 * width, "num_attention_heads": 4, "hidden_size": width}
    special = {"pad_token_id": BINS, "bos_token_id": BINS}
    return transformers.MusicgenDecoderConfig(num_codebooks=levels, **sizes, **special, **settings)


def scattered(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights of which none is small enough to hide."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=1.0 if "embed_tokens" in name else 0.2, generator=generator)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1)
    return model.eval()


def tokenized(folder, texts: list[str]):
    import transformers

    return transformers.AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
