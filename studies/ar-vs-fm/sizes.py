"""How large each scale is: recipes, changes to them, music, numbers."""

from dataclasses import dataclass

RATES = (25, 50, 100)
BATCHES = (8, 16, 32, 64, 128, 256)
"""The paper's, by which rows are labelled at every scale."""


@dataclass(frozen=True)
class Size:
    """What a scale is: recipes, changes to them, music, numbers.  Seconds are those that stand for the paper's ten."""

    seconds: float
    clips: int
    clip_seconds: float
    hours: float
    seeds: int
    ar: str
    fm: str
    vae: str
    quantised: dict[int, tuple[str, ...]]
    """By frame rate: the recipe of the codec with tokens, and changes to it; so also of that without."""
    continuous: dict[int, tuple[str, ...]]
    changes: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()
    """Changes where batch size and duration are swept under a fixed number of updates."""
    batches: tuple[int, ...] = BATCHES
    speeds: tuple[int, ...] = (1, 4, 16, 64, 256)
    layers: tuple[int, ...] = (2, 4, 8, 16, 24)
    steps: int = 200
    searched: bool = True
    """Whether the sampling search is the whole grid, and not its two axes."""
    searched_clips: int = 64
    pace: tuple[float, float] = (500.0, 200.0)
    """Seconds of audio that codecs learn from in a second."""


def _spectral(stack: int, wide: int, dim: int) -> tuple[str, ...]:
    small = (f"codec.dim={dim}", "codec.levels=4", "codec.bins=512", "codec.width=192", "codec.blocks=2", "data.fit_clips=150")
    trained = ("train.steps=60", "train.save_every=20", "train.valid_every=60", "train.batch_size=8", "train.threads=1")
    return ("spectral-tiny.toml", f"codec.stack={stack}", f"codec.wide={wide}", *small, *trained)


TINY = Size(
    seconds=5, clips=48, clip_seconds=20, hours=0.8, seeds=3,
    ar="musicgen-tiny-text.toml", fm="jasco-tiny-text.toml", vae="jasco-tiny-text.toml",
    quantised={25: _spectral(4, 256, 64), 50: _spectral(2, 256, 64), 100: _spectral(1, 160, 64)},
    continuous={25: _spectral(4, 256, 128), 50: _spectral(2, 256, 128), 100: _spectral(1, 160, 128)},
    changes=("system.backbone.width=128", "system.backbone.depth=4", "train.steps=200", "train.batch_size=12",
             "optim.warmup_steps=40", "optim.ema_decay=0.99", "train.threads=1", "train.save_every=50", "train.valid_every=200",
             "train.valid_batches=2"),
    swept=("train.steps=100",), batches=(1, 2, 4, 8, 16, 32), speeds=(1, 4, 16, 64), layers=(2, 4, 8),
    steps=25, searched=False, searched_clips=32, pace=(20.0, 20.0),
)  # fmt: skip
_GPU = ("train.precision=bf16", "train.save_every=500", "train.valid_every=2000")
SMALL = Size(
    seconds=10, clips=512, clip_seconds=40, hours=60, seeds=3,
    ar="musicgen-tiny-text.toml", fm="jasco-tiny-text.toml", vae="jasco-tiny-text.toml",
    quantised={rate: (f"encodec-{rate}.toml", "train.steps=15000", "codec.filters=32") for rate in RATES},
    continuous={rate: (f"vae-{rate}.toml", "train.steps=15000", "codec.widths=[64,128,256,512,1024]") for rate in RATES},
    changes=("system.backbone.width=512", "system.backbone.depth=8", "system.backbone.heads=8", "train.steps=8000",
             "train.batch_size=64", "data.crop_seconds=10", "system.window_seconds=40", "optim.hidden=adamw", "optim.lr=3e-4",
             *_GPU),
    swept=("train.steps=2000",), searched=False, pace=(300.0, 150.0), layers=(2, 4, 8),
)  # fmt: skip
PAPER = Size(
    seconds=10, clips=2048, clip_seconds=40, hours=0, seeds=1,
    ar="musicgen-small.toml", fm="jasco-small.toml", vae="jasco-small.toml",
    quantised={rate: (f"encodec-{rate}.toml",) for rate in RATES},
    continuous={rate: (f"vae-{rate}.toml",) for rate in RATES},
    changes=("train.steps=1_000_000",), swept=("train.steps=500_000",),
)  # fmt: skip
SIZES = {"tiny": TINY, "small": SMALL, "paper": PAPER}
