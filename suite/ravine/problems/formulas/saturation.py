"""Saturated and dead units: plateaus as networks make them."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import sigmoid
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems


@problems.register("plateau", "analytic")
def tanh() -> Analytic:
    """The vanishing gradient of a saturated unit.

    f(x) = tanh(x), from x = 4, where f' = 1 - tanh(4)^2 = 0.0013.

    Descent has the right direction and no length: even at the rate 1 it takes 380 steps
    down to the value 1/2, and the other tail has no minimum.  Targets are values.

    References:
        Zhang, Lipton, Li, Smola (2023). Dive into Deep Learning, 12.1. arXiv 2106.11342.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        return torch.tanh(x[..., 0])

    return Analytic(
        f=f,
        dim=1,
        domain=(-6.0, 6.0),
        start_at=(4.0,),
        spread=0.01,
        facts=Facts(
            smoothness=4 / (3 * math.sqrt(3)),
            goal=Goal.ESCAPE,
            targets=(0.9, 0.5, 0.0, -0.5, -0.9, -0.99),
        ),
    )


@problems.register("plateau", "analytic")
def sigmoid_plateau() -> Analytic:
    """The vanishing gradient of a logistic unit, longer and flatter still.

    f(x) = 1 / (1 + e^-x), from x = 10, where f' = 4.5e-5.

    A logistic unit's slope is at most 1/4, and where it saturates nothing is left of it.
    Targets are values; the infimum 0 is not attained.

    References:
        Glorot, Bengio (2010). Understanding the difficulty of training deep feedforward
        neural networks. AISTATS, PMLR 9.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        return sigmoid(x[..., 0])

    return Analytic(
        f=f,
        dim=1,
        domain=(-12.0, 12.0),
        start_at=(10.0,),
        spread=0.01,
        facts=Facts(
            smoothness=1 / (6 * math.sqrt(3)),
            goal=Goal.ESCAPE,
            targets=(0.99, 0.9, 0.5, 0.1, 0.01),
        ),
    )


@problems.register("plateau", "analytic")
def saturated_unit() -> Analytic:
    """One logistic unit under squared error, saturated the wrong way round.

    f(x) = 1/2 sum_i (sigmoid(w t_i + b) - y_i)^2 with x = (w, b), t = (-1, 1),
    y = (0.2, 0.8); zero at w = log 4, b = 0.

    From w = -8 both outputs are as wrong as they can be and the gradient is 1e-3: squared
    error and saturation together hide the mistake, which a logarithmic loss would not.

    References:
        Goodfellow, Bengio, Courville (2016). Deep Learning, 6.2.2. MIT Press.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        w, b = x.unbind(-1)
        low, high = sigmoid(b - w) - 0.2, sigmoid(b + w) - 0.8
        return 0.5 * (low.square() + high.square())

    # the unit's slope at the minimum is 0.2 * 0.8, and w and b do not interact there
    curvature = 2 * 0.16**2
    return Analytic(
        f=f,
        dim=2,
        domain=(-12.0, 12.0),
        start_at=(-8.0, 0.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((math.log(4), 0.0),),
            eigenvalues=(curvature, curvature),
            condition=1.0,
        ),
    )


@problems.register("plateau", "analytic")
def tanh_chain(dim: int = 4) -> Analytic:
    """A deep and narrow network: one tanh unit a layer, one weight each.

    f(x) = 1/2 (tanh(x_n tanh(x_{n-1} ... tanh(x_1))) - 1/2)^2.

    Around the origin, a critical point at which all derivatives below the n-th vanish,
    the gradient is a product of n - 1 small weights; far from it all units saturate.

    References:
        Glorot, Bengio (2010). Understanding the difficulty of training deep feedforward
        neural networks. AISTATS, PMLR 9.
    """
    at_least("dim", dim, 3)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        first, *others = x.unbind(-1)
        unit = torch.tanh(first)
        for weight in others:
            unit = torch.tanh(weight * unit)
        return 0.5 * (unit - 0.5).square()

    units = [1.0]
    for _ in range(dim - 1):
        units.append(math.tanh(units[-1]))
    weights = [1.0] * (dim - 1) + [math.atanh(0.5) / units[-1]]
    outputs = [*units[1:], 0.5]
    # the output's derivative by each weight, by the chain rule from the last layer down
    back, slopes = 1.0, list[float]()
    for weight, below, output in zip(weights[::-1], units[::-1], outputs[::-1], strict=True):
        back *= 1 - output**2
        slopes.append(back * below)
        back *= weight
    steep = sum(slope**2 for slope in slopes)
    return Analytic(
        f=f,
        dim=dim,
        domain=(-4.0, 4.0),
        start_at=(0.3,) * dim,
        spread=0.1,
        facts=Facts(
            minimum=0.0,
            minimizers=(tuple(weights),),
            critical_points=(CriticalPoint((0.0,) * dim, 0.125, Kind.DEGENERATE),),
            eigenvalues=(0.0,) * (dim - 1) + (steep,),
        ),
    )


@problems.register("plateau", "nonsmooth", "analytic")
def dead_relu() -> Analytic:
    """One rectified unit that may be dead: no gradient at all.

    f(x) = 1/2 sum_i (max(0, w t_i + b) - t_i)^2 with x = (w, b), t = (1, 2); zero at
    w = 1, b = 0.

    Where w + b < 0 and 2 w + b < 0 both examples are off and the gradient is zero: 44 of
    100 starts are dead, and no method that follows gradients can leave there.

    References:
        Lu, Shin, Su, Karniadakis (2020). Dying ReLU and initialization: theory and
        numerical examples. arXiv 1903.06733.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        w, b = x.unbind(-1)
        one, two = (w + b).clamp(min=0) - 1, (2 * w + b).clamp(min=0) - 2
        return 0.5 * (one.square() + two.square())

    low, high = np.linalg.eigvalsh(np.array([[5.0, 3.0], [3.0, 2.0]])).tolist()
    return Analytic(
        f=f,
        dim=2,
        domain=(-3.0, 3.0),
        facts=Facts(
            minimum=0.0,
            minimizers=((1.0, 0.0),),
            eigenvalues=(low, high),
            condition=high / low,
        ),
        traits=Traits(smooth=False),
    )
