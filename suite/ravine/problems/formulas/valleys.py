"""Curved and badly scaled valleys: the classics of unconstrained optimization.

Most are from the collection of Moré, Garbow and Hillstrom (1981), with its starts.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import CriticalPoint, Facts, Kind
from ravine.problems.catalogue import problems
from ravine.problems.formulas.spectra import zero_residual_facts


@problems.register("conditioned", "valley", "analytic")
def rosenbrock(dim: int = 2) -> Analytic:
    """The banana valley: quick to enter, slow to follow.

    f(x) = sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2.

    The valley is curved and its floor falls a thousand times slower than its walls
    (condition 2508 in two dimensions).  For 4 <= n <= 7 there is a second minimum near
    x_1 = -1, to which the classic start can lead.

    References:
        Rosenbrock (1960). An automatic method for finding the greatest or least value of
        a function. The Computer Journal 3(3). doi 10.1093/comjnl/3.3.175.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        here, after = x[..., :-1], x[..., 1:]
        return total(100 * (after - here.square()).square() + (1 - here).square())

    ones = (1.0,) * dim
    across = 10 * np.eye(dim - 1, dim, k=1) - 20 * np.eye(dim - 1, dim)
    along = -np.eye(dim - 1, dim)
    # in two dimensions x_2 = x_1^2 on any critical point, which leaves x_1 = 1
    known = (CriticalPoint(ones, 0.0, Kind.MINIMUM),) if dim == 2 else ()
    return Analytic(
        f=f,
        dim=dim,
        start_at=tuple(-1.2 if i % 2 == 0 else 1.0 for i in range(dim)),
        facts=zero_residual_facts(
            np.concatenate([across, along]), (ones,), critical_points=known, complete=dim == 2
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def leon() -> Analytic:
    """Rosenbrock's valley with a cubic for its course.

    f(x) = 100 (x_2 - x_1^3)^2 + (1 - x_1)^2.

    The valley runs flat through the origin and then turns more sharply than a parabola.

    References:
        Leon (1966). A comparison of eight known optimizing procedures. In Lavi, Vogl,
        Recent Advances in Optimization Techniques. Wiley.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return 100 * (b - a**3).square() + (1 - a).square()

    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        start_at=(-1.2, 1.0),
        facts=zero_residual_facts(
            np.array([[-30.0, 10.0], [-1.0, 0.0]]),
            ((1.0, 1.0),),
            critical_points=(CriticalPoint((1.0, 1.0), 0.0, Kind.MINIMUM),),
            complete=True,
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def chebyshev_rosenbrock(dim: int = 3) -> Analytic:
    """Nesterov's smooth Chebyshev-Rosenbrock function, a valley that oscillates.

    f(x) = 1/4 (x_1 - 1)^2 + sum_i (x_{i+1} - 2 x_i^2 + 1)^2.

    Along the floor x_{i+1} is the Chebyshev polynomial T_2 of x_i, so x_n oscillates
    2^(n-1) times between the start and the minimum; the condition grows exponentially.
    The two non-smooth variants are in `ravine.problems.formulas.kinked_valleys`.

    References:
        Gürbüzbalaban, Overton (2012). On Nesterov's nonsmooth Chebyshev-Rosenbrock
        functions. Nonlinear Analysis 75(3). doi 10.1016/j.na.2011.07.062.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        here, after = x[..., :-1], x[..., 1:]
        bends = total((after - 2 * here.square() + 1).square())
        return 0.25 * (x[..., 0] - 1).square() + bends

    ones = (1.0,) * dim
    across = np.eye(dim - 1, dim, k=1) - 4 * np.eye(dim - 1, dim)
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(-1.0,) + (1.0,) * (dim - 1),
        spread=0.1,
        facts=zero_residual_facts(np.concatenate([0.5 * np.eye(1, dim), across]), (ones,)),
    )


@problems.register("conditioned", "valley", "analytic")
def wood() -> Analytic:
    """Two coupled Rosenbrock valleys with a saddle on the way, also called Colville's.

    f(x) = 100 (x_2 - x_1^2)^2 + (1 - x_1)^2 + 90 (x_4 - x_3^2)^2 + (1 - x_3)^2
    + 10 (x_2 + x_4 - 2)^2 + 0.1 (x_2 - x_4)^2.

    From the classic start the valley leads to a saddle of value 7.877 whose negative
    curvature is 8000 times smaller than its largest: many runs seem to end there.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 14. doi 10.1145/355934.355936.
    """

    def f(x: Float[Tensor, "*stack 4"]) -> Float[Tensor, "*stack"]:
        a, b, c, d = x.unbind(-1)
        first = 100 * (b - a.square()).square() + (1 - a).square()
        second = 90 * (d - c.square()).square() + (1 - c).square()
        return first + second + 10 * (b + d - 2).square() + 0.1 * (b - d).square()

    low = (-0.967974024937593, 0.947139140817841, -0.969516310331592, 0.951247665792326)
    high = (-0.031251023394336, 0.165971386855783, -0.0312581710232641, 0.184263934696728)
    ten, tenth = math.sqrt(10), math.sqrt(0.1)
    return Analytic(
        f=f,
        dim=4,
        start_at=(-3.0, -1.0, -3.0, -1.0),
        facts=zero_residual_facts(
            np.array(
                [
                    [-20, 10, 0, 0],
                    [-1, 0, 0, 0],
                    [0, 0, -2 * math.sqrt(90), math.sqrt(90)],
                    [0, 0, -1, 0],
                    [0, ten, 0, ten],
                    [0, tenth, 0, -tenth],
                ]
            ),
            ((1.0, 1.0, 1.0, 1.0),),
            critical_points=(
                CriticalPoint((1.0, 1.0, 1.0, 1.0), 0.0, Kind.MINIMUM),
                CriticalPoint(low, 7.876967165176867, Kind.SADDLE),
                CriticalPoint(high, 35.090034210435626, Kind.SADDLE),
            ),
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def powell_singular() -> Analytic:
    """A valley whose floor becomes flat: the Hessian at the minimum has rank 2.

    f(x) = (x_1 + 10 x_2)^2 + 5 (x_3 - x_4)^2 + (x_2 - 2 x_3)^4 + 10 (x_1 - x_4)^4.

    Newton's method is linear only, and descent slower than any geometric rate.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 13. doi 10.1145/355934.355936.
    """

    def f(x: Float[Tensor, "*stack 4"]) -> Float[Tensor, "*stack"]:
        a, b, c, d = x.unbind(-1)
        squares = (a + 10 * b).square() + 5 * (c - d).square()
        return squares + (b - 2 * c).square().square() + 10 * (a - d).square().square()

    return Analytic(
        f=f,
        dim=4,
        start_at=(3.0, -1.0, 0.0, 1.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0, 0.0, 0.0, 0.0),),
            eigenvalues=(0.0, 0.0, 20.0, 202.0),
            condition=10.1,
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def freudenstein_roth() -> Analytic:
    """A narrow curved valley with a poor minimum in it.

    f(x) = (-13 + x_1 + ((5 - x_2) x_2 - 2) x_2)^2
    + (-29 + x_1 + ((x_2 + 1) x_2 - 14) x_2)^2.

    The classic start leads to the local minimum of value 48.98; the global one is 0.  Both
    have a condition above 1000.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 2. doi 10.1145/355934.355936.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        first = a - 13 + ((5 - b) * b - 2) * b
        second = a - 29 + ((b + 1) * b - 14) * b
        return first.square() + second.square()

    poor = (11.4127789869021, -0.896805253274477)
    return Analytic(
        f=f,
        dim=2,
        domain=(-20.0, 20.0),
        start_at=(0.5, -2.0),
        facts=zero_residual_facts(
            np.array([[1.0, -10.0], [1.0, 42.0]]),
            ((5.0, 4.0),),
            critical_points=(
                CriticalPoint((5.0, 4.0), 0.0, Kind.MINIMUM),
                CriticalPoint(poor, 48.98425367924003, Kind.MINIMUM),
            ),
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def brown_badly_scaled() -> Analytic:
    """Two coordinates whose right sizes differ by a factor of 5e11.

    f(x) = (x_1 - 1e6)^2 + (x_2 - 2e-6)^2 + (x_1 x_2 - 2)^2.

    The condition is 1e12 at the minimum, and no single rate, initial or final, suits both.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 4. doi 10.1145/355934.355936.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return (a - 1e6).square() + (b - 2e-6).square() + (a * b - 2).square()

    return Analytic(
        f=f,
        dim=2,
        domain=((-2e6, 2e6), (-2.0, 2.0)),
        start_at=(1.0, 1.0),
        facts=zero_residual_facts(np.array([[1.0, 0.0], [0.0, 1.0], [2e-6, 1e6]]), ((1e6, 2e-6),)),
    )


@problems.register("conditioned", "valley", "analytic")
def powell_badly_scaled() -> Analytic:
    """A hyperbola of good points, on which one is best and badly scaled.

    f(x) = (1e4 x_1 x_2 - 1)^2 + (e^-x_1 + e^-x_2 - 1.0001)^2.

    The first term keeps x_1 x_2 at 1e-4; along that hyperbola the second falls to zero at
    (1.098e-5, 9.106), ever more slowly.  The Hessian's condition there, 7e17, is beyond
    double precision, so it is no fact here.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 3. doi 10.1145/355934.355936.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        decay = torch.exp(-a) + torch.exp(-b) - 1.0001
        return (1e4 * a * b - 1).square() + decay.square()

    return Analytic(
        f=f,
        dim=2,
        domain=((-1.0, 1.0), (-1.0, 10.0)),
        start_at=(0.0, 1.0),
        spread=1e-4,
        facts=Facts(minimum=0.0, minimizers=((1.0981593296997374e-05, 9.106146739867187),)),
    )


@problems.register("conditioned", "valley", "analytic")
def helical_valley() -> Analytic:
    """A valley that winds around an axis.

    f(x) = 100 ((x_3 - 10 t)^2 + (r - 1)^2) + x_3^2, with r and 2 pi t the polar
    coordinates of (x_1, x_2), t in [-1/4, 3/4).

    The way down leads half around the axis; on the half-plane x_1 = 0, x_2 < 0, where t
    jumps, the function is not continuous.

    References:
        Fletcher, Powell (1963). A rapidly convergent descent method for minimization. The
        Computer Journal 6(2). doi 10.1093/comjnl/6.2.163.
    """

    def f(x: Float[Tensor, "*stack 3"]) -> Float[Tensor, "*stack"]:
        a, b, c = x.unbind(-1)
        slope = b / torch.where(a == 0, torch.ones_like(a), a)
        turn = torch.atan(slope) / (2 * math.pi)
        # on the plane x_1 = 0 the quotient has no value; the angle there is a quarter turn
        turn = torch.where(a == 0, 0.25 * torch.sign(b), turn)
        turn = torch.where(a < 0, turn + 0.5, turn)
        radius = torch.sqrt(a.square() + b.square())
        return 100 * ((c - 10 * turn).square() + (radius - 1).square()) + c.square()

    around = -100 / (2 * math.pi)
    return Analytic(
        f=f,
        dim=3,
        domain=(-10.0, 10.0),
        start_at=(-1.0, 0.0, 0.0),
        facts=zero_residual_facts(
            np.array([[0.0, around, 10.0], [10.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
            ((1.0, 0.0, 0.0),),
        ),
    )


@problems.register("conditioned", "valley", "analytic")
def dixon_price(dim: int = 3) -> Analytic:
    """A chain in which each coordinate is the root of the one before.

    f(x) = (x_1 - 1)^2 + sum_{i>1} i (2 x_i^2 - x_{i-1})^2, with minima at
    x_i = 2^(2^(1-i) - 1), the last one of either sign.

    Between the two minima lies a flat critical point of value 2/3, near which runs stall.

    References:
        Dixon, Price (1989). The truncated Newton method for sparse unconstrained
        optimisation using automatic differentiation. Journal of Optimization Theory and
        Applications 60. doi 10.1007/BF00940007.
    """
    at_least("dim", dim, 2)
    weights = torch.arange(2, dim + 1, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        bends = (2 * x[..., 1:].square() - x[..., :-1]).square()
        return (x[..., 0] - 1).square() + total(weights.to(x) * bends)

    best = [2.0 ** (2.0 ** (1 - i) - 1) for i in range(1, dim + 1)]
    jacobian = np.eye(dim)
    for i in range(1, dim):
        jacobian[i, i - 1 : i + 1] = np.sqrt(i + 1) * np.array([-1.0, 4 * best[i]])
    return Analytic(
        f=f,
        dim=dim,
        domain=(-10.0, 10.0),
        facts=zero_residual_facts(jacobian, (tuple(best), (*best[:-1], -best[-1]))),
    )


@problems.register("conditioned", "convex", "analytic")
def variably_dimensioned(dim: int = 4) -> Analytic:
    """A bowl with one direction that is far steeper, and quartic far out.

    f(x) = sum_i (x_i - 1)^2 + s^2 + s^4 with s = sum_i i (x_i - 1).

    The steep direction's curvature grows as n^3 at the minimum, and with the square of
    the distance away from it.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 25. doi 10.1145/355934.355936.
    """
    at_least("dim", dim, 2)
    weights = torch.arange(1, dim + 1, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        away = x - 1
        square = total(weights.to(x) * away).square()
        return total(away.square()) + square + square.square()

    jacobian = np.concatenate([np.eye(dim), np.arange(1.0, dim + 1)[None]])
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=tuple(1 - i / dim for i in range(1, dim + 1)),
        spread=0.1,
        facts=zero_residual_facts(jacobian, ((1.0,) * dim,), strong_convexity=2.0),
    )
