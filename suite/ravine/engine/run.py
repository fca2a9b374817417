"""What an engine measures of a run, and the rules by which a run ends.

The rules are shared by the stacked grid and by the plain loop; the measuring is not, so
that the loop remains an independent oracle of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ravine.problems.base import Goal, Problem
from ravine.records.schema import NEVER, Outcome

ABSURD = 1e10
"""A loss is absurd, and its run frozen, beyond this many times max(1, |start|)."""

SMOOTHING = 0.95
"""Weight of the past in the smoothed batch loss that networks are scored by."""

MARGIN = 1e-9
"""How far below a local minimum's value a run must get to be in a better basin, relative to
max(1, |value|)."""

STILL = 1e-12
"""An improvement below this, relative to max(1, |start|), is no movement."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run as it was measured.

    Args:
        hits: for every target, the first step whose loss is at or below it, or `NEVER`.
        start: scored loss before the first step.
        best: lowest scored loss.
        final: scored loss at the end; infinite after divergence, minus infinity after
            falling without bound.
        frozen: step at which the loss left all bounds, or `NEVER`.
        moved: last step at which the best loss improved.
        trace: (step, loss, gradient norm) at the checkpoints before the run froze.
        point: where it ended (or froze), all parameters in one flat tuple.
        failure: what the optimizer raised, else empty.
    """

    hits: tuple[int, ...]
    start: float
    best: float
    final: float
    frozen: int
    moved: int
    trace: tuple[tuple[int, float, float], ...]
    point: tuple[float, ...]
    failure: str = ""


def checkpoints(budget: int, count: int = 33) -> tuple[int, ...]:
    """Log-spaced steps at which a run is looked at, first and last included.

    Example:
        >>> checkpoints(8)
        (0, 1, 2, 3, 4, 5, 6, 7, 8)
        >>> len(checkpoints(1000)), checkpoints(1000)[-2:]
        (30, (800, 1000))
    """
    if budget + 1 <= count:
        return tuple(range(budget + 1))
    spaced = np.geomspace(1, budget, count - 1).round().astype(int)
    return (0, *sorted(set(spaced.tolist())))


def targets(problem: Problem, start: float) -> tuple[float, ...]:
    """Values of the scored loss that a run starting at `start` is to reach.

    A relative gap r becomes f* + r (f(x0) - f*); a local minimum's value is to be passed by
    a margin; other goals state values already.
    """
    facts = problem.facts
    if facts.goal is Goal.MINIMUM:
        if facts.minimum is None:
            return ()
        return tuple(facts.minimum + r * (start - facts.minimum) for r in facts.targets)
    if facts.goal is Goal.BASIN:
        # a run at rest in that very minimum does not count, whatever its last bits
        return tuple(t - MARGIN * max(1.0, abs(t)) for t in facts.targets)
    return facts.targets


def bound(start: float) -> float:
    """The size of loss beyond which a run is frozen."""
    return ABSURD * max(1.0, abs(start))


def conclude(
    hits: Sequence[int], frozen: int, moved: int, budget: int, failure: str = ""
) -> Outcome:
    """Name the way a run ended."""
    if failure:
        return Outcome.FAILED
    if hits and hits[-1] != NEVER:
        return Outcome.SOLVED
    if frozen != NEVER:
        return Outcome.DIVERGED
    if moved < budget // 2:
        return Outcome.STALLED
    return Outcome.SPENT
