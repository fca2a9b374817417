"""Saddles to escape from: unbounded surfaces, degenerate points, and symmetric losses."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import product, total
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import FALLS, critical


@problems.register("critical-points", "saddle", "escape", "analytic")
def saddle(dim: int = 2, index: int = 1) -> Analytic:
    """A strict saddle: a bowl in some coordinates, a hilltop in the others.

    f(x) = sum_{i <= n-k} x_i^2 - sum_{i > n-k} x_i^2, with k the index.

    Runs start on the way that leads to the saddle, off it by a thousandth.  Descent leaves
    at an exponential rate, so the time to leave grows with the logarithm of the push.

    Args:
        dim: number of coordinates.
        index: number of directions of descent, at least one and fewer than `dim`.

    Raises:
        BadValue: the index leaves no direction of ascent or none of descent.

    References:
        Lee, Simchowitz, Jordan, Recht (2016). Gradient descent only converges to
        minimizers. COLT. arXiv 1602.04915.
    """
    at_least("dim", dim, 2)
    if not 1 <= index < dim:
        raise BadValue(f"`index` must be from 1 to {dim - 1}, got {index}; change it or `dim`")
    signs = torch.tensor([1.0] * (dim - index) + [-1.0] * index, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(signs.to(x) * x.square())

    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(1.0,) * (dim - index) + (0.0,) * index,
        spread=1e-3,
        facts=Facts(
            critical_points=critical(Kind.SADDLE, (0.0,) * (dim + 1)),
            complete=True,
            smoothness=2.0,
            goal=Goal.ESCAPE,
            targets=FALLS,
            source="closed form",
        ),
    )


@problems.register("critical-points", "saddle", "analytic")
def bounded_saddle() -> Analytic:
    """The smallest surface on which descent can end at a strict saddle.

    f(x, y) = x^2 / 2 + y^4 / 4 - y^2 / 2.

    Plain descent from y = 0 converges to the saddle and takes it for a solution.  Runs
    start almost there, on the line that leads to it.

    References:
        Nesterov (2004). Introductory Lectures on Convex Optimization, example 1.2.2.
        Kluwer. doi 10.1007/978-1-4419-8853-9.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        aa, bb = x.square().unbind(-1)
        return 0.5 * aa + 0.25 * (bb - 2) * bb

    minima = critical(Kind.MINIMUM, (0.0, 1.0, -0.25), (0.0, -1.0, -0.25))
    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        start_at=(1.0, 0.0),
        spread=1e-3,
        facts=Facts(
            minimum=-0.25,
            minimizers=tuple(p.x for p in minima),
            critical_points=minima + critical(Kind.SADDLE, (0.0, 0.0, 0.0)),
            complete=True,
            eigenvalues=(1.0, 2.0),
            condition=2.0,
            source="closed form",
        ),
    )


@problems.register("critical-points", "escape", "analytic")
def cubic() -> Analytic:
    """A point of inflection, where gradient and curvature vanish together.

    f(x) = x^3, started at 1.

    Descent comes to the inflection from above and slows down without end: after t steps
    it is still about 1 / (3 lr t) away.  Momentum carries it over.

    References:
        Anandkumar, Ge (2016). Efficient approaches for escaping higher order saddle points
        in non-convex optimization. COLT. arXiv 1602.05908.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return x[..., 0] ** 3

    return Analytic(
        f=f,
        dim=1,
        domain=(-2.0, 2.0),
        start_at=(1.0,),
        spread=1e-3,
        facts=Facts(
            critical_points=critical(Kind.DEGENERATE, (0.0, 0.0)),
            complete=True,
            goal=Goal.ESCAPE,
            targets=FALLS,
            source="closed form",
        ),
    )


@problems.register("critical-points", "saddle", "escape", "analytic")
def monkey_saddle() -> Analytic:
    """A saddle with three ways down and a zero Hessian.

    f(x, y) = x^3 - 3 x y^2.

    Second-order information at the point says nothing.  Runs start above one of the three
    ridges, which leads to the point at a rate of 1 / t.

    References:
        Anandkumar, Ge (2016). Efficient approaches for escaping higher order saddle points
        in non-convex optimization. COLT. arXiv 1602.05908.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return (a.square() - 3 * b.square()) * a

    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        start_at=(1.0, 0.0),
        spread=1e-3,
        facts=Facts(
            critical_points=critical(Kind.DEGENERATE, (0.0, 0.0, 0.0)),
            complete=True,
            goal=Goal.ESCAPE,
            targets=FALLS,
            source="closed form",
        ),
    )


@problems.register("critical-points", "escape", "analytic")
def fold() -> Analytic:
    """The fold catastrophe: a bowl in one coordinate, an inflection in the other.

    f(x, y) = x^2 + y^3.

    The Hessian at the only critical point is singular and has no negative eigenvalue, so
    a test of curvature cannot tell the point from a minimum.

    References:
        Poston, Stewart (1978). Catastrophe Theory and Its Applications. Pitman.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        return a.square() + b**3

    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        start_at=(1.0, 1.0),
        spread=1e-3,
        facts=Facts(
            critical_points=critical(Kind.DEGENERATE, (0.0, 0.0, 0.0)),
            complete=True,
            goal=Goal.ESCAPE,
            targets=FALLS,
            source="closed form",
        ),
    )


@problems.register("critical-points", "saddle", "escape", "analytic")
def quartic_saddle() -> Analytic:
    """A saddle whose Hessian is zero, flat for a long way around.

    f(x, y) = x^4 - y^4.

    Descent leaves the ridge as slowly as it comes in: the time grows with the inverse
    square of the push, where a strict saddle needs its logarithm only.

    References:
        Anandkumar, Ge (2016). Efficient approaches for escaping higher order saddle points
        in non-convex optimization. COLT. arXiv 1602.05908.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        up, down = x.square().square().unbind(-1)
        return up - down

    return Analytic(
        f=f,
        dim=2,
        domain=(-2.0, 2.0),
        start_at=(1.0, 0.0),
        spread=1e-1,
        facts=Facts(
            critical_points=critical(Kind.DEGENERATE, (0.0, 0.0, 0.0)),
            complete=True,
            goal=Goal.ESCAPE,
            targets=FALLS,
            source="closed form",
        ),
    )


@problems.register("critical-points", "saddle", "analytic")
def linear_chain(depth: int = 2) -> Analytic:
    """A deep linear network with one unit in each layer, started near its saddle.

    f(w) = (w_1 w_2 ... w_n - 1)^2 / 2.

    At the origin two layers make a strict saddle, three or more a flat one: all
    derivatives below the n-th vanish.  The minima form surfaces on which the sharpness,
    w_1^2 + w_2^2 for two layers, differs from point to point.

    Args:
        depth: n, the number of layers.

    References:
        Saxe, McClelland, Ganguli (2013). Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks. arXiv 1312.6120.
        Shamir (2019). Exponential convergence time of gradient descent for one-dimensional
        deep linear neural networks. COLT. arXiv 1809.08587.
    """
    at_least("depth", depth, 2)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.5 * (product(x) - 1).square()

    kind = Kind.SADDLE if depth == 2 else Kind.DEGENERATE
    return Analytic(
        f=f,
        dim=depth,
        domain=(-2.0, 2.0),
        start_at=(0.0,) * depth,
        spread=0.1,
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0,) * depth,),
            critical_points=critical(kind, (*(0.0,) * depth, 0.5)),
            eigenvalues=(0.0,) * (depth - 1) + (float(depth),),
            condition=1.0,
            source="closed form; the minima are all points whose product is 1",
        ),
    )


@problems.register("critical-points", "saddle", "analytic")
def rank_one(dim: int = 3) -> Analytic:
    """The best approximation of a matrix by one of rank one, started at a saddle.

    f(x) = |x x' - D|^2 / 4 in the Frobenius norm, with D = diag(1, 2, ..., n).

    Every critical point is an eigenvector of D.  The last one, either sign, is the
    minimum, all others are strict saddles, and the origin is a maximum.  Runs start at the
    saddle that comes next after the minimum.

    Args:
        dim: n.

    References:
        Baldi, Hornik (1989). Neural networks and principal component analysis: learning
        from examples without local minima. Neural Networks 2(1), 53-58.
        doi 10.1016/0893-6080(89)90014-2.
        Chi, Lu, Chen (2019). Nonconvex optimization meets low-rank matrix factorization:
        an overview. arXiv 1809.09573.
    """
    at_least("dim", dim, 2)
    spectrum = [float(i) for i in range(1, dim + 1)]
    weights = torch.tensor(spectrum, dtype=torch.float64)
    level = sum(s**2 for s in spectrum)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        squares = x.square()
        return 0.25 * (total(squares).square() - 2 * total(weights.to(x) * squares) + level)

    def along(i: int, sign: float) -> CriticalPoint:
        x = tuple(sign * math.sqrt(s) if j == i else 0.0 for j, s in enumerate(spectrum))
        kind = Kind.MINIMUM if i == dim - 1 else Kind.SADDLE
        return CriticalPoint(x, (level - spectrum[i] ** 2) / 4, kind)

    minima = (along(dim - 1, 1.0), along(dim - 1, -1.0))
    saddles = tuple(along(i, sign) for i in range(dim - 1) for sign in (1.0, -1.0))
    maximum = critical(Kind.MAXIMUM, (*(0.0,) * dim, level / 4))
    return Analytic(
        f=f,
        dim=dim,
        domain=(-3.0, 3.0),
        start_at=saddles[-2].x,
        spread=1e-3,
        facts=Facts(
            minimum=minima[0].value,
            minimizers=tuple(p.x for p in minima),
            critical_points=minima + saddles + maximum,
            complete=True,
            eigenvalues=(*(s for s in spectrum[:-1]), 2.0 * dim),
            condition=2.0 * dim,
            source="closed form",
        ),
    )
