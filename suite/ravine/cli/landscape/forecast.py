"""How long runs and evaluations will take, from a few of them."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ravine.optimizers import Setting
    from ravine.problems.base import Problem

FEW = 3
"""Steps that are timed."""


def duration(
    problem: "Problem", settings: "Sequence[Setting]", budget: int, starts: int = 1
) -> float:
    """Seconds of the runs of some optimizers, from a few steps of each."""
    from ravine.engine.walk import walk

    few = min(FEW, budget)
    if not few:
        return 0.0
    each = [seconds(lambda s=s: walk(problem, s, 0, few, keep=())) / few for s in settings]  # type: ignore[misc]
    return sum(each) * budget * starts


def seconds(action: Callable[[], object]) -> float:
    """Of the clock, for an action that has been done once before."""
    action()  # what is set up once
    began = perf_counter()
    action()
    return perf_counter() - began
