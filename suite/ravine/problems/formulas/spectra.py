"""Facts that follow from a Hessian or a Jacobian at the minimum."""

from typing import Any

import numpy as np

from ravine.problems.base import Facts

Points = tuple[tuple[float, ...], ...]


def quadratic_facts(hessian: np.ndarray, minimizer: np.ndarray, minimum: float = 0.0) -> Facts:
    """Facts of a strictly convex quadratic.

    Args:
        hessian: `[n, n]`, symmetric and positive definite.
        minimizer: `[n]`.
        minimum: the value there.

    Example:
        >>> quadratic_facts(np.diag([4.0, 1.0]), np.zeros(2)).condition
        4.0
    """
    eigenvalues = tuple(np.linalg.eigvalsh(hessian).tolist())
    return Facts(
        minimum=minimum,
        minimizers=(tuple(minimizer.tolist()),),
        eigenvalues=eigenvalues,
        condition=eigenvalues[-1] / eigenvalues[0],
        smoothness=eigenvalues[-1],
        strong_convexity=eigenvalues[0],
    )


def zero_residual_facts(jacobian: np.ndarray, minimizers: Points, **more: Any) -> Facts:
    """Facts of a sum of squares whose minimum is zero, where the Hessian is 2 J'J.

    Args:
        jacobian: of the residuals at the first minimizer, `[m, n]` with m >= n, of rank n.
        minimizers: where all residuals vanish.
        more: further facts.

    Example:
        >>> zero_residual_facts(np.diag([3.0, 1.0]), ((0.0, 0.0),)).condition
        9.0
    """
    # singular values keep digits that the eigenvalues of J'J have lost
    singular = np.linalg.svd(jacobian, compute_uv=False)[::-1]
    eigenvalues = tuple((2 * singular**2).tolist())
    return Facts(
        minimum=0.0,
        minimizers=minimizers,
        eigenvalues=eigenvalues,
        condition=float((singular[-1] / singular[0]) ** 2),
        **more,
    )
