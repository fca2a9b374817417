"""A handful of basins, in one or two dimensions."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, heights


@problems.register("multimodal", "analytic")
def branin() -> Analytic:
    """Three equally good basins in a wavy trough.

    f(x, y) = (y - 5.1 x^2 / (4 pi^2) + 5 x / pi - 6)^2 + 10 (1 - 1 / (8 pi)) cos(x) + 10.

    Any basin is a solution, which makes it a test of speed and not of luck.

    References:
        Branin (1972). Widely convergent method for finding multiple solutions of
        simultaneous nonlinear equations. IBM Journal of Research and Development 16(5).
        doi 10.1147/rd.165.0504.
        Dixon, Szegö (1978). The global optimization problem: an introduction. In: Towards
        Global Optimisation 2, 1-15. North-Holland.
    """
    bend, tilt, swing = 5.1 / (4 * math.pi**2), 5 / math.pi, 10 - 5 / (4 * math.pi)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        trough = b - (bend * a - tilt) * a - 6
        return trough.square() + swing * torch.cos(a) + 10

    def floor(k: int) -> tuple[float, float]:
        a = k * math.pi
        return a, bend * a**2 - tilt * a + 6

    minimum = 5 / (4 * math.pi)
    minima = critical(Kind.MINIMUM, *((*floor(k), minimum) for k in (-1, 1, 3)))
    saddles = critical(Kind.SADDLE, *((*floor(k), 10 + swing) for k in (0, 2)))
    # at x = -pi the Hessian is [[2 s^2 + swing, -2 s], [-2 s, 2]] with s the trough's slope
    s = -2 * bend * math.pi - tilt
    half, determinant = s**2 + 1 + swing / 2, 2 * swing
    low = half - math.sqrt(half**2 - determinant)
    high = half + math.sqrt(half**2 - determinant)
    return Analytic(
        f=f,
        dim=2,
        domain=((-5.0, 10.0), (0.0, 15.0)),
        facts=Facts(
            minimum=minimum,
            minimizers=tuple(p.x for p in minima),
            critical_points=minima + saddles,
            complete=True,
            eigenvalues=(low, high),
            condition=high / low,
            source="closed form: sin x = 0 on the floor of the trough",
        ),
    )


@problems.register("multimodal", "analytic")
def goldstein_price() -> Analytic:
    """Four basins whose walls rise from 3 to a million within the domain.

    f(x, y) = (1 + (x + y + 1)^2 (19 - 14 x + 3 x^2 - 14 y + 6 x y + 3 y^2))
              (30 + (2 x - 3 y)^2 (18 - 32 x + 12 x^2 + 48 y - 36 x y + 27 y^2)).

    A rate that is stable on the walls is far too small at the bottom.

    References:
        Goldstein, Price (1971). On descent from local minima. Mathematics of Computation
        25, 569-574. doi 10.1090/S0025-5718-1971-0312365-X.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        # both brackets are polynomials of one variable: of x + y and of 2 x - 3 y
        u, v = a + b, 2 * a - 3 * b
        first = 1 + (u + 1).square() * (19 + (3 * u - 14) * u)
        return first * (30 + v.square() * (18 + (3 * v - 16) * v))

    minima = critical(
        Kind.MINIMUM, (1.2, 0.8, 840.0), (1.8, 0.2, 84.0), (-0.6, -0.4, 30.0), (0.0, -1.0, 3.0)
    )
    saddles = critical(
        Kind.SADDLE, (0.6, 0.4, 990.0), (1.4, 0.6, 980.0), (1.2, -0.2, 99.0), (-0.4, -0.6, 35.0)
    )
    maximum = critical(Kind.MAXIMUM, (0.8, 0.2, 1155.0))
    # the Hessian at (0, -1) is [[504, -216], [-216, 864]]
    low, high = 684 - math.sqrt(79056), 684 + math.sqrt(79056)
    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        facts=Facts(
            minimum=3.0,
            minimizers=((0.0, -1.0),),
            critical_points=minima + saddles + maximum,
            complete=True,
            eigenvalues=(low, high),
            condition=high / low,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="roots of the brackets' derivatives in x + y and in 2 x - 3 y",
        ),
    )


@problems.register("multimodal", "analytic")
def bird() -> Analytic:
    """Two equally good deep basins with steep walls on a wide bowl.

    f(x, y) = sin(x) exp((1 - cos y)^2) + cos(y) exp((1 - sin x)^2) + (x - y)^2.

    The curvature in the deep basins is a hundred times that of the shallow one between
    them, so a rate that suits the one is wrong for the other.

    References:
        Mishra (2007). Some new test functions for global optimization and performance of
        repulsive particle swarm method. doi 10.2139/ssrn.926132.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        wave, swell = torch.sin(a), torch.cos(b)
        left = wave * torch.exp((1 - swell).square())
        return left + swell * torch.exp((1 - wave).square()) + (a - b).square()

    worse = critical(
        Kind.MINIMUM,
        (0.6652776279479, 0.905518698847, 1.487019126542),
        (4.655171399427, -3.084375072632, -48.40602343067),
        (-1.536662471847, 3.107458798642, -87.310882733),
    )
    best = critical(
        Kind.MINIMUM,
        (4.70104313025, 3.152938503725, -106.7645367493),
        (-1.58214217693, -3.130246803455, -106.7645367493),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(-2 * math.pi, 2 * math.pi),
        facts=Facts(
            minimum=best[0].value,
            minimizers=tuple(p.x for p in best),
            critical_points=worse + best,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="Newton search in float64",
        ),
    )


@problems.register("multimodal", "box", "analytic")
def gramacy_lee() -> Analytic:
    """A curve on a line whose ripples shrink from left to right, best on the far left.

    f(x) = sin(10 pi x) / (2 x) + (x - 1)^4 on [0.5, 2.5].

    The trend points to the middle, where the ripples hold five basins in a row.

    References:
        Gramacy, Lee (2012). Cases for the nugget in modeling computer experiments.
        Statistics and Computing 22, 713-722. doi 10.1007/s11222-010-9224-x.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        (a,) = x.unbind(-1)
        return torch.sin(10 * math.pi * a) / (2 * a) + (a - 1).square().square()

    minima = critical(
        Kind.MINIMUM,
        (2.121899166053, 1.434593915896),
        (1.93621966253, 0.5338536167507),
        (1.743576740469, 0.02475743488731),
        (1.547288327184, -0.2322591716024),
        (1.348785167363, -0.3556350233911),
        (1.149087618802, -0.43445504847),
        (0.9489336866905, -0.5266047887404),
        (0.748743778143, -0.6632798486904),
        (0.5485634445276, -0.8690111349895),
    )
    maxima = critical(
        Kind.MAXIMUM,
        (2.072034039541, 1.506558624195),
        (1.859160542183, 0.8027538280367),
        (1.653128382404, 0.4829649510083),
        (1.450375447959, 0.3858576151318),
        (1.249346124634, 0.4039904556911),
        (1.049035447452, 0.4764152882059),
        (0.848783063224, 0.5891710985705),
        (0.6482096871882, 0.7854512459983),
    )
    return Analytic(
        f=f,
        dim=1,
        domain=(0.5, 2.5),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima + maxima,
            complete=True,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(minima[2:-1]),
            source="Newton search in float64",
        ),
        traits=Traits(box=((0.5, 2.5),)),
    )


@problems.register("multimodal", "box", "analytic")
def forrester() -> Analytic:
    """A curve on a line with a basin on either side of a flat point of inflection.

    f(x) = (6 x - 2)^2 sin(12 x - 4) on [0, 1].

    Descent from the left ends in the worse basin; the inflection at 1/3 slows down what
    would cross.

    References:
        Forrester, Sóbester, Keane (2008). Engineering Design via Surrogate Modelling.
        Wiley. doi 10.1002/9780470770801.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        (a,) = x.unbind(-1)
        u = 6 * a - 2
        return u.square() * torch.sin(2 * u)

    minima = critical(
        Kind.MINIMUM,
        (0.1425891893247, -0.9863254063211),
        (0.7572487578419, -6.020740055767),
    )
    maximum = critical(Kind.MAXIMUM, (0.524077477342, 0.9863254063211))
    inflection = critical(Kind.DEGENERATE, (1 / 3, 0.0))
    return Analytic(
        f=f,
        dim=1,
        domain=(0.0, 1.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima + maximum + inflection,
            complete=True,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(minima[:1]),
            source="Newton search in float64",
        ),
        traits=Traits(box=((0.0, 1.0),)),
    )
