"""Classifier-free guidance over any sets of conditions, for velocities and logits alike.

A table of weights over named sets: "all", a condition's own name, or several joined by "+".  The null variant, told nothing,
takes what is missing to one: {"all": 3} is ordinary guidance (Ho and Salimans 2022), {"all": 3, "text": 1} JASCO's
multi-source guidance (section 3.4), {"text": 2, "score": 4} what a musician turns.
"""

from collections.abc import Mapping, Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from counterpoint.types import Values

NULL = "null"


def variants(weights: Mapping[str, float], conditions: Sequence[str]) -> dict[str, float]:
    """The variants that really have to be computed, with their weights, summing to one.

    Raises ValueError for a set that names a condition which the model does not have.
    """
    table = {name: weight for name, weight in weights.items() if weight != 0.0}
    for name in table:
        strangers = [part for part in name.split("+") if part not in ("all", *conditions)]
        if strangers:
            known = ", ".join(("all", *conditions))
            raise ValueError(f"Guidance names {strangers[0]!r}, which this model is not told; it knows {known}.")
    rest = 1.0 - sum(table.values())
    return table if abs(rest) < 1e-6 else {**table, NULL: rest}


def check_told(weights: Mapping[str, float], values: Values) -> None:
    """Raises ValueError for a set that names a condition which no item is told: its weight would do nothing."""
    told = {name for name, column in values.items() if any(value is not None for value in column)}
    for part in (part for name, weight in weights.items() if weight != 0.0 for part in name.split("+")):
        if part not in told | {"all"}:
            raise ValueError(
                f"Guidance weighs {part!r}, which is not told (a score comes with a plan); tell it, or weigh others."
            )


def unweighed(weights: Mapping[str, float], values: Values) -> str:
    """Of conditions that are told, but that no set of the guidance names, so that nothing hears them; else empty."""
    told = [name for name, column in values.items() if any(value is not None for value in column)]
    named = {part for name, weight in weights.items() if weight != 0.0 for part in name.split("+")}
    deaf = [] if "all" in named else [name for name in told if name not in named]
    table = ",".join(f"{name}={weight:g}" for name, weight in weights.items())
    return f"guidance {table} hears nothing of {', '.join(deaf)}; weigh all, too, such as all=1" if deaf else ""


def keep(values: Values, name: str) -> Values:
    """`values` as the variant `name` hears them: what it does not name is dropped to None, item by item."""
    if name == "all":
        return values
    heard = () if name == NULL else name.split("+")
    return {key: column if key in heard else [None] * len(column) for key, column in values.items()}


def guided(outputs: Sequence[Tensor], weights: Sequence[float], rescale: float = 0.0) -> Tensor:
    """The weighted sum of the variants' outputs, velocities or logits, "b ..." each, in the order of `variants`.

    Guidance also widens what it guides; `rescale` gives that part of the sum back the deviation, item by item, of what the
    told variants say by themselves (Lin et al. 2023, eq. 14 to 16).
    """
    total = _sum(outputs, weights)
    if rescale == 0 or len(outputs) == 1:
        return total
    told = [(output, weight) for output, weight in zip(outputs, weights, strict=True) if weight > 0]
    share = sum(weight for _, weight in told)
    plain = _sum([output for output, _ in told], [weight / share for _, weight in told])
    dims = tuple(range(1, total.ndim))
    narrower = total * (plain.std(dims, keepdim=True) / total.std(dims, keepdim=True).clamp_min(1e-8))
    return rescale * narrower + (1 - rescale) * total


def _sum(outputs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = outputs[0] * weights[0]
    for output, weight in zip(outputs[1:], weights[1:], strict=True):
        total = total + output * weight
    return total


def acts(time: Float[Tensor, " b"], interval: tuple[float, float]) -> Bool[Tensor, " b"]:
    """Where guidance acts: at flow times within the interval, ends included (Kynkaanniemi et al. 2024, eq. 5)."""
    return (time >= interval[0]) & (time <= interval[1])
