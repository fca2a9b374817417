"""Networks of a few units under squared error."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, at_most
from ravine.problems.arithmetic import sigmoid, total
from ravine.problems.base import Facts, Goal, Kind
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, grid, heights, ladder
from ravine.problems.matrices import multiply

CORNERS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))
"""The inputs of XOR."""


@problems.register("neural", "plateau", "saddle", "analytic")
def xor() -> Analytic:
    """The 2-2-1 network on XOR, the classic plateau between no answer and the right one.

    f(W, b, v, c) = 1/8 sum_i (v' tanh(W t_i + b) + c - y_i)^2 over the four inputs
    t_i in {-1, 1}^2 with y_i = 1 where they differ, else -1; the output unit is linear.  The
    coordinates are W by rows, b, v, c.

    The targets have no mean and no linear part.  So wherever W = 0 and the output is 0, all
    four examples pull against each other and the point is critical, with the loss 1/2 of a
    network that always answers 0.  It is a strict saddle where a unit has a bias b and an
    output weight v with 0 < |v| (1 - tanh(b)^2) < 2 |tanh(b)|; at the origin only c has any
    curvature, and the first way down is of fourth order.  The minimum 0 is attained where
    two units of equal weights and opposite biases tell the middle from the ends.  Runs begin
    near the origin.

    References:
        Rumelhart, Hinton, Williams (1986). Learning internal representations by error
        propagation. In Parallel Distributed Processing 1, MIT Press.
        Sprinkhuizen-Kuyper, Boers (1998). The error surface of the 2-2-1 XOR network: the
        finite stationary points. Neural Networks 11(4), for a logistic output.
    """
    inputs = torch.tensor(CORNERS, dtype=torch.float64).T
    answers = torch.tensor([-1.0, 1.0, 1.0, -1.0], dtype=torch.float64)

    def f(x: Float[Tensor, "*stack 9"]) -> Float[Tensor, "*stack"]:
        weights, biases, outer, shift = torch.split(x, [4, 2, 2, 1], -1)
        sums = multiply(weights.reshape(*x.shape[:-1], 2, 2), inputs.to(x))
        units = torch.tanh(sums + biases.unsqueeze(-1))
        outputs = multiply(outer.unsqueeze(-2), units).squeeze(-2) + shift
        return 0.125 * total((outputs - answers.to(x)).square())

    # with v = (u, -u) the output is 2 u tanh(1) in the middle and u g + c at both ends
    ends = math.tanh(3.0) - math.tanh(1.0)
    middle = 2 * math.tanh(1.0)
    u = 2 / (middle - ends)
    solution = (1.0, 1.0, 1.0, 1.0, 1.0, -1.0, u, -u, 1 - u * middle)
    curvatures = np.linalg.svd(_xor_jacobian(solution), compute_uv=False)[::-1] ** 2 / 4
    biased = (*(0.0,) * 4, 0.5, 0.5, 0.25, -0.25, 0.0)
    return Analytic(
        f=f,
        dim=9,
        domain=(-3.0, 3.0),
        start_at=(0.0,) * 9,
        facts=Facts(
            minimum=0.0,
            minimizers=(solution,),
            critical_points=(
                *critical(Kind.SADDLE, (*biased, 0.5)),
                *critical(Kind.DEGENERATE, (*(0.0,) * 9, 0.5)),
            ),
            eigenvalues=(0.0,) * 5 + tuple(curvatures.tolist()),
            condition=float(curvatures[-1] / curvatures[0]),
            source="closed form; both kinds of points form surfaces, of which one is listed",
        ),
    )


def _xor_jacobian(x: tuple[float, ...]) -> Float[np.ndarray, "4 9"]:
    """Derivatives of the network's output at the four inputs."""
    inputs = np.array(CORNERS)
    weights, biases, outer = np.reshape(x[:4], (2, 2)), np.array(x[4:6]), np.array(x[6:8])
    units = np.tanh(inputs @ weights.T + biases)
    slopes = outer * (1 - units**2)
    by_weight = (slopes[:, :, None] * inputs[:, None, :]).reshape(4, 4)
    return np.concatenate([by_weight, slopes, units, np.ones((4, 1))], 1)


@problems.register("neural", "multimodal", "analytic")
def bad_local_minimum(dim: int = 2) -> Analytic:
    """One logistic unit under squared error, with a local minimum that is a wrong answer.

    f(w) = 1/2 sum_k (sigmoid(w_k) - 0.9)^2 + (sigmoid(10 w_k) - 0.1)^2: two examples on each
    axis, the further one of them an outlier.

    Where a weight is large and positive, the outlier is answered as wrongly as can be and
    the unit is saturated there, so it says nothing; the weight fits the other example and
    rests, at four times the loss of the better minimum, which has the other sign.  With n
    weights there are 2^n minima, one of which is best, and 3^n critical points, all listed.
    The logarithmic loss of the same unit is convex.  Targets are local minima to get below;
    most runs begin on the wrong side.

    Args:
        dim: n, the number of weights, up to 6.

    Raises:
        BadValue: there are too many or no weights.

    References:
        Auer, Herbster, Warmuth (1996). Exponentially many local minima for single neurons.
        NeurIPS 8.
        Goodfellow, Bengio, Courville (2016). Deep Learning, 8.2.2. MIT Press.
    """
    at_least("dim", dim, 1)
    at_most("dim", dim, 6)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        near, far = sigmoid(x) - 0.9, sigmoid(10 * x) - 0.1
        return 0.5 * total(near.square() + far.square())

    good, top, bad = (_rest(*between) for between in ((-1.0, 0.0), (0.0, 1.0), (1.0, 3.0)))
    axis = (
        *critical(Kind.MINIMUM, (good, _unit_loss(good)), (bad, _unit_loss(bad))),
        *critical(Kind.MAXIMUM, (top, _unit_loss(top))),
    )
    wells = [(p.x[0], p.value) for p in axis[:2]]
    best = (good,) * dim
    curvatures = sorted(_unit_curvature(x) for x in best)
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 4.0),
        start_at=(1.5,) * dim,
        spread=1.5,
        facts=Facts(
            minimum=dim * _unit_loss(good),
            minimizers=(best,),
            critical_points=grid(*[axis] * dim),
            complete=True,
            eigenvalues=tuple(curvatures),
            condition=1.0,
            goal=Goal.BASIN,
            targets=heights(ladder(*[wells] * dim)),
            source="bisection of the derivative by one weight, to the last bit",
        ),
    )


def _logistic(z: float) -> tuple[float, float]:
    """The logistic function and its derivative."""
    value = 0.5 * (1 + math.tanh(0.5 * z))
    return value, value * (1 - value)


def _unit_loss(x: float) -> float:
    return 0.5 * ((_logistic(x)[0] - 0.9) ** 2 + (_logistic(10 * x)[0] - 0.1) ** 2)


def _unit_slope(x: float) -> float:
    (near, near_slope), (far, far_slope) = _logistic(x), _logistic(10 * x)
    return (near - 0.9) * near_slope + 10 * (far - 0.1) * far_slope


def _unit_curvature(x: float) -> float:
    """Second derivative: of (s - y)^2 / 2 by z it is s'^2 + (s - y) s' (1 - 2 s)."""
    (near, a), (far, b) = _logistic(x), _logistic(10 * x)
    return a**2 + (near - 0.9) * a * (1 - 2 * near) + 100 * (b**2 + (far - 0.1) * b * (1 - 2 * far))


def _rest(low: float, high: float) -> float:
    """Where the slope changes its sign between two places."""
    rising = _unit_slope(low) < 0
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if (_unit_slope(middle) < 0) == rising else (low, middle)
    return middle
