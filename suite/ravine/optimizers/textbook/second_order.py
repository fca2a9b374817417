"""Rules that use curvature: the Hessian itself, or what two gradients tell of it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

Vector = Float64[np.ndarray, "n"]
Hessian = Float64[np.ndarray, "n n"]


def newton(x: Vector, g: Vector, hessian: Hessian, lr: float = 1.0, damping: float = 0.0) -> Vector:
    """Newton's method: x <- x - lr (H + damping I)^-1 g.

    One step with lr = 1 finds the critical point of a quadratic, whatever its condition and
    whatever its kind: saddles and maxima attract it as minima do.  Where the matrix is
    singular (a singular value below n 2^-52 of the largest) it takes the shortest of the
    steps that solve the equations best, which does not move along the null space.

    Args:
        hessian: symmetric, at x.
        lr: share of the step taken.
        damping: added to every eigenvalue; enough of it makes the step one of descent.

    References:
        Nocedal, Wright (2006). Numerical optimization, chapter 3.
        doi:10.1007/978-0-387-40065-5.

    Example:
        >>> newton(np.array([3.0, 3.0]), np.array([6.0, -6.0]), np.diag([2.0, -2.0]))
        array([0., 0.])
    """
    shifted = hessian + damping * np.eye(len(x))
    step: Vector = np.linalg.lstsq(shifted, g, rcond=len(x) * np.finfo(float).eps)[0]
    return x - lr * step


def saddle_free_newton(
    x: Vector, g: Vector, hessian: Hessian, lr: float = 1.0, damping: float = 0.0
) -> Vector:
    """Saddle-free Newton: x <- x - lr |H|^-1 g, |H| with the eigenvalues' absolute values.

    Near a minimum it is Newton's method; a saddle repels it along its directions of
    negative curvature.  Along directions of no curvature (below n 2^-52 of the largest) it
    does not move unless damped.

    Args:
        hessian: symmetric, at x.
        lr: share of the step taken.
        damping: smallest absolute eigenvalue counted, so that flat directions take steps
            of at most lr |g| / damping.

    References:
        Dauphin et al. (2014). Identifying and attacking the saddle point problem in
        high-dimensional non-convex optimization. arXiv 1406.2572.

    Example:
        >>> saddle_free_newton(np.array([3.0, 3.0]), np.array([6.0, -6.0]), np.diag([2.0, -2.0]))
        array([0., 6.])
    """
    values, vectors = np.linalg.eigh(hessian)
    size = np.maximum(np.abs(values), damping)
    seen = size > (0.0 if damping else len(x) * np.finfo(float).eps * size.max())
    inverse = np.divide(1.0, size, out=np.zeros_like(size), where=seen)
    step: Vector = vectors @ (inverse * (vectors.T @ g))
    return x - lr * step


class Pairs(NamedTuple):
    """Differences (y of gradients, s of points), oldest first, and the last step and gradient."""

    pairs: tuple[tuple[Vector, Vector], ...]
    step: Vector
    g: Vector


def lbfgs(
    x: Vector,
    state: Pairs | None,
    g: Vector,
    lr: float = 1.0,
    history: int = 10,
    curvature: float = 0.0,
    short_start: bool = False,
) -> tuple[Vector, Pairs | None]:
    """L-BFGS by the two loops: x <- x - lr H g, H the inverse Hessian that the last pairs tell of.

    With s = x_t - x_{t-1}, y = g_t - g_{t-1} and rho = 1 / y's, newest to oldest:
    a = rho s'q, q <- q - a y, from q = g; r = (s'y / y'y) q with the newest pair; oldest to
    newest: r <- r + (a - rho y'r) s.  H g is r; before there is a pair, g.  At a gradient of
    0 nothing changes.  The length of the step is the caller's: see `wolfe`.

    Args:
        lr: length of the step, found by a line search or constant.
        history: pairs kept.
        curvature: a pair is kept where y's exceeds this.
        short_start: the first step is lr min(1, 1 / |g|_1) g, as torch takes it.

    References:
        Nocedal (1980). Updating quasi-Newton matrices with limited storage.
        doi:10.1090/S0025-5718-1980-0572855-7.
        Liu, Nocedal (1989). On the limited memory BFGS method for large scale
        optimization. doi:10.1007/BF01589116.
    """
    if not g.any():
        return x, state
    pairs: tuple[tuple[Vector, Vector], ...] = ()
    if state is not None:
        y, s = g - state.g, state.step
        pairs = (*state.pairs, (y, s)) if y @ s > curvature else state.pairs
        pairs = pairs[-history:]
    elif short_start:
        lr = lr * min(1.0, 1 / float(np.abs(g).sum()))
    step = -lr * _two_loops(g, pairs)
    return x + step, Pairs(pairs, step, g)


def _two_loops(q: Vector, pairs: tuple[tuple[Vector, Vector], ...]) -> Vector:
    weights = []
    for y, s in reversed(pairs):
        weights.append((s @ q) / (y @ s))
        q = q - weights[-1] * y
    if pairs:
        y, s = pairs[-1]
        q = (s @ y) / (y @ y) * q
    for (y, s), a in zip(pairs, reversed(weights), strict=True):
        q = q + (a - (y @ q) / (y @ s)) * s
    return q


def wolfe(
    before: tuple[float, float],
    after: tuple[float, float],
    length: float,
    decrease: float = 1e-4,
    flattening: float = 0.9,
) -> bool:
    """Whether a step meets the strong Wolfe conditions, which leave many lengths open.

    f(x + t d) <= f(x) + decrease t f'(x)d  and  |f'(x + t d)d| <= flattening |f'(x)d|.

    Args:
        before: f and the slope f'd along the direction, at the start of the step.
        after: the same at its end.
        length: t.
        decrease: share of the decrease promised by the slope, c1.
        flattening: share of the slope that may be left, c2.

    References:
        Nocedal, Wright (2006). Numerical optimization, equations 3.7.

    Example:
        >>> bowl = [(t**2 / 2, -t) for t in (1.0, 0.5, 0.05)]  # the slope is along -x
        >>> [wolfe(bowl[0], after, length) for after, length in zip(bowl[1:], (0.5, 0.95))]
        [True, True]
        >>> wolfe(bowl[0], bowl[0], 1.0)
        False
    """
    (f, slope), (g, left) = before, after
    return g <= f + decrease * length * slope and abs(left) <= flattening * abs(slope)
