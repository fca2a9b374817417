"""Bowls whose axes are the coordinates.

What is hard about them is the condition alone: the ratio of the largest to the smallest
curvature bounds how fast plain descent gets down.  Methods that keep a rate for each
coordinate do not notice it here; the same bowls turned are in `ravine.problems.formulas.coupled`.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts
from ravine.problems.catalogue import problems


def _bowl(
    weights: list[float], start: tuple[float, ...] | None = None, source: str = ""
) -> Analytic:
    """The sum of w_i x_i^2; every separable quadratic below is one."""
    w = torch.tensor(weights, dtype=torch.float64)
    curvatures = tuple(sorted(2 * weight for weight in weights))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(w.to(x) * x.square())

    return Analytic(
        f=f,
        dim=len(weights),
        domain=(-6.0, 6.0),
        start_at=start,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * len(weights),),
            eigenvalues=curvatures,
            condition=curvatures[-1] / curvatures[0],
            smoothness=curvatures[-1],
            strong_convexity=curvatures[0],
            source=source,
        ),
    )


def _log_spaced(dim: int, condition: float) -> Analytic:
    at_least("dim", dim, 2)
    at_least("condition", condition, 1.0)
    return _bowl([float(condition ** (i / (dim - 1))) for i in range(dim)])


@problems.register("conditioned", "convex", "analytic")
def sphere(dim: int = 2) -> Analytic:
    """The round bowl, condition 1.

    f(x) = sum_i x_i^2.

    Nothing is hard about it: gradient descent at the rate 1/2 arrives in one step.  What
    fails here is broken.

    References:
        De Jong (1975). An Analysis of the Behavior of a Class of Genetic Adaptive Systems.
        PhD thesis, University of Michigan.
    """
    at_least("dim", dim, 1)
    return _bowl([1.0] * dim)


@problems.register("conditioned", "convex", "analytic")
def ellipsoid(dim: int = 4, condition: float = 1e2) -> Analytic:
    """A separable bowl whose curvatures are spread evenly on a log scale.

    f(x) = sum_i c^((i-1)/(n-1)) x_i^2, with c the condition.

    Gradient descent needs about c steps for each digit, momentum about sqrt(c).  The axes
    are the coordinates, so methods with a rate for each coordinate do not notice c.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f2 (condition
        1e6, without its oscillation).
    """
    return _log_spaced(dim, condition)


@problems.register("conditioned", "convex", "analytic")
def ellipsoid_1e4(dim: int = 4) -> Analytic:
    """The ellipsoid with condition 1e4.

    f(x) = sum_i 1e4^((i-1)/(n-1)) x_i^2.

    Hard for plain descent within a thousand steps, still possible with momentum.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f2.
    """
    return _log_spaced(dim, 1e4)


@problems.register("conditioned", "convex", "analytic")
def ellipsoid_1e6(dim: int = 4) -> Analytic:
    """The ellipsoid with condition 1e6.

    f(x) = sum_i 1e6^((i-1)/(n-1)) x_i^2.

    Out of reach of plain descent and of momentum within a thousand steps.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f2.
    """
    return _log_spaced(dim, 1e6)


@problems.register("conditioned", "convex", "analytic")
def discus(dim: int = 4, condition: float = 1e6) -> Analytic:
    """A flat disc: one coordinate is far more sensitive than all others.

    f(x) = c x_1^2 + sum_{i>1} x_i^2.

    A rate that the first coordinate bears does not move the others.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f11 (unrotated).
    """
    at_least("dim", dim, 2)
    at_least("condition", condition, 1.0)
    return _bowl([condition] + [1.0] * (dim - 1))


@problems.register("conditioned", "convex", "analytic")
def bent_cigar(dim: int = 4, condition: float = 1e6) -> Analytic:
    """A straight cigar: one coordinate is far less sensitive than all others.

    f(x) = x_1^2 + c sum_{i>1} x_i^2.

    The way to go is along one axis, and all other axes forbid large steps.  The name is
    the field's; the bend (an asymmetric transformation) is left out.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f12.
    """
    at_least("dim", dim, 2)
    at_least("condition", condition, 1.0)
    return _bowl([1.0] + [condition] * (dim - 1))


@problems.register("conditioned", "convex", "analytic")
def sum_squares(dim: int = 4) -> Analytic:
    """A bowl whose curvatures grow linearly, condition n.

    f(x) = sum_i i x_i^2.

    Mild; also called the axis-parallel hyper-ellipsoid.

    References:
        Molga, Smutnicki (2005). Test functions for optimization needs, 2.2.
    """
    at_least("dim", dim, 1)
    return _bowl([float(i) for i in range(1, dim + 1)])


@problems.register("conditioned", "convex", "analytic")
def narrow_bowl() -> Analytic:
    """The bowl that shows what momentum is for, condition 20.

    f(x) = 0.1 x_1^2 + 2 x_2^2.

    Plain descent at the rate 0.4 crawls along x_1 and at 0.6 diverges along x_2; momentum
    0.5 at 0.6 converges.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, 12.6. arXiv 2106.11342.
    """
    return _bowl([0.1, 2.0], start=(-5.0, -2.0))


@problems.register("conditioned", "convex", "analytic")
def wide_bowl() -> Analytic:
    """The bowl on which plain descent meets its threshold, condition 2.

    f(x) = x_1^2 + 2 x_2^2.

    Gradient descent converges exactly below the rate 2 / lambda_max = 0.5.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, 12.3. arXiv 2106.11342.
    """
    return _bowl([1.0, 2.0], start=(-5.0, -2.0))


def _powers(
    size: Float[Tensor, "*stack n"], exponents: Float[Tensor, "n"]
) -> Float[Tensor, "*stack n"]:
    """Size ** exponents for sizes >= 0 and exponents > 1, with gradient 0 at 0."""
    zero = size == 0
    safe = torch.where(zero, torch.ones_like(size), size)
    raised = torch.exp(exponents.to(size) * torch.log(safe))
    return torch.where(zero, torch.zeros_like(size), raised)


def _uneven(exponents: list[float]) -> Analytic:
    """The sum of |x_i|^p_i with p_1 = 2 and all others above 2."""
    higher = torch.tensor(exponents[1:], dtype=torch.float64)
    dim = len(exponents)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return x[..., 0].square() + total(_powers(x[..., 1:].abs(), higher))

    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            eigenvalues=(0.0,) * (dim - 1) + (2.0,),
        ),
    )


@problems.register("conditioned", "convex", "analytic")
def different_powers(dim: int = 4) -> Analytic:
    """A bowl that is a parabola along one axis and ever flatter along the others.

    f(x) = sum_i |x_i|^(2 + 10 (i-1)/(n-1)).

    The ratio of the curvatures grows without bound on the way down, so no fixed scaling
    of the coordinates serves for long.

    References:
        Hansen, Ostermeier (2001). Completely derandomized self-adaptation in evolution
        strategies. Evolutionary Computation 9(2). doi 10.1162/106365601750190398.
    """
    at_least("dim", dim, 2)
    return _uneven([2 + 10 * i / (dim - 1) for i in range(dim)])


@problems.register("conditioned", "convex", "analytic")
def powell_sum(dim: int = 4) -> Analytic:
    """A bowl whose powers grow by one with each coordinate.

    f(x) = sum_i |x_i|^(i+1).

    Flat along all axes but the first, where descent is slower than any geometric rate.

    References:
        Rahnamayan, Tizhoosh, Salama (2007). A novel population initialization method for
        accelerating evolutionary algorithms. doi 10.1016/j.camwa.2006.07.013.
    """
    at_least("dim", dim, 2)
    return _uneven([float(i + 1) for i in range(1, dim + 1)])


@problems.register("conditioned", "analytic")
def bohachevsky() -> Analytic:
    """A bowl with ripples that fade in its depth.

    f(x) = x_1^2 + 2 x_2^2 - 0.3 cos(3 pi x_1) - 0.4 cos(4 pi x_2) + 0.7.

    The large-scale bowl has condition 2; close to the minimum the ripples make its
    curvature twenty times as large, so rates that suit one do not suit the other.

    References:
        Bohachevsky, Johnson, Stein (1986). Generalized simulated annealing for function
        optimization. Technometrics 28(3). doi 10.1080/00401706.1986.10488128.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        ripples = 0.3 * torch.cos(3 * math.pi * a) + 0.4 * torch.cos(4 * math.pi * b)
        return a.square() + 2 * b.square() - ripples + 0.7

    low, high = 2 + 0.3 * 9 * math.pi**2, 4 + 0.4 * 16 * math.pi**2
    return Analytic(
        f=f,
        dim=2,
        domain=(-100.0, 100.0),
        start_at=(2.0, 2.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0, 0.0),),
            eigenvalues=(low, high),
            condition=high / low,
            smoothness=high,
        ),
    )
