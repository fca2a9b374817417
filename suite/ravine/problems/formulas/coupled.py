"""Convex functions whose axes are no coordinates, so that no rate for each one helps."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, at_most, positive
from ravine.problems.arithmetic import total, weighted
from ravine.problems.base import Facts
from ravine.problems.catalogue import analytic, problems
from ravine.problems.formulas.separable import ellipsoid
from ravine.problems.formulas.spectra import quadratic_facts


def _turned(dim: int, condition: float) -> Analytic:
    return replace(analytic(ellipsoid(dim, condition)), rotate=True)


@problems.register("conditioned", "convex", "rotated", "analytic")
def rotated_ellipsoid(dim: int = 4, condition: float = 1e2) -> Analytic:
    """The ellipsoid in coordinates turned at random, by another rotation for each seed.

    f(x) = sum_i c^((i-1)/(n-1)) z_i^2 with z = R x.

    The long axes are no coordinates any more, so a rate for each coordinate does not
    help: what a method wins on the plain ellipsoid and loses here, it owed to the axes.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f10.
    """
    return _turned(dim, condition)


@problems.register("conditioned", "convex", "rotated", "analytic")
def rotated_ellipsoid_1e4(dim: int = 4) -> Analytic:
    """The rotated ellipsoid with condition 1e4.

    f(x) = sum_i 1e4^((i-1)/(n-1)) z_i^2 with z = R x.

    Hard for plain descent, and without axes to exploit.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f10.
    """
    return _turned(dim, 1e4)


@problems.register("conditioned", "convex", "rotated", "analytic")
def rotated_ellipsoid_1e6(dim: int = 4) -> Analytic:
    """The rotated ellipsoid with condition 1e6.

    f(x) = sum_i 1e6^((i-1)/(n-1)) z_i^2 with z = R x.

    Only a method that learns the whole curvature gets down within a thousand steps.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f10.
    """
    return _turned(dim, 1e6)


@problems.register("conditioned", "convex", "analytic")
def booth() -> Analytic:
    """A tilted bowl with condition 9.

    f(x) = (x_1 + 2 x_2 - 7)^2 + (2 x_1 + x_2 - 5)^2.

    Mild, but its axes are no coordinates and its minimum is not at the origin.

    References:
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimisation problems, f17. arXiv 1308.4008.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return (a + 2 * b - 7).square() + (2 * a + b - 5).square()

    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=quadratic_facts(np.array([[10.0, 8.0], [8.0, 10.0]]), np.array([1.0, 3.0])),
    )


@problems.register("conditioned", "convex", "analytic")
def matyas() -> Analytic:
    """A tilted valley with condition 25.

    f(x) = 0.26 (x_1^2 + x_2^2) - 0.48 x_1 x_2.

    The flat direction is the diagonal, where a rate for each coordinate cannot help.

    References:
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimisation problems, f71. arXiv 1308.4008.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return 0.26 * (a.square() + b.square()) - 0.48 * a * b

    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=quadratic_facts(np.array([[0.52, -0.48], [-0.48, 0.52]]), np.zeros(2)),
    )


def _path(dim: int) -> np.ndarray:
    """The tridiagonal matrix with 2 on the diagonal and -1 beside it."""
    return 2.0 * np.eye(dim) - np.eye(dim, k=1) - np.eye(dim, k=-1)


@problems.register("conditioned", "convex", "analytic")
def trid(dim: int = 4) -> Analytic:
    """A chain of coupled coordinates whose minimum lies far out and below zero.

    f(x) = sum_i (x_i - 1)^2 - sum_{i>1} x_i x_{i-1}; f* = -n (n + 4) (n - 1) / 6 at
    x_i = i (n + 1 - i).

    The condition grows as n^2, and the domain with it.

    References:
        Neumaier (1999). A global optimization test problem collection; in Hedar (2005),
        Global optimization test problems.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total((x - 1).square()) - total(x[..., 1:] * x[..., :-1])

    i = np.arange(1.0, dim + 1)
    return Analytic(
        f=f,
        dim=dim,
        domain=(-float(dim**2), float(dim**2)),
        facts=quadratic_facts(_path(dim), i * (dim + 1 - i), -dim * (dim + 4) * (dim - 1) / 6),
    )


@problems.register("conditioned", "convex", "analytic")
def nesterov_worst_case(dim: int = 10, smoothness: float = 4.0) -> Analytic:
    """The quadratic on which no first-order method is fast.

    f(x) = L/8 (x_1^2 + sum_i (x_i - x_{i+1})^2 + x_n^2) - L/4 x_1, with
    f* = -L/8 n / (n + 1) at x_i = 1 - i / (n + 1).

    A gradient at a point whose last coordinates are zero fills one coordinate more, so
    after k steps from the origin f(x_k) - f* >= L/8 (1/(k + 1) - 1/(n + 1)) for every
    method that moves within the span of its gradients; for n = 2 k + 1 this is above
    3 L |x_0 - x*|^2 / (32 (k + 1)^2).  Runs begin beside the origin, where the bounds
    hold for them nearly, not exactly.

    Args:
        dim: n.
        smoothness: L, which the largest curvature nears as n grows.

    References:
        Nesterov (2004). Introductory Lectures on Convex Optimization, 2.1.2.
        doi 10.1007/978-1-4419-8853-9.
    """
    at_least("dim", dim, 2)
    positive("smoothness", smoothness)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        first, last = x[..., 0], x[..., -1]
        steps = total((x[..., :-1] - x[..., 1:]).square())
        return smoothness / 8 * (first.square() + steps + last.square() - 2 * first)

    return Analytic(
        f=f,
        dim=dim,
        start_at=(0.0,) * dim,
        spread=0.01,
        facts=quadratic_facts(
            smoothness / 4 * _path(dim),
            1 - np.arange(1.0, dim + 1) / (dim + 1),
            minimum=-smoothness / 8 * dim / (dim + 1),
        ),
    )


@problems.register("conditioned", "convex", "analytic")
def hilbert(dim: int = 4) -> Analytic:
    """The quadratic of the Hilbert matrix, the classic of ill-conditioning.

    f(x) = 1/2 x' H x with H_ij = 1 / (i + j - 1).

    The condition grows as e^(3.5 n): 1.6e4 for n = 4, 1.5e10 for n = 8, with axes that
    are no coordinates.

    Args:
        dim: n, at most 8: beyond, the smallest eigenvalue is lost in rounding.

    References:
        Hilbert (1894). Ein Beitrag zur Theorie des Legendre'schen Polynoms. Acta
        Mathematica 18. doi 10.1007/BF02418278.
    """
    at_least("dim", dim, 2)
    at_most("dim", dim, 8)
    i = np.arange(dim)
    hessian = 1.0 / (1.0 + i[:, None] + i)
    matrix = torch.from_numpy(hessian)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.5 * total(x * weighted(matrix.to(x), x))

    return Analytic(
        f=f,
        dim=dim,
        start_at=(1.0,) * dim,
        facts=quadratic_facts(hessian, np.zeros(dim)),
    )


@problems.register("conditioned", "convex", "analytic")
def double_sum(dim: int = 4) -> Analytic:
    """Schwefel's problem 1.2, a bowl in which every coordinate leans on all before it.

    f(x) = sum_i (x_1 + ... + x_i)^2.

    The condition grows as n^2 and the axes are no coordinates; also called the rotated
    hyper-ellipsoid.

    References:
        Schwefel (1981). Numerical Optimization of Computer Models, problem 1.2. Wiley.
    """
    at_least("dim", dim, 2)
    lower = np.tril(np.ones((dim, dim)))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        sums = list(x.unbind(-1))
        for i in range(1, dim):
            sums[i] = sums[i] + sums[i - 1]
        return total(torch.stack(sums, -1).square())

    return Analytic(f=f, dim=dim, facts=quadratic_facts(2 * lower.T @ lower, np.zeros(dim)))


@problems.register("conditioned", "convex", "analytic")
def zakharov(dim: int = 4) -> Analytic:
    """A bowl with one direction that is far steeper, and quartic far out.

    f(x) = sum_i x_i^2 + s^2 + s^4 with s = sum_i i x_i / 2.

    Far from the minimum the quartic forbids a rate that is right near it.

    References:
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimisation problems, f173. arXiv 1308.4008.
    """
    at_least("dim", dim, 2)
    weights = torch.arange(1, dim + 1, dtype=torch.float64) / 2

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        square = total(weights.to(x) * x).square()
        return total(x.square()) + square + square.square()

    steep = 2 + 2 * sum((i / 2) ** 2 for i in range(1, dim + 1))
    return Analytic(
        f=f,
        dim=dim,
        domain=(-5.0, 10.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            eigenvalues=(2.0,) * (dim - 1) + (steep,),
            condition=steep / 2,
            strong_convexity=2.0,
        ),
    )
