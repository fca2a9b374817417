"""At which steps of a loop is looked."""

import math
from collections.abc import Callable

from ravine.errors import BadValue
from ravine.problems import arguments

Schedule = Callable[[int], bool]
"""From a step, counted from 0, to whether it is looked at."""


def scheduled(steps: int | Schedule) -> Schedule:
    """A schedule as it is, or that of every so many steps.

    Raises:
        BadValue: the number is no positive whole number.

    Example:
        >>> [step for step in range(10) if scheduled(3)(step)]
        [0, 3, 6, 9]
    """
    if callable(steps):
        return steps
    arguments.whole("every", steps, 1)
    return lambda step: step % steps == 0


def log_spaced(per_decade: int = 8) -> Schedule:
    """The first step, and so many in each factor of ten.

    Example:
        >>> [step for step in range(101) if log_spaced(3)(step)]
        [0, 2, 4, 9, 21, 46, 99]
    """
    if per_decade < 1:
        raise BadValue(f"`per_decade` must be at least 1, got {per_decade}; give a whole number")

    def mark(step: int) -> int:
        return math.floor(per_decade * math.log10(step + 1) + 1e-9)

    return lambda step: step == 0 or mark(step) > mark(step - 1)
