"""Landscapes of the plane with dozens of basins or more, in no simple pattern."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, heights
from ravine.problems.formulas.ripples import norm


@problems.register("multimodal", "box", "analytic")
def eggholder() -> Analytic:
    """Deep creased basins of all sizes, the best of them cut off by the box's edge.

    f(x, y) = -(y + 47) sin(sqrt |x/2 + y + 47|) - x sin(sqrt |x - y - 47|)
    on [-512, 512]^2.

    At the minimizer the gradient is not zero, so only a projected method stays there.
    Along two lines the function has creases of infinite slope.

    References:
        Whitley, Mathias, Rana, Dzubera (1996). Evaluating evolutionary algorithms.
        Artificial Intelligence 85, 245-276. doi 10.1016/0004-3702(95)00124-7.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        c = b + 47
        # the root's infinite slope at 0 would make the gradient NaN on the creases
        near = torch.sin(torch.sqrt((0.5 * a + c).abs() + 1e-30))
        return -c * near - a * torch.sin(torch.sqrt((a - c).abs() + 1e-30))

    minima = critical(
        Kind.MINIMUM,
        (18.10362350962, 365.9655262149, -425.3015058828),
        (-242.9792531581, 274.3803260181, -559.7868565506),
        (283.0759109223, -487.1256581477, -718.1674596222),
        (347.3269729738, 499.41539845, -888.9491252699),
        (-465.6941515451, 385.7166997835, -894.5789003906),
        (439.4809972695, 453.977434754, -935.3379515606),
        (479.0454037844, 434.5058764679, -955.2551521443),
        (482.3533104648, 432.8789989455, -956.9182316247),
    )
    box = ((-512.0, 512.0), (-512.0, 512.0))
    return Analytic(
        f=f,
        dim=2,
        domain=box,
        facts=Facts(
            minimum=-959.6406627209,
            minimizers=((512.0, 404.2318051138),),
            critical_points=minima,
            goal=Goal.BASIN,
            targets=heights(minima),
            source="projected Newton search from 60000 points in float64",
        ),
        traits=Traits(box=box),
    )


@problems.register("multimodal", "box", "analytic")
def holder_table() -> Analytic:
    """A table on four legs: the best basins stand in the corners, apart from each other.

    f(x, y) = -|sin(x) cos(y) exp(|1 - r / pi|)| on [-10, 10]^2, r = sqrt(x^2 + y^2).

    The second best basins are cut off by the box's edge, and plain descent from nine
    starts in ten ends in other, poorer ones.

    References:
        Mishra (2007). Some new test functions for global optimization and performance of
        repulsive particle swarm method. doi 10.2139/ssrn.926132.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        rise = torch.exp((1 - norm(x) / math.pi).abs())
        return -(torch.sin(a) * torch.cos(b)).abs() * rise

    minima = critical(
        Kind.MINIMUM,
        (1.647944834656, 6.58267830499, -3.038853361299),
        (8.16215070509, 0.0, -4.710706959807),
        (8.14131217899, 3.259351049186, -5.712246520612),
        (1.623129475513, 9.729001856268, -8.095122657429),
        (8.097582725127, 6.479497356653, -9.504677029921),
        (4.853855848169, 9.702113880431, -11.06955116675),
    )
    places = tuple((a * 8.055023475737, b * 9.664590019241) for a in (1, -1) for b in (1, -1))
    best = critical(Kind.MINIMUM, *((*place, -19.20850256789) for place in places))
    # at (10, 9.642227301612), where the edge cuts a basin off
    edge = -16.26783289665
    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=-19.20850256789,
            minimizers=places,
            critical_points=minima + best,
            goal=Goal.BASIN,
            targets=(*heights(minima), edge),
            source="projected Newton search from 8000 points in float64",
        ),
        traits=Traits(box=((-10.0, 10.0), (-10.0, 10.0))),
    )


@problems.register("multimodal", "box", "analytic")
def cross_in_tray() -> Analytic:
    """A tray of shallow basins divided by sharp ridges, the four best in the middle.

    f(x, y) = -(|sin(x) sin(y) exp(|100 - r / pi|)| + 1)^0.1 / 10^4 on [-10, 10]^2,
    r = sqrt(x^2 + y^2).

    The basins are flat and the ridges between them sharp: no quadratic model fits both.

    References:
        Mishra (2007). Some new test functions for global optimization and performance of
        repulsive particle swarm method. doi 10.2139/ssrn.926132.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = torch.sin(x).unbind(-1)
        # e^100 is taken out of the bracket, where single precision would overflow
        bracket = (a * b).abs() * torch.exp((100 - norm(x) / math.pi).abs() - 100)
        return -1e-4 * torch.exp(10 + 0.1 * torch.log(bracket + math.exp(-100)))

    minima = critical(
        Kind.MINIMUM,
        (7.587488686157, 4.550121985637, -1.653885265617),
        (1.508521331436, 7.551422464401, -1.715489416054),
        (4.490999270744, 4.490999270744, -1.79060172381),
        (1.470622162167, 4.419075874257, -1.889938045786),
    )
    r, minimum = 1.349406617154, -2.062611870823
    places = ((r, r), (r, -r), (-r, r), (-r, -r))
    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=minimum,
            minimizers=places,
            critical_points=minima + critical(Kind.MINIMUM, *((*p, minimum) for p in places)),
            goal=Goal.BASIN,
            targets=heights(minima),
            source="projected Newton search from 8000 points in float64",
        ),
        traits=Traits(box=((-10.0, 10.0), (-10.0, 10.0))),
    )


@problems.register("multimodal", "analytic")
def shubert() -> Analytic:
    """A product of two waves, with 18 best basins in pairs among hundreds of others.

    f(x, y) = g(x) g(y), g(t) = sum_{j=1..5} j cos((j + 1) t + j).

    Deep basins lie next to high peaks, so steps that fit the one overshoot the other.

    References:
        Shubert (1972). A sequential method seeking the global maximum of a function. SIAM
        Journal on Numerical Analysis 9(3), 379-388. doi 10.1137/0709036.
        Levy, Montalvo (1985). The tunneling algorithm for the global minimization of
        functions. SIAM Journal on Scientific and Statistical Computing 6(1), 15-29.
        doi 10.1137/0906002.
    """
    orders = torch.arange(1.0, 6.0, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        j = orders.to(x)
        a, b = total(j * torch.cos((j + 1) * x.unsqueeze(-1) + j)).unbind(-1)
        return a * b

    low = (
        (-1.4251284283198, -12.870885497726),
        (-0.19538575006083, -8.5178317712106),
        (0.82178392575797, -3.7499886760947),
    )
    high = (
        (-0.80032110047197, 14.508007927195),
        (-2.0072027043828, 6.1698096247457),
        (0.3342439113389, 3.8473331393523),
    )
    # a minimum is a peak of one wave times a valley of the other
    worse = critical(
        Kind.MINIMUM,
        *(
            (low[i][0], high[k][0], low[i][1] * high[k][1])
            for i, k in ((2, 1), (1, 2), (0, 2), (1, 1), (2, 0), (0, 1), (1, 0))
        ),
    )
    lows = [low[0][0] + 2 * math.pi * k for k in (0, -1, 1)]
    highs = [high[0][0] + 2 * math.pi * k for k in (0, -1, 1)]
    places = tuple((a, b) for a in lows for b in highs) + tuple((b, a) for a in lows for b in highs)
    minimum = low[0][1] * high[0][1]
    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=minimum,
            minimizers=places,
            critical_points=worse + critical(Kind.MINIMUM, *((*p, minimum) for p in places)),
            goal=Goal.BASIN,
            targets=heights(worse),
            source="extrema of the wave to fourteen digits, and their products",
        ),
    )


@problems.register("multimodal", "analytic")
def levy_13() -> Analytic:
    """Fine ripples across a bowl, much steeper along one coordinate than the other.

    f(x, y) = sin^2(3 pi x) + (x - 1)^2 (1 + sin^2(3 pi y)) + (y - 1)^2 (1 + sin^2(2 pi y)).

    At the minimum the curvatures differ by a factor of 90, and some thousand basins
    surround it.

    References:
        Levy, Montalvo (1985). The tunneling algorithm for the global minimization of
        functions. SIAM Journal on Scientific and Statistical Computing 6(1), 15-29.
        doi 10.1137/0906002.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        u, v = (x - 1).unbind(-1)
        # sin^2 has period pi, so both waves may start at 1 instead of 0
        slope = u.square() * (1 + torch.sin(3 * math.pi * v).square())
        floor = v.square() * (1 + torch.sin(2 * math.pi * v).square())
        return torch.sin(3 * math.pi * u).square() + slope + floor

    worse = critical(
        Kind.MINIMUM,
        (-3.589499782582, 4.348331303992, 40.58422017313),
        (1.0, -3.494352136867, 20.22462724173),
        (-1.635123932818, -0.3377286968489, 10.12978808504),
        (0.3475305885211, -0.4676360163696, 3.072637305488),
        (0.3432078596638, 1.601990640346, 1.073324641073),
        (0.3407792026131, 1.0, 0.4394886049543),
        (0.6716660565632, 1.266106799454, 0.2887115265553),
        (0.6703805254517, 1.0, 0.1098736583588),
    )
    steep = 2 + 18 * math.pi**2
    return Analytic(
        f=f,
        dim=2,
        domain=(-10.0, 10.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0, 1.0),),
            critical_points=worse + critical(Kind.MINIMUM, (1.0, 1.0, 0.0)),
            eigenvalues=(2.0, steep),
            condition=steep / 2,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="Newton search from 60000 points in float64",
        ),
    )


@problems.register("multimodal", "analytic")
def trefethen() -> Analytic:
    """Chaotic ripples of five wavelengths on a faint bowl, from the hundred-digit challenge.

    f(x, y) = exp(sin 50x) + sin(60 e^y) + sin(70 sin x) + sin(sin 80y)
              - sin(10 (x + y)) + (x^2 + y^2) / 4.

    Hundreds of basins, each a few hundredths wide, with curvatures of ten thousand.

    References:
        Trefethen (2002). A hundred-dollar, hundred-digit challenge. SIAM News 35(1).
        Bornemann, Laurie, Wagon, Waldvogel (2004). The SIAM 100-Digit Challenge, chapter
        4. doi 10.1137/1.9780898717969.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        along = torch.exp(torch.sin(50 * a)) + torch.sin(70 * torch.sin(a))
        across = torch.sin(60 * torch.exp(b)) + torch.sin(torch.sin(80 * b))
        bowl = 0.25 * (a.square() + b.square())
        return along + across - torch.sin(10 * (a + b)) + bowl

    minima = critical(
        Kind.MINIMUM,
        (0.2410944006107, 0.04348482349403, -0.9974272865037),
        (0.3417983274749, 0.6164297953484, -1.992159839449),
        (0.3455677280984, 0.292000107446, -2.464898060367),
        (0.4490944594739, 0.2914429522539, -2.851487398037),
        (0.3436874218416, 0.4407096304826, -3.003832209128),
        (-0.02334581773586, 0.7741548230505, -3.06433688276),
        (-0.02316775945674, -0.4942128786826, -3.144079410311),
        (-0.3945257921487, -0.09320015012104, -3.208139129535),
        (-0.02440307969438, 0.2106124271554, -3.306868647475),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(-1.0, 1.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="Newton search from 60000 points; the minimum as in the book",
        ),
    )
