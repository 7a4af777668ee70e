"""A study is made: its parts one after another or side by side, each once; what is there is left, what was stopped goes on."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from counterpoint.study import part as parts
from counterpoint.study.engines import Engine, Submit, local
from counterpoint.study.part import Part, Workshop

Tell = Callable[[Part, float, float], None]
"""Called with a part that is done, the seconds that it took, and those that the others will take, by what has been seen."""


def missing(cells: Sequence[Part], shop: Workshop) -> list[Part]:
    """The parts that are still to be made, in an order in which they can be.

    What nothing missing needs is left out.  Raises ValueError where something was made by another recipe.
    """
    ordered = parts.in_order(cells)
    for one in ordered:
        parts.check(one, shop)
    wanted = {cell.name for cell in cells if not cell.done(shop)}
    for one in reversed(ordered):
        if one.name in wanted:
            wanted |= {need.name for need in one.needs() if not need.done(shop)}
    return [one for one in ordered if one.name in wanted]


def run(
    cells: Sequence[Part], shop: Workshop, flops: float, workers: int = 1, tell: Tell | None = None, engine: Engine = local
) -> int:
    """Make what is missing; returns how many parts that were.  Raises ValueError as parts do."""
    todo = missing(cells, shop)
    estimates = {one.name: one.seconds(flops) for one in todo}
    taken = expected = 0.0
    for one, seconds in _made(todo, shop, workers, engine):
        taken, expected = taken + seconds, expected + estimates.pop(one.name)
        if tell is not None:
            tell(one, seconds, sum(estimates.values()) * (taken / expected if expected else 1.0) / workers)
    return len(todo)


def _made(todo: Sequence[Part], shop: Workshop, workers: int, engine: Engine) -> Iterator[tuple[Part, float]]:
    """Side by side what can be, then what has to be alone."""
    if not todo:
        return
    with engine(shop, workers) as submit:
        yield from _in_turn([one for one in todo if not one.alone], submit, workers)
        yield from _in_turn([one for one in todo if one.alone], submit, 1)


def _in_turn(todo: Sequence[Part], submit: Submit, workers: int) -> Iterator[tuple[Part, float]]:
    """Each part as soon as what it needs is there, so many at once."""
    waiting, going = list(todo), dict[Future[float], Part]()
    while waiting or going:
        behind = {one.name for one in (*waiting, *going.values())}
        ready = [one for one in waiting if not behind & {need.name for need in one.needs()}]
        for one in ready[: workers - len(going)]:
            waiting.remove(one)
            going[submit(one)] = one
        for future in wait(going, return_when=FIRST_COMPLETED).done:
            yield going.pop(future), future.result()
