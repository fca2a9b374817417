"""Many basins in a regular pattern, in any number of dimensions.

Each is a sum over the coordinates, or nearly so, and the number of basins is a power of
the dimension.  What counts is the basin, not the last digit: targets are the values of
local minima, and the last one leaves no basin but the best.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, grid, heights, ladder


@problems.register("multimodal", "analytic")
def rastrigin(dim: int = 2) -> Analytic:
    """A round bowl under a regular ripple, with 11^n basins in the domain.

    f(x) = sum_i x_i^2 + 10 (1 - cos 2 pi x_i).

    The ripple's gradient, up to 63, drowns the bowl's, about 10 at most: only averaging over
    many basins shows the way.

    Args:
        dim: number of coordinates.

    References:
        Rastrigin (1974). Systems of Extremal Control. Nauka (in Russian).
        Mühlenbein, Schomisch, Born (1991). The parallel genetic algorithm as function
        optimizer. Parallel Computing 17(6-7), 619-632. doi 10.1016/S0167-8191(05)80052-3.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(x.square() + 10 * (1 - torch.cos(2 * math.pi * x)))

    wells = [
        (0.0, 0.0),
        (0.99495863765233, 0.99495905709329),
        (1.9899122337085, 3.9798311905541),
        (2.9848557010395, 8.954601241487),
        (3.9797838603008, 15.919243792462),
    ]
    worse = ladder(*[wells] * dim)
    curvature = 2 + 40 * math.pi**2
    return Analytic(
        f=f,
        dim=dim,
        domain=(-5.12, 5.12),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=worse + critical(Kind.MINIMUM, (0.0,) * (dim + 1)),
            eigenvalues=(curvature,) * dim,
            condition=1.0,
            smoothness=curvature,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative in one coordinate, to fourteen digits",
        ),
    )


@problems.register("multimodal", "analytic")
def lunacek(dim: int = 2) -> Analytic:
    """Two rippled funnels, of which the wider one does not hold the best basin.

    f(x) = min(sum_i (x_i - m)^2, n + s sum_i (x_i - c)^2)
           + 10 sum_i (1 - cos 2 pi (x_i - m)),
    m = 5/2, s = 1 - 1 / (2 sqrt(n + 20) - 8.2), c = -sqrt((m^2 - 1) / s).

    What leads out of a basin leads into the wrong funnel: the larger the region averaged
    over, the worse the choice.

    Args:
        dim: number of coordinates.

    References:
        Lunacek, Whitley, Sutton (2008). The impact of global structure on search. PPSN X,
        498-507. doi 10.1007/978-3-540-87700-4_50.
    """
    at_least("dim", dim, 2)
    slope = 1 - 1 / (2 * math.sqrt(dim + 20) - 8.2)
    wrong = -math.sqrt((2.5**2 - 1) / slope)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        from_best = x - 2.5
        narrow = total(from_best.square())
        wide = dim + slope * total((x - wrong).square())
        ripple = total(1 - torch.cos(2 * math.pi * from_best))
        return torch.minimum(narrow, wide) + 10 * ripple

    wells = [
        (2.5, 0.0),
        (2.5 + 0.99495863765233, 0.99495905709329),
        (2.5 + 1.9899122337085, 3.9798311905541),
    ]
    worse = ladder(*[wells] * dim)
    curvature = 2 + 40 * math.pi**2
    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(
            minimum=0.0,
            minimizers=((2.5,) * dim,),
            critical_points=worse + critical(Kind.MINIMUM, (*(2.5,) * dim, 0.0)),
            eigenvalues=(curvature,) * dim,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="near the best basin it is Rastrigin's function, shifted",
        ),
    )


@problems.register("multimodal", "analytic")
def levy(dim: int = 2) -> Analytic:
    """Steep ripples on a bowl, of a different kind in the first and in the last coordinate.

    f(x) = sin^2(pi w_1) + sum_{i<n} (w_i - 1)^2 (1 + 10 sin^2(pi w_i + 1))
           + (w_n - 1)^2 (1 + sin^2(2 pi w_n)),  w_i = 1 + (x_i - 1) / 4.

    From three coordinates on, the coordinates in the middle have a second basin next to
    the best one that is higher by 0.09 only.

    Args:
        dim: number of coordinates.

    References:
        Levy, Montalvo (1985). The tunneling algorithm for the global minimization of
        functions. SIAM Journal on Scientific and Statistical Computing 6(1), 15-29.
        doi 10.1137/0906002.
        Laguna, Martí (2005). Experimental testing of advanced scatter search designs for
        global optimization of multimodal functions. Journal of Global Optimization 33,
        235-255. doi 10.1007/s10898-004-1936-z.
    """
    at_least("dim", dim, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        u = 0.25 * (x - 1)
        first, others, last = u[..., 0], u[..., :-1], u[..., -1]
        middle = others.square() * (1 + 10 * torch.sin(math.pi * others + 1).square())
        end = last.square() * (1 + torch.sin(2 * math.pi * last).square())
        return torch.sin(math.pi * first).square() + total(middle) + end

    first = [
        (1.0, 0.0),
        (3.7910821904505, 1.1604532106739),
        (-4.2054349857182, 2.4000794081802),
        (7.7230821507905, 3.5359222019962),
    ]
    middle = [
        (1.0, 0.0),
        (-0.092993695093967, 0.089528250416441),
        (3.6643545583808, 0.45432401859077),
        (-4.2421171417158, 1.727746668033),
    ]
    last = [
        (1.0, 0.0),
        (4.8906496084617, 0.97371159557685),
        (6.9302862506102, 2.2242709774088),
        (8.9484522784875, 3.9744501432754),
    ]
    worse = ladder(first, *[middle] * (dim - 2), last)
    flat = (1 + 10 * math.sin(1) ** 2) / 8
    return Analytic(
        f=f,
        dim=dim,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0,) * dim,),
            critical_points=worse + critical(Kind.MINIMUM, (*(1.0,) * dim, 0.0)),
            eigenvalues=(0.125, *(flat,) * (dim - 2), math.pi**2 / 8 + flat),
            condition=math.pi**2 + 8 * flat,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative in one coordinate, to fourteen digits",
        ),
    )


@problems.register("multimodal", "box", "analytic")
def schwefel(dim: int = 2) -> Analytic:
    """Deceptive: the second best place for a coordinate is far from the best one.

    f(x) = 418.98288727... n - sum_i x_i sin(sqrt |x_i|) on [-500, 500]^n.

    The best basin lies near the box's edge, and nothing around the centre points to it.

    Args:
        dim: number of coordinates.

    References:
        Schwefel (1981). Numerical Optimization of Computer Models. Wiley.
    """
    at_least("dim", dim, 1)
    depth = 418.9828872724338

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        # the root's infinite slope at 0 would make the gradient NaN there
        return depth * dim - total(x * torch.sin(torch.sqrt(x.abs() + 1e-30)))

    wells = [
        (420.96874635998, 0.0),
        (-302.52493561191, depth - 300.544552658),
        (203.81425264889, depth - 201.84321788186),
        (-124.82935642022, depth - 122.87617351392),
        (65.547865090152, depth - 63.634981951554),
    ]
    worse = ladder(*[wells] * dim)
    best = (wells[0][0],) * dim
    return Analytic(
        f=f,
        dim=dim,
        domain=(-500.0, 500.0),
        facts=Facts(
            minimum=0.0,
            minimizers=(best,),
            critical_points=worse + critical(Kind.MINIMUM, (*best, 0.0)),
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative in one coordinate, to fourteen digits",
        ),
        traits=Traits(box=((-500.0, 500.0),) * dim),
    )


@problems.register("multimodal", "analytic")
def styblinski_tang(dim: int = 2) -> Analytic:
    """Two basins in each coordinate, a better and a worse one.

    f(x) = sum_i (x_i^4 - 16 x_i^2 + 5 x_i) / 2.

    Each coordinate is a trap of its own: only one start in 2^n leads to the best basin.

    Args:
        dim: number of coordinates.

    References:
        Styblinski, Tang (1990). Experiments in nonconvex optimization: stochastic
        approximation with function smoothing and simulated annealing. Neural Networks
        3(4), 467-483. doi 10.1016/0893-6080(90)90029-K.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        squares = x.square()
        return 0.5 * total((squares - 16) * squares + 5 * x)

    wells = [(-2.9035340277712, -39.166165703771), (2.7468027709908, -25.029446655284)]
    worse = ladder(*[wells] * dim)
    best = critical(Kind.MINIMUM, ((*(wells[0][0],) * dim, wells[0][1] * dim)))
    complete = dim <= 4
    line = critical(Kind.MINIMUM, *wells) + critical(
        Kind.MAXIMUM, (0.15673125678034, 0.19561235905536)
    )
    curvature = 6 * wells[0][0] ** 2 - 16
    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(
            minimum=best[0].value,
            minimizers=(best[0].x,),
            critical_points=grid(*[line] * dim) if complete else worse + best,
            complete=complete,
            eigenvalues=(curvature,) * dim,
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of 4 x^3 - 32 x + 5; all points are listed up to four dimensions",
        ),
    )


@problems.register("multimodal", "analytic")
def egg_crate(dim: int = 2) -> Analytic:
    """A bowl with deep egg cups, few enough to list every critical point.

    f(x) = sum_i x_i^2 + 25 sin^2(x_i).

    Args:
        dim: number of coordinates.

    References:
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimization problems. arXiv 1308.4008 (function 52).
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(x.square() + 25 * torch.sin(x).square())

    wells = [(0.0, 0.0), (3.019601884785, 9.4881973391063)]
    worse = ladder(*[wells] * dim)
    complete = dim <= 2
    line = critical(Kind.MINIMUM, *wells, (-3.019601884785, 9.4881973391063)) + critical(
        Kind.MAXIMUM,
        *(
            (side * x, v)
            for side in (1, -1)
            for x, v in ((1.6364424603413, 27.570363224676), (4.9144183483375, 48.144918523356))
        ),
    )
    best = critical(Kind.MINIMUM, (0.0,) * (dim + 1))
    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=grid(*[line] * dim) if complete else worse + best,
            complete=complete,
            eigenvalues=(52.0,) * dim,
            condition=1.0,
            smoothness=52.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of 2 x + 25 sin 2x; all points are listed up to two dimensions",
        ),
    )
