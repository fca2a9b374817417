"""How many of n runs must pass, so that an assertion fails by chance as rarely as it says."""

import math
from collections.abc import Sequence

from scipy.stats import binom

from ravine.errors import BadValue

EVIDENCE = 0.05
"""Where a count is to show a direction, what a fair coin may give as often at most."""


def required(n: int, rate: float, false_alarm: float) -> int:
    """The number of passes among n that a subject of a stated pass rate hardly ever misses.

    The largest k with P(X < k) <= false_alarm, X binomial with n trials of the rate.  A rate
    of 1 requires all.

    Args:
        n: independent runs.
        rate: chance of each to pass.
        false_alarm: chance of fewer passes than required.

    Raises:
        BadValue: a number is outside its domain, or n is so small that no number of passes
            would be too few.

    Example:
        >>> required(25, 0.95, 1e-4)
        18
    """
    fraction("rate", rate, closed=True)
    fraction("false_alarm", false_alarm)
    # isf, sf and ppf round; the sum of the first terms is what the docstring says
    found = sum(binom.cdf(k, n, rate) <= false_alarm for k in range(n))
    if not found:
        least = math.ceil(math.log(false_alarm) / math.log1p(-rate))
        raise BadValue(
            f"{n} seeds cannot fail at a rate of {rate:g} and a false alarm of {false_alarm:g}; "
            f"give {least} or more"
        )
    return int(found)


def too_few(count: int, n: int, rate: float) -> float:
    """P(X <= count), X binomial: how probable so few passes are at a stated rate.

    Example:
        >>> too_few(1, 2, 0.5)
        0.75
    """
    return float(binom.cdf(count, n, rate))


def so_many(count: int, n: int) -> float:
    """P(X >= count) for a fair coin: the sign test.

    Example:
        >>> so_many(5, 5)
        0.03125
    """
    return float(binom.sf(count - 1, n, 0.5))


def telling(n: int, rate: float, false_alarm: float) -> int:
    """What `required` says, where that many are also more than a coin would give.

    Raises:
        BadValue: they are not: a subject without any direction would pass too often.

    Example:
        >>> telling(25, 0.95, 1e-4), telling(5, 1.0, 1e-4)
        (18, 5)
    """
    needed = required(n, rate, false_alarm)
    if so_many(needed, n) <= EVIDENCE:
        return needed
    enough = next(
        (m for m in range(n + 1, 1000) if _tells(m, rate, false_alarm)),
        None,
    )
    remedy = f"give {enough} seeds, or a higher `rate`" if enough else "give a higher `rate`"
    raise BadValue(
        f"{n} seeds cannot tell a rate of {rate:g} from a coin at a false alarm of "
        f"{false_alarm:g}; {remedy}"
    )


def _tells(n: int, rate: float, false_alarm: float) -> bool:
    if binom.cdf(0, n, rate) > false_alarm:
        return False
    return so_many(required(n, rate, false_alarm), n) <= EVIDENCE


def fraction(name: str, value: float, *, closed: bool = False) -> None:
    """Insist on a number between 0 and 1, 1 itself included if closed.

    Raises:
        BadValue: it is not.

    Example:
        >>> fraction("rate", 1.0, closed=True)
    """
    if not (0 < value < 1 or (closed and value == 1)):
        raise BadValue(f"`{name}` must lie between 0 and 1, got {value}; give such a number")


def distinct(seeds: Sequence[int]) -> tuple[int, ...]:
    """Insist on distinct whole numbers.

    Raises:
        BadValue: there are none, or one is no whole number, or is there twice.

    Example:
        >>> distinct(range(3))
        (0, 1, 2)
    """
    try:
        given = tuple(seeds)
    except TypeError:
        given = ()
    if not given or any(type(s) is not int or s < 0 for s in given) or len({*given}) < len(given):
        raise BadValue(
            f"`seeds` must be distinct whole numbers from 0, got {seeds!r}; give such as range(25)"
        )
    return given
