"""Regions where the gradient says next to nothing: tails, terraces, steps, flat bottoms."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, positive
from ravine.problems.arithmetic import total
from ravine.problems.base import CriticalPoint, Facts, Kind, Traits
from ravine.problems.catalogue import problems


@problems.register("plateau", "multimodal", "analytic")
def easom() -> Analytic:
    """A needle in a field that is flat almost everywhere.

    f(x) = -cos(x_1) cos(x_2) exp(-(x_1 - pi)^2 - (x_2 - pi)^2), minimum -1 at (pi, pi).

    Five units away the gradient is 1e-10.  Runs begin on the rim of the well, about 1.25
    from its centre in each coordinate; from anywhere else in the domain none would move.

    References:
        Easom (1990). A Survey of Global Optimization Techniques. MEng thesis, University
        of Louisville; Jamil, Yang (2013), f50. arXiv 1308.4008.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        distance = (a - math.pi).square() + (b - math.pi).square()
        return -torch.cos(a) * torch.cos(b) * torch.exp(-distance)

    return Analytic(
        f=f,
        dim=2,
        domain=(-100.0, 100.0),
        start_at=(1.9, 1.9),
        spread=0.2,
        facts=Facts(
            minimum=-1.0,
            minimizers=((math.pi, math.pi),),
            eigenvalues=(3.0, 3.0),
            condition=1.0,
        ),
    )


@problems.register("plateau", "analytic")
def gaussian_well(dim: int = 2) -> Analytic:
    """A round well in a plain whose slope fades faster than any exponential.

    f(x) = -exp(-|x|^2 / 2), minimum -1 at the origin.

    Runs begin where the gradient is about 1e-3.  Non-convex beyond |x| = 1: a quasi-Newton
    method sees negative curvature first.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, the
        Gaussian prototype. arXiv 1312.6055.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return -torch.exp(-0.5 * total(x.square()))

    origin = (0.0,) * dim
    return Analytic(
        f=f,
        dim=dim,
        start_at=(4.0 / math.sqrt(dim),) * dim,
        spread=0.2,
        facts=Facts(
            minimum=-1.0,
            minimizers=(origin,),
            critical_points=(CriticalPoint(origin, -1.0, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(1.0,) * dim,
            condition=1.0,
            smoothness=1.0,
        ),
    )


@problems.register("plateau", "analytic")
def log_plateau(dim: int = 2) -> Analytic:
    """A well whose slope fades as 1 / |x|: slow, but never lost.

    f(x) = log(1 + |x|^2).

    A rate that suits the bottom crawls for hundreds of steps from afar; methods that
    divide by the gradient's size do not notice.

    References:
        Black, Anandan (1996). The robust estimation of multiple motions, Lorentzian
        estimator. doi 10.1006/cviu.1996.0006.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return torch.log1p(total(x.square()))

    origin = (0.0,) * dim
    return Analytic(
        f=f,
        dim=dim,
        domain=(-50.0, 50.0),
        start_at=(30.0,) * dim,
        facts=Facts(
            minimum=0.0,
            minimizers=(origin,),
            critical_points=(CriticalPoint(origin, 0.0, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(2.0,) * dim,
            condition=1.0,
            smoothness=2.0,
        ),
    )


@problems.register("plateau", "analytic")
def geman_mcclure(dim: int = 2) -> Analytic:
    """A robust loss that stops listening to what is far off.

    f(x) = sum_i x_i^2 / (1 + x_i^2).

    The slope fades as 1 / |x|^3 and the value is bounded by n, so from afar there is
    neither gradient nor progress to see.

    References:
        Geman, McClure (1985). Bayesian image analysis: an application to single photon
        emission tomography; Barron (2019). arXiv 1701.03077.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        square = x.square()
        return total(square / (1 + square))

    origin = (0.0,) * dim
    return Analytic(
        f=f,
        dim=dim,
        domain=(-10.0, 10.0),
        start_at=(5.0,) * dim,
        facts=Facts(
            minimum=0.0,
            minimizers=(origin,),
            critical_points=(CriticalPoint(origin, 0.0, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(2.0,) * dim,
            condition=1.0,
            smoothness=2.0,
        ),
    )


@problems.register("plateau", "analytic")
def terraces() -> Analytic:
    """A descent interrupted by level terraces that are neither minima nor saddles.

    f(x) = x^2 / 2 + x sin(2 pi x) / (2 pi) + (cos(2 pi x) - 1) / (4 pi^2), for which
    f'(x) = x (1 + cos(2 pi x)).

    On every half-integer gradient and curvature vanish together.  A step that is long
    enough crosses a terrace; a shorter one crawls onto it, ever more slowly.

    References:
        Strogatz (2015). Nonlinear Dynamics and Chaos, 4.3 (ghosts and bottlenecks). The
        formula is this project's.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        z = x[..., 0]
        turn = 2 * math.pi * z
        ripple = z * torch.sin(turn) / (2 * math.pi)
        return 0.5 * z.square() + ripple + (torch.cos(turn) - 1) / (4 * math.pi**2)

    levels = (-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5)
    return Analytic(
        f=f,
        dim=1,
        domain=(-4.0, 4.0),
        start_at=(3.3,),
        spread=0.4,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,),),
            critical_points=(
                CriticalPoint((0.0,), 0.0, Kind.MINIMUM),
                *[
                    CriticalPoint((x,), x**2 / 2 - 0.5 / math.pi**2, Kind.DEGENERATE)
                    for x in levels
                ],
            ),
            complete=True,
            eigenvalues=(2.0,),
            condition=1.0,
        ),
    )


@problems.register("plateau", "convex", "analytic")
def quartic_bowl(dim: int = 2) -> Analytic:
    """A convex bowl whose bottom is flat to third order.

    f(x) = sum_i x_i^4.

    The curvature vanishes where it would be needed: descent at a constant rate has
    f ~ 1 / t^2, slower than any geometric rate.

    References:
        Nesterov (2004). Introductory Lectures on Convex Optimization, 1.2.3.
        doi 10.1007/978-1-4419-8853-9.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(x.square().square())

    origin = (0.0,) * dim
    return Analytic(
        f=f,
        dim=dim,
        domain=(-3.0, 3.0),
        facts=Facts(
            minimum=0.0,
            minimizers=(origin,),
            critical_points=(CriticalPoint(origin, 0.0, Kind.DEGENERATE),),
            complete=True,
            eigenvalues=origin,
        ),
    )


@problems.register("plateau", "convex", "analytic")
def flat_bottom(dim: int = 2, radius: float = 1.0) -> Analytic:
    """A convex function with a flat bottom, every point of which is a solution.

    f(x) = sum_i max(0, |x_i| - r)^2.

    Nothing is hard about it; the zero gradients and the singular Hessian of a whole box
    of minimizers are no failure, and a method must not leave them again.

    Args:
        dim: n.
        radius: r, half the side of the box of minimizers.

    References:
        Goodfellow, Bengio, Courville (2016). Deep Learning, 8.2.2. MIT Press.
    """
    at_least("dim", dim, 1)
    positive("radius", radius)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total((x.abs() - radius).clamp(min=0).square())

    half = (0.5 * radius,) * dim
    return Analytic(
        f=f,
        dim=dim,
        domain=(-5 * radius, 5 * radius),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim, half, tuple(-x for x in half)),
            eigenvalues=(0.0,) * dim,
            smoothness=2.0,
        ),
    )


@problems.register("plateau", "nonsmooth", "analytic")
def step_ellipsoid(dim: int = 2, condition: float = 100.0) -> Analytic:
    """An ellipsoid cut into steps: the gradient is zero almost everywhere.

    f(x) = sum_i c^((i-1)/(n-1)) floor(x_i + 1/2)^2.

    No method that follows gradients can move at all; whatever claims progress here has
    noise of its own.  The weak slope that BBOB adds within the steps is left out.

    Args:
        dim: n.
        condition: c, the condition of the ellipsoid under the steps.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f7.
    """
    at_least("dim", dim, 2)
    at_least("condition", condition, 1.0)
    weights = torch.tensor([condition ** (i / (dim - 1)) for i in range(dim)], dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(weights.to(x) * torch.floor(x + 0.5).square())

    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(minimum=0.0, minimizers=((0.0,) * dim,)),
        traits=Traits(smooth=False),
    )
