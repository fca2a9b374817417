"""Walls and cliffs: gradients that explode, or change by orders of magnitude in one step."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, positive
from ravine.problems.arithmetic import product, total
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems


def _integer_power(x: Float[Tensor, "*stack"], exponent: int) -> Float[Tensor, "*stack"]:
    """X ** exponent by squaring, so that its bits do not depend on the shape."""
    result, square = None, x
    while exponent:
        if exponent % 2:
            result = square if result is None else result * square
        exponent //= 2
        if exponent:
            square = square.square()
    return x if result is None else result


@problems.register("cliff", "analytic")
def tied_product(depth: int = 10) -> Analytic:
    """One weight used again at every step, as in a recurrent network.

    f(x) = (x^d - 1)^2 with depth d.

    Around 0 lies a plateau, just beyond 1 a wall: at 1.5 the gradient is 4e4, and a rate
    that is right on the floor, 0.01, throws the weight hundreds away from there.

    Args:
        depth: d, how often the weight is used.

    References:
        Bengio, Simard, Frasconi (1994). Learning long-term dependencies with gradient
        descent is difficult. doi 10.1109/72.279181; Goodfellow, Bengio, Courville (2016).
        Deep Learning, 8.2.4.
    """
    at_least("depth", depth, 3)

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        return (_integer_power(x[..., 0], depth) - 1).square()

    minimizers = ((1.0,), (-1.0,)) if depth % 2 == 0 else ((1.0,),)
    return Analytic(
        f=f,
        dim=1,
        domain=(-2.0, 2.0),
        start_at=(1.5,),
        spread=0.1,
        facts=Facts(
            minimum=0.0,
            minimizers=minimizers,
            critical_points=(
                *[CriticalPoint(x, 0.0, Kind.MINIMUM) for x in minimizers],
                CriticalPoint((0.0,), 1.0, Kind.DEGENERATE),
            ),
            complete=True,
            eigenvalues=(2.0 * depth**2,),
            condition=1.0,
        ),
    )


@problems.register("cliff", "analytic")
def factor_product(dim: int = 5) -> Analytic:
    """A deep linear network of one unit a layer: a product of many factors.

    f(x) = 1/2 (x_1 x_2 ... x_n - 1)^2.

    The gradient by one factor is the product of all others: at 2 each it is 500 for five
    factors, at 1/2 each 0.06.  Every point of the surface with product 1 is a solution,
    the flattest one where all factors are equal.

    References:
        Goodfellow, Bengio, Courville (2016). Deep Learning, 8.2.4; Saxe, McClelland,
        Ganguli (2014). arXiv 1312.6120.
    """
    at_least("dim", dim, 3)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.5 * (product(x) - 1).square()

    return Analytic(
        f=f,
        dim=dim,
        domain=(-3.0, 3.0),
        start_at=(2.0,) * dim,
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0,) * dim,),
            critical_points=(CriticalPoint((0.0,) * dim, 0.5, Kind.DEGENERATE),),
            eigenvalues=(0.0,) * (dim - 1) + (float(dim),),
        ),
    )


@problems.register("cliff", "analytic")
def recurrent_unit(steps: int = 12) -> Analytic:
    """The error surface of a recurrent network with a single unit.

    f(x) = (s_T - 0.7)^2 with s_t = sigmoid(w s_{t-1} + b), s_0 = sigmoid(0.5),
    x = (w, b).

    For large w the unit remembers one of two states, and where it changes from one to the
    other the surface is a cliff, the steeper the more steps.  Runs begin on the flat side
    above it and go down towards its edge.

    Args:
        steps: T.

    References:
        Pascanu, Mikolov, Bengio (2013). On the difficulty of training recurrent neural
        networks, figure 6 (there with 50 steps). arXiv 1211.5063.
    """
    at_least("steps", steps, 2)
    begin = math.tanh(0.25)

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        w, b = x.unbind(-1)
        # sigmoid(2 u) = (1 + tanh(u)) / 2 leaves one multiply and one add a step
        gain = 0.25 * w
        bias = gain + 0.5 * b
        state = torch.tanh(bias + gain * begin)
        for _ in range(steps - 1):
            state = torch.tanh(bias + gain * state)
        return (0.5 * state - 0.2).square()

    # at w = 0 the state forgets at once, and the output's gradient is 0.21 (0.7, 1)
    return Analytic(
        f=f,
        dim=2,
        domain=(-8.0, 8.0),
        start_at=(6.0, -2.0),
        spread=0.2,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0, math.log(7 / 3)),),
            eigenvalues=(0.0, 2 * 0.21**2 * (0.7**2 + 1)),
        ),
    )


@problems.register("cliff", "convex", "analytic")
def exponential_wall(dim: int = 2, steepness: float = 3.0) -> Analytic:
    """A gentle slope on one side, an exponential wall on the other.

    f(x) = sum_i e^(a x_i) - a x_i - 1, minimum 0 at the origin.

    Runs begin with one coordinate up the wall, where the gradient is 2e4, and all others
    far out on the slope, where it is 3: one rate cannot suit both.

    Args:
        dim: n.
        steepness: a.

    References:
        Nesterov (2018). Lectures on Convex Optimization, 5.1 (functions without Lipschitz
        gradient). doi 10.1007/978-3-319-91578-4.
    """
    at_least("dim", dim, 1)
    positive("steepness", steepness)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        z = steepness * x
        return total(torch.exp(z) - z - 1)

    origin = (0.0,) * dim
    return Analytic(
        f=f,
        dim=dim,
        start_at=(3.0,) + (-3.0,) * (dim - 1),
        facts=Facts(
            minimum=0.0,
            minimizers=(origin,),
            critical_points=(CriticalPoint(origin, 0.0, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(float(steepness**2),) * dim,
            condition=1.0,
        ),
    )


@problems.register("cliff", "convex", "analytic")
def one_sided_cliff(dim: int = 2, ratio: float = 1e4) -> Analytic:
    """A parabola that is gentle on the near side and a cliff on the far side.

    f(x) = 1/2 sum_i c_i x_i^2 with c_i = 1 for x_i < 0 and c_i = ratio for x_i > 0.

    Coming down the gentle side all looks well; the first step across the minimum meets a
    gradient that is larger by the ratio and throws the point back far beyond the start.
    The curvature jumps at the minimum, so there is no Hessian there.

    Args:
        dim: n.
        ratio: of the curvatures of the two sides.

    References:
        Goodfellow, Bengio, Courville (2016). Deep Learning, 8.2.4 and figure 8.3.
    """
    at_least("dim", dim, 1)
    at_least("ratio", ratio, 1.0)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return 0.5 * total(torch.where(x > 0, ratio * x, x) * x)

    return Analytic(
        f=f,
        dim=dim,
        start_at=(-4.0,) * dim,
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            smoothness=float(ratio),
            strong_convexity=1.0,
        ),
        traits=Traits(smooth=False),
    )


@problems.register("cliff", "plateau", "analytic")
def exponential() -> Analytic:
    """A gradient that begins huge and fades by a thousand: no rate is right twice.

    f(x) = e^-x, from x = -7, where the gradient is 1100.

    A rate that survives the start needs as many steps for each further digit as for all
    before.  The infimum 0 is not attained; targets are values.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, the
        exponential prototype. arXiv 1312.6055.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        return torch.exp(-x[..., 0])

    return Analytic(
        f=f,
        dim=1,
        domain=(-8.0, 20.0),
        start_at=(-7.0,),
        spread=0.1,
        facts=Facts(goal=Goal.ESCAPE, targets=(100.0, 10.0, 1.0, 0.1, 0.01, 0.001)),
    )


@problems.register("cliff", "nonsmooth", "convex", "analytic")
def bend(dim: int = 2, ratio: float = 10.0) -> Analytic:
    """A slope that suddenly becomes gentle.

    f(x) = sum_i |x_i| + (ratio - 1) max(0, |x_i| - 1).

    The gradient is the ratio outside [-1, 1] and 1 inside, with kinks between and at the
    minimum: a running average of gradients remembers the steep part for too long.

    Args:
        dim: n.
        ratio: of the two slopes.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, the
        bend prototype (here with a minimum). arXiv 1312.6055.
    """
    at_least("dim", dim, 1)
    at_least("ratio", ratio, 1.0)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        size = x.abs()
        return total(size + (ratio - 1) * (size - 1).clamp(min=0))

    return Analytic(
        f=f,
        dim=dim,
        start_at=(4.0,) * dim,
        facts=Facts(minimum=0.0, minimizers=((0.0,) * dim,)),
        traits=Traits(smooth=False),
    )


@problems.register("cliff", "nonsmooth", "analytic")
def cliff_edge(dim: int = 2, ratio: float = 10.0) -> Analytic:
    """A slope that suddenly becomes a cliff, with the minimum at its foot.

    f(x) = sum_i min(ratio |x_i|, |x_i| + ratio - 1).

    The gradient is 1 outside [-1, 1] and the ratio inside, the reverse of `bend`: a rate
    that was right until the edge oscillates between the walls of the gorge.

    Args:
        dim: n.
        ratio: of the two slopes.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, the
        cliff prototype (here with a minimum). arXiv 1312.6055.
    """
    at_least("dim", dim, 1)
    at_least("ratio", ratio, 1.0)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        size = x.abs()
        return total(torch.minimum(ratio * size, size + (ratio - 1)))

    return Analytic(
        f=f,
        dim=dim,
        start_at=(4.0,) * dim,
        facts=Facts(minimum=0.0, minimizers=((0.0,) * dim,)),
        traits=Traits(smooth=False),
    )
