"""Is a point what it is said to be?"""

from collections.abc import Sequence

from ravine.errors import BadValue
from ravine.landscape.critical.classify import classify
from ravine.landscape.critical.kinds import Label
from ravine.landscape.operators import DENSE
from ravine.problems import arguments
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.subjects import Ground, Place, as_point, as_surface

KINDS = tuple(label.value for label in Label if label is not Label.NOT_CERTIFIED)
"""What a point can be asserted to be."""

SHOWN = 6
"""Eigenvalues that a message prints at most."""


def assert_kind(problem: Ground, point: Place, kind: str) -> None:
    """Assert that a point is a minimum, a saddle, a maximum, degenerate, or not critical.

    The gradient must vanish to rounding, |g| <= 1e-8 (1 + |f|) sqrt(P), and the signs of all
    eigenvalues of the Hessian, beyond a tolerance tau that is made of what rounding does to
    them, decide; see `ravine.landscape.critical.classify`.  There is no chance in it.

    Args:
        problem: id, problem (a formula in its own coordinates, without a seed's shift or
            noise) or surface; of at most 5,000 coordinates, beyond which kinds are not
            certified.
        point: coordinates, or parameters by name.
        kind: `minimum`, `saddle`, `maximum`, `degenerate` or `not critical`.

    Raises:
        AssertionError: it is something else.
        RavineError: a name or value is wrong.

    Example:
        >>> assert_kind("bounded_saddle", (0, 0), "saddle")
        >>> assert_kind("bounded_saddle", (0, 0), "minimum")
        Traceback (most recent call last):
        ...
        AssertionError: [0, 0] of `bounded_saddle`: expected a minimum, seen a saddle: \
eigenvalues -1, 1 with a tolerance of 1e-09, gradient norm 0 with a tolerance of 1.4e-08 \
(n = 1 point; deterministic)
    """
    __tracebackhide__ = True
    ground = as_surface(problem)
    arguments.choice("kind", kind, KINDS)
    if ground.size > DENSE:
        raise BadValue(
            f"`{ground.name}` has {ground.size} coordinates, and kinds are certified up to "
            f"{DENSE}; give a smaller problem"
        )
    (found,) = classify(ground, as_point(ground, point), higher=False)
    if found.label == kind:
        return
    unsure = "" if found.robust else f", {found.looser.value} at ten times the tolerance"
    values = _shown(found.eigenvalues.tolist())
    seen = (
        f"{_with_article(found.label.value)}{unsure}: eigenvalues {values} "
        f"with a tolerance of {found.tolerance.total:.2g}, gradient norm "
        f"{found.gradient_norm:.2g} with a tolerance of {found.gradient_tolerance:.2g}"
    )
    if found.label is Label.NOT_CRITICAL and found.gradient_norm <= found.gradient_tolerance:
        seen += f", and the nearest critical point {found.step:.2g} away"
    fail(
        f"[{_shown(found.x.tolist())}] of `{ground.name}`",
        expected=_with_article(kind),
        seen=seen,
        n=1,
        of="point",
    )


def _with_article(kind: str) -> str:
    return kind if kind in (Label.DEGENERATE, Label.NOT_CRITICAL) else f"a {kind}"


def _shown(numbers: Sequence[float]) -> str:
    """The numbers, the middle of a long list left out."""
    words = [f"{x:.4g}" for x in numbers]
    if len(words) > SHOWN:
        words = [*words[: SHOWN // 2], "...", *words[-SHOWN // 2 :]]
    return ", ".join(words)
