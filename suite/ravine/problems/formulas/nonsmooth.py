"""Kinks: where the gradient jumps, its size says nothing of the distance left to go."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, at_most, positive
from ravine.problems.arithmetic import total, weighted
from ravine.problems.base import Facts, Traits
from ravine.problems.catalogue import problems

KINKED = Traits(smooth=False)


def root(x: Float[Tensor, "*stack"]) -> Float[Tensor, "*stack"]:
    """The square root of x >= 0, with gradient 0 at 0."""
    zero = x == 0
    # the root's infinite slope at 0 would turn into NaN on its way back
    safe = torch.where(zero, torch.ones_like(x), x)
    return torch.where(zero, torch.zeros_like(x), torch.sqrt(safe))


@problems.register("nonsmooth", "convex", "analytic")
def l1_norm(dim: int = 2) -> Analytic:
    """The sum of absolute values.

    f(x) = sum_i |x_i|.

    The gradient has the same size everywhere, so descent at a constant rate ends in a box
    of that side around the minimum; a decreasing rate is needed.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, the
        absolute-value prototype. arXiv 1312.6055.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(x.abs())

    facts = Facts(minimum=0.0, minimizers=((0.0,) * dim,))
    return Analytic(f=f, dim=dim, facts=facts, traits=KINKED)


@problems.register("nonsmooth", "convex", "analytic")
def max_norm(dim: int = 3) -> Analytic:
    """The largest absolute value, Chebyshev's norm.

    f(x) = max_i |x_i|.

    The gradient knows one coordinate at a time and is zero in all others.

    References:
        Nesterov (2004). Introductory Lectures on Convex Optimization, 3.2.1.
        doi 10.1007/978-1-4419-8853-9.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return x.abs().amax(-1)

    facts = Facts(minimum=0.0, minimizers=((0.0,) * dim,))
    return Analytic(f=f, dim=dim, facts=facts, traits=KINKED)


@problems.register("nonsmooth", "convex", "analytic")
def maxq(dim: int = 4) -> Analytic:
    """The largest square.

    f(x) = max_i x_i^2.

    As `max_norm`, but the gradient fades at the minimum, so that constant rates converge:
    one coordinate after the other.

    References:
        Haarala, Miettinen, Mäkelä (2004). New limited memory bundle method for
        large-scale nonsmooth optimization. doi 10.1080/10556780410001689225.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return x.square().amax(-1)

    return Analytic(
        f=f,
        dim=dim,
        domain=(-dim - 1.0, dim + 1.0),
        start_at=tuple(float(i if 2 * i <= dim else -i) for i in range(1, dim + 1)),
        facts=Facts(minimum=0.0, minimizers=((0.0,) * dim,)),
        traits=KINKED,
    )


@problems.register("nonsmooth", "convex", "analytic")
def mxhilb(dim: int = 4) -> Analytic:
    """The largest residual of the Hilbert matrix.

    f(x) = max_i |sum_j x_j / (i + j - 1)|.

    Kinks in directions that are nearly parallel: non-smooth and ill-conditioned at once.

    References:
        Haarala, Miettinen, Mäkelä (2004). New limited memory bundle method for
        large-scale nonsmooth optimization. doi 10.1080/10556780410001689225.
    """
    at_least("dim", dim, 2)
    i = np.arange(dim)
    matrix = torch.from_numpy(1.0 / (1.0 + i[:, None] + i))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return weighted(matrix.to(x), x).abs().amax(-1)

    return Analytic(
        f=f,
        dim=dim,
        start_at=(1.0,) * dim,
        facts=Facts(minimum=0.0, minimizers=((0.0,) * dim,)),
        traits=KINKED,
    )


@problems.register("nonsmooth", "convex", "analytic")
def sharp_ridge(dim: int = 3) -> Analytic:
    """A sharp valley floor along which the slope is a hundred times weaker.

    f(x) = x_1^2 + 100 (sum_{i>1} x_i^2)^(1/2).

    The gradient across the floor does not fade, so steps that follow it zigzag and make
    no way along the floor.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f13.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return x[..., 0].square() + 100 * root(total(x[..., 1:].square()))

    facts = Facts(minimum=0.0, minimizers=((0.0,) * dim,))
    return Analytic(f=f, dim=dim, facts=facts, traits=KINKED)


@problems.register("nonsmooth", "convex", "analytic")
def hinge(weight_decay: float = 0.1) -> Analytic:
    """A support vector machine of two examples, whose solution lies on both hinges.

    f(x) = d/2 |x|^2 + 1/2 sum_i max(0, 1 - z_i'x) with z = (2, 1), (1, 2) and the weight
    decay d; minimum d/9 at (1/3, 1/3).

    At the solution the gradient jumps from (-3/2, -3/2) to almost nothing; there is no
    gradient descent that stays there at a constant rate.

    Args:
        weight_decay: d, at most 9/2, beyond which the solution leaves the hinges.

    References:
        Shalev-Shwartz, Singer, Srebro, Cotter (2011). Pegasos: primal estimated
        sub-gradient solver for SVM. doi 10.1007/s10107-010-0420-4.
    """
    positive("weight_decay", weight_decay)
    at_most("weight_decay", weight_decay, 4.5)

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        losses = (1 - 2 * a - b).clamp(min=0) + (1 - a - 2 * b).clamp(min=0)
        return 0.5 * (weight_decay * (a.square() + b.square()) + losses)

    return Analytic(
        f=f,
        dim=2,
        domain=(-3.0, 3.0),
        facts=Facts(
            minimum=weight_decay / 9,
            minimizers=((1 / 3, 1 / 3),),
            strong_convexity=weight_decay,
        ),
        traits=KINKED,
    )


@problems.register("nonsmooth", "convex", "analytic")
def lasso(penalty: float = 1.0) -> Analytic:
    """A round bowl with a penalty that makes one coordinate exactly zero.

    f(x) = 1/2 |x - (2, 1/2)|^2 + p |x|_1; for 1/2 <= p <= 2 the minimum is
    (4 p - p^2) / 2 + 1/8 at (2 - p, 0).

    The second coordinate ends on a kink, where gradient steps jump across zero; only a
    proximal step stays.

    Args:
        penalty: p, from 1/2 to 2.

    References:
        Tibshirani (1996). Regression shrinkage and selection via the lasso. Journal of
        the Royal Statistical Society B 58(1). doi 10.1111/j.2517-6161.1996.tb02080.x.
    """
    at_least("penalty", penalty, 0.5)
    at_most("penalty", penalty, 2.0)

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        squares = (a - 2).square() + (b - 0.5).square()
        return 0.5 * squares + penalty * (a.abs() + b.abs())

    return Analytic(
        f=f,
        dim=2,
        facts=Facts(
            minimum=(4 * penalty - penalty**2) / 2 + 0.125,
            minimizers=((2.0 - penalty, 0.0),),
            strong_convexity=1.0,
        ),
        traits=KINKED,
    )


@problems.register("nonsmooth", "convex", "analytic")
def huber(dim: int = 2, delta: float = 0.1) -> Analytic:
    """A parabola that turns into a straight slope: smooth, but with kinked curvature.

    f(x) = sum_i h(x_i) with h(z) = z^2 / 2 for |z| <= d and d (|z| - d/2) beyond.

    From afar the gradient is constant and small, at the bottom it is that of a parabola:
    the number of steps grows with the distance, not with its logarithm.

    Args:
        dim: n.
        delta: d, where the slope becomes straight.

    References:
        Huber (1964). Robust estimation of a location parameter. Annals of Mathematical
        Statistics 35(1). doi 10.1214/aoms/1177703732.
    """
    at_least("dim", dim, 1)
    positive("delta", delta)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        near = x.clamp(-delta, delta)
        return total(near * (x - 0.5 * near))

    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            eigenvalues=(1.0,) * dim,
            condition=1.0,
            smoothness=1.0,
        ),
    )


@problems.register("nonsmooth", "convex", "analytic")
def lq() -> Analytic:
    """A plane and a paraboloid that meet on the unit circle.

    f(x) = -x_1 - x_2 + max(0, x_1^2 + x_2^2 - 1), minimum -sqrt(2) at (1, 1) / sqrt(2).

    The minimum lies on a curved kink; on one side the gradient never fades.

    References:
        Mäkelä, Neittaanmäki (1992). Nonsmooth Optimization. World Scientific.
        doi 10.1142/1493.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return (a.square() + b.square() - 1).clamp(min=0) - a - b

    return Analytic(
        f=f,
        dim=2,
        domain=(-3.0, 3.0),
        start_at=(-0.5, -0.5),
        facts=Facts(minimum=-math.sqrt(2), minimizers=((math.sqrt(0.5),) * 2,)),
        traits=KINKED,
    )
