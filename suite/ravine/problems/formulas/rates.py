"""How fast the classical methods converge on a quadratic, in closed form.

A rate is the factor by which the error shrinks in a step, asymptotically: the spectral
radius of the method's linear map.  Above 1 the method diverges.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """The hyperparameters that are best for given curvatures, and the rate they reach."""

    lr: float
    momentum: float
    rate: float


def gradient_descent_rate(lr: float, eigenvalues: Iterable[float]) -> float:
    """Rate of gradient descent, max |1 - lr * lambda|: below 1 exactly for lr < 2 / L.

    Args:
        lr: learning rate.
        eigenvalues: of the Hessian.

    Example:
        >>> gradient_descent_rate(0.5, [1.0, 4.0])
        1.0
    """
    return max(abs(1 - lr * e) for e in eigenvalues)


def heavy_ball_rate(lr: float, momentum: float, eigenvalues: Iterable[float]) -> float:
    """Rate of Polyak's heavy ball, x' = x - lr g + momentum (x - x_before).

    The map of an eigenvalue has the characteristic polynomial
    z^2 - (1 + momentum - lr lambda) z + momentum.  `torch.optim.SGD` with momentum and
    without dampening is this method.

    Args:
        lr: learning rate.
        momentum: from 0 to below 1.
        eigenvalues: of the Hessian.

    Example:
        >>> round(heavy_ball_rate(1 / 9, 4 / 9, [1.0, 25.0]), 6)  # optimal for condition 25
        0.666667

    References:
        Polyak (1964). Some methods of speeding up the convergence of iteration methods.
        doi 10.1016/0041-5553(64)90137-5.
    """
    return max(_radius(1 + momentum - lr * e, momentum) for e in eigenvalues)


def nesterov_rate(lr: float, momentum: float, eigenvalues: Iterable[float]) -> float:
    """Rate of Nesterov's method with constant momentum, gradient taken ahead.

    The map of an eigenvalue has the characteristic polynomial
    z^2 - (1 + momentum) (1 - lr lambda) z + momentum (1 - lr lambda).

    Args:
        lr: learning rate.
        momentum: from 0 to below 1.
        eigenvalues: of the Hessian.

    Example:
        >>> nesterov_rate(1.0, 0.5, [1.0])
        0.0

    References:
        Lessard, Recht, Packard (2016). Analysis and design of optimization algorithms via
        integral quadratic constraints. arXiv 1408.3595.
    """
    return max(_radius((1 + momentum) * (1 - lr * e), momentum * (1 - lr * e)) for e in eigenvalues)


def _radius(b: float, c: float) -> float:
    """The larger modulus of the roots of z^2 - b z + c."""
    discriminant = b * b - 4 * c
    return math.sqrt(c) if discriminant < 0 else (abs(b) + math.sqrt(discriminant)) / 2


def best_gradient_descent(smoothness: float, strong_convexity: float) -> Tuning:
    """Best rate of gradient descent on quadratics, (k - 1) / (k + 1) for condition k.

    Args:
        smoothness: the largest eigenvalue L.
        strong_convexity: the smallest eigenvalue m.

    Example:
        >>> best_gradient_descent(3.0, 1.0)
        Tuning(lr=0.5, momentum=0.0, rate=0.5)
    """
    both = smoothness + strong_convexity
    return Tuning(2 / both, 0.0, (smoothness - strong_convexity) / both)


def best_heavy_ball(smoothness: float, strong_convexity: float) -> Tuning:
    """Best rate of the heavy ball on quadratics, (sqrt k - 1) / (sqrt k + 1).

    No first-order method has a better one in the limit of many dimensions.  On functions
    that are no quadratics this tuning need not converge, see the problem `lessard`.

    Args:
        smoothness: the largest eigenvalue L.
        strong_convexity: the smallest eigenvalue m.

    Example:
        >>> tuning = best_heavy_ball(25.0, 1.0)
        >>> (round(9 * tuning.lr, 9), round(9 * tuning.momentum, 9))
        (1.0, 4.0)

    References:
        Polyak (1964). doi 10.1016/0041-5553(64)90137-5; Nesterov (2004). Introductory
        Lectures on Convex Optimization, theorem 2.1.13.
    """
    high, low = math.sqrt(smoothness), math.sqrt(strong_convexity)
    rate = (high - low) / (high + low)
    return Tuning(4 / (high + low) ** 2, rate**2, rate)


def best_nesterov(smoothness: float, strong_convexity: float) -> Tuning:
    """Best rate of Nesterov's method on quadratics, 1 - 2 / sqrt(3 k + 1).

    Args:
        smoothness: the largest eigenvalue L.
        strong_convexity: the smallest eigenvalue m.

    Example:
        >>> best_nesterov(5.0, 1.0).rate
        0.5

    References:
        Lessard, Recht, Packard (2016). Analysis and design of optimization algorithms via
        integral quadratic constraints, proposition 1. arXiv 1408.3595.
    """
    root = math.sqrt(3 * smoothness / strong_convexity + 1)
    return Tuning(4 / (3 * smoothness + strong_convexity), (root - 2) / (root + 2), 1 - 2 / root)
