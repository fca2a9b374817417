"""Checks that the problems' arguments share."""

from ravine.errors import BadValue


def at_least(name: str, value: int | float, low: int | float) -> None:
    """Insist on a lower bound, which also refuses NaN.

    Raises:
        BadValue: the value is smaller.

    Example:
        >>> at_least("dim", 2, 1)
    """
    if not value >= low:
        raise BadValue(f"`{name}` must be at least {low}, got {value}; give a larger one")


def at_most(name: str, value: int | float, high: int | float) -> None:
    """Insist on an upper bound, which also refuses NaN.

    Raises:
        BadValue: the value is larger.

    Example:
        >>> at_most("dim", 2, 8)
    """
    if not value <= high:
        raise BadValue(f"`{name}` must be at most {high}, got {value}; give a smaller one")


def positive(name: str, value: int | float) -> None:
    """Insist on a finite number above zero.

    Raises:
        BadValue: it is not.

    Example:
        >>> positive("scale", 0.1)
    """
    if not 0 < value < float("inf"):
        raise BadValue(f"`{name}` must be positive and finite, got {value}; give such a number")
