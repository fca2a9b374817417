"""Checks that the problems' arguments share."""

from collections.abc import Iterable

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


def whole(name: str, value: object, low: int) -> None:
    """Insist on a whole number that is large enough.

    Raises:
        BadValue: it is not, or is smaller.

    Example:
        >>> whole("depth", 20, 2)
    """
    if type(value) is not int or value < low:
        raise BadValue(f"`{name}` must be a whole number of at least {low}, got {value}")


def choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Insist on one of some words.

    Raises:
        BadValue: it is another.

    Example:
        >>> choice("activation", "relu", ("relu", "tanh"))
    """
    words = list(choices)
    if value not in words:
        raise BadValue(f"`{name}` must be one of {', '.join(words)}, got {value}")
