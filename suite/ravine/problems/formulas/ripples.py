"""Ripples over a wide bowl or funnel, in rings or in a lattice.

Far out the ripples are all that a gradient shows; near the optimum they are all that is
in the way.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import product, total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, heights


def norm(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    """The Euclidean norm, with gradient 0 at the origin.

    Example:
        >>> norm(torch.tensor([3.0, 4.0])).item()
        5.0
    """
    # the root's infinite slope at 0 would make the gradient NaN; the term added is far
    # below the spacing of numbers everywhere else
    return torch.sqrt(total(x.square()) + 1e-30)


@problems.register("multimodal", "analytic")
def ackley(dim: int = 2) -> Analytic:
    """A funnel with a sharp tip, under ripples that are all that is left far out.

    f(x) = -20 exp(-|x| / (5 sqrt n)) - exp((1/n) sum_i cos 2 pi x_i) + 20 + e.

    Far out the funnel is flat; at the bottom it has a kink, where the gradient does not
    vanish and a constant rate cannot settle.

    Args:
        dim: number of coordinates.

    References:
        Ackley (1987). A Connectionist Machine for Genetic Hillclimbing. Kluwer.
        doi 10.1007/978-1-4613-1997-9.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        funnel = -20 * torch.exp(norm(x) * (-0.2 / math.sqrt(dim)))
        return funnel - torch.exp(total(torch.cos(2 * math.pi * x)) / dim) + (20 + math.e)

    # on the diagonal f does not depend on the dimension
    diagonal = (
        (19.999317201621, 19.633662210602),
        (9.9949470205591, 17.291927102766),
        (4.9861804569979, 12.632268991516),
        (2.9792239546911, 9.001093478292),
        (1.9744519864841, 6.5596453756279),
        (0.96847765870772, 3.5744518772577),
    )
    worse = critical(Kind.MINIMUM, *((*(t,) * dim, value) for t, value in diagonal))
    worse += critical(Kind.MINIMUM, *_next_to_best(dim))
    return Analytic(
        f=f,
        dim=dim,
        domain=(-32.768, 32.768),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=worse,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative along lines of symmetry",
        ),
        traits=Traits(smooth=False),
    )


def _next_to_best(dim: int) -> list[tuple[float, ...]]:
    """Ackley's second lowest minimum: as few coordinates near 1 as still hold one."""
    for moved in range(1, dim):
        rate = 0.2 * math.sqrt(moved / dim)
        share = moved / dim

        def slope(t: float, rate: float = rate, share: float = share) -> float:
            ripple = math.exp(share * math.cos(2 * math.pi * t) + 1 - share)
            turn = 2 * math.pi * share * math.sin(2 * math.pi * t)
            return 20 * rate * math.exp(-rate * t) + turn * ripple

        if slope(0.76) < 0:
            from scipy.optimize import brentq  # a quarter of a second that few ask for

            t = brentq(slope, 0.76, 1.0, xtol=1e-15)
            ripple = math.exp(share * math.cos(2 * math.pi * t) + 1 - share)
            value = -20 * math.exp(-rate * t) - ripple + 20 + math.e
            return [(*(t,) * moved, *(0.0,) * (dim - moved), value)]
    return []


@problems.register("multimodal", "analytic")
def griewank(dim: int = 2) -> Analytic:
    """A wide shallow bowl under a product of cosines, with a basin every few units.

    f(x) = sum_i x_i^2 / 4000 - prod_i cos(x_i / sqrt i) + 1.

    Far out the bowl dominates, near the optimum only ripples are left: easy to come near,
    hard to finish.  With more coordinates the product vanishes and it becomes easier.

    Args:
        dim: number of coordinates.

    References:
        Griewank (1981). Generalized descent for global optimization. Journal of
        Optimization Theory and Applications 34, 11-39. doi 10.1007/BF00933356.
        Locatelli (2003). A note on the Griewank test function. Journal of Global
        Optimization 25, 169-174. doi 10.1023/A:1021956306041.
    """
    at_least("dim", dim, 1)
    stretch = 1 / torch.arange(1, dim + 1, dtype=torch.float64).sqrt()

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(x.square()) / 4000 + (1 - product(torch.cos(stretch.to(x) * x)))

    rows: list[tuple[float, ...]] = [
        (x, *(0.0,) * (dim - 1), value)
        for x, value in (
            (157.00105130505, 6.1654184554614),
            (75.360534496782, 1.4205126933391),
            (37.68027059305, 0.3551281890919),
            (18.840135714357, 0.088782048257404),
            (12.560090527815, 0.039458688195417),
            (6.2800452793799, 0.0098646720610062),
        )
    ]
    if dim > 1:
        # two cosines at -1 at once
        rows.append((3.140022633896, 4.438444480921, *(0.0,) * (dim - 2), 0.007396040334115))
    worse = critical(Kind.MINIMUM, *rows)
    curvatures = tuple(1 / 2000 + 1 / i for i in range(dim, 0, -1))
    return Analytic(
        f=f,
        dim=dim,
        domain=(-600.0, 600.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=worse + critical(Kind.MINIMUM, (0.0,) * (dim + 1)),
            eigenvalues=curvatures,
            condition=curvatures[-1] / curvatures[0],
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative along the first axis, and a Newton search",
        ),
    )


@problems.register("multimodal", "analytic")
def salomon(dim: int = 2) -> Analytic:
    """Round moats around a sharp tip.

    f(x) = 1 - cos(2 pi |x|) + |x| / 10.

    Every moat is level, so a run that has fallen into one has no direction to leave by.

    Args:
        dim: number of coordinates.

    References:
        Salomon (1996). Re-evaluating genetic algorithm performance under coordinate
        rotation of benchmark functions. BioSystems 39(3), 263-278.
        doi 10.1016/0303-2647(96)01621-8.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        r = norm(x)
        return 1 - torch.cos(2 * math.pi * r) + 0.1 * r

    moats = critical(
        Kind.DEGENERATE if dim > 1 else Kind.MINIMUM,
        *(
            (k + 0.99746686345944, *(0.0,) * (dim - 1), 0.1 * k + 0.099873345846811)
            for k in (7, 5, 4, 3, 2, 1, 0)
        ),
    )
    return Analytic(
        f=f,
        dim=dim,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=moats,
            goal=Goal.BASIN,
            targets=heights(moats),
            source="roots of the derivative along the radius",
        ),
        traits=Traits(smooth=False),
    )


@problems.register("multimodal", "analytic")
def drop_wave() -> Analytic:
    """The waves of a drop in water: round moats that are shallower far out.

    f(x, y) = -(1 + cos 12 r) / (2 + r^2 / 2), with r the distance from the origin.

    The moats are level all around, and half of the domain is nearly flat.

    References:
        Molga, Smutnicki (2005). Test functions for optimization needs. Wrocław University
        of Technology.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        r = norm(x)
        return (1 + torch.cos(12 * r)) / (-2 - 0.5 * r.square())

    moats = critical(
        Kind.DEGENERATE,
        (3.135298394059, 0.0, -0.288812005118),
        (2.611292905101, 0.0, -0.3691276994421),
        (2.087461017635, 0.0, -0.4777844282297),
        (1.5640602821972, 0.0, -0.61949943677382),
        (1.041510026342, 0.0, -0.7857513346524),
        (0.52021555887321, 0.0, -0.93624532780794),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(-5.12, 5.12),
        facts=Facts(
            minimum=-1.0,
            minimizers=((0.0, 0.0),),
            critical_points=moats + critical(Kind.MINIMUM, (0.0, 0.0, -1.0)),
            eigenvalues=(72.5, 72.5),
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(moats),
            source="roots of the derivative along the radius",
        ),
    )


@problems.register("multimodal", "analytic")
def schaffer_2() -> Analytic:
    """Curved ripples along hyperbolas, over a bowl that flattens out.

    f(x, y) = 1/2 + (sin^2(x^2 - y^2) - 1/2) / (1 + (x^2 + y^2) / 1000)^2.

    The ripples get finer with the distance, and the valley of the best basin is a cross
    whose floor has a curvature of 0.002.

    References:
        Schaffer, Caruana, Eshelman, Das (1989). A study of control parameters affecting
        online performance of genetic algorithms for function optimization. ICGA 3, 51-60.
        Mishra (2007). Some new test functions for global optimization and performance of
        repulsive particle swarm method. doi 10.2139/ssrn.926132.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        aa, bb = x.square().unbind(-1)
        wave = torch.sin(aa - bb).square() - 0.5
        return 0.5 + wave / (1 + 0.001 * (aa + bb)).square()

    worse = critical(
        Kind.MINIMUM,
        (30.699797046133, 0.0, 0.36748716803865),
        (17.724527776151, 0.0, 0.21048296171037),
        (9.7081060291248, 0.0, 0.08242081953453),
        (5.6049479716886, 0.0, 0.02999493085487),
        (3.0698994493434, 0.0, 0.0092929523423078),
        (2.5065291598293, 0.0, 0.0062242160995759),
        (1.7723132396346, 0.0, 0.0031266031338632),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(-100.0, 100.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0, 0.0),),
            critical_points=worse + critical(Kind.MINIMUM, (0.0, 0.0, 0.0)),
            eigenvalues=(0.002, 0.002),
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative along the first axis",
        ),
    )


@problems.register("multimodal", "analytic")
def schaffer_4() -> Analytic:
    """Ripples as in Schaffer's second function, with four best basins and none at zero.

    f(x, y) = 1/2 + (cos^2(sin |x^2 - y^2|) - 1/2) / (1 + (x^2 + y^2) / 1000)^2.

    Neighbouring basins differ by 0.001 only, while ridges between them are 0.7 high.

    References:
        Mishra (2007). Some new test functions for global optimization and performance of
        repulsive particle swarm method. doi 10.2139/ssrn.926132.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        aa, bb = x.square().unbind(-1)
        # cos^2(sin u) is even, so the absolute value can be left out
        wave = torch.cos(torch.sin(aa - bb)).square() - 0.5
        return 0.5 + wave / (1 + 0.001 * (aa + bb)).square()

    worse = critical(
        Kind.MINIMUM,
        (30.725369924365, 0.0, 0.44494428308106),
        (17.768784816367, 0.0, 0.37980590780152),
        (9.7886750019916, 0.0, 0.32672358617884),
        (5.7433683339745, 0.0, 0.30500327868501),
        (3.3158892634577, 0.0, 0.29642788558291),
        (2.802414591539, 0.0, 0.2951567933037),
        (2.1706988435531, 0.0, 0.29387375881132),
    )
    r, minimum = 1.2531318314637, 0.29257863203598
    places = ((0.0, r), (0.0, -r), (r, 0.0), (-r, 0.0))
    return Analytic(
        f=f,
        dim=2,
        domain=(-100.0, 100.0),
        facts=Facts(
            minimum=minimum,
            minimizers=places,
            critical_points=worse + critical(Kind.MINIMUM, *((*p, minimum) for p in places)),
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative along the first axis",
        ),
    )
