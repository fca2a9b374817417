"""Wells and hills in few dimensions: equal wells, a better and a worse one, a round valley."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, grid, heights


@problems.register("critical-points", "analytic")
def double_well(dim: int = 2) -> Analytic:
    """Two equal wells in each coordinate, started on the hilltop between all of them.

    f(x) = sum_i (x_i^2 - 1)^2 / 4.

    Of 3^n critical points 2^n are minima, one is a maximum and all others are saddles, so
    the share of saddles among them grows with the dimension.

    Args:
        dim: number of coordinates.

    References:
        Kramers (1940). Brownian motion in a field of force and the diffusion model of
        chemical reactions. Physica 7(4), 284-304. doi 10.1016/S0031-8914(40)90098-2.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.25 * total((x.square() - 1).square())

    wells = critical(Kind.MINIMUM, (1.0, 0.0), (-1.0, 0.0))
    hill = critical(Kind.MAXIMUM, (0.0, 0.25))
    complete = dim <= 4
    known = grid(*[wells + hill] * dim) if complete else ()
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(0.0,) * dim,
        spread=1e-2,
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0,) * dim,),
            critical_points=known,
            complete=complete,
            eigenvalues=(2.0,) * dim,
            condition=1.0,
            source="closed form; critical points are listed up to four dimensions",
        ),
    )


@problems.register("critical-points", "analytic")
def tilted_double_well(tilt: float = 0.2) -> Analytic:
    """A better and a worse well on a line, with a hill between them.

    f(x) = (x^2 - 1)^2 / 4 + t x.

    The smallest problem with a wrong answer: only momentum or noise crosses the hill.

    Args:
        tilt: t, above 0 and below 2 / (3 sqrt(3)) = 0.3849, where the worse well vanishes.

    Raises:
        BadValue: the tilt leaves a single well, or two equal ones.

    References:
        Gilmore (1981). Catastrophe Theory for Scientists and Engineers. Wiley.
    """
    if not 0 < tilt < 2 / 27**0.5:
        raise BadValue(f"`tilt` must be between 0 and 0.3849, got {tilt}; give such a number")

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        (a,) = x.unbind(-1)
        return 0.25 * (a.square() - 1).square() + tilt * a

    # the three real roots of x^3 - x + t by Viète's formula, the largest first
    angle = math.acos(-1.5 * math.sqrt(3) * tilt) / 3
    right, middle, left = (
        2 / math.sqrt(3) * math.cos(angle - 2 * math.pi * k / 3) for k in range(3)
    )
    best, worse, hill = (
        critical(kind, (x, 0.25 * (x**2 - 1) ** 2 + tilt * x))
        for x, kind in (
            (left, Kind.MINIMUM),
            (right, Kind.MINIMUM),
            (middle, Kind.MAXIMUM),
        )
    )
    return Analytic(
        f=f,
        dim=1,
        domain=(-3.0, 3.0),
        facts=Facts(
            minimum=best[0].value,
            minimizers=(best[0].x,),
            critical_points=best + worse + hill,
            complete=True,
            eigenvalues=(3 * left**2 - 1,),
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="closed form",
        ),
    )


@problems.register("critical-points", "analytic")
def sombrero(dim: int = 2) -> Analytic:
    """A hilltop inside a round valley of equally good minima.

    f(x) = (|x|^2 - 1)^2 / 4.

    Every minimum is degenerate: the valley floor is level, and where on it a run ends is
    decided by the start alone.

    Args:
        dim: number of coordinates.

    References:
        Goldstone (1961). Field theories with superconductor solutions. Il Nuovo Cimento
        19, 154-164. doi 10.1007/BF02812722.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.25 * (total(x.square()) - 1).square()

    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(0.0,) * dim,
        spread=1e-2,
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0,) + (0.0,) * (dim - 1),),
            critical_points=critical(Kind.MAXIMUM, (*(0.0,) * dim, 0.25)),
            eigenvalues=(0.0,) * (dim - 1) + (2.0,),
            condition=1.0,
            source="closed form; the minima are the unit sphere",
        ),
    )


@problems.register("critical-points", "box", "analytic")
def cosine_wave() -> Analytic:
    """A local and a global minimum on a line, the textbook picture of a bad basin.

    f(x) = x cos(pi x) on [-1, 2].

    Started on the left, descent ends in the local minimum; only noise or momentum knocks
    it out.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, section 12.1. Cambridge
        University Press. arXiv 2106.11342.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        (a,) = x.unbind(-1)
        return a * torch.cos(math.pi * a)

    best = critical(Kind.MINIMUM, (1.090408221947, -1.046721124661))
    worse = critical(Kind.MINIMUM, (-0.2738526868009, -0.1786025115477))
    hill = critical(Kind.MAXIMUM, (0.2738526868009, 0.1786025115477))
    return Analytic(
        f=f,
        dim=1,
        domain=(-1.0, 2.0),
        facts=Facts(
            minimum=best[0].value,
            minimizers=(best[0].x,),
            critical_points=best + worse + hill,
            complete=True,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="Newton search in float64",
        ),
        traits=Traits(box=((-1.0, 2.0),)),
    )


@problems.register("critical-points", "box", "analytic")
def rippled_wave() -> Analytic:
    """The wave as a finite sample shows it: ripples with minima of their own.

    f(x) = x cos(pi x) + cos(5 pi x) / 5 on [-1, 2].

    The ripples stand for the difference between the empirical risk and the risk: they
    move the global minimum and add five local ones.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, section 12.1. Cambridge
        University Press. arXiv 2106.11342.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        (a,) = x.unbind(-1)
        return a * torch.cos(math.pi * a) + 0.2 * torch.cos(5 * math.pi * a)

    minima = critical(
        Kind.MINIMUM,
        (-0.9740372917109, 0.7872016635778),
        (0.1899972931203, -0.0403923591668),
        (-0.5584587120412, -0.0569228483375),
        (-0.2080549862344, -0.3635730254292),
        (0.6516366520618, -0.4365575555972),
        (1.320801986736, -0.7691037466468),
        (1.016983403108, -1.208461433873),
    )
    maxima = critical(
        Kind.MAXIMUM,
        (-0.8470654986669, 0.8989512594893),
        (-0.4214763229512, 0.08580468275121),
        (0.0204903058921, 0.210177541908),
        (0.3841916211646, 0.3305798042127),
        (0.7453869339905, -0.3885630592773),
        (1.243521190804, -0.7419589153584),
    )
    return Analytic(
        f=f,
        dim=1,
        domain=(-1.0, 2.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima + maxima,
            complete=True,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(minima[1:-1]),
            source="Newton search in float64",
        ),
        traits=Traits(box=((-1.0, 2.0),)),
    )
