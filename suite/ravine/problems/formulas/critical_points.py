"""Surfaces whose critical points are all known, with their values and kinds.

They are what a classifier of critical points is checked against, and what shows where an
optimizer ends: in the best basin, in another one, or at a saddle.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, heights


@problems.register("critical-points", "analytic")
def himmelblau() -> Analytic:
    """Four equally good minima around a maximum, with four saddles between them.

    f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2.

    Runs start near the maximum, so which minimum is reached depends on the first steps.

    References:
        Himmelblau (1972). Applied Nonlinear Programming. McGraw-Hill.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return (a.square() + b - 11).square() + (a + b.square() - 7).square()

    minima = critical(
        Kind.MINIMUM,
        (3.0, 2.0, 0.0),
        (3.58442834033, -1.848126526964, 0.0),
        (-2.805118086953, 3.131312518251, 0.0),
        (-3.779310253378, -3.283185991286, 0.0),
    )
    saddles = critical(
        Kind.SADDLE,
        (3.385154183607, 0.07385187983775, 13.31192627041),
        (0.0866775045554, 2.884254701175, 67.71915008753),
        (-3.073025750764, -0.08135304428797, 104.0151629176),
        (-0.1279613467307, -1.953714980245, 178.3372392019),
    )
    maxima = critical(Kind.MAXIMUM, (-0.2708445906673, -0.92303855648, 181.6165215226))
    # the Hessian at (3, 2) is [[74, 20], [20, 34]]
    low, high = 54 - math.sqrt(800), 54 + math.sqrt(800)
    return Analytic(
        f=f,
        dim=2,
        domain=(-6.0, 6.0),
        start_at=maxima[0].x,
        facts=Facts(
            minimum=0.0,
            minimizers=tuple(p.x for p in minima),
            critical_points=minima + saddles + maxima,
            complete=True,
            eigenvalues=(low, high),
            condition=high / low,
            source="Newton search in float64; by Bezout's bound there are at most nine",
        ),
    )


@problems.register("critical-points", "analytic")
def six_hump_camel() -> Analytic:
    """Three pairs of basins, of which one pair is best, and fifteen critical points.

    f(x, y) = (4 - 2.1 x^2 + x^4 / 3) x^2 + x y + (4 y^2 - 4) y^2.

    A run that settles may be in a basin that is worse by 0.8 or by 3.1.

    References:
        Dixon, Szegö (1978). The global optimization problem: an introduction. In: Towards
        Global Optimisation 2, 1-15. North-Holland.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        aa, bb = x.square().unbind(-1)
        return (4 - 2.1 * aa + aa.square() / 3) * aa + a * b + 4 * (bb - 1) * bb

    best = critical(
        Kind.MINIMUM,
        (0.08984201310032, -0.7126564030207, -1.03162845349),
        (-0.08984201310032, 0.7126564030207, -1.03162845349),
    )
    worse = critical(
        Kind.MINIMUM,
        (1.60710475292, 0.5686514548841, 2.104250310311),
        (-1.60710475292, -0.5686514548841, 2.104250310311),
        (1.70360671497, -0.7960835686726, -0.2154638243837),
        (-1.70360671497, 0.7960835686726, -0.2154638243837),
    )
    saddles = critical(
        Kind.SADDLE,
        (0.0, 0.0, 0.0),
        (1.109205336805, -0.7682680925095, 0.5437186009782),
        (-1.109205336805, 0.7682680925095, 0.5437186009782),
        (1.63806798419, 0.2286740690444, 2.229357197531),
        (-1.63806798419, -0.2286740690444, 2.229357197531),
        (1.296070267167, 0.6050843880387, 2.22947081803),
        (-1.296070267167, -0.6050843880387, 2.22947081803),
    )
    maxima = critical(
        Kind.MAXIMUM,
        (1.230229876517, 0.162334584459, 2.496295351024),
        (-1.230229876517, -0.162334584459, 2.496295351024),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=((-3.0, 3.0), (-2.0, 2.0)),
        facts=Facts(
            minimum=-1.03162845349,
            minimizers=tuple(p.x for p in best),
            critical_points=best + worse + saddles + maxima,
            complete=True,
            goal=Goal.BASIN,
            targets=(2.104250310311, -0.2154638243837),
            source="Newton search in float64; by Bezout's bound there are at most fifteen",
        ),
    )


@problems.register("critical-points", "analytic")
def three_hump_camel() -> Analytic:
    """A best basin between two slightly worse ones.

    f(x, y) = 2 x^2 - 1.05 x^4 + x^6 / 6 + x y + y^2.

    The outer basins are wide: plain descent from two starts in three ends in one.

    References:
        Branin (1972). Widely convergent method for finding multiple solutions of
        simultaneous nonlinear equations. IBM Journal of Research and Development 16(5).
        doi 10.1147/rd.165.0504.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        aa = a.square()
        return (2 - 1.05 * aa + aa.square() / 6) * aa + (a + b) * b

    minima = critical(
        Kind.MINIMUM,
        (0.0, 0.0, 0.0),
        (1.74755234583, -0.8737761729151, 0.2986384422369),
        (-1.74755234583, 0.8737761729151, 0.2986384422369),
    )
    saddles = critical(
        Kind.SADDLE,
        (1.070542291824, -0.5352711459118, 0.8773615577631),
        (-1.070542291824, 0.5352711459118, 0.8773615577631),
    )
    low, high = 3 - math.sqrt(2), 3 + math.sqrt(2)
    return Analytic(
        f=f,
        dim=2,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0, 0.0),),
            critical_points=minima + saddles,
            complete=True,
            eigenvalues=(low, high),
            condition=high / low,
            goal=Goal.BASIN,
            targets=(0.2986384422369,),
            source="on y = -x/2 a polynomial of degree five is left, with five real roots",
        ),
    )


@problems.register("critical-points", "analytic")
def muller_brown() -> Analytic:
    """A model of a chemical reaction: three basins in a bent channel.

    f(x, y) = sum_k A_k exp(a_k (x - X_k)^2 + b_k (x - X_k)(y - Y_k) + c_k (y - Y_k)^2),
    four terms.

    The standard test of methods that look for saddles and minimum energy paths.  The walls
    rise exponentially, so the gradient of a point thrown out of the domain overflows.

    References:
        Müller, Brown (1979). Location of saddle points and minimum energy paths by a
        constrained simplex optimization procedure. Theoretica Chimica Acta 53, 75-93.
        doi 10.1007/BF00547608.
    """
    terms = torch.tensor(
        [
            [-200.0, -1.0, 0.0, -10.0, 1.0, 0.0],
            [-100.0, -1.0, 0.0, -10.0, 0.0, 0.5],
            [-170.0, -6.5, 11.0, -6.5, -0.5, 1.5],
            [15.0, 0.7, 0.6, 0.7, -1.0, 1.0],
        ],
        dtype=torch.float64,
    )

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        height, a, b, c, left, low = terms.to(x).unbind(-1)
        u = x[..., :1] - left
        v = x[..., 1:] - low
        return total(height * torch.exp((a * u + b * v) * u + c * v.square()))

    minima = critical(
        Kind.MINIMUM,
        (-0.05001082299821, 0.466694104872, -80.76781812966),
        (0.6234994049309, 0.02803775852869, -108.1667241169),
        (-0.558223634633, 1.441725841805, -146.69951721),
    )
    saddles = critical(
        Kind.SADDLE,
        (-0.8220015587327, 0.6243128028149, -40.66484350866),
        (0.2124865820007, 0.2929883251074, -72.24894011233),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=((-1.5, 1.2), (-0.2, 2.0)),
        facts=Facts(
            minimum=-146.69951721,
            minimizers=(minima[-1].x,),
            critical_points=minima + saddles,
            complete=True,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="Newton search in float64",
        ),
    )


@problems.register("critical-points", "valley", "analytic")
def beale() -> Analytic:
    """A curved valley with a flat floor, and a saddle on the way to it.

    f(x, y) = (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2.

    The gradient varies by orders of magnitude, with sharp walls at the corners of the
    domain.  A second valley runs out to infinity along y = 1 and falls towards 0.452: a
    run that enters it never arrives.

    References:
        Beale (1958). On an iterative method for finding a local minimum of a function of
        more than one variable. Technical report 25, Statistical Techniques Research Group,
        Princeton University.
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        TOMS 7(1). doi 10.1145/355934.355936 (problem 5 and its start).
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        first = 1.5 - a * (1 - b)
        second = 2.25 - a * (1 - b.square())
        third = 2.625 - a * (1 - b**3)
        return first.square() + second.square() + third.square()

    minimum = critical(Kind.MINIMUM, (3.0, 0.5, 0.0))
    saddles = critical(
        Kind.SADDLE,
        (0.0, 1.0, 14.203125),
        (0.1005379373242, -2.644513585023, 9.864512284756),
    )
    # 2 J'J with the Jacobian rows (-(1 - y^k), k x y^(k-1)) at (3, 1/2)
    half_trace, determinant = 24.640625, 14.765625
    low = half_trace - math.sqrt(half_trace**2 - determinant)
    high = half_trace + math.sqrt(half_trace**2 - determinant)
    return Analytic(
        f=f,
        dim=2,
        domain=(-4.5, 4.5),
        start_at=(1.0, 1.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((3.0, 0.5),),
            critical_points=minimum + saddles,
            complete=True,
            eigenvalues=(low, high),
            condition=high / low,
            source="Newton search in float64",
        ),
    )


@problems.register("critical-points", "box", "analytic")
def mccormick() -> Analytic:
    """A wave on a tilted trough, kept in a box because it falls for ever along x = y.

    f(x, y) = sin(x + y) + (x - y)^2 - 1.5 x + 2.5 y + 1 on [-1.5, 4] x [-3, 4].

    One saddle separates the better basin from a worse one of the same shape.

    References:
        Lootsma, ed. (1972). Numerical Methods for Non-Linear Optimization. Academic Press.
        Jamil, Yang (2013). A literature survey of benchmark functions for global
        optimization problems. arXiv 1308.4008 (function 73).
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return torch.sin(a + b) + (a - b).square() - 1.5 * a + 2.5 * b + 1

    third = math.pi / 3
    root = math.sqrt(3) / 2
    best = critical(Kind.MINIMUM, (0.5 - third, -0.5 - third, -root - third))
    worse = critical(Kind.MINIMUM, (0.5 + 2 * third, -0.5 + 2 * third, 2 * third - root))
    saddle = critical(Kind.SADDLE, (0.5 + third, third - 0.5, root + third))
    box = ((-1.5, 4.0), (-3.0, 4.0))
    return Analytic(
        f=f,
        dim=2,
        domain=box,
        facts=Facts(
            minimum=best[0].value,
            minimizers=(best[0].x,),
            critical_points=best + worse + saddle,
            complete=True,
            eigenvalues=(math.sqrt(3), 4.0),
            condition=4 / math.sqrt(3),
            smoothness=4.0,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="closed form: x - y = 1 and cos(x + y) = -1/2",
        ),
        traits=Traits(box=box),
    )
