"""What an update rule is, and the one place where a small constant keeps it from dividing by 0."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64

Array = Float64[np.ndarray, "*shape"]
"""A point, a gradient or an average of them; all that one rule takes have the same shape."""

Rule = Callable[[Array, Any, Array], tuple[Array, Any]]
"""Takes a point, a state (None before the first step) and the gradient at the point;
returns the next point and state, and changes nothing in place."""


def root(s: Array, eps: float, inside: bool) -> Array:
    """A square root that is never 0: sqrt(s + eps) if the constant is inside, else sqrt(s) + eps.

    No constant inside equals a constant outside for every s.  eps^2 inside comes nearest:
    it agrees with eps outside at s = 0 and for large s, and is smaller by at most sqrt(2)
    between, where sqrt(s) = eps.

    Args:
        s: sums or averages of squares, not negative.
        eps: the constant; squared gradient units inside, gradient units outside.
        inside: where the constant is.

    Example:
        >>> root(np.array([9.0]), 16.0, True), root(np.array([9.0]), 4.0, False)
        (array([5.]), array([7.]))
    """
    return np.sqrt(s + eps) if inside else np.sqrt(s) + eps
