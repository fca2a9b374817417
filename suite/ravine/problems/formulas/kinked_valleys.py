"""Valleys whose floor is a kink, curved or bent, so that steps must keep to it."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts
from ravine.problems.catalogue import problems
from ravine.problems.formulas.nonsmooth import KINKED, root

Formula = Callable[[Float[Tensor, "*stack n"]], Float[Tensor, "*stack"]]


@problems.register("nonsmooth", "multimodal", "analytic")
def bukin_6() -> Analytic:
    """A curved gorge whose walls are infinitely steep at the bottom.

    f(x) = 100 |x_2 - 0.01 x_1^2|^(1/2) + 0.01 |x_1 + 10|, minimum 0 at (-10, 1).

    Every point of the gorge is a local minimum along all directions but its own; the
    closer to it, the larger the gradient across.

    References:
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimisation problems, f28. arXiv 1308.4008.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return 100 * root((b - 0.01 * a.square()).abs()) + 0.01 * (a + 10).abs()

    return Analytic(
        f=f,
        dim=2,
        domain=((-15.0, -5.0), (-3.0, 3.0)),
        facts=Facts(minimum=0.0, minimizers=((-10.0, 1.0),)),
        traits=KINKED,
    )


@problems.register("nonsmooth", "valley", "analytic")
def chebyshev_rosenbrock_1(dim: int = 3) -> Analytic:
    """Nesterov's Chebyshev-Rosenbrock valley with a kink for its floor, first variant.

    f(x) = 1/4 (x_1 - 1)^2 + sum_i |x_{i+1} - 2 x_i^2 + 1|.

    The only minimum is at the ones; to follow the oscillating floor, steps must keep to a
    curved kink.

    References:
        Gürbüzbalaban, Overton (2012). On Nesterov's nonsmooth Chebyshev-Rosenbrock
        functions. Nonlinear Analysis 75(3). doi 10.1016/j.na.2011.07.062.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        bends = (x[..., 1:] - 2 * x[..., :-1].square() + 1).abs()
        return 0.25 * (x[..., 0] - 1).square() + total(bends)

    return _oscillating(f, dim)


@problems.register("nonsmooth", "valley", "analytic")
def chebyshev_rosenbrock_2(dim: int = 3) -> Analytic:
    """Nesterov's Chebyshev-Rosenbrock valley made of straight pieces, second variant.

    f(x) = 1/4 |x_1 - 1| + sum_i |x_{i+1} - 2 |x_i| + 1|.

    Besides the minimum at the ones there are 2^(n-1) - 1 points that are stationary in
    Clarke's sense but no minima, and methods for non-smooth functions do end there.

    References:
        Gürbüzbalaban, Overton (2012). On Nesterov's nonsmooth Chebyshev-Rosenbrock
        functions. Nonlinear Analysis 75(3). doi 10.1016/j.na.2011.07.062.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        bends = (x[..., 1:] - 2 * x[..., :-1].abs() + 1).abs()
        return 0.25 * (x[..., 0] - 1).abs() + total(bends)

    return _oscillating(f, dim)


def _oscillating(f: Formula, dim: int) -> Analytic:
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(-1.0,) + (1.0,) * (dim - 1),
        spread=0.1,
        facts=Facts(minimum=0.0, minimizers=((1.0,) * dim,)),
        traits=KINKED,
    )


@problems.register("nonsmooth", "analytic")
def crescent() -> Analytic:
    """Kiwiel's crescent: a narrow curved kink between two paraboloids.

    f(x) = max(c, 2 x_2 - c) with c = x_1^2 + (x_2 - 1)^2 + x_2 - 1, minimum 0 at 0.

    The kink is a circle on which f falls slowly towards the minimum.

    References:
        Kiwiel (1985). Methods of Descent for Nondifferentiable Optimization. Springer.
        doi 10.1007/BFb0074500.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        circle = a.square() + (b - 1).square() - 1
        return b + circle.abs()

    return Analytic(
        f=f,
        dim=2,
        domain=(-3.0, 3.0),
        start_at=(-1.5, 2.0),
        facts=Facts(minimum=0.0, minimizers=((0.0, 0.0),)),
        traits=KINKED,
    )


@problems.register("nonsmooth", "convex", "analytic")
def wolfe() -> Analytic:
    """Wolfe's example on which steepest descent converges to a point that is no minimum.

    f(x) = 5 (9 x_1^2 + 16 x_2^2)^(1/2) for x_1 >= |x_2|, 9 x_1 + 16 |x_2| for
    0 < x_1 < |x_2|, 9 x_1 + 16 |x_2| - x_1^9 for x_1 <= 0; minimum -8 at (-1, 0).

    With exact line searches steepest descent zigzags into the origin, although f falls
    from there along -x_1.

    References:
        Wolfe (1975). A method of conjugate subgradients for minimizing nondifferentiable
        functions. Mathematical Programming Study 3. doi 10.1007/BFb0120703.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        size = b.abs()
        cone = 5 * root(9 * a.square() + 16 * b.square())
        low = a.clamp(max=0)
        wedge = 9 * a + 16 * size - low.square().square().square() * low
        return torch.where(a >= size, cone, wedge)

    return Analytic(
        f=f,
        dim=2,
        start_at=(3.0, 2.0),
        facts=Facts(minimum=-8.0, minimizers=((-1.0, 0.0),)),
        traits=KINKED,
    )
