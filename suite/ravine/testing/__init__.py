"""What ravine knows, for any test suite: assertions, strategies and wrong optimizers.

Each name is imported when it is first used, so that a test suite that has one such test
among many does not wait for torch when it collects the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravine.testing.assertions.convergence import assert_converges
    from ravine.testing.assertions.descent import assert_monotone_line, assert_smoother
    from ravine.testing.assertions.escape import assert_escapes
    from ravine.testing.assertions.gates import assert_contracts, assert_unchanged
    from ravine.testing.assertions.points import assert_kind
    from ravine.testing.assertions.race import assert_no_worse
    from ravine.testing.assertions.trajectory import assert_same_trajectory

_HOMES = {
    "assert_contracts": "gates",
    "assert_converges": "convergence",
    "assert_escapes": "escape",
    "assert_kind": "points",
    "assert_monotone_line": "descent",
    "assert_no_worse": "race",
    "assert_same_trajectory": "trajectory",
    "assert_smoother": "descent",
    "assert_unchanged": "gates",
}
"""In which module of `ravine.testing.assertions` each assertion is."""

__all__ = [
    "assert_contracts",
    "assert_converges",
    "assert_escapes",
    "assert_kind",
    "assert_monotone_line",
    "assert_no_worse",
    "assert_same_trajectory",
    "assert_smoother",
    "assert_unchanged",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module `ravine.testing` has no attribute `{name}`")
    return getattr(import_module(f"ravine.testing.assertions.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
