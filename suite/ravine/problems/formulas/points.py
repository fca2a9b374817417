"""Lists of critical points: of single functions, and of sums over the coordinates."""

from collections.abc import Sequence
from itertools import product
from math import inf

from ravine.problems.base import CriticalPoint, Kind

FALLS = (-1.0, -10.0, -100.0, -1000.0)
"""Losses that runs on a surface without a minimum are held to."""


def critical(kind: Kind, *rows: tuple[float, ...]) -> tuple[CriticalPoint, ...]:
    """Critical points of one kind; each row is the coordinates followed by the value.

    Example:
        >>> critical(Kind.MINIMUM, (3.0, 2.0, 0.0))[0].x
        (3.0, 2.0)
    """
    return tuple(CriticalPoint(row[:-1], row[-1], kind) for row in rows)


def heights(points: Sequence[CriticalPoint]) -> tuple[float, ...]:
    """The values of critical points, to be used as targets."""
    return tuple(p.value for p in points)


def grid(*axes: Sequence[CriticalPoint]) -> tuple[CriticalPoint, ...]:
    """All critical points of a sum of functions of one coordinate each.

    Args:
        axes: for each coordinate the critical points of its own function, none of them
            degenerate.

    Returns:
        Every combination, as many as the product of the lengths.
    """
    return tuple(
        CriticalPoint(
            tuple(x for p in chosen for x in p.x),
            sum(p.value for p in chosen),
            chosen[0].kind if len({p.kind for p in chosen}) == 1 else Kind.SADDLE,
        )
        for chosen in product(*axes)
    )


def ladder(*axes: Sequence[tuple[float, float]]) -> tuple[CriticalPoint, ...]:
    """Local minima of a sum of functions of one coordinate each, from high to low.

    At most eight, the last of them the second lowest minimum of all: a run below it is
    in the basin of a global minimum.

    Args:
        axes: for each coordinate the minima (x, value) of its own function, lowest first;
            more than one in at least one of them.

    Example:
        >>> wells = [(0.0, 0.0), (1.0, 1.0)]
        >>> [p.value for p in ladder(wells, wells)]
        [2.0, 1.0]
    """
    rise = [axis[1][1] - axis[0][1] if len(axis) > 1 else inf for axis in axes]
    cheapest_first = sorted(range(len(axes)), key=rise.__getitem__)
    levels = [[level] * len(axes) for level in range(max(map(len, axes)) - 1, 0, -1)]
    raised = len(axes) // 2
    while raised:
        levels.append([int(i in cheapest_first[:raised]) for i in range(len(axes))])
        raised //= 2
    found = {}
    for level in levels:
        wells = [axis[min(k, len(axis) - 1)] for axis, k in zip(axes, level, strict=True)]
        found[sum(value for _, value in wells)] = tuple(x for x, _ in wells)
    lowest = sorted(found)[:8]
    return critical(Kind.MINIMUM, *((*found[value], value) for value in reversed(lowest)))
