"""Text-to-music generation: `counterpoint.load("jasco-tiny").generate("a slow waltz for piano").save("waltz.wav")`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from counterpoint.adherence import best_of, report
    from counterpoint.comparison import compare
    from counterpoint.generation import Model, Request, Stream, Take, load
    from counterpoint.provenance import regenerate, retake

__version__ = "0.1.0"
__all__ = [
    "Model",
    "Request",
    "Stream",
    "Take",
    "__version__",
    "best_of",
    "compare",
    "load",
    "regenerate",
    "report",
    "retake",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """The public names, imported on first use, so that `import counterpoint` does not wait for torch."""
    if name in ("Model", "Request", "Stream", "Take", "load"):
        from counterpoint import generation

        return vars(generation)[name]
    if name == "compare":
        from counterpoint import comparison

        return comparison.compare
    if name in ("regenerate", "retake"):
        from counterpoint import provenance

        return vars(provenance)[name]
    if name in ("best_of", "report"):
        from counterpoint import adherence

        return vars(adherence)[name]
    raise AttributeError(f"module 'counterpoint' has no attribute {name!r}; it has {', '.join(__all__)}.")
