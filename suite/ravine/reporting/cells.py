"""Numbers as the text of table cells; what is no number says why."""

from collections.abc import Mapping
from math import isfinite, isinf, isnan

from ravine.records.schema import Outcome

NOTHING = "n/a"

_LONG = 1e5  # from here on an exponent is shorter


def missing(value: float | None) -> bool:
    """Whether there is no number at all."""
    return value is None or isnan(value)


def steps(value: float | None, why: str = NOTHING) -> str:
    """Optimizer steps, whole; `why` where there are none.

    Example:
        >>> steps(1234.0), steps(None, "never in 1000")
        ('1234', 'never in 1000')
    """
    if value is None or not isfinite(value):
        return why
    return str(round(value))


def gap(value: float | None, why: str = NOTHING) -> str:
    """A loss or a gap, two digits with an exponent.

    Example:
        >>> gap(1.234e-5), gap(0.0), gap(float("inf"))
        ('1.2e-05', '0', 'inf')
    """
    if value is None or isnan(value):
        return why
    if value == 0:
        return "0"
    return f"{value:.1e}"


def decimal(value: float | None, digits: int = 3, why: str = NOTHING) -> str:
    """A number of ordinary size, by significant digits.

    Example:
        >>> decimal(1.23456), decimal(0.1), decimal(-1234.0), decimal(1e-6)
        ('1.23', '0.1', '-1234', '1e-06')
    """
    if value is None or isnan(value):
        return why
    if 10**digits <= abs(value) < _LONG:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def fixed(value: float | None, digits: int = 3, why: str = NOTHING) -> str:
    """A number of ordinary size, by digits after the point."""
    if value is None or isnan(value):
        return why
    return f"{value:.{digits}f}"


def percent(value: float | None, why: str = NOTHING, digits: int = 1) -> str:
    """A share in percent.

    Example:
        >>> percent(0.9712)
        '97.1%'
    """
    if value is None or isnan(value):
        return why
    return f"{100 * value:.{digits}f}%"


def share(count: int, n: int) -> str:
    """A count out of a total.

    Example:
        >>> share(24, 25)
        '24/25'
    """
    return f"{count}/{n}"


def interval(middle: str, low: str, high: str) -> str:
    """A value with its interval, or alone where no interval can be given.

    Example:
        >>> interval("12", "10", "15"), interval("12", "n/a", "n/a")
        ('12 [10, 15]', '12')
    """
    if NOTHING in (low, high):
        return middle
    return f"{middle} [{low}, {high}]"


def ratio(value: float | None, why: str = NOTHING) -> str:
    """How many times as much.

    Example:
        >>> ratio(1.3456), ratio(0.0123), ratio(1234.5), ratio(float("inf"))
        ('1.35', '0.012', '1234', 'inf')
    """
    if value is None or isnan(value):
        return why
    if isinf(value):
        return f"{value:.0f}"
    if 0.1 <= value < 100:
        return f"{value:.2f}"
    if 100 <= value < _LONG:
        return f"{value:.0f}"
    return f"{value:.2g}"


def p_value(value: float | None, why: str = NOTHING) -> str:
    """An (adjusted) p-value.

    Example:
        >>> p_value(0.0123), p_value(1e-9), p_value(1.0)
        ('0.012', '<0.001', '1')
    """
    if value is None or isnan(value):
        return why
    if value < 0.001:
        return "<0.001"
    return f"{value:.2g}"


def outcomes(counts: Mapping[str, int | None], n: int) -> str:
    """How runs ended, where not all of them ended well.

    Args:
        counts: runs by outcome.
        n: all runs.

    Example:
        >>> outcomes({"diverged": 3, "spent": 1, "failed": 0}, 25)
        'diverged 3/25, spent 1/25'
    """
    seen = [f"{name} {share(count, n)}" for name, count in counts.items() if count]
    return ", ".join(seen) if seen else f"all {Outcome.SOLVED}"
